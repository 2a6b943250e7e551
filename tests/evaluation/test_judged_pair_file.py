"""Judged pairs from files."""

import json

import pytest

from accord.cli.main import run_command
from accord.domain.errors import DataError
from accord.evaluation.judged_pair_file import read_judged_pairs


def row(prompt, first, second, winner=None, **others):
    return {"prompt_id": prompt, "first": first, "second": second, "winner": winner, **others}


def write(path, rows):
    path.write_text("\n".join(json.dumps(one) for one in rows))
    return path


def test_orders_are_joined(tmp_path):
    rows = [
        row("1", "new", "old", "first"),
        row("1", "old", "new", "new"),
        row("2", "new", "old", "tie"),
        row("2", "old", "new", None),
        row("3", "old", "new", None, share=0.75),
        row("3", "old", "new", "second", judge="b"),
    ]
    names, pairs = read_judged_pairs(write(tmp_path / "j.jsonl", rows))
    assert names == ("new", "old")
    assert [(one.candidate_first, one.candidate_second) for one in pairs] == [
        (1.0, 1.0),
        (0.5, None),
        (None, 0.25),
        (None, 1.0),
    ]
    names, pairs = read_judged_pairs(tmp_path / "j.jsonl", "old")
    assert names == ("old", "new")
    assert pairs[0].shares == (0.0, 0.0)
    (tmp_path / "j.csv").write_text("prompt_id,first,second,share\n1,a,b,0.25\n1,b,a,0.5\n2,a,b,\n")
    _, pairs = read_judged_pairs(tmp_path / "j.csv")
    assert [one.shares for one in pairs] == [(0.25, 0.5), ()]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (row("1", "new", "old", "first"), ":2: prompt '1' was judged before in this order"),
        (row("2", "new", "third", "first"), ":2: the models are not new and old"),
        (row("2", "new", "old", "left"), ":2: winner is 'left'"),
        (row("2", "new", "old", share="much"), ":2: share is 'much'"),
        (row(None, "new", "old", "first"), ":2: there is no prompt_id"),
    ],
)
def test_a_broken_row_is_named(tmp_path, wrong, said):
    with pytest.raises(DataError, match=said):
        read_judged_pairs(write(tmp_path / "j.jsonl", [row("1", "new", "old", "first"), wrong]))


def test_the_command(tmp_path, capsys):
    path = str(write(tmp_path / "j.jsonl", [row("1", "new", "old", "first"), row("1", "old", "new", "new")]))
    assert run_command(["evaluate", "judged", path, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["metric"] for one in shown["measurements"]] == [
        "win_rate",
        "swap_consistency",
        "position_bias",
        "win_rate",
    ]
    anytime = shown["measurements"][-1]
    assert (anytime["slice"], anytime["estimate"]["value"]) == ("anytime", 1.0)
    assert shown["evidence"]["votes"]["means"] == [1.0]
    assert shown["measurements"][0]["estimate"]["value"] == 1.0
    assert run_command(["evaluate", "judged", path]) == 0
    assert "wins: 1" in capsys.readouterr().out
    assert run_command(["evaluate", "judged", path, "--candidate", "x"]) == 1
    assert "expected two, one of them 'x'" in capsys.readouterr().err
    assert run_command(["evaluate", "judged", path, "--single-orders", "x"]) == 2
