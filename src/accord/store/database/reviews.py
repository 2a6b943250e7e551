"""What reviewers and adjudicators write: verdicts on judgments, replacements, the last word on an item.

A review is a piece of work like any other, a slot and a lease, in a lane of its own; it is done when every
judgment it is about has a verdict. What a verdict takes back stays in the database and gets a mark. Leaves
out where the item goes then, which `follow` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from accord.domain.errors import LeaseLost, StoreError
from accord.store.database.audit import Event, append_events
from accord.store.database.queue import Done, Follow, WorkQueue, by_key, held_assignment
from accord.store.database.slots import close_assignment, entry, fill_slot
from accord.store.database.states import AssignmentState, Mark, Purpose, SlotState
from accord.store.database.tables import assignment, gold, item, judgment
from accord.store.database.workflow_tables import adjudication, mark, review


class Verdict(StrEnum):
    """What a reviewer makes of a judgment."""

    ACCEPT = "accept"
    FIX = "fix"
    REJECT_REQUEUE = "reject_requeue"
    REJECT_DROP = "reject_drop"

    @property
    def is_rejection(self) -> bool:
        """True where the judgment counts no more."""
        return self in (Verdict.REJECT_REQUEUE, Verdict.REJECT_DROP)


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """A verdict on one judgment and why."""

    verdict: Verdict
    reasons: Sequence[str] = ()
    note: str = ""
    key: str = ""
    """Of the replacement, where the verdict is to fix."""
    payload: Mapping[str, Any] | None = None
    """The replacement."""


@dataclass(frozen=True, kw_only=True)
class LastWord:
    """What an adjudicator decides, and why people differed."""

    cause: str
    note: str = ""
    rule: str = ""
    """The paragraph of the guideline it was decided by."""
    key: str = ""
    payload: Mapping[str, Any] | None = None
    """The answer; nothing where the item cannot be judged."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a review stands."""

    n_left: int
    """Judgments without a verdict."""
    replacement_id: str | None


def live_judgments(connection: Connection, item_id: str) -> list[Row[Any]]:
    """The last revision of each judgment of an item that counts as a vote and was not taken back."""
    later = judgment.alias("later")
    is_revised = (
        select(later.c.id)
        .where(later.c.assignment_id == judgment.c.assignment_id, later.c.revision > judgment.c.revision)
        .exists()
    )
    votes = [one.value for one in Purpose if one.is_vote]
    return list(
        connection.execute(
            select(judgment, assignment.c.active_ms, assignment.c.schema_id, assignment.c.leased_ms)
            .join(assignment, assignment.c.id == judgment.c.assignment_id)
            .where(judgment.c.item_id == item_id, assignment.c.purpose.in_(votes), ~is_revised)
            .where(func.coalesce(status_of(judgment.c.id), Mark.LIVE.value) == Mark.LIVE.value)
            .order_by(judgment.c.received_ms, judgment.c.id)
        ).all()
    )


def status_of(judgment_id: Any) -> Any:
    """The last mark of a judgment, as a subquery; nothing where it has none."""
    return (
        select(mark.c.status)
        .where(mark.c.judgment_id == judgment_id)
        .order_by(mark.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )


def mark_judgment(
    connection: Connection, judgment_id: str, status: Mark, actor: str, reason: str, now: int
) -> Event:
    """Say what a judgment counts for from now on."""
    newest = connection.execute(
        select(func.max(mark.c.number)).where(mark.c.judgment_id == judgment_id)
    ).scalar()
    values = {"status": status.value, "actor": actor, "reason": reason, "at_ms": now}
    connection.execute(insert(mark).values(judgment_id=judgment_id, number=(newest or 0) + 1, **values))
    return entry(now, actor, "mark", "judgment", judgment_id, {"status": status.value, "reason": reason})


@dataclass(frozen=True)
class Reviews:
    """Takes reviews and adjudications; `follow` moves the item on when one is done."""

    queue: WorkQueue
    follow: Follow

    def give(
        self, assignment_id: str, lease_token: str, user_id: str, judgment_id: str, opinion: Opinion
    ) -> Progress:
        """A verdict on one judgment; the same one twice is one. With the last of them the review is done.

        Raises `LeaseLost` where the review is no longer this reviewer's.
        """
        now = self.queue.now_ms()
        with self.queue.database.write() as connection:
            row = self._mine(connection, assignment_id, lease_token, user_id, Purpose.REVIEW)
            known = connection.execute(
                select(review).where(
                    review.c.assignment_id == assignment_id, review.c.judgment_id == judgment_id
                )
            ).first()
            if known is not None:
                if known.verdict != opinion.verdict:
                    raise StoreError(f"this judgment was reviewed already: {known.verdict}")
                left = 0 if not AssignmentState(row.state).is_live else self._n_left(connection, row)
                return Progress(n_left=left, replacement_id=known.replacement_id)
            _check_live(row)
            said = next(
                (one for one in live_judgments(connection, row.item_id) if one.id == judgment_id), None
            )
            if said is None:
                raise StoreError(f"judgment {judgment_id!r} is not under review here, or was revised since")
            events: list[Event] = []
            replacement_id = None
            if opinion.verdict is Verdict.FIX:
                replacement_id, events = self._replace(connection, row, opinion, now)
            new_id = self.queue.ids.new()
            connection.execute(
                insert(review).values(
                    id=new_id,
                    judgment_id=judgment_id,
                    author_id=said.user_id,
                    reviewer_id=user_id,
                    assignment_id=assignment_id,
                    item_id=row.item_id,
                    verdict=opinion.verdict.value,
                    reasons=list(opinion.reasons),
                    note=opinion.note,
                    replacement_id=replacement_id,
                    at_ms=now,
                )
            )
            facts = {"judgment": judgment_id, "verdict": opinion.verdict.value}
            events.append(entry(now, user_id, "review", "review", new_id, facts))
            if opinion.verdict is not Verdict.ACCEPT:
                status = Mark.VOID if opinion.verdict.is_rejection else Mark.SUPERSEDED
                reason = ", ".join(opinion.reasons)
                events.append(mark_judgment(connection, judgment_id, status, user_id, reason, now))
            n_left = self._n_left(connection, row)
            if not n_left:
                events += self._finish(connection, row, replacement_id or "", now)
            append_events(connection, events)
        return Progress(n_left=n_left, replacement_id=replacement_id)

    def decide(self, assignment_id: str, lease_token: str, user_id: str, word: LastWord) -> str | None:
        """The last word on an item; the id of its judgment, nothing where the item cannot be judged."""
        now = self.queue.now_ms()
        with self.queue.database.write() as connection:
            row = self._mine(connection, assignment_id, lease_token, user_id, Purpose.ADJUDICATE)
            known = connection.execute(
                select(adjudication).where(adjudication.c.assignment_id == assignment_id)
            ).first()
            if known is not None:
                return None if known.judgment_id is None else str(known.judgment_id)
            _check_live(row)
            events, judgment_id = [], None
            if word.payload is not None:
                receipt, event = self.queue.record(
                    connection, row, word.key, word.payload, now, is_late=False
                )
                judgment_id, events = receipt.judgment_id, [event]
            new_id = self.queue.ids.new()
            connection.execute(
                insert(adjudication).values(
                    id=new_id,
                    item_id=row.item_id,
                    assignment_id=assignment_id,
                    judgment_id=judgment_id,
                    adjudicator_id=user_id,
                    cause=word.cause,
                    note=word.note,
                    rule=word.rule,
                    at_ms=now,
                )
            )
            facts = {"item": row.item_id, "cause": word.cause}
            events.append(entry(now, user_id, "decide", "adjudication", new_id, facts))
            events += self._finish(connection, row, judgment_id or "", now)
            append_events(connection, events)
        return judgment_id

    def _mine(
        self, connection: Connection, assignment_id: str, lease_token: str, user_id: str, purpose: Purpose
    ) -> Row[Any]:
        row = held_assignment(connection, assignment_id, lease_token)
        if row.user_id != user_id or row.purpose != purpose:
            raise LeaseLost(f"there is no such {purpose} of yours: {assignment_id!r}")
        return row

    def _n_left(self, connection: Connection, row: Row[Any]) -> int:
        """Judgments still live that have no verdict in this review."""
        done = set(
            connection.execute(select(review.c.judgment_id).where(review.c.assignment_id == row.id)).scalars()
        )
        return sum(one.id not in done for one in live_judgments(connection, row.item_id))

    def _replace(
        self, connection: Connection, row: Row[Any], opinion: Opinion, now: int
    ) -> tuple[str, list[Event]]:
        if opinion.payload is None or not opinion.key:
            raise StoreError("a fix needs the answers that are to stand instead, and a key")
        known = by_key(connection, row.user_id, opinion.key, row.id)
        if known is not None:
            return known.judgment_id, []
        receipt, event = self.queue.record(connection, row, opinion.key, opinion.payload, now, is_late=False)
        return receipt.judgment_id, [event]

    def _finish(self, connection: Connection, row: Row[Any], judgment_id: str, now: int) -> list[Event]:
        close_assignment(connection, row, AssignmentState.SUBMITTED, now)
        state = fill_slot(connection, row.slot_id, row.item_id, SlotState.LEASED)
        done = Done(
            judgment_id=judgment_id, assignment=row, payload={}, revision=0, item_state=state, now_ms=now
        )
        return self.follow(connection, done)


def make_gold(
    connection: Connection,
    item_id: str,
    expected: Mapping[str, Any],
    *,
    actor: str,
    explanation: str,
    tier: str,
    exposure_cap: int | None,
    now: int,
) -> list[Event]:
    """Let an item that was decided be a known one from now on; one that is already stays as it is."""
    row = connection.execute(select(item).where(item.c.id == item_id)).one()
    known = connection.execute(select(gold.c.item_id).where(gold.c.item_id == item_id)).scalar()
    if known is not None:
        return []
    connection.execute(
        insert(gold).values(
            item_id=item_id,
            project_id=row.project_id,
            expected=dict(expected),
            explanation=explanation,
            tier=tier,
            exposure_cap=exposure_cap,
        )
    )
    return [entry(now, actor, "add", "gold", item_id, {"tier": tier})]


def _check_live(row: Row[Any]) -> None:
    state = AssignmentState(row.state)
    if not state.is_live:
        raise LeaseLost(f"assignment {row.id} is {state}; ask for the next piece of work")
