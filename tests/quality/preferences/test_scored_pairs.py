import math

import numpy as np
import pytest

from accord.domain import Choice, Comparison, DataError, Judgment, Prompt
from accord.quality.judgments import LEFT, RIGHT, TIE, tabulate_judgments
from accord.quality.preferences.scored_pairs import pairs_from_judgments, tabulate_pairs


def small():
    return tabulate_pairs(
        ["b", "a", "c"],
        ["a", "c", "b"],
        ["left", "right", "tie"],
        ["w2", "w1", "w2"],
        family=["x", "x", "y"],
        covariates={"length": [1.0, -2.0, 0.5]},
    )


def test_columns_become_numbers_of_sorted_ids():
    pairs = small()
    assert (pairs.items, pairs.annotators, pairs.families) == (("a", "b", "c"), ("w1", "w2"), ("x", "y"))
    assert pairs.left.tolist() == [1, 0, 2]
    assert pairs.right.tolist() == [0, 2, 1]
    assert pairs.outcome.tolist() == [LEFT, RIGHT, TIE]
    assert pairs.annotator.tolist() == [1, 0, 1]
    assert pairs.left_share.tolist() == [1.0, 0.0, 0.5]
    assert pairs.appearances.tolist() == [2, 2, 2]


def test_mirrored_twice_is_the_same_and_once_is_the_other_way_round():
    pairs = small()
    mirrored = pairs.mirrored()
    assert mirrored.left.tolist() == pairs.right.tolist()
    assert mirrored.outcome.tolist() == [RIGHT, LEFT, TIE]
    assert mirrored.covariates[:, 0].tolist() == [-1.0, 2.0, -0.5]
    back = mirrored.mirrored()
    assert back.outcome.tolist() == pairs.outcome.tolist()
    assert back.left.tolist() == pairs.left.tolist()


def test_arrays_and_lists_give_the_same_table():
    left, right, outcome = np.array([3, 1]), np.array([1, 7]), np.array([0, 2])
    by_array = tabulate_pairs(left, right, outcome, np.array([5, 4]))
    by_list = tabulate_pairs(left.tolist(), right.tolist(), outcome.tolist(), [5, 4])
    assert by_array.items == by_list.items == (1, 3, 7)
    assert by_array.outcome.tolist() == by_list.outcome.tolist()
    assert by_array.annotator.tolist() == by_list.annotator.tolist() == [1, 0]


def test_repeats_are_settled_by_name():
    columns = (["a", "a", "b"], ["b", "b", "a"], ["left", "right", "tie"], ["w", "w", "v"])
    asked = {"comparison": ["q", "q", "q"]}
    assert tabulate_pairs(*columns, **asked, repeats="first").outcome.tolist() == [LEFT, TIE]
    last = tabulate_pairs(*columns, **asked, repeats="last")
    assert (last.outcome.tolist(), last.n_repeats) == ([RIGHT, TIE], 1)
    assert len(tabulate_pairs(*columns)) == 3
    with pytest.raises(DataError, match="row 1: annotator 'w' judged comparison 'q' before; 1 rows repeat"):
        tabulate_pairs(*columns, **asked)
    with pytest.raises(DataError, match="repeats is 'mean'; expected one of first, last, error"):
        tabulate_pairs(*columns, **asked, repeats="mean")


def test_judgments_become_rows_in_their_order_with_measures_left_minus_right():
    comparison = Comparison(prompt=Prompt.from_text("which"), left="bb", right="a")
    other = Comparison(prompt=Prompt.from_text("which"), left="a", right="bb")
    judgments = [
        Judgment(comparison=comparison, annotator_id="v", choice=Choice.LEFT),
        Judgment(comparison=other, annotator_id="w", choice=Choice.LEFT),
    ]
    table = tabulate_judgments(judgments)
    pairs = pairs_from_judgments(
        table, source=lambda pair, text: text, family=lambda pair: "f", covariates={"length": len}
    )
    assert pairs.items == ("a", "bb")
    assert [pairs.items[k] for k in pairs.left] == ["bb", "a"]
    assert pairs.outcome.tolist() == [LEFT, LEFT]
    assert pairs.covariates[:, 0].tolist() == [1.0, -1.0]
    assert pairs.families == ("f",)
    assert pairs_from_judgments(table).items[0][1] == "a"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left": [], "right": [], "outcome": []}, "no comparisons; expected at least one row"),
        ({"right": ["a"]}, "column 'right' has 1 rows, expected 2, as many as 'left'"),
        ({"right": ["b", "b"]}, "row 1: item 'b' is compared with itself; remove the row"),
        ({"outcome": ["left", "won"]}, "row 1: outcome is 'won', expected left, right or tie"),
        ({"outcome": np.array([0, 3])}, "row 1: outcome is 3, expected 0 .left., 1 .right. or 2 .tie."),
        ({"left": ["a", None]}, "row 1: item is None, expected an id"),
        ({"left": ["a", math.nan]}, "row 1: item is nan, expected an id"),
        ({"annotator": ["w", None]}, "row 1: annotator is None, expected an id"),
        ({"covariates": {"length": [0.0, math.nan]}}, "row 1: covariate 'length' is nan, expected a finite"),
        ({"covariates": {"length": [0.0]}}, "column 'length' has 1 rows, expected 2"),
    ],
)
def test_bad_columns_are_refused_in_one_sentence(changes, message):
    columns = {"left": ["a", "b"], "right": ["b", "a"], "outcome": ["left", "tie"], "annotator": None}
    columns |= changes
    keywords = {"covariates": columns.pop("covariates", None)}
    if not len(columns["left"]):
        columns["annotator"] = None
    with pytest.raises(DataError, match=message):
        tabulate_pairs(*columns.values(), **keywords)
