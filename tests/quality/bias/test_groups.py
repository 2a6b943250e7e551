"""In-group and cross-group agreement by definition, and a test that keeps its level."""

import itertools
import json
from dataclasses import asdict

import numpy as np
import pytest

from accord.domain import ConfigError, DataError, LabelColumns
from accord.quality.agreement import BootstrapConfig, krippendorff_alpha
from accord.quality.bias import PermutationConfig, compare_groups
from accord.quality.labels import tabulate_labels

NO_BOOTSTRAP = BootstrapConfig(replicates=0)
ONCE = PermutationConfig(permutations=1)


def table_of(matrix):
    """One row an item, one column an annotator; None is missing."""
    cells = [
        (i, j, value) for i, row in enumerate(matrix) for j, value in enumerate(row) if value is not None
    ]
    items, annotators, values = zip(*cells, strict=True)
    return tabulate_labels(LabelColumns(items=items, annotators=annotators, values=values))


def votes(seed, *, n_items=60, sizes=(8, 8), taste=0.0, share=0.6, n_classes=2):
    """Groups a, b, ...: members follow their group's class of an item with `taste`, else the item's own."""
    rng = np.random.default_rng(seed)
    item_class = rng.integers(0, n_classes, n_items)
    group = np.repeat(np.arange(len(sizes)), sizes)
    group_class = rng.integers(0, n_classes, (n_items, len(sizes)))
    own = np.where(rng.random((n_items, len(sizes))) < taste, group_class, item_class[:, None])
    label = np.where(rng.random((n_items, len(group))) < 0.75, own[:, group], 1 - own[:, group])
    matrix = np.where(rng.random(label.shape) < share, label, -1).tolist()
    matrix = [[None if value < 0 else value for value in row] for row in matrix]
    return table_of(matrix), {i: "abc"[number] for i, number in enumerate(group)}


def distance(first, second, level):
    return float(first != second) if level == "nominal" else (first - second) ** 2


@pytest.mark.parametrize("level", ["nominal", "interval"])
def test_cross_group_agreement_is_what_its_definition_says(level):
    rng = np.random.default_rng(0)
    matrix = [[None if rng.random() < 0.3 else int(rng.integers(0, 4)) for _ in range(6)] for _ in range(9)]
    first = compare_groups(
        table_of(matrix),
        {j: "ab"[j // 3] for j in range(6)},
        level=level,
        config=NO_BOOTSTRAP,
        permutation=ONCE,
    )[0]
    sides = [
        ([value for value in row[:3] if value is not None], [value for value in row[3:] if value is not None])
        for row in matrix
    ]
    sides = [(own, others) for own, others in sides if own and others]
    n_own, n_others = (sum(len(side[at]) for side in sides) for at in (0, 1))
    observed = sum(
        (len(own) + len(others))
        / (len(own) * len(others))
        * sum(distance(*pair, level) for pair in itertools.product(own, others))
        for own, others in sides
    ) / (n_own + n_others)
    pools = [[value for side in sides for value in side[at]] for at in (0, 1)]
    chance = sum(distance(*pair, level) for pair in itertools.product(*pools)) / (n_own * n_others)
    assert first.cross_group.value == pytest.approx(1 - observed / chance, abs=1e-12)
    assert (first.cross_group.n_items, first.cross_group.n_ratings) == (len(sides), n_own + n_others)


@pytest.mark.parametrize("level", ["nominal", "interval", "ratio"])
def test_in_group_agreement_is_alpha_of_the_group(level):
    table, groups = votes(1, n_items=30, sizes=(4, 5))
    is_first = np.array([groups[name] == "a" for name in table.annotators.tolist()])
    alone = krippendorff_alpha(
        table.select(is_first[table.annotator_index]), level=level, config=NO_BOOTSTRAP
    )
    found = compare_groups(table, groups, level=level, config=NO_BOOTSTRAP, permutation=ONCE)[0].in_group
    assert found.value == pytest.approx(alone.value, abs=1e-12)
    assert (found.n_items, found.n_ratings) == (alone.n_items, alone.n_ratings)


def test_ordinal_agreement_reads_the_order_only():
    rng = np.random.default_rng(2)
    matrix = rng.integers(1, 5, (20, 6))
    groups = {j: "ab"[j // 3] for j in range(6)}
    plain, stretched = (
        compare_groups(table_of(one.tolist()), groups, level="ordinal", config=NO_BOOTSTRAP, permutation=ONCE)
        for one in (matrix, matrix**5)
    )
    assert stretched[0].ratio.value == pytest.approx(plain[0].ratio.value)


def test_a_group_with_a_taste_of_its_own_is_found():
    table, groups = votes(3, n_items=150, taste=0.6)
    for one in compare_groups(table, groups, config=BootstrapConfig(replicates=300)):
        assert one.n_annotators == 8
        assert one.ratio.value > 1.2
        assert one.ratio.low > 1
        assert one.p_adjusted < 0.05
        assert one.difference == pytest.approx(one.in_group.value - one.cross_group.value)


def test_all_of_one_opinion_is_no_group():
    table, groups = votes(4, n_items=150)
    for one in compare_groups(table, groups):
        assert one.ratio.value == pytest.approx(1, abs=0.15)
        assert one.p_value > 0.01


def test_names_and_order_do_not_matter():
    table, groups = votes(5, sizes=(4, 5, 6), taste=0.5)
    plain = compare_groups(table, groups, config=NO_BOOTSTRAP, permutation=ONCE)
    renamed = compare_groups(
        table,
        {name: {"a": "z", "b": "y", "c": "x"}[group] for name, group in groups.items()},
        config=NO_BOOTSTRAP,
        permutation=ONCE,
    )
    assert [one.group for one in renamed] == ["x", "y", "z"]
    for one, other in zip(plain, reversed(renamed), strict=True):
        assert other.in_group == one.in_group
        assert other.cross_group.value == pytest.approx(one.cross_group.value, abs=1e-12)


def test_annotators_without_a_group_are_left_out():
    table, groups = votes(6, sizes=(4, 4, 4))
    two = {name: group for name, group in groups.items() if group != "c"}
    some = compare_groups(table, two, config=NO_BOOTSTRAP, permutation=ONCE)
    keep = np.isin(table.annotator_index, [i for i in range(12) if groups[i] != "c"])
    alone = compare_groups(table.select(keep), two, config=NO_BOOTSTRAP, permutation=ONCE)
    assert some == alone


def test_groups_of_one_annotator_have_reasons_and_no_nan():
    table = table_of([[1, 1, 2], [2, 1, 2], [1, 2, 2], [2, 2, 1]])
    found = compare_groups(table, {0: "a", 1: "a", 2: "b"})
    alone = found[1]
    assert (alone.in_group.value, alone.ratio.value, alone.p_value) == (None, None, None)
    assert "too few shared items" in alone.in_group.reason
    assert alone.cross_group.value is not None
    json.dumps([asdict(one) for one in found], allow_nan=False)


def test_groups_that_contradict_each_other_have_no_ratio():
    table = table_of([[1, 1, 2, 2], [2, 2, 1, 1]] * 6)
    one = compare_groups(table, {0: "a", 1: "a", 2: "b", 3: "b"})[0]
    assert one.in_group.value == pytest.approx(1)
    assert one.cross_group.value < 0
    assert (one.ratio.value, one.difference > 1) == (None, True)
    assert "not above 0" in one.ratio.reason


def test_one_constant_value_has_reasons():
    one = compare_groups(table_of([[1, 1, 1, 1]] * 4), {0: "a", 1: "a", 2: "b", 3: "b"})[0]
    assert (one.in_group.value, one.cross_group.value, one.p_value) == (None, None, None)


def test_wrong_input_is_named():
    table, groups = votes(7, sizes=(2, 2))
    with pytest.raises(DataError, match=r"are in 1 groups \(a\)"):
        compare_groups(table, dict.fromkeys(groups, "a"))
    with pytest.raises(DataError, match="named by the ids of the table, such as 0"):
        compare_groups(table, {"nobody": "a"})
    with pytest.raises(ConfigError, match="permutations is 0"):
        PermutationConfig(permutations=0)


def test_batches_labeled_by_different_people_need_strata():
    # two batches, one easy and one hard, each labeled by its own annotators, three of four of one group;
    # nobody has a taste of his own
    rng = np.random.default_rng(8)
    matrix = np.full((160, 16), -1)
    for batch, skill in ((0, 0.95), (1, 0.6)):
        rows, columns = slice(80 * batch, 80 * batch + 80), slice(8 * batch, 8 * batch + 8)
        truth = rng.integers(0, 2, 80)
        hit = rng.random((80, 8)) < skill
        matrix[rows, columns] = np.where(hit, truth[:, None], 1 - truth[:, None])
    table = table_of([[None if value < 0 else value for value in row] for row in matrix.tolist()])
    groups = {j: "a" if (j < 6) or (j >= 14) else "b" for j in range(16)}
    batches = {j: j // 8 for j in range(16)}
    config = {"config": NO_BOOTSTRAP, "permutation": PermutationConfig(permutations=400)}
    within = compare_groups(table, groups, strata=batches, **config)
    assert min(one.p_value for one in within) > 0.05
    # the shuffle within batches keeps how many of each batch are in a group
    over = compare_groups(table, groups, **config)
    assert within[0].difference == over[0].difference


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(6, 6), (4, 10)])
def test_permutation_test_keeps_its_level(sizes):
    # no taste: annotators are alike, and skill differs by chance only
    n_runs = 400
    hits = [
        compare_groups(
            *votes(run, n_items=30, sizes=sizes),
            config=NO_BOOTSTRAP,
            permutation=PermutationConfig(permutations=99, seed=run),
        )[0].p_value
        <= 0.1
        for run in range(n_runs)
    ]
    # exact at .1 up to ties of the statistic; three binomial standard errors of 400 runs are .045
    assert np.mean(hits) == pytest.approx(0.1, abs=0.045)


@pytest.mark.slow
def test_interval_of_the_ratio_covers():
    # the annotators are kept and items are drawn anew, which is what the interval speaks of
    def ratio(seed, n_items, replicates):
        rng = np.random.default_rng(seed)
        skill = np.linspace(0.7, 0.95, 10)
        group = np.tile([0, 1], 5)
        item_class = rng.integers(0, 2, n_items)
        taste = np.where(
            rng.random((n_items, 2)) < 0.15, rng.integers(0, 2, (n_items, 2)), item_class[:, None]
        )
        label = np.where(rng.random((n_items, 10)) < skill, taste[:, group], 1 - taste[:, group])
        table = table_of(label.tolist())
        config = BootstrapConfig(replicates=replicates, seed=seed)
        groups = {j: "ab"[j % 2] for j in range(10)}
        return compare_groups(table, groups, config=config, permutation=ONCE)[0].ratio

    truth = ratio(10_000, 60_000, 0).value
    found = [ratio(run, 150, 300) for run in range(300)]
    hits = [one.has_interval and one.low <= truth <= one.high for one in found]
    # three binomial standard errors of 300 runs
    assert np.mean(hits) == pytest.approx(0.95, abs=0.038)
