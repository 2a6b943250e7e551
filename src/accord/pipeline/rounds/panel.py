"""A panel of known character that judges a loop's questions at its real server, over HTTP, one after the
other.

Experts, steady ones, one who leans left, one fond of length, one who tires, a careless one and a spammer.
The quality engine looks at them after each wave, and whoever it pauses gets no more work. Judgments come in
a fixed order, so that a loop that was killed and taken up ends where it would have ended. Their accounts
carry the source `simulated`; they never count as people.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accord.client import Client
from accord.domain import Completion, FinishReason, Message, Prompt, Streams
from accord.pipeline.material import KnownTaste
from accord.pipeline.rounds.staff import Word
from accord.pipeline.simulating import Judge, token_of
from accord.quality import AnswerView, SimulatedAnnotator
from accord.store.database.accounts import Accounts


@dataclass(frozen=True, kw_only=True)
class Panelist:
    """One simulated annotator and how he tires."""

    character: SimulatedAnnotator
    kind: str
    tires: float = 0.0
    """Share of skill lost a judgment: after n judgments skill is multiplied by exp(-tires n)."""

    def after(self, n_done: int) -> SimulatedAnnotator:
        """How he judges after so many."""
        return replace(self.character, skill=self.character.skill * math.exp(-self.tires * n_done))


def loop_panel() -> tuple[Panelist, ...]:
    """Ten: a fifth of them worth nothing or little."""

    def one(number: int, kind: str, *, tires: float = 0.0, **character: Any) -> Panelist:
        return Panelist(
            character=SimulatedAnnotator(id=f"sim-{number:02d}", **character), kind=kind, tires=tires
        )

    return (
        one(1, "expert", skill=20.0),
        one(2, "expert", skill=16.0),
        one(3, "expert", skill=14.0, tie_width=0.5),
        one(4, "steady", skill=11.0),
        one(5, "steady", skill=9.0),
        one(6, "leans left", skill=9.0, left_habit=1.2),
        one(7, "fond of length", skill=9.0, length_liking=0.05),
        one(8, "tires", skill=16.0, tires=0.02),
        one(9, "careless", skill=9.0, carelessness=0.5, tie_width=0.1),
        one(10, "spammer", skill=0.0, carelessness=1.0, tie_width=0.0),
    )


@dataclass(frozen=True)
class TasteOfSupport:
    """The support task's known taste as simulated annotators see it: a text, and whether it was cut."""

    taste: KnownTaste
    cut: frozenset[tuple[str, str]] = frozenset()
    """Prompt id and text of answers that ran out of tokens."""

    def __call__(self, shown: Mapping[str, Any], text: str) -> AnswerView:
        """What an answer to what is shown is truly worth."""
        turns = tuple(Message(one["role"], one["content"]) for one in shown["messages"])
        prompt = Prompt(messages=turns)
        ending = FinishReason.LENGTH if (prompt.id, text) in self.cut else FinishReason.STOP
        score = self.taste.judge(prompt, Completion(text=text, finish_reason=ending))
        return AnswerView(total=score.total, parts=score.parts, words=len(text.split()))


@dataclass
class PanelSession:
    """The panel at one project, until nothing is left to judge."""

    address: str
    accounts: Accounts
    project_id: str
    panel: Sequence[Panelist]
    taste: TasteOfSupport
    streams: Streams
    look: Callable[[], Sequence[Word]] = field(default=lambda: ())
    """Asked after each wave; who may not work gets nothing more."""
    pause: Callable[[str, str], None] = field(default=lambda handle, reason: None)
    """Tells the server that somebody gets no more work, and why."""
    skills: Sequence[str] = ()
    """Panels that they are dealt out to in turn."""
    wave: int = 120
    n_done: dict[str, int] = field(default_factory=dict)
    """Judgments each gave before this session and in it; tiredness follows from them."""
    paused: dict[str, Word] = field(default_factory=dict)
    """Who was paused, and why."""

    def run(self, advance: Callable[[int], None] = lambda n: None) -> int:
        """Judge until nobody gets any more work; how many judgments that were."""
        clients = {
            one.character.id: Client(self.address, self._token(one.character.id)) for one in self.panel
        }
        total, is_left = 0, True
        while is_left:
            is_left = False
            for one in self.panel:
                handle = one.character.id
                if handle in self.paused or not (taken := clients[handle].next(self.project_id)):
                    continue
                is_left = True
                done = self.n_done.get(handle, 0)
                judge = Judge(one.after(done), self.streams, self.taste)
                clients[handle].submit(taken[0], judge.answers(taken[0]), key=f"{handle}-{taken[0]['id']}")
                self.n_done[handle] = done + 1
                total += 1
                advance(total)
                if total % self.wave == 0:
                    self._pause()
        self._pause()
        return total

    def _token(self, handle: str) -> str:
        number = int(handle.rpartition("-")[2]) - 1
        dealt = [self.skills[number % len(self.skills)]] if self.skills else []
        return token_of(self.accounts, handle, skills=dealt)

    def _pause(self) -> None:
        for word in self.look():
            if not word.verdict.may_work and word.annotator_id not in self.paused:
                self.paused[word.annotator_id] = word
                self.pause(word.annotator_id, "; ".join(word.reasons))
