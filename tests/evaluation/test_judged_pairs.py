"""Both orders of judged pairs: by hand, what is missing, and a judge that likes the first place."""

import math

import numpy as np
import pytest

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.gates.plan import Gate
from accord.evaluation.gates.verdict import Verdict, judge_gate
from accord.evaluation.judged_pairs import JudgedPair, measure_judged_pairs, to_measurements


def pair(prompt, first, second):
    return JudgedPair(prompt_id=str(prompt), candidate_first=first, candidate_second=second)


def test_by_hand():
    found = measure_judged_pairs(
        [pair(1, 1, 1), pair(2, 1, 0), pair(3, 0.5, 0.5), pair(4, 0, 0), pair(5, 1, 0.5)]
    )
    # means 1, .5, .5, 0, .75
    assert found.win_rate.value == pytest.approx(0.55)
    assert (found.wins, found.ties, found.losses) == (2, 2, 1)
    # the second and the fifth change their winner
    assert found.consistency.value == pytest.approx(3 / 5)
    # first place gets 1, 2, 1, 1, 1.5 of 2
    assert found.position_bias.value == pytest.approx(6.5 / 10 - 0.5)
    assert found.flags == ()


def test_one_order_is_left_out_or_flagged():
    pairs = [pair(1, 1, 1), pair(2, 1, None), pair(3, None, 0), pair(4, None, None), pair(5, 0, 1)]
    found = measure_judged_pairs(pairs)
    assert (found.win_rate.value, found.win_rate.n) == (0.75, 2)
    assert (found.pairs, found.single_orders, found.empty) == (4, 2, 1)
    assert "2 pairs were judged in one order only and are left out" in found.flags
    kept = measure_judged_pairs(pairs, single_orders="keep")
    assert (kept.win_rate.value, kept.win_rate.n) == (pytest.approx(2.5 / 4), 4)
    assert any("holds the judge's liking" in flag for flag in kept.flags)


def test_what_was_not_judged_in_both_orders_is_not_measured():
    found = measure_judged_pairs([pair(1, 1, None), pair(2, 1, None)])
    assert math.isnan(found.win_rate.value)
    assert math.isnan(found.consistency.value)
    gate = Gate(id="g", metric="win_rate", comparator="superiority", margin=0.5)
    measured = to_measurements(found)[0]
    assert judge_gate(gate, measured).verdict is Verdict.NOT_MEASURED
    assert "not measured" in found.flags[-1]


def test_a_judge_that_likes_the_first_place_is_found_and_does_no_harm():
    # both answers are as good; the first wins 70 of 100
    generator = np.random.default_rng(0)
    rows = [
        pair(prompt, float(generator.random() < 0.7), float(generator.random() < 0.3))
        for prompt in range(2000)
    ]
    found = measure_judged_pairs(rows)
    assert found.position_bias.value == pytest.approx(0.2, abs=3 * math.sqrt(0.21 / 4000))
    assert found.win_rate.low < 0.5 < found.win_rate.high
    # same winner with .7 * .3 + .3 * .7
    assert found.consistency.value == pytest.approx(0.42, abs=3 * math.sqrt(0.42 * 0.58 / 2000))
    assert found.flags == ("the judge leans to the first place",)
    alone = measure_judged_pairs(
        [JudgedPair(prompt_id=row.prompt_id, candidate_first=row.candidate_first) for row in rows],
        single_orders="keep",
    )
    assert alone.win_rate.low > 0.6


def test_intervals_are_clustered_by_prompt():
    generator = np.random.default_rng(1)
    outcomes = generator.integers(0, 2, 50).astype(float)
    one = measure_judged_pairs([pair(k, share, share) for k, share in enumerate(outcomes)])
    four = measure_judged_pairs([pair(k, share, share) for k, share in enumerate(outcomes) for _ in range(4)])
    width = one.win_rate.high - one.win_rate.low
    assert four.win_rate.high - four.win_rate.low == pytest.approx(width, rel=0.15)


def test_intervals_cover():
    # 300 draws of 80 prompts with three judges each, who share the prompt's leaning; its standard error is
    # 1.3 points
    hits = 0
    for seed in range(300):
        generator = np.random.default_rng([2, seed])
        chance = generator.beta(2, 1.2, 80)[:, None, None]
        shares = (generator.random((80, 3, 2)) < chance).astype(float)
        rows = [pair(k, *shares[k, judge]) for k in range(80) for judge in range(3)]
        found = measure_judged_pairs(rows, seed=seed)
        hits += found.win_rate.low <= 2 / 3.2 <= found.win_rate.high
    assert 0.92 <= hits / 300 <= 0.98


def test_what_does_not_fit_raises():
    with pytest.raises(EvaluationError, match="share of 2"):
        pair(1, 2, 0)
    with pytest.raises(EvaluationError, match="share of nan"):
        pair(1, math.nan, 0)
    with pytest.raises(EvaluationError, match="no judged pairs"):
        measure_judged_pairs([])
    with pytest.raises(ConfigError, match="expected drop or keep"):
        measure_judged_pairs([pair(1, 1, 1)], single_orders="guess")


def test_one_pair_has_a_wide_interval():
    found = measure_judged_pairs([pair(1, 1, 1)])
    # Wilson of 1 of 1
    assert found.win_rate.low == pytest.approx(1 / (1 + 1.959964**2), rel=1e-6)
    assert not found.position_bias.has_interval
