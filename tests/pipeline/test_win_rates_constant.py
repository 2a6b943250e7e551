"""The constant output beside every length-controlled win rate."""

import json

import pytest

from accord.cli.main import run_command
from accord.domain.errors import DataError
from accord.pipeline.win_rates import win_rates


def entries(model, preference, length, n=40):
    return [
        {
            "instruction": f"do {k}",
            "output_1": "b" * (50 + k),
            "output_2": "m" * (length if length else 40 + 13 * k % 50),
            "generator_2": model,
            "preference": 1 + preference + (0.1 if k % 2 else -0.1),
        }
        for k in range(n)
    ]


def write(path, *runs):
    path.write_text(json.dumps([row for run in runs for row in run]))
    return path


def test_a_model_of_one_length_is_the_constant_output(tmp_path):
    path = write(tmp_path / "a.json", entries("new", 0.4, 0), entries("empty", 0.7, 70))
    new, empty = win_rates(path, resamples=0)
    assert new["constant_output"]["model"] == "empty"
    assert new["constant_output"]["win_rate"] == pytest.approx(70.0)
    assert any("does not beat the constant output of empty" in flag for flag in new["flags"])
    assert not any("does not beat" in flag for flag in empty["flags"])


def test_a_better_model_is_not_flagged_and_without_one_it_is_not_measured(tmp_path):
    path = write(tmp_path / "a.json", entries("new", 0.4, 0))
    (alone,) = win_rates(path, resamples=0)
    assert alone["constant_output"] is None
    floor = write(tmp_path / "c.json", entries("empty", 0.2, 70))
    (new,) = win_rates(path, resamples=0, constant=str(floor))
    assert new["constant_output"]["length_controlled_winrate"] == pytest.approx(20.0, abs=1.5)
    assert not any("does not beat" in flag for flag in new["flags"])
    with pytest.raises(DataError, match="neither a model of the annotations nor a file"):
        win_rates(path, constant="nobody")
    with pytest.raises(DataError, match="holds 2 models"):
        win_rates(path, constant=str(write(tmp_path / "d.json", entries("x", 0.2, 9), entries("y", 0.2, 9))))


def test_the_command_tells_both(tmp_path, capsys):
    path = str(write(tmp_path / "a.json", entries("new", 0.4, 0)))
    assert run_command(["evaluate", "lc-winrate", path, "--resamples", "40"]) == 0
    assert "a constant output wins: not measured" in capsys.readouterr().out
    floor = str(write(tmp_path / "c.json", entries("empty", 0.2, 70)))
    command = ["evaluate", "lc-winrate", path, "--resamples", "40", "--constant", floor, "--penalty"]
    assert run_command(command) == 0
    out = capsys.readouterr().out
    assert "a constant output wins: 20.00 raw" in out
    assert "penalized" in out
    assert run_command([*command, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["penalized_winrate"] == pytest.approx(row["length_controlled_winrate"], abs=6)
    assert row["penalty"] > 0
