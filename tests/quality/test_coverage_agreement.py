"""Intervals of every coefficient of agreement hold the truth as often as they say, in simulated crowds."""

import numpy as np
import pytest
from scipy import stats

from accord.domain import LabelColumns
from accord.quality.agreement import (
    FORMS,
    BootstrapConfig,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    intraclass_correlations,
    krippendorff_alpha,
    measure_repeats,
    percent_agreement,
)
from accord.quality.labels import tabulate_labels

NO_INTERVAL = BootstrapConfig(replicates=0)
SKILLS = (0.65, 0.55, 0.75, 0.45)


def assert_nominal(hits):
    """94 to 96 % of the runs, but for what lies outside by chance once in 500 on each side."""
    runs = len(hits)
    assert stats.binom.ppf(0.002, runs, 0.94) <= np.sum(hits) <= stats.binom.ppf(0.998, runs, 0.96)


def draw_table(rng, n_items, *, shares, skills=SKILLS, present=0.8, cluster=1):
    """Labels by annotators who know the item's class with their skill and else draw from `shares`.

    Most items of a cluster have its class, the others one of their own.
    """
    ends = np.cumsum(shares)[:-1]
    item_class = (rng.random((n_items, 1)) >= ends).sum(axis=1)
    of_cluster = np.repeat(item_class[::cluster], cluster)[:n_items]
    item_class = np.where(rng.random(n_items) < 0.9, of_cluster, item_class)
    guess = (rng.random((n_items, len(skills), 1)) >= ends).sum(axis=2)
    label = np.where(rng.random(guess.shape) < skills, item_class[:, None], guess)
    items, annotators = np.nonzero(rng.random(label.shape) < present)
    columns = LabelColumns(items=items, annotators=annotators, values=label[items, annotators])
    return tabulate_labels(columns, classes=range(len(shares)))


def nominal_coefficients(table, config, clusters=None):
    settings = {"config": config, "clusters": clusters}
    return {
        "percent": percent_agreement(table, **settings),
        "fleiss": fleiss_kappa(table, **settings),
        "alpha": krippendorff_alpha(table, **settings),
        "ac1": gwet_ac(table, **settings),
        "cohen": cohen_kappa(table, annotators=(0, 1), **settings),
    }


def scored_coefficients(table, config, clusters=None):
    settings = {"config": config, "clusters": clusters}
    forms = intraclass_correlations(table, n_averaged=3, **settings)
    return {
        **{level: krippendorff_alpha(table, level=level, **settings) for level in ("ordinal", "ratio")},
        "interval": krippendorff_alpha(table, level="interval", **settings),
        "ac2": gwet_ac(table, credit="quadratic", **settings),
        "cohen": cohen_kappa(table, annotators=(0, 1), credit="quadratic", **settings),
        **dict(zip(FORMS, forms, strict=True)),
    }


def measure_coverage(coefficients, n_items, n_runs, *, cluster=1, has_clusters=True, **crowd):
    """Of each coefficient, whether its interval held the value of a hundred thousand items [run]."""
    whole = draw_table(np.random.default_rng(10**6), 120_000, cluster=cluster, **crowd)
    truth = {name: found.value for name, found in coefficients(whole, NO_INTERVAL).items()}
    hits = {name: np.zeros(n_runs, dtype=bool) for name in truth}
    for run in range(n_runs):
        table = draw_table(np.random.default_rng(run), n_items, cluster=cluster, **crowd)
        clusters = (table.items // cluster).tolist() if has_clusters and cluster > 1 else None
        config = BootstrapConfig(seed=run)
        for name, found in coefficients(table, config, clusters).items():
            hits[name][run] = found.has_interval and found.low <= truth[name] <= found.high
    return hits


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.6, 0.4), (0.85, 0.1, 0.05)], ids=["two even", "three uneven"])
def test_nominal_coefficients_cover(shares):
    for hits in measure_coverage(nominal_coefficients, 100, 300, shares=shares).values():
        assert_nominal(hits)


@pytest.mark.slow
def test_coefficients_of_scores_cover():
    for hits in measure_coverage(scored_coefficients, 80, 150, shares=(0.4, 0.3, 0.2, 0.1)).values():
        assert_nominal(hits)


@pytest.mark.slow
def test_intervals_over_clusters_cover_where_those_over_items_do_not():
    # items of a cluster share their class: sixty clusters say less of its share than 300 items would
    crowd = {"shares": (0.75, 0.25), "cluster": 5, "skills": (0.8, 0.7, 0.75)}
    for hits in measure_coverage(nominal_coefficients, 300, 120, **crowd).values():
        assert_nominal(hits)
    naive = measure_coverage(nominal_coefficients, 300, 100, has_clusters=False, **crowd)
    assert naive["ac1"].mean() < 0.9


@pytest.mark.slow
def test_consistency_of_annotators_is_covered():
    # an annotator keeps his answer with a probability of his own, and else draws one anew
    n_runs, n_annotators, n_items, shares = 250, 25, 12, np.array([0.6, 0.4])
    chance, kept = float((shares**2).sum()), 8 / 10
    hits = {"share": [], "alpha": [], "own": []}
    who = np.repeat(np.arange(n_annotators), n_items)
    for run in range(n_runs):
        rng = np.random.default_rng(run)
        keeps = rng.beta(8, 2, n_annotators)
        first, anew = rng.random((2, len(who))) < shares[1]
        second = np.where(rng.random(len(who)) < keeps[who], first, anew)
        columns = LabelColumns(
            items=np.tile(np.arange(len(who)), 2),
            annotators=np.tile(who, 2),
            values=np.concatenate([first, second]).astype(int),
        )
        found = measure_repeats(columns, config=BootstrapConfig(seed=run))
        hits["share"].append(found.share_same.low <= kept + (1 - kept) * chance <= found.share_same.high)
        hits["alpha"].append(found.alpha.low <= kept <= found.alpha.high)
        own = keeps + (1 - keeps) * chance
        hits["own"] += [
            one.low <= share <= one.high for one, share in zip(found.annotators, own, strict=True)
        ]
    assert_nominal(hits["share"])
    assert_nominal(hits["alpha"])
    # Wilson's interval is at its level on average over shares, and swings about it by a point at 12 items
    assert np.mean(hits["own"]) == pytest.approx(0.95, abs=0.02)
