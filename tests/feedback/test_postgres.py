"""The lead's page, imports, snapshots, figures and backups on PostgreSQL as on SQLite."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.feedback.dashboard import build_dashboard
from accord.feedback.importing import import_file
from accord.feedback.prefetch import fetch_ahead
from accord.feedback.snapshots import build_snapshot, take_snapshot
from accord.feedback.telemetry import store_lines
from accord.feedback.work import Work
from accord.store.database import Database, Projects, WorkQueue, open_database, verify_chain
from accord.store.database.backup import restore_backup, write_backup
from accord.store.database.settings import Settings


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    database = open_database(postgres_url)
    database.create()
    yield database
    database.close()


def written(path: Path) -> Path:
    rows = [{"prompt": f"Question {k}?", "candidates": ["good", "bad"]} for k in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judged(work: Work, project_id: str, user_id: str) -> None:
    for one in fetch_ahead(work, project_id, user_id, have=[], count=3).fetched:
        answers: dict[str, Any] = {"preference": {"choice": 2}}
        sent = {"token": one["token"], "key": one["id"], "answers": answers}
        work.submit(one["id"], user_id, sent)


def test_what_the_lead_sees_and_keeps_is_the_same(postgres, tmp_path):
    projects, work = Projects.of(postgres), Work(postgres, WorkQueue.of(postgres))
    project_id = projects.add_project("p")
    projects.add_definition(project_id, "schema", {"kind": "pairwise"})
    projects.add_definition(project_id, "guideline", {"markdown": "Be good.\n\nNever bad."})
    done = import_file(projects, project_id, written(tmp_path / "a.jsonl"), overlap=2)
    assert (done.n_items, done.is_done) == (5, True)
    users = [projects.add_user(handle) for handle in ("ann", "ben")]
    for user_id in users:
        judged(work, project_id, user_id)
    facts = build_dashboard(work, project_id, rate=10.0)
    assert facts["cost"]["n_done"] == 6
    assert "1 bars" in facts["daily"]
    assert {one["handle"] for one in facts["people"]} == {"ann", "ben"}
    taken = take_snapshot(work, project_id)
    assert build_snapshot(work, project_id, taken.upto) == taken
    assert "accord_judgments 6" in list(store_lines(postgres))
    settings = Settings.of(postgres)
    settings.change(users[0], {"theme": "dark"})
    assert settings.change(users[0], {"size": "large"}) == {"theme": "dark", "size": "large"}
    made = write_backup(postgres, tmp_path / "b.gz")
    moved = open_database(tmp_path / "moved.db")
    moved.create()
    assert restore_backup(moved, tmp_path / "b.gz") == made
    assert verify_chain(moved) == verify_chain(postgres)
    there = Work(moved, WorkQueue.of(moved))
    assert build_snapshot(there, project_id, taken.upto) == taken
    moved.close()
