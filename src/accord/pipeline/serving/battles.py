"""Conversations with two models at once: names are hidden, each vote compares answers to one prompt.

After a vote both sides go on from the answer that won, so that the next vote is again about equal prompts;
sides are drawn anew each time. Leaves out how answers are made and where votes go.
"""

import asyncio
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from accord.domain.errors import ConfigError, DataError
from accord.domain.messages import Message, Prompt

Verdict = Literal["left", "right", "tie", "both_bad", "none"]
VERDICTS: tuple[tuple[Verdict, str], ...] = (
    ("left", "A is better"),
    ("right", "B is better"),
    ("tie", "Tie"),
    ("both_bad", "Both are bad"),
    ("none", "No vote, go on"),
)
"""Codes and words; the order is that of the keys 1 to 5."""
MAX_TEXT = 20_000
"""Characters of a question."""
MAX_BATTLES = 500
"""Conversations kept in memory; the oldest goes first."""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """Two answers to one prompt as they stood on screen, and what was said of them."""

    prompt: Prompt
    left: str
    right: str
    choice: Verdict
    left_model: str
    right_model: str
    voter: str
    """Handle of who voted."""


@dataclass
class Battle:
    """One conversation."""

    id: str
    sides: tuple[str, str]
    """Models on the left and on the right, now."""
    history: list[Message] = field(default_factory=list)
    """What both sides have in common."""
    question: str | None = None
    """What is being answered; None while the next question is awaited."""
    answers: list[str] = field(default_factory=lambda: ["", ""])
    is_answered: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nobody is writing."""
    is_over: bool = False
    """True when the names were shown: no further vote would be blind."""
    tally: list[tuple[str, str, Verdict]] = field(default_factory=list)

    def ask(self, text: str) -> Prompt:
        """The prompt of a new question; `DataError` where the last one has no verdict yet."""
        if self.is_over:
            raise DataError("this conversation is over; begin a new one")
        if self.question is not None:
            raise DataError("say first which answer is better, or go on without a vote")
        if not text.strip() or len(text) > MAX_TEXT:
            raise DataError(f"a question has 1 to {MAX_TEXT} characters, this one {len(text.strip())}")
        self.question, self.answers, self.is_answered = text.strip(), ["", ""], False
        self.settled.clear()
        return self.prompt()

    def settle(self) -> None:
        """The answers are there; stopped half way, what there is can be voted on."""
        self.is_answered = True
        self.settled.set()

    def withdraw(self) -> None:
        """Take the question back: it could not be answered."""
        self.question, self.is_answered = None, False
        self.settled.set()

    def prompt(self) -> Prompt:
        """What both sides are answering."""
        return Prompt(messages=(*self.history, Message("user", self.question or "")))

    def judge(self, choice: Verdict, voter: str) -> Vote:
        """Take a verdict and go on from the better answer; from a drawn one where none is, from before the
        question where both are bad."""
        if self.question is None or not self.is_answered:
            raise DataError("there are no two answers to compare yet")
        if not all(answer.strip() for answer in self.answers) and choice != "none":
            raise DataError("an answer is empty; go on without a vote")
        vote = Vote(
            prompt=self.prompt(),
            left=self.answers[0],
            right=self.answers[1],
            choice=choice,
            left_model=self.sides[0],
            right_model=self.sides[1],
            voter=voter,
        )
        kept = {"left": 0, "right": 1}.get(choice, secrets.randbelow(2))
        if choice != "both_bad" and self.answers[kept].strip():
            self.history += [Message("user", self.question), Message("assistant", self.answers[kept])]
        if choice != "none":
            self.tally.append((*self.sides, choice))
        self.question, self.is_answered = None, False
        self.sides = _shuffled(self.sides)
        return vote

    def reveal(self) -> None:
        """Show the names and end it."""
        self.is_over = True


class Battles:
    """The conversations under way, by an id that nobody can guess; in memory alone."""

    def __init__(self, models: Sequence[str]):
        if len(models) < 2:
            raise ConfigError("chat", ["comparing needs two models at least; give --model twice"])
        self.models = tuple(models)
        self._kept: OrderedDict[str, Battle] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self) -> Battle:
        """A new conversation between two models drawn at random."""
        pool = list(self.models)
        pair = (pool.pop(secrets.randbelow(len(pool))), pool.pop(secrets.randbelow(len(pool))))
        battle = Battle(id=secrets.token_urlsafe(18), sides=pair)
        with self._lock:
            self._kept[battle.id] = battle
            while len(self._kept) > MAX_BATTLES:
                self._kept.popitem(last=False)
        return battle

    def find(self, battle_id: str) -> Battle | None:
        """A conversation by its id."""
        with self._lock:
            return self._kept.get(battle_id)


def _shuffled(sides: tuple[str, str]) -> tuple[str, str]:
    return sides if secrets.randbelow(2) else (sides[1], sides[0])
