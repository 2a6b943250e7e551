"""A piece of work on its way to the page and back: what is shown, what was answered, what it means.

Stands between the queue, which knows nothing of questions, and the routes, which know nothing of the
database. Leaves out who may call it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from accord.domain.errors import DataError, LeaseLost, StoreError
from accord.feedback.definitions import POLICY, Definitions
from accord.feedback.describing import describe_value
from accord.feedback.flow import Flow, is_drawn
from accord.feedback.gate import asked_first, why_empty
from accord.feedback.items import present, shown
from accord.feedback.paging import Page, is_below, page_of
from accord.feedback.policy import Policy
from accord.feedback.questions import Presented
from accord.feedback.schema import TaskSchema, parse_schema
from accord.feedback.standing import LOOK_EVERY, Watch, is_as_expected
from accord.feedback.turns import finished_turns
from accord.store.database.audit import Event, append_events
from accord.store.database.engine import Database
from accord.store.database.live import LiveTurns
from accord.store.database.projects import Projects
from accord.store.database.queue import Assignment, Done, Receipt, WorkQueue
from accord.store.database.reviews import status_of
from accord.store.database.slots import is_held
from accord.store.database.states import AssignmentState, ItemState, Mark, Purpose
from accord.store.database.tables import (
    assignment,
    chain,
    content,
    definition,
    draft,
    gold,
    item,
    judgment,
    project,
    user,
)
from accord.store.database.tally import Kind, counts_of, slots_by_state
from accord.store.database.upkeep_tables import stream

HISTORY = 50
"""Own judgments that the page shows to look at and correct."""
PAGE = 1000
"""Most judgments of one answer of the stream."""


@dataclass(frozen=True)
class Work:
    """Hands work out and takes it back, in terms of questions and answers."""

    database: Database
    queue: WorkQueue
    _schemas: dict[str, TaskSchema] = field(default_factory=dict, repr=False, compare=False)
    """Versions of task schemas that were read; a version never changes."""

    @cached_property
    def _projects(self) -> set[str]:
        """Projects that were seen; none ever goes."""
        return set()

    def check_project(self, project_id: str) -> None:
        """Raise `StoreError` for a project that is not there."""
        if project_id in self._projects:
            return
        with self.database.read() as connection:
            found = connection.execute(select(project.c.id).where(project.c.id == project_id)).scalar()
        if found is None:
            raise StoreError(f"there is no project {project_id!r}")
        self._projects.add(project_id)

    @cached_property
    def definitions(self) -> Definitions:
        """Versions of what defines projects."""
        return Definitions()

    @cached_property
    def flow(self) -> Flow:
        """What moves items on when a judgment was taken."""
        return Flow(self.queue.ids, self.schema)

    @cached_property
    def watch(self) -> Watch:
        """What keeps track of how people stand."""
        return Watch(self.queue, self.definitions.policy)

    def next(self, project_id: str, user_id: str, count: int) -> dict[str, Any]:
        """Up to `count` pieces of work, and why there is none where there is none."""
        taken, empty = self.claim(project_id, user_id, count)
        return {"assignments": [self._page(one) for one in taken], "empty": empty}

    def claim(
        self, project_id: str, user_id: str, count: int, *, queue: WorkQueue | None = None
    ) -> tuple[list[Assignment], dict[str, str] | None]:
        """Up to `count` pieces of work under the project's terms, and why there is none.

        `queue` is the one to take it from, where its leases are to be others.
        """
        with self.database.read() as connection:
            newest = self.definitions.newest(connection, project_id)
            policy = self._policy(connection, newest)
            first = asked_first(connection, user_id, newest, policy, self.definitions)
        if first is not None:
            return [], first.shown()
        terms = policy.terms
        if "schema" in newest and self.schema(newest["schema"]).live is not None:
            terms = replace(terms, gold_rate=0.0, repeat_rate=0.0)  # no conversation is had twice
        source = queue or self.queue
        taken = source.claim(project_id, user_id, count=count, terms=terms, versions=newest)
        return taken, None if taken else self.why_empty(project_id, user_id)

    def _policy(self, connection: Connection, newest: Mapping[str, str]) -> Policy:
        found = newest.get("policy")
        return POLICY if found is None else self.definitions.policy_of(connection, found)

    def resume(self, project_id: str, user_id: str) -> dict[str, Any] | None:
        """The piece of work in this annotator's hands, or a new one; nothing where there is none."""
        now = int(self.queue.clock.now().timestamp() * 1000)
        with self.database.read() as connection:
            held = connection.execute(
                select(assignment.c.id)
                .where(
                    assignment.c.user_id == user_id,
                    assignment.c.project_id == project_id,
                    is_held(),
                    assignment.c.lease_until_ms > now,
                    assignment.c.purpose.not_in([Purpose.REVIEW, Purpose.ADJUDICATE, Purpose.TURN]),
                )
                .order_by(assignment.c.leased_ms, assignment.c.id)
                .limit(1)
            ).scalar()
        if held is not None:
            return self.page_of(held, user_id)
        taken, _ = self.claim(project_id, user_id, 1)
        return self._page(taken[0]) if taken else None

    def page_of(self, assignment_id: str, user_id: str) -> dict[str, Any]:
        """An own assignment as the page shows it, once more."""
        row = self.owned(assignment_id, user_id)
        return self._page(
            Assignment(
                id=row.id,
                item_id=row.item_id,
                lease_token=row.lease_token,
                lease_until_ms=row.lease_until_ms,
                content=row.body,
                permutation=tuple(row.presentation["permutation"]),
                schema_id=row.schema_id,
                guideline_id=row.guideline_id,
            )
        )

    def why_empty(self, project_id: str, user_id: str) -> dict[str, str]:
        """A reason code and a sentence for somebody who gets no work."""
        with self.database.read() as connection:
            newest = self.definitions.newest(connection, project_id)
            policy = self._policy(connection, newest)
            first = asked_first(connection, user_id, newest, policy, self.definitions)
            found = first or why_empty(connection, project_id, user_id, policy, self.queue.now_ms())
        return found.shown()

    def submit(
        self, assignment_id: str, user_id: str, sent: Mapping[str, Any], *, row: Row[Any] | None = None
    ) -> Receipt:
        """Take answers; raises `DataError` for answers that do not fit, before anything is written.

        `row` is the assignment, where the caller has read it already.
        """
        row = self.owned(assignment_id, user_id) if row is None else row
        if row.purpose in (Purpose.REVIEW, Purpose.ADJUDICATE):
            raise DataError("this piece of work is a review or an adjudication; send it as one")
        payload = self.payload(row, sent)
        receipt = self.queue.submit(assignment_id, sent["token"], sent["key"], payload, follow=self._follow)
        if is_drawn(1 / LOOK_EVERY, receipt.judgment_id):
            self.watch.look(row.project_id, user_id, self.schema(row.schema_id).deciding.id)
        return receipt

    def _follow(self, connection: Connection, done: Done) -> list[Event]:
        """What comes of a judgment: known items first, for a vote weighs by what they say of its giver."""
        return self.watch.follow(connection, done) + self.flow.follow(connection, done)

    def explain(self, assignment_id: str, user_id: str) -> dict[str, Any] | None:
        """After a training item: what was expected and why. Nothing after any other work."""
        row = self.owned(assignment_id, user_id)
        state = AssignmentState(row.state)
        if row.purpose != Purpose.TRAINING or not state.has_judgment:
            return None
        with self.database.read() as connection:
            known = connection.execute(select(gold).where(gold.c.item_id == row.item_id)).one()
            payload = connection.execute(
                select(judgment.c.payload)
                .where(judgment.c.assignment_id == assignment_id)
                .order_by(judgment.c.revision.desc())
                .limit(1)
            ).scalar_one()
        schema, order = self.schema(row.schema_id), row.presentation["permutation"]
        expected = {
            question.id: describe_value(question, known.expected[question.id], order)
            for question in schema.questions
            if question.id in known.expected
        }
        is_right = is_as_expected(payload["values"], known.expected)
        return {"is_right": is_right, "expected": expected, "explanation": known.explanation}

    def project_of(self, judgment_id: str, user_id: str) -> str:
        """The project of an own judgment; another's looks like one that is not there."""
        with self.database.read() as connection:
            found = connection.execute(
                select(item.c.project_id)
                .join(judgment, judgment.c.item_id == item.c.id)
                .where(judgment.c.id == judgment_id, judgment.c.user_id == user_id)
            ).scalar()
        if found is None:
            raise LeaseLost(f"there is no judgment {judgment_id!r} of yours")
        return str(found)

    def revise(self, judgment_id: str, user_id: str, sent: Mapping[str, Any]) -> Receipt:
        """Other answers to an own judgment; the earlier ones stay."""
        with self.database.read() as connection:
            old = connection.execute(
                select(judgment.c.assignment_id).where(
                    judgment.c.id == judgment_id, judgment.c.user_id == user_id
                )
            ).scalar()
        if old is None:
            raise LeaseLost(f"there is no judgment {judgment_id!r} of yours")
        row = self.owned(old, user_id)
        payload = self.payload(row, sent)
        return self.queue.revise(judgment_id, user_id, sent["key"], payload, follow=self._follow)

    def workflow_of(self, project_id: str) -> dict[str, Any]:
        """The newest version of a project's workflow as data, with its number; 0 where it has none."""
        with self.database.read() as connection:
            row = newest_definition(connection, project_id, "workflow")
        return (
            {"version": 0, "workflow": None}
            if row is None
            else {"version": row.version, "workflow": row.body}
        )

    def publish_workflow(self, project_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """A further version; items that wait for a workflow to say where they go are moved on by it.

        Items within a stage go on under the version they entered it by.
        """
        new_id = Projects(self.database, self.queue.clock, self.queue.ids).add_definition(
            project_id, "workflow", data
        )
        with self.database.read() as connection:
            waiting = (
                connection.execute(
                    select(item.c.id).where(
                        item.c.project_id == project_id, item.c.state == ItemState.JUDGED.value
                    )
                )
                .scalars()
                .all()
            )
        moved = 0
        for item_id in waiting:
            with self.database.write() as connection:
                events = self.flow.advance(connection, item_id, self.queue.now_ms())
                append_events(connection, events)
                moved += bool(events)
        return {"id": new_id, "n_moved": moved}

    def save_draft(self, assignment_id: str, user_id: str, token: str, answers: Mapping[str, Any]) -> int:
        """Keep what is not yet submitted; the time it was kept."""
        row = self.owned(assignment_id, user_id)
        if row.lease_token != token:
            raise LeaseLost(f"there is no assignment {assignment_id!r} with this token")
        now = int(self.queue.clock.now().timestamp() * 1000)
        values = {"answers": dict(answers), "saved_ms": now}
        with self.database.write() as connection:
            changed = connection.execute(
                update(draft).where(draft.c.assignment_id == assignment_id).values(values)
            )
            if not changed.rowcount:
                connection.execute(insert(draft).values(assignment_id=assignment_id, **values))
        return now

    def history(
        self, project_id: str, user_id: str, *, limit: int = HISTORY, after: str | None = None
    ) -> Page:
        """Own judgments with what was shown, by when they were first given, newest first; of a revised one
        only the last revision."""
        later = judgment.alias("later")
        is_revised = (
            select(later.c.id)
            .where(later.c.assignment_id == judgment.c.assignment_id, later.c.revision > judgment.c.revision)
            .exists()
        )
        again = judgment.alias("again")
        # Of an item judged twice unawares the later judgment stands: two entries would tell.
        is_repeated = (
            select(again.c.id)
            .where(
                again.c.item_id == judgment.c.item_id,
                again.c.user_id == judgment.c.user_id,
                again.c.assignment_id != judgment.c.assignment_id,
                again.c.received_ms > judgment.c.received_ms,
            )
            .exists()
        )
        order = (assignment.c.closed_ms, assignment.c.id)
        query = (
            select(judgment, *order[:1], assignment.c.presentation, assignment.c.schema_id, content.c.body)
            .join(assignment, assignment.c.id == judgment.c.assignment_id)
            .join(item, item.c.id == assignment.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .where(
                assignment.c.user_id == user_id, assignment.c.project_id == project_id,
                assignment.c.closed_ms.is_not(None), ~is_revised, ~is_repeated,
            )
        )  # fmt: skip
        if after is not None:
            query = query.where(is_below(order, after, int, str))
        query = query.order_by(*(one.desc() for one in order)).limit(limit + 1)
        with self.database.read() as connection:
            page = page_of(
                connection.execute(query).all(), limit, lambda row: (row.closed_ms, row.assignment_id)
            )
        rows = [
            {
                "judgment_id": row.id,
                "item_label": first_words(row.body),
                "received_ms": row.received_ms,
                "answers": row.payload["answers"],
                "task": self.schema(row.schema_id).shown(),
                "shown": shown(row.body, _presented(row)),
            }
            for row in page.rows
        ]
        return replace(page, rows=rows)

    def judgments(
        self, project_id: str, after: int, limit: int = PAGE, *, upto: int | None = None
    ) -> list[dict[str, Any]]:
        """Judgments in the order in which they came in, behind an event number; each says its own.

        The chain of events has one order, so that whoever reads on from the last number misses none. With
        `upto` all is told as it stood at that event, whatever was marked or became a known item since.
        """
        status, is_known = (
            (func.coalesce(status_of(judgment.c.id), Mark.LIVE.value), gold.c.item_id.is_not(None))
            if upto is None
            else (_mark_by(upto), _is_known_by(upto))
        )
        last = 2**62 if upto is None else upto
        with self.database.read() as connection:
            rows = connection.execute(
                select(
                    chain.c.number, judgment, user.c.handle, assignment.c.purpose, item.c.attempt,
                    status.label("status"), is_known.label("is_known"),
                    assignment.c.presentation, assignment.c.schema_id, assignment.c.guideline_id,
                )
                .select_from(stream)
                .join(chain, chain.c.number == stream.c.number)
                .join(judgment, judgment.c.id == chain.c.entity_id)
                .join(item, item.c.id == judgment.c.item_id)
                .join(assignment, assignment.c.id == judgment.c.assignment_id)
                .outerjoin(gold, gold.c.item_id == judgment.c.item_id)
                .join(user, user.c.id == judgment.c.user_id)
                .where(
                    stream.c.project_id == project_id, stream.c.number > after, stream.c.number <= last
                )
                .order_by(stream.c.number)
                .limit(min(limit, PAGE))
            ).all()  # fmt: skip
        return [
            {
                "seq": row.number,
                "id": row.id,
                "assignment": row.assignment_id,
                "item": row.item_id,
                "annotator": row.handle,
                "source": row.source,
                "purpose": row.purpose,
                "status": row.status if upto is None else _status_in(row.status),
                "is_known": row.is_known,
                "revision": row.revision,
                "is_late": row.is_late,
                "received_ms": row.received_ms,
                "permutation": row.presentation["permutation"],
                "schema": row.schema_id,
                "guideline": row.guideline_id,
                **row.payload,
            }
            for row in rows
        ]

    def progress(self, project_id: str) -> dict[str, Any]:
        """Items and slots by state, and how many judgments each annotator gave."""
        with self.database.read() as connection:
            counts = counts_of(connection, project_id)
            people = self.paid(connection, project_id)
        return {
            "items": counts.get(Kind.ITEM, {}),
            "slots": slots_by_state(counts),
            "annotators": people,
        }

    def paid(self, connection: Connection, project_id: str) -> list[dict[str, Any]]:
        """How many judgments each annotator gave and how long he worked on them: what he is paid for.

        Late ones count, and those that were taken back or set aside; work that led to none does not.
        """
        counts = counts_of(connection, project_id)
        judged, active = counts.get(Kind.PERSON, {}), counts.get(Kind.ACTIVE, {})
        people = connection.execute(
            select(user.c.id, user.c.handle).where(user.c.id.in_(sorted(judged)))
        ).all()
        return [
            {"handle": row.handle, "n": judged[row.id], "active_ms": active.get(row.id, 0)}
            for row in sorted(people, key=lambda one: (-judged[one.id], one.handle))
        ]

    def owned(self, assignment_id: str, user_id: str) -> Row[Any]:
        """An assignment of this user, with what it shows; another's looks like one that is not there."""
        with self.database.read() as connection:
            row = connection.execute(
                select(assignment, content.c.body)
                .join(item, item.c.id == assignment.c.item_id)
                .join(content, content.c.hash == item.c.content_hash)
                .where(assignment.c.id == assignment_id, assignment.c.user_id == user_id)
            ).first()
        if row is None:
            raise LeaseLost(f"there is no assignment {assignment_id!r} of yours")
        return row

    def schema(self, schema_id: str | None) -> TaskSchema:
        """A version of a task schema; read once, for a version never changes."""
        if schema_id in self._schemas:
            return self._schemas[schema_id]
        with self.database.read() as connection:
            body = connection.execute(select(definition.c.body).where(definition.c.id == schema_id)).scalar()
        if body is None:
            raise StoreError("the project has no task schema; publish one first")
        made = parse_schema(body, f"task schema {schema_id}")
        self._schemas[str(schema_id)] = made
        return made

    def payload(self, row: Row[Any], sent: Mapping[str, Any]) -> dict[str, Any]:
        """What is stored of answers to an assignment: as they were given, and in terms of the item."""
        schema = self.schema(row.schema_id)
        values = schema.values_of(sent["answers"], _presented(row))
        kept = {name: sent[name] for name in ("duration_ms", "active_ms", "ui") if sent.get(name) is not None}
        if schema.live is not None:
            said = LiveTurns(self.queue).of(row.item_id, row.user_id)
            kept["turns"] = finished_turns(schema.live, said)
        return {"answers": sent["answers"], "values": values, **kept}

    def _page(self, one: Assignment) -> dict[str, Any]:
        presented = present(one.content, one.permutation)
        return {
            "id": one.id,
            "token": one.lease_token,
            "lease_until_ms": one.lease_until_ms,
            "task": self.schema(one.schema_id).shown(),
            "shown": shown(one.content, presented),
            "guideline_version": one.guideline_id,
        }


def newest_definition(connection: Connection, project_id: str, kind: str) -> Row[Any, Any, Any] | None:
    """The newest version of a project's definition of a kind, with `version`, `body` and `id`."""
    return connection.execute(
        select(definition.c.version, definition.c.body, definition.c.id)
        .where(definition.c.project_id == project_id, definition.c.kind == kind)
        .order_by(definition.c.version.desc())
        .limit(1)
    ).first()


def _mark_by(upto: int) -> Any:
    """The facts of the last mark of a judgment up to an event, as a subquery."""
    marked = chain.alias("marked")
    return (
        select(marked.c.facts)
        .where(
            marked.c.entity_id == judgment.c.id, marked.c.entity == "judgment", marked.c.action == "mark",
            marked.c.number <= upto,
        )
        .order_by(marked.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )  # fmt: skip


def _status_in(facts: str | None) -> str:
    return Mark.LIVE.value if facts is None else str(json.loads(facts)["status"])


def _is_known_by(upto: int) -> Any:
    """Whether an item was a known one by an event, as an expression."""
    added = chain.alias("added")
    return (
        select(added.c.number)
        .where(
            added.c.entity_id == judgment.c.item_id, added.c.entity == "gold", added.c.action == "add",
            added.c.number <= upto,
        )
        .exists()
    )  # fmt: skip


def _presented(row: Row[Any]) -> Presented:
    return present(row.body, row.presentation["permutation"])


def first_words(body: Mapping[str, Any]) -> str:
    """How an item is called in lists: its topic, or the beginning of what the user asked last."""
    said = [one["content"] for one in body["messages"] if one["role"] == "user"]
    said += [body["topic"]] if body.get("topic") else []
    text = " ".join((said or [""])[-1].split())
    return text if len(text) <= 80 else text[:79] + "…"
