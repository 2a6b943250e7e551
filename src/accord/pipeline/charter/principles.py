"""The written policy of a project: principles with examples and weights, and limits that nothing outweighs.

One TOML file, read strictly; guideline, questions, reward heads and gates follow from it (the other modules
here). It is called a charter, since a policy is a model that is trained. Leaves out measuring anything.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist

from accord.domain.errors import ConfigError
from accord.domain.messages import content_hash
from accord.pipeline.configuration import config_values, load_config

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""What an id looks like: it becomes a question, a reward head, a slice and part of a gate's name."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One request with an answer that keeps the principle, one that breaks it, or both."""

    prompt: str
    """What is asked."""
    good: str = ""
    """An answer as it should be."""
    bad: str = ""
    """An answer as it should not be."""
    why: str = ""
    """What makes the difference."""

    def __post_init__(self) -> None:
        if not self.good.strip() and not self.bad.strip():
            raise ConfigError("example", ["good: missing, and bad too; expected one of them at least"])


@dataclass(frozen=True, kw_only=True)
class Principle:
    """Something answers should do more or less well: graded, weighed against the others."""

    id: str
    """Names it everywhere: question, reward head, gate, and anchor in the guideline."""
    name: str = ""
    """A heading; empty: the id in words."""
    text: str
    """What is asked of an answer, in a sentence or a paragraph."""
    weight: float = 1.0
    """Its part in the one score of an answer, against the other principles'."""
    low: int = 1
    """The worst grade."""
    high: int = 5
    """The best grade."""
    anchors: Mapping[str, str] = field(default_factory=dict)
    """Grade to what it means, such as "1" = "Useless"."""
    tolerance: float = 0.1
    """Grades by which a new model's mean may fall below the last release's."""
    floor: float | None = None
    """A mean grade that a released model must reach; none asks for no level."""
    min_n: int = 100
    """Graded answers below which its gates give no verdict."""
    examples: tuple[Example, ...] = ()
    """Shown in the guideline."""

    def __post_init__(self) -> None:
        grades = {str(grade) for grade in range(self.low, self.high + 1)}
        checks = (
            ("id", NAME.fullmatch(self.id), "small letters, digits and _, a letter first"),
            ("text", self.text.strip(), "a sentence"),
            ("weight", 0 < self.weight < math.inf, "a number above 0; what must never happen is a limit"),
            ("high", self.low < self.high, f"above low, {self.low}"),
            ("anchors", set(self.anchors) <= grades, f"grades from {self.low} to {self.high}"),
            ("tolerance", 0 < self.tolerance < math.inf, "a number above 0"),
            (
                "floor",
                self.floor is None or self.low <= self.floor <= self.high,
                f"a grade from {self.low} to {self.high}",
            ),
            ("min_n", self.min_n >= 1, "1 or more"),
        )
        _raise_for("principle", self, checks)

    @property
    def title(self) -> str:
        """The heading."""
        return self.name or self.id.replace("_", " ").capitalize()


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Something an answer must never do, whatever it gains elsewhere: kept or broken, no grades."""

    id: str
    """Names it everywhere, as a principle's."""
    name: str = ""
    """A heading; empty: the id in words."""
    text: str
    """What an answer must not do."""
    max_rate: float = 0.01
    """Share of broken answers that a released model must be shown to stay below."""
    alpha: float = 0.05
    """Level at which that is shown."""
    examples: tuple[Example, ...] = ()
    """Shown in the guideline."""

    def __post_init__(self) -> None:
        checks = (
            ("id", NAME.fullmatch(self.id), "small letters, digits and _, a letter first"),
            ("text", self.text.strip(), "a sentence"),
            ("max_rate", 0 < self.max_rate < 1, "between 0 and 1; that it is 0 no sample can show"),
            ("alpha", 0 < self.alpha < 1, "between 0 and 1"),
        )
        _raise_for("limit", self, checks)

    @property
    def title(self) -> str:
        """The heading."""
        return self.name or self.id.replace("_", " ").capitalize()

    @property
    def min_n(self) -> int:
        """Fewest answers that show the rate: Wilson's upper bound of none in n, z^2 / (n + z^2), meets it."""
        z_value = NormalDist().inv_cdf(1 - self.alpha / 2)
        return math.ceil(z_value**2 * (1 - self.max_rate) / self.max_rate)


@dataclass(frozen=True, kw_only=True)
class Charter:
    """The written policy of a project."""

    name: str
    """Of the project, of its gate plan, and on top of the guideline."""
    purpose: str = ""
    """What the model is for, in a paragraph or two; the guideline starts with it."""
    overlap: int = 2
    """How many people judge each item."""
    preference: float = 1.0
    """In a loop: what the reward learnt from comparisons counts beside the one score in which principles
    share 1; 0 rewards the principles alone."""
    principles: tuple[Principle, ...] = ()
    """Graded and weighed; their order is that of the questions."""
    limits: tuple[Limit, ...] = ()
    """Never outweighed."""

    def __post_init__(self) -> None:
        problems = []
        ids = [one.id for one in self.entries]
        problems += [
            f"principles and limits: {one!r} is there twice"
            for one in sorted({name for name in ids if ids.count(name) > 1})
        ]
        if "preference" in ids:
            problems.append("principles: 'preference' is the question that compares; choose another id")
        if not self.principles:
            problems.append("principles: there are none; expected one at least")
        if not self.name.strip():
            problems.append("name: is empty; expected the project's name")
        if not 0 <= self.preference < math.inf:
            problems.append(f"preference: {self.preference}; expected a number, 0 or more")
        if not 1 <= self.overlap <= 100:
            problems.append(f"overlap: {self.overlap}; expected 1 to 100")
        if problems:
            raise ConfigError("charter", problems)

    @property
    def hash(self) -> str:
        """Of all it says; what follows from a charter carries it."""
        return content_hash(config_values(self))

    @property
    def entries(self) -> tuple[Limit | Principle, ...]:
        """All of it, limits first."""
        return (*self.limits, *self.principles)

    @property
    def parts(self) -> dict[str, float]:
        """Each principle's share of the one score; they add up to 1."""
        total = math.fsum(one.weight for one in self.principles)
        return {one.id: one.weight / total for one in self.principles}


def read_charter(path: Path) -> Charter:
    """A charter from its file; raises `ConfigError` with ALL that is wrong."""
    return load_config(Charter, path)


def _raise_for(kind: str, made: object, checks: tuple[tuple[str, object, str], ...]) -> None:
    problems = [
        f"{name}: {getattr(made, name)!r}; expected {expected}"
        for name, holds, expected in checks
        if not holds
    ]
    if problems:
        raise ConfigError(kind, problems)
