"""A worker that is killed loses its leases and nothing that it acknowledged; others go on at once."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from accord.store.database import NewItem, Projects, QueueConfig, WorkQueue, open_database, verify_chain
from accord.store.database.tables import assignment, item, judgment, slot

WORKER = """
import signal
import sys
from accord.store.database import WorkQueue, open_database

place, project, who = sys.argv[1:]
queue = WorkQueue.of(open_database(place))
k = 0
while k < 60:  # both together leave work over, so that neither waits for the other to end
    for work in queue.claim(project, who, count=2):
        k += 1
        made = queue.submit(work.id, work.lease_token, f"{who}-{k}", {"verdict": k})
        print(made.judgment_id, flush=True)
signal.pause()
"""
ITEMS = 200
N_ACKNOWLEDGED = 12
"""After so many acknowledgements a worker is killed: somewhere within the next claim or submission."""


class LaterClock:
    """The machine's clock when all leases have run out."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_kill_9_loses_nothing_that_was_acknowledged(kind, tmp_path: Path, request: pytest.FixtureRequest):
    place = str(tmp_path / "accord.db") if kind == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(place)
    database.create()
    projects = Projects.of(database)
    project = projects.add_project("p")
    people = [projects.add_user(f"person {k}") for k in range(2)]
    projects.add_items(project, [NewItem(content={"prompt": f"q{k}"}) for k in range(ITEMS)])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, place, project, who],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for who in people
    ]  # fmt: skip
    acknowledged = []
    try:
        for worker in workers:
            acknowledged += [worker.stdout.readline().strip() for _ in range(N_ACKNOWLEDGED)]
            worker.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in worker.stdout if line.endswith("\n")]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            worker.stdout.close()
    with database.read() as connection:
        kept = set(connection.execute(select(judgment.c.id)).scalars())
    assert len(acknowledged) >= 2 * N_ACKNOWLEDGED
    assert set(acknowledged) <= kept
    verify_chain(database)
    # What the dead held comes back when its lease has run out, and all gets judged, each item once.
    queue = WorkQueue(database, LaterClock(), projects.ids, QueueConfig())
    finisher, n_done = projects.add_user("finisher"), 0
    while found := queue.claim(project, finisher, count=10):
        for work in found:
            queue.submit(work.id, work.lease_token, f"finisher {n_done}", {"verdict": 0})
            n_done += 1
    with database.read() as connection:
        states = dict(connection.execute(select(item.c.state, func.count()).group_by(item.c.state)).all())
        open_slots = connection.execute(select(slot.c.id).where(slot.c.state.in_(["open", "leased"]))).all()
        doubled = connection.execute(
            select(assignment.c.item_id)
            .where(assignment.c.state == "submitted", assignment.c.purpose != "repeat")
            .group_by(assignment.c.item_id, assignment.c.user_id)
            .having(func.count() > 1)
        ).all()
    assert (states, open_slots, doubled) == ({"judged": ITEMS}, [], [])
    verify_chain(database)
    database.close()
