"""How work is handed out: what holds for the whole queue, and what one project asks of its people."""

from dataclasses import dataclass

from accord.domain.errors import StoreError
from accord.store.database.hidden import REPEAT_GAP
from accord.store.database.states import PersonState


@dataclass(frozen=True, kw_only=True)
class QueueConfig:
    """How long work stays in somebody's hands."""

    lease_s: float = 900.0
    """A lease ends so long after it was taken or last extended."""
    gold_rate: float = 0.05
    """Share of work that is a known item the annotator has not met, while there are such items."""
    repeat_rate: float = 0.05
    """Share of work that is an own earlier item with its sides swapped, unannounced."""
    repeat_gap: int = REPEAT_GAP
    """Own pieces of work that lie between an item and its repeat, at least."""
    daily_gold_cap: int = 20
    """Known items an annotator gets on one day at most."""

    def __post_init__(self) -> None:
        for name, rate in (("gold_rate", self.gold_rate), ("repeat_rate", self.repeat_rate)):
            if not 0 <= rate < 1:
                raise StoreError(f"{name} is {rate}; expected from 0 to below 1")
        if not self.lease_s > 0:
            raise StoreError(f"lease_s is {self.lease_s}; expected more than 0")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a project asks of those who work for it, as far as handing out goes."""

    first_state: PersonState = PersonState.ACTIVE
    """How somebody new stands."""
    gold_rate: float | None = None
    """In place of the queue's."""
    repeat_rate: float | None = None
    """In place of the queue's."""
    max_per_day: int | None = None
    """Judgments of one person on one day (UTC)."""
    max_active_ms: int | None = None
    """Time worked by one person on one day."""
