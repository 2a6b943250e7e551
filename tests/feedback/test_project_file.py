"""A project in one file, and the commands around it."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.cli import project as project_commands
from accord.cli import store as store_commands
from accord.domain.errors import ConfigError, DataError, StoreError
from accord.feedback.app import create_app
from accord.feedback.project_file import read_items, read_project
from accord.feedback.serving import first_owner, run_server
from accord.store import read_judgments
from accord.store.database import open_database

EXAMPLE = Path(__file__).parents[2] / "examples" / "collecting" / "project.toml"


def run(app, *arguments):
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_example_is_made_judged_exported_and_read_by_the_quality_engine(tmp_path):
    from starlette.testclient import TestClient

    place = tmp_path / "deep" / "accord.db"
    dry = run(project_commands.app, "create", EXAMPLE, "--store", place, "--dry-run")
    assert "Nothing was written" in dry
    made = json.loads(run(project_commands.app, "create", EXAMPLE, "--store", place, "--json"))
    assert (made["n_items"], made["overlap"], made["questions"]) == (3, 2, ["preference", "reason"])
    printed = run(project_commands.app, "add-person", "ann", "--store", place)
    password = printed.split("password ")[1].split()[0]
    database = open_database(place)
    client = TestClient(create_app(database))
    answer = client.post("/api/v1/login", json={"handle": "ann", "password": password})
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    for number in range(3):
        (work,) = client.post(f"/api/v1/projects/{made['id']}/queue/next", json={}).json()["assignments"]
        body = {"token": work["token"], "key": f"key-{number:08d}", "answers": {"preference": {"choice": 2}}}
        assert client.post(f"/api/v1/assignments/{work['id']}/submit", json=body).status_code == 200
    database.close()
    (listed,) = json.loads(run(project_commands.app, "list", "--store", place, "--json"))
    assert (listed["n_judged"], listed["n_wanted"]) == (3, 3)
    out = tmp_path / "comparisons.jsonl"
    run(
        project_commands.app, "export", "support answers", "--format", "comparisons",
        "--out", out, "--store", place,
    )  # fmt: skip
    records = list(read_judgments(out))
    assert [record.choice.value for record in records] == ["left"] * 3
    run(project_commands.app, "export", "support answers", "--out", tmp_path / "raw.jsonl", "--store", place)
    raw = [json.loads(line) for line in (tmp_path / "raw.jsonl").read_text().splitlines()]
    for row, record in zip(raw, records, strict=True):
        is_as_stored = row["permutation"][0] == 0
        assert row["values"]["preference"]["strength"] == (2 if is_as_stored else -2)
        assert record.meta["strength"] == 2
    assert "follow from each other" in run(store_commands.app, "verify", "--store", place)


def test_all_that_is_wrong_with_a_file_is_said_at_once(tmp_path):
    file = tmp_path / "project.toml"
    file.write_text(
        'kind = "pairwize"\noverlap = 0\nitems = "none.jsonl"\ncolor = 1\nguideline_file = "x.md"\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_project(file)
    assert len(caught.value.problems) == 6, caught.value.problems


def test_file_that_is_no_toml_or_not_there_is_refused_by_name(tmp_path):
    file = tmp_path / "project.toml"
    with pytest.raises(DataError, match=r"project\.toml: cannot be read"):
        read_project(file)
    file.write_text("= nothing")
    with pytest.raises(DataError, match=r"project\.toml: is not TOML"):
        read_project(file)


def test_bad_item_is_named_by_file_and_line_and_nothing_is_written(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"prompt": "a", "response": "b"}\n{"prompt": 3}\n')
    with pytest.raises(DataError, match=r"items\.jsonl:2: "):
        list(read_items(tmp_path / "items.jsonl", 1))
    file = tmp_path / "project.toml"
    file.write_text('name = "p"\nkind = "correction"\nitems = "items.jsonl"\n')
    with pytest.raises(DataError):
        run(project_commands.app, "create", file, "--store", tmp_path / "accord.db")
    assert not (tmp_path / "accord.db").exists()


def test_unknown_project_names_those_there_are(tmp_path):
    run(project_commands.app, "create", EXAMPLE, "--store", tmp_path / "accord.db")
    with pytest.raises(StoreError, match="there are: support answers"):
        run(
            project_commands.app,
            "export",
            "suport",
            "--out",
            tmp_path / "x",
            "--store",
            tmp_path / "accord.db",
        )


def test_owner_is_made_once(tmp_path):
    database = open_database(tmp_path / "accord.db")
    database.create()
    assert first_owner(database)[0] == "owner"
    assert first_owner(database) is None
    database.close()


def test_several_workers_on_sqlite_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="need PostgreSQL"):
        run_server(str(tmp_path / "accord.db"), host="127.0.0.1", port=1, workers=2, is_secure=False)


DOCS = Path(__file__).parents[2] / "docs" / "collecting.md"


def test_the_workflow_and_the_people_of_the_documentation_are_read(tmp_path):
    examples = re.findall(
        r"```toml\n(\[\[?(?:workflow|people)\]\]?.*?)```", DOCS.read_text(), flags=re.DOTALL
    )
    assert len(examples) == 2
    file = tmp_path / "project.toml"
    file.write_text('name = "p"\nkind = "pairwise"\n' + "\n".join(examples))
    plan = read_project(file)
    assert [one["kind"] for one in plan.workflow["stages"]] == [
        "label",
        "consensus",
        "review",
        "adjudication",
    ]
    assert plan.people["test_skill"] == "medicine:2"


def test_a_workflow_that_does_not_fit_is_said_with_everything_else(tmp_path):
    file = tmp_path / "project.toml"
    file.write_text(
        'name = "p"\nkind = "pairwise"\noverlap = 2\n[[workflow]]\nstage = "a"\nkind = "review"\n'
        '[people]\ngold = 2\nentry = "exam"\n'
    )
    with pytest.raises(ConfigError) as error:
        read_project(file)
    said = str(error.value)
    for part in ("overlap: the workflow says it", "first stage is a review", "people.gold: 2", "'exam'"):
        assert part in said
