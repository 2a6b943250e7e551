"""A finished conversation with live models as one row: what was said, and what was said of each answer."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from accord.feedback.turns import after_turn, kept_answer
from accord.feedback.work import Work
from accord.store.database.live_tables import live_turn
from accord.store.database.tables import assignment, content, item, judgment

Row = dict[str, Any]


def conversation_of(work: Work, row: Mapping[str, Any]) -> Row:
    """`messages` as the conversation stands at its end, `labels`, `outcome` and `topic`.

    A label is a turn: its answers with their models, which one was gone on from, and what was said of them.
    The outcome is the answers to the closing questions.
    """
    messages: list[dict[str, str]] = []
    labels: list[Row] = []
    with work.database.read() as connection:
        body = connection.execute(
            select(content.c.body)
            .join(item, item.c.content_hash == content.c.hash)
            .where(item.c.id == row["item"])
        ).scalar_one()
        found = connection.execute(
            select(
                live_turn.c.number,
                live_turn.c.item_id,
                live_turn.c.assignment_id,
                content.c.body,
                assignment.c.schema_id,
                judgment.c.id.label("judgment_id"),
                judgment.c.payload,
            )
            .join(item, item.c.id == live_turn.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .join(assignment, assignment.c.id == live_turn.c.assignment_id)
            .outerjoin(judgment, judgment.c.assignment_id == live_turn.c.assignment_id)
            .where(live_turn.c.item_id.in_(row["turns"]))
            .order_by(live_turn.c.number, judgment.c.revision)
        ).all()
    newest = {one.number: one for one in found}
    for number, one in sorted(newest.items()):
        values = None if one.payload is None else one.payload["values"]
        schema = work.schema(one.schema_id)
        kept = kept_answer(schema, values, len(one.body["candidates"]), one.assignment_id)
        messages = after_turn(one.body, kept)
        labels.append(
            {
                "turn": number,
                "item": one.item_id,
                "judgment": one.judgment_id,
                "said": one.body["messages"][-1]["content"],
                "answers": one.body["candidates"],
                "kept": kept,
                "values": values,
            }
        )
    return {
        "messages": messages,
        "labels": labels,
        "outcome": row["values"],
        "topic": body.get("topic", ""),
    }
