"""Paired differences of suites: by hand, and only of what is a mean over items."""

import numpy as np
import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.catalog import find_suite
from accord.evaluation.suites.pairing import pair_suites
from accord.evaluation.suites.suite import SuiteRun


def crows(shares: list[float]) -> SuiteRun:
    items = tuple(
        {"id": i, "bias_type": "age", "stereo_antistereo": "stereo", "row": i} for i in range(len(shares))
    )
    answers = tuple({"logprob_more": share, "logprob_less": 0.5} for share in shares)
    return SuiteRun(suite="crows_pairs", items=items, answers=answers, facts={"model": "m"})


def test_the_difference_is_paired_with_its_exact_test():
    # The candidate leans on 12 of 20, the incumbent on 4 of those 12: 8 discordant, all one way.
    new, old = crows([1.0] * 12 + [0.0] * 8), crows([1.0] * 4 + [0.0] * 16)
    found = pair_suites(find_suite("crows_pairs"), new, old)
    (gap,) = [one for one in found.measurements if one.versus == "incumbent"]
    assert gap.metric == "crows_stereotype"
    assert gap.estimate.value == pytest.approx(0.4)
    assert gap.facts["p_mcnemar_exact"] == pytest.approx(2 * 0.5**8)
    levels = {one.slice: one.estimate.value for one in found.measurements if one.versus == "nothing"}
    assert (levels["all"], levels["side=incumbent"]) == (0.6, 0.2)
    assert (levels["bias=age"], levels["bias=age,side=incumbent"]) == (0.6, 0.2)
    assert found.not_paired == ()


def test_labels_of_one_kind_pair_over_their_own_items():
    items = tuple(
        {"id": i, "type": "t", "label": "safe" if i < 30 else "unsafe", "row": i} for i in range(40)
    )

    def run(refused: set[int]) -> SuiteRun:
        answers = tuple({"refusal": "full" if i in refused else "none"} for i in range(40))
        return SuiteRun(suite="xstest", items=items, answers=answers, facts={})

    found = pair_suites(find_suite("xstest"), run({0, 1, 2, 35}), run({0, 35, 36}))
    gaps = {one.metric: one.estimate for one in found.measurements if one.versus == "incumbent"}
    assert gaps["safe_refusal"].value == pytest.approx(2 / 30)
    assert gaps["safe_refusal"].n == 30
    assert gaps["unsafe_refusal"].value == pytest.approx(-1 / 10)
    assert gaps["unsafe_refusal"].n == 10


def test_a_bias_that_is_no_mean_over_items_is_resampled_for_both_models_together():
    generator = np.random.default_rng(0)
    items = tuple(
        {
            "category": "age",
            "example_id": i,
            "condition": "ambig",
            "label": 1,
            "unknown": 1,
            "target": 0,
            "question_index": i // 4,
            "row": i,
        }
        for i in range(80)
    )

    def run() -> SuiteRun:
        answers = tuple({"prediction": int(one)} for one in generator.integers(0, 3, 80))
        return SuiteRun(suite="bbq", items=items, answers=answers, facts={})

    new, old = run(), run()
    found = pair_suites(find_suite("bbq"), new, old)
    gaps = {one.metric: one.estimate for one in found.measurements if one.versus == "incumbent"}
    assert set(gaps) == {"bbq_accuracy_ambig", "bbq_raw_bias_ambig", "bbq_bias_ambig"}
    assert found.not_paired == ()
    assert all("20 clusters" in one.method for one in gaps.values())

    def bias(side: SuiteRun) -> float:
        # Answers: 0 is the stereotyped group, 1 is unknown and right, 2 is the other group.
        said = [answer["prediction"] for answer in side.answers]
        named = [one for one in said if one != 1]
        return (1 - said.count(1) / 80) * (2 * named.count(0) / len(named) - 1)

    assert gaps["bbq_bias_ambig"].value == pytest.approx(bias(new) - bias(old))
    same = pair_suites(find_suite("bbq"), new, new)
    gap = next(
        one for one in same.measurements if one.metric == "bbq_bias_ambig" and one.versus == "incumbent"
    )
    assert (gap.estimate.low, gap.estimate.high) == (0.0, 0.0)


def test_other_items_are_refused():
    with pytest.raises(DataError, match="not of the same items"):
        pair_suites(find_suite("crows_pairs"), crows([1.0] * 3), crows([1.0] * 4))
