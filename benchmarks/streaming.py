"""Exports, lists and pages over millions of judgments: rows a second, and if memory is flat.

Writes judgments in bulk as the queue would have written them, then measures each reading in a process of its
own: rows, seconds, peak memory. Prints one JSON line. With `--folder` the store stays there and is filled on
from what it holds, so that the same readings are asked of it as it grows.

    python benchmarks/streaming.py --judgments 100000
    python benchmarks/streaming.py --store postgresql --judgments 200000
    python benchmarks/streaming.py --folder DIR --judgments 5000000 --only "the lead's page" history
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from accord.feedback.dashboard import build_dashboard
from accord.feedback.export import export_lines
from accord.feedback.items import content_of
from accord.feedback.snapshots import build_snapshot
from accord.feedback.work import Work
from accord.store.database import Database, Event, NewItem, Projects, WorkQueue, open_database
from accord.store.database.audit import append_events, seal_of
from accord.store.database.engine import insert_rows
from accord.store.database.slots import move_slot
from accord.store.database.states import ItemState, SlotState
from accord.store.database.tables import assignment, definition, item, judgment, project, slot, user
from accord.store.database.tally import Kind, count, count_judgment
from accord.store.database.upkeep_tables import stream
from collecting import place_of

OVERLAP = 5
BATCH = 1000
"""Items written in one transaction."""
PEOPLE = 50
SMALL = 1000
"""Judgments of a project beside, all from before the large one's."""
VALUES = {"preference": {"strength": 3, "both_bad": False}}
PAYLOAD = {"answers": {"preference": {"choice": 1}}, "values": VALUES}


def _count(lines: Any) -> int:
    return sum(1 for _ in lines)


def _person(work: Work) -> str:
    with work.database.read() as connection:
        return str(connection.execute(select(user.c.id).order_by(user.c.handle).limit(1)).scalar_one())


def _other(work: Work) -> str:
    """The small project beside the large one."""
    with work.database.read() as connection:
        return str(connection.execute(select(project.c.id).where(project.c.name == "small")).scalar_one())


READINGS: Mapping[str, Callable[[Work, str], int]] = {
    "raw export": lambda work, project: _count(export_lines(work, project, "raw")),
    "preference export": lambda work, project: _count(export_lines(work, project, "preference")),
    "snapshot": lambda work, project: build_snapshot(work, project, 2**60).n_rows,
    "a page of the stream": lambda work, project: len(work.judgments(project, 1000)),
    "a small project's export": lambda work, project: _count(export_lines(work, _other(work), "preference")),
    "history": lambda work, project: len(work.history(project, _person(work)).rows),
    "progress": lambda work, project: sum(one["n"] for one in work.progress(project)["annotators"]),
    "the lead's page": lambda work, project: int(build_dashboard(work, project)["cost"]["n_done"]),
}
"""What is measured, and how many judgments it answers for."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--judgments", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the store is kept; left out, it is deleted")
    parser.add_argument("--only", nargs="*", choices=list(READINGS), help="readings; none only fills")
    parser.add_argument("--measure", nargs=3, metavar=("READING", "PLACE", "PROJECT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measured(*options.measure)))
        return
    names = list(READINGS) if options.only is None else options.only
    with tempfile.TemporaryDirectory() as own:
        folder = options.folder or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        with place_of(options.store, folder) as place:
            facts = {
                "store": options.store,
                "judgments": options.judgments,
                **filled(place, options.judgments),
            }
            project_id = facts.pop("project")
            facts["readings"] = {name: apart(name, place, project_id) for name in names}
            print(json.dumps(facts))


def filled(place: str, upto: int) -> dict[str, Any]:
    """Fill a store on to that many judgments; its project, and the seconds it took."""
    begun = time.perf_counter()
    database = open_database(place)
    database.create()
    projects = Projects.of(database)
    with database.read() as connection:
        known = connection.execute(select(project.c.id).where(project.c.name == "streaming")).scalar()
        people = list(connection.execute(select(user.c.id).order_by(user.c.handle)).scalars())
        done = connection.execute(select(func.count()).select_from(stream)).scalar_one() if known else 0
    if known is None:
        people = [projects.add_user(f"annotator {k:02d}") for k in range(PEOPLE)]
        known = projects.add_project("streaming")
        small = projects.add_project("small")
        for one in (known, small):
            projects.add_definition(one, "schema", {"kind": "pairwise"})
        fill(database, small, people, 0, SMALL)
        done = SMALL
    fill(database, known, people, done - SMALL, upto)
    database.close()
    return {"project": known, "filled_s": round(time.perf_counter() - begun, 1)}


def fill(database: Database, project_id: str, people: Sequence[str], first: int, last: int) -> None:
    """Judgments number `first` to `last`, `OVERLAP` of each item."""
    projects = Projects.of(database)
    with database.read() as connection:
        is_ours = (definition.c.project_id == project_id) & (definition.c.kind == "schema")
        schema_id = connection.execute(select(definition.c.id).where(is_ours)).scalar_one()
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
                entity = {"entity_id": said[-1]["id"], "stream": project_id}
                events.append(Event(at_ms=1, facts=facts, **kind, **entity))
                count(connection, project_id, Kind.PERSON, user_id)
                count(connection, project_id, Kind.ACTIVE, user_id, work[-1]["active_ms"])
                count_judgment(connection, project_id, said[-1]["received_ms"])
                move_slot(connection, row, SlotState.OPEN, SlotState.FILLED)
            insert_rows(connection, assignment, work)
            insert_rows(connection, judgment, said)
            connection.execute(slot.update().where(slot.c.item_id.in_(made)).values(state="filled"))
            connection.execute(item.update().where(item.c.id.in_(made)).values(state="judged"))
            count(connection, project_id, Kind.ITEM, ItemState.QUEUED, -len(made))
            count(connection, project_id, Kind.ITEM, ItemState.JUDGED, len(made))
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


def peak_mb() -> float:
    """The most memory this process held. Not `getrusage`, which begins with what its parent held."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return int(told.split("VmHWM:")[1].split()[0]) / 1024


def measured(name: str, place: str, project_id: str) -> dict[str, Any]:
    """Rows, seconds, and peak memory in MB, with what the process holds before it reads."""
    database = open_database(place)
    work = Work(database, WorkQueue.of(database))
    before_mb = peak_mb()
    begun = time.perf_counter()
    n_rows = READINGS[name](work, project_id)
    seconds = time.perf_counter() - begun
    most_mb = peak_mb()
    database.close()
    return {
        "rows": n_rows, "seconds": round(seconds, 3), "rows_per_s": round(n_rows / seconds),
        "peak_mb": round(most_mb, 1), "before_mb": round(before_mb, 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
