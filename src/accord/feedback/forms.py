"""Answers from a plain HTML form, for browsers without scripts; the same answers that the scripts send.

A comparison is one field `q.<id>`; what is asked of each place is `q.<id>.<place>`, of each sentence
`q.<id>.<place>.<sentence>`. Spans need a script to be marked; it sends them as JSON in `spans.<id>`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Form = Mapping[str, Sequence[str]]
"""Field to its values, in order."""


def answers_of(questions: Sequence[Mapping[str, Any]], form: Form, n_places: int) -> dict[str, Any]:
    """Question id to answer in screen terms; what was left empty is left out. Checks nothing.

    `questions` are as they are shown.
    """
    found = {}
    for data in questions:
        answer = _answer(data, form, f"q.{data['id']}", n_places)
        if answer is not None:
            found[str(data["id"])] = answer
    return found


def fields_of(answers: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The fields of a form that holds these answers: what `answers_of` would read them from."""
    form: dict[str, list[str]] = {}
    for data in questions:
        answer = answers.get(data["id"])
        if answer is not None:
            form |= _fields(data, answer, f"q.{data['id']}")
    return form


def _fields(data: Mapping[str, Any], answer: Any, name: str) -> dict[str, list[str]]:
    match data["kind"]:
        case "comparison":
            return {name: [str(answer["choice"])]}
        case "ranking":
            return {
                f"{name}.{place}": [str(rank)]
                for rank, group in enumerate(answer["groups"], start=1)
                for place in group
            }
        case "rating" if data["per_candidate"]:
            return {
                f"{name}.{place}": [str(grade)] for place, grade in enumerate(answer) if grade is not None
            }
        case "choice" if data["multiple"]:
            return {name: [str(one) for one in answer]}
        case "support":
            return {
                f"{name}.{place}.{number}": [str(chosen)]
                for place, given in answer.items()
                for number, chosen in enumerate(given)
            }
        case "spans":
            return {f"spans.{data['id']}": [json.dumps(answer, ensure_ascii=False)]}
    return {name: [str(answer)]}


def _answer(data: Mapping[str, Any], form: Form, name: str, n_places: int) -> Any:
    match data["kind"]:
        case "comparison":
            given = _number(form, name)
            return None if given is None else {"choice": given}
        case "ranking":
            return _ranking(form, name, n_places)
        case "rating" if data["per_candidate"]:
            grades = [_number(form, f"{name}.{place}") for place in range(n_places)]
            return None if all(grade is None for grade in grades) else grades
        case "rating":
            return _number(form, name)
        case "choice" if data["multiple"]:
            return list(form.get(name, [])) or None
        case "support":
            return _support(form, name, n_places)
        case "spans":
            return _marks(_text(form, f"spans.{data['id']}"))
    return _text(form, name) or None


def _ranking(form: Form, name: str, n_places: int) -> dict[str, list[list[int]]] | None:
    ranks = {place: _number(form, f"{name}.{place}") for place in range(n_places)}
    used = sorted({rank for rank in ranks.values() if rank is not None})
    groups = [[place for place, rank in ranks.items() if rank == level] for level in used]
    return {"groups": groups} if groups else None


def _support(form: Form, name: str, n_places: int) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {str(place): [] for place in range(n_places)}
    for place, chosen in found.items():
        while given := _text(form, f"{name}.{place}.{len(chosen)}"):
            chosen.append(given)
    return found if any(found.values()) else None


def _marks(text: str) -> Any:
    try:
        return json.loads(text) if text else []
    except ValueError:
        return text


def _text(form: Form, name: str) -> str:
    return next(iter(form.get(name, [])), "")


def _number(form: Form, name: str) -> int | None:
    given = _text(form, name)
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None
