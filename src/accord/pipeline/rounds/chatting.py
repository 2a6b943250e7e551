"""Votes of the chat page as pairs a loop learns from: what was shown there counts like what was asked.

A pair belongs to the round that first saw a vote on it, and grows old with it. Nobody drew it, so that no
estimate over what could have been asked rests on it. Leaves out the page itself (`pipeline/serving`).
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from accord.domain import Judgment
from accord.pipeline.rounds.choosing import Question, key_of, read_questions

CHATTED = "chat.jsonl"
"""In the folder of a round's agreement: pairs that people voted on at the chat page."""


def chatted_pairs(
    votes: Sequence[Judgment], known: Collection[tuple[str, str, str]], heldout: Collection[str]
) -> list[Question]:
    """Each pair of the votes once, in their order, but for `known` ones and those on `heldout` prompts."""
    found: dict[tuple[str, str, str], Question] = {}
    for one in votes:
        shown, key = one.comparison, key_of(one)
        if key in known or shown.prompt.id in heldout or shown.left == shown.right:
            continue
        first, second = sorted((shown.left, shown.right))
        found.setdefault(
            key,
            Question(
                prompt=shown.prompt, first=first, second=second, inclusion=1.0, score=0.0, is_random=False,
                facts={"from": "chat page"},
            ),
        )  # fmt: skip
    return list(found.values())


def with_chatted(
    asked: Mapping[int, Sequence[Question]], folders: Mapping[int, Path]
) -> dict[int, list[Question]]:
    """Questions of each round with the pairs from the chat page that its agreement took, by its folder."""
    return {number: [*questions, *_read(folders[number] / CHATTED)] for number, questions in asked.items()}


def _read(path: Path) -> list[Question]:
    return read_questions(path) if path.exists() else []
