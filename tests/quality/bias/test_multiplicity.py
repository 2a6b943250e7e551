"""Adjusted p-values equal recorded ones, and keep the order of the tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError
from accord.quality.bias import adjust_benjamini_hochberg, adjust_benjamini_yekutieli, adjust_holm

P_VALUES = [0.01, 0.04, 0.03, 0.005, 0.55, 0.2, 0.04]
RECORDED = {
    adjust_holm: [0.06, 0.16, 0.15, 0.035, 0.55, 0.4, 0.16],
    adjust_benjamini_hochberg: [0.035, 0.056, 0.056, 0.035, 0.55, 0.23333333333333334, 0.056],
    adjust_benjamini_yekutieli: [0.09075, 0.1452, 0.1452, 0.09075, 1.0, 0.605, 0.1452],
}
"""statsmodels 0.15: multipletests(P_VALUES, method=M)[1] for M in holm, fdr_bh, fdr_by."""


@pytest.mark.parametrize("adjust", RECORDED)
def test_adjusted_values_equal_the_recorded_ones(adjust):
    assert adjust(P_VALUES) == pytest.approx(RECORDED[adjust], abs=1e-12)


@given(p_values=st.lists(st.floats(0, 1), max_size=20))
def test_adjustment_never_lowers_nor_reorders(p_values):
    for adjust in RECORDED:
        adjusted = adjust(p_values)
        assert (adjusted >= np.array(p_values) - 1e-15).all()
        assert (adjusted <= 1).all()
        order = np.argsort(p_values, kind="stable")
        assert (np.diff(adjusted[order]) >= 0).all()


def test_none_and_one_are_themselves():
    for adjust in RECORDED:
        assert adjust([]).tolist() == []
        assert adjust([0.03]).tolist() == [0.03]


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.5])
def test_what_is_no_p_value_is_named(wrong):
    with pytest.raises(DataError, match="p-value 1 is"):
        adjust_holm([0.1, wrong])


def test_false_findings_stay_below_the_level():
    # 1000 families of 30 tests, 10 of them with an effect: the mean share of false findings stays
    # below .05 * 20 / 30 = .033, and a family has a false Holm finding in at most .05 of the cases;
    # three standard errors of 1000 families are .006 and .021
    rng = np.random.default_rng(0)
    null = rng.random((1000, 20))
    effect = rng.beta(0.1, 5, (1000, 10))
    shares, any_false = [], []
    for row in np.hstack([null, effect]):
        found = adjust_benjamini_hochberg(row) < 0.05
        shares.append(found[:20].sum() / max(1, found.sum()))
        any_false.append((adjust_holm(row)[:20] < 0.05).any())
    assert np.mean(shares) == pytest.approx(0.033, abs=0.006)
    assert 0.01 < np.mean(any_false) < 0.071
