"""Items from other tools' files: nothing is lost, bad rows are told by line, a broken import goes on."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from accord.domain.errors import DataError
from accord.feedback.importing import import_file, import_id, progress_of
from accord.feedback.item_rows import shape_of, usual_row
from accord.feedback.items import content_of
from accord.store.database import NewItem, Projects
from accord.store.database.tables import content, item

TRL = {
    "chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Good day."}],
    "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "What."}],
}
HH = {
    "chosen": "\n\nHuman: Hi\n\nAssistant: Good day.",
    "rejected": "\n\nHuman: Hi\n\nAssistant: What.",
}
ARGILLA = {
    "id": "r1",
    "fields": {"instruction": "Hi", "response_1": "Good day.", "response_2": "What."},
    "metadata": {"source": "chat"},
    "responses": {"quality": [{"value": 4, "user_id": "u"}]},
}
LABEL_STUDIO = {
    "id": 7,
    "data": {"prompt": "Hi", "answer1": "Good day.", "answer2": "What."},
    "annotations": [{"result": []}],
}


@pytest.mark.parametrize(
    ("row", "shape"), [(TRL, "trl"), (HH, "hh"), (ARGILLA, "argilla"), (LABEL_STUDIO, "label-studio")]
)
def test_each_tools_row_is_recognized_and_gives_prompt_and_answers(row, shape):
    assert shape_of(row) == shape
    body = content_of(usual_row(row))
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert [one["text"] for one in body["candidates"]] == ["Good day.", "What."]


def test_judgments_that_come_along_stay_beside_the_item():
    assert content_of(usual_row(ARGILLA))["meta"]["responses"]["quality"][0]["value"] == 4
    assert content_of(usual_row(LABEL_STUDIO))["meta"]["annotations"] == [{"result": []}]


def test_trl_rows_with_a_prompt_and_chats_of_argilla_keep_their_turns():
    row = {"prompt": "Hi", "chosen": "Good day.", "rejected": "What."}
    assert [one["text"] for one in content_of(usual_row(row, "trl"))["candidates"]] == ["Good day.", "What."]
    said = [("human", "Hi"), ("gpt", "Yes?"), ("human", "So")]
    chat = [{"from": who, "value": text} for who, text in said]
    body = content_of(usual_row({"fields": {"chat": chat, "response": "Well."}}))
    assert [one["role"] for one in body["messages"]] == ["user", "assistant", "user"]


def test_a_row_without_a_prompt_says_which_fields_it_looked_for():
    with pytest.raises(DataError, match="no field holds the prompt; expected one of messages, prompt"):
        usual_row({"data": {"picture": "x"}})


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" if not isinstance(row, str) else row for row in rows))
    return path


def texts(site: Any, project_id: str) -> list[str]:
    with site.database.read() as connection:
        rows = connection.execute(
            select(content.c.body)
            .join(item, item.c.content_hash == content.c.hash)
            .where(item.c.project_id == project_id)
            .order_by(item.c.id)
        ).scalars()
        return [row["messages"][0]["content"] for row in rows]


def test_bad_rows_are_told_by_line_and_the_rest_is_taken(site, tmp_path):
    project_id = site.project([])
    rows = [TRL, "{broken\n", HH, "[1]\n", {"fields": {}}, ARGILLA]
    done = import_file(Projects.of(site.database), project_id, written(tmp_path / "a.jsonl", rows))
    assert (done.n_rows, done.n_items, done.n_refused, done.is_done) == (6, 3, 3, True)
    assert [error["line"] for error in done.errors] == [2, 4, 5]


def test_the_same_file_again_changes_nothing(site, tmp_path):
    project_id, projects = site.project([]), Projects.of(site.database)
    path = written(tmp_path / "a.jsonl", [TRL, TRL, HH])
    first = import_file(projects, project_id, path)
    assert import_file(projects, project_id, path) == first
    assert len(texts(site, project_id)) == 3


def test_an_import_that_broke_off_goes_on_and_doubles_nothing(site, tmp_path):
    # Of batches of two the third is in by half, and its note was never written.
    project_id, projects = site.project([]), Projects.of(site.database)
    path = written(tmp_path / "a.jsonl", [{"prompt": f"Question {k}?"} for k in range(7)])

    def stop(progress: Any) -> None:
        if progress.n_rows == 4:
            half = NewItem(content=content_of({"prompt": "Question 4?"}), n_candidates=0)
            projects.add_items(project_id, [half])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(projects, project_id, path, tell=stop, batch_rows=2)
    known = progress_of(site.database, project_id, import_id(path))
    assert (known.n_rows, known.is_done) == (4, False)
    done = import_file(projects, project_id, path)
    assert (done.n_rows, done.n_items, done.is_done) == (7, 7, True)
    assert sorted(texts(site, project_id)) == [f"Question {k}?" for k in range(7)]


def test_tables_hold_lists_as_their_json(site, tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["prompt", "candidates"])
        writer.writerow(["Hi", json.dumps(["Good day.", "What."])])
    project_id = site.project([])
    assert import_file(Projects.of(site.database), project_id, path).n_items == 1


def test_parquet_is_read_as_well(site, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.Table.from_pylist([TRL, TRL]), path)
    project_id = site.project([])
    done = import_file(Projects.of(site.database), project_id, path)
    assert (done.n_items, done.errors) == (2, ())


def test_a_file_that_ends_too_soon_says_so_and_keeps_what_was_read(site, tmp_path):
    path = tmp_path / "a.jsonl.gz"
    rows = "".join(json.dumps({"prompt": f"Question {k}?"}) + "\n" for k in range(3000))
    whole = gzip.compress(rows.encode())
    path.write_bytes(whole[: len(whole) // 2])
    project_id = site.project([])
    done = import_file(Projects.of(site.database), project_id, path)
    assert "breaks off" in done.failure
    assert done.is_done is False


def test_an_import_over_http_is_a_job_that_can_be_asked_about(site):
    project_id, owner = site.project([]), site.person("owner")
    body = "".join(json.dumps(row) + "\n" for row in [TRL, HH, {"nothing": 1}])
    path = f"/api/v1/projects/{project_id}/imports"
    answer = owner.client.post(f"{path}?name=rows.jsonl&overlap=2", content=body)
    assert answer.status_code == 202
    for _ in range(200):
        job = owner.client.get(f"{path}/{answer.json()['id']}").json()
        if job["is_done"]:
            break
    assert (job["n_items"], job["n_refused"], job["errors"][0]["line"]) == (2, 1, 3)
    assert site.person("annotator").get(f"/projects/{project_id}/imports/{job['id']}").status_code == 403
    assert owner.client.get(f"{path}/{'0' * 24}").status_code == 409
    assert owner.client.post(f"{path}?name=rows.exe", content=b"x").status_code == 422
