"""How a project stands: what is done, who did it, and how far people agree, each share with its interval."""

from collections import Counter
from typing import Any

from sqlalchemy import select

from accord.domain.labels import LabelColumns
from accord.feedback.questions import Comparison
from accord.feedback.verdicts import verdict_of
from accord.feedback.work import Work
from accord.quality.agreement import krippendorff_alpha
from accord.quality.labels import tabulate_labels
from accord.quality.people.intervals import wilson_interval
from accord.store.database.states import Purpose
from accord.store.database.tables import assignment, judgment, user
from accord.store.database.workflow_tables import standing

NEWEST = 20_000
"""Judgments the agreement of a dashboard is computed from."""


def describe_project(work: Work, project_id: str) -> dict[str, Any]:
    """Counts by state, annotators with their share of left choices, agreement on the first question."""
    facts = work.progress(project_id)
    later = judgment.alias("later")
    is_revised = (
        select(later.c.id)
        .where(later.c.assignment_id == judgment.c.assignment_id, later.c.revision > judgment.c.revision)
        .exists()
    )
    with work.database.read() as connection:
        rows = connection.execute(
            select(
                judgment.c.item_id,
                judgment.c.payload,
                user.c.handle,
                assignment.c.presentation,
                assignment.c.schema_id,
            )
            .join(assignment, assignment.c.id == judgment.c.assignment_id)
            .join(user, user.c.id == judgment.c.user_id)
            .where(
                assignment.c.project_id == project_id,
                assignment.c.closed_ms.is_not(None),
                ~is_revised,
                assignment.c.purpose != Purpose.REPEAT.value,  # one vote of each person
            )
            .order_by(assignment.c.closed_ms.desc(), assignment.c.id.desc())
            .limit(NEWEST)
        ).all()
    facts["n_judgments"] = len(rows)
    facts["gold"] = score_gold(work, project_id)
    facts["agreement"] = None
    facts["sides"] = None
    if not rows:
        return facts
    # Of conversations turns are compared and the whole is graded: agreement and sides are about turns.
    asked = [work.schema(one).deciding for one in dict.fromkeys(row.schema_id for row in rows)]
    deciding = next((one for one in asked if isinstance(one, Comparison)), asked[0])
    if isinstance(deciding, Comparison):
        values = [row.payload["values"].get(deciding.id) for row in rows]
        kept = [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]
        facts["agreement"] = _agreement([(row.item_id, row.handle, verdict_of(value)) for row, value in kept])
        facts["sides"] = Counter(_side(row, value) for row, value in kept)
    return facts


def _agreement(labels: list[tuple[str, str, str]]) -> dict[str, Any] | None:
    if not labels:
        return None
    items, annotators, values = zip(*labels, strict=True)
    table = tabulate_labels(LabelColumns(items=items, annotators=annotators, values=values))
    alpha = krippendorff_alpha(table)
    return {"value": alpha.value, "low": alpha.low, "high": alpha.high, "reason": alpha.reason}


def _side(row: Any, value: dict[str, Any]) -> str:
    verdict = verdict_of(value)
    if verdict not in ("first", "second"):
        return verdict
    is_first_left = row.presentation["permutation"][0] == 0
    return "left" if (verdict == "first") == is_first_left else "right"


def score_gold(work: Work, project_id: str) -> list[dict[str, Any]]:
    """For each annotator who met hidden known items: how many, how many right, and the share's 95 % Wilson
    interval.

    Right is an answer whose verdict is the expected one on every question that has an expectation. The first
    revision counts, for whoever mends an answer did not know it. Read from the counters of each one's
    standing, however many known items were met; training and the entry test are no part of them.
    """
    with work.database.read() as connection:
        rows = connection.execute(
            select(user.c.handle, standing.c.n_gold, standing.c.n_right)
            .join(user, user.c.id == standing.c.user_id)
            .where(standing.c.project_id == project_id, standing.c.n_gold > 0)
            .order_by(user.c.handle)
        ).all()
    scores = []
    for row in rows:
        bounds = wilson_interval(row.n_right, row.n_gold)
        scores.append(
            {
                "handle": row.handle,
                "n": row.n_gold,
                "n_right": row.n_right,
                "low": float(bounds.low),
                "high": float(bounds.high),
            }
        )
    return scores
