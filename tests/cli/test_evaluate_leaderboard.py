"""`accord evaluate leaderboard` as a user types it."""

import json

import numpy as np
import pytest

from accord.cli.main import run_command


@pytest.fixture
def battles(tmp_path):
    generator = np.random.default_rng(0)
    names, strength = ["good", "fair", "poor"], np.array([1.0, 0.0, -1.0])
    rows = []
    for number in range(400):
        first, second = generator.choice(3, 2, replace=False)
        chance = 1 / (1 + np.exp(strength[second] - strength[first]))
        winner = "tie" if number % 9 == 0 else "model_a" if generator.random() < chance else "model_b"
        row = {"model_a": names[first], "model_b": names[second], "winner": winner}
        row |= {"prompt_id": number // 2, "answer_b": "**y** "}
        rows.append({**row, "answer_a": "x" * int(generator.integers(5, 50))})
    path = tmp_path / "battles.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


@pytest.mark.parametrize("ties", ["half", "davidson", "threshold"])
def test_leaderboard_as_json(battles, capsys, tmp_path, ties):
    command = ["evaluate", "leaderboard", battles, "--ties", ties, "--style", "--json"]
    assert run_command(command) == 0
    text = capsys.readouterr().out
    shown = json.loads(text)
    assert [row["model"] for row in shown["models"]] == ["good", "fair", "poor"]
    assert sum(row["first_probability"] for row in shown["models"]) == pytest.approx(1.0)
    assert np.mean([row["score"] for row in shown["models"]]) == pytest.approx(1000)
    assert shown["facts"]["clusters"] == 200
    assert {row["name"] for row in shown["style"]} == {"length", "bold"}
    assert (shown["facts"]["tie"] is None) == (ties == "half")
    assert run_command(command) == 0
    assert capsys.readouterr().out == text
    # its own JSON is a leaderboard that another one is held against
    (tmp_path / "l.json").write_text(text)
    picture = str(tmp_path / "l.svg")
    against = ["--against", str(tmp_path / "l.json"), "--plot", picture]
    assert run_command(["evaluate", "leaderboard", battles, *against]) == 0
    assert (tmp_path / "l.svg").read_text().startswith("<svg")
    assert "agreement over 3 models" in capsys.readouterr().out


def test_what_is_wrong_ends_with_a_message_and_a_code(battles, capsys):
    assert run_command(["evaluate", "leaderboard", battles, "--ties", "none"]) == 2
    assert run_command(["evaluate", "leaderboard", battles, "--length", "none"]) == 2
    assert run_command(["evaluate", "leaderboard", battles, "--anchor", "best=1"]) == 2
    assert "expected MODEL=RATING" in capsys.readouterr().err
    assert run_command(["evaluate", "leaderboard", battles, "--cluster", "user"]) == 1
    assert "no 'user' to cluster by" in capsys.readouterr().err
