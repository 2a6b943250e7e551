"""`accord evaluate reward` as its user sees it: what it prints is what gate and report read."""

import json
from pathlib import Path

import pytest

from accord.cli.main import run_command


@pytest.fixture
def function(tmp_path: Path) -> str:
    place = tmp_path / "rm.py"
    place.write_text(
        "def score(prompts, rows):\n    return [float(row.text.count('good')) for row in rows]\n"
    )
    return f"{place}:score"


def preferences(path: Path, n: int = 24) -> Path:
    rows = [
        {
            "prompt": f"Say {i}",
            "chosen": f"good answer {i}",
            "rejected": f"answer {i}" + " good good" * (i % 4 == 0),
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_preferences_are_scored_and_gated(tmp_path: Path, function: str, capsys: pytest.CaptureFixture[str]):
    path = preferences(tmp_path / "p.jsonl")
    assert run_command(["evaluate", "reward", str(path), "--model", function, "--json"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    accuracy = next(one for one in found["measurements"] if one["slice"] == "all")
    assert (accuracy["metric"], accuracy["estimate"]["value"]) == ("reward_accuracy", 18 / 24)
    assert found["evidence"]["calibration"]["n"] == 24
    shifts = [one["slice"] for one in found["measurements"] if one["metric"] == "reward_shift"]
    assert shifts == ["change=markdown_frame", "change=polite_opening", "change=trailing_space"]
    (tmp_path / "r.json").write_text(text)
    page = tmp_path / "page.html"
    assert run_command(["gate", "default", str(tmp_path / "r.json"), "--report", str(page), "--json"]) in (
        1,
        2,
    )
    gates = {row["id"]: row for row in json.loads(capsys.readouterr().out)["gates"]}
    assert gates["G2"]["verdict"] == "undecided"
    # The reason of the command, not only "there is none".
    assert "no pair has two votes" in gates["G1.ceiling"]["reason"]
    assert "accord evaluate compare" in gates["G4"]["reason"]
    assert 'id="reliability"' in page.read_text()


def test_two_reward_models_are_compared_pair_by_pair(
    tmp_path: Path, function: str, capsys: pytest.CaptureFixture[str]
):
    path = preferences(tmp_path / "p.jsonl")
    (tmp_path / "old.py").write_text(
        "def score(prompts, rows):\n    return [-float(len(row.text)) for row in rows]\n"
    )
    words = ["evaluate", "reward", str(path), "--model", function, "--incumbent", f"{tmp_path}/old.py:score"]
    assert run_command([*words, "--json", "--no-changes"]) == 0
    found = json.loads(capsys.readouterr().out)["measurements"]
    gap = next(one for one in found if one["versus"] == "incumbent")
    # The incumbent likes the shorter: right only where `good good` was added.
    assert gap["estimate"]["value"] == pytest.approx((18 - 6) / 24)


def test_a_benchmark_is_scored(tmp_path: Path, function: str, capsys: pytest.CaptureFixture[str]):
    rows = [{"subset": "donotanswer", "prompt": "p", "chosen": "good", "rejected": "bad"}] * 3
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["evaluate", "reward", str(tmp_path / "b.jsonl"), "--bench", "rewardbench", "--model", function]
    assert run_command(words) == 0
    out = capsys.readouterr().out
    assert "subset=donotanswer" in out
    assert "not measured: rewardbench overall" in out


def test_errors_say_what_to_do(tmp_path: Path, function: str, capsys: pytest.CaptureFixture[str]):
    path = preferences(tmp_path / "p.jsonl")
    assert run_command(["evaluate", "reward", str(path)]) == 1
    assert "chosen_reward" in capsys.readouterr().err
    assert run_command(["evaluate", "reward", str(path), "--limit", "3"]) == 2
    assert run_command(["evaluate", "reward", str(path), "--bench", "other"]) == 1
    twice = tmp_path / "twice.jsonl"
    twice.write_text(path.read_text().splitlines()[0] + "\n" + path.read_text())
    assert run_command(["evaluate", "reward", str(twice), "--model", function]) == 1
    assert "there twice" in capsys.readouterr().err


def test_rankings_are_scored_and_measured(tmp_path: Path, function: str, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "r.jsonl"
    # most "good" first in half of the lists, the other way round in the others
    answers = ["good good", "good", "bad"]
    rows = [
        {"prompt": f"Say {i}", "completions": answers, "ranks": [1, 2, 3] if i % 2 else [3, 2, 1]}
        for i in range(8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = ["evaluate", "reward", str(path), "--rankings", "--model", function]
    assert run_command([*line, "--json"]) == 0
    found = {one["metric"]: one["estimate"] for one in json.loads(capsys.readouterr().out)["measurements"]}
    assert found["reward_best_of_k"]["value"] == 0.5
    assert found["reward_kendall_tau"]["value"] == pytest.approx(0.0)
    assert run_command([*line, "--limit", "1"]) == 0
    assert "reward_best_of_k" in capsys.readouterr().out
    assert run_command([*line, "--incumbent", "x"]) == 2
    path.write_text('{"prompt_id": "a", "rewards": [1.0, NaN], "ranks": [1, 2]}\n')
    assert run_command(["evaluate", "reward", str(path), "--rankings"]) == 1
    assert "r.jsonl" in capsys.readouterr().err
