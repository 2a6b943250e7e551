"""What people get to know of their own work: how they stand, what was noticed, what was decided otherwise.

Known items never show here: whoever learns from this page which items were checks would answer only those.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, null, select, update

from accord.domain.errors import LeaseLost, StoreError
from accord.feedback.describing import describe_value
from accord.feedback.paging import MOST, Page, is_below, page_of
from accord.feedback.standing import NUDGES
from accord.feedback.verdicts import verdict_of
from accord.feedback.work import Work, first_words
from accord.feedback.workflow import CAUSES, REASONS
from accord.store.database.audit import append_events
from accord.store.database.people import People
from accord.store.database.slots import entry
from accord.store.database.states import AssignmentState, PersonState, Purpose
from accord.store.database.tables import assignment, content, gold, item, judgment, user
from accord.store.database.workflow_tables import adjudication, alert, review, standing

NEWEST = 50
"""Decisions looked at for a page, newest first."""
NOTE_MS = 3_600_000
"""So long the page tells by itself what was noticed."""


def standing_of(work: Work, project_id: str, user_id: str) -> dict[str, Any]:
    """State, work of today, and what was noticed of somebody, for himself. Says nothing of known items."""
    with work.database.read() as connection:
        row = connection.execute(
            select(standing).where(standing.c.user_id == user_id, standing.c.project_id == project_id)
        ).first()
        notes = connection.execute(
            select(alert)
            .where(alert.c.user_id == user_id, alert.c.project_id == project_id)
            .order_by(alert.c.id.desc())
            .limit(10)
        ).all()
    if row is None:
        return {"state": None, "reason": "", "n_today": 0, "active_today_ms": 0, "notes": []}
    return {
        "state": row.state,
        "reason": row.reason,
        "n_today": row.n_today,
        "active_today_ms": row.active_today_ms,
        "notes": [
            {"id": one.id, "kind": one.kind, "text": NUDGES.get(one.kind, ""), "at_ms": one.at_ms,
             "answer": one.answer}
            for one in notes
        ],
    }  # fmt: skip


def alerts_of(work: Work, project_id: str, *, limit: int = MOST, after: str | None = None) -> Page:
    """What a lead may know: alarms that are not private, newest first, with evidence and the answer to it."""
    query = (
        select(alert, user.c.handle)
        .join(user, user.c.id == alert.c.user_id)
        .where(alert.c.project_id == project_id, alert.c.is_private.is_(False))
    )
    if after is not None:
        query = query.where(is_below([alert.c.id], after, str))
    with work.database.read() as connection:
        rows = connection.execute(query.order_by(alert.c.id.desc()).limit(limit + 1)).all()
    page = page_of(rows, limit, lambda row: (row.id,))
    told = [
        {
            "id": row.id,
            "user": row.user_id,
            "handle": row.handle,
            "kind": row.kind,
            "evidence": row.evidence,
            "at_ms": row.at_ms,
            "answer": row.answer,
        }
        for row in page.rows
    ]
    return replace(page, rows=told)


def take_test_anew(work: Work, people: People, project_id: str, user_id: str) -> None:
    """Let somebody who was paused for a decline take the entry test once more; refused to all others."""
    if standing_of(work, project_id, user_id)["reason"] != "decline":
        raise StoreError("only who was paused for a decline takes the test anew; ask your lead")
    people.set_state(user_id, project_id, PersonState.TESTING, by=user_id, reason="anew")


def newest_note(work: Work, project_id: str, user_id: str) -> dict[str, str] | None:
    """What was noticed of somebody in the last hour and is for him alone; or nothing."""
    with work.database.read() as connection:
        row = connection.execute(
            select(alert.c.id, alert.c.kind, alert.c.is_private, alert.c.at_ms)
            .where(alert.c.user_id == user_id, alert.c.project_id == project_id)
            .order_by(alert.c.id.desc())
            .limit(1)
        ).first()
    if row is None or not row.is_private or row.at_ms < work.queue.now_ms() - NOTE_MS:
        return None
    return {"id": row.id, "text": NUDGES.get(row.kind, "")}


def lesson_of(work: Work, assignment_id: str, user_id: str) -> dict[str, Any] | None:
    """What to learn from a training item: whether it was right, what was expected and why; else nothing."""
    found = work.explain(assignment_id, user_id)
    if found is None:
        return None
    labels = {one["id"]: one["label"] for one in work.page_of(assignment_id, user_id)["task"]["questions"]}
    expected = [{"label": labels[name], "words": words} for name, words in found["expected"].items()]
    return {**found, "expected": expected}


def answer_alert(work: Work, alert_id: str, user_id: str, answer: str) -> None:
    """Somebody's own word on what was noticed of him."""
    now = work.queue.now_ms()
    with work.database.write() as connection:
        changed = connection.execute(
            update(alert).where(alert.c.id == alert_id, alert.c.user_id == user_id).values(answer=answer)
        )
        if not changed.rowcount:
            raise LeaseLost(f"there is no alert {alert_id!r} about you")
        append_events(connection, [entry(now, user_id, "answer", "alert", alert_id, {})])


def feedback_of(
    work: Work, project_id: str, user_id: str, *, limit: int = NEWEST, after: str | None = None
) -> Page:
    """Where an adjudicator or reviewer saw it otherwise, with the rule or reason; newest first.

    A page looks at `limit` decisions and may hold fewer, for not all of them differ. Items that became known
    ones are left out, also later: they go on checking others.
    """
    with work.database.read() as connection:
        found = [
            *connection.execute(_decisions(project_id, user_id, limit + 1, after)),
            *connection.execute(_reviews(project_id, user_id, limit + 1, after)),
        ]
        found.sort(key=lambda row: (row.at_ms, row.id), reverse=True)
        page = page_of(found, limit, lambda row: (row.at_ms, row.id))
        said = _said_of(connection, [row for row in page.rows if row.assignment_id is not None])
    told = [
        _reviewed(row) if row.assignment_id is None else _decided(work, said[row.id]) for row in page.rows
    ]
    return replace(page, rows=[one for one in told if one is not None])


def _decided(work: Work, row: Row[Any]) -> dict[str, Any] | None:
    """An adjudication beside what he said; nothing where both say the same."""
    order = row.presentation["permutation"]
    differs = [
        {
            "question": question.shown()["label"],
            "yours": describe_value(question, row.payload["values"][question.id], order),
            "decided": describe_value(question, row.said["values"][question.id], order),
        }
        for question in work.schema(row.schema_id).questions
        if question.id in row.payload["values"]
        and question.id in row.said["values"]
        and verdict_of(row.payload["values"][question.id]) != verdict_of(row.said["values"][question.id])
    ]
    if not differs:
        return None
    return {
        "kind": "adjudication",
        "item_label": first_words(row.body),
        "differs": differs,
        "why": CAUSES[row.cause],
        "rule": row.rule,
        "note": row.note,
        "at_ms": row.at_ms,
    }


def _reviewed(row: Row[Any]) -> dict[str, Any]:
    return {
        "kind": "review",
        "item_label": first_words(row.body),
        "differs": [],
        "why": "; ".join(REASONS.get(one, one) for one in row.reasons),
        "rule": "",
        "note": row.note,
        "at_ms": row.at_ms,
    }


def _decisions(project_id: str, user_id: str, limit: int, after: str | None) -> Select[Any]:
    """Adjudications of what somebody judged: looks through his own work alone, and reads no texts."""
    votes = [one.value for one in Purpose if one.is_vote]
    judged = [one.value for one in AssignmentState if one.has_judgment]
    query = (
        select(adjudication.c.id, adjudication.c.at_ms, assignment.c.id.label("assignment_id"))
        .join(assignment, assignment.c.item_id == adjudication.c.item_id)
        .outerjoin(gold, gold.c.item_id == adjudication.c.item_id)
        .where(
            assignment.c.user_id == user_id,
            assignment.c.project_id == project_id,
            assignment.c.purpose.in_(votes),
            assignment.c.state.in_(judged),
            adjudication.c.judgment_id.is_not(None),
            gold.c.item_id.is_(None),
        )
    )
    return _newest(query, (adjudication.c.at_ms, adjudication.c.id), limit, after)


def _reviews(project_id: str, user_id: str, limit: int, after: str | None) -> Select[Any]:
    """Reviews of somebody's work that were no plain assent."""
    query = (
        select(
            review.c.id, review.c.at_ms, null().label("assignment_id"), review.c.reasons, review.c.note,
            content.c.body,
        )
        .join(item, item.c.id == review.c.item_id)
        .join(content, content.c.hash == item.c.content_hash)
        .outerjoin(gold, gold.c.item_id == item.c.id)
        .where(
            review.c.author_id == user_id, review.c.verdict != "accept", item.c.project_id == project_id,
            gold.c.item_id.is_(None),
        )
    )  # fmt: skip
    return _newest(query, (review.c.at_ms, review.c.id), limit, after)


def _newest(
    query: Select[Any], order: Sequence[ColumnElement[Any]], limit: int, after: str | None
) -> Select[Any]:
    if after is not None:
        query = query.where(is_below(order, after, int, str))
    return query.order_by(*(one.desc() for one in order)).limit(limit)


def _said_of(connection: Connection, decisions: Sequence[Row[Any]]) -> dict[str, Any]:
    """[adjudication's id] What somebody said, what was decided, and of which item."""
    said, later = judgment.alias("said"), judgment.alias("later")
    is_revised = (
        select(later.c.id)
        .where(later.c.assignment_id == judgment.c.assignment_id, later.c.revision > judgment.c.revision)
        .exists()
    )
    rows = connection.execute(
        select(
            adjudication.c.id, adjudication.c.cause, adjudication.c.rule, adjudication.c.note,
            adjudication.c.at_ms, assignment.c.presentation, assignment.c.schema_id, judgment.c.payload,
            said.c.payload.label("said"), content.c.body,
        )
        .join(assignment, assignment.c.item_id == adjudication.c.item_id)
        .join(judgment, and_(judgment.c.assignment_id == assignment.c.id, ~is_revised))
        .join(said, said.c.id == adjudication.c.judgment_id)
        .join(item, item.c.id == adjudication.c.item_id)
        .join(content, content.c.hash == item.c.content_hash)
        .where(
            adjudication.c.id.in_([row.id for row in decisions]),
            assignment.c.id.in_([row.assignment_id for row in decisions]),
        )
    )  # fmt: skip
    return {row.id: row for row in rows}
