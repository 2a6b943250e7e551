"""The work queue: who judges what next, and what comes of it.

Capacity is a row. A claim takes an open slot and makes an assignment, a lease with a token: whoever has lost
the lease cannot write through it, but what he did is kept, as a late judgment. Every function is one
transaction that ends with its events. Leaves out who may call it and what a judgment means.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import LeaseLost, StoreError
from accord.domain.ids import IdSource, TimeOrderedIds
from accord.store.database.audit import Event, append_events
from accord.store.database.engine import Database
from accord.store.database.states import (
    ASSIGNMENT_STEPS,
    ITEM_STEPS,
    SLOT_STEPS,
    AssignmentState,
    ItemState,
    Purpose,
    SlotState,
    check_step,
)
from accord.store.database.tables import assignment, content, definition, gold, item, judgment, slot, user

LIVE = [state.value for state in AssignmentState if state.is_live]
GIVEN_UP = [AssignmentState.EXPIRED.value, AssignmentState.RELEASED.value]
EXPIRED_AT_A_TIME = 100
"""Leases that ran out and are taken back by one claim."""


@dataclass(frozen=True, kw_only=True)
class QueueConfig:
    """How long work stays in somebody's hands."""

    lease_s: float = 900.0
    """A lease ends so long after it was taken or last extended."""
    gold_rate: float = 0.05
    """Share of work that is a known item the annotator has not met, while there are such items."""

    def __post_init__(self) -> None:
        if not 0 <= self.gold_rate < 1:
            raise StoreError(f"gold_rate is {self.gold_rate}; expected from 0 to below 1")
        if not self.lease_s > 0:
            raise StoreError(f"lease_s is {self.lease_s}; expected more than 0")


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A piece of work as its annotator gets it: nothing in it tells gold from other items."""

    id: str
    item_id: str
    lease_token: str
    """Needed for everything that is done with the assignment."""
    lease_until_ms: int
    content: Mapping[str, Any]
    permutation: tuple[int, ...]
    """[place on screen] Which candidate stands there."""
    schema_id: str | None
    guideline_id: str | None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of a submission; the same for every repetition of it."""

    judgment_id: str
    revision: int
    is_late: bool
    received_ms: int


@dataclass(frozen=True)
class WorkQueue:
    """Hands out slots and takes judgments."""

    database: Database
    clock: Clock
    ids: IdSource
    config: QueueConfig = QueueConfig()  # frozen, without state

    @classmethod
    def of(cls, database: Database, config: QueueConfig | None = None) -> "WorkQueue":
        """With the machine's own clock and ids ordered by time."""
        return cls(database, SystemClock(), TimeOrderedIds(), config or QueueConfig())

    def claim(self, project_id: str, user_id: str, *, count: int = 1) -> list[Assignment]:
        """Up to `count` pieces of work that this annotator may do and has not done, most urgent first."""
        now = self._now_ms()
        with self.database.write() as connection:
            events = _expire_overdue(connection, project_id, now)
            # Locked, so that two tabs of one annotator do not reach for two slots of one item.
            skills = connection.execute(
                select(user.c.skills).where(user.c.id == user_id).with_for_update(key_share=True)
            ).scalar()
            if skills is None:
                raise StoreError(f"there is no user {user_id!r}")
            taken: list[Assignment] = []
            for _ in range(count):
                free = connection.execute(_next_slot(project_id, user_id, list(skills))).first()
                if free is None:
                    break
                known = self._gold_slot(connection, project_id, user_id)
                if known is not None:
                    free = known
                made, entry = self._lease(connection, free, user_id, now)
                taken.append(made)
                events.append(entry)
            append_events(connection, events)
        return taken

    def claim_item(self, item_id: str, user_id: str, permutation: Sequence[int]) -> Assignment:
        """An open slot of one item, for answers that this user has seen already, in that order.

        For pages that show answers before there is an item, such as a chat: what stood on screen is stored
        as it was. Asks for no skill. Raises `StoreError` where no slot is open.
        """
        now = self._now_ms()
        with self.database.write() as connection:
            free = connection.execute(
                select(slot)
                .where(slot.c.item_id == item_id, slot.c.state == SlotState.OPEN.value)
                .order_by(slot.c.number)
                .limit(1)
                .with_for_update(key_share=True)
            ).first()
            if free is None:
                raise StoreError(f"item {item_id} has no open slot")
            made, entry = self._lease(connection, free, user_id, now, permutation=tuple(permutation))
            append_events(connection, [entry])
        return made

    def open(self, assignment_id: str, lease_token: str) -> None:
        """Note that the work is on screen now; the lease begins anew. Opening twice is opening once."""
        self._touch(assignment_id, lease_token, "open")

    def extend(self, assignment_id: str, lease_token: str, *, active_ms: int = 0) -> None:
        """Begin the lease anew, and add time that was worked; never more than passed since it was leased."""
        self._touch(assignment_id, lease_token, "extend", active_ms=active_ms)

    def release(self, assignment_id: str, lease_token: str) -> None:
        """Give work back unseen, or because something failed: no mark against anybody."""
        self._give_back(assignment_id, lease_token, AssignmentState.RELEASED, None)

    def skip(self, assignment_id: str, lease_token: str, reason: str) -> None:
        """Give work back for a reason; the annotator does not get this item again."""
        if not reason:
            raise StoreError("a skip needs a reason")
        self._give_back(assignment_id, lease_token, AssignmentState.SKIPPED, reason)

    def submit(self, assignment_id: str, lease_token: str, key: str, payload: Mapping[str, Any]) -> Receipt:
        """Take a judgment. The same key is the same judgment, however often it comes.

        A judgment that comes after its lease was lost is taken as late: it fills a slot that is still
        open, or counts on top. Raises `LeaseLost` for a token that was never this assignment's.
        """
        now = self._now_ms()
        try:
            with self.database.write() as connection:
                return self._submit(connection, assignment_id, lease_token, key, payload, now)
        except IntegrityError:
            # Another worker took the same submission between our look and our write.
            with self.database.read() as connection:
                row = _assignment(connection, assignment_id, lease_token)
                known = _by_key(connection, row.user_id, key, assignment_id)
            if known is None:
                raise
            return known

    def revise(self, judgment_id: str, user_id: str, key: str, payload: Mapping[str, Any]) -> Receipt:
        """A further revision of an own judgment; the earlier ones stay."""
        now = self._now_ms()
        with self.database.write() as connection:
            old = connection.execute(select(judgment).where(judgment.c.id == judgment_id)).first()
            if old is None or old.user_id != user_id:
                raise StoreError(f"there is no judgment {judgment_id!r} of this user")
            known = _by_key(connection, user_id, key, old.assignment_id)
            if known is not None:
                return known
            row = connection.execute(
                select(assignment).where(assignment.c.id == old.assignment_id).with_for_update()
            ).one()
            receipt, entry = self._write_judgment(connection, row, key, payload, now, is_late=old.is_late)
            append_events(connection, [entry])
        return receipt

    def add_slots(
        self, item_id: str, count: int, *, purpose: str = "extra", only_judged: bool = False
    ) -> bool:
        """Ask for further judgments of an item; with `only_judged` not where some are still wanted.

        Says whether it did: of two who ask at once for the same reason only one does.
        """
        now = self._now_ms()
        with self.database.write() as connection:
            row = connection.execute(
                select(item).where(item.c.id == item_id).with_for_update(key_share=True)
            ).first()
            if row is None:
                raise StoreError(f"there is no item {item_id!r}")
            if only_judged and row.state != ItemState.JUDGED:
                return False
            first = connection.execute(
                select(func.count()).select_from(slot).where(slot.c.item_id == item_id)
            ).scalar_one()
            rows = [
                {
                    "id": self.ids.new(),
                    "item_id": item_id,
                    "project_id": row.project_id,
                    "number": first + k,
                    "purpose": purpose,
                    "required_skill": None,
                    "priority": row.priority,
                    "state": SlotState.OPEN.value,
                }
                for k in range(count)
            ]
            connection.execute(insert(slot), rows)
            if row.state == ItemState.JUDGED:
                _set_item(connection, row.id, ItemState(row.state), ItemState.IN_PROGRESS)
            append_events(connection, [_event(now, "queue", "extend", "item", item_id, {"slots": count})])
        return True

    def expire(self, project_id: str) -> int:
        """Take back leases that ran out; how many they were."""
        now = self._now_ms()
        with self.database.write() as connection:
            events = _expire_overdue(connection, project_id, now)
            append_events(connection, events)
        return len(events)

    def _gold_slot(self, connection: Connection, project_id: str, user_id: str) -> Row[Any] | None:
        """A new slot of a known item for this annotator, where one is due.

        Due is drawn from the annotator and how much he has had, so that no two tabs or retries shift the
        rate, and nobody can tell from the page when. Each annotator meets a known item once.
        """
        if not self.config.gold_rate:
            return None
        n_had = connection.execute(
            select(func.count()).select_from(assignment).where(
                assignment.c.user_id == user_id, assignment.c.project_id == project_id
            )
        ).scalar_one()  # fmt: skip
        if random.Random(f"gold {project_id} {user_id} {n_had}").random() >= self.config.gold_rate:
            return None
        met = exists().where(assignment.c.item_id == item.c.id, assignment.c.user_id == user_id)
        row = connection.execute(
            select(item.c.id, item.c.project_id, item.c.priority)
            .join(gold, gold.c.item_id == item.c.id)
            .where(gold.c.project_id == project_id, item.c.state != ItemState.WITHDRAWN.value, ~met)
            .order_by(item.c.id)
            .limit(1)
            .with_for_update(of=item, key_share=True)
        ).first()
        if row is None:
            return None
        new_id = self.ids.new()
        number = connection.execute(
            select(func.count()).select_from(slot).where(slot.c.item_id == row.id)
        ).scalar_one()
        connection.execute(
            insert(slot).values(
                id=new_id,
                item_id=row.id,
                project_id=row.project_id,
                number=number,
                purpose=Purpose.GOLD.value,
                required_skill=None,
                priority=row.priority,
                state=SlotState.OPEN.value,
            )
        )
        return connection.execute(select(slot).where(slot.c.id == new_id)).one()

    def _lease(
        self,
        connection: Connection,
        free: Row[Any],
        user_id: str,
        now: int,
        *,
        permutation: tuple[int, ...] | None = None,
    ) -> tuple[Assignment, Event]:
        check_step(SLOT_STEPS, SlotState.OPEN, SlotState.LEASED)
        connection.execute(update(slot).where(slot.c.id == free.id).values(state=SlotState.LEASED.value))
        shown = connection.execute(
            select(content.c.body, item.c.n_candidates, item.c.state)
            .join(item, item.c.content_hash == content.c.hash)
            .where(item.c.id == free.item_id)
        ).one()
        if shown.state == ItemState.QUEUED:
            _set_item(connection, free.item_id, ItemState.QUEUED, ItemState.IN_PROGRESS)
        new_id, token = self.ids.new(), self.ids.new()
        if permutation is None:
            permutation = draw_permutation(new_id, shown.n_candidates)
        elif sorted(permutation) != list(range(shown.n_candidates)):
            raise StoreError(f"permutation {permutation} is none of {shown.n_candidates} candidates")
        versions = {
            kind: connection.execute(
                select(definition.c.id)
                .where(definition.c.project_id == free.project_id, definition.c.kind == kind)
                .order_by(definition.c.version.desc())
                .limit(1)
            ).scalar()
            for kind in ("schema", "guideline")
        }
        until = now + int(self.config.lease_s * 1000)
        connection.execute(
            insert(assignment).values(
                id=new_id,
                slot_id=free.id,
                item_id=free.item_id,
                user_id=user_id,
                project_id=free.project_id,
                purpose=free.purpose,
                state=AssignmentState.LEASED.value,
                lease_token=token,
                lease_until_ms=until,
                leased_ms=now,
                active_ms=0,
                presentation={"permutation": list(permutation)},
                schema_id=versions["schema"],
                guideline_id=versions["guideline"],
            )
        )
        made = Assignment(
            id=new_id,
            item_id=free.item_id,
            lease_token=token,
            lease_until_ms=until,
            content=shown.body,
            permutation=permutation,
            schema_id=versions["schema"],
            guideline_id=versions["guideline"],
        )
        return made, _event(now, user_id, "lease", "assignment", new_id, {"slot": free.id})

    def _touch(self, assignment_id: str, lease_token: str, action: str, *, active_ms: int = 0) -> None:
        now = self._now_ms()
        with self.database.write() as connection:
            row = _assignment(connection, assignment_id, lease_token, is_locked=True)
            state = AssignmentState(row.state)
            if not state.is_live:
                raise LeaseLost(f"assignment {assignment_id} is {state}; ask for the next piece of work")
            worked = min(row.active_ms + max(active_ms, 0), now - row.leased_ms)
            values = {"lease_until_ms": now + int(self.config.lease_s * 1000), "active_ms": worked}
            events = []
            if action == "open" and state is AssignmentState.LEASED:
                check_step(ASSIGNMENT_STEPS, state, AssignmentState.OPENED)
                values |= {"state": AssignmentState.OPENED.value, "opened_ms": now}
                events = [_event(now, row.user_id, "open", "assignment", assignment_id, {})]
            connection.execute(update(assignment).where(assignment.c.id == assignment_id).values(values))
            append_events(connection, events)

    def _give_back(
        self, assignment_id: str, lease_token: str, state: AssignmentState, reason: str | None
    ) -> None:
        now = self._now_ms()
        with self.database.write() as connection:
            row = _assignment(connection, assignment_id, lease_token, is_locked=True)
            old = AssignmentState(row.state)
            if old is state:
                return
            if not old.is_live:
                raise LeaseLost(f"assignment {assignment_id} is {old} already")
            _close(connection, row, state, now, skip_reason=reason)
            _set_slot(connection, row.slot_id, SlotState.LEASED, _freed(row))
            facts = {} if reason is None else {"reason": reason}
            append_events(connection, [_event(now, row.user_id, state, "assignment", row.id, facts)])

    def _submit(
        self,
        connection: Connection,
        assignment_id: str,
        lease_token: str,
        key: str,
        payload: Mapping[str, Any],
        now: int,
    ) -> Receipt:
        row = _assignment(connection, assignment_id, lease_token, is_locked=True)
        known = _by_key(connection, row.user_id, key, assignment_id)
        if known is not None:
            return known
        state = AssignmentState(row.state)
        if state.has_judgment or state is AssignmentState.SKIPPED:
            raise StoreError(f"assignment {assignment_id} is {state}; revise the judgment instead")
        if not state.is_live:
            # The item may have come back to the same annotator since: his work belongs to that assignment.
            other = connection.execute(
                select(assignment)
                .where(
                    assignment.c.item_id == row.item_id,
                    assignment.c.user_id == row.user_id,
                    assignment.c.state.not_in(GIVEN_UP),
                )
                .with_for_update()
            ).first()
            if other is not None and AssignmentState(other.state) is not AssignmentState.SKIPPED:
                row, state = other, AssignmentState(other.state)
        if state.is_live:
            _close(connection, row, AssignmentState.SUBMITTED, now)
            _fill(connection, row.slot_id, row.item_id, SlotState.LEASED)
        elif not state.has_judgment:
            _close(connection, row, AssignmentState.SUBMITTED_LATE, now)
            _fill(connection, row.slot_id, row.item_id, SlotState.OPEN)
        is_late = not state.is_live
        receipt, entry = self._write_judgment(connection, row, key, payload, now, is_late=is_late)
        append_events(connection, [entry])
        return receipt

    def _write_judgment(
        self,
        connection: Connection,
        row: Row[Any],
        key: str,
        payload: Mapping[str, Any],
        now: int,
        *,
        is_late: bool,
    ) -> tuple[Receipt, Event]:
        newest = connection.execute(
            select(func.max(judgment.c.revision)).where(judgment.c.assignment_id == row.id)
        ).scalar()
        source = connection.execute(select(user.c.source).where(user.c.id == row.user_id)).scalar_one()
        receipt = Receipt(
            judgment_id=self.ids.new(), revision=(newest or 0) + 1, is_late=is_late, received_ms=now
        )
        connection.execute(
            insert(judgment).values(
                id=receipt.judgment_id,
                assignment_id=row.id,
                item_id=row.item_id,
                user_id=row.user_id,
                revision=receipt.revision,
                key=key,
                payload=dict(payload),
                is_late=is_late,
                source=source,
                received_ms=now,
            )
        )
        facts = {"assignment": row.id, "revision": receipt.revision, "late": is_late}
        return receipt, _event(now, row.user_id, "submit", "judgment", receipt.judgment_id, facts)

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def draw_permutation(assignment_id: str, n_candidates: int) -> tuple[int, ...]:
    """[place on screen] Which candidate stands there: a uniform draw that follows from the id alone."""
    places = list(range(n_candidates))
    random.Random(assignment_id).shuffle(places)
    return tuple(places)


def _next_slot(project_id: str, user_id: str, skills: list[str]) -> Any:
    """The most urgent open slot of an item this annotator does not have; locked against other claims."""
    has_item = exists().where(
        assignment.c.item_id == slot.c.item_id,
        assignment.c.user_id == user_id,
        assignment.c.state.not_in(GIVEN_UP),
    )
    return (
        select(slot)
        .where(
            slot.c.project_id == project_id,
            slot.c.state == SlotState.OPEN.value,
            or_(slot.c.required_skill.is_(None), slot.c.required_skill.in_(skills)),
            ~has_item,
        )
        .order_by(slot.c.priority.desc(), slot.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _expire_overdue(connection: Connection, project_id: str, now: int) -> list[Event]:
    overdue = connection.execute(
        select(assignment)
        .where(
            assignment.c.project_id == project_id,
            assignment.c.state.in_(LIVE),
            assignment.c.lease_until_ms < now,
        )
        .limit(EXPIRED_AT_A_TIME)
        .with_for_update(skip_locked=True)
    ).all()
    events = []
    for row in overdue:
        _close(connection, row, AssignmentState.EXPIRED, now)
        _set_slot(connection, row.slot_id, SlotState.LEASED, _freed(row))
        events.append(_event(now, "queue", "expire", "assignment", row.id, {}))
    return events


def _assignment(
    connection: Connection, assignment_id: str, lease_token: str, *, is_locked: bool = False
) -> Row[Any]:
    query = select(assignment).where(assignment.c.id == assignment_id)
    row = connection.execute(query.with_for_update(key_share=True) if is_locked else query).first()
    if row is None or row.lease_token != lease_token:
        raise LeaseLost(f"there is no assignment {assignment_id!r} with this token")
    return row


def _by_key(connection: Connection, user_id: str, key: str, assignment_id: str) -> Receipt | None:
    """What was taken under this key; a key of another assignment is refused: its answers would be lost."""
    row = connection.execute(
        select(judgment).where(judgment.c.user_id == user_id, judgment.c.key == key)
    ).first()
    if row is None:
        return None
    if row.assignment_id != assignment_id:
        raise StoreError(f"the key {key!r} was used for another piece of work; make a new one for each")
    return Receipt(
        judgment_id=row.id, revision=row.revision, is_late=row.is_late, received_ms=row.received_ms
    )


def _close(
    connection: Connection, row: Row[Any], state: AssignmentState, now: int, *, skip_reason: str | None = None
) -> None:
    check_step(ASSIGNMENT_STEPS, AssignmentState(row.state), state)
    connection.execute(
        update(assignment)
        .where(assignment.c.id == row.id)
        .values(state=state.value, closed_ms=now, skip_reason=skip_reason)
    )


def _set_slot(connection: Connection, slot_id: str, old: SlotState, new: SlotState) -> bool:
    """Move a slot; says whether it was in the old state."""
    check_step(SLOT_STEPS, old, new)
    moved = connection.execute(
        update(slot).where(slot.c.id == slot_id, slot.c.state == old.value).values(state=new.value)
    )
    return moved.rowcount == 1


def _freed(row: Row[Any]) -> SlotState:
    """What becomes of a slot given back: one of a known item was made for one annotator alone."""
    return SlotState.CANCELLED if row.purpose == Purpose.GOLD else SlotState.OPEN


def _fill(connection: Connection, slot_id: str, item_id: str, old: SlotState) -> None:
    """Fill a slot if it is still in that state, and note when its item has all it asked for."""
    _set_slot(connection, slot_id, old, SlotState.FILLED)
    # Locked before counting, so that of two who fill the last two slots the second sees both filled.
    state = connection.execute(
        select(item.c.state).where(item.c.id == item_id).with_for_update(key_share=True)
    ).scalar_one()
    is_wanted = slot.c.state.in_([SlotState.OPEN.value, SlotState.LEASED.value])
    wanted = connection.execute(
        select(func.count()).select_from(slot).where(slot.c.item_id == item_id, is_wanted)
    ).scalar_one()
    if not wanted and ItemState(state) in (ItemState.QUEUED, ItemState.IN_PROGRESS):
        _set_item(connection, item_id, ItemState(state), ItemState.JUDGED)


def _set_item(connection: Connection, item_id: str, old: ItemState, new: ItemState) -> None:
    check_step(ITEM_STEPS, old, new)
    connection.execute(
        update(item).where(item.c.id == item_id, item.c.state == old.value).values(state=new.value)
    )


def _event(now: int, actor: str, action: str, entity: str, entity_id: str, facts: Mapping[str, Any]) -> Event:
    return Event(at_ms=now, actor=actor, action=action, entity=entity, entity_id=entity_id, facts=facts)
