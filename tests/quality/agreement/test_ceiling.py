"""Ceilings equal their closed forms, are found again in simulation, and say so where there is none."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln

from accord.domain import LabelColumns
from accord.quality.agreement import BootstrapConfig, ceiling, measure_ceiling
from accord.quality.agreement.ceiling import ceiling_statistic
from accord.quality.agreement.coincidence import count_rows
from accord.quality.agreement.dirichlet import (
    chance_of_largest,
    expected_entropy,
    expected_largest_share,
    fit_dirichlet,
)
from accord.quality.agreement.resampling import Link, abc_interval
from accord.quality.labels import tabulate_labels

FEW = BootstrapConfig(replicates=200)


@pytest.mark.parametrize("value", [0.01, 0.3, 1.0, 4.0, 1000.0])
def test_largest_of_two_equal_shares_has_a_closed_form(value):
    found = expected_largest_share(np.array([[value, value]]))[0]
    expected = 0.5 + math.exp(-value * math.log(4) - math.log(value) - betaln(value, value))
    assert found == pytest.approx(expected, abs=1e-4)


def test_largest_of_uniform_shares_by_hand():
    # p uniform on the simplex of K classes: E[max p] = (1 + 1/2 + ... + 1/K) / K
    for n_classes in (2, 3, 6):
        expected = sum(1 / k for k in range(1, n_classes + 1)) / n_classes
        assert expected_largest_share(np.ones((1, n_classes)))[0] == pytest.approx(expected, abs=1e-5)


def test_entropy_of_uniform_shares_by_hand():
    # two classes, p uniform: -2 times the integral of p ln p over 0..1 = 1/2
    assert expected_entropy(np.ones((1, 2)))[0] == pytest.approx(0.5)


def test_unequal_shares_equal_a_simulation():
    concentrations = np.array([0.3, 1.5, 0.8])
    parts = np.random.default_rng(0).dirichlet(concentrations, size=400_000)
    # standard error .2 / sqrt(400000)
    assert expected_largest_share(concentrations[None])[0] == pytest.approx(
        parts.max(axis=1).mean(), abs=0.001
    )
    logs = np.where(parts > 0, parts * np.log(np.maximum(parts, 1e-300)), 0)
    assert expected_entropy(concentrations[None])[0] == pytest.approx(-logs.sum(axis=1).mean(), abs=0.002)


def draw(concentrations, *, n_items, seed):
    """Labels of items with true shares from a Dirichlet, 2 to 6 on each."""
    rng = np.random.default_rng(seed)
    parts = rng.dirichlet(concentrations, size=n_items)
    counts = rng.multinomial(rng.integers(2, 7, n_items), parts)
    item_index, class_index = np.nonzero(counts)
    times = counts[item_index, class_index]
    return np.repeat(item_index, times), np.repeat(class_index, times), parts


def table_of_draw(concentrations, *, n_items, seed):
    item_index, class_index, parts = draw(concentrations, n_items=n_items, seed=seed)
    columns = LabelColumns(items=item_index, annotators=np.arange(len(item_index)), values=class_index)
    return tabulate_labels(columns, classes=list(range(len(concentrations)))), parts


def test_known_concentrations_are_found():
    concentrations = np.array([0.5, 1.2, 0.3])
    item_index, class_index, _ = draw(concentrations, n_items=20_000, seed=1)
    rows = count_rows(item_index, class_index, n_items=20_000, n_classes=3)
    fit = fit_dirichlet(rows, rows.units.multiplicity[None].astype(float))[0]
    assert fit == pytest.approx(concentrations, rel=0.05)


def test_fit_has_no_gradient_left():
    item_index, class_index, _ = draw(np.array([0.5, 1.2, 0.3]), n_items=300, seed=2)
    rows = count_rows(item_index, class_index, n_items=300, n_classes=3)
    fit = fit_dirichlet(rows, rows.units.multiplicity[None].astype(float))[0]
    counts = np.repeat(rows.counts.toarray(), rows.units.multiplicity, axis=0)

    def log_likelihood(values):
        total = 0.0
        for row in counts:
            total += sum(math.lgamma(a + n) - math.lgamma(a) for a, n in zip(values, row, strict=True))
            total -= math.lgamma(sum(values) + row.sum()) - math.lgamma(sum(values))
        return total

    for k in range(3):
        step = np.zeros(3)
        step[k] = 1e-4
        slope = (log_likelihood(fit + step) - log_likelihood(fit - step)) / 2e-4
        assert slope == pytest.approx(0, abs=0.01)


def test_ceilings_are_found_again_where_plain_shares_are_too_high():
    table, parts = table_of_draw(np.array([1.0, 1.5, 0.8]), n_items=4000, seed=3)
    found = measure_ceiling(table, config=FEW)
    truth = parts.max(axis=1).mean()
    assert found.fresh.value == pytest.approx(truth, abs=0.01)
    assert found.fresh.low < truth < found.fresh.high
    plain = (table.counts.max(axis=1) / table.labels_per_item).mean()
    assert plain > found.fresh.value + 0.05
    # a judgment hits the likeliest class at best as often as the likeliest class comes up
    assert found.human.value < found.fresh.value
    # the majority of several judgments is the likeliest class more often than one judgment is
    counts = np.random.default_rng(0).multinomial(table.labels_per_item, parts)
    is_top = counts == counts.max(axis=1, keepdims=True)
    hit = is_top[np.arange(4000), parts.argmax(axis=1)] / is_top.sum(axis=1)
    # two binomial standard errors of 4000 simulated items, and the error of the fit
    assert found.majority.value == pytest.approx(hit.mean(), abs=0.02)
    assert found.majority.low <= found.majority.value <= found.majority.high
    assert found.nll.value == pytest.approx(-(parts * np.log(parts)).sum(axis=1).mean(), abs=0.02)


def test_human_accuracy_by_hand(table_of):
    # aab: a hits with the rest level (1/2), b misses: 2/3 * 1/2; aaa: 1; aabc: the rest of an a is abc,
    # 1/3 of 2/4; aaab: the rest of an a is aab: 3/4. Mean of 1/3, 1, 1/6, 3/4
    table = table_of(
        [["a", "a", "b", None], ["a", "a", "a", None], ["a", "a", "b", "c"], ["a", "a", "a", "b"]]
    )
    found = measure_ceiling(table, config=FEW)
    assert found.human.value == pytest.approx((1 / 3 + 1 + 1 / 6 + 3 / 4) / 4)


@pytest.mark.parametrize("concentrations", [(1.0, 1.5), (0.5, 1.2, 0.3), (0.1, 0.2, 0.05, 3.0)])
def test_the_chance_of_being_the_largest_equals_a_simulation(concentrations):
    parts = np.random.default_rng(0).dirichlet(concentrations, size=200_000)
    share = np.bincount(parts.argmax(axis=1), minlength=len(concentrations)) / 200_000
    # four standard errors of a share of 200,000
    assert chance_of_largest(np.array([concentrations]))[0] == pytest.approx(share, abs=0.0045)


def test_the_majority_ceiling_by_hand(table_of, monkeypatch):
    # uniform shares of two classes, two judgments: aa has chance 1/3 and then p_a ~ beta(3, 1) is the larger
    # with 7/8; the same for bb; ab is a tie, right half of the time: 2/3 * 7/8 + 1/3 * 1/2 = 3/4
    rows = count_rows(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), n_items=2, n_classes=2)
    assert ceiling._majority_accuracy(rows, np.ones(2), 0) == pytest.approx(0.75)
    exact = ceiling._majority_accuracy(rows, np.array([0.4, 1.3]), 0)
    monkeypatch.setattr(ceiling, "MOST_COUNTS", 0)
    # four standard errors of 100,000 simulated items
    assert ceiling._majority_accuracy(rows, np.array([0.4, 1.3]), 0) == pytest.approx(exact, abs=0.006)


def test_total_agreement_needs_no_model(table_of):
    found = measure_ceiling(table_of([["a", "a"], ["b", "b"], ["a", None]]))
    values = [one.value for one in (found.human, found.fresh, found.nll, found.majority)]
    assert values == [1, 1, 0, 1]
    assert found.fresh.n_items == 2
    assert "all judgments agree" in found.fresh.reason


def test_coin_flips_leave_hardly_more_than_chance():
    item_index = np.repeat(np.arange(3000), 4)
    values = np.random.default_rng(0).integers(0, 2, 12000)
    table = tabulate_labels(
        LabelColumns(items=item_index, annotators=np.tile(np.arange(4), 3000), values=values)
    )
    assert measure_ceiling(table, config=FEW).fresh.value < 0.56


def test_single_judgments_have_a_reason(table_of):
    found = measure_ceiling(table_of([["a"], ["b"]]))
    assert (found.fresh.value, found.concentrations) == (None, {})
    assert "no item has two ratings" in found.fresh.reason


def test_one_split_item_has_values_and_no_interval(table_of):
    found = measure_ceiling(table_of([["a", "b"]]))
    assert found.fresh.value == pytest.approx(0.5, abs=0.01)
    assert found.fresh.low is None
    assert found.majority.low is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("concentrations", "n_items"),
    [((1.0, 1.5), 200), ((1.0, 1.5), 50), ((0.5, 1.2, 0.3), 100)],
    ids=["two", "two, few items", "three"],
)
def test_intervals_of_ceiling_and_noise_floor_cover_their_level(concentrations, n_items):
    concentrations, n_runs = np.array(concentrations), 600
    n_classes = len(concentrations)
    truth = (
        expected_largest_share(concentrations[None])[0],
        expected_entropy(concentrations[None])[0],
    )
    links = (Link(1 / n_classes, 1.0), Link(0.0, math.log(n_classes)))
    hits = np.zeros(2)
    for run in range(n_runs):
        item_index, class_index, _ = draw(concentrations, n_items=n_items, seed=run)
        rows = count_rows(item_index, class_index, n_items=n_items, n_classes=n_classes)
        statistic = ceiling_statistic(rows)
        found = abc_interval(
            lambda weights, statistic=statistic: statistic(weights)[:, 1:],
            rows.units,
            links=links,
            config=BootstrapConfig(),
            undefined="",
        )
        hits += [found.lows[i] <= truth[i] <= found.highs[i] for i in range(2)]
    # 94 to 96 % but for what lies outside by chance once in 500 on each side
    least, most = stats.binom.ppf(0.002, n_runs, 0.94), stats.binom.ppf(0.998, n_runs, 0.96)
    assert (least <= hits).all()
    assert (hits <= most).all()


def test_ceilings_lie_between_chance_and_certainty_and_their_intervals_draw_nothing():
    table, _ = table_of_draw(np.array([1.0, 1.5]), n_items=200, seed=0)
    found = measure_ceiling(table, config=FEW)
    for one, least, most in ((found.fresh, 0.5, 1.0), (found.nll, 0.0, math.log(2))):
        assert least < one.low < one.value < one.high < most
    # the seed draws for the human figure and the majority's, not for these two
    again = measure_ceiling(table, config=BootstrapConfig(replicates=200, seed=1))
    assert (again.fresh, again.nll) == (found.fresh, found.nll)
