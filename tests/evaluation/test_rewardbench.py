"""The published scoring rules, by hand on small constructed examples."""

import math

import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.rewardbench import (
    DOMAINS,
    SECTIONS,
    RankedExample,
    score_rewardbench,
    score_rewardbench2,
    score_ties,
)


def test_sections_weigh_by_count_and_average_equally():
    subsets, chosen, rejected = [], [], []
    for counts in SECTIONS.values():
        for name in counts:
            subsets += [name, name]
            chosen += [1.0, 1.0]
            # math-prm all right, everything else half right
            rejected += [0.0, 0.0 if name == "math-prm" else 2.0]
    found = score_rewardbench(subsets, chosen, rejected)
    # math-prm weighs 984 like the six code subsets of 164 together: (1 + 1/2) / 2
    assert found.sections["Reasoning"] == pytest.approx(0.75)
    assert found.overall == pytest.approx((0.5 + 0.5 + 0.5 + 0.75) / 4)
    assert found.missing == ()
    assert sum(len(counts) for counts in SECTIONS.values()) == 23


def test_missing_subset_gives_no_overall():
    found = score_rewardbench(["donotanswer", "own"], [1.0, 1.0], [0.0, 1.0])
    assert math.isnan(found.overall)
    assert found.sections == {}
    assert len(found.missing) == 22
    assert found.subsets["own"].value == 0.0
    assert found.n_equal == 1


def test_equal_rewards_may_count_half():
    assert score_rewardbench(["own"], [1.0], [1.0], equal_share=0.5).subsets["own"].value == 0.5


def example(subset, rewards, **fields):
    return RankedExample(question="1", subset=subset, rewards=rewards, **fields)


def test_best_of_four_and_a_shared_first_place():
    found = score_rewardbench2(
        [
            example("Math", [3.0, 1.0, 2.0, 0.0]),
            example("Math", [3.0, 3.0, 3.0, 0.0]),
            example("Math", [1.0, 3.0, 2.0, 0.0]),
        ]
    )
    assert found.subsets["Math"].value == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert found.n_equal == 1
    assert math.isnan(found.overall)
    assert set(found.missing) == set(DOMAINS) - {"Math"}


def ties(tied, reference, question="1"):
    return [
        RankedExample(question=question, subset="Ties", rewards=tied, n_right=2),
        RankedExample(question=question, subset="Ties", rewards=reference, is_reference=True),
    ]


def test_ties_score_by_hand():
    # question 1: right 5 and 4 (spread 1), wrong 1: gap 3; reference gap 2 -> both preferred, tanh(2/1 - 1)
    # question 2: right 5 and 2 (spread 3), wrong 1: gap 1; reference gap -1 -> neither, tanh(-1/3 - 1)
    found = score_ties([*ties([5, 4, 1], [3, 1]), *ties([5, 2, 1], [1, 2], question="2")])
    assert (found.reference_accuracy.value, found.tied_accuracy.value) == (0.5, 1.0)
    assert (found.preferred, found.preferred_hard) == (0.5, 0.5)
    assert found.margin == pytest.approx((math.tanh(1.0) + math.tanh(-4 / 3)) / 2)
    assert found.score == pytest.approx(0.3 * 0.5 + 0.3 * 1 + 0.2 * 0.5 + 0.2 * 0.5 + 0.01 * found.margin)


def test_ties_hard_part_takes_the_reference_gap():
    # tied gap 3 > spread 2, reference gap 1 is not
    found = score_ties(ties([6, 4, 1], [2, 1]))
    assert (found.preferred, found.preferred_hard) == (1.0, 0.0)


@pytest.mark.parametrize(("wrong", "margin"), [(1.0, 1.0), (4.0, 0.0), (5.0, -1.0)])
def test_right_answers_without_spread_take_the_sign_of_the_gap(wrong, margin):
    assert score_ties(ties([4, 4, wrong], [9, 1])).margin == margin


def test_complete_benchmark_averages_six():
    rows = [example(name, [1.0, 0.0]) for name in DOMAINS if name != "Ties"]
    found = score_rewardbench2([*rows, *ties([4, 4, 1], [3, 1])])
    assert found.overall == pytest.approx((5 * 1.0 + 1.01) / 6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([example("Math", [1.0])], "one right and one wrong"),
        ([example("Math", [1.0, math.nan])], "not finite"),
        ([], "n = 0"),
    ],
)
def test_bad_examples_are_refused(rows, message):
    with pytest.raises(EvaluationError, match=message):
        score_rewardbench2(rows)


def test_ties_that_never_meet_and_doubles_are_refused():
    with pytest.raises(EvaluationError, match="never meet"):
        score_ties(ties([4, 4, 1], [3, 1])[:1])
    with pytest.raises(EvaluationError, match="occurs twice"):
        score_ties(ties([4, 4, 1], [3, 1]) * 2)
