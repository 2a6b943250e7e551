"""What a project asks of those who work for it: entry, checks, limits, as data.

[people]
gold = 0.05
repeats = 0.05
judgments_per_day = 200
entry = "training"
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from accord.domain.errors import ConfigError
from accord.quality.people import QualificationConfig
from accord.store.database.states import PersonState
from accord.store.database.terms import Terms

ENTRIES = {"none": PersonState.ACTIVE, "test": PersonState.TESTING, "training": PersonState.TRAINING}
"""How somebody new begins."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One version of it."""

    gold: float | None = None
    """Share of work that is a known item, on average over people; who is less known gets more. 0.05 if not
    said."""
    repeats: float | None = None
    """Share of work that is an own earlier item with its sides swapped. 0.05 if not said."""
    judgments_per_day: int | None = None
    """Of one person, on one day (UTC)."""
    hours_per_day: float | None = None
    """Worked by one person on one day."""
    entry: str = "none"
    """none, test (known items of the tier test, until it is sure) or training (then the test)."""
    unqualified: float = 0.6
    """Accuracy that must not pass the test."""
    qualified: float = 0.8
    """Accuracy that must."""
    test_items: int = 40
    """The test ends here at the latest."""
    test_skill: str | None = None
    """Skill that passing the test gives, such as `medicine:2`."""
    needs_consent: bool = False
    """Nobody works before he agreed to the project's terms."""
    pause_on_decline: bool = True
    """Whoever has become worse on known items is paused until he passes the test or a lead lets him on."""

    @property
    def terms(self) -> Terms:
        """What the queue has to know of it."""
        hours = self.hours_per_day
        return Terms(
            first_state=ENTRIES[self.entry],
            gold_rate=self.gold,
            repeat_rate=self.repeats,
            max_per_day=self.judgments_per_day,
            max_active_ms=None if hours is None else int(hours * 3_600_000),
        )

    @property
    def test(self) -> QualificationConfig:
        """The entry test."""
        return QualificationConfig(
            unqualified=self.unqualified, qualified=self.qualified, max_items=self.test_items
        )


def policy_problems(data: Any) -> list[str]:
    """All that is wrong with a policy as data."""
    if not isinstance(data, Mapping):
        return [f"people: {data!r}; expected a table"]
    known = {one.name: one.type for one in fields(Policy)}
    problems = [
        f"people.{name}: not known; expected one of {', '.join(known)}" for name in data if name not in known
    ]
    for name in ("gold", "repeats"):
        value = data.get(name, 0.0)
        if type(value) not in (int, float) or not 0 <= value < 1:
            problems.append(f"people.{name}: {value!r}; expected a share from 0 to below 1")
    for name in ("judgments_per_day", "hours_per_day", "test_items"):
        value = data.get(name, 1)
        kinds = (int, float) if name == "hours_per_day" else (int,)
        if type(value) not in kinds or not value > 0:
            problems.append(f"people.{name}: {value!r}; expected a number above 0")
    for name in ("needs_consent", "pause_on_decline"):
        if type(data.get(name, True)) is not bool:
            problems.append(f"people.{name}: {data[name]!r}; expected true or false")
    if data.get("entry", "none") not in ENTRIES:
        problems.append(f"people.entry: {data['entry']!r}; expected one of {', '.join(ENTRIES)}")
    if not isinstance(data.get("test_skill"), str | None):
        problems.append(f"people.test_skill: {data['test_skill']!r}; expected a text")
    low, high = data.get("unqualified", 0.6), data.get("qualified", 0.8)
    if not all(type(one) in (int, float) for one in (low, high)) or not 0 < low < high < 1:
        problems.append(
            f"people.unqualified and qualified: {low!r}, {high!r}; expected 0 < first < second < 1"
        )
    return problems


def parse_policy(data: Mapping[str, Any], source: str) -> Policy:
    """A policy from data; raises `ConfigError` with all that is wrong."""
    problems = policy_problems(data)
    if problems:
        raise ConfigError(source, problems)
    return Policy(**data)
