"""Percent agreement, Fleiss and Cohen equal recorded and hand-derived values."""

import numpy as np
import pytest

from accord.domain import DataError
from accord.quality.agreement import BootstrapConfig, cohen_kappa, fleiss_kappa, percent_agreement

NO_BOOTSTRAP = BootstrapConfig(replicates=0)
FLEISS_1971 = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
"""Ratings [item, class] by 14 annotators."""
CROSS_TABLE = [[11, 2, 19], [1, 3, 3], [0, 8, 82]]
"""Items [class of the first, class of the second]."""
COHEN = {"identity": 0.3745224801645606, "linear": 0.40181915462814344, "quadratic": 0.42036944583125313}
"""statsmodels 0.15: cohens_kappa(CROSS_TABLE, wt=None, "linear" or "quadratic", return_results=False)."""


def spread(cross_table):
    """One row an item with the two classes."""
    return [[i, j] for i, row in enumerate(cross_table) for j, count in enumerate(row) for _ in range(count)]


def test_fleiss_equals_the_recorded_value(table_of):
    matrix = [[k for k, count in enumerate(row) for _ in range(count)] for row in FLEISS_1971]
    agreement = fleiss_kappa(table_of(matrix), config=NO_BOOTSTRAP)
    # statsmodels 0.15: statsmodels.stats.inter_rater.fleiss_kappa(FLEISS_1971)
    assert agreement.value == pytest.approx(0.20993070442195522, abs=1e-12)


def test_fleiss_with_missing_ratings_equals_the_recorded_value(table_of):
    # irrCAC 0.4.4: CAC(frame, digits=12).fleiss() = 0.761169275422, percent agreement 0.818181818182
    matrix = [
        [1, 1, None, 1],
        [2, 2, 3, 2],
        [3, 3, 3, 3],
        [3, 3, 3, 3],
        [2, 2, 2, 2],
        [1, 2, 3, 4],
        [4, 4, 4, 4],
        [1, 1, 2, 1],
        [2, 2, 2, 2],
        [None, 5, 5, 5],
        [None, None, 1, 1],
        [None, 3, None, None],
    ]
    table = table_of(matrix)
    assert fleiss_kappa(table, config=NO_BOOTSTRAP).value == pytest.approx(0.761169275422, abs=1e-11)
    assert percent_agreement(table).value == pytest.approx(0.818181818182, abs=1e-11)


@pytest.mark.parametrize("credit", COHEN)
def test_cohen_equals_the_recorded_values(table_of, credit):
    agreement = cohen_kappa(table_of(spread(CROSS_TABLE)), credit=credit)
    assert agreement.value == pytest.approx(COHEN[credit], abs=1e-12)
    assert agreement.low < agreement.value < agreement.high
    assert (agreement.n_items, agreement.n_ratings) == (129, 258)


def test_percent_agreement_by_hand(table_of):
    # pairs that agree: 1 of 3, 1 of 1; the item with one rating is left out: (1/3 + 1) / 2
    agreement = percent_agreement(table_of([["a", "a", "b"], ["b", "b", None], ["a", None, None]]))
    assert agreement.value == pytest.approx(2 / 3)
    assert (agreement.n_items, agreement.n_ratings) == (2, 5)


def test_cohen_by_hand(table_of):
    # p_o = 3/4; margins (1/2, 1/2) and (1/4, 3/4): p_e = 1/8 + 3/8 = 1/2; kappa = 1/2
    matrix = [["n", "n"], ["n", "y"], ["y", "y"], ["y", "y"]]
    assert cohen_kappa(table_of(matrix)).value == pytest.approx(0.5)


def test_quadratic_kappa_of_values_is_the_concordance_correlation(table_of):
    # Fleiss and Cohen 1973 / Lin 1989: 2 cov / (var + var + (mean - mean)^2)
    rng = np.random.default_rng(0)
    first = rng.integers(0, 50, 80)
    second = np.clip(first + rng.integers(-9, 12, 80), 0, 60)
    table = table_of(np.stack([first, second], axis=1).tolist())
    values = np.array(table.classes, dtype=float)
    kappa = cohen_kappa(table, credit="quadratic", values=values, config=NO_BOOTSTRAP).value
    covariance = np.cov(first, second, bias=True)
    expected = 2 * covariance[0, 1] / (np.trace(covariance) + (first.mean() - second.mean()) ** 2)
    assert kappa == pytest.approx(expected, abs=1e-12)


def test_clusters_of_one_item_change_nothing_but_the_draw(table_of):
    table = table_of(spread(CROSS_TABLE))
    config = BootstrapConfig(replicates=3000)
    plain = cohen_kappa(table, config=config)
    clustered = cohen_kappa(table, clusters=range(129), config=config)
    assert clustered.value == pytest.approx(plain.value, abs=1e-12)
    assert clustered.low == pytest.approx(plain.low, abs=0.02)
    assert clustered.high == pytest.approx(plain.high, abs=0.02)


def test_cohen_of_two_among_many(table_of):
    table = table_of([["a", "b", "b"], ["b", "b", None], ["a", "a", "a"], [None, "a", "a"]])
    # annotators 1 and 2 on items 0, 2, 3: bb, aa, aa
    agreement = cohen_kappa(table, annotators=(1, 2))
    assert (agreement.value, agreement.n_items) == (pytest.approx(1.0), 3)
    with pytest.raises(DataError, match="the table has 3; name two of them"):
        cohen_kappa(table)
    with pytest.raises(DataError, match="expected two different ones"):
        cohen_kappa(table, annotators=(1, 9))


def test_no_shared_item_has_a_reason(table_of):
    agreement = cohen_kappa(table_of([["a", None], [None, "a"]]))
    assert (agreement.value, agreement.reason) == (None, "annotators 0 and 1 share no item")


def test_constant_annotators_have_a_reason(table_of):
    table = table_of([["a", "a"]] * 4)
    for agreement in (cohen_kappa(table), fleiss_kappa(table)):
        assert agreement.value is None
        assert "by chance is total" in agreement.reason
    percent = percent_agreement(table)
    assert (percent.value, percent.low) == (1.0, None)


@pytest.mark.parametrize("measure", [percent_agreement, fleiss_kappa])
def test_single_ratings_have_a_reason(table_of, measure):
    assert "no item has two ratings" in measure(table_of([["a"], ["b"]])).reason


def test_clusters_must_match_the_items(table_of):
    with pytest.raises(DataError, match="3 clusters for 2 items"):
        percent_agreement(table_of([["a", "a"], ["a", "b"]]), clusters=[1, 2, 3])
