"""The work queue: who judges what next, and what comes of it.

Capacity is a row. A claim takes an open slot and makes an assignment, a lease with a token: whoever has lost
the lease cannot write through it, but what he did is kept, as a late judgment. Every function is one
transaction that ends with its events. Leaves out who may call it and what a judgment means.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, select, update

from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import LeaseLost, StoreError
from accord.domain.ids import IdSource, TimeOrderedIds
from accord.store.database.audit import Event, append_events, seal_of
from accord.store.database.engine import Database
from accord.store.database.hidden import (
    DAY_MS,
    HeldSlot,
    Person,
    hidden_slot,
    join,
    tier_slot,
    visitor,
)
from accord.store.database.slots import (
    FOR_ONE,
    GIVEN_UP,
    adopt_screen,
    came_back_as,
    close_assignment,
    come_back,
    count_time,
    entry,
    expire_overdue,
    fill_slot,
    find_slot,
    freed,
    hold_user,
    is_held,
    make_slots,
    move_slot,
    order_before,
    set_item,
    set_slot,
)
from accord.store.database.states import (
    ASSIGNMENT_STEPS,
    SLOT_STEPS,
    AssignmentState,
    ItemState,
    Lane,
    Purpose,
    SlotState,
    check_step,
)
from accord.store.database.tables import assignment, content, definition, item, judgment, slot, user
from accord.store.database.tally import count_judgment
from accord.store.database.terms import QueueConfig, Terms
from accord.store.database.workflow_tables import standing

QUEUE = QueueConfig()


@dataclass(frozen=True, kw_only=True)
class Done:
    """A judgment that was just taken, for whoever goes on from it within the same transaction."""

    judgment_id: str
    assignment: Row[Any]
    payload: Mapping[str, Any]
    revision: int
    item_state: ItemState
    now_ms: int


Follow = Callable[[Connection, Done], list[Event]]
"""What comes of a judgment, in its transaction: it writes, and returns the events of what it wrote."""


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
    config: QueueConfig = QUEUE

    @classmethod
    def of(cls, database: Database, config: QueueConfig | None = None) -> "WorkQueue":
        """With the machine's own clock and ids ordered by time."""
        return cls(database, SystemClock(), TimeOrderedIds(), config or QueueConfig())

    def claim(
        self,
        project_id: str,
        user_id: str,
        *,
        count: int = 1,
        lane: Lane = Lane.LABEL,
        terms: Terms | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> list[Assignment]:
        """Up to `count` pieces of work that this person may do and has not done, most urgent first.

        `versions` are the newest definitions by kind, where the caller knows them already.
        """
        now, terms = self.now_ms(), terms or Terms()
        with self.database.write() as connection:
            skills = hold_user(connection, user_id).skills
            events = expire_overdue(connection, project_id, now)
            if lane is Lane.LABEL:
                person, joined = join(connection, user_id, project_id, terms.first_state, now)
                events += joined
            else:
                person = visitor(user_id, project_id, now)
            taken: list[Assignment] = []
            for _ in range(self._allowed(connection, person, count, terms)):
                found = self._next(connection, person, list(skills), lane, terms)
                if found is None:
                    break
                if versions is None:
                    versions = _newest_versions(connection, project_id)
                made, event = self.lease(connection, *found, user_id, now, versions)
                person.n_assigned += 1
                taken.append(made)
                events.append(event)
            if taken and lane is Lane.LABEL:
                person.keep(connection)
            append_events(connection, events)
        return taken

    def _allowed(self, connection: Connection, person: Person, count: int, terms: Terms) -> int:
        """How much of `count` the limits of a day leave; what he holds counts as done."""
        if terms.max_active_ms is not None and person.active_today_ms >= terms.max_active_ms:
            return 0
        if terms.max_per_day is None:
            return count
        held = connection.execute(
            select(func.count())
            .select_from(assignment)
            .where(
                assignment.c.project_id == person.project_id,
                assignment.c.user_id == person.user_id,
                is_held(),
            )
        ).scalar_one()
        return max(0, min(count, terms.max_per_day - person.n_today - held))

    def _next(
        self, connection: Connection, person: Person, skills: Sequence[str], lane: Lane, terms: Terms
    ) -> tuple[Row[Any] | HeldSlot, tuple[int, ...] | None] | None:
        """What this person gets next, and the order its answers stand in where that is not drawn."""
        if lane is not Lane.LABEL:
            free = find_slot(connection, person.project_id, person.user_id, skills, lane)
            return None if free is None else (free, None)
        if person.tier is not None:
            known = tier_slot(connection, self.ids, person, person.tier)
            return None if known is None else (known, None)
        if not person.state.is_at_work:
            return None
        free = find_slot(connection, person.project_id, person.user_id, skills)
        if free is None:
            return None
        base = self.config.gold_rate if terms.gold_rate is None else terms.gold_rate
        rate = self.config.repeat_rate if terms.repeat_rate is None else terms.repeat_rate
        hidden = hidden_slot(
            connection,
            self.ids,
            person,
            gold_share=base if person.gold_share is None or not base else person.gold_share,
            is_gold_left=person.gold_today < self.config.daily_gold_cap,
            repeat_rate=rate,
            gap=self.config.repeat_gap,
        )
        return (free, None) if hidden is None else hidden

    def claim_item(self, item_id: str, user_id: str, permutation: Sequence[int]) -> Assignment:
        """An open slot of one item, for answers that this user has seen already, in that order.

        For pages that show answers before there is an item, such as a chat: what stood on screen is stored
        as it was. Asks for no skill. Raises `StoreError` where no slot is open.
        """
        now = self.now_ms()
        with self.database.write() as connection:
            hold_user(connection, user_id)
            free = connection.execute(
                select(slot)
                .join(item, item.c.id == slot.c.item_id)
                .where(slot.c.item_id == item_id, slot.c.state == SlotState.OPEN.value)
                .order_by(slot.c.number)
                .limit(1)
                .with_for_update(of=[item, slot], key_share=True)
            ).first()
            if free is None:
                raise StoreError(f"item {item_id} has no open slot")
            versions = _newest_versions(connection, free.project_id)
            made, entry = self.lease(connection, free, tuple(permutation), user_id, now, versions)
            append_events(connection, [entry])
        return made

    def open(self, assignment_id: str, lease_token: str) -> None:
        """Note that the work is on screen now; the lease begins anew. Opening twice is opening once."""
        self._touch(assignment_id, lease_token, "open")

    def extend(self, assignment_id: str, lease_token: str, *, active_ms: int = 0) -> None:
        """Begin the lease anew, and add time that was worked; never more than passed, nor any of it twice."""
        self._touch(assignment_id, lease_token, "extend", active_ms=active_ms)

    def release(self, assignment_id: str, lease_token: str) -> None:
        """Give work back unseen, or because something failed: no mark against anybody."""
        self._give_back(assignment_id, lease_token, AssignmentState.RELEASED, None)

    def skip(self, assignment_id: str, lease_token: str, reason: str) -> None:
        """Give work back for a reason; the annotator does not get this item again."""
        if not reason:
            raise StoreError("a skip needs a reason")
        self._give_back(assignment_id, lease_token, AssignmentState.SKIPPED, reason)

    def submit(
        self,
        assignment_id: str,
        lease_token: str,
        key: str,
        payload: Mapping[str, Any],
        *,
        follow: Follow | None = None,
    ) -> Receipt:
        """Take a judgment. The same key is the same judgment, however often it comes.

        A judgment that comes after its lease was lost is taken as late: it fills a slot that is still
        open, or counts on top. Raises `LeaseLost` for a token that was never this assignment's.
        """
        now = self.now_ms()
        with self.database.write() as connection:
            return self._submit(connection, assignment_id, lease_token, key, payload, now, follow)

    def revise(
        self,
        judgment_id: str,
        user_id: str,
        key: str,
        payload: Mapping[str, Any],
        *,
        follow: Follow | None = None,
    ) -> Receipt:
        """A further revision of an own judgment; the earlier ones stay.

        Refused once somebody reviews or decides the item: he has read what is being changed.
        """
        now = self.now_ms()
        with self.database.write() as connection:
            old = connection.execute(select(judgment).where(judgment.c.id == judgment_id)).first()
            if old is None or old.user_id != user_id:
                raise StoreError(f"there is no judgment {judgment_id!r} of this user")
            hold_user(connection, user_id)
            known = by_key(connection, user_id, key, old.assignment_id)
            if known is not None:
                return known
            row = connection.execute(
                select(assignment).where(assignment.c.id == old.assignment_id).with_for_update()
            ).one()
            _refuse_settled(connection, row)
            receipt, event = self.record(connection, row, key, payload, now, is_late=old.is_late)
            state = connection.execute(select(item.c.state).where(item.c.id == row.item_id)).scalar_one()
            events = [event]
            if follow is not None:
                events += follow(connection, _done(row, receipt, payload, ItemState(state), now))
            append_events(connection, events)
        return receipt

    def add_slots(
        self, item_id: str, count: int, *, purpose: Purpose = Purpose.EXTRA, only_judged: bool = False
    ) -> bool:
        """Ask for further judgments of an item; with `only_judged` not where some are still wanted.

        Says whether it did: of two who ask at once for the same reason only one does.
        """
        now = self.now_ms()
        with self.database.write() as connection:
            row = connection.execute(
                select(item).where(item.c.id == item_id).with_for_update(key_share=True)
            ).first()
            if row is None:
                raise StoreError(f"there is no item {item_id!r}")
            if only_judged and row.state != ItemState.JUDGED:
                return False
            make_slots(connection, self.ids, row, count, purpose=purpose)
            if row.state == ItemState.JUDGED:
                set_item(connection, row.id, ItemState(row.state), ItemState.IN_PROGRESS)
            append_events(connection, [entry(now, "queue", "extend", "item", item_id, {"slots": count})])
        return True

    def expire(self, project_id: str) -> int:
        """Take back leases that ran out; how many they were."""
        now = self.now_ms()
        with self.database.write() as connection:
            events = expire_overdue(connection, project_id, now)
            append_events(connection, events)
        return len(events)

    def lease(
        self,
        connection: Connection,
        free: Row[Any] | HeldSlot,
        order: tuple[int, ...] | None,
        user_id: str,
        now: int,
        versions: Mapping[str, str],
    ) -> tuple[Assignment, Event]:
        """Put an open slot, or one made for him, into somebody's hands, inside the caller's transaction."""
        if free.state == SlotState.OPEN:
            check_step(SLOT_STEPS, SlotState.OPEN, SlotState.LEASED)
            connection.execute(update(slot).where(slot.c.id == free.id).values(state=SlotState.LEASED.value))
            move_slot(connection, free, SlotState.OPEN, SlotState.LEASED)
        shown = connection.execute(
            select(content.c.body, item.c.n_candidates)
            .join(item, item.c.content_hash == content.c.hash)
            .where(item.c.id == free.item_id)
        ).one()
        set_item(connection, free.item_id, ItemState.QUEUED, ItemState.IN_PROGRESS)  # if it is queued
        new_id, token = self.ids.new(), self.ids.new()
        before = order_before(connection, free.item_id, user_id)
        order = before if order is None else order
        permutation = draw_permutation(new_id, shown.n_candidates) if order is None else order
        if sorted(permutation) != list(range(shown.n_candidates)):
            raise StoreError(f"permutation {permutation} is none of {shown.n_candidates} candidates")
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
                schema_id=versions.get("schema"),
                guideline_id=versions.get("guideline"),
            )
        )
        made = Assignment(
            id=new_id,
            item_id=free.item_id,
            lease_token=token,
            lease_until_ms=until,
            content=shown.body,
            permutation=permutation,
            schema_id=versions.get("schema"),
            guideline_id=versions.get("guideline"),
        )
        return made, entry(now, user_id, "lease", "assignment", new_id, {"slot": free.id})

    def _touch(self, assignment_id: str, lease_token: str, action: str, *, active_ms: int = 0) -> None:
        now = self.now_ms()
        with self.database.write() as connection:
            row = held_assignment(connection, assignment_id, lease_token)
            state = AssignmentState(row.state)
            if not state.is_live:
                raise LeaseLost(f"assignment {assignment_id} is {state}; ask for the next piece of work")
            worked = count_time(connection, row, active_ms, now)
            values: dict[str, Any] = {
                "lease_until_ms": now + int(self.config.lease_s * 1000),
                "active_ms": worked,
            }
            events = []
            if action == "open" and state is AssignmentState.LEASED:
                check_step(ASSIGNMENT_STEPS, state, AssignmentState.OPENED)
                values |= {"state": AssignmentState.OPENED.value, "opened_ms": now}
                events = [entry(now, row.user_id, "open", "assignment", assignment_id, {})]
            connection.execute(update(assignment).where(assignment.c.id == assignment_id).values(values))
            append_events(connection, events)

    def _give_back(
        self, assignment_id: str, lease_token: str, state: AssignmentState, reason: str | None
    ) -> None:
        now = self.now_ms()
        with self.database.write() as connection:
            row = held_assignment(connection, assignment_id, lease_token)
            old = AssignmentState(row.state)
            if old is state:
                return
            if not old.is_live:
                raise LeaseLost(f"assignment {assignment_id} is {old} already")
            close_assignment(connection, row, state, now, skip_reason=reason)
            set_slot(connection, row.slot_id, SlotState.LEASED, freed(row))
            facts = {} if reason is None else {"reason": reason}
            append_events(connection, [entry(now, row.user_id, state, "assignment", row.id, facts)])

    def _submit(
        self,
        connection: Connection,
        assignment_id: str,
        lease_token: str,
        key: str,
        payload: Mapping[str, Any],
        now: int,
        follow: Follow | None,
    ) -> Receipt:
        row = held_assignment(connection, assignment_id, lease_token)
        known = by_key(connection, row.user_id, key, assignment_id)
        if known is not None:
            return known
        state = AssignmentState(row.state)
        if state.has_judgment or state is AssignmentState.SKIPPED:
            raise StoreError(f"assignment {assignment_id} is {state}; revise the judgment instead")
        if not state.is_live and row.purpose not in (Purpose.REVIEW, Purpose.ADJUDICATE):
            # The item may have come back to the same annotator since: his work belongs to that assignment.
            other = come_back(connection, row)
            if other is not None:
                shown_by, row, state = row, other, AssignmentState(other.state)
                if not state.has_judgment:
                    adopt_screen(connection, row, shown_by)
        item_state = None
        if state.is_live:
            close_assignment(connection, row, AssignmentState.SUBMITTED, now)
            item_state = fill_slot(connection, row.slot_id, row.item_id, SlotState.LEASED)
        elif not state.has_judgment:
            close_assignment(connection, row, AssignmentState.SUBMITTED_LATE, now)
            # A slot that was made for one annotator was cancelled when he lost it.
            is_gone = row.purpose in FOR_ONE
            item_state = None if is_gone else fill_slot(connection, row.slot_id, row.item_id, SlotState.OPEN)
        if item_state is None:
            found = connection.execute(select(item.c.state).where(item.c.id == row.item_id)).scalar_one()
            item_state = ItemState(found)
        receipt, event = self.record(connection, row, key, payload, now, is_late=not state.is_live)
        _count(connection, row, now)
        events = [event]
        if follow is not None:
            events += follow(connection, _done(row, receipt, payload, item_state, now))
        append_events(connection, events)
        return receipt

    def record(
        self,
        connection: Connection,
        row: Row[Any],
        key: str,
        payload: Mapping[str, Any],
        now: int,
        *,
        is_late: bool,
    ) -> tuple[Receipt, Event]:
        """Write a judgment of an assignment, inside the caller's transaction; the next revision of it."""
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
        count_judgment(connection, row.project_id, now)
        facts = {
            "assignment": row.id, "revision": receipt.revision, "late": is_late, "payload": seal_of(payload),
        }  # fmt: skip
        kind = ("submit", "judgment", receipt.judgment_id)
        return receipt, entry(now, row.user_id, *kind, facts, stream=row.project_id)

    def now_ms(self) -> int:
        """The time, in milliseconds since 1970 UTC."""
        return int(self.clock.now().timestamp() * 1000)


def draw_permutation(assignment_id: str, n_candidates: int) -> tuple[int, ...]:
    """[place on screen] Which candidate stands there: a uniform draw that follows from the id alone."""
    places = list(range(n_candidates))
    random.Random(assignment_id).shuffle(places)
    return tuple(places)


def held_assignment(connection: Connection, assignment_id: str, lease_token: str) -> Row[Any]:
    """An assignment by its id and token; raises `LeaseLost` where they do not belong together.

    Both are locked, the person first, as in a claim: an item cannot come back to somebody while his late
    judgment of it is taken.
    """
    row = connection.execute(
        select(assignment)
        .join(user, user.c.id == assignment.c.user_id)
        .where(assignment.c.id == assignment_id)
        .with_for_update(of=[user, assignment], key_share=True)
    ).first()
    if row is None or row.lease_token != lease_token:
        raise LeaseLost(f"there is no assignment {assignment_id!r} with this token")
    return row


def by_key(connection: Connection, user_id: str, key: str, assignment_id: str) -> Receipt | None:
    """What was taken under this key; a key of another assignment is refused: its answers would be lost."""
    row = connection.execute(
        select(judgment).where(judgment.c.user_id == user_id, judgment.c.key == key)
    ).first()
    if row is None:
        return None
    if assignment_id != row.assignment_id and not came_back_as(connection, assignment_id, row.assignment_id):
        raise StoreError(f"the key {key!r} was used for another piece of work; make a new one for each")
    return Receipt(
        judgment_id=row.id, revision=row.revision, is_late=row.is_late, received_ms=row.received_ms
    )


def _done(row: Row[Any], receipt: Receipt, payload: Mapping[str, Any], state: ItemState, now: int) -> Done:
    return Done(
        judgment_id=receipt.judgment_id,
        assignment=row,
        payload=payload,
        revision=receipt.revision,
        item_state=state,
        now_ms=now,
    )


def _count(connection: Connection, row: Row[Any], now: int) -> None:
    """Count a judgment and the time worked on it to its day."""
    place = (standing.c.user_id == row.user_id) & (standing.c.project_id == row.project_id)
    day = now // DAY_MS
    today = connection.execute(
        update(standing)
        .where(place, standing.c.day == day)
        .values(n_today=standing.c.n_today + 1, active_today_ms=standing.c.active_today_ms + row.active_ms)
    )
    if not today.rowcount:
        values = {"day": day, "n_today": 1, "gold_today": 0, "active_today_ms": row.active_ms}
        connection.execute(update(standing).where(place).values(values))


def _refuse_settled(connection: Connection, row: Row[Any]) -> None:
    """Raise where somebody reviews or decides, or did, what is to be revised."""
    read = exists().where(
        assignment.c.item_id == row.item_id,
        assignment.c.purpose.in_([Purpose.REVIEW.value, Purpose.ADJUDICATE.value]),
        assignment.c.state.not_in(GIVEN_UP),
    )
    is_second = row.purpose in (Purpose.REVIEW, Purpose.ADJUDICATE)
    if not is_second and connection.execute(select(read)).scalar():
        raise StoreError("the item is in review or was decided; what was said of it stays as it is")


def _newest_versions(connection: Connection, project_id: str) -> dict[str, str]:
    """Kind to the id of the newest definition of it."""
    rows = connection.execute(
        select(definition.c.kind, definition.c.id)
        .where(definition.c.project_id == project_id)
        .order_by(definition.c.version)
    ).all()
    return {row.kind: row.id for row in rows}
