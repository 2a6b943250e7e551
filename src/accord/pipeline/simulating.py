"""Simulated annotators at a real server: they sign in by token, take work over HTTP and judge it.

Each has a character that is known (see `CHARACTERS`). What an answer is truly worth is drawn from its text
and the seed, uniform in [0, 1]: the same text is worth the same to all of them, and nothing in it says so.
Their accounts and judgments carry the source `simulated` and are never counted as people's. Leaves out the
server.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from sqlalchemy import select

from accord.client import Client
from accord.domain.errors import StoreError
from accord.domain.judgments import Source
from accord.domain.streams import Streams
from accord.quality.simulation.panel import AnswerView, SimulatedAnnotator
from accord.store.database.accounts import Accounts, Role
from accord.store.database.tables import user

CHARACTERS: Mapping[str, SimulatedAnnotator] = MappingProxyType(
    {
        "careful": SimulatedAnnotator(id="", skill=16.0),
        "steady": SimulatedAnnotator(id="", skill=9.0),
        "leans left": SimulatedAnnotator(id="", skill=9.0, left_habit=1.5),
        "fond of length": SimulatedAnnotator(id="", skill=9.0, length_liking=0.06),
        "careless": SimulatedAnnotator(id="", skill=9.0, carelessness=0.5, tie_width=0.1),
        "spammer": SimulatedAnnotator(id="", skill=0.0, carelessness=1.0, tie_width=0.0),
    }
)
"""Characters by name, dealt out in the order of `TURNS`."""
TURNS = ("careful", "steady", "steady", "leans left", "careful", "steady", "fond of length", "steady")
"""Who joins a panel, one after the other; the ninth is careless, the twelfth a spammer, then it repeats."""
FAULTY = MappingProxyType({8: "careless", 11: "spammer"})
CYCLE = 12
SAID = ("Where do I begin?", "Can you say that more simply?", "And what if that does not work?")
"""What simulated annotators say to live models, in turn."""
ASKED_AGAIN = 3
"""Times a turn is asked before its conversation is skipped."""
BAD_BELOW = 0.2
"""A tie of two answers both worth less than this is called both bad."""


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One simulated annotator and what he did."""

    handle: str
    character: str
    n_judgments: int


def character_of(k: int) -> str:
    """The character of the k-th annotator, from 0."""
    place = k % CYCLE
    return FAULTY.get(place, TURNS[place % len(TURNS)])


def simulate(
    address: str,
    accounts: Accounts,
    project_id: str,
    *,
    n_annotators: int,
    seed: int = 0,
    most: int | None = None,
    pace_s: float = 0.0,
    advance: Callable[[], None] = lambda: None,
) -> list[Simulated]:
    """Let annotators `sim-01` ... judge until nothing is left for them, or each has judged `most`.

    `advance` is called after each judgment, one thread at a time. Equal project, seed and panel give equal
    answers to equal items; who gets which item depends on the threads.
    """
    handles = [f"sim-{k + 1:02d}" for k in range(n_annotators)]
    tokens = [token_of(accounts, handle) for handle in handles]
    lock = threading.Lock()

    def told() -> None:
        with lock:
            advance()

    def work(k: int) -> Simulated:
        character = character_of(k)
        judge = Judge(replace(CHARACTERS[character], id=handles[k]), Streams(seed).child("simulate"))
        n_done = _judge_all(Client(address, tokens[k]), project_id, judge, most, pace_s, told)
        return Simulated(handle=handles[k], character=character, n_judgments=n_done)

    with ThreadPoolExecutor(max_workers=n_annotators) as pool:
        return list(pool.map(work, range(n_annotators)))


@dataclass(frozen=True)
class Judge:
    """Answers every kind of question as one annotator would."""

    annotator: SimulatedAnnotator
    streams: Streams
    taste: Callable[[Mapping[str, Any], str], AnswerView] | None = None
    """What a text is truly worth as an answer to what is shown; None draws it from the text and the seed."""

    def answers(self, work: Mapping[str, Any]) -> dict[str, Any]:
        """Question id to answer, in terms of the places on screen."""
        shown = work["shown"]
        key = hashlib.sha256("\x1e".join(sorted(shown["candidates"])).encode()).hexdigest()
        asked = str(shown["messages"])
        draws = self.streams.child("answer", self.annotator.id, key, asked)
        return {
            question["id"]: ANSWERING[question["kind"]](
                self, question, shown, _generator(draws, question["id"])
            )
            for question in work["task"]["questions"]
        }

    def view(self, text: str, shown: Mapping[str, Any] = MappingProxyType({})) -> AnswerView:
        """What a text is truly worth, and its length."""
        if self.taste is not None:
            return self.taste(shown, text)
        worth = float(_generator(self.streams, "worth", text).random())
        return AnswerView(total=worth, words=len(text.split()))

    def opinion(
        self, text: str, shown: Mapping[str, Any], generator: np.random.Generator, *, quality: str = ""
    ) -> float:
        """What this annotator makes of a text's worth just now: logistic noise of scale 1 / skill.

        Of one `quality` alone where the taste knows it by that name, else of the whole.
        """
        if generator.random() < self.annotator.carelessness or self.annotator.skill <= 0:
            return float(generator.random())
        view = self.view(text, shown)
        if quality in view.parts:
            worth = view.parts[quality]
            view = AnswerView(total=worth, parts={quality: worth}, words=view.words)
        return self.annotator.utility(view) + float(generator.logistic()) / self.annotator.skill

    def compare(self, question: Any, shown: Any, generator: np.random.Generator) -> dict[str, int]:
        """A grade on the scale; the clearer the felt difference, the stronger."""
        left, right = (self.view(text, shown) for text in shown["candidates"][:2])
        chances, draw = self.annotator.choice_probabilities(left, right), generator.random()
        middle = (question["scale"] + 1) // 2
        if draw >= chances.left + chances.right:
            is_bad = max(left.total, right.total) < BAD_BELOW
            if is_bad and question["both_bad"]:
                return {"choice": 0}
            if question["tie"]:
                return {"choice": middle}
        felt = abs(self.annotator.utility(left) - self.annotator.utility(right))
        strength = int(min(middle - 1, 1 + felt * (middle - 1)))
        is_left = draw < chances.left or (draw >= chances.left + chances.right and generator.random() < 0.5)
        return {"choice": middle - strength if is_left else middle + strength}

    def rank(self, question: Any, shown: Any, generator: np.random.Generator) -> dict[str, Any]:
        """All places, best first, without ties."""
        felt = [self.opinion(text, shown, generator) for text in shown["candidates"]]
        return {"groups": [[place] for place in sorted(range(len(felt)), key=lambda place: -felt[place])]}

    def rate(self, question: Any, shown: Any, generator: np.random.Generator) -> int | list[int]:
        """Grades in equal steps of worth; of the quality that the question names, where there is one."""
        low, high = question["low"], question["high"]
        texts = shown["candidates"] or [str(shown["messages"])]
        said = [self.opinion(text, shown, generator, quality=question["id"]) for text in texts]
        felt = [min(max(one, 0.0), 0.999_999) for one in said]
        grades = [low + int(value * (high - low + 1)) for value in felt]
        return grades if question["per_candidate"] else grades[0]

    def choose(self, question: Any, shown: Any, generator: np.random.Generator) -> str | list[str]:
        """The first option for what seems worth most, the last for what seems worth least."""
        values = [option["value"] for option in question["options"]]
        chosen = self._option(
            values, "\n".join(shown["candidates"]) or str(shown["messages"]), shown, generator
        )
        return [chosen] if question["multiple"] else chosen

    def write(self, question: Any, shown: Any, generator: np.random.Generator) -> str:
        """A text that says it is simulated, within the limits."""
        best = max(shown["candidates"], key=lambda text: self.opinion(text, shown, generator), default="")
        text = f"[written by {self.annotator.id}, simulated] {best}".strip()
        return text[: question["max_chars"]].ljust(question["min_chars"], ".")

    def mark(self, question: Any, shown: Any, generator: np.random.Generator) -> list[dict[str, Any]]:
        """The first sentence of each text that seems poor."""
        label, marks = question["labels"][0]["value"], []
        for place, text in enumerate(shown["candidates"]):
            if shown["sentences"][place] and self.opinion(text, shown, generator) < BAD_BELOW:
                start, end = shown["sentences"][place][0]
                marks.append({"place": place, "start": start, "end": end, "label": label})
        return marks

    def support(self, question: Any, shown: Any, generator: np.random.Generator) -> dict[str, list[str]]:
        """An option for each sentence, by what it seems worth."""
        values = [option["value"] for option in question["options"]]
        return {
            str(place): [
                self._option(values, text[start:end], shown, generator)
                for start, end in shown["sentences"][place]
            ]
            for place, text in enumerate(shown["candidates"])
        }

    def _option(
        self, values: Sequence[str], text: str, shown: Mapping[str, Any], generator: np.random.Generator
    ) -> str:
        felt = min(max(self.opinion(text, shown, generator), 0.0), 0.999_999)
        return values[int((1 - felt) * len(values) - 1e-9)]


ANSWERING: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "comparison": Judge.compare,
        "ranking": Judge.rank,
        "rating": Judge.rate,
        "choice": Judge.choose,
        "text": Judge.write,
        "spans": Judge.mark,
        "support": Judge.support,
    }
)
"""How each kind of question is answered."""


def _judge_all(
    client: Client,
    project_id: str,
    judge: Judge,
    most: int | None,
    pace_s: float,
    told: Callable[[], None],
) -> int:
    n_done = 0
    while most is None or n_done < most:
        taken = client.next(project_id)
        if not taken:
            break
        if pace_s:
            time.sleep(pace_s)
        if "live" in taken[0]["task"] and not _talk(client, taken[0], judge):
            client.skip(taken[0], "broken")
            continue
        client.submit(taken[0], judge.answers(taken[0]), duration_ms=max(1, int(pace_s * 1000)))
        n_done += 1
        told()
    return n_done


def _talk(client: Client, work: Mapping[str, Any], judge: Judge) -> bool:
    """Lead a conversation to where it may end, and two turns at least where there may be as many.

    False where its models did not answer, asked several times.
    """
    live = work["task"]["live"]
    for k in range(min(max(live["min_turns"], 2), live["max_turns"])):
        text, key = SAID[k % len(SAID)], f"turn {k} of {work['id']}"
        for _ in range(ASKED_AGAIN):
            found = client.say(work, text, key=key)
            if found["step"] != "again":
                break
        if found["turn"] is None:
            return False
        client.submit(found["turn"], judge.answers(found["turn"]))
    return True


def token_of(
    accounts: Accounts, handle: str, *, source: Source = Source.SIMULATED, skills: Sequence[str] = ()
) -> str:
    """A day's token of an annotator who is no person, made where there is none; never of anybody else."""
    with accounts.database.read() as connection:
        row = connection.execute(select(user.c.id, user.c.source).where(user.c.handle == handle)).first()
    if row is not None and row.source != source.value:
        owner = "a person" if row.source == Source.HUMAN.value else f"a {row.source} annotator"
        raise StoreError(f"the handle {handle!r} belongs to {owner}; no {source.value} one acts for others")
    user_id = row.id if row else accounts.add(handle, None, Role.ANNOTATOR, source=source, skills=skills)
    return accounts.make_token(user_id, ["annotate"], days=1)


def _generator(streams: Streams, *names: str) -> np.random.Generator:
    return np.random.default_rng(streams.child(*names).value)
