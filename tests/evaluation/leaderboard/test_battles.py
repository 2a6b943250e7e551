"""Battles from files, the style of answers, and another leaderboard to hold ours against."""

import json
import math

import numpy as np
import pytest

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.intervals import Estimate
from accord.evaluation.leaderboard.agreement import measure_agreement, read_leaderboard
from accord.evaluation.leaderboard.battles import read_battles
from accord.evaluation.leaderboard.style import Style, measure_style, standardized, style_difference


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def battle(winner, **others):
    return {"model_a": "x", "model_b": "y", "winner": winner, **others}


def test_winners_in_all_words(tmp_path):
    words = ["model_a", "model_b", "tie", "tie (bothbad)", "both_bad", "x", "y", "Tie"]
    battles = read_battles(write(tmp_path / "b.jsonl", [battle(word) for word in words]))
    assert battles.outcome.tolist() == [0, 1, 2, 2, 2, 0, 1, 2]
    assert battles.models == ("x", "y")
    assert battles.clusters.is_single
    (tmp_path / "b.json").write_text(json.dumps([battle("x", question_id=3), battle("y", question_id=3)]))
    assert read_battles(tmp_path / "b.json").clusters.count == 1
    (tmp_path / "b.csv").write_text("left,right,outcome,weight,user\nx,y,left,2.5,u\ny,x,tie,1,v\n")
    table = read_battles(tmp_path / "b.csv", cluster="user")
    assert (table.n, table.clusters.count, table.outcome.tolist()) == (3.5, 2, [0, 2])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (battle("z"), ":2: winner is 'z'; expected model_a"),
        (battle("tie", model_b="x"), ":2: the models are 'x' and 'x'"),
        (battle("tie", weight=0), ":2: weight is 0"),
        (battle("tie", model_a=None), ":2: the models are None and 'y'"),
    ],
)
def test_a_broken_battle_is_named(tmp_path, row, said):
    with pytest.raises(DataError, match=said):
        read_battles(write(tmp_path / "b.jsonl", [battle("tie"), row]))


def test_files_that_are_no_battles(tmp_path):
    with pytest.raises(DataError, match="expected model_a, model_b and winner; there are a"):
        read_battles(write(tmp_path / "b.jsonl", [{"a": 1}]))
    with pytest.raises(DataError, match="no 'user' to cluster by"):
        read_battles(write(tmp_path / "b.jsonl", [battle("tie")]), cluster="user")
    with pytest.raises(DataError, match="no answer of side a"):
        read_battles(write(tmp_path / "b.jsonl", [battle("tie")]), has_style=True)


def test_style_of_markdown():
    text = (
        "# One\n\n## Two\n- a\n* b\n 3. c\n**bold** and __this__\n```\n# no\n- no\n**no**\n```\n#tag 1.5 -x"
    )
    assert measure_style(text) == Style(length=len(text), headers=2, lists=3, bold=2)
    assert measure_style("") == Style(length=0, headers=0, lists=0, bold=0)


def test_style_differences_by_hand():
    one, two = Style(length=30, headers=2, lists=0, bold=1), Style(length=10, headers=0, lists=0, bold=1)
    assert style_difference(one, two) == pytest.approx((20 / 40, 2 / 3, 0, 0))
    assert style_difference(two, one) == pytest.approx((-20 / 40, -2 / 3, 0, 0))
    assert style_difference(one, two, "log")[0] == pytest.approx(math.log(31 / 11))
    nothing = measure_style("")
    assert style_difference(nothing, nothing) == (0, 0, 0, 0)
    scaled, names = standardized(np.array([[3.0, 0.0], [-4.0, 0.0]]), ("length", "bold"))
    assert names == ("length",)
    assert scaled[:, 0] == pytest.approx(np.array([3, -4]) / math.sqrt(12.5))


def test_style_is_read_from_texts_turns_and_counts(tmp_path):
    long, short = "**a** " * 5, "**a** "
    turns = [{"role": "user", "content": "# no"}, {"role": "assistant", "content": long}]
    counts = {
        "sum_assistant_a_tokens": 30,
        "sum_assistant_b_tokens": 6,
        "header_count_a": {"h1": 0},
        "header_count_b": {"h1": 0},
        "list_count_a": {"ordered": 0},
        "list_count_b": {"ordered": 0},
        "bold_count_a": {"**": 3, "__": 2},
        "bold_count_b": {"**": 1},
    }
    rows = [
        battle("x", answer_a=long, answer_b=short),
        battle("x", conversation_a=turns, response_b=short),
        battle("x", conv_metadata=counts),
    ]
    battles = read_battles(write(tmp_path / "b.jsonl", rows), has_style=True)
    assert battles.covariate_names == ("length", "bold")
    # every row differs alike, so that each is one root mean square
    assert battles.covariates == pytest.approx(np.ones((3, 2)))


def test_agreement_by_hand(tmp_path):
    def side(**values):
        return {name: Estimate(value=value, low=value - 1, high=value + 1) for name, value in values.items()}

    ours, theirs = side(a=0, b=5, c=10, d=1), side(a=0, b=10, c=5, e=3)
    found = measure_agreement(ours, theirs)
    assert (found.models, found.pairwise, found.spearman) == (3, pytest.approx(2 / 3), pytest.approx(0.5))
    # a-b and a-c alike, b-c the other way round, all separated
    assert found.confidence == pytest.approx(1 / 3)
    with pytest.raises(EvaluationError, match="2 models are on both"):
        measure_agreement(side(a=1, b=2), theirs)
    (tmp_path / "l.csv").write_text("model,score\na,0\nb,1\nc,2\n")
    bare = read_leaderboard(tmp_path / "l.csv")
    assert measure_agreement(ours, bare).confidence is None
    (tmp_path / "l.csv").write_text("model,score\na,0\na,1\n")
    with pytest.raises(DataError, match="'a' is there twice"):
        read_leaderboard(tmp_path / "l.csv")
    (tmp_path / "l.csv").write_text("who,points\na,0\n")
    with pytest.raises(DataError, match="expected rows with model and score; found who, points"):
        read_leaderboard(tmp_path / "l.csv")
