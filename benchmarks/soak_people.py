"""Who works at the server of a soak run: annotators, reviewers and a lead, each a thread with its own dice.

They go on like a browser whose server goes away: what was not acknowledged is sent again under the same key.
All that they were told is kept, so that it can be held against the store.
"""

import contextlib
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from accord.feedback.invariants import Witness

LOST = (OSError, http.client.HTTPException)
"""What a client sees of a server that was killed."""
GOING_ON_S = 45.0
"""So long after the end somebody goes on sending what was not acknowledged."""


@dataclass
class Scene:
    """What all of them share."""

    port: int
    project_id: str
    lease_s: float
    witness: Witness
    is_over: threading.Event = field(default_factory=threading.Event)
    is_storm: threading.Event = field(default_factory=threading.Event)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    receipts: list[tuple[Any, Any]] = field(default_factory=list)
    acknowledged: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, list[str]] = field(default_factory=dict)
    shapes: dict[str, str] = field(default_factory=dict)
    n_jumps: int = 0
    n_lost: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self) -> Witness:
        """What was told up to now."""
        with self.lock:
            return Witness(
                acknowledged=dict(self.acknowledged),
                shown=dict(self.shown),
                shapes=dict(self.shapes),
                receipts=list(self.receipts),
            )

    def n_unsent(self, people: Iterable[threading.Thread]) -> int:
        """Submissions that were never acknowledged."""
        return sum(len(one.unsent) for one in people if isinstance(one, Annotator))


class Person(threading.Thread):
    """Somebody with a token; asks, and asks again when the server was away."""

    def __init__(self, scene: Scene, token: str, seed: int):
        super().__init__(daemon=True)
        self.scene, self.draw = scene, random.Random(seed)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection("127.0.0.1", scene.port, timeout=60)

    def run(self) -> None:
        with contextlib.closing(self.connection):
            while not self.scene.is_over.is_set():
                self.step()
            self.finish()

    def step(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """What is still to be done when it is over."""

    def ask(
        self, method: str, path: str, body: Any = None, *, name: str = "", is_urgent: bool = False
    ) -> tuple[int, Any, list[str]]:
        """Status, answer, names of the headers; 0 where the server was away and it was not `is_urgent`."""
        until = time.monotonic() + GOING_ON_S
        while True:
            try:
                text = None if body is None else json.dumps(body)
                self.connection.request(method, f"/api/v1{path}", text, self.headers)
                answer = self.connection.getresponse()
                said, headers = answer.read(), sorted(one.lower() for one, _ in answer.getheaders())
            except LOST:
                self.connection.close()
                with self.scene.lock:
                    self.scene.n_lost += 1
                if not is_urgent or time.monotonic() > until:
                    time.sleep(0.2)
                    return 0, None, []
                time.sleep(0.2)
                continue
            with self.scene.lock:
                self.scene.statuses[f"{name or path} {answer.status}"] += 1
                if answer.status >= 500 or answer.status == 422:
                    self.scene.faults.append(f"{method} {path} {answer.status} {said[:300]!r}")
            kind = answer.headers.get("content-type", "")
            return (
                answer.status,
                json.loads(said) if "json" in kind and "ndjson" not in kind else said,
                headers,
            )


class Annotator(Person):
    """Claims and does with it what people do."""

    def __init__(self, scene: Scene, token: str, seed: int):
        super().__init__(scene, token, seed)
        self.unsent: dict[str, tuple[str, dict[str, Any], list[str]]] = {}
        """Key to where and what was not acknowledged."""
        self.later: list[dict[str, Any]] = []
        """Work left lying: comes late."""
        self.first: dict[str, Any] = {}
        """Key to the first receipt."""

    def step(self) -> None:
        path = f"/projects/{self.scene.project_id}/queue/next"
        body = {"count": self.draw.choice((1, 1, 2, 3))}
        status, found, headers = self.ask("POST", path, body, name="next")
        pages = found["assignments"] if status == 200 else []
        for page in pages:
            with self.scene.lock:
                form = " ".join([*page, "|", *page["shown"], "|", *headers])
                self.scene.shapes[page["id"]] = form
        for page in pages:
            self.handle(page)
        if self.later and self.draw.random() < 0.3:
            self.submit(self.later.pop(0))
        self.resend()
        time.sleep(self.draw.random() * (0.2 if pages else 1.0))

    def handle(self, page: dict[str, Any]) -> None:
        """One of the things that can be done with a piece of work."""
        held = {"token": page["token"]}
        place = f"/assignments/{page['id']}"
        if self.draw.random() < 0.7:
            self.ask("POST", f"{place}/open", held, name="open")
        if self.draw.random() < 0.4:
            draft = {**held, "answers": {"preference": {"choice": 4}}}
            self.ask("PUT", f"{place}/draft", draft, name="draft")
        if self.draw.random() < 0.5:
            told = self.draw.choice((50, 500, 5_000, 80_000))  # some tell more than can be
            self.ask("POST", f"{place}/heartbeat", {**held, "active_ms": told}, name="heartbeat")
        chance = self.draw.random()
        if chance < (0.8 if self.scene.is_storm.is_set() else 0.05):
            self.ask("POST", f"{place}/skip", {**held, "reason": "unclear"}, name="skip")
        elif chance < 0.88:
            self.submit(page)
        elif chance < 0.92:
            self.ask("POST", f"{place}/release", held, name="release")
        elif chance < 0.97:
            self.later.append(page)

    def submit(self, page: dict[str, Any]) -> None:
        """Say which is better, by its text and not its place; sometimes twice, or in two tabs at once."""
        texts = page["shown"]["candidates"]
        is_left = texts[0].startswith("better") == (self.draw.random() < 0.85)
        choice = self.draw.choice((1, 2, 3) if is_left else (5, 6, 7))
        if self.draw.random() < 0.05:
            choice = self.draw.choice((0, 4))
        key = f"key-{page['id']}"
        sent = {"token": page["token"], "key": key, "answers": {"preference": {"choice": choice}}}
        path = f"/assignments/{page['id']}/submit"
        self.unsent[key] = (path, sent, texts)
        if self.draw.random() < 0.1:  # a second tab sends the same at the same time
            other = threading.Thread(target=self.in_another_tab, args=(path, sent, texts))
            other.start()
            self.send(key)
            other.join()
            return
        self.send(key)
        if self.draw.random() < 0.1:
            self.unsent[key] = (path, sent, texts)
            self.send(key)

    def in_another_tab(self, path: str, sent: dict[str, Any], texts: list[str]) -> None:
        twin = Person(self.scene, "", 0)
        twin.headers = self.headers
        with contextlib.closing(twin.connection):
            status, receipt, _ = twin.ask("POST", path, sent, name="submit")
        if status == 200:
            self.keep(sent, receipt, texts)

    def send(self, key: str, *, is_urgent: bool = False) -> None:
        path, sent, texts = self.unsent[key]
        status, receipt, _ = self.ask("POST", path, sent, name="submit", is_urgent=is_urgent)
        if not status:
            return
        del self.unsent[key]
        if status == 200:
            self.keep(sent, receipt, texts)
            if self.draw.random() < 0.05:
                self.revise(receipt["judgment_id"], sent)

    def keep(self, sent: dict[str, Any], receipt: dict[str, Any], texts: list[str]) -> None:
        with self.scene.lock:
            known = self.first.get(sent["key"])
            if known is not None:
                self.scene.receipts.append((known, receipt))
            self.first.setdefault(sent["key"], receipt)
            self.scene.acknowledged[receipt["judgment_id"]] = sent["answers"]
            self.scene.shown[receipt["judgment_id"]] = texts

    def revise(self, judgment_id: str, sent: dict[str, Any]) -> None:
        answers = {"preference": {"choice": self.draw.randint(1, 7)}}
        body = {"key": f"{sent['key']}-again", "answers": answers}
        status, receipt, _ = self.ask("POST", f"/judgments/{judgment_id}/revise", body, name="revise")
        if status == 200:
            with self.scene.lock:
                self.scene.acknowledged[receipt["judgment_id"]] = answers

    def resend(self, *, is_urgent: bool = False) -> None:
        for key in list(self.unsent):
            self.send(key, is_urgent=is_urgent)

    def finish(self) -> None:
        self.resend(is_urgent=True)


class Reader(Person):
    """Reviews and decides; sometimes walks away in the middle."""

    def step(self) -> None:
        self.read()
        self.decide()
        time.sleep(0.2 + self.draw.random())

    def read(self) -> None:
        path = f"/projects/{self.scene.project_id}/review/next"
        status, found, _ = self.ask("POST", path, {}, name="review next")
        page = found["review"] if status == 200 else None
        for card in [] if page is None else page["cards"]:
            if self.draw.random() < 0.1:
                return
            verdict = self.draw.choice(("accept", "accept", "accept", "fix", "reject_requeue", "reject_drop"))
            sent = {
                "assignment": page["id"], "token": page["token"], "verdict": verdict,
                "reasons": [] if verdict == "accept" else ["wrong"],
                "key": f"fix-{card['judgment_id']}-{page['id']}", "answers": {"preference": {"choice": 2}},
            }  # fmt: skip
            self.ask("POST", f"/judgments/{card['judgment_id']}/review", sent, name="review")

    def decide(self) -> None:
        path = f"/projects/{self.scene.project_id}/adjudication/next"
        status, found, _ = self.ask("POST", path, {}, name="adjudication next")
        page = found["adjudication"] if status == 200 else None
        if page is None or self.draw.random() < 0.1:
            return
        answers = None if self.draw.random() < 0.2 else {"preference": {"choice": self.draw.randint(1, 7)}}
        sent = {
            "assignment": page["id"], "token": page["token"], "cause": "style", "answers": answers,
            "key": f"decide-{page['id']}",
        }  # fmt: skip
        _, made, _ = self.ask("POST", f"/items/{page['item']}/adjudicate", sent, name="adjudicate")
        if made and made.get("judgment_id"):
            with self.scene.lock:
                self.scene.acknowledged[made["judgment_id"]] = answers


class Lead(Person):
    """Takes snapshots, reads on in the stream, looks at progress."""

    after = 0

    def step(self) -> None:
        place = f"/projects/{self.scene.project_id}"
        self.ask("POST", f"{place}/snapshots", {}, name="snapshots")
        status, lines, _ = self.ask("GET", f"{place}/judgments?after={self.after}", name="judgments")
        rows = [json.loads(line) for line in lines.splitlines()] if status == 200 else []
        numbers = [row["seq"] for row in rows]
        if numbers != sorted(set(numbers)) or (numbers and numbers[0] <= self.after):
            self.scene.faults.append(f"the stream behind {self.after} goes {numbers[:20]}")
        self.after = numbers[-1] if numbers else self.after
        self.ask("GET", f"{place}/progress", name="progress")
        self.scene.is_over.wait(3.0 + self.draw.random())
