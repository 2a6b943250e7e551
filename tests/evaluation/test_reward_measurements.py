"""Health of a reward model from scored pairs: numbers by hand, reasons where there is none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from accord.evaluation.measurement import Measurement
from accord.evaluation.reward_measurements import RewardMeasurements, measure_reward_model
from accord.evaluation.scored_pairs import ScoredPair, ScoredPairs


def find(found: RewardMeasurements, metric: str, slice: str = "all", versus: str = "nothing") -> Measurement:
    return next(
        one for one in found.measurements if (one.metric, one.slice, one.versus) == (metric, slice, versus)
    )


def pairs(n: int, *, wrong: int = 0, **fields: object) -> list[ScoredPair]:
    """n pairs on prompts of their own; the first `wrong` have the rejected side rated higher."""
    return [
        ScoredPair(
            id=f"p{i}",
            prompt_id=f"q{i}",
            chosen_reward=-1.0 if i < wrong else 1.0,
            rejected_reward=0.0,
            **fields,
        )
        for i in range(n)
    ]


def test_accuracy_and_the_difference_from_the_incumbent_by_hand():
    new, old = pairs(40, wrong=10), pairs(40, wrong=20)
    found = measure_reward_model(ScoredPairs(labeled=tuple(new)), ScoredPairs(labeled=tuple(old[::-1])))
    assert find(found, "reward_accuracy").estimate.value == 30 / 40
    assert find(found, "reward_accuracy", "side=incumbent").estimate.value == 20 / 40
    gap = find(found, "reward_accuracy", versus="incumbent")
    assert gap.estimate.value == 10 / 40
    # Ten pairs only the candidate gets right, none only the incumbent: 2 * 2^-10.
    assert gap.facts["p_mcnemar_exact"] == pytest.approx(2**-9)


def test_share_of_the_ceiling_is_one_for_a_model_that_always_sides_with_agreed_votes():
    rows = [replace(row, votes=(5, 0)) for row in pairs(60)]
    found = measure_reward_model(ScoredPairs(labeled=tuple(rows)))
    # With five equal votes a pair the fitted ceiling lies just under 1.
    assert find(found, "reward_accuracy_of_ceiling").estimate.value == pytest.approx(1.0, abs=2e-3)
    split = [replace(row, votes=(3, 2), p_chosen=0.6) for row in pairs(60)]
    low = measure_reward_model(ScoredPairs(labeled=tuple(split)))
    # .6 of the votes are right; at the bound Beta(1000, 1000) nobody beats
    # 1/2 + sqrt(2 / pi) / (2 sqrt(2001)).
    ceiling = 0.5 + math.sqrt(2 / math.pi) / (2 * math.sqrt(2001))
    share = find(low, "reward_accuracy_of_ceiling").estimate.value
    assert share == pytest.approx(0.6 / ceiling, abs=1e-3)


def test_worst_group_and_its_gap_by_hand():
    rows = [replace(row, group="a" if i < 40 else "b") for i, row in enumerate(pairs(80, wrong=20))]
    found = measure_reward_model(ScoredPairs(labeled=tuple(rows)))
    # Group a: 20 of 40 right; all: 60 of 80.
    assert find(found, "reward_accuracy", "group=a").estimate.value == 0.5
    gap = find(found, "reward_accuracy_gap", "worst_group")
    assert gap.estimate.value == 0.75 - 0.5
    assert gap.facts["worst"] == "a"
    assert gap.estimate.low < 0.25 < gap.estimate.high


def test_length_correlation_is_a_size_with_its_sign_beside_it():
    rows = [
        replace(row, lengths=(10.0 + i % 3, 20.0), chosen_reward=row.chosen_reward + i / 100)
        for i, row in enumerate(pairs(30))
    ]
    found = measure_reward_model(ScoredPairs(labeled=tuple(rows)))
    signed = find(found, "reward_length_correlation", "signed").estimate
    size = find(found, "reward_length_correlation", "within_prompt").estimate
    assert signed.value < 0
    assert size.value == -signed.value
    assert (size.low, size.high) == (pytest.approx(-signed.high), pytest.approx(-signed.low))


def test_invariance_is_in_within_prompt_deviations():
    rows = [replace(row, changed={"polite_opening": row.chosen_reward + 0.5}) for row in pairs(20)]
    found = measure_reward_model(ScoredPairs(labeled=tuple(rows)))
    # Rewards of a prompt are 1 and 0: deviation sqrt(2 * .25 / 1) = .7071.
    assert find(found, "reward_shift", "change=polite_opening").estimate.value == pytest.approx(
        0.5 * math.sqrt(2)
    )


def test_temperature_is_fitted_on_prompts_other_than_those_it_is_measured_on():
    generator = np.random.default_rng(0)
    margins = generator.normal(0, 2, 800)
    votes = generator.random(800) < 1 / (1 + np.exp(-margins / 4))
    rows = [
        ScoredPair(
            id=str(i), prompt_id=str(i), chosen_reward=margin, rejected_reward=0.0, p_chosen=float(vote)
        )
        for i, (margin, vote) in enumerate(zip(margins.tolist(), votes.tolist(), strict=True))
    ]
    found = measure_reward_model(ScoredPairs(labeled=tuple(rows)))
    after, before = (find(found, "reward_calibration_error", name) for name in ("all", "before_temperature"))
    # Margins are four times too large by construction.
    assert after.facts["temperature"] == pytest.approx(4.0, rel=0.5)
    assert after.estimate.high < before.estimate.low
    assert after.estimate.n == before.estimate.n < 800


def test_an_ensemble_and_pairs_without_labels_are_measured():
    generator = np.random.default_rng(1)
    rows = []
    for i in range(120):
        is_easy = i % 2 == 0
        margin = 2.0 if is_easy else float(generator.choice([-1.0, 1.0]))
        spread = 0.1 if is_easy else 1.5
        members = ((margin + spread, 0.0), (margin - spread, 0.0))
        rows.append(
            ScoredPair(
                id=str(i), prompt_id=str(i), chosen_reward=margin, rejected_reward=0.0, members=members
            )
        )
    unlabeled = tuple(replace(row, id=f"u{row.id}", p_chosen=None) for row in rows[:40])
    found = measure_reward_model(ScoredPairs(labeled=tuple(rows), unlabeled=unlabeled))
    # Every error is among the pairs of high variance.
    assert find(found, "reward_uncertainty_auroc", "variance").estimate.value > 0.7
    assert find(found, "reward_risk", "coverage=0.5").estimate.value == 0.0
    assert 0.5 < find(found, "reward_label_free_accuracy").estimate.value < 1.0


def test_what_is_missing_is_named_and_never_a_number():
    found = measure_reward_model(ScoredPairs(labeled=tuple(pairs(20))))
    metrics = {one.metric for one in found.measurements}
    for name in ("reward_accuracy_of_ceiling", "reward_length_correlation", "reward_shift"):
        assert name not in metrics
        assert found.not_measured[name]
    assert "no incumbent" in found.not_measured["reward_accuracy against the incumbent"]


def test_one_pair_has_a_wide_interval_and_no_more():
    found = measure_reward_model(ScoredPairs(labeled=tuple(pairs(1))))
    accuracy = find(found, "reward_accuracy").estimate
    assert (accuracy.value, accuracy.low < 0.25) == (1.0, True)
    assert not find(found, "reward_calibration_error").estimate.has_interval


def test_row_order_changes_nothing():
    rows = [
        replace(row, group="ab"[i % 2], lengths=(float(i), 30.0)) for i, row in enumerate(pairs(80, wrong=30))
    ]
    first = measure_reward_model(ScoredPairs(labeled=tuple(rows)))
    again = measure_reward_model(ScoredPairs(labeled=tuple(rows[::-1])))
    for one, other in zip(first.measurements, again.measurements, strict=True):
        assert (one.metric, one.slice) == (other.metric, other.slice)
        assert one.estimate.value == pytest.approx(other.estimate.value, abs=1e-12)
        assert one.estimate.low == pytest.approx(other.estimate.low, abs=1e-9, nan_ok=True)
