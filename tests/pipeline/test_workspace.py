"""The workspace: runs are made, found, locked, and their end is recorded whatever happens."""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from accord.domain.clock import CountingClock
from accord.domain.errors import Interrupted, WorkspaceError
from accord.pipeline.configuration import load_config
from accord.pipeline.provenance import CodeVersion, Machine, RunProvenance
from accord.pipeline.runs import Headline, Run, RunStatus
from accord.pipeline.workspace import Workspace, workspace_root


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 5


PROVENANCE = RunProvenance(
    code=CodeVersion(package="0.1.0", commit="f" * 40),
    python="3.11.7",
    packages={"numpy": "2.0"},
    machine=Machine(system="Linux x86_64", cpu="test", cores=2),
    seed=7,
    data={"rows.jsonl": "0" * 64},
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws", clock=CountingClock())


def make_run(workspace: Workspace, name: str = "", kind: str = "sft") -> Run:
    return workspace.create_run(
        kind, name=name, config=Settings(steps=9), provenance=PROVENANCE, command=["accord"]
    )


def test_new_run_is_running_and_its_config_reads_back(workspace: Workspace):
    with make_run(workspace, "first") as run:
        assert run.record.status is RunStatus.RUNNING
        assert load_config(Settings, run.config_path) == Settings(steps=9)
    again = workspace.run("first").record
    assert again.status is RunStatus.DONE
    assert again.provenance == PROVENANCE
    # The clock ticks once when the run is made and once when it is finished.
    assert again.duration(again.started) == timedelta(seconds=1)


def test_unnamed_run_bears_kind_and_time_and_never_collides(workspace: Workspace):
    workspace.clock = CountingClock(tick=timedelta(0))
    runs = [make_run(workspace) for _ in range(2)]
    for run in runs:
        run.finish()
    assert [run.id for run in runs] == ["sft-20260101-000000", "sft-20260101-000000-2"]


def test_error_marks_the_run_failed_and_goes_on(workspace: Workspace):
    with pytest.raises(ZeroDivisionError), make_run(workspace, "bad"):
        raise ZeroDivisionError("division by zero")
    record = workspace.run("bad").record
    assert record.status is RunStatus.FAILED
    assert record.message == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("saved step 3")])
def test_stop_by_the_user_marks_the_run_interrupted(workspace: Workspace, error: BaseException):
    with pytest.raises(type(error)), make_run(workspace, "stopped"):
        raise error
    record = workspace.run("stopped").record
    assert record.status is RunStatus.INTERRUPTED
    assert record.status.is_resumable
    assert record.message == (str(error) or "stopped by the user")


def test_second_writer_is_refused(workspace: Workspace):
    run = make_run(workspace, "mine")
    with pytest.raises(WorkspaceError, match=r"'mine' is in use by process \d+"):
        workspace.run("mine").reopen()
    run.finish()
    other = workspace.run("mine")
    other.reopen()
    assert workspace.run("mine").record.status is RunStatus.RUNNING
    other.finish()


def test_process_that_died_leaves_an_interrupted_run(workspace: Workspace):
    script = (
        "import os, sys, pathlib; sys.path.insert(0, sys.argv[2]); import test_workspace as t\n"
        "from accord.pipeline.workspace import Workspace\n"
        "run = t.make_run(Workspace(pathlib.Path(sys.argv[1])), 'lost'); os._exit(9)\n"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", script, str(workspace.root), here], check=False)
    assert done.returncode == 9
    stored = json.loads((workspace.root / "runs" / "lost" / "run.json").read_text())
    assert stored["status"] == "running"
    record = workspace.run("lost").record
    assert record.status is RunStatus.INTERRUPTED
    assert str(stored["process_id"]) in record.message
    run = workspace.run("lost")
    run.reopen()
    run.finish()
    assert workspace.run("lost").record.status is RunStatus.DONE


def test_reader_may_not_write(workspace: Workspace):
    make_run(workspace, "done").finish()
    with pytest.raises(WorkspaceError, match="not open for writing"):
        workspace.run("done").update(message="changed")


def test_runs_are_found_by_prefix_and_latest(workspace: Workspace):
    for name in ("alpha", "alps", "beta"):
        make_run(workspace, name).finish()
    assert [run.id for run in workspace.runs()] == ["beta", "alps", "alpha"]
    assert workspace.run("latest").id == "beta"
    assert workspace.run("alph").id == "alpha"
    with pytest.raises(WorkspaceError, match="'al' fits 2 runs: alps, alpha"):
        workspace.run("al")
    with pytest.raises(WorkspaceError, match="did you mean 'beta'"):
        workspace.run("bta")


def test_exact_name_wins_over_prefix(workspace: Workspace):
    for name in ("sft", "sft-2"):
        make_run(workspace, name).finish()
    assert workspace.run("sft").id == "sft"


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", "latest", "x" * 81])
def test_names_that_leave_the_folder_are_refused(workspace: Workspace, name: str):
    with pytest.raises(WorkspaceError, match="cannot name a run"):
        make_run(workspace, name)


def test_taken_name_is_refused(workspace: Workspace):
    make_run(workspace, "taken").finish()
    with pytest.raises(WorkspaceError, match="'taken' exists"):
        make_run(workspace, "taken")


def test_empty_workspace_says_where_it_looked(workspace: Workspace):
    assert workspace.runs() == []
    with pytest.raises(WorkspaceError, match=r"no runs in .*ws; name another folder"):
        workspace.run("latest")


def test_headline_and_artifacts_are_kept(workspace: Workspace):
    run = make_run(workspace, "full")
    run.add_artifact("policy", run.model_folder)
    run.add_artifact("data", "sha256:abc")
    run.finish(Headline(name="win rate", value=0.71234, low=0.65, high=0.77))
    record = workspace.run("full").record
    assert record.artifacts == {"policy": "model", "data": "sha256:abc"}
    assert str(record.headline) == "win rate 0.712 [0.65, 0.77]"


def test_metrics_of_all_stages_are_read_up_to_a_cut_line(workspace: Workspace):
    run = make_run(workspace, "staged")
    run.metrics_path.write_text('{"step": 1, "kind": "step", "metrics": {"loss": 2.0}}\n{"step": 2, "ki')
    (run.folder / "sft").mkdir()
    (run.folder / "sft" / "metrics.jsonl").write_text(
        '{"step": 1, "kind": "eval", "metrics": {"loss": 1.0}}\n'
    )
    assert [(row["stage"], row["step"], row["metrics"]["loss"]) for row in run.metrics()] == [
        ("", 1, 2.0),
        ("sft", 1, 1.0),
    ]
    run.finish()


def test_broken_record_names_file_and_place(workspace: Workspace):
    make_run(workspace, "odd").finish()
    path = workspace.root / "runs" / "odd" / "run.json"
    path.write_text(path.read_text().replace('"done"', '"dnoe"'))
    with pytest.raises(WorkspaceError, match=r"run\.json is broken at status"):
        _ = workspace.run("odd").record


def test_option_wins_over_variable_wins_over_default(tmp_path: Path):
    environment = {"ACCORD_WORKSPACE": "from-variable"}
    assert workspace_root(tmp_path, environment) == tmp_path
    assert workspace_root(None, environment) == Path("from-variable")
    assert workspace_root(None, {}) == Path("accord-workspace")
