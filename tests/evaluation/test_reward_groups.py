"""The worst group with bounds that hold for all groups at once, by simulation."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.reward_groups import measure_groups


def test_worst_group_and_small_groups_by_hand():
    hits = [1.0] * 36 + [0.0] * 4 + [1.0] * 24 + [0.0] * 16 + [1.0] * 29
    groups = ["a"] * 40 + ["b"] * 40 + ["c"] * 29
    found = measure_groups(hits, groups)
    assert [(row.name, row.accuracy.value) for row in found.groups] == [("a", 0.9), ("b", 0.6)]
    assert found.worst == "b"
    assert found.too_few == {"c": 29}
    assert found.difference.value == pytest.approx(0.3)
    assert found.ratio == pytest.approx(2 / 3)
    # two independent groups at 95 % together: the Sidak value Phi^-1((1 + sqrt .95) / 2) = 2.236
    assert found.critical_value == pytest.approx(2.236, abs=0.06)
    assert found.worst_accuracy.high == found.groups[1].accuracy.high


def test_groups_without_errors_keep_a_width():
    found = measure_groups([1.0] * 80, ["a"] * 40 + ["b"] * 40)
    assert found.critical_value == pytest.approx(2.236, abs=0.001)
    assert found.groups[0].accuracy.low == pytest.approx(40 / (40 + 2.236**2), abs=1e-3)
    assert found.difference.value == found.difference.low == 0.0


@pytest.mark.parametrize("votes", [1, 4])
def test_all_intervals_hold_at_once(votes):
    """Six groups; with 4 rows a prompt that agree, plain intervals would miss far more often."""
    generator = np.random.default_rng(votes)
    truth = np.array([0.9, 0.8, 0.75, 0.7, 0.65, 0.6])
    prompts, runs, held = 60, 300, 0
    ids = [f"{g}/{i // votes}" for g in range(6) for i in range(prompts * votes)]
    groups = [str(g) for g in range(6) for _ in range(prompts * votes)]
    for run in range(runs):
        hits = np.repeat(generator.random((6, prompts)) < truth[:, None], votes, axis=1).ravel()
        found = measure_groups(hits.astype(float), groups, ids, seed=run)
        held += all(r.accuracy.low <= t <= r.accuracy.high for r, t in zip(found.groups, truth, strict=True))
    # nominal 95 %; three standard errors of 300 runs are 3.8 points
    assert 0.912 <= held / runs <= 0.988


def test_groups_on_the_same_prompts_need_a_smaller_value():
    generator = np.random.default_rng(0)
    right = (generator.random(200) < 0.7).astype(float)
    ids = [str(i) for i in range(200)]
    same = measure_groups(np.tile(right, 4), [g for g in "abcd" for _ in ids], ids * 4)
    apart = measure_groups(
        np.tile(right, 4), [g for g in "abcd" for _ in ids], [f"{g}{i}" for g in "abcd" for i in ids]
    )
    assert same.critical_value == pytest.approx(1.96, abs=0.12)
    assert apart.critical_value == pytest.approx(2.49, abs=0.12)


def test_only_small_groups_are_refused():
    with pytest.raises(EvaluationError, match="no group has 30 rows"):
        measure_groups([1.0] * 29, ["a"] * 29)
    with pytest.raises(EvaluationError, match="no group"):
        measure_groups([1.0] * 40, ["a"] * 40, ["one prompt"] * 40)
