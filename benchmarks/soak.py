"""A soak run: people work at a real server while its workers are killed and clocks jump; then all is checked.

Starts the server (SQLite, or PostgreSQL with several workers) with short leases and a clock that can be set.
Annotators claim, open, draft, submit, submit twice, skip, give back, come late, revise, some in two tabs;
reviewers read and decide; a lead takes snapshots and exports. Meanwhile workers die by kill -9, leases run
out, skips come in storms, the clocks of the workers differ and jump. Every so often, and at the end, the
fifteen invariants are checked over the store and over what the clients were told. Prints one JSON line;
ends with 1 where anything is broken.

    python benchmarks/soak.py --seconds 300
    python benchmarks/soak.py --store postgresql --workers 2 --annotators 40 --seconds 300
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from accord.feedback.invariants import Finding, Witness, check_store
from accord.feedback.items import content_of
from accord.feedback.work import Work
from accord.store.database import (
    Accounts,
    Database,
    NewItem,
    Projects,
    QueueConfig,
    Role,
    WorkQueue,
    open_database,
)
from accord.store.database.tables import assignment, judgment, slot
from collecting import free_port, place_of, wait_for_port
from soak_people import Annotator, Lead, Reader, Scene
from soak_server import CLOCK, LEASE, REPEAT_GAP

STAGES = [
    {"stage": "label", "kind": "label", "overlap": 2},
    {"stage": "agree", "kind": "consensus", "min_people": 2, "max_people": 3},
    {"stage": "read", "kind": "review", "share": 0.4},
    {"stage": "decide", "kind": "adjudication"},
]
N_KNOWN = 60
GOLD = 0.1
"""Share of work that is known items."""
KNOWN_BY = 30
"""People who may meet one known item."""
TIGHT = QueueConfig(repeat_gap=REPEAT_GAP)
SERVER = Path(__file__).with_name("soak_server.py")


@dataclass
class Server:
    """The server's process, which can be killed in part or whole, and comes back."""

    place: str
    port: int
    workers: int
    folder: Path
    lease_s: float
    n_killed: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {CLOCK: str(self.clock), LEASE: str(self.lease_s)}
        command = [sys.executable, str(SERVER), self.place, str(self.port), str(self.workers)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        wait_for_port(self.port)

    @property
    def clock(self) -> Path:
        return self.folder / "clock.json"

    def set_clock(self, *off_s: float) -> None:
        """By how much the clocks of even and odd processes are off, at once for all."""
        fresh = self.clock.with_suffix(".new")
        fresh.write_text(json.dumps(off_s), encoding="utf-8")
        fresh.replace(self.clock)

    def kill(self, generator: random.Random) -> None:
        """End one worker at once; where there is only one process, start it again."""
        assert self.process is not None
        below = children_of(self.process.pid)
        if self.workers > 1 and below and generator.random() < 0.9:
            with contextlib.suppress(ProcessLookupError):
                os.kill(generator.choice(below), signal.SIGKILL)
            self.n_killed += 1
            return
        self.stop()
        self.n_killed += 1
        self.start()

    def stop(self) -> None:
        """Kill all of it; the group is this server's own."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def children_of(pid: int) -> list[int]:
    """The workers of a server: its children that serve, not Python's own tracker of resources."""
    with contextlib.suppress(OSError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return [int(one) for one in found if "resource_tracker" not in _command(int(one))]
    return []


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    return "resource_tracker"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--place", help="an empty database to use instead of one of its own")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--check-every", type=float, default=60.0)
    parser.add_argument("--kill-every", type=float, default=7.0, help="seconds, on average")
    parser.add_argument("--lease", type=float, default=4.0, help="seconds of a lease")
    parser.add_argument("--skew", type=float, default=2.0, help="seconds by which workers' clocks differ")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = options.place or stack.enter_context(place_of(options.store, folder))
        database = open_database(place)
        stack.callback(database.close)
        database.create()
        facts = soak(database, place, folder, options)
    print(json.dumps({**vars(options), "place": None, **facts}))
    return 1 if facts["n_broken"] else 0


def soak(database: Database, place: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Let it run; what was done, what was found."""
    project_id = set_out(database, options.items)
    server = Server(place, free_port(), options.workers, folder, options.lease)
    server.set_clock(0.0, 0.0)
    scene = Scene(server.port, project_id, options.lease, Witness())
    people = crowd(database, scene, options)
    rounds: list[list[Finding]] = []
    try:
        server.start()
        begun = time.perf_counter()
        for one in people:
            one.start()
        weather = threading.Thread(target=trouble, args=(server, scene, options), daemon=True)
        weather.start()
        while (left := options.seconds - (time.perf_counter() - begun)) > 0:
            time.sleep(min(left, options.check_every))
            if time.perf_counter() - begun < options.seconds:
                rounds.append(look(database, scene, options))
        scene.is_over.set()
        weather.join()
        server.set_clock(0.0, 0.0)
        for one in people:
            one.join(timeout=120)
        stuck = sum(one.is_alive() for one in people)
        took_s = time.perf_counter() - begun
    finally:
        server.stop()
    left_over = close(database, project_id, options)
    rounds.append(look(database, scene, options))
    return report(database, scene, server, rounds) | {
        "server_errors": errors_of(folder / "server.log"),
        "soaked_s": round(took_s, 1), "n_stuck": stuck, "n_leases_left": left_over,
        "n_broken": broken_in(rounds) + len(scene.faults) + stuck + left_over + scene.n_unsent(people),
        "n_unsent": scene.n_unsent(people),
    }  # fmt: skip


def set_out(database: Database, n_items: int) -> str:
    """A project with everything in it that can go wrong."""
    projects = Projects.of(database)
    project_id = projects.add_project("soak")
    projects.add_definition(project_id, "schema", {"title": "soak", "kind": "pairwise"})
    projects.add_definition(project_id, "workflow", {"stages": STAGES})
    policy = {"gold": GOLD, "repeats": 0.05, "pause_on_decline": False}
    projects.add_definition(project_id, "policy", policy)

    def row(k: int) -> dict[str, Any]:
        texts = [{"text": f"better answer {k}", "model": "model-alpha"}]
        return {
            "prompt": f"Question {k}?",
            "candidates": [*texts, {"text": f"lesser {k}", "model": "model-beta"}],
        }

    items = (
        NewItem(content=content_of(row(k) | {"meta": {"inclusion": 0.5}}), n_candidates=2, overlap=2)
        for k in range(n_items)
    )
    projects.add_items(project_id, items)
    known = {"preference": {"strength": 1, "both_bad": False}}
    for k in range(N_KNOWN):
        one = NewItem(content=content_of(row(n_items + k)), n_candidates=2)
        projects.add_gold(project_id, one, known, explanation="explanation of it", exposure_cap=KNOWN_BY)
    return project_id


def crowd(database: Database, scene: Scene, options: argparse.Namespace) -> list[threading.Thread]:
    """Annotators, every fourth in two tabs; readers; a lead."""
    accounts = Accounts.of(database)
    people: list[threading.Thread] = []
    for k in range(options.annotators):
        user_id = accounts.add(f"annotator {k}", None, Role.ANNOTATOR)
        token = accounts.make_token(user_id, ["annotate"])
        for tab in range(2 if k % 4 == 0 else 1):
            people.append(Annotator(scene, token, options.seed * 1000 + 2 * k + tab))
    for k in range(max(2, options.annotators // 8)):
        token = accounts.make_token(accounts.add(f"reader {k}", None, Role.REVIEWER), ["review"])
        people.append(Reader(scene, token, options.seed * 1000 + 500 + k))
    lead = accounts.make_token(accounts.add("lead", None, Role.LEAD), ["watch", "export"])
    return [*people, Lead(scene, lead, options.seed * 1000 + 999)]


def trouble(server: Server, scene: Scene, options: argparse.Namespace) -> None:
    """Kills, clocks, storms of skips, until it is over; what came first is as the seed says."""
    generator = random.Random(options.seed)
    while not scene.is_over.wait(generator.uniform(0.5, 1.5) * options.kill_every / 3):
        match generator.choice(("kill", "clock", "storm")):
            case "kill":
                server.kill(generator)
            case "clock":
                ahead = generator.choice((0.0, 0.0, 3 * options.lease))  # all leases run out at once
                server.set_clock(ahead, ahead + generator.uniform(-1, 1) * options.skew)
                scene.n_jumps += 1
            case "storm":
                scene.is_storm.set()
                scene.is_over.wait(1.0)
                scene.is_storm.clear()


def look(database: Database, scene: Scene, options: argparse.Namespace) -> list[Finding]:
    """Every invariant, once."""
    work = Work(database, WorkQueue.of(database, TIGHT))
    skew_s = options.skew + 3 * options.lease
    return check_store(work, scene.seen(), skew_ms=int(1000 * skew_s))


def errors_of(log: Path) -> list[dict[str, Any]]:
    """What the server's log says of its own failures, the first twenty."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and '"error":' in line][:20]


def close(database: Database, project_id: str, options: argparse.Namespace) -> int:
    """Let all leases run out, as they do when everybody has gone; how many are held all the same."""

    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(hours=1)

    queue = WorkQueue(database, Later(), WorkQueue.of(database).ids, TIGHT)
    while queue.expire(project_id):
        pass
    with database.read() as connection:
        held = select(func.count()).select_from(slot).where(slot.c.state == "leased")
        return int(connection.execute(held).scalar_one())


def broken_in(rounds: Sequence[Sequence[Finding]]) -> int:
    return sum(one.n_broken for found in rounds for one in found)


def report(
    database: Database, scene: Scene, server: Server, rounds: Sequence[Sequence[Finding]]
) -> dict[str, Any]:
    """What happened; of each invariant what the last look counted, and all that any look found broken."""
    with database.read() as connection:
        states = connection.execute(
            select(assignment.c.state, func.count()).group_by(assignment.c.state).order_by(assignment.c.state)
        ).all()
        n_judgments = connection.execute(select(func.count()).select_from(judgment)).scalar_one()
        n_late = connection.execute(select(func.count()).where(judgment.c.is_late)).scalar_one()
    told = {
        one.number: [text for found in rounds for text in found[one.number - 1].told] for one in rounds[-1]
    }
    return {
        "n_killed": server.n_killed,
        "n_clock_jumps": scene.n_jumps,
        "n_sent_twice": len(scene.receipts),
        "n_connections_lost": scene.n_lost,
        "assignments": {row.state: row[1] for row in states},
        "n_judgments": n_judgments,
        "n_late": n_late,
        "statuses": dict(sorted(scene.statuses.items())),
        "faults": scene.faults[:20],
        "n_looks": len(rounds),
        "invariants": [
            asdict(one) | {"n_broken": sum(found[one.number - 1].n_broken for found in rounds),
                           "told": told[one.number][:5]}
            for one in rounds[-1]
        ],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
