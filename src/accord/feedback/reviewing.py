"""What reviewers and adjudicators get and give: all judgments of an item as cards without names.

The question people differ on most comes first, and of its cards the rare answer first. Times are sent
apart, so that a page can keep them shut: a quick answer looks worse than it is once one knows. Leaves out
who may come, and pages.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from accord.domain.errors import DataError, StoreError
from accord.feedback.describing import describe_value
from accord.feedback.questions import Question
from accord.feedback.schema import TaskSchema
from accord.feedback.verdicts import verdict_of
from accord.feedback.work import Work
from accord.feedback.workflow import CAUSES, REASONS
from accord.store.database.audit import append_events
from accord.store.database.reviews import (
    LastWord,
    Opinion,
    Progress,
    Reviews,
    Verdict,
    live_judgments,
    make_gold,
)
from accord.store.database.slots import entry, is_held, set_item
from accord.store.database.states import ItemState, Lane, Purpose
from accord.store.database.tables import assignment, gold, item, judgment
from accord.store.database.workflow_tables import review, stage_run

PURPOSE = {Lane.REVIEW: Purpose.REVIEW, Lane.ADJUDICATE: Purpose.ADJUDICATE}


@dataclass(frozen=True)
class Reviewing:
    """Review and adjudication in terms of questions and answers."""

    work: Work

    @property
    def reviews(self) -> Reviews:
        """What writes them."""
        return Reviews(self.work.queue, self.work.flow.follow)

    def next(self, project_id: str, user_id: str, lane: Lane) -> dict[str, Any] | None:
        """What is in this person's hands in that lane, or the next item; nothing where there is none."""
        now = self.work.queue.now_ms()
        with self.work.database.read() as connection:
            held = connection.execute(
                select(assignment.c.id)
                .where(
                    assignment.c.project_id == project_id,
                    assignment.c.user_id == user_id,
                    assignment.c.purpose == PURPOSE[lane].value,
                    is_held(),
                    assignment.c.lease_until_ms > now,
                )
                .order_by(assignment.c.leased_ms)
                .limit(1)
            ).scalar()
        if held is None:
            taken = self.work.queue.claim(project_id, user_id, lane=lane)
            held = taken[0].id if taken else None
        return None if held is None else self.page_of(held, user_id)

    def page_of(self, assignment_id: str, user_id: str) -> dict[str, Any]:
        """A review or adjudication in hand: the item as its holder sees it, and the cards."""
        page = self.work.page_of(assignment_id, user_id)
        row = self.work.owned(assignment_id, user_id)
        with self.work.database.read() as connection:
            said = live_judgments(connection, row.item_id)
            done = dict(
                connection.execute(
                    select(review.c.judgment_id, review.c.verdict).where(
                        review.c.assignment_id == assignment_id
                    )
                ).all()
            )
            way = _way(connection, row.item_id)
        schema = self.work.schema(row.schema_id)
        questions = by_disagreement(schema, [one.payload["values"] for one in said])
        cards = [
            _card(number, one, questions, row.presentation["permutation"], done.get(one.id))
            for number, one in enumerate(_rare_first(said, questions), start=1)
        ]
        order = [question.id for question in questions]
        return {**page, "item": row.item_id, "cards": cards, "questions": order, "way": way}

    def review(self, judgment_id: str, user_id: str, sent: Mapping[str, Any]) -> Progress:
        """A verdict on one judgment; a fix brings the answers that are to stand instead."""
        wrong = [one for one in sent["reasons"] if one not in REASONS]
        verdict = Verdict(sent["verdict"])
        if wrong:
            raise DataError(f"reasons {', '.join(wrong)}; expected some of {', '.join(REASONS)}")
        if verdict is not Verdict.ACCEPT and not sent["reasons"]:
            raise DataError(f"a judgment that is not accepted needs a reason: {', '.join(REASONS)}")
        payload = None
        if verdict is Verdict.FIX:
            payload = self._payload(sent["assignment"], user_id, sent)
        opinion = Opinion(
            verdict=verdict,
            reasons=tuple(sent["reasons"]),
            note=sent["note"],
            key=sent.get("key") or "",
            payload=payload,
        )
        return self.reviews.give(sent["assignment"], sent["token"], user_id, judgment_id, opinion)

    def adjudicate(self, item_id: str, user_id: str, sent: Mapping[str, Any]) -> str | None:
        """The last word on an item; without answers it cannot be judged. May make it a known item."""
        row = self.work.owned(sent["assignment"], user_id)
        if row.item_id != item_id:
            raise StoreError(f"assignment {row.id} is about another item")
        if sent["cause"] not in CAUSES:
            raise DataError(f"cause is {sent['cause']!r}; expected one of {', '.join(CAUSES)}")
        payload = None if sent.get("answers") is None else self._payload(row.id, user_id, sent)
        if payload is not None and not sent.get("key"):
            raise DataError("a decision needs a key; make a new one for each")
        word = LastWord(
            cause=sent["cause"],
            note=sent["note"],
            rule=sent["rule"],
            key=sent.get("key") or "",
            payload=payload,
        )
        made = self.reviews.decide(row.id, sent["token"], user_id, word)
        if sent.get("make_gold") and made is not None:
            self.make_gold(item_id, user_id, explanation=sent["note"] or sent["rule"])
        return made

    def make_gold(
        self,
        item_id: str,
        actor: str,
        *,
        explanation: str = "",
        tier: str = "hidden",
        exposure_cap: int | None = None,
    ) -> None:
        """Let a decided item be a known one: what the last adjudication said is expected."""
        with self.work.database.write() as connection:
            payload = connection.execute(
                select(judgment.c.payload)
                .join(assignment, assignment.c.id == judgment.c.assignment_id)
                .where(judgment.c.item_id == item_id, assignment.c.purpose == Purpose.ADJUDICATE.value)
                .order_by(judgment.c.received_ms.desc(), judgment.c.id.desc())
                .limit(1)
            ).scalar()
            if payload is None:
                raise StoreError(f"item {item_id!r} was not decided; adjudicate it first")
            events = make_gold(
                connection,
                item_id,
                payload["values"],
                actor=actor,
                explanation=explanation,
                tier=tier,
                exposure_cap=exposure_cap,
                now=self.work.queue.now_ms(),
            )
            append_events(connection, events)

    def retire_gold(self, item_id: str, actor: str) -> None:
        """Let nobody meet a known item from now on; what it showed of people stays."""
        now = self.work.queue.now_ms()
        with self.work.database.write() as connection:
            changed = connection.execute(
                update(gold)
                .where(gold.c.item_id == item_id, gold.c.retired_ms.is_(None))
                .values(retired_ms=now)
            )
            if changed.rowcount:
                append_events(connection, [entry(now, actor, "retire", "gold", item_id, {})])

    def release(self, item_id: str, actor: str) -> None:
        """Let an item on hold go on as its workflow says."""
        now = self.work.queue.now_ms()
        with self.work.database.write() as connection:
            row = connection.execute(select(item).where(item.c.id == item_id).with_for_update()).first()
            if row is None or row.state != ItemState.ON_HOLD:
                raise StoreError(f"item {item_id!r} is not on hold")
            set_item(connection, item_id, ItemState.ON_HOLD, ItemState.JUDGED)
            events = [entry(now, actor, "release", "item", item_id, {})]
            events += self.work.flow.advance(connection, item_id, now, outcome="released")
            append_events(connection, events)

    def project_of(self, item_id: str) -> str:
        """The project of an item; raises `StoreError` for one that is not there."""
        with self.work.database.read() as connection:
            found = connection.execute(select(item.c.project_id).where(item.c.id == item_id)).scalar()
        if found is None:
            raise StoreError(f"there is no item {item_id!r}")
        return str(found)

    def way_of(self, item_id: str) -> list[dict[str, Any]]:
        """The stages an item went through, with outcomes and the facts they rested on."""
        with self.work.database.read() as connection:
            return _way(connection, item_id)

    def _payload(self, assignment_id: str, user_id: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        row = self.work.owned(assignment_id, user_id)
        return self.work.payload(row, {"answers": sent.get("answers") or {}})


def by_disagreement(schema: TaskSchema, values: Sequence[Mapping[str, Any]]) -> list[Question]:
    """The questions, what people differ on most first; equals stay in the order of the task.

    How much is one less the share of the commonest answer among those who answered.
    """

    def spread(question: Question) -> float:
        said = Counter(verdict_of(one[question.id]) for one in values if one.get(question.id) is not None)
        return 1 - max(said.values()) / said.total() if said else 0.0

    return sorted(schema.questions, key=lambda question: -spread(question))


def _rare_first(said: Sequence[Row[Any]], questions: Sequence[Question]) -> list[Row[Any]]:
    """Judgments by how many gave the same answer to the first question, then in the order they came."""
    verdicts = [verdict_of(one.payload["values"].get(questions[0].id)) for one in said]
    counts = Counter(verdicts)
    order = sorted(range(len(said)), key=lambda k: (counts[verdicts[k]], verdicts[k], said[k].id))
    return [said[k] for k in order]


def _card(
    number: int, one: Row[Any], questions: Sequence[Question], permutation: Sequence[int], verdict: str | None
) -> dict[str, Any]:
    values = one.payload["values"]
    return {
        "judgment_id": one.id,
        "name": f"Judgment {number}",
        "said": [
            {"id": question.id, "words": describe_value(question, values[question.id], permutation)}
            for question in questions
            if values.get(question.id) is not None
        ],
        "is_person": one.source == "human",
        "verdict": verdict,
        "timing": {
            "active_ms": one.active_ms,
            "duration_ms": one.payload.get("duration_ms"),
            "is_late": one.is_late,
        },
    }


def _way(connection: Connection, item_id: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(stage_run).where(stage_run.c.item_id == item_id).order_by(stage_run.c.number)
    ).all()
    return [
        {
            "stage": row.stage,
            "kind": row.kind,
            "attempt": row.attempt,
            "entered_ms": row.entered_ms,
            "left_ms": row.left_ms,
            "outcome": row.outcome,
            "facts": row.facts,
        }
        for row in rows
    ]
