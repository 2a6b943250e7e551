"""The states of slots, assignments and items, and every step between them that is allowed.

One function knows the steps; whatever writes a state asks it first. Leaves out who may take a step.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from accord.domain.errors import StoreError

State = TypeVar("State", bound=StrEnum)


class SlotState(StrEnum):
    """One unit of capacity: one judgment that is wanted of one item."""

    OPEN = "open"
    LEASED = "leased"
    FILLED = "filled"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True where nothing follows."""
        return self in (SlotState.FILLED, SlotState.CANCELLED)


class AssignmentState(StrEnum):
    """One slot in the hands of one annotator."""

    LEASED = "leased"
    OPENED = "opened"
    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    RELEASED = "released"
    EXPIRED = "expired"
    SUBMITTED_LATE = "submitted_late"

    @property
    def is_live(self) -> bool:
        """True while it holds its slot."""
        return self in (AssignmentState.LEASED, AssignmentState.OPENED)

    @property
    def has_judgment(self) -> bool:
        """True where a judgment was taken."""
        return self in (AssignmentState.SUBMITTED, AssignmentState.SUBMITTED_LATE)


class ItemState(StrEnum):
    """One item on its way through the queue."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    JUDGED = "judged"
    WITHDRAWN = "withdrawn"


class Purpose(StrEnum):
    """What a slot is for."""

    PRIMARY = "primary"
    EXTRA = "extra"
    GOLD = "gold"


SLOT_STEPS: Mapping[SlotState, frozenset[SlotState]] = MappingProxyType(
    {
        SlotState.OPEN: frozenset({SlotState.LEASED, SlotState.FILLED, SlotState.CANCELLED}),
        SlotState.LEASED: frozenset({SlotState.FILLED, SlotState.OPEN, SlotState.CANCELLED}),
        SlotState.FILLED: frozenset(),
        SlotState.CANCELLED: frozenset(),
    }
)
"""An open slot is filled without a lease by a judgment that came late."""

ASSIGNMENT_STEPS: Mapping[AssignmentState, frozenset[AssignmentState]] = MappingProxyType(
    {
        AssignmentState.LEASED: frozenset(
            {
                AssignmentState.OPENED,
                AssignmentState.SUBMITTED,
                AssignmentState.SKIPPED,
                AssignmentState.RELEASED,
                AssignmentState.EXPIRED,
            }
        ),
        AssignmentState.OPENED: frozenset(
            {
                AssignmentState.SUBMITTED,
                AssignmentState.SKIPPED,
                AssignmentState.RELEASED,
                AssignmentState.EXPIRED,
            }
        ),
        AssignmentState.EXPIRED: frozenset({AssignmentState.SUBMITTED_LATE}),
        AssignmentState.RELEASED: frozenset({AssignmentState.SUBMITTED_LATE}),
        AssignmentState.SUBMITTED: frozenset(),
        AssignmentState.SKIPPED: frozenset(),
        AssignmentState.SUBMITTED_LATE: frozenset(),
    }
)
"""What was released or ran out still takes a judgment, late: nothing that somebody did is thrown away."""

ITEM_STEPS: Mapping[ItemState, frozenset[ItemState]] = MappingProxyType(
    {
        ItemState.QUEUED: frozenset({ItemState.IN_PROGRESS, ItemState.JUDGED, ItemState.WITHDRAWN}),
        ItemState.IN_PROGRESS: frozenset({ItemState.JUDGED, ItemState.WITHDRAWN}),
        ItemState.JUDGED: frozenset({ItemState.IN_PROGRESS, ItemState.WITHDRAWN}),
        ItemState.WITHDRAWN: frozenset(),
    }
)
"""A judged item goes back to work when it is given further slots."""


def check_step(steps: Mapping[State, frozenset[State]], old: State, new: State) -> State:
    """`new`, where that step is allowed; raises `StoreError` otherwise."""
    if new not in steps[old]:
        allowed = ", ".join(sorted(steps[old])) or "nothing"
        raise StoreError(f"{type(old).__name__} cannot go from {old} to {new}; after {old} comes {allowed}")
    return new
