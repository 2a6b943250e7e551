"""Stages are skipped when done, entered again when not, and redone when their inputs changed."""

import pytest

from accord.domain import WorkspaceError
from accord.pipeline.journal import Journal


def test_a_finished_stage_is_not_run_again(tmp_path):
    journal, calls = Journal(tmp_path), []

    def work(folder):
        calls.append(folder)
        return {"loss": 0.5}

    first = journal.run("sft", {"steps": 3}, work)
    assert journal.run("sft", {"steps": 3}, work) == first
    assert first.facts == {"loss": 0.5}
    assert calls == [tmp_path / "sft"]


def test_changed_settings_empty_the_folder_and_run_again(tmp_path):
    journal = Journal(tmp_path)
    journal.run("sft", {"steps": 3}, lambda folder: (folder / "old").write_text("x") and {})
    journal.run("sft", {"steps": 4}, lambda folder: {"seen": (folder / "old").exists()})
    assert journal.record("sft").facts == {"seen": False}


def test_an_interrupted_stage_finds_what_it_left(tmp_path):
    journal = Journal(tmp_path)

    def stop(folder):
        (folder / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.run("policy", {}, stop)
    assert journal.record("policy") is None
    record = journal.run("policy", {}, lambda folder: {"found": (folder / "checkpoint").read_text()})
    assert record.facts == {"found": "half"}


def test_a_stage_is_redone_when_the_one_before_it_changed(tmp_path):
    journal = Journal(tmp_path)
    counts = []
    for steps in (1, 1, 2):
        journal.run("sft", {"steps": steps}, lambda folder: {})
        journal.run("reward", {}, lambda folder: counts.append(1) or {}, after=("sft",))
    assert len(counts) == 2


def test_a_stage_cannot_build_on_one_that_is_not_finished(tmp_path):
    with pytest.raises(WorkspaceError, match="'sft' is not finished"):
        Journal(tmp_path).run("reward", {}, lambda folder: {}, after=("sft",))


def test_a_broken_record_is_named(tmp_path):
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "stage.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r"stage\.json is not a stage record"):
        Journal(tmp_path).record("sft")
