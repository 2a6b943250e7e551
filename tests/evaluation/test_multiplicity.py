"""Adjusted p-values by hand, and the rates they hold."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.multiplicity import benjamini_hochberg, holm


def test_by_hand():
    # sorted .01 .02 .04; Holm: 3*.01, 2*.02, .04; Benjamini-Hochberg: 3*.01, 3/2*.02, .04
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert benjamini_hochberg([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.03])
    assert holm([]).tolist() == benjamini_hochberg([]).tolist() == []
    assert holm([0.9, 0.8]).tolist() == [1, 1]


@pytest.mark.parametrize("wrong", [[1.2], [-0.1], [float("nan")], [[0.1]]])
def test_what_is_no_p_value_is_refused(wrong):
    with pytest.raises(EvaluationError, match="numbers in"):
        holm(wrong)


def test_family_wise_error_is_held_and_discoveries_are_mostly_true():
    generator = np.random.default_rng(0)
    p = generator.random((4000, 10))
    any_wrong = np.mean([holm(row).min() <= 0.05 for row in p])
    assert 0.035 < any_wrong < 0.06  # nominal .05 less the slack of independence; sd .0034
    p[:, :4] = p[:, :4] ** 8  # four that are not null
    false_share = [
        (found[4:].sum() / max(1, found.sum())) for found in (benjamini_hochberg(row) <= 0.1 for row in p)
    ]
    assert np.mean(false_share) < 0.065  # 0.1 * 6/10 and noise
