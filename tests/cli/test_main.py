"""The command line: fast start, one form of error, exit codes, and the runs it lists."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

import accord
from accord.cli.main import COMMANDS, run_command
from accord.domain.clock import CountingClock
from accord.domain.errors import AccordError, ConfigError, Interrupted, ModelError, Waiting
from accord.pipeline.provenance import collect_provenance
from accord.pipeline.runs import Headline
from accord.pipeline.workspace import Workspace

HEAVY = ("torch", "transformers", "pyarrow", "scipy", "numpy", "pydantic")


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 5


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = Workspace(tmp_path / "ws", clock=CountingClock())
    provenance = collect_provenance(seed=7)
    with space.create_run("sft", name="demo", config=Settings(), provenance=provenance) as run:
        run.metrics_path.write_text(
            '{"step": 1, "kind": "step", "metrics": {"loss": 2.0}}\n'
            '{"step": 2, "kind": "step", "metrics": {"loss": 1.5}}\n'
        )
        run.report_path.write_text("<html></html>")
        run.add_artifact("policy", run.model_folder)
        run.finish(Headline(name="win rate", value=0.75, low=0.6, high=0.9))
    odd = space.create_run("reward", name="odd", config=Settings(), provenance=provenance)
    with pytest.raises(ZeroDivisionError), odd:
        raise ZeroDivisionError("[red] is not markup")
    return space


def test_help_starts_without_heavy_packages():
    script = (
        "import sys\nfrom accord.cli.main import COMMANDS, run_command\n"
        f"assert run_command(['--help']) == 0\nprint([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
    assert "runs" in done.stdout


def test_help_repeats_the_summary_of_each_command():
    for command in COMMANDS:
        assert command.load().help.splitlines()[0] == command.summary


def test_group_alone_shows_its_help(capsys: pytest.CaptureFixture[str]):
    assert run_command(["data"]) == 0
    assert capsys.readouterr().out.startswith("Usage: accord data")


def test_help_is_quick():
    def seconds(*arguments: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        return time.perf_counter() - start

    # Against the bare interpreter in the same minute, so that a busy machine does not decide.
    bare = min(seconds("-c", "pass") for _ in range(3))
    assert min(seconds("-m", "accord", "--help") for _ in range(3)) < max(0.5, 25 * bare)


def test_version(capsys: pytest.CaptureFixture[str]):
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"accord {accord.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ModelError("no model at /x"), 1, "error: no model at /x\n"),
        (ConfigError("a.toml", ["one", "two"]), 2, "error: a.toml: 2 problems\n  - one\n  - two\n"),
        (Waiting("24 judgments are wanted"), 3, "waiting: 24 judgments are wanted\n"),
        (Interrupted("saved step 3"), 130, "error: saved step 3\n"),
        (KeyboardInterrupt(), 130, "error: stopped by the user\n"),
    ],
)
def test_each_error_has_one_form_and_its_code(
    error: BaseException,
    code: int,
    text: str,
    capsys: pytest.CaptureFixture[str],
):
    failing = typer.Typer()

    @failing.command("fail")
    def fail() -> None:
        raise error

    assert run_command([], application=failing) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", text)


def test_a_bug_keeps_its_traceback():
    failing = typer.Typer(pretty_exceptions_enable=False)

    @failing.command("fail")
    def fail() -> None:
        raise LookupError("bug")

    assert not issubclass(LookupError, AccordError)
    with pytest.raises(LookupError, match="bug"):
        run_command([], application=failing)


def test_missing_package_names_the_extra_that_brings_it():
    # A process in which torch cannot be imported, as on the base install.
    script = (
        "import sys\nsys.modules['torch'] = None\nfrom accord.cli.main import run_command\n"
        "sys.exit(run_command(['run', '--dry-run', '--resume', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "accord[train]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert run_command(["runs", "--colour"]) == 2
    captured = capsys.readouterr()
    assert "No such option" in captured.err
    assert "See `accord runs --help`" in captured.err


def test_nothing_at_all_shows_the_help():
    done = subprocess.run([sys.executable, "-m", "accord"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: accord")


def test_runs_are_listed(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert run_command(["runs", "-w", str(workspace.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "kind", "status", "started", "duration", "result"]
    assert lines[1].split()[:3] == ["odd", "reward", "failed"]
    assert lines[2].split()[:3] == ["demo", "sft", "done"]
    assert lines[2].endswith("win rate 0.75 [0.6, 0.9]")


def test_runs_as_json(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert run_command(["runs", "-w", str(workspace.root), "--json", "--kind", "sft"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["status"], row["seconds"]) == ("demo", "done", 1.0)
    assert row["headline"] == {"name": "win rate", "value": 0.75, "low": 0.6, "high": 0.9}


def test_show_names_what_came_of_a_run(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert run_command(["show", "demo", "-w", str(workspace.root)]) == 0
    out = capsys.readouterr().out
    loss = next(line for line in out.splitlines() if line.startswith("loss"))
    assert loss.split() == ["loss", "step", "2", "1.5", "2"]
    for text in ("report.html", "policy", "steps = 5", "seed", "win rate 0.75"):
        assert text in out


def test_show_as_json_holds_config_and_provenance(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert run_command(["show", "latest", "--json", "-w", str(workspace.root)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["id"] == "odd"
    assert shown["message"] == "ZeroDivisionError: [red] is not markup"
    assert shown["config"] == "steps = 5\n"
    assert shown["provenance"]["code"]["package"] == accord.__version__


def test_text_in_brackets_is_printed_as_it_stands(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert run_command(["show", "odd", "-w", str(workspace.root)]) == 0
    assert "failed: ZeroDivisionError: [red] is not markup" in capsys.readouterr().out


def test_unknown_run_is_an_error(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert run_command(["show", "dmo", "-w", str(workspace.root)]) == 1
    assert "did you mean 'demo'?" in capsys.readouterr().err
