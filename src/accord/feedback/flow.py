"""Moving items along their workflow, inside the transaction of what moved them.

An item that has all it was asked for is judged; here its stage says what came of it, the rules say where to,
and the next stage asks for what it needs. A crash leaves either all of it or nothing. Leaves out who asks.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, func, insert, select, update

from accord.domain.ids import IdSource
from accord.domain.judgments import Source
from accord.feedback.consensus import Vote, weigh
from accord.feedback.schema import TaskSchema
from accord.feedback.verdicts import verdict_of
from accord.feedback.workflow import (
    COMPLETE,
    DROP,
    AdjudicationStage,
    ConsensusStage,
    HoldStage,
    LabelStage,
    ReviewStage,
    Stage,
    WebhookStage,
    Workflow,
    parse_workflow,
)
from accord.store.database.audit import Event
from accord.store.database.engine import taken_back
from accord.store.database.queue import Done
from accord.store.database.reviews import status_of
from accord.store.database.slots import cancel_slots, entry, make_slots, set_item
from accord.store.database.states import ItemState, Lane, Mark, Purpose
from accord.store.database.tables import assignment, content, definition, gold, item, judgment, slot
from accord.store.database.workflow_tables import adjudication, outbox, review, stage_run, standing

VOTES = [one.value for one in Purpose if one.is_vote]
HIDDEN = (Purpose.GOLD, Purpose.REPEAT)
"""Work that must not be told from votes."""
REHEARSED_VOTES = 3
"""Votes that weigh where a move is rehearsed: about as many as on other items."""
MOVES = [*VOTES, Purpose.REVIEW.value, Purpose.ADJUDICATE.value]
"""Work whose end may move an item on."""


@dataclass(frozen=True)
class Flow:
    """Knows workflows and schemas; moves items."""

    ids: IdSource
    schema_of: Callable[[str], TaskSchema]
    """A version of a task schema by its id."""
    _workflows: dict[str, Workflow] = field(default_factory=dict, repr=False, compare=False)
    """Versions of workflows that were read; a version never changes."""
    _moving: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)
    """[project] Votes that were seen, and how many of them moved their item on."""

    def follow(self, connection: Connection, done: Done) -> list[Event]:
        """Go on from a judgment that was just taken."""
        if done.assignment.purpose == Purpose.TURN:
            return _end_turn(connection, done)
        is_moving = done.assignment.purpose in MOVES and done.item_state is ItemState.JUDGED
        if done.assignment.purpose in VOTES:
            n_votes, n_moving = self._moving.get(done.assignment.project_id, (0, 0))
            self._moving[done.assignment.project_id] = (n_votes + 1, n_moving + is_moving)
        if is_moving:
            return self.advance(connection, done.assignment.item_id, done.now_ms)
        # Work that moves nothing on, known items among it, asks the same: its time is no hint.
        row, is_hidden = self._row_of(connection, done.assignment.item_id), done.assignment.purpose in HIDDEN
        way = self._way_of(connection, row, done.now_ms, is_new=is_hidden)
        if way is not None and is_hidden:
            self._rehearse(connection, row, way, done)
        return []

    def _rehearse(self, connection: Connection, row: Row[Any], way: "_Stay", done: Done) -> None:
        """Move a known item or a repeat on as other work is, as often as that is, and take all of it back."""
        n_votes, n_moving = self._moving.get(row.project_id, (0, 0))
        share = (n_moving + 1 / way.flow.first.overlap) / (n_votes + 1)
        if is_drawn(share, f"rehearse {done.judgment_id}"):
            with taken_back(connection):
                _Move(self, connection, row, way, done.now_ms, is_rehearsal=True).run("judged")

    def advance(
        self, connection: Connection, item_id: str, now: int, *, outcome: str | None = None
    ) -> list[Event]:
        """Move a judged item on until somebody is wanted, or its way ends.

        `outcome` ends a hold. Without a workflow, or for a known item, nothing is done.
        """
        row = self._row_of(connection, item_id)
        if row.known is not None or row.state != ItemState.JUDGED:
            return []
        way = self._way_of(connection, row, now)
        if way is None:
            return []
        move = _Move(self, connection, row, way, now)
        with connection.begin_nested():  # as where it is rehearsed
            move.run(outcome)
        return move.events

    def workflow(self, connection: Connection, workflow_id: str) -> Workflow:
        """A version of a workflow; read once."""
        if workflow_id not in self._workflows:
            body = connection.execute(
                select(definition.c.body).where(definition.c.id == workflow_id)
            ).scalar_one()
            self._workflows[workflow_id] = parse_workflow(body, f"workflow {workflow_id}")
        return self._workflows[workflow_id]

    def _row_of(self, connection: Connection, item_id: str) -> Row[Any]:
        """An item, locked, with what it shows, and whether it is a known one."""
        return connection.execute(
            select(item, content.c.body, gold.c.item_id.label("known"))
            .join(content, content.c.hash == item.c.content_hash)
            .outerjoin(gold, gold.c.item_id == item.c.id)
            .where(item.c.id == item_id)
            .with_for_update(of=item, key_share=True)
        ).one()

    def _way_of(
        self, connection: Connection, row: Row[Any], now: int, *, is_new: bool = False
    ) -> "_Stay | None":
        """Where the item stands now; the first stay is written when it ends.

        With `is_new` as if it were judged for the first time.
        """
        present = connection.execute(
            select(stage_run).where(stage_run.c.item_id == row.id, stage_run.c.left_ms.is_(None))
        ).first()
        if present is not None and present.workflow_id is not None and not is_new:
            flow = self.workflow(connection, present.workflow_id)
            stage = flow.stage(present.stage)
            if stage is not None:
                held = (present.workflow_id, present.entered_ms, True)
                return _Stay(present.id, present.number, stage, flow, *held)
        newest = connection.execute(
            select(definition.c.id)
            .where(definition.c.project_id == row.project_id, definition.c.kind == "workflow")
            .order_by(definition.c.version.desc())
            .limit(1)
        ).scalar()
        if newest is None:
            return None
        flow = self.workflow(connection, newest)
        stage = flow.first if is_new else flow.stage(row.stage) or flow.first
        number = _next_number(connection, row.id)
        return _Stay(self.ids.new(), number, stage, flow, newest, row.created_ms, False)


def _end_turn(connection: Connection, done: Done) -> list[Event]:
    """A turn of a conversation is in no workflow: its judgment is all that was wanted of it."""
    item_id, state = done.assignment.item_id, done.item_state
    if state is ItemState.IN_PROGRESS:  # the judgment came late
        set_item(connection, item_id, state, ItemState.JUDGED)
        state = ItemState.JUDGED
    if state is not ItemState.JUDGED:
        return []
    set_item(connection, item_id, ItemState.JUDGED, ItemState.COMPLETE)
    return [entry(done.now_ms, "workflow", "complete", "item", item_id, {"turn": True})]


@dataclass(frozen=True)
class _Stay:
    id: str
    number: int
    stage: Stage
    flow: Workflow
    workflow_id: str
    entered_ms: int
    is_written: bool
    """Whether it has a row; those gone through within one step are written once, when they are left."""


class _Move:
    """One item on the move: leaves stages and enters others until one of them waits.

    Where it is rehearsed, a few votes weigh, on a known item too, and where it comes to stand is written as
    left already: it may stand elsewhere.
    """

    def __init__(
        self,
        flow: Flow,
        connection: Connection,
        row: Row[Any],
        stay: _Stay,
        now: int,
        *,
        is_rehearsal: bool = False,
    ):
        self.flow, self.connection, self.row, self.stay, self.now = flow, connection, row, stay, now
        self.is_rehearsal = is_rehearsal
        self.attempt: int = row.attempt
        self.events: list[Event] = []

    def run(self, outcome: str | None) -> None:
        facts: Mapping[str, Any] = {}
        if outcome is None:
            outcome, facts = self._outcome()
        # Each stage at most once: rules that lead in a circle without anybody asked end in a hold.
        for _ in range(len(self.stay.flow.stages) + 1):
            if outcome is None:
                self._settle()
                return
            known = {**facts, "outcome": outcome, "attempt": self.attempt, **self._meta()}
            to = self.stay.flow.after(self.stay.stage, known)
            self._leave(outcome, facts)
            if to in (COMPLETE, DROP):
                self._end(to)
                return
            stage = self.stay.flow.stage(to)
            if stage is None:
                raise RuntimeError(f"a checked workflow leads to {to!r}, which it does not have")
            outcome, facts = self._enter(stage, facts)
        self._change(ItemState.ON_HOLD, "hold", {"why": "the rules lead in a circle"})
        self._settle()

    def _outcome(self) -> tuple[str | None, Mapping[str, Any]]:
        """What came of the stage the item stands in."""
        match self.stay.stage:
            case ConsensusStage() as stage:
                return self._weigh(stage)
            case ReviewStage():
                return self._reviewed()
            case AdjudicationStage():
                newest = self.connection.execute(
                    select(adjudication)
                    .where(adjudication.c.item_id == self.row.id, self._is_of_this_stay(adjudication))
                    .limit(1)
                ).one()
                outcome = "dropped" if newest.judgment_id is None else "decided"
                return outcome, {"cause": newest.cause}
        return "judged", {}

    def _enter(self, stage: Stage, facts: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
        """Stand in another stage; its outcome where that is known at once."""
        again = isinstance(stage, LabelStage) and "n_requeued" in facts
        self.attempt += int(again)
        self.stay = _Stay(
            self.flow.ids.new(),
            self.stay.number + 1,
            stage,
            self.stay.flow,
            self.stay.workflow_id,
            self.now,
            False,
        )
        self._tell("enter", {"stage": stage.name})
        match stage:
            case LabelStage():
                count = int(facts["n_requeued"]) if again else stage.overlap
                self._ask(count, Purpose.EXTRA, Lane.LABEL, stage.skill, ItemState.IN_PROGRESS)
            case ConsensusStage():
                return self._weigh(stage)
            case ReviewStage():
                if not is_drawn(stage.share, f"review {self.row.id} {stage.name}"):
                    return "passed", {}
                self._ask(1, Purpose.REVIEW, Lane.REVIEW, stage.skill, ItemState.IN_REVIEW)
            case AdjudicationStage():
                self._ask(1, Purpose.ADJUDICATE, Lane.ADJUDICATE, stage.skill, ItemState.IN_ADJUDICATION)
            case HoldStage():
                self._change(ItemState.ON_HOLD, "hold", {"stage": stage.name})
            case WebhookStage():
                self._post(stage, facts)
                return "sent", facts
        return None, {}

    def _ask(self, count: int, purpose: Purpose, lane: Lane, skill: str | None, state: ItemState) -> None:
        make_slots(self.connection, self.flow.ids, self.row, count, purpose=purpose, lane=lane, skill=skill)
        set_item(self.connection, self.row.id, ItemState.JUDGED, state)
        self._tell("extend", {"slots": count, "lane": lane.value})

    def _weigh(self, stage: ConsensusStage) -> tuple[str | None, Mapping[str, Any]]:
        first = REHEARSED_VOTES if self.is_rehearsal else None
        votes, question = votes_of(self.connection, self.row.id, self.flow.schema_of, first=first)
        if question is None:
            return "disputed", {"n_people": 0}
        found = weigh(votes, stage, question)
        if found.outcome is None:
            self._ask(1, Purpose.EXTRA, Lane.LABEL, stage.skill, ItemState.IN_PROGRESS)
        return found.outcome, found.facts

    def _reviewed(self) -> tuple[str, Mapping[str, Any]]:
        verdicts = list(
            self.connection.execute(
                select(review.c.verdict).where(review.c.item_id == self.row.id, self._is_of_this_stay(review))
            ).scalars()
        )
        n_requeued = verdicts.count("reject_requeue")
        if n_requeued:
            return "requeued", {"n_requeued": n_requeued}
        if verdicts and set(verdicts) == {"reject_drop"}:
            return "dropped", {}
        return ("fixed" if "fix" in verdicts else "accepted"), {}

    def _is_of_this_stay(self, table: Table) -> ColumnElement[bool]:
        """Whether it was said for the slot this stay made; clocks of several servers differ, slots do not."""
        lane = Lane.REVIEW if table is review else Lane.ADJUDICATE
        newest = select(func.max(slot.c.number)).where(
            slot.c.item_id == self.row.id, slot.c.lane == lane.value
        )
        held = select(assignment.c.id).join(slot, slot.c.id == assignment.c.slot_id)
        return table.c.assignment_id.in_(
            held.where(slot.c.item_id == self.row.id, slot.c.number == newest.scalar_subquery())
        )

    def _post(self, stage: WebhookStage, facts: Mapping[str, Any]) -> None:
        body = {
            "project": self.row.project_id,
            "item": self.row.id,
            "stage": stage.name,
            "attempt": self.attempt,
            "facts": dict(facts),
            "at_ms": self.now,
        }
        new_id = self.flow.ids.new()
        self.connection.execute(
            insert(outbox).values(
                id=new_id,
                project_id=self.row.project_id,
                item_id=self.row.id,
                url=stage.url,
                secret_name=stage.secret,
                body=body,
                state="pending",
                n_tries=0,
                next_ms=self.now,
                created_ms=self.now,
                last_error="",
            )
        )
        self.events.append(entry(self.now, "workflow", "post", "outbox", new_id, {"item": self.row.id}))

    def _settle(self) -> None:
        """Write where the item stays."""
        if not self.stay.is_written:
            self.connection.execute(insert(stage_run).values(self._stay_row()))
        self.connection.execute(
            update(item)
            .where(item.c.id == self.row.id)
            .values(stage=self.stay.stage.name, attempt=self.attempt)
        )

    def _leave(self, outcome: str, facts: Mapping[str, Any]) -> None:
        left = {"left_ms": self.now, "outcome": outcome, "facts": dict(facts)}
        if self.stay.is_written:
            self.connection.execute(update(stage_run).where(stage_run.c.id == self.stay.id).values(left))
        else:
            self.connection.execute(insert(stage_run).values(self._stay_row() | left))
        self._tell("leave", {"stage": self.stay.stage.name, "outcome": outcome})

    def _stay_row(self) -> dict[str, Any]:
        return {
            "id": self.stay.id,
            "item_id": self.row.id,
            "project_id": self.row.project_id,
            "number": self.stay.number,
            "attempt": self.attempt,
            "stage": self.stay.stage.name,
            "kind": self.stay.stage.kind,
            "workflow_id": self.stay.workflow_id,
            "entered_ms": self.stay.entered_ms,
            "left_ms": self.now if self.is_rehearsal else None,
            "outcome": None,
            "facts": {},
        }

    def _end(self, end: str) -> None:
        self.connection.execute(update(item).where(item.c.id == self.row.id).values(stage=end))
        if end == COMPLETE:
            self._change(ItemState.COMPLETE, "complete", {})
            return
        cancel_slots(self.connection, self.row.id)
        self._change(ItemState.WITHDRAWN, "drop", {})

    def _change(self, state: ItemState, action: str, facts: Mapping[str, Any]) -> None:
        set_item(self.connection, self.row.id, ItemState.JUDGED, state)
        self._tell(action, facts)

    def _meta(self) -> dict[str, Any]:
        meta = self.row.body.get("meta")
        return {f"meta.{name}": value for name, value in meta.items()} if isinstance(meta, Mapping) else {}

    def _tell(self, action: str, facts: Mapping[str, Any]) -> None:
        self.events.append(entry(self.now, "workflow", action, "item", self.row.id, facts))


def votes_of(
    connection: Connection,
    item_id: str,
    schema_of: Callable[[str], TaskSchema],
    *,
    first: int | None = None,
) -> tuple[list[Vote], Any]:
    """Each person's last live word on an item, and the question it answers; models and repeats are none.

    For a rehearsal the `first` so many words, on a known item too.
    """
    rows = connection.execute(
        select(
            judgment.c.user_id, judgment.c.payload, judgment.c.received_ms, assignment.c.schema_id,
            standing.c.n_right, standing.c.n_gold,
        )
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .outerjoin(
            standing,
            (standing.c.user_id == judgment.c.user_id) & (standing.c.project_id == assignment.c.project_id),
        )
        .where(
            judgment.c.item_id == item_id,
            judgment.c.source == Source.HUMAN.value,
            assignment.c.purpose.in_(VOTES if first is None else [*VOTES, Purpose.GOLD.value]),
            func.coalesce(status_of(judgment.c.id), Mark.LIVE.value) == Mark.LIVE.value,
        )
        .order_by(judgment.c.revision, judgment.c.received_ms)
        .limit(first)
    ).all()  # fmt: skip
    if not rows:
        return [], None
    deciding = schema_of(max(rows, key=lambda row: row.received_ms).schema_id).deciding
    last = {
        row.user_id: Vote(
            user_id=row.user_id,
            verdict=verdict_of(row.payload["values"][deciding.id]),
            value=row.payload["values"][deciding.id],
            n_right=row.n_right or 0,
            n_gold=row.n_gold or 0,
        )
        for row in rows
        if row.payload["values"].get(deciding.id) is not None
    }
    return list(last.values()), deciding


def is_drawn(share: float, what: str) -> bool:
    """A draw of that chance that is the same whenever asked for the same."""
    draw = int.from_bytes(hashlib.sha256(what.encode()).digest()[:7], "big") / 2**56
    return draw < share


def _next_number(connection: Connection, item_id: str) -> int:
    newest = connection.execute(
        select(func.max(stage_run.c.number)).where(stage_run.c.item_id == item_id)
    ).scalar()
    return 0 if newest is None else int(newest) + 1
