"""What people are given: a guideline that names its principles, and the questions of a project."""

from collections.abc import Iterator
from typing import Any

from accord.pipeline.charter.principles import Charter, Example, Limit, Principle
from accord.pipeline.configuration import dump_table

BROKEN, KEPT = 0, 1
"""The two grades of a limit."""


def guideline(charter: Charter) -> str:
    """A draft of the guideline in Markdown; a heading ends in its principle's id, an anchor on the page."""
    lines = [f"# {charter.name}", ""]
    if charter.purpose.strip():
        lines += [charter.purpose.strip(), ""]
    if charter.limits:
        lines += ["## What no answer may do", ""]
        lines += ["An answer that breaks one of these is bad, however good it is otherwise.", ""]
        for limit in charter.limits:
            lines += _paragraph(limit)
    lines += ["## What makes an answer good", ""]
    if len(charter.principles) > 1:
        lines += ["Where they pull apart, the share says how much each counts.", ""]
    for principle in charter.principles:
        share = charter.parts[principle.id] if len(charter.principles) > 1 else None
        lines += _paragraph(principle, share=share)
    return "\n".join(lines).rstrip() + "\n"


def _paragraph(one: Principle | Limit, *, share: float | None = None) -> Iterator[str]:
    yield from (f"### {one.title} {{#{one.id}}}", "", one.text.strip(), "")
    if share is not None:
        yield from (f"Counts {share:.0%}.", "")
    if isinstance(one, Principle) and one.anchors:
        grades = sorted(one.anchors.items(), key=lambda pair: int(pair[0]))
        yield from (f"- **{grade}**: {text}" for grade, text in grades)
        yield ""
    for example in one.examples:
        yield from _example(example)


def _example(example: Example) -> Iterator[str]:
    rows = (("Asked", example.prompt), ("Good", example.good), ("Bad", example.bad), ("Why", example.why))
    for label, text in rows:
        if text.strip():
            quoted = text.strip().replace("\n", "\n> ")
            yield from (f"> **{label}:** {quoted}", ">")
    yield ""


def rubric(charter: Charter) -> list[dict[str, Any]]:
    """The questions of a task: which answer is better, then a grade for each answer on each principle.

    Limits are graded too, 1 for kept and 0 for broken, so that all are dimensions of the same kind.
    """
    comparison = {"id": "preference", "kind": "comparison", "label": "Which answer is better, all in all?"}
    return [comparison, *map(_limit_question, charter.limits), *map(_grade_question, charter.principles)]


def _grade_question(one: Principle) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": "rating",
        "label": one.title,
        "help": " ".join(one.text.split()),
        "low": one.low,
        "high": one.high,
        "anchors": dict(one.anchors),
        "per_candidate": True,
        "weight": one.weight,
    }


def _limit_question(one: Limit) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": "rating",
        "label": one.title,
        "help": " ".join(one.text.split()),
        "low": BROKEN,
        "high": KEPT,
        "anchors": {str(BROKEN): "Broken", str(KEPT): "Kept"},
        "per_candidate": True,
    }


def project_file(charter: Charter, *, items: str | None = None) -> str:
    """A project file for `accord project create`, guideline included; `items` names the file of its items."""
    values: dict[str, Any] = {
        "name": charter.name,
        "title": "Which answer is better, and how good is each?",
        "overlap": charter.overlap,
        "guideline": guideline(charter),
        "questions": rubric(charter),
    }
    if items is not None:
        values["items"] = items
    return f"# Made from the charter {charter.hash}; change that rather than this.\n" + dump_table(values)
