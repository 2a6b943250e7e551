"""Intraclass correlations equal published values, and known variances are found again."""

import numpy as np
import pytest

from accord.domain import DataError
from accord.quality.agreement import FORMS, BootstrapConfig, intraclass_correlations

NO_BOOTSTRAP = BootstrapConfig(replicates=0)
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
RECORDED = (
    0.1657417684054755,
    0.28976377952755916,
    0.7148407148407154,
    0.44279713367926876,
    0.6200505475989893,
    0.9093155423770697,
)
"""pingouin 0.6.1 intraclass_corr on SHROUT_FLEISS; the paper prints .17 .29 .71 .44 .62 .91 (table 4)."""


def test_complete_table_gives_the_published_values(table_of):
    found = intraclass_correlations(table_of(SHROUT_FLEISS), config=NO_BOOTSTRAP)
    assert tuple(one.method for one in found) == FORMS
    assert [one.value for one in found] == pytest.approx(RECORDED, abs=1e-12)


def ratings(seed, *, n_items, n_annotators, share, error=1.0):
    """Items of variance 1, annotators of variance 0.5; each cell is there with probability `share`."""
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(n_items, 1)) + np.sqrt(0.5) * rng.normal(size=(1, n_annotators))
    cells = cells + error * rng.normal(size=(n_items, n_annotators))
    return np.where(rng.random(cells.shape) < share, cells, np.nan).tolist()


def test_known_variances_are_found_in_incomplete_tables(table_of):
    # a = 1, b = .5, e = 1: forms 1 and 2 are 1 / 2.5, form 3 is 1 / 2. The moments are unbiased, their
    # ratio nearly: over 40 tables the mean misses by less than three of its standard errors
    found = np.array(
        [
            [
                one.value
                for one in intraclass_correlations(
                    table_of(ratings(seed, n_items=150, n_annotators=60, share=0.1)), config=NO_BOOTSTRAP
                )
            ]
            for seed in range(40)
        ]
    )
    standard_error = found.std(axis=0, ddof=1) / np.sqrt(40)
    truth = np.array([0.4, 0.4, 0.5])
    assert (np.abs(found[:, :3].mean(axis=0) - truth) < 3 * standard_error[:3]).all()
    assert (standard_error < 0.01).all()


def test_origin_and_unit_do_not_matter(table_of):
    matrix = np.array(ratings(0, n_items=20, n_annotators=5, share=0.7))
    plain = intraclass_correlations(table_of(matrix.tolist()))
    moved = intraclass_correlations(table_of((1e5 + 1e3 * matrix).tolist()))
    for one, other in zip(plain, moved, strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-6)
        assert other.low == pytest.approx(one.low, abs=1e-6)


def test_a_constant_annotator_offset_hurts_absolute_agreement_only(table_of):
    matrix = np.array(SHROUT_FLEISS, dtype=float)
    before = intraclass_correlations(table_of(matrix.tolist()), config=NO_BOOTSTRAP)
    after = intraclass_correlations(
        table_of((matrix + np.array([0, 10, 20, 0])).tolist()), config=NO_BOOTSTRAP
    )
    assert after[2].value == pytest.approx(before[2].value)
    assert after[1].value < before[1].value / 2


def test_averaging_follows_spearman_and_brown(table_of):
    found = intraclass_correlations(table_of(SHROUT_FLEISS), n_averaged=7, config=NO_BOOTSTRAP)
    for single, average in zip(found[:3], found[3:], strict=True):
        assert average.value == pytest.approx(7 * single.value / (1 + 6 * single.value))


def test_total_agreement_is_one(table_of):
    found = intraclass_correlations(table_of([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]))
    assert [one.value for one in found] == pytest.approx([1.0] * 6)
    assert not found[0].has_interval


@pytest.mark.parametrize("matrix", [[[2.0, 2.0]] * 4, [[1.0, 2.0]]], ids=["no variance", "one item"])
def test_undefined_has_a_reason(table_of, matrix):
    for one in intraclass_correlations(table_of(matrix)):
        assert one.value is None
        assert "cannot be told apart" in one.reason


def test_annotators_who_share_no_items_leave_the_one_way_form(table_of):
    none = None
    found = intraclass_correlations(table_of([[1.0, 2.0, none, none], [none, none, 5.0, 6.0]]))
    # between: 16 on 1 degree, within: .5 and .5 on 2, so a = (16 - .5) / 2 and a / (a + .5)
    assert found[0].value == pytest.approx(7.75 / 8.25)
    assert (found[1].value, found[2].value) == (None, None)


def test_single_ratings_have_a_reason(table_of):
    assert "no item has two ratings" in intraclass_correlations(table_of([[1.0], [2.0]]))[0].reason


def test_names_are_refused(table_of):
    with pytest.raises(DataError, match="need numbers"):
        intraclass_correlations(table_of([["a", "b"]]))


def test_interval_narrows_with_items(table_of):
    widths = []
    for n_items in (50, 800):
        one = intraclass_correlations(table_of(ratings(5, n_items=n_items, n_annotators=8, share=0.8)))[2]
        assert one.low < one.value < one.high
        widths.append(one.high - one.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)
