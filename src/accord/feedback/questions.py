"""What an annotator may be asked of what is on screen, and what an answer means.

A question is data; each kind knows how it is shown, which answers it takes, and how an answer in screen
terms (places, left to right) becomes a value in terms of the item (candidates, in their stored order). The
value is computed here, on the server, from the order that was stored before the page was sent. Leaves out
who is asked, and when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from accord.domain.errors import DataError

BOTH_BAD = 0
"""The choice of a comparison that says neither answer will do."""
MAX_TEXT = 100_000
"""Characters of a written answer, unless the question says less."""


@dataclass(frozen=True, kw_only=True)
class Presented:
    """What was on screen, in the order in which it stood there."""

    candidates: tuple[str, ...]
    """[place] The text that stood there."""
    permutation: tuple[int, ...]
    """[place] Which candidate that was."""
    sentences: tuple[tuple[tuple[int, int], ...], ...] = ()
    """[place][sentence] Where it begins and ends, in characters."""


class Question(Protocol):
    """One thing that is asked."""

    @property
    def id(self) -> str:
        """Names the question within its task."""
        ...

    @property
    def is_required(self) -> bool:
        """True where a judgment without it is refused."""
        ...

    def shown(self) -> dict[str, Any]:
        """What the page needs to ask it."""
        ...

    def value_of(self, answer: Any, presented: Presented) -> Any:
        """The answer in terms of the item's candidates; raises `DataError` for one that does not fit."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Asked:
    id: str
    label: str
    help: str = ""
    is_required: bool = True

    def _head(self, kind: str, **rest: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": kind,
            "label": self.label,
            "help": self.help,
            "required": self.is_required,
            **rest,
        }

    def _refuse(self, answer: Any, expected: str) -> DataError:
        seen = repr(answer)
        seen = seen if len(seen) <= 80 else seen[:77] + "..."
        return DataError(f"question {self.id!r}: the answer is {seen}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class Comparison(_Asked):
    """Which of two answers is better, and how clearly."""

    scale: int = 7
    """Grades from the left clearly better (1) to the right clearly better; odd, the middle one is a tie."""
    has_tie: bool = True
    """Whether the middle grade may be chosen."""
    has_both_bad: bool = True
    """Whether 0, neither will do, may be chosen."""

    def shown(self) -> dict[str, Any]:
        """Scale and which of the undecided answers are offered."""
        return self._head("comparison", scale=self.scale, tie=self.has_tie, both_bad=self.has_both_bad)

    def value_of(self, answer: Any, presented: Presented) -> dict[str, Any]:
        """`strength`, above 0 where candidate 0 is better and below where candidate 1 is; `both_bad`."""
        choice = answer.get("choice") if isinstance(answer, Mapping) else None
        middle = (self.scale + 1) // 2
        allowed = [
            grade
            for grade in range(self.scale + 1)
            if (grade != BOTH_BAD or self.has_both_bad) and (grade != middle or self.has_tie)
        ]
        if isinstance(choice, bool) or choice not in allowed:
            raise self._refuse(answer, f'{{"choice": one of {", ".join(map(str, allowed))}}}')
        if choice == BOTH_BAD:
            return {"strength": 0, "both_bad": True}
        left_better = middle - int(choice)
        is_as_stored = presented.permutation[0] == 0
        return {"strength": left_better if is_as_stored else -left_better, "both_bad": False}


@dataclass(frozen=True, kw_only=True)
class Ranking(_Asked):
    """Several answers, best first; ties share a group and what is not ranked is left out."""

    def shown(self) -> dict[str, Any]:
        """Nothing beyond the question."""
        return self._head("ranking")

    def value_of(self, answer: Any, presented: Presented) -> list[list[int]]:
        """Groups of candidates, best first."""
        groups = answer.get("groups") if isinstance(answer, Mapping) else None
        expected = '{"groups": [[place, ...], ...]} with each place at most once and no empty group'
        if not isinstance(groups, Sequence) or isinstance(groups, str) or not groups:
            raise self._refuse(answer, expected)
        if not all(isinstance(group, Sequence) and not isinstance(group, str) and group for group in groups):
            raise self._refuse(answer, expected)
        places = [place for group in groups for place in group]
        if not all(_is_place(place, presented) for place in places) or len(set(places)) != len(places):
            raise self._refuse(answer, expected)
        return [sorted(presented.permutation[place] for place in group) for group in groups]


@dataclass(frozen=True, kw_only=True)
class Rating(_Asked):
    """A grade on a dimension, of each answer or of the whole."""

    low: int = 1
    """The worst grade."""
    high: int = 5
    """The best grade."""
    anchors: Mapping[int, str]
    """Grade to what it means; not every grade needs one."""
    is_per_candidate: bool = False
    """Whether each answer gets its own grade."""
    weight: float = 1.0
    """Of the dimension in a total score."""

    def shown(self) -> dict[str, Any]:
        """Scale with its anchors."""
        anchors = {str(grade): text for grade, text in self.anchors.items()}
        return self._head(
            "rating", low=self.low, high=self.high, anchors=anchors, per_candidate=self.is_per_candidate
        )

    def value_of(self, answer: Any, presented: Presented) -> int | list[int]:
        """The grade, or one for each candidate."""
        if not self.is_per_candidate:
            if not self._is_grade(answer):
                raise self._refuse(answer, f"a whole number from {self.low} to {self.high}")
            return int(answer)
        places = len(presented.permutation)
        if not isinstance(answer, list) or len(answer) != places or not all(map(self._is_grade, answer)):
            raise self._refuse(answer, f"{places} whole numbers from {self.low} to {self.high}")
        return [int(grade) for grade in _by_candidate(answer, presented)]

    def _is_grade(self, answer: Any) -> bool:
        return isinstance(answer, int) and not isinstance(answer, bool) and self.low <= answer <= self.high


@dataclass(frozen=True, kw_only=True)
class Option:
    """Something that can be chosen."""

    value: str
    label: str
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice(_Asked):
    """One label, or several, from a list."""

    options: tuple[Option, ...]
    """What can be chosen."""
    is_multiple: bool = False
    """Whether several may be chosen together."""

    def shown(self) -> dict[str, Any]:
        """The options."""
        return self._head("choice", options=_options(self.options), multiple=self.is_multiple)

    def value_of(self, answer: Any, presented: Presented) -> str | list[str]:
        """The value chosen; several are sorted."""
        known = [option.value for option in self.options]
        if not self.is_multiple:
            if answer not in known:
                raise self._refuse(answer, "one of " + ", ".join(known))
            return str(answer)
        if not isinstance(answer, list) or any(value not in known for value in answer):
            raise self._refuse(answer, "a list of " + ", ".join(known))
        return sorted(set(answer))


@dataclass(frozen=True, kw_only=True)
class Text(_Asked):
    """Something written: a demonstration, a correction of an answer, a reason."""

    min_chars: int = 0
    """Fewest characters, spaces at both ends not counted."""
    max_chars: int = MAX_TEXT
    """Most characters."""
    start_from: str | int | None = None
    """What stands in the field at first: nothing, the `best` answer, or the one at a place."""

    def shown(self) -> dict[str, Any]:
        """Limits and what the field starts with."""
        return self._head(
            "text", min_chars=self.min_chars, max_chars=self.max_chars, start_from=self.start_from
        )

    def value_of(self, answer: Any, presented: Presented) -> str:
        """The text as it was written."""
        if not isinstance(answer, str):
            raise self._refuse(answer, "a text")
        length = len(answer.strip())
        if not self.min_chars <= length <= self.max_chars:
            expected = f"{self.min_chars} to {self.max_chars} characters, these are {length}"
            raise self._refuse(answer, expected)
        return answer


@dataclass(frozen=True, kw_only=True)
class Spans(_Asked):
    """Passages of an answer that carry a label: a factual error, something unsafe."""

    labels: tuple[Option, ...]
    """What a passage can be marked as."""

    def shown(self) -> dict[str, Any]:
        """The labels."""
        return self._head("spans", labels=_options(self.labels))

    def value_of(self, answer: Any, presented: Presented) -> list[dict[str, Any]]:
        """Marks with candidate, begin, end, quote, label and note, in the order of the text."""
        if not isinstance(answer, list):
            raise self._refuse(answer, "a list of marks")
        marks = [self._mark(mark, presented) for mark in answer]
        return sorted(marks, key=lambda mark: (mark["candidate"], mark["start"], mark["end"], mark["label"]))

    def _mark(self, mark: Any, presented: Presented) -> dict[str, Any]:
        known = [option.value for option in self.labels]
        expected = f"place, start, end inside the text, label one of {', '.join(known)}"
        if not isinstance(mark, Mapping) or not _is_place(mark.get("place"), presented):
            raise self._refuse(mark, expected)
        text = presented.candidates[mark["place"]]
        start, end, note = mark.get("start"), mark.get("end"), mark.get("note", "")
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
            raise self._refuse(mark, expected)
        if mark.get("label") not in known:
            raise self._refuse(mark, expected)
        if not isinstance(note, str) or len(note) > MAX_TEXT:
            raise self._refuse(mark, "a note that is a text")
        return {
            "candidate": presented.permutation[mark["place"]],
            "start": start,
            "end": end,
            "quote": text[start:end],
            "label": mark["label"],
            "note": note,
        }


@dataclass(frozen=True, kw_only=True)
class Support(_Asked):
    """Each sentence of an answer held against the passages it should rest on."""

    options: tuple[Option, ...]
    """What a sentence can be: supported, contradicted, not to be found."""

    def shown(self) -> dict[str, Any]:
        """The options."""
        return self._head("support", options=_options(self.options))

    def value_of(self, answer: Any, presented: Presented) -> list[list[str]]:
        """[candidate][sentence] What was chosen."""
        known = [option.value for option in self.options]
        counts = [len(found) for found in presented.sentences or [()] * len(presented.permutation)]
        expected = f"for each place as many of {', '.join(known)} as it has sentences ({counts})"
        if not isinstance(answer, Mapping):
            raise self._refuse(answer, expected)
        by_place = [answer.get(str(place)) for place in range(len(counts))]
        for chosen, count in zip(by_place, counts, strict=True):
            is_list = isinstance(chosen, list) and len(chosen) == count
            if not is_list or any(value not in known for value in chosen or []):
                raise self._refuse(answer, expected)
        return [list(chosen) for chosen in _by_candidate(by_place, presented)]


def _is_place(place: Any, presented: Presented) -> bool:
    return type(place) is int and 0 <= place < len(presented.permutation)


def _by_candidate(by_place: Sequence[Any], presented: Presented) -> list[Any]:
    found = dict(zip(presented.permutation, by_place, strict=True))
    return [found[candidate] for candidate in range(len(by_place))]


def _options(options: Sequence[Option]) -> list[dict[str, str]]:
    return [{"value": option.value, "label": option.label, "help": option.help} for option in options]
