"""Exports, snapshots and the lead's page over millions of judgments: rows a second, and if memory is flat.

Writes judgments in bulk as the queue would have written them, measures at a fifth of them and again at all of
them, each in a process of its own: rows, seconds, peak memory. Prints one JSON line.

    python benchmarks/streaming.py --judgments 5000000
    python benchmarks/streaming.py --store postgresql --judgments 200000
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from accord.feedback.dashboard import build_dashboard
from accord.feedback.export import export_lines
from accord.feedback.items import content_of
from accord.feedback.snapshots import build_snapshot
from accord.feedback.work import Work
from accord.store.database import Database, Event, NewItem, Projects, WorkQueue, open_database
from accord.store.database.audit import append_events, seal_of
from accord.store.database.engine import insert_rows
from accord.store.database.tables import assignment, item, judgment, slot
from collecting import place_of

OVERLAP = 5
BATCH = 1000
"""Items written in one transaction."""
PEOPLE = 50
VALUES = {"preference": {"strength": 3, "both_bad": False}}
PAYLOAD = {"answers": {"preference": {"choice": 1}}, "values": VALUES}


def _count(lines: Any) -> int:
    return sum(1 for _ in lines)


READINGS: Mapping[str, Callable[[Work, str], int]] = {
    "raw export": lambda work, project: _count(export_lines(work, project, "raw")),
    "preference export": lambda work, project: _count(export_lines(work, project, "preference")),
    "snapshot": lambda work, project: build_snapshot(work, project, 2**60).n_rows,
    "a page of the stream": lambda work, project: len(work.judgments(project, 1000)),
    "progress": lambda work, project: sum(one["n"] for one in work.progress(project)["annotators"]),
    "the lead's page": lambda work, project: int(build_dashboard(work, project)["cost"]["n_done"]),
}
"""What is measured, and how many judgments it answers for."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--judgments", type=int, default=100_000)
    parser.add_argument("--measure", nargs=3, metavar=("READING", "PLACE", "PROJECT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measured(*options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder, place_of(options.store, Path(folder)) as place:
        database = open_database(place)
        database.create()
        projects = Projects.of(database)
        project_id = projects.add_project("streaming")
        schema_id = projects.add_definition(project_id, "schema", {"kind": "pairwise"})
        people = [projects.add_user(f"annotator {k}") for k in range(PEOPLE)]
        facts: dict[str, Any] = {"store": options.store, "judgments": options.judgments, "readings": {}}
        begun, done = time.perf_counter(), 0
        for share in (0.2, 1.0):
            upto = int(options.judgments * share)
            fill(database, project_id, schema_id, people, done, upto)
            done = upto
            for name in READINGS:
                facts["readings"].setdefault(name, {})[str(upto)] = apart(name, place, project_id)
        facts["took_s"] = round(time.perf_counter() - begun, 1)
        database.close()
        print(json.dumps(facts))


def fill(
    database: Database, project_id: str, schema_id: str, people: Sequence[str], first: int, last: int
) -> None:
    """Judgments number `first` to `last`, `OVERLAP` of each item."""
    projects = Projects.of(database)
    for start in range(first // OVERLAP, last // OVERLAP, BATCH):
        numbers = range(start, min(start + BATCH, last // OVERLAP))
        new = [
            NewItem(
                content=content_of({"prompt": f"Question {k}?", "candidates": ["good " * 40, "bad " * 40]}),
                n_candidates=2,
                overlap=OVERLAP,
            )
            for k in numbers
        ]
        made = projects.add_items(project_id, new)
        with database.write() as connection:
            places = connection.execute(
                slot.select().where(slot.c.item_id.in_(made)).order_by(slot.c.item_id, slot.c.number)
            ).all()
            work, said, events = [], [], []
            for row in places:
                user_id = people[(hash_place(row.item_id) + row.number) % PEOPLE]
                work.append(_assigned(row, user_id, project_id, schema_id))
                said.append(_said(row, user_id))
                facts = {"assignment": work[-1]["id"], "revision": 1, "late": False, "payload": SEAL}
                kind: dict[str, Any] = {"actor": user_id, "action": "submit", "entity": "judgment"}
                events.append(Event(at_ms=1, entity_id=said[-1]["id"], facts=facts, **kind))
            insert_rows(connection, assignment, work)
            insert_rows(connection, judgment, said)
            connection.execute(slot.update().where(slot.c.item_id.in_(made)).values(state="filled"))
            connection.execute(item.update().where(item.c.id.in_(made)).values(state="judged"))
            append_events(connection, events)
    if not database.is_sqlite:
        with database.write() as connection:
            connection.execute(text("ANALYZE"))


SEAL = seal_of(PAYLOAD)


def hash_place(item_id: str) -> int:
    return int(item_id[-4:], 16)


def _assigned(row: Any, user_id: str, project_id: str, schema_id: str) -> dict[str, Any]:
    return {
        "id": f"a{row.id[1:]}", "slot_id": row.id, "item_id": row.item_id, "user_id": user_id,
        "project_id": project_id, "purpose": "primary", "state": "submitted", "lease_token": "t",
        "lease_until_ms": 0, "leased_ms": 0, "closed_ms": 30_000, "active_ms": 20_000,
        "presentation": {"permutation": [row.number % 2, 1 - row.number % 2]}, "schema_id": schema_id,
    }  # fmt: skip


def _said(row: Any, user_id: str) -> dict[str, Any]:
    return {
        "id": f"b{row.id[1:]}", "assignment_id": f"a{row.id[1:]}", "item_id": row.item_id,
        "user_id": user_id, "revision": 1, "key": row.id, "payload": PAYLOAD, "is_late": False,
        "source": "human", "received_ms": 1_700_000_000_000,
    }  # fmt: skip


def apart(name: str, place: str, project_id: str) -> dict[str, Any]:
    """A reading in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, place, project_id]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return dict(json.loads(done.stdout))


def measured(name: str, place: str, project_id: str) -> dict[str, Any]:
    """Rows, seconds, and peak memory in MB, with what the process holds before it reads."""
    database = open_database(place)
    work = Work(database, WorkQueue.of(database))
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.perf_counter()
    n_rows = READINGS[name](work, project_id)
    seconds = time.perf_counter() - begun
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    database.close()
    return {
        "rows": n_rows, "seconds": round(seconds, 3), "rows_per_s": round(n_rows / seconds),
        "peak_mb": round(peak_mb, 1), "before_mb": round(before_mb, 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
