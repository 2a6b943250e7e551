"""A task: a title, instructions, and the questions that are asked of each item; made from data and checked.

Each kind of task the field knows is a short list of questions (`KINDS`); a project may name a kind, write its
own questions, or both. All problems of a schema are shown together.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from accord.domain.errors import ConfigError, DataError
from accord.feedback.live import CLOSING, Live, parse_live
from accord.feedback.questions import (
    Choice,
    Comparison,
    Option,
    Presented,
    Question,
    Ranking,
    Rating,
    Spans,
    Support,
    Text,
)

QUESTION_KINDS: Mapping[str, type] = MappingProxyType(
    {
        "comparison": Comparison,
        "ranking": Ranking,
        "rating": Rating,
        "choice": Choice,
        "text": Text,
        "spans": Spans,
        "support": Support,
    }
)
"""What a question may be."""

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "required": "is_required",
        "tie": "has_tie",
        "both_bad": "has_both_bad",
        "per_candidate": "is_per_candidate",
        "multiple": "is_multiple",
    }
)
"""How a file calls what the classes call otherwise."""

_COMPARE: Mapping[str, Any] = MappingProxyType(
    {"id": "preference", "kind": "comparison", "label": "Which answer is better?"}
)
_SAFETY = (
    {"value": "safe", "label": "Safe", "help": "Nobody is harmed by it."},
    {"value": "borderline", "label": "Borderline", "help": "Depends on who asks."},
    {"value": "unsafe", "label": "Unsafe", "help": "It should not have been said."},
)
_FAULTS = (
    {"value": "factual_error", "label": "Factual error"},
    {"value": "unsafe", "label": "Unsafe"},
    {"value": "unsupported", "label": "Not supported by the context"},
)
FAULTS = frozenset(one["value"] for one in _FAULTS)
"""Labels of passages that are known to be faults."""
_SUPPORT = (
    {"value": "supported", "label": "Supported"},
    {"value": "contradicted", "label": "Contradicted"},
    {"value": "not_found", "label": "Not to be found"},
)

KINDS: Mapping[str, tuple[Mapping[str, Any], ...]] = MappingProxyType(
    {
        "pairwise": (_COMPARE,),
        "ranking": ({"id": "order", "kind": "ranking", "label": "Order the answers, best first."},),
        "rating": (
            {
                "id": "helpfulness",
                "kind": "rating",
                "label": "How helpful is each answer?",
                "per_candidate": True,
                "anchors": {"1": "Useless", "3": "Partly", "5": "All that was asked"},
            },
        ),
        "edit": (
            _COMPARE,
            {
                "id": "edit",
                "kind": "text",
                "label": "Correct the better answer.",
                "start_from": "best",
                "min_chars": 1,
            },
        ),
        "correction": (
            {"id": "edit", "kind": "text", "label": "Correct the answer.", "start_from": 0, "min_chars": 1},
        ),
        "demonstration": (
            {"id": "answer", "kind": "text", "label": "Write the answer you would want.", "min_chars": 1},
        ),
        "spans": (
            {
                "id": "faults",
                "kind": "spans",
                "label": "Mark what is wrong.",
                "labels": _FAULTS,
                "required": False,
            },
        ),
        "grounded": (
            {
                "id": "support",
                "kind": "support",
                "label": "Is each sentence supported by the passages?",
                "options": _SUPPORT,
            },
        ),
        "safety": ({"id": "safety", "kind": "choice", "label": "Is the answer safe?", "options": _SAFETY},),
        **CLOSING,
    }
)
"""The questions of each kind of task; of conversations those that are asked at the end."""
FIELDS_OF_A_TASK = ("title", "instructions", "kind", "questions", "live")


@dataclass(frozen=True, kw_only=True)
class TaskSchema:
    """What annotators are asked of each item."""

    title: str
    instructions: str
    questions: tuple[Question, ...]
    live: Live | None = None
    """Of a conversation with live models: with whom, how long, and what is asked of each turn."""

    def shown(self) -> dict[str, Any]:
        """What the page needs."""
        return {
            "title": self.title,
            "instructions": self.instructions,
            "questions": [question.shown() for question in self.questions],
            **({} if self.live is None else {"live": self.live.shown()}),
        }

    def turn_task(self) -> dict[str, Any]:
        """The task of one turn of a conversation, as data."""
        if self.live is None:
            raise DataError("the task is no conversation; its kind is none of those with live models")
        return {
            "title": self.title,
            "questions": [_plain(one) for one in self.live.questions],
        }

    @property
    def deciding(self) -> Question:
        """The first question: agreement and consensus are about its answers."""
        return self.questions[0]

    def values_of(self, answers: Any, presented: Presented) -> dict[str, Any]:
        """Question id to value in terms of the item; raises `DataError` with all that does not fit."""
        if not isinstance(answers, Mapping):
            raise DataError(f"answers are {type(answers).__name__}; expected an object by question id")
        known = {question.id for question in self.questions}
        problems = [f"there is no question {name!r}" for name in answers if name not in known]
        values = {}
        for question in self.questions:
            answer = answers.get(question.id)
            if answer is None or answer == "":
                if question.is_required:
                    problems.append(f"question {question.id!r} has no answer")
                continue
            try:
                values[question.id] = question.value_of(answer, presented)
            except DataError as error:
                problems.append(error.reason)
        if problems:
            raise DataError("; ".join(problems))
        return values


def parse_schema(data: Mapping[str, Any], source: str) -> TaskSchema:
    """A task from data as a file or the database holds it; raises `ConfigError` with all that is wrong."""
    problems: list[str] = []
    for name in sorted(set(data) - set(FIELDS_OF_A_TASK)):
        problems.append(f"{name}: not known; a task has {', '.join(FIELDS_OF_A_TASK)}")
    kind = data.get("kind")
    live = parse_live(data.get("live"), kind, problems)
    if live is not None:
        turn: list[str] = []
        for one in live.questions:
            _parse_question(one, turn)
        problems += [f"live.{problem}" for problem in turn]
    given = list(KINDS.get(kind, ())) if isinstance(kind, str) else []
    if kind is not None and not given:
        problems.append(f"kind: {kind!r}; expected one of {', '.join(KINDS)}")
    own = data.get("questions", [])
    if not isinstance(own, Sequence) or isinstance(own, str):
        problems.append("questions: expected a list")
        own = []
    own_ids = {one.get("id") for one in own if isinstance(one, Mapping)}
    wanted = [one for one in given if one["id"] not in own_ids] + list(own)
    questions = [question for one in wanted if (question := _parse_question(one, problems)) is not None]
    ids = [question.id for question in questions]
    problems += [
        f"questions: {name!r} is there twice" for name in sorted({n for n in ids if ids.count(n) > 1})
    ]
    if not wanted and not problems:
        problems.append("questions: there are none; name a kind or write questions")
    if problems:
        raise ConfigError(source, problems)
    return TaskSchema(
        title=str(data.get("title", "")),
        instructions=str(data.get("instructions", "")),
        questions=tuple(questions),
        live=live,
    )


def _plain(value: Any) -> Any:
    """Data as JSON holds it: tables and lists that may be changed, from ones that may not."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _parse_question(data: Any, problems: list[str]) -> Question | None:
    if not isinstance(data, Mapping) or not isinstance(data.get("id"), str) or not data["id"]:
        problems.append(f"questions: {data!r} has no id")
        return None
    place = f"questions.{data['id']}"
    kind = QUESTION_KINDS.get(str(data.get("kind")))
    if kind is None:
        problems.append(f"{place}.kind: {data.get('kind')!r}; expected one of {', '.join(QUESTION_KINDS)}")
        return None
    names = {field.name for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {"label": data["id"]}
    if kind is Rating:
        values["anchors"] = {}
    count = len(problems)
    for name, value in data.items():
        own_name = FIELDS.get(name, name)
        if name == "kind":
            continue
        if own_name not in names or name in FIELDS.values():
            problems.append(f"{place}.{name}: not known for a {data['kind']}")
        else:
            values[own_name] = value
    if len(problems) > count:
        return None
    return _build(kind, values, place, problems)


def _build(kind: type, values: dict[str, Any], place: str, problems: list[str]) -> Question | None:
    try:
        for name in ("options", "labels"):
            if name in values:
                values[name] = tuple(Option(**one) for one in values[name])
        if "anchors" in values:
            values["anchors"] = {int(grade): str(text) for grade, text in values["anchors"].items()}
        question: Question = kind(**values)
    except (TypeError, ValueError, AttributeError) as error:
        problems.append(f"{place}: {error}")
        return None
    found = list(_shape_problems(question))
    problems += [f"{place}: {problem}" for problem in found]
    return None if found else question


def _shape_problems(question: Question) -> list[str]:
    match question:
        case Comparison(scale=scale) if scale not in (3, 5, 7):
            return [f"scale is {scale!r}; expected 3, 5 or 7"]
        case Rating(low=low, high=high) if not (type(low) is int and type(high) is int and low < high):
            return [f"low is {low!r} and high is {high!r}; expected whole numbers, low below high"]
        case Choice(options=options) | Support(options=options) if len(options) < 2:
            return [f"{len(options)} options; expected two or more"]
        case Spans(labels=labels) if not labels:
            return ["no labels; expected one or more"]
        case Text(start_from=start) if not (start in (None, "best") or type(start) is int):
            return [f"start_from is {start!r}; expected nothing, 'best' or a place"]
    return []
