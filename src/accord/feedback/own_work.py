"""What people get to know of their own work: how they stand, what was noticed, what was decided otherwise.

Known items never show here: whoever learns from this page which items were checks would answer only those.
"""

from typing import Any

from sqlalchemy import select, update

from accord.domain.errors import LeaseLost
from accord.feedback.describing import describe_value
from accord.feedback.standing import NUDGES
from accord.feedback.verdicts import verdict_of
from accord.feedback.work import Work, first_words
from accord.feedback.workflow import CAUSES, REASONS
from accord.store.database.audit import append_events
from accord.store.database.slots import entry
from accord.store.database.states import Purpose
from accord.store.database.tables import assignment, content, gold, item, judgment, user
from accord.store.database.workflow_tables import adjudication, alert, review, standing

NEWEST = 50
"""Decisions looked at, newest first."""


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


def alerts_of(work: Work, project_id: str) -> list[dict[str, Any]]:
    """What a lead may know: alarms that are not private, newest first, with evidence and the answer to it."""
    with work.database.read() as connection:
        rows = connection.execute(
            select(alert, user.c.handle)
            .join(user, user.c.id == alert.c.user_id)
            .where(alert.c.project_id == project_id, alert.c.is_private.is_(False))
            .order_by(alert.c.id.desc())
            .limit(200)
        ).all()
    return [
        {
            "id": row.id,
            "user": row.user_id,
            "handle": row.handle,
            "kind": row.kind,
            "evidence": row.evidence,
            "at_ms": row.at_ms,
            "answer": row.answer,
        }
        for row in rows
    ]


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


def feedback_of(work: Work, project_id: str, user_id: str) -> list[dict[str, Any]]:
    """Where an adjudicator or reviewer saw it otherwise, with the rule or reason; newest first.

    Items that became known ones are left out, also later: they go on checking others.
    """
    with work.database.read() as connection:
        decided = _decisions(connection, project_id, user_id)
        reviewed = _reviews(connection, project_id, user_id)
    found = []
    for row in decided:
        schema = work.schema(row.schema_id)
        order = row.presentation["permutation"]
        differs = [
            {
                "question": question.shown()["label"],
                "yours": describe_value(question, row.payload["values"][question.id], order),
                "decided": describe_value(question, row.said["values"][question.id], order),
            }
            for question in schema.questions
            if question.id in row.payload["values"]
            and question.id in row.said["values"]
            and verdict_of(row.payload["values"][question.id]) != verdict_of(row.said["values"][question.id])
        ]
        if differs:
            found.append(
                {
                    "kind": "adjudication",
                    "item_label": first_words(row.body),
                    "differs": differs,
                    "why": CAUSES[row.cause],
                    "rule": row.rule,
                    "note": row.note,
                    "at_ms": row.at_ms,
                }
            )
    found += [
        {
            "kind": "review",
            "item_label": first_words(row.body),
            "differs": [],
            "why": "; ".join(REASONS.get(one, one) for one in row.reasons),
            "rule": "",
            "note": row.note,
            "at_ms": row.at_ms,
        }
        for row in reviewed
    ]
    return sorted(found, key=lambda one: -int(one["at_ms"]))


def _decisions(connection: Any, project_id: str, user_id: str) -> list[Any]:
    said = judgment.alias("said")
    later = judgment.alias("later")
    is_revised = (
        select(later.c.id)
        .where(later.c.assignment_id == judgment.c.assignment_id, later.c.revision > judgment.c.revision)
        .exists()
    )
    votes = [one.value for one in Purpose if one.is_vote]
    return list(
        connection.execute(
            select(
                judgment.c.payload, assignment.c.presentation, assignment.c.schema_id, content.c.body,
                said.c.payload.label("said"), adjudication.c.cause, adjudication.c.rule,
                adjudication.c.note, adjudication.c.at_ms,
            )
            .join(assignment, assignment.c.id == judgment.c.assignment_id)
            .join(adjudication, adjudication.c.item_id == judgment.c.item_id)
            .join(said, said.c.id == adjudication.c.judgment_id)
            .join(item, item.c.id == judgment.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .outerjoin(gold, gold.c.item_id == item.c.id)
            .where(
                judgment.c.user_id == user_id, item.c.project_id == project_id,
                assignment.c.purpose.in_(votes), gold.c.item_id.is_(None), ~is_revised,
            )
            .order_by(adjudication.c.at_ms.desc())
            .limit(NEWEST)
        ).all()
    )  # fmt: skip


def _reviews(connection: Any, project_id: str, user_id: str) -> list[Any]:
    return list(
        connection.execute(
            select(review.c.reasons, review.c.note, review.c.at_ms, content.c.body)
            .join(item, item.c.id == review.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .outerjoin(gold, gold.c.item_id == item.c.id)
            .where(
                review.c.author_id == user_id,
                review.c.verdict != "accept",
                item.c.project_id == project_id,
                gold.c.item_id.is_(None),
            )
            .order_by(review.c.at_ms.desc())
            .limit(NEWEST)
        ).all()
    )
