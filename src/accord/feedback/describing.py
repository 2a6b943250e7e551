"""Values in words, as they look from where the reader sits: answers by their letter on his screen."""

from collections.abc import Mapping, Sequence
from typing import Any

from accord.feedback.questions import Comparison, Question, Ranking, Rating, Spans, Support

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def describe_value(question: Question, value: Any, permutation: Sequence[int]) -> str:
    """One line for one value; `permutation` [place] says which candidate stands where for the reader."""
    letter = {candidate: LETTERS[place] for place, candidate in enumerate(permutation)}
    match question:
        case Comparison(scale=scale):
            return _comparison(value, scale, letter)
        case Ranking():
            return " > ".join(" = ".join(sorted(letter[one] for one in group)) for group in value)
        case Rating(is_per_candidate=True):
            return ", ".join(f"{letter[candidate]} {value[candidate]}" for candidate in permutation)
        case Spans():
            marks = [f"{letter[one['candidate']]} {one['label']}: “{one['quote']}”" for one in value]
            return "; ".join(marks) or "nothing marked"
        case Support():
            return ", ".join(f"{letter[candidate]} {_counts(value[candidate])}" for candidate in permutation)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _comparison(value: Mapping[str, Any], scale: int, letter: Mapping[int, str]) -> str:
    if value["both_bad"]:
        return "both bad"
    if value["strength"] == 0:
        return "tie"
    better = letter[0 if value["strength"] > 0 else 1]
    return f"{better} better, {abs(value['strength'])} of {(scale - 1) // 2}"


def _counts(chosen: Sequence[str]) -> str:
    return "; ".join(f"{chosen.count(one)} {one}" for one in sorted(set(chosen)))
