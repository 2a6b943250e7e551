"""Best of k and tau-b: by hand, and tau-b as scipy has it."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.reward_ranking import (
    RankedAnswers,
    RankedLists,
    best_of_k,
    kendall_tau_b,
    measure_rankings,
    read_ranked_answers,
)


def ranked(prompt_id: str, rewards: list[float], ranks: list[float]) -> RankedAnswers:
    return RankedAnswers(prompt_id=prompt_id, rewards=tuple(rewards), ranks=tuple(ranks))


@pytest.mark.parametrize("seed", range(20))
def test_tau_b_is_scipys_with_ties_and_without(seed):
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 5, 9) if seed % 2 else generator.normal(size=9)
    second = generator.integers(0, 4, 9)
    assert kendall_tau_b(first, second) == pytest.approx(kendalltau(first, second).statistic, nan_ok=True)


def test_tau_of_what_does_not_vary_is_nothing():
    assert math.isnan(kendall_tau_b([1, 1, 1], [1, 2, 3]))
    assert math.isnan(kendall_tau_b([1], [1]))


def test_best_of_k_by_hand():
    assert best_of_k([3, 1, 2], [1, 2, 3]) == 1.0
    assert best_of_k([1, 3, 2], [1, 2, 3]) == 0.0
    assert best_of_k([1, 3, 2], [1, 1, 2]) == 1.0  # two share the first place
    assert best_of_k([3, 3, 2, 3], [1, 2, 3, 4]) == pytest.approx(1 / 3)  # three share the highest reward


def test_lists_by_hand():
    rows = (
        ranked("a", [3, 2, 1], [1, 2, 3]),  # right, tau 1
        ranked("b", [1, 2, 3], [1, 2, 3]),  # wrong, tau -1
        ranked("c", [3, 1, 2], [1, 2, 3]),  # right, tau 1/3
        ranked("d", [2, 2, 2], [1, 2, 3]),  # one of three, tau 0: the rewards say nothing
        ranked("e", [1, 2], [1, 1]),  # whichever, and no tau: people do not order them
    )
    measured, missing = measure_rankings(RankedLists(rows=rows))
    found = {(one.metric, one.slice): one for one in measured}
    best = found["reward_best_of_k", "all"]
    assert best.estimate.value == pytest.approx((1 + 0 + 1 + 1 / 3 + 1) / 5)
    assert best.facts["chance"] == pytest.approx((4 * 1 / 3 + 1) / 5)
    tau = found["reward_kendall_tau", "all"]
    assert tau.estimate.value == pytest.approx((1 - 1 + 1 / 3 + 0) / 4)
    assert (tau.estimate.n, tau.facts["all_tied"]) == (4, 1)
    assert tau.estimate.has_interval
    assert found["reward_best_of_k", "k=2"].estimate.value == 1.0
    assert "alike" in missing["reward_kendall_tau, k=2"]
    with pytest.raises(EvaluationError, match="n = 0"):
        measure_rankings(RankedLists(rows=()))


def test_one_list_has_no_interval_of_tau():
    measured, _ = measure_rankings(RankedLists(rows=(ranked("a", [2, 1], [1, 2]),)))
    found = {one.metric: one.estimate for one in measured}
    assert found["reward_kendall_tau"].value == 1.0
    assert not found["reward_kendall_tau"].has_interval
    assert found["reward_best_of_k"].low < 0.3  # Wilson of 1 of 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"prompt_id": "a", "rewards": [1, NaN], "ranks": [1, 2]}', "rewards is"),
        ('{"prompt_id": "a", "rewards": [1, 2, 3], "ranks": [1, 2]}', "3 rewards and 2 ranks"),
        ('{"prompt_id": "", "rewards": [1, 2], "ranks": [1, 2]}', "no prompt_id"),
        ('{"rewards": [1, 2]}', "expected rows with prompt_id"),
    ],
)
def test_bad_rows_are_refused(tmp_path, row, words):
    (tmp_path / "r.jsonl").write_text(row + "\n")
    with pytest.raises(DataError, match=words):
        read_ranked_answers(tmp_path / "r.jsonl")
