"""Alpha equals the values of another implementation, its definition, and theory at the edges."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError
from accord.quality.agreement import LEVELS, BootstrapConfig, coincidence_matrix, krippendorff_alpha

NO_BOOTSTRAP = BootstrapConfig(replicates=0)
FOUR_OBSERVERS = [
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
"""Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example C: one row an item."""
RECORDED = {
    "nominal": 0.743421052631579,
    "ordinal": 0.8153875037548814,
    "interval": 0.8491071428571428,
    "ratio": 0.7974027747116121,
}
"""python -c "import krippendorff, numpy as np; X = np.array(FOUR_OBSERVERS, float).T
print(krippendorff.alpha(reliability_data=X, level_of_measurement=LEVEL))" with krippendorff 0.9.0."""


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_equals_the_recorded_values(table_of, level):
    agreement = krippendorff_alpha(table_of(FOUR_OBSERVERS), level=level, config=NO_BOOTSTRAP)
    assert agreement.value == pytest.approx(RECORDED[level], abs=1e-12)
    # the last item has one rating
    assert (agreement.n_items, agreement.n_ratings) == (11, 40)


def test_alpha_by_hand(table_of):
    # items aa, ab, bb: o_aa = 2, o_ab = o_ba = 1, o_bb = 2; n_a = n_b = 3, n = 6
    # alpha = 1 - 5 * (1 + 1) / (2 * 3 * 3) = 1 - 10 / 18
    table = table_of([["a", "a"], ["a", "b"], ["b", "b"]])
    assert coincidence_matrix(table) == pytest.approx(np.array([[2, 1], [1, 2]]))
    assert krippendorff_alpha(table).value == pytest.approx(8 / 18)


def alpha_by_definition(matrix, level):
    """All pairs of values within items against all pairs of values in the table, one at a time."""
    items = [[value for value in row if value is not None] for row in matrix]
    items = [row for row in items if len(row) > 1]
    pool = sorted(value for row in items for value in row)

    def distance(first, second):
        if level == "nominal":
            return float(first != second)
        if level == "interval":
            return (first - second) ** 2
        if level == "ratio":
            return ((first - second) / (first + second)) ** 2 if first + second else 0.0
        low, high = min(first, second), max(first, second)
        between = sum(low <= value <= high for value in pool)
        return (between - (pool.count(low) + pool.count(high)) / 2) ** 2 if low != high else 0.0

    within = sum(
        distance(*pair) / (len(row) - 1) for row in items for pair in itertools.permutations(row, 2)
    ) / len(pool)
    chance = sum(distance(*pair) for pair in itertools.permutations(pool, 2))
    return None if chance == 0 else 1 - within / (chance / len(pool) / (len(pool) - 1))


tables = st.lists(
    st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=3, max_size=3), min_size=1, max_size=6
).filter(lambda matrix: any(value is not None for row in matrix for value in row))


@given(matrix=tables, level=st.sampled_from(LEVELS))
def test_alpha_is_what_its_definition_says(table_of, matrix, level):
    agreement = krippendorff_alpha(table_of(matrix), level=level, config=NO_BOOTSTRAP)
    if all(sum(value is not None for value in row) < 2 for row in matrix):
        assert agreement.value is None
        return
    expected = alpha_by_definition(matrix, level)
    assert agreement.value == (None if expected is None else pytest.approx(expected, abs=1e-9))


@given(matrix=tables, seed=st.integers(0, 100))
def test_order_of_items_and_annotators_does_not_matter(table_of, matrix, seed):
    rng = np.random.default_rng(seed)
    shuffled = [[row[j] for j in rng.permutation(3)] for row in matrix]
    shuffled = [shuffled[i] for i in rng.permutation(len(shuffled))]
    for level in LEVELS:
        # annotators of one item may change places with those of another: alpha does not ask who it was
        first = krippendorff_alpha(table_of(matrix), level=level, config=NO_BOOTSTRAP)
        second = krippendorff_alpha(table_of(shuffled), level=level, config=NO_BOOTSTRAP)
        assert first.value == (None if second.value is None else pytest.approx(second.value, abs=1e-9))


@given(shift=st.floats(-1e6, 1e6), scale=st.floats(1e-4, 1e4))
def test_interval_alpha_does_not_depend_on_origin_and_unit(table_of, shift, scale):
    moved = [[None if value is None else shift + scale * value for value in row] for row in FOUR_OBSERVERS]
    agreement = krippendorff_alpha(table_of(moved), level="interval", config=NO_BOOTSTRAP)
    assert agreement.value == pytest.approx(RECORDED["interval"], abs=1e-4)


def test_a_common_offset_does_not_cost_digits(table_of):
    moved = [[None if value is None else 1e8 + value for value in row] for row in FOUR_OBSERVERS]
    agreement = krippendorff_alpha(table_of(moved), level="interval", config=NO_BOOTSTRAP)
    assert agreement.value == pytest.approx(RECORDED["interval"], abs=1e-9)


def test_ordinal_alpha_reads_the_order_only(table_of):
    stretched = [[None if value is None else value**5 for value in row] for row in FOUR_OBSERVERS]
    agreement = krippendorff_alpha(table_of(stretched), level="ordinal", config=NO_BOOTSTRAP)
    assert agreement.value == pytest.approx(RECORDED["ordinal"], abs=1e-12)


def test_names_in_their_order_are_an_ordinal_scale(table_of):
    names = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "great"}
    matrix = [[names.get(value) for value in row] for row in FOUR_OBSERVERS]
    table = table_of(matrix, classes=list(names.values()))
    assert krippendorff_alpha(table, level="ordinal").value == pytest.approx(RECORDED["ordinal"])


def test_many_distinct_numbers_keep_one_row_an_item(table_of):
    rng = np.random.default_rng(3)
    matrix = (rng.normal(size=(40, 1)) + rng.normal(size=(40, 3))).tolist()
    for level in ("ordinal", "interval"):
        value = krippendorff_alpha(table_of(matrix), level=level, config=NO_BOOTSTRAP).value
        assert value == pytest.approx(alpha_by_definition(matrix, level), abs=1e-9)


def test_single_ratings_say_nothing(table_of):
    agreement = krippendorff_alpha(table_of([["a", None], [None, "b"]]))
    assert (agreement.value, agreement.low, agreement.n_items) == (None, None, 0)
    assert "no item has two ratings" in agreement.reason


def test_one_annotator_gives_a_reason(table_of):
    assert krippendorff_alpha(table_of([["a"], ["b"]])).reason is not None


@pytest.mark.parametrize("level", LEVELS)
def test_one_value_only_gives_a_reason(table_of, level):
    agreement = krippendorff_alpha(table_of([[3, 3]] * 50), level=level)
    assert agreement.value is None
    assert "same value" in agreement.reason


@pytest.mark.parametrize("level", LEVELS)
def test_total_agreement_is_one_without_interval(table_of, level):
    agreement = krippendorff_alpha(table_of([[1, 1], [2, 2], [3, 3]] * 5), level=level)
    assert agreement.value == pytest.approx(1.0)
    assert not agreement.has_interval
    assert "same value" in agreement.reason


def test_one_item_has_a_value_and_no_interval(table_of):
    # one item ab: all pairs differ, as they do in the pool, so alpha is 0
    agreement = krippendorff_alpha(table_of([["a", "b"]]))
    assert agreement.value == pytest.approx(0.0)
    assert "needs 2" in agreement.reason


@pytest.mark.parametrize(
    ("matrix", "level", "message"),
    [
        ([["a", "b"]], "interval", "needs numbers, but a value is 'a'"),
        ([[-1, 2]], "ratio", "from 0 up, but a value is -1"),
        ([[1, 2]], "metric", "level is 'metric'"),
    ],
)
def test_wrong_level_is_named(table_of, matrix, level, message):
    with pytest.raises(DataError, match=message):
        krippendorff_alpha(table_of(matrix), level=level)


@pytest.mark.parametrize("level", LEVELS)
def test_interval_contains_the_value_and_repeats_with_its_seed(table_of, level):
    table = table_of(FOUR_OBSERVERS)
    first = krippendorff_alpha(table, level=level)
    assert first.low < first.value <= first.high
    assert krippendorff_alpha(table, level=level) == first
    assert krippendorff_alpha(table, level=level, config=BootstrapConfig(seed=1)) != first
    assert all(value == value for value in dataclasses.astuple(first))


@pytest.mark.parametrize("level", LEVELS)
def test_like_items_drawn_together_and_one_by_one_give_like_intervals(table_of, level):
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 4, 400)
    matrix = np.where(rng.random((400, 3)) < 0.6, truth[:, None], rng.integers(1, 4, (400, 3))).tolist()
    table = table_of(matrix)
    config = BootstrapConfig(replicates=4000)
    together = krippendorff_alpha(table, level=level, config=config)
    one_by_one = krippendorff_alpha(table, level=level, clusters=range(400), config=config)
    # a 2.5 % quantile of 4000 draws has a standard error of 0.042 standard deviations; both differ by
    # 0.06 of them, and a standard deviation is a quarter of the width
    width = together.high - together.low
    assert together.value == pytest.approx(one_by_one.value, abs=1e-12)
    assert one_by_one.low == pytest.approx(together.low, abs=4 * 0.06 * width / 4)
    assert one_by_one.high == pytest.approx(together.high, abs=4 * 0.06 * width / 4)


def test_copied_items_do_not_narrow_a_clustered_interval(table_of):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 60)
    matrix = np.where(rng.random((60, 3)) < 0.7, truth[:, None], 1 - truth[:, None]).tolist()
    config = BootstrapConfig(replicates=2000)
    once = krippendorff_alpha(table_of(matrix), config=config)
    ninefold = table_of(matrix * 9)
    naive = krippendorff_alpha(ninefold, config=config)
    clustered = krippendorff_alpha(
        ninefold, clusters=[item % 60 for item in ninefold.items.tolist()], config=config
    )
    assert naive.high - naive.low == pytest.approx((once.high - once.low) / 3, rel=0.1)
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low, rel=0.1)
