"""How often nominal 95 % intervals of the quality engine hold the truth, one JSON line.

Every study draws a world whose truth is known, many times, and asks the engine for its interval. Of each
interval the line gives the share that held, its standard error over worlds, and how many there were.
Where a prior is part of the method the truth is drawn from it, for that is what a posterior
interval promises. `outside` names those beyond 94 to 96 % by more than two standard errors.

    python benchmarks/quality_coverage.py [--worlds 400] [--first 0] [--only NAME ...]
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from accord.domain import LabelColumns
from accord.quality.agreement import (
    FORMS,
    BootstrapConfig,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    intraclass_correlations,
    krippendorff_alpha,
    measure_ceiling,
    measure_repeats,
    percent_agreement,
)
from accord.quality.bias import (
    PermutationConfig,
    compare_exclusion,
    compare_groups,
    fit_effects,
    fit_varying_effect,
    measure_group_means,
)
from accord.quality.consensus import annotator_confusions, fit_consensus
from accord.quality.consensus.reliability import measure_reliability
from accord.quality.deciding.replay import ReplayConfig, replay_curve
from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.labels import LabelTable, tabulate_labels
from accord.quality.people import assess_annotators, fit_fatigue, value_annotators
from accord.quality.people.gold import score_gold
from accord.quality.people.value import ValueConfig, expected_confusions
from accord.quality.preferences.annotator_aware import fit_annotator_aware
from accord.quality.preferences.bradley_terry import BradleyTerryConfig, fit_bradley_terry
from accord.quality.preferences.crowd_bt import fit_crowd_bradley_terry
from accord.quality.preferences.noisy_bt import fit_noisy_bradley_terry
from accord.quality.preferences.plackett_luce import fit_plackett_luce, tabulate_rankings
from accord.quality.preferences.scored_pairs import ScoredPairs, tabulate_pairs
from accord.quality.preferences.ties import TiesConfig, fit_ties
from accord.quality.simulation import CrowdConfig, simulate_labels
from accord.quality.simulation.comparisons import ComparisonConfig, simulate_comparisons

FloatArray = NDArray[np.float64]
World = dict[str, list[bool]]
"""Name of an interval to whether each of its kind held the truth."""


def held(low: ArrayLike | None, truth: ArrayLike, high: ArrayLike | None) -> list[bool]:
    """Whether low <= truth <= high, entry by entry; an interval that does not exist did not hold."""
    if low is None or high is None:
        return [False]
    return np.atleast_1d((np.asarray(low) <= truth) & (truth <= np.asarray(high))).tolist()


def draw_labels(
    seed: int, n_items: int, shares: ArrayLike, skills: ArrayLike, *, present: float = 0.8, cluster: int = 1
) -> LabelTable:
    """Labels by annotators who know the class of an item with their skill, and else guess by `shares`."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(shares)[:-1]
    skills = np.asarray(skills)
    item_class = (rng.random((n_items, 1)) >= ends).sum(axis=1)
    of_cluster = np.repeat(item_class[::cluster], cluster)[:n_items]
    item_class = np.where(rng.random(n_items) < 0.9, of_cluster, item_class)
    guess = (rng.random((n_items, len(skills), 1)) >= ends).sum(axis=2)
    label = np.where(rng.random(guess.shape) < skills, item_class[:, None], guess)
    items, annotators = np.nonzero(rng.random(label.shape) < present)
    columns = LabelColumns(items=items, annotators=annotators, values=label[items, annotators])
    return tabulate_labels(columns, classes=range(len(np.asarray(shares))))


def coefficients(table: LabelTable, config: BootstrapConfig, clusters: list[int] | None) -> dict[str, Any]:
    """All coefficients of agreement of a table of numbered classes."""
    settings: dict[str, Any] = {"config": config, "clusters": clusters}
    found = {
        "percent agreement": percent_agreement(table, **settings),
        "Fleiss kappa": fleiss_kappa(table, **settings),
        "Gwet AC1": gwet_ac(table, **settings),
        "Gwet AC2": gwet_ac(table, credit="quadratic", **settings),
        "Cohen kappa": cohen_kappa(table, annotators=(0, 1), **settings),
        "Cohen kappa, quadratic": cohen_kappa(table, annotators=(0, 1), credit="quadratic", **settings),
    }
    for level in ("nominal", "ordinal", "interval", "ratio"):
        found[f"alpha, {level}"] = krippendorff_alpha(table, level=level, **settings)
    forms = intraclass_correlations(table, n_averaged=3, **settings)
    return found | dict(zip(FORMS, forms, strict=True))


def agreement(n_items: int, cluster: int) -> Callable[[int], World]:
    """Coefficients over items, or over clusters of items that share their class."""
    shares, skills = (0.4, 0.3, 0.2, 0.1), (0.65, 0.55, 0.75, 0.45)
    whole = draw_labels(10**6, 200_000, shares, skills, cluster=cluster)
    truth = coefficients(whole, BootstrapConfig(replicates=0), None)

    def world(seed: int) -> World:
        table = draw_labels(seed, n_items, shares, skills, cluster=cluster)
        clusters = (table.items // cluster).tolist() if cluster > 1 else None
        found = coefficients(table, BootstrapConfig(seed=seed), clusters)
        return {name: held(one.low, truth[name].value, one.high) for name, one in found.items()}

    return world


def ceiling(n_sample: int, *concentrations: float) -> Callable[[int], World]:
    """Human accuracy, its ceiling and the noise floor of items whose label shares are Dirichlet."""
    n_classes = len(concentrations)

    def table_of(seed: int, n_items: int) -> LabelTable:
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(rng.integers(2, 7, n_items), rng.dirichlet(concentrations, size=n_items))
        item, value = np.nonzero(counts)
        times = counts[item, value]
        items, values = np.repeat(item, times), np.repeat(value, times)
        columns = LabelColumns(items=items, annotators=np.arange(len(items)), values=values)
        return tabulate_labels(columns, classes=range(n_classes))

    names = ("human", "fresh", "nll", "majority")
    whole = measure_ceiling(table_of(10**6, 100_000), config=BootstrapConfig(replicates=0))
    truth = {name: getattr(whole, name).value for name in names}

    def world(seed: int) -> World:
        found = measure_ceiling(table_of(seed, n_sample), config=BootstrapConfig(seed=seed))
        return {
            f"ceiling: {name}": held(getattr(found, name).low, truth[name], getattr(found, name).high)
            for name in names
        }

    return world


def repeats(seed: int) -> World:
    """Annotators who keep an answer with a probability of their own, and else answer anew."""
    n_annotators, n_items, share = 25, 12, 0.4
    rng = np.random.default_rng(seed)
    keeps = rng.beta(8, 2, n_annotators)
    who = np.repeat(np.arange(n_annotators), n_items)
    first, anew = rng.random((2, len(who))) < share
    second = np.where(rng.random(len(who)) < keeps[who], first, anew)
    columns = LabelColumns(
        items=np.tile(np.arange(len(who)), 2),
        annotators=np.tile(who, 2),
        values=np.concatenate([first, second]).astype(int),
    )
    found = measure_repeats(columns, config=BootstrapConfig(seed=seed))
    chance = share**2 + (1 - share) ** 2
    own = keeps + (1 - keeps) * chance
    return {
        "repeats: share": held(found.share_same.low, 0.8 + 0.2 * chance, found.share_same.high),
        "repeats: alpha": held(found.alpha.low, 0.8, found.alpha.high),
        "repeats: one annotator": held(
            [one.low for one in found.annotators], own, [one.high for one in found.annotators]
        ),
    }


def people(per_item: int) -> Callable[[int], World]:
    """Accuracy and value of annotators where the classes must be inferred from all of them."""

    def world(seed: int) -> World:
        config = CrowdConfig(
            n_items=600, n_annotators=25, labels_per_item=per_item, class_spread=0.5, n_classes=2
        )
        crowd = simulate_labels(config, seed)
        table = tabulate_labels(crowd.columns)
        shares = np.bincount(crowd.truth_index, minlength=2) / table.n_items
        confusion = crowd.annotators.confusion[table.annotators.astype(int)]
        right = np.diagonal(confusion, axis1=1, axis2=2) @ shares
        consensus = fit_consensus(table, method="dawid_skene").raw.probabilities
        known = np.eye(2)[crowd.truth_index]
        inferred = annotator_confusions(table, consensus)
        certain = annotator_confusions(table, known)
        rows = assess_annotators(table, consensus, seed=seed).rows
        scored = score_gold(table, dict(zip(table.items.tolist(), crowd.truth_index.tolist(), strict=True)))
        worth = value_annotators(confusion * 1e9, shares, config=ValueConfig(n_draws=2))
        counts = expected_confusions(table, known, leave_own_out=False)
        seen = value_annotators(counts, shares, seed=seed)
        truth = [one.value.value for one in worth]
        n = f"{per_item} labels an item"

        def of(estimates: list[Any], truth: ArrayLike) -> list[bool]:
            return held([one.low for one in estimates], truth, [one.high for one in estimates])

        return {
            f"accuracy against consensus, {n}": held(
                [one.accuracy_low for one in inferred], right, [one.accuracy_high for one in inferred]
            ),
            "accuracy, classes known": held(
                [one.accuracy_low for one in certain], right, [one.accuracy_high for one in certain]
            ),
            f"expected agreement, {n}": of([row.agreement for row in rows], right),
            f"value, {n}": of([row.value.value for row in rows], truth),
            "value, classes known": of([one.value for one in seen], truth),
            "accuracy on gold": of([one.accuracy for one in scored], right),
        }

    return world


def probabilities(calibrated: bool) -> Callable[[int], World]:
    """Accuracy, log-loss and calibration error of probabilities that are right, or too sure of themselves."""

    def draw(seed: int, n_items: int) -> tuple[FloatArray, NDArray[np.int64]]:
        rng = np.random.default_rng(seed)
        log_odds = rng.normal(0, 2, n_items)
        truth = (rng.random(n_items) < expit(log_odds if calibrated else log_odds / 2)).astype(np.int64)
        return np.stack([expit(-log_odds), expit(log_odds)], axis=1), truth

    whole = measure_reliability(*draw(10**6, 1_000_000), n_bins=10, config=BootstrapConfig(replicates=0))
    kind = "calibrated" if calibrated else "too sure"

    def world(seed: int) -> World:
        found = measure_reliability(*draw(seed, 300), config=BootstrapConfig(seed=seed))
        return {
            f"{name}, {kind}": held(
                getattr(found, name).low, getattr(whole, name).value, getattr(found, name).high
            )
            for name in ("accuracy", "log_loss", "calibration_error_debiased")
        }

    return world


def replay(_: int = 0) -> Callable[[int], World]:
    """Figures of a stopping rule: the same annotators on new items, of which there are as many."""
    skills = np.random.default_rng(0).beta(6, 2.5, 20)

    def figures(seed: int, n_parts: int) -> Any:
        rng = np.random.default_rng(seed)
        n_items = 400
        truth = rng.integers(0, 2, n_items)
        who = np.argsort(rng.random((n_items, len(skills))), axis=1)[:, :5].ravel()
        items = np.repeat(np.arange(n_items), 5)
        is_right = rng.random(len(items)) < skills[who]
        values = np.where(is_right, truth[items], 1 - truth[items])
        table = tabulate_labels(LabelColumns(items=items, annotators=who, values=values), classes=range(2))
        settings = ReplayConfig(epsilons=(0.1,), n_orders=2, n_parts=n_parts)
        return replay_curve(table, dict(enumerate(truth.tolist())), settings, seed=seed).points[0]

    names = ("labels_per_item", "accuracy", "majority_accuracy", "accepted_share", "error_of_accepted")
    many = [figures(10**6 + k, 0) for k in range(300)]
    truth = {name: float(np.mean([getattr(one, name).value for one in many])) for name in names}

    def world(seed: int) -> World:
        point = figures(seed, 20)
        return {
            f"replay: {name}": held(getattr(point, name).low, truth[name], getattr(point, name).high)
            for name in names
        }

    return world


def draw_pairs(
    rng: np.random.Generator, n_items: int, n_rows: int, n_annotators: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    left = rng.integers(0, n_items, n_rows)
    right = (left + rng.integers(1, n_items, n_rows)) % n_items
    return left, right, rng.integers(0, n_annotators, n_rows)


def bradley_terry(seed: int) -> World:
    """Sandwich, bootstrap and clustered intervals of scores."""
    rng = np.random.default_rng(seed)
    truth = np.array([1.0, 0.5, 0.2, -0.2, -0.5, -1.0])
    hits: World = {}
    for name, pull, config in (
        ("sandwich", 0.0, BradleyTerryConfig()),
        ("bootstrap", 0.0, BradleyTerryConfig(intervals="bootstrap", seed=seed)),
        ("by annotator, 50 of them", 0.7, BradleyTerryConfig(cluster_by_annotator=True)),
    ):
        left, right, judge = draw_pairs(rng, 6, 1000 if pull else 300, 50)
        own = truth + pull * rng.normal(size=(50, 6)) if pull else np.tile(truth, (50, 1))
        if pull:
            own = np.where(True, np.zeros(6) + pull * rng.normal(size=(50, 6)), own)
        right_wins = rng.random(len(left)) >= expit(own[judge, left] - own[judge, right])
        fit = fit_bradley_terry(tabulate_pairs(left, right, right_wins.astype(int), judge), config)
        hits[f"Bradley-Terry, {name}"] = held(fit.low, np.zeros(6) if pull else truth, fit.high)
    return hits


def ties(seed: int) -> World:
    """Scores and tie parameters of both forms."""
    rng = np.random.default_rng(seed)
    truth, parameter = np.array([0.9, 0.3, -0.2, -1.0]), 0.6
    hits: World = {}
    for form in ("threshold", "davidson"):
        left, right, _ = draw_pairs(rng, 4, 300, 1)
        margin = truth[left] - truth[right]
        if form == "threshold":
            p_left, p_right = expit(margin - parameter), expit(-margin - parameter)
        else:
            total = np.exp(margin / 2) + np.exp(-margin / 2) + parameter
            p_left, p_right = np.exp(margin / 2) / total, np.exp(-margin / 2) / total
        chance = rng.random(len(left))
        outcome = np.where(chance < p_left, 0, np.where(chance < p_left + p_right, 1, 2))
        fit = fit_ties(tabulate_pairs(left, right, outcome), TiesConfig(form=form))
        hits[f"ties, {form}: scores"] = held(fit.scores.low, truth, fit.scores.high)
        hits[f"ties, {form}: tie parameter"] = held(fit.tie_low, parameter, fit.tie_high)
    return hits


def plackett_luce(seed: int) -> World:
    """Scores from rankings of five with ties of two."""
    rng = np.random.default_rng(seed)
    truth, tie_weight = np.array([1.0, 0.4, 0.0, -0.4, -1.0]), 0.5
    ranks = []
    for _ in range(80):
        left, ranking, rank = list(range(5)), np.zeros(5, dtype=int), 1
        while left:
            groups = [(k,) for k in left] + list(itertools.combinations(left, 2))
            strength = np.array([np.exp(truth[list(group)].mean()) for group in groups])
            strength[len(left) :] *= tie_weight
            chosen = groups[rng.choice(len(groups), p=strength / strength.sum())]
            ranking[list(chosen)] = rank
            rank += len(chosen)
            left = [k for k in left if k not in chosen]
        ranks.append(ranking.tolist())
    fit = fit_plackett_luce(tabulate_rankings([range(5)] * len(ranks), ranks))
    return {"Plackett-Luce: scores": held(fit.low, truth, fit.high)}


def mixtures(seed: int) -> World:
    """CrowdBT and NoisyBT, all parameters drawn from their priors."""
    rng = np.random.default_rng(seed)
    n_annotators, n_items = 12, 8
    scores = rng.normal(0, 3.0, n_items)
    left, right, judge = draw_pairs(rng, n_items, 1200, n_annotators)
    better = expit(scores[left] - scores[right])
    centered = scores - scores.mean()

    def answer(p_left: FloatArray) -> ScoredPairs:
        return tabulate_pairs(left, right, (rng.random(len(left)) >= p_left).astype(int), judge)

    follows = expit(rng.normal(2.0, 1.5, n_annotators))
    pairs = answer(follows[judge] * better + (1 - follows[judge]) * (1 - better))
    crowd = fit_crowd_bradley_terry(pairs)
    at = [list(pairs.annotators).index(k) for k in range(n_annotators)]
    skill, bias = rng.normal(1.5, 1.5, n_annotators), rng.normal(0, 1.5, n_annotators)
    compares = expit(skill[judge])
    noisy = fit_noisy_bradley_terry(answer(compares * better + (1 - compares) * expit(bias[judge])))
    assert crowd.reliability_low is not None
    assert crowd.reliability_high is not None
    return {
        "CrowdBT: reliability": held(crowd.reliability_low[at], follows, crowd.reliability_high[at]),
        "CrowdBT: scores": held(crowd.scores.low, centered, crowd.scores.high),
        "NoisyBT: scores": held(noisy.scores.low, centered, noisy.scores.high),
    }


def annotator_aware(seed: int) -> World:
    """The flagship: gains, habits, thresholds and scores at spreads that are estimated.

    Simulated habits sum to 0; those of people drawn from a crowd would have a mean of their own.
    """
    own_mean = np.random.default_rng(seed).normal(0, 0.4 / np.sqrt(20))
    config = ComparisonConfig(
        n_items=24,
        n_annotators=20,
        n_pairs=250,
        judgments_per_pair=4,
        gain_spread=0.3,
        tie_threshold=0.5,
        tie_spread=0.4,
        position_effect=0.2 + own_mean,
        position_spread=0.4,
    )
    crowd = simulate_comparisons(config, seed)
    pairs = tabulate_pairs(crowd.left, crowd.right, crowd.answer, crowd.annotator_index)
    fit = fit_annotator_aware(pairs)
    scale = crowd.gains[pairs.annotator].mean()
    truth = {
        "gain": crowd.gains / scale,
        "left_habit": crowd.positions,
        "tie_threshold": crowd.tie_thresholds,
    }
    hits = {"annotator-aware: scores": held(fit.scores_low, crowd.scores * scale, fit.scores_high)}
    for name, known in truth.items():
        found = [getattr(one, name) for one in fit.annotators]
        hits[f"annotator-aware: {name}"] = held(
            [one.low for one in found], known, [one.high for one in found]
        )
    effect = fit.position_effect
    hits["annotator-aware: crowd's side"] = held(effect.low, 0.2, effect.high)
    return hits


def biases(seed: int) -> World:
    """Position and length effects, at large and by annotator."""
    rng = np.random.default_rng(seed)
    pair = np.repeat(np.arange(150), 4)
    longer = rng.normal(size=150)[pair]
    latent = 0.3 + 0.5 * longer + rng.logistic(size=len(pair))
    answer = np.where(latent > 0.5, LEFT, np.where(latent < -0.5, RIGHT, TIE))
    fit = fit_effects(answer, {"length": longer}, clusters=pair)
    habits = 0.2 + 0.7 * rng.normal(size=40)
    who = np.repeat(np.arange(40), 40)
    latent = habits[who] + rng.logistic(size=len(who))
    answer = np.where(latent > 0.5, LEFT, np.where(latent < -0.5, RIGHT, TIE))
    varying = fit_varying_effect(
        fit_effects(answer, {}, clusters=range(len(who))), "position", [f"w{k:03}" for k in who]
    )
    return {
        "bias: position": held(fit["position"].low, 0.3, fit["position"].high),
        "bias: length": held(fit["length"].low, 0.5, fit["length"].high),
        "bias: one annotator's side": held(
            [one.low for one in varying.groups], habits, [one.high for one in varying.groups]
        ),
    }


def groups(seed: int) -> World:
    """Means of groups of raters, and exclusion rates."""
    rng = np.random.default_rng(seed)
    sizes = (4, 5, 6, 5)
    group = np.repeat(np.arange(4), sizes)
    cells = 0.5 * rng.normal(size=(60, 1)) + 0.5 * rng.normal(size=len(group))
    cells = cells + rng.normal(size=cells.shape)
    items, annotators = np.nonzero(rng.random(cells.shape) < 0.6)
    table = tabulate_labels(LabelColumns(items=items, annotators=annotators, values=cells[items, annotators]))
    rows = measure_group_means(table, dict(enumerate("abcd"[at] for at in group))).groups
    rate = rng.uniform(0.05, 0.5)
    excluded = (rng.random(60) < rate).tolist()
    (share,) = compare_exclusion(["a"] * 60, excluded)
    return {
        "group mean": held([row.low for row in rows], 0.0, [row.high for row in rows]),
        "group difference": held(
            [row.difference_low for row in rows], 0.0, [row.difference_high for row in rows]
        ),
        "exclusion rate": held(share.low, rate, share.high),
    }


def group_agreement(_: int = 0) -> Callable[[int], World]:
    """Agreement within a group with a taste of its own, across groups, and their ratio; items drawn anew."""
    groups = (0, 1, 0, 1, 0, 1, 0, 1, 0)
    names = {j: "ab"[group] for j, group in enumerate(groups)}
    skills = np.linspace(0.5, 0.9, 9)

    def measured(seed: int, n_items: int, replicates: int) -> Any:
        rng = np.random.default_rng(seed)
        own = np.where(
            rng.random((n_items, 2)) < 0.3, rng.integers(0, 3, (n_items, 2)), rng.integers(0, 3, (n_items, 1))
        )[:, list(groups)]
        label = np.where(rng.random(own.shape) < skills, own, rng.integers(0, 3, own.shape))
        items, annotators = np.indices(label.shape)
        columns = LabelColumns(items=items.ravel(), annotators=annotators.ravel(), values=label.ravel())
        return compare_groups(
            tabulate_labels(columns, classes=range(3)),
            names,
            config=BootstrapConfig(replicates=replicates, seed=seed),
            permutation=PermutationConfig(permutations=1),
        )[0]

    parts = ("in_group", "cross_group", "ratio")
    whole = measured(10**6, 40_000, 0)
    truth = {part: getattr(whole, part).value for part in parts}

    def world(seed: int) -> World:
        found = measured(seed, 100, 1000)
        return {
            f"groups: {part}": held(getattr(found, part).low, truth[part], getattr(found, part).high)
            for part in parts
        }

    return world


def fatigue(seed: int) -> World:
    """Slope within sessions, of all and of single annotators."""
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(36), 20)
    person, minutes = session // 3, np.tile(np.arange(20) * 3.0, 36)
    own = rng.normal(-0.2, 0.3, 12)
    level = rng.normal(0, 1, 12)[person] + rng.normal(0, 0.5, 36)[session]
    outcome = level + own[person] * minutes / 60 + rng.normal(0, 1, len(session))
    found = fit_fatigue(outcome, minutes, annotators=person, sessions=session)
    return {
        "fatigue: all": held(found.per_hour.low, -0.2, found.per_hour.high),
        "fatigue: one annotator": held(
            [one.low for one in found.per_annotator], own, [one.high for one in found.per_annotator]
        ),
    }


STUDIES: dict[str, Callable[[], Callable[[int], World]]] = {
    "agreement-100-items": lambda: agreement(100, 1),
    "agreement-60-clusters": lambda: agreement(300, 5),
    "ceiling": lambda: ceiling(200, 1.0, 1.5),
    "ceiling-three-classes": lambda: ceiling(100, 0.5, 1.2, 0.3),
    "ceiling-clear-items": lambda: ceiling(60, 0.3, 0.3),
    "ceiling-50-items": lambda: ceiling(50, 1.0, 1.5),
    "repeats": lambda: repeats,
    "people-3": lambda: people(3),
    "people-6": lambda: people(6),
    "probabilities-calibrated": lambda: probabilities(True),
    "probabilities-too-sure": lambda: probabilities(False),
    "replay": replay,
    "bradley-terry": lambda: bradley_terry,
    "ties": lambda: ties,
    "plackett-luce": lambda: plackett_luce,
    "mixtures": lambda: mixtures,
    "annotator-aware": lambda: annotator_aware,
    "biases": lambda: biases,
    "groups": lambda: groups,
    "group-agreement": group_agreement,
    "fatigue": lambda: fatigue,
}


def measure(names: list[str], seeds: range) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each interval: share that held, standard error over worlds, number of intervals."""
    for study in names:
        world, shares, counts = STUDIES[study](), {}, {}
        for seed in seeds:
            for name, hits in world(seed).items():
                shares.setdefault(name, []).append(np.mean(hits))
                counts[name] = counts.get(name, 0) + len(hits)
        for name, found in shares.items():
            error = float(np.std(found, ddof=1) / np.sqrt(len(found)))
            mean = float(np.mean(found))
            yield (
                f"{study}: {name}",
                {"coverage": round(mean, 4), "standard_error": round(error, 4), "intervals": counts[name]},
            )


def main() -> None:
    """Run the studies asked for and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--worlds", type=int, default=400, help="drawn for each study")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--only", nargs="*", choices=list(STUDIES), default=list(STUDIES))
    args = parser.parse_args()
    found = dict(measure(args.only, range(args.first, args.first + args.worlds)))
    outside = [
        name
        for name, one in found.items()
        if not 0.94 - 2 * one["standard_error"] <= one["coverage"] <= 0.96 + 2 * one["standard_error"]
    ]
    print(json.dumps({"worlds": args.worlds, "nominal": found, "outside": outside}))


if __name__ == "__main__":
    main()
