"""Each kind of drift is planted alone and found alone; nothing planted, nothing named."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.drift.diagnosis import (
    AnchorVotes,
    DriftKind,
    diagnose_drift,
    measure_answer_shift,
    measure_preference_drift,
    measure_prompt_shift,
)


def anchors(generator, *, taste=0.0, pairs=50, old=5, new=5):
    """Votes with shares that vary by pair; `taste` turns that part of the pairs around."""
    share = generator.beta(1.0, 1.0, size=pairs)
    later = np.where(np.arange(pairs) < taste * pairs, 1.0 - share, share)
    then, now = generator.binomial(old, share), generator.binomial(new, later)
    return [
        AnchorVotes(pair=i, old_left=int(a), old_right=int(old - a), new_left=int(b), new_right=int(new - b))
        for i, (a, b) in enumerate(zip(then, now, strict=True))
    ]


def test_votes_that_differ_by_chance_are_no_drift():
    found = [
        measure_preference_drift(anchors(np.random.default_rng(seed), new=3), permutations=199, seed=seed)
        for seed in range(300)
    ]
    # 5 % of 300 within three standard errors, 3.8 points; the excess over noise has mean 0
    assert np.mean([row.p_value <= 0.05 for row in found]) == pytest.approx(0.05, abs=0.038)
    assert np.mean([row.change.value for row in found]) == pytest.approx(0.0, abs=0.01)


def test_changed_taste_is_found():
    found = measure_preference_drift(anchors(np.random.default_rng(0), taste=0.5))
    assert found.p_value == 0.001
    assert found.change.low > 0.05
    assert found.flipped > 0.3
    assert (found.n_pairs, found.n_votes) == (50, 500)


def test_change_by_hand_when_all_turn_around():
    rows = [AnchorVotes(pair=i, old_left=1, old_right=0, new_left=0, new_right=1) for i in range(10)]
    found = measure_preference_drift(rows)
    # one vote each: dealing leaves |change| at 1 always, so one vote a side proves nothing
    assert found.p_value == 1.0
    assert found.change.value == pytest.approx(0.0)
    assert found.flipped == 1.0


def world(seed, *, prompts=0.0, taste=0.0, policy=0.0):
    """Prompt features, answers that follow them, and anchors, each with its own planted change."""
    generator = np.random.default_rng(seed)
    asked = generator.normal(size=(60, 3))
    asked_now = generator.normal(size=(60, 3)) + prompts
    ids = [str(i) for i in range(60)]
    answers = [asked_now + 0.5 * generator.normal(size=(60, 3)) + shift for shift in (0.0, policy)]
    return diagnose_drift(
        prompts=measure_prompt_shift(asked, asked_now, permutations=499),
        preferences=measure_preference_drift(anchors(generator, taste=taste), permutations=499),
        answers=measure_answer_shift(*answers, ids, ids, permutations=499),
    )


@pytest.mark.parametrize(
    ("planted", "kind", "word"),
    [
        ({"prompts": 0.9}, DriftKind.COVARIATE, "collect prompts"),
        ({"taste": 0.6}, DriftKind.PREFERENCE, "weight labels by age"),
        ({"policy": 0.6}, DriftKind.POLICY_INDUCED, "current policy's own answers"),
    ],
)
def test_each_kind_is_told_from_the_others(planted, kind, word):
    findings = world(0, **planted)
    assert [row.kind for row in findings if row.is_found] == [kind]
    assert word in next(row.action for row in findings if row.kind is kind)
    assert all(row.action == "" for row in findings if row.kind is not kind)


def test_nothing_planted_nothing_named():
    assert not any(row.is_found for seed in range(5) for row in world(seed))


def test_unmeasured_kinds_are_named_and_not_corrected_for():
    generator = np.random.default_rng(0)
    findings = diagnose_drift(preferences=measure_preference_drift(anchors(generator, taste=0.6)))
    by_kind = {row.kind: row for row in findings}
    assert by_kind[DriftKind.PREFERENCE].adjusted_p == by_kind[DriftKind.PREFERENCE].p_value
    assert math.isnan(by_kind[DriftKind.COVARIATE].p_value)
    assert "not measured" in by_kind[DriftKind.COVARIATE].evidence
    assert not by_kind[DriftKind.COVARIATE].is_found


def test_policies_must_answer_the_same_prompts():
    with pytest.raises(EvaluationError, match="1 prompts were answered by one only"):
        measure_answer_shift(np.zeros((2, 1)), np.zeros((3, 1)), ["a", "a"], ["a", "a", "b"])


def test_too_few_or_doubled_anchors_are_refused():
    rows = anchors(np.random.default_rng(0), pairs=12)
    with pytest.raises(EvaluationError, match="10 distinct anchor pairs"):
        measure_preference_drift(rows[:9])
    with pytest.raises(EvaluationError, match="10 distinct anchor pairs"):
        measure_preference_drift(rows + rows)
