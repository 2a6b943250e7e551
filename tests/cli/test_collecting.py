"""From nothing to a project with items, and a store that is backed up and comes back, by commands alone."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from accord.cli.main import app

ROWS = [{"prompt": f"Question {k}?", "candidates": ["a", "b"]} for k in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> str:
    place = str(tmp_path / "accord.db")
    (tmp_path / "p.toml").write_text('name = "support"\nkind = "pairwise"\n')
    assert run("project", "create", str(tmp_path / "p.toml"), "--store", place).exit_code == 0
    return place


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_an_import_says_what_it_took_and_which_lines_it_did_not(store, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "{broken\n")
    done = run("project", "import", "support", str(path), "--store", store)
    assert "4 rows read: 3 are items of support, 1 refused." in done.output
    assert "line 4: not valid JSON" in done.output
    again = json.loads(run("project", "import", "support", str(path), "--store", store, "--json").output)
    assert (again["n_items"], again["is_done"]) == (3, True)
    listed = json.loads(run("project", "list", "--store", store, "--json").output)
    assert listed[0]["n_wanted"] == 3


def test_an_unknown_format_names_the_known_ones(store, tmp_path):
    done = run(
        "project", "import", "support", str(tmp_path / "x.jsonl"), "--format", "csvx", "--store", store
    )
    assert done.exit_code != 0
    assert "label-studio" in str(done.exception or done.output)


def test_a_store_is_backed_up_and_comes_back(store, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    run("project", "import", "support", str(path), "--store", store)
    file, other = str(tmp_path / "b.jsonl.gz"), str(tmp_path / "other.db")
    made = json.loads(run("store", "backup", file, "--store", store, "--json").output)
    assert json.loads(run("store", "restore", file, "--store", other, "--json").output) == made
    verified = json.loads(run("store", "verify", "--store", other, "--json").output)
    assert verified["n_events"] == made["last_event"]
    checked = json.loads(run("store", "verify", "--store", other, "--full", "--json").output)
    assert [one["number"] for one in checked] == list(range(1, 16))
    assert sum(one["n_broken"] for one in checked) == 0
    with closing(sqlite3.connect(other)) as raw, raw:
        raw.execute("UPDATE slot SET state = 'filled' WHERE number = 0")
    told = run("store", "verify", "--store", other, "--full")
    assert told.exit_code != 0
    assert "capacity" in str(told.exception)
