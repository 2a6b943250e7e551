"""What a size is worth: closed forms by hand and against simulation."""

import math

import numpy as np
import pytest

from accord.domain import ConfigError
from accord.quality.agreement import BootstrapConfig, krippendorff_alpha
from accord.quality.deciding.designs import (
    AccuracyDesign,
    AlphaDesign,
    WinRateDesign,
    majority_accuracy,
)
from accord.quality.labels import tabulate_labels
from accord.quality.simulation import CrowdConfig, simulate_labels


def draw_labels(rng, n_runs, *, clusters, items, labels, annotators, shares, share):
    """Labels [run, item, place] that repeat the coin of their cluster, item or annotator, else their own.

    Two labels that may repeat one coin do so both with the square of its share, which is their correlation.
    """
    n_items = clusters * items
    who = (np.arange(n_items)[:, None] * labels + np.arange(labels)) % annotators
    coins = [
        (rng.random((n_runs, clusters)) < share)[:, np.arange(n_items) // items, None],
        (rng.random((n_runs, n_items)) < share)[:, :, None],
        (rng.random((n_runs, annotators)) < share)[:, who],
    ]
    label = rng.random((n_runs, n_items, labels)) < share
    pick = rng.random(label.shape)
    below = 0.0
    for coin, part in zip(coins, shares, strict=True):
        label = np.where((pick >= below) & (pick < below + part), coin, label)
        below += part
    return label


def test_design_effect_is_the_variance_that_clusters_bring():
    # sources .3 cluster, .3 item, .2 annotator: correlations .09 in a cluster, .18 in an item, .04 else
    design = WinRateDesign(
        share=0.4,
        item_correlation=0.18,
        items_a_cluster=3,
        cluster_correlation=0.09,
        n_annotators=8,
        annotator_correlation=0.04,
    )
    found = design.prepare(4)(24)
    # 96 labels: 1 + 3 x .18 + 4 x 2 x .09 + (96 / 8 - 1) x .04 = 2.70
    assert found.design_effect == pytest.approx(2.70)
    assert found.error == pytest.approx(math.sqrt(0.24 / 96 * 2.70))
    rng = np.random.default_rng(0)
    sizes = {"clusters": 8, "items": 3, "labels": 4, "annotators": 8}
    draws = draw_labels(rng, 4000, **sizes, shares=(0.3, 0.3, 0.2), share=0.4).mean(axis=(1, 2))
    # a variance of 4000 draws is known to sqrt(2 / 4000) = 2.2 %; four of these
    assert draws.var() == pytest.approx(found.error**2, rel=0.09)


def test_independent_labels_have_no_design_effect():
    found = WinRateDesign(share=0.3).prepare(1)(50)
    assert (found.design_effect, found.n_effective, found.freedom) == (1, 50, math.inf)


def test_degrees_of_freedom_are_those_of_the_scarcer_source():
    alone = WinRateDesign(item_correlation=0.5).prepare(2)(41)
    assert alone.freedom == 40
    few = WinRateDesign(item_correlation=0, n_annotators=5, annotator_correlation=0.5).prepare(5)(10_000)
    assert few.freedom == pytest.approx(4, rel=0.01)


def test_majority_accuracy_by_hand():
    # three of .8: .512 + 3 x .128 = .896; a fourth can only tie: .4096 + .4096 + half of .1536
    assert majority_accuracy(0.8, 1) == pytest.approx(0.8)
    assert majority_accuracy(0.8, 2) == pytest.approx(0.8)
    assert majority_accuracy(0.8, 3) == pytest.approx(0.896)
    assert majority_accuracy(0.8, 4) == pytest.approx(0.4096 + 0.4096 + 0.1536 / 2)
    assert majority_accuracy(0.5, 7) == pytest.approx(0.5)
    with pytest.raises(ConfigError, match="n_labels is 0"):
        majority_accuracy(0.8, 0)


@pytest.mark.parametrize("labels", [3, 4])
def test_closed_form_of_a_vote_is_what_simulation_gives(labels):
    # a pull of traps that no item has: nothing changes, but the design must simulate
    plain = AccuracyDesign(crowd=CrowdConfig(n_annotators=400))
    drawn = AccuracyDesign(crowd=CrowdConfig(n_annotators=400, trap_pull=0.5))
    closed, simulated = plain.prepare(labels)(500), drawn.prepare(labels)(500)
    assert (closed.method, simulated.method) == ("binomial vote", "simulated crowds")
    # 12 crowds of 3200 items and 400 annotators whose skills spread by .15: errors of .002 each
    assert simulated.value == pytest.approx(closed.value, abs=0.01)


def test_difficult_items_cost_accuracy_that_the_closed_form_does_not_see():
    easy = AccuracyDesign().prepare(5)(1000)
    hard = AccuracyDesign(crowd=CrowdConfig(difficulty_spread=1.5)).prepare(5)(1000)
    assert hard.method == "simulated crowds"
    assert hard.value < easy.value - 0.02


def test_a_fitted_consensus_knows_annotators_better_with_more_items():
    design = AccuracyDesign(crowd=CrowdConfig(n_annotators=20), consensus="dawid_skene")
    at = design.prepare(5)
    assert at(3200).value > at(50).value + 0.01
    assert at(3200).value > majority_accuracy(6 / 8.5, 5) + 0.02
    low, middle, high = (at(number).value for number in (200, 400, 800))
    assert middle == pytest.approx((low + high) / 2, abs=1e-12)


def test_gold_is_what_accuracy_is_measured_on():
    whole, part = (AccuracyDesign(gold_share=share).prepare(3)(400) for share in (1.0, 0.25))
    assert (whole.n_effective, part.n_effective) == (400, 100)


@pytest.mark.parametrize(("level", "classes"), [("nominal", 2), ("ordinal", 4), ("interval", 4)])
def test_error_of_alpha_is_that_of_alpha_over_new_items(level, classes):
    # one crowd labels all items; sets of 100 of them give alphas whose spread is to be foretold
    crowd = CrowdConfig(n_classes=classes, n_annotators=40, skill_alpha=18, skill_beta=4)
    expected = AlphaDesign(crowd=crowd, level=level).prepare(4)(100)
    n_sets = 300
    whole = CrowdConfig(
        n_classes=classes,
        n_annotators=40,
        skill_alpha=18,
        skill_beta=4,
        n_items=100 * n_sets,
        labels_per_item=4,
    )
    table = tabulate_labels(simulate_labels(whole, 7).columns)
    alphas = [
        krippendorff_alpha(
            table.select(table.item_index // 100 == i), level=level, config=BootstrapConfig(replicates=0)
        ).value
        for i in range(n_sets)
    ]
    # a spread of 300 sets is known to 4 %, that of the design to 2 %, and crowds differ
    assert np.std(alphas) == pytest.approx(expected.error, rel=0.16)
    assert np.mean(alphas) == pytest.approx(expected.value, abs=0.05)


def test_what_has_no_alpha_has_a_reason():
    assert "two labels" in AlphaDesign().prepare(1)(100).reason
    one_class = AlphaDesign(crowd=CrowdConfig(class_shares=(1.0, 0.0), skill_alpha=1e9, skill_beta=1e-9))
    assert "one class" in one_class.prepare(3)(100).reason


def test_wrong_designs_are_named():
    with pytest.raises(ConfigError, match=r"share is 1(.|\n)*items_a_cluster is 0"):
        WinRateDesign(share=1, items_a_cluster=0)
    with pytest.raises(ConfigError, match=r"cluster_correlation is 0\.5, above item_correlation 0\.3"):
        WinRateDesign(cluster_correlation=0.5)
    with pytest.raises(ConfigError, match="annotator_correlation needs n_annotators"):
        WinRateDesign(annotator_correlation=0.1)
    with pytest.raises(ConfigError, match="gold_share is 0"):
        AccuracyDesign(gold_share=0)
    with pytest.raises(ConfigError, match="consensus is 'mean'"):
        AccuracyDesign(consensus="mean")
