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
    IN_REVIEW = "in_review"
    IN_ADJUDICATION = "in_adjudication"
    ON_HOLD = "on_hold"
    COMPLETE = "complete"
    WITHDRAWN = "withdrawn"

    @property
    def is_waiting(self) -> bool:
        """True while somebody is to judge, review or decide."""
        return self in (
            ItemState.QUEUED,
            ItemState.IN_PROGRESS,
            ItemState.IN_REVIEW,
            ItemState.IN_ADJUDICATION,
        )


class Purpose(StrEnum):
    """What a slot is for."""

    PRIMARY = "primary"
    EXTRA = "extra"
    GOLD = "gold"
    REPEAT = "repeat"
    TRAINING = "training"
    TEST = "test"
    CALIBRATION = "calibration"
    REVIEW = "review"
    ADJUDICATE = "adjudicate"
    TURN = "turn"

    @property
    def is_vote(self) -> bool:
        """True where its judgment counts toward what an item's answer is."""
        return self in (Purpose.PRIMARY, Purpose.EXTRA)

    @property
    def is_trained_on(self) -> bool:
        """True where its judgment may enter an export for training."""
        return self.is_vote or self in (Purpose.REVIEW, Purpose.ADJUDICATE, Purpose.TURN)

    @property
    def is_for_one(self) -> bool:
        """True where its slot was made for one annotator: nobody waits for it when it is given back."""
        return self in (Purpose.GOLD, Purpose.REPEAT, Purpose.TRAINING, Purpose.TEST, Purpose.TURN)


class Lane(StrEnum):
    """Who comes for a slot."""

    LABEL = "label"
    REVIEW = "review"
    ADJUDICATE = "adjudicate"
    LIVE = "live"
    """Nobody comes: a turn of a conversation is for whoever is in it."""


class Mark(StrEnum):
    """What a judgment counts for; without a mark it is live."""

    LIVE = "live"
    SUPERSEDED = "superseded"
    QUARANTINED = "quarantined"
    VOID = "void"


class PersonState(StrEnum):
    """How somebody stands in a project."""

    TRAINING = "training"
    TESTING = "testing"
    ACTIVE = "active"
    PROBATION = "probation"
    PAUSED = "paused"
    FAILED = "failed"
    LEFT = "left"

    @property
    def is_at_work(self) -> bool:
        """True where he is given work of the project itself."""
        return self in (PersonState.ACTIVE, PersonState.PROBATION)


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
        AssignmentState.SKIPPED: frozenset({AssignmentState.SUBMITTED_LATE}),
        AssignmentState.SUBMITTED_LATE: frozenset(),
    }
)
"""What was released or ran out still takes a judgment, late: nothing that somebody did is thrown away.
So does what was skipped when it came back, if a word on it from before arrives then."""

_ANYWHERE = frozenset({ItemState.ON_HOLD, ItemState.WITHDRAWN})
ITEM_STEPS: Mapping[ItemState, frozenset[ItemState]] = MappingProxyType(
    {
        ItemState.QUEUED: frozenset({ItemState.IN_PROGRESS, ItemState.JUDGED}) | _ANYWHERE,
        ItemState.IN_PROGRESS: frozenset({ItemState.JUDGED}) | _ANYWHERE,
        ItemState.JUDGED: frozenset(
            {
                ItemState.IN_PROGRESS,
                ItemState.IN_REVIEW,
                ItemState.IN_ADJUDICATION,
                ItemState.COMPLETE,
            }
        )
        | _ANYWHERE,
        ItemState.IN_REVIEW: frozenset({ItemState.JUDGED}) | _ANYWHERE,
        ItemState.IN_ADJUDICATION: frozenset({ItemState.JUDGED}) | _ANYWHERE,
        ItemState.ON_HOLD: frozenset({ItemState.JUDGED, ItemState.WITHDRAWN}),
        ItemState.COMPLETE: frozenset({ItemState.JUDGED, ItemState.WITHDRAWN}),
        ItemState.WITHDRAWN: frozenset(),
    }
)
"""Judged is where the workflow decides: all that was asked for is there, nothing further is asked yet. A
judged item goes back to work when it is given further slots, a complete one when it is opened anew."""

PERSON_STEPS: Mapping[PersonState, frozenset[PersonState]] = MappingProxyType(
    {
        PersonState.TRAINING: frozenset({PersonState.TESTING, PersonState.ACTIVE, PersonState.LEFT}),
        PersonState.TESTING: frozenset(
            {PersonState.ACTIVE, PersonState.FAILED, PersonState.PAUSED, PersonState.LEFT}
        ),
        PersonState.ACTIVE: frozenset(
            {PersonState.PROBATION, PersonState.PAUSED, PersonState.TESTING, PersonState.LEFT}
        ),
        PersonState.PROBATION: frozenset(
            {PersonState.ACTIVE, PersonState.PAUSED, PersonState.TESTING, PersonState.LEFT}
        ),
        PersonState.PAUSED: frozenset({PersonState.ACTIVE, PersonState.TESTING, PersonState.LEFT}),
        PersonState.FAILED: frozenset({PersonState.TESTING, PersonState.ACTIVE, PersonState.LEFT}),
        PersonState.LEFT: frozenset({PersonState.TRAINING, PersonState.TESTING, PersonState.ACTIVE}),
    }
)
"""An alarm pauses; whoever was paused comes back by a lead's word or by passing the entry test anew."""


def check_step(steps: Mapping[State, frozenset[State]], old: State, new: State) -> State:
    """`new`, where that step is allowed; raises `StoreError` otherwise."""
    if new not in steps[old]:
        allowed = ", ".join(sorted(steps[old])) or "nothing"
        raise StoreError(f"{type(old).__name__} cannot go from {old} to {new}; after {old} comes {allowed}")
    return new
