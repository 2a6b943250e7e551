"""A backup is one moment of everything, and comes back as it was or not at all."""

import gzip
import json
import stat
from pathlib import Path

import pytest
from sqlalchemy import select

from accord.domain.errors import StoreError
from accord.store.database import Database, NewItem, Projects, WorkQueue, open_database, verify_chain
from accord.store.database.backup import restore_backup, write_backup
from accord.store.database.tables import metadata


def opened(path: Path) -> Database:
    database = open_database(path)
    database.create()
    return database


@pytest.fixture
def full(tmp_path):
    database = opened(tmp_path / "full.db")
    projects, queue = Projects.of(database), WorkQueue.of(database)
    person, project_id = projects.add_user("ann"), projects.add_project("p")
    contents = [{"messages": [{"role": "user", "content": f"é {k}"}], "candidates": []} for k in range(3)]
    projects.add_items(project_id, [NewItem(content=one, n_candidates=0) for one in contents])
    (one,) = queue.claim(project_id, person)
    queue.submit(one.id, one.lease_token, "a key of mine", {"answers": {}, "values": {}})
    yield database
    database.close()


def everything(database: Database) -> dict[str, list]:
    with database.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in metadata.sorted_tables
        }


def test_a_restored_store_is_the_same_and_its_chain_holds(full, tmp_path):
    made = write_backup(full, tmp_path / "b.gz")
    again = opened(tmp_path / "again.db")
    assert restore_backup(again, tmp_path / "b.gz") == made
    assert everything(again) == everything(full)
    assert verify_chain(again) == verify_chain(full)
    again.close()


def test_the_file_is_its_owners_alone_and_overwrites_nothing(full, tmp_path):
    write_backup(full, tmp_path / "b.gz")
    assert stat.S_IMODE((tmp_path / "b.gz").stat().st_mode) == 0o600
    with pytest.raises(StoreError, match="never writes over"):
        write_backup(full, tmp_path / "b.gz")


def test_a_full_database_takes_no_backup(full, tmp_path):
    write_backup(full, tmp_path / "b.gz")
    with pytest.raises(StoreError, match="not empty"):
        restore_backup(full, tmp_path / "b.gz")


@pytest.mark.parametrize("harm", ["cut", "changed", "other"])
def test_what_does_not_check_out_leaves_the_database_empty(full, tmp_path, harm):
    write_backup(full, tmp_path / "b.gz")
    with gzip.open(tmp_path / "b.gz", "rt") as whole:
        lines = whole.readlines()
    if harm == "cut":
        lines = lines[:-1]
    elif harm == "changed":
        place = next(k for k, line in enumerate(lines) if '"judgment"' in line and k)
        row = json.loads(lines[place])
        row["row"]["source"] = "simulated"
        lines[place] = json.dumps(row, ensure_ascii=False) + "\n"
    else:
        lines = ['{"hello": 1}\n']
    with gzip.open(tmp_path / "harmed.gz", "wt") as out:
        out.writelines(lines)
    again = opened(tmp_path / "again.db")
    before = everything(again)
    with pytest.raises(StoreError):
        restore_backup(again, tmp_path / "harmed.gz")
    assert everything(again) == before
    again.close()
