"""Slots and what holds them, inside a transaction: finding one, making some, giving back, filling.

Every change of state goes through the steps that `states` allows. Leaves out events, which the caller
writes at the end of his transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    select,
    update,
)

from accord.domain.errors import StoreError
from accord.domain.ids import IdSource
from accord.store.database.audit import Event
from accord.store.database.engine import insert_rows
from accord.store.database.states import (
    ASSIGNMENT_STEPS,
    ITEM_STEPS,
    SLOT_STEPS,
    AssignmentState,
    ItemState,
    Lane,
    Purpose,
    SlotState,
    check_step,
)
from accord.store.database.tables import assignment, item, slot, user
from accord.store.database.tally import NOT_COUNTED, Kind, count, count_slot

LIVE = [state.value for state in AssignmentState if state.is_live]
GIVEN_UP = [AssignmentState.EXPIRED.value, AssignmentState.RELEASED.value]
FOR_ONE = [purpose.value for purpose in Purpose if purpose.is_for_one]
ASIDE = [*FOR_ONE, Purpose.CALIBRATION.value]
"""Work an item does not wait for on its way."""
SECOND_LOOK = [Purpose.REPEAT.value, Purpose.REVIEW.value, Purpose.ADJUDICATE.value]
"""Work on an item its holder may know: none of it stands for his own first judgment."""
WANTED = [SlotState.OPEN.value, SlotState.LEASED.value]
WAITING = [state.value for state in ItemState if state.is_waiting]
EXPIRED_AT_A_TIME = 100
"""Leases that ran out and are taken back by one claim."""


def is_held() -> ColumnElement[bool]:
    """Whether an assignment is in somebody's hands, said so that an index finds the few that are.

    The states stand in the statement itself: SQLite takes an index over some rows only where it can read that
    they are meant, which it cannot of values sent apart. Nothing that is held has an end, by which indexes
    over all rows find it too.
    """
    states: BindParameter[Any] = bindparam("held_states", LIVE, expanding=True, literal_execute=True)
    return and_(assignment.c.state.in_(states), assignment.c.closed_ms.is_(None))


def hold_user(connection: Connection, user_id: str) -> Row[Any]:
    """A user, locked: first of all in what somebody does, so that his two tabs do it one after the other."""
    row = connection.execute(select(user).where(user.c.id == user_id).with_for_update(key_share=True)).first()
    if row is None:
        raise StoreError(f"there is no user {user_id!r}")
    return row


def find_slot(
    connection: Connection, project_id: str, user_id: str, skills: Sequence[str], lane: Lane = Lane.LABEL
) -> Row[Any] | None:
    """The most urgent open slot of an item this person has not judged; locked against other claims.

    One look into the index for each skill, so that slots which ask for other skills cost nothing. Of
    equally urgent ones what asks for a skill comes first: those who have it are few.
    """
    best: Row[Any] | None = None
    for skill in (None, *skills):
        found = connection.execute(open_slot(project_id, user_id, skill, lane)).first()
        if found is not None and (best is None or found.priority >= best.priority):
            best = found
    return best


def open_slot(project_id: str, user_id: str, skill: str | None, lane: Lane) -> Select[Any]:
    """The query for it: one look into `ix_slot_open`, however many slots are open.

    It is ordered by the skill too, which is one for all rows: PostgreSQL takes no "is null" for a constant,
    and would sort every open slot for the rest of the order. The item is locked before its slot, as by
    whoever moves it on, and passed by while somebody does.
    """
    has_item = exists().where(
        assignment.c.item_id == slot.c.item_id,
        assignment.c.user_id == user_id,
        assignment.c.state.not_in(GIVEN_UP),
    )
    if lane is not Lane.LABEL:
        # Whoever judged an item neither reviews nor decides it; whoever reviewed it may do so again.
        has_item = has_item.where(
            assignment.c.purpose.not_in([Purpose.REVIEW.value, Purpose.ADJUDICATE.value])
        )
    asks = slot.c.required_skill.is_(None) if skill is None else slot.c.required_skill == skill
    return (
        select(slot)
        .join(item, item.c.id == slot.c.item_id)
        .where(
            slot.c.project_id == project_id,
            slot.c.lane == lane.value,
            asks,
            slot.c.state == SlotState.OPEN.value,
            ~has_item,
        )
        .order_by(slot.c.required_skill, slot.c.priority.desc(), slot.c.id)
        .limit(1)
        .with_for_update(of=[item, slot], key_share=True, skip_locked=True)
    )


def make_slots(
    connection: Connection,
    ids: IdSource,
    row: Any,
    count: int,
    *,
    purpose: Purpose,
    lane: Lane = Lane.LABEL,
    skill: str | None = None,
    priority: int | None = None,
) -> list[str]:
    """Open slots of an item, numbered on from those it has; `row` has its id, project and priority.

    The caller has locked the item: of two who ask at once the second sees what the first made.
    """
    newest = connection.execute(select(func.max(slot.c.number)).where(slot.c.item_id == row.id)).scalar()
    first = 0 if newest is None else newest + 1
    made = [ids.new() for _ in range(count)]
    rows = [
        {
            "id": one,
            "item_id": row.id,
            "project_id": row.project_id,
            "number": first + k,
            "purpose": purpose.value,
            "required_skill": skill,
            "priority": row.priority if priority is None else priority,
            "state": SlotState.OPEN.value,
            "lane": lane.value,
        }
        for k, one in enumerate(made)
    ]
    insert_rows(connection, slot, rows)
    count_slot(connection, row.project_id, skill, SlotState.OPEN, len(rows))
    return made


def expire_overdue(connection: Connection, project_id: str, now: int) -> list[Event]:
    """Take back leases that ran out."""
    overdue = connection.execute(
        select(assignment)
        .where(
            assignment.c.project_id == project_id,
            is_held(),
            assignment.c.lease_until_ms < now,
        )
        .limit(EXPIRED_AT_A_TIME)
        .with_for_update(skip_locked=True)
    ).all()
    events = []
    for row in overdue:
        close_assignment(connection, row, AssignmentState.EXPIRED, now)
        set_slot(connection, row.slot_id, SlotState.LEASED, freed(row))
        events.append(entry(now, "queue", "expire", "assignment", row.id, {}))
    return events


def count_time(connection: Connection, row: Row[Any], active_ms: int, now: int) -> int:
    """Time worked on an assignment, in milliseconds, once `active_ms` more are told; the row is locked.

    It never exceeds what passed since the lease began, and of a person with several leases no time counts for
    two: what is told is laid behind what is counted already, whichever lease that was for.
    """
    if active_ms <= 0:
        return int(row.active_ms)
    until = connection.execute(
        select(user.c.worked_until_ms).where(user.c.id == row.user_id).with_for_update(key_share=True)
    ).scalar_one()
    begun = max(row.leased_ms, until)
    # A clock that was set back adds nothing until it has caught up.
    added = max(0, min(active_ms, now - begun, now - row.leased_ms - row.active_ms))
    if added:
        connection.execute(update(user).where(user.c.id == row.user_id).values(worked_until_ms=begun + added))
    return int(row.active_ms + added)


def close_assignment(
    connection: Connection, row: Row[Any], state: AssignmentState, now: int, *, skip_reason: str | None = None
) -> None:
    """End an assignment in that state; not before what was worked on it, whatever the clock says."""
    check_step(ASSIGNMENT_STEPS, AssignmentState(row.state), state)
    closed = max(now, row.leased_ms + row.active_ms)
    connection.execute(
        update(assignment)
        .where(assignment.c.id == row.id)
        .values(state=state.value, closed_ms=closed, skip_reason=skip_reason)
    )
    if state.has_judgment and row.purpose not in NOT_COUNTED:
        count(connection, row.project_id, Kind.PERSON, row.user_id)
        count(connection, row.project_id, Kind.ACTIVE, row.user_id, row.active_ms)


def come_back(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    """The assignment by which an item came back to the annotator who had lost it, locked, if it did.

    A repeat is no such coming back: it is a judgment of its own, beside the first.
    """
    same = assignment.c.purpose
    return connection.execute(
        select(assignment)
        .where(
            assignment.c.item_id == row.item_id,
            assignment.c.user_id == row.user_id,
            assignment.c.state.not_in(GIVEN_UP),
            same == Purpose.REPEAT.value if row.purpose == Purpose.REPEAT else same.not_in(SECOND_LOOK),
        )
        .with_for_update(key_share=True)
    ).first()


def came_back_as(connection: Connection, lost_id: str, taken_id: str) -> bool:
    """Whether work of an assignment that was given up belongs to the other, as which its item came back."""
    lost = connection.execute(select(assignment).where(assignment.c.id == lost_id)).one()
    if lost.state not in GIVEN_UP or lost.purpose in NOT_COUNTED:
        return False
    taken = come_back(connection, lost)
    return taken is not None and taken.id == taken_id


def order_before(connection: Connection, item_id: str, user_id: str) -> tuple[int, ...] | None:
    """The order in which an annotator saw an item before he lost it; none where it is new to him.

    An item that comes back looks as it did, so that what he said of it means the same under either lease.
    """
    presentation = connection.execute(
        select(assignment.c.presentation)
        .where(
            assignment.c.item_id == item_id,
            assignment.c.user_id == user_id,
            assignment.c.state.in_(GIVEN_UP),
            assignment.c.purpose.not_in(SECOND_LOOK),
        )
        .limit(1)
    ).scalar()
    return None if presentation is None else tuple(presentation["permutation"])


def adopt_screen(connection: Connection, row: Row[Any], seen: Row[Any]) -> None:
    """Let an assignment hold what was on screen, and under which versions, when the judgment was made that it
    now takes."""
    connection.execute(
        update(assignment)
        .where(assignment.c.id == row.id)
        .values(presentation=seen.presentation, schema_id=seen.schema_id, guideline_id=seen.guideline_id)
    )


def set_slot(connection: Connection, slot_id: str, old: SlotState, new: SlotState) -> bool:
    """Move a slot; says whether it was in the old state."""
    check_step(SLOT_STEPS, old, new)
    moved = connection.execute(
        update(slot)
        .where(slot.c.id == slot_id, slot.c.state == old.value)
        .values(state=new.value)
        .returning(slot.c.project_id, slot.c.required_skill)
    ).first()
    if moved is not None:
        move_slot(connection, moved, old, new)
    return moved is not None


def move_slot(connection: Connection, row: Any, old: SlotState, new: SlotState) -> None:
    """Count a slot as one of its new state; `row` has its project and the skill it asks for."""
    count_slot(connection, row.project_id, row.required_skill, old, -1)
    count_slot(connection, row.project_id, row.required_skill, new)


def freed(row: Row[Any]) -> SlotState:
    """What becomes of a slot given back: one that was made for one annotator alone is wanted no more."""
    return SlotState.CANCELLED if Purpose(row.purpose).is_for_one else SlotState.OPEN


def fill_slot(connection: Connection, slot_id: str, item_id: str, old: SlotState) -> ItemState:
    """Fill a slot if it is still in that state; the item's state, judged once it has all it asked for."""
    # Locked before its slot and before counting: of two who fill the last two, the second sees both filled.
    state = ItemState(
        connection.execute(
            select(item.c.state).where(item.c.id == item_id).with_for_update(key_share=True)
        ).scalar_one()
    )
    set_slot(connection, slot_id, old, SlotState.FILLED)
    wanted = exists().where(slot.c.item_id == item_id, slot.c.state.in_(WANTED), slot.c.purpose.not_in(ASIDE))
    # The same statement whether the item waits or not: how long this takes does not tell what it is.
    project_id = connection.execute(
        update(item)
        .where(item.c.id == item_id, item.c.state == state.value, item.c.state.in_(WAITING), ~wanted)
        .values(state=ItemState.JUDGED.value)
        .returning(item.c.project_id)
    ).scalar()
    if project_id is None:
        return state
    count(connection, project_id, Kind.ITEM, check_step(ITEM_STEPS, state, ItemState.JUDGED))
    count(connection, project_id, Kind.ITEM, state, -1)
    return ItemState.JUDGED


def cancel_slots(connection: Connection, item_id: str, *, purpose: Purpose | None = None) -> None:
    """Ask for nothing more of an item; what is in somebody's hands still is taken, as surplus."""
    is_meant = slot.c.purpose == purpose.value if purpose is not None else slot.c.purpose.is_not(None)
    cancelled = connection.execute(
        update(slot)
        .where(slot.c.item_id == item_id, slot.c.state == SlotState.OPEN.value, is_meant)
        .values(state=check_step(SLOT_STEPS, SlotState.OPEN, SlotState.CANCELLED).value)
        .returning(slot.c.project_id, slot.c.required_skill)
    ).all()
    for row in cancelled:
        move_slot(connection, row, SlotState.OPEN, SlotState.CANCELLED)


def set_item(connection: Connection, item_id: str, old: ItemState, new: ItemState) -> None:
    """Move an item that is in the old state."""
    check_step(ITEM_STEPS, old, new)
    project_id = connection.execute(
        update(item)
        .where(item.c.id == item_id, item.c.state == old.value)
        .values(state=new.value)
        .returning(item.c.project_id)
    ).scalar()
    if project_id is not None:
        count(connection, project_id, Kind.ITEM, old, -1)
        count(connection, project_id, Kind.ITEM, new)


def entry(
    now: int,
    actor: str,
    action: str,
    entity: str,
    entity_id: str,
    facts: Mapping[str, Any],
    *,
    stream: str | None = None,
) -> Event:
    """An event of the chain; of a judgment with the project in whose stream it is read."""
    kind: dict[str, Any] = {"actor": actor, "action": action, "entity": entity, "entity_id": entity_id}
    return Event(at_ms=now, facts=facts, stream=stream, **kind)
