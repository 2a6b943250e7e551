"""Judgments as files: raw, as the quality engine reads them, or as trainers read them.

Trainers' formats leave out known items and earlier revisions; each row keeps annotator, source and judgment.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any

from sqlalchemy import func, select

from accord.feedback.items import sentence_bounds
from accord.feedback.questions import Choice, Comparison, Ranking, Rating, Spans, Support, Text
from accord.feedback.schema import FAULTS, TaskSchema
from accord.feedback.transcripts import conversation_of
from accord.feedback.work import PAGE, Work
from accord.store.database.recall import voided
from accord.store.database.states import Mark, Purpose
from accord.store.database.tables import chain, chain_head, content, item, judgment

Row = dict[str, Any]
TEXTS_AT_A_TIME = 200
"""Judgments whose items' texts are read together."""


def export_lines(
    work: Work, project_id: str, kind: str, *, after: int = 0, has_voided: bool = False
) -> Iterator[str]:
    """JSON lines in the order in which judgments came in, read page by page; `kind` is one of `FORMATS`.

    `raw` holds every revision, with its purpose and status. All others hold the last revision of each and
    leave out what is not to be trained on: known items, repeats, training, tests, what a review took back,
    and, without `has_voided`, what was called back.

    - `comparisons`: `prompt`, `left` and `right` as they stood on screen, `choice`, and the `strength`;
    - `preference`: `prompt`, `chosen`, `rejected`, of comparisons that took a side and of corrections, where
      the corrected text is chosen over the one it came from;
    - `unpaired`: `prompt`, `completion`, `label`, of comparisons; of two that are both bad each is False, and
      ties say nothing;
    - `prompt-completion`: what was written, demonstrations and corrections;
    - `ranking`: `prompt`, `completions`, and `groups` of their places, best first;
    - `stepwise`: `prompt`, `completions` (the sentences of one answer), `labels`, `dimension`: a row for each
      answer and question about its sentences. One held against passages is True where the question's first
      option was chosen; one searched for faults is True where no mark touches it. Marks of other labels than
      those of the kind `spans` are no row, for nobody says whether they are faults;
    - `choices`: `prompt`, `completions`, `question`, `choice`, and the item's `meta`: a row for each choice;
    - `conversations`: `messages`, `labels` of its turns, `outcome`, and `topic`: a row for each conversation
      with a live model that was finished; preferences of its turns are rows of the formats above;
    - `ratings`: `prompt`, `completion`, `rating`, `dimension`: a row for each answer and question of grades.
    """
    if kind == "raw":
        for page in _pages(work, project_id, after):
            yield from map(line_of, page)
        return
    gone = {} if has_voided else voided(work.database)
    kept = (row for row in last_rows(work, project_id, after=after) if row["id"] not in gone)
    while rows := list(islice(kept, TEXTS_AT_A_TIME)):
        bodies = {} if kind == "conversations" else _contents(work, {row["item"] for row in rows})
        for row in rows:
            schema = work.schema(row["schema"])
            known = {"annotator_id": row["annotator"], "source": row["source"], "judgment_id": row["id"]}
            if kind != "conversations":
                for made in SHAPES[kind](schema, row, bodies[row["item"]]):
                    yield line_of({**made, **known})
            elif schema.live is not None:
                yield line_of({**conversation_of(work, row), **known})


def last_rows(work: Work, project_id: str, *, after: int = 0, upto: int | None = None) -> Iterator[Row]:
    """The last revision of each judgment that may be trained on, in order; `upto` ends it at an event.

    Which revision is last is asked of the same stretch of events, without `upto` up to where the chain ends
    now, so that a later one changes nothing.
    """
    with work.database.read() as connection:
        head = connection.execute(select(chain_head.c.number)).scalar_one()
    end = head if upto is None else upto
    for page in _pages(work, project_id, after, upto):
        last = _last_revisions(work, [row["assignment"] for row in page], end)
        for row in page:
            if row["seq"] > end:
                return
            if last.get(row["assignment"], 1) == row["revision"] and is_for_training(row):
                yield row


def _last_revisions(work: Work, assignments: Sequence[str], end: int) -> dict[str, int]:
    """The last revision, up to an event, of those assignments whose judgments were revised."""
    revised = (
        select(judgment.c.assignment_id, func.max(judgment.c.revision))
        .join(chain, chain.c.entity_id == judgment.c.id)
        .where(
            judgment.c.assignment_id.in_(assignments), judgment.c.revision > 1, chain.c.number <= end,
            chain.c.entity == "judgment", chain.c.action == "submit",
        )
        .group_by(judgment.c.assignment_id)
    )  # fmt: skip
    with work.database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(revised)}


def is_for_training(row: Mapping[str, Any]) -> bool:
    """Whether a judgment may be trained on: it is live, checks nobody, and its item is no known one."""
    is_live = row["status"] == Mark.LIVE
    return is_live and not row["is_known"] and Purpose(row["purpose"]).is_trained_on


def _pages(work: Work, project_id: str, after: int, upto: int | None = None) -> Iterator[list[Row]]:
    while page := work.judgments(project_id, after, upto=upto):
        yield page
        after = page[-1]["seq"]
        if len(page) < PAGE:
            return


def _contents(work: Work, items: Iterable[str]) -> dict[str, Row]:
    """[item's id] What it shows."""
    with work.database.read() as connection:
        rows = connection.execute(
            select(item.c.id, content.c.body)
            .join(content, item.c.content_hash == content.c.hash)
            .where(item.c.id.in_(sorted(items)))
        )
        return {row.id: row.body for row in rows}


def _compared(schema: TaskSchema, row: Row) -> Mapping[str, Any] | None:
    """The answer to the deciding question where that compares."""
    value: Mapping[str, Any] | None = row["values"].get(schema.deciding.id)
    return value if isinstance(schema.deciding, Comparison) else None


def _comparisons(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    value = _compared(schema, row)
    if value is None:
        return
    texts = [body["candidates"][candidate]["text"] for candidate in row["permutation"]]
    is_as_stored = row["permutation"][0] == 0
    leftward = value["strength"] if is_as_stored else -value["strength"]
    choice = "left" if leftward > 0 else "right" if leftward < 0 else "tie"
    yield {
        "prompt": body["messages"],
        "left": texts[0],
        "right": texts[1],
        "choice": "both_bad" if value["both_bad"] else choice,
        "strength": leftward,
    }


def _preferences(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    value = _compared(schema, row)
    better = None if value is None or not value["strength"] else int(value["strength"] < 0)
    if better is not None and value is not None:
        yield {
            **_sides(body, _text(body, better), _text(body, 1 - better)),
            "strength": abs(value["strength"]),
        }
    for question in schema.questions:
        if not isinstance(question, Text) or question.id not in row["values"]:
            continue
        start = question.start_from
        base = better if start == "best" else row["permutation"][start] if isinstance(start, int) else None
        written = row["values"][question.id]
        if base is not None and written != _text(body, base):
            yield _sides(body, written, _text(body, base))


def _unpaired(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    value = _compared(schema, row)
    if value is None or not (value["strength"] or value["both_bad"]):
        return
    for candidate in (0, 1):
        is_good = value["strength"] > 0 if candidate == 0 else value["strength"] < 0
        yield {
            "prompt": body["messages"],
            "completion": _answer(_text(body, candidate)),
            "label": is_good,
        }


def _written(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    for question in schema.questions:
        # Without candidates a text is a demonstration; with them only what starts from one is an answer.
        is_answer = isinstance(question, Text) and (question.start_from is not None or not body["candidates"])
        if is_answer and question.id in row["values"]:
            yield {"prompt": body["messages"], "completion": _answer(row["values"][question.id])}


def _rankings(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    groups = row["values"].get(schema.deciding.id)
    if isinstance(schema.deciding, Ranking) and groups is not None:
        completions = [_answer(one["text"]) for one in body["candidates"]]
        yield {"prompt": body["messages"], "completions": completions, "groups": groups}


def _ratings(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    for question in schema.questions:
        value = row["values"].get(question.id)
        if not isinstance(question, Rating) or value is None:
            continue
        # A grade of the whole says whose it is only where there is one answer.
        grades = value if question.is_per_candidate else [value] if len(body["candidates"]) == 1 else []
        for candidate, grade in enumerate(grades):
            yield {
                "prompt": body["messages"],
                "completion": _answer(_text(body, candidate)),
                "rating": grade,
                "dimension": question.id,
            }


def _steps(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    messages = body["messages"]
    is_plain = len(messages) == 1 and messages[0]["role"] == "user"
    for question in schema.questions:
        value = row["values"].get(question.id)
        if value is None:
            continue
        for candidate in range(len(body["candidates"])):
            text = _text(body, candidate)
            bounds = sentence_bounds(text)
            if isinstance(question, Support):
                labels = [one == question.options[0].value for one in value[candidate]]
            elif isinstance(question, Spans) and FAULTS.issuperset(one.value for one in question.labels):
                marks = [(one["start"], one["end"]) for one in value if one["candidate"] == candidate]
                labels = [
                    not any(start < end and begin < stop for begin, end in marks) for start, stop in bounds
                ]
            else:
                break
            if bounds:
                yield {
                    "prompt": messages[0]["content"] if is_plain else messages,
                    "completions": [text[start:stop] for start, stop in bounds],
                    "labels": labels,
                    "dimension": question.id,
                }


def _choices(schema: TaskSchema, row: Row, body: Row) -> Iterator[Row]:
    for question in schema.questions:
        if isinstance(question, Choice) and question.id in row["values"]:
            yield {
                "prompt": body["messages"],
                "completions": [_answer(one["text"]) for one in body["candidates"]],
                "question": question.id,
                "choice": row["values"][question.id],
                "meta": body.get("meta"),
            }


SHAPES: Mapping[str, Callable[[TaskSchema, Row, Row], Iterator[Row]]] = MappingProxyType(
    {
        "comparisons": _comparisons,
        "preference": _preferences,
        "unpaired": _unpaired,
        "prompt-completion": _written,
        "ranking": _rankings,
        "ratings": _ratings,
        "stepwise": _steps,
        "choices": _choices,
    }
)
"""What each format makes of one judgment."""
FORMATS = ("raw", *SHAPES, "conversations")


def _text(body: Row, candidate: int) -> str:
    return str(body["candidates"][candidate]["text"])


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _sides(body: Row, chosen: str, rejected: str) -> Row:
    return {"prompt": body["messages"], "chosen": _answer(chosen), "rejected": _answer(rejected)}


def line_of(row: Row) -> str:
    """A row as one line of JSON, the same bytes for the same row."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
