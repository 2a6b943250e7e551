"""Judgments as files: raw with all that is known of them, or comparisons as the quality engine reads them."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from accord.feedback.questions import Comparison
from accord.feedback.work import PAGE, Work
from accord.store.database.states import Purpose
from accord.store.database.tables import content, item

FORMATS = ("raw", "comparisons")


def export_lines(work: Work, project_id: str, kind: str, *, after: int = 0) -> Iterator[str]:
    """JSON lines in the order in which judgments came in, read page by page.

    `raw` holds every revision. `comparisons` holds the last revision of each, with `prompt`, `left` and
    `right` as they stood on screen, `choice`, `annotator_id`, `source`, and the `strength` of the grade;
    known items are left out, so that none of them is trained on.
    """
    last: dict[str, int] = {}
    if kind == "comparisons":
        for row in _rows(work, project_id, after):
            last[row["assignment"]] = row["revision"]
    for row in _rows(work, project_id, after):
        if kind == "raw":
            yield _line(row)
        elif last[row["assignment"]] == row["revision"] and row["purpose"] != Purpose.GOLD:
            compared = _comparison(work, row)
            if compared is not None:
                yield _line(compared)


def _rows(work: Work, project_id: str, after: int) -> Iterator[dict[str, Any]]:
    while page := work.judgments(project_id, after):
        yield from page
        after = page[-1]["seq"]
        if len(page) < PAGE:
            return


def _comparison(work: Work, row: dict[str, Any]) -> dict[str, Any] | None:
    deciding = work.schema(row["schema"]).deciding
    value = row["values"].get(deciding.id)
    if not isinstance(deciding, Comparison) or value is None:
        return None
    with work.database.read() as connection:
        body = connection.execute(
            select(content.c.body)
            .join(item, item.c.content_hash == content.c.hash)
            .where(item.c.id == row["item"])
        ).scalar_one()
    texts = [body["candidates"][candidate]["text"] for candidate in row["permutation"]]
    is_as_stored = row["permutation"][0] == 0
    leftward = value["strength"] if is_as_stored else -value["strength"]
    choice = "left" if leftward > 0 else "right" if leftward < 0 else "tie"
    return {
        "prompt": body["messages"],
        "left": texts[0],
        "right": texts[1],
        "choice": "both_bad" if value["both_bad"] else choice,
        "annotator_id": row["annotator"],
        "source": row["source"],
        "strength": leftward,
        "judgment_id": row["id"],
    }


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
