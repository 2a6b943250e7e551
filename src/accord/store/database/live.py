"""Turns of conversations with live models: what somebody said, and the piece of work its answers become.

What was said is written down before any model is asked. Its answers become an item of their own, leased at
once to who asked, in an order drawn for him: from there on a turn is judged like anything else. Turns belong
to the person and the conversation, not to a lease, so that one that ran out loses none. Leaves out the
models and what is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from accord.domain.errors import LeaseLost, StoreError
from accord.store.database.audit import append_events
from accord.store.database.live_tables import live_turn
from accord.store.database.projects import hash_of, keep_content
from accord.store.database.queue import WorkQueue, held_assignment
from accord.store.database.slots import entry, is_held
from accord.store.database.states import AssignmentState, ItemState, Lane, Purpose, SlotState
from accord.store.database.tables import assignment, item, slot
from accord.store.database.tally import Kind, count, count_slot

STAGE = "turn"
"""Where turns stand: in no workflow. Whoever was in the conversation judges them, nobody else."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One thing said, and what became of it."""

    id: str
    conversation_id: str
    """The item that the conversation is about."""
    user_id: str
    project_id: str
    number: int
    """From 1."""
    text: str
    n_failures: int
    """How often the models did not answer; counted against nobody."""
    item_id: str | None
    """The item of its answers, once they are there."""
    assignment_id: str | None
    state: AssignmentState | None
    """Of that assignment."""

    @property
    def is_answered(self) -> bool:
        """True where there are answers to judge."""
        return self.item_id is not None

    @property
    def is_settled(self) -> bool:
        """True where the answers were judged, or gone on from without a judgment."""
        return self.state is not None and (self.state.has_judgment or self.state is AssignmentState.SKIPPED)


@dataclass(frozen=True)
class LiveTurns:
    """Keeps turns."""

    queue: WorkQueue

    def of(self, conversation_id: str, user_id: str) -> list[Turn]:
        """What somebody said in a conversation so far, in order."""
        with self.queue.database.read() as connection:
            return _turns(connection, conversation_id, user_id)

    def say(self, assignment_id: str, lease_token: str, key: str, text: str, *, most: int) -> Turn:
        """Write down what is said next; the same key is the same turn, however often it comes.

        Raises `LeaseLost` for a conversation in other hands, `StoreError` while the turn before waits for
        its answers or its judgment, or after `most` turns.
        """
        now = self.queue.now_ms()
        with self.queue.database.write() as connection:
            row = held_assignment(connection, assignment_id, lease_token)
            said = _turns(connection, row.item_id, row.user_id)
            known = connection.execute(
                select(live_turn.c.id).where(live_turn.c.user_id == row.user_id, live_turn.c.key == key)
            ).scalar()
            if known is not None:
                found = next((one for one in said if one.id == known), None)
                if found is None:
                    raise StoreError(f"the key {key!r} was used in another conversation; make a new one")
                return found
            if not AssignmentState(row.state).is_live:
                raise LeaseLost(f"assignment {assignment_id} is {row.state}; ask for the next piece of work")
            _check_next(said, most)
            new_id, number = self.queue.ids.new(), len(said) + 1
            connection.execute(
                insert(live_turn).values(
                    id=new_id,
                    conversation_id=row.item_id,
                    user_id=row.user_id,
                    project_id=row.project_id,
                    number=number,
                    text=text,
                    key=key,
                    said_ms=now,
                    n_failures=0,
                    failure="",
                )
            )
            self._extend(connection, assignment_id, now)
            facts = {"conversation": row.item_id, "number": number}
            append_events(connection, [entry(now, row.user_id, "say", "live_turn", new_id, facts)])
            return _turns(connection, row.item_id, row.user_id)[-1]

    def fail(self, turn_id: str, reason: str) -> None:
        """Note that the models did not answer; `reason` is for the lead, never for who asked."""
        now = self.queue.now_ms()
        with self.queue.database.write() as connection:
            changed = connection.execute(
                update(live_turn)
                .where(live_turn.c.id == turn_id, live_turn.c.item_id.is_(None))
                .values(n_failures=live_turn.c.n_failures + 1, failure=reason[:300])
            )
            if changed.rowcount:
                append_events(connection, [entry(now, "models", "fail", "live_turn", turn_id, {})])

    def answer(
        self, turn_id: str, content: Mapping[str, Any], *, schema_id: str, guideline_id: str | None
    ) -> str:
        """Make the answers a piece of work in the hands of who asked; the assignment's id.

        Of two who answer one turn the first counts: what he made is what is shown.
        """
        now, ids = self.queue.now_ms(), self.queue.ids
        body_hash, item_id, slot_id = hash_of(content), ids.new(), ids.new()
        with self.queue.database.write() as connection:
            said = connection.execute(
                select(live_turn).where(live_turn.c.id == turn_id).with_for_update()
            ).one()
            if said.assignment_id is not None:
                return str(said.assignment_id)
            keep_content(connection, {body_hash: dict(content)})
            connection.execute(
                insert(item).values(
                    id=item_id,
                    project_id=said.project_id,
                    content_hash=body_hash,
                    n_candidates=len(content["candidates"]),
                    state=ItemState.QUEUED.value,
                    priority=0,
                    created_ms=now,
                    stage=STAGE,
                )
            )
            connection.execute(
                insert(slot).values(
                    id=slot_id,
                    item_id=item_id,
                    project_id=said.project_id,
                    number=0,
                    purpose=Purpose.TURN.value,
                    priority=0,
                    state=SlotState.OPEN.value,
                    lane=Lane.LIVE.value,
                )
            )
            count(connection, said.project_id, Kind.ITEM, ItemState.QUEUED)
            count_slot(connection, said.project_id, None, SlotState.OPEN)
            free = connection.execute(select(slot).where(slot.c.id == slot_id)).one()
            versions = {"schema": schema_id, **({"guideline": guideline_id} if guideline_id else {})}
            made, leased = self.queue.lease(connection, free, None, said.user_id, now, versions)
            connection.execute(
                update(live_turn)
                .where(live_turn.c.id == turn_id)
                .values(item_id=item_id, assignment_id=made.id, failure="")
            )
            added = entry(now, "models", "add", "item", item_id, {"hash": body_hash, "turn": turn_id})
            append_events(connection, [added, leased])
        return made.id

    def keep_alive(self, turn_assignment_id: str) -> None:
        """Begin the lease of the conversation anew, for somebody works on one of its turns."""
        now = self.queue.now_ms()
        with self.queue.database.write() as connection:
            said = connection.execute(
                select(live_turn).where(live_turn.c.assignment_id == turn_assignment_id)
            ).first()
            if said is None:
                return
            held = connection.execute(
                select(assignment.c.id).where(
                    assignment.c.item_id == said.conversation_id,
                    assignment.c.user_id == said.user_id,
                    is_held(),
                )
            ).scalar()
            if held is not None:
                self._extend(connection, held, now)

    def _extend(self, connection: Connection, assignment_id: str, now: int) -> None:
        until = now + int(self.queue.config.lease_s * 1000)
        connection.execute(
            update(assignment).where(assignment.c.id == assignment_id).values(lease_until_ms=until)
        )


def _check_next(said: list[Turn], most: int) -> None:
    if said and not said[-1].is_answered:
        raise StoreError("what was said last has no answer yet; ask for it again")
    if said and not said[-1].is_settled:
        raise StoreError("say first which answer is better, or skip the question")
    if len(said) >= most:
        raise StoreError(f"this conversation has {most} turns, as many as it may have; finish it")


def _turns(connection: Connection, conversation_id: str, user_id: str) -> list[Turn]:
    rows = connection.execute(
        select(live_turn, assignment.c.state)
        .outerjoin(assignment, assignment.c.id == live_turn.c.assignment_id)
        .where(live_turn.c.conversation_id == conversation_id, live_turn.c.user_id == user_id)
        .order_by(live_turn.c.number)
    ).all()
    return [_turn(row) for row in rows]


def _turn(row: Row[Any]) -> Turn:
    return Turn(
        id=row.id,
        conversation_id=row.conversation_id,
        user_id=row.user_id,
        project_id=row.project_id,
        number=row.number,
        text=row.text,
        n_failures=row.n_failures,
        item_id=row.item_id,
        assignment_id=row.assignment_id,
        state=None if row.state is None else AssignmentState(row.state),
    )
