"""Scenarios of `coverage.py` about reward models, optimization, KL, drift, texts, and looking repeatedly.

Where a truth has no closed form it is the statistic of a very large draw of the same world, made once.
Leaves out the measuring and the command line, which are in `coverage.py`.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from accord.domain.messages import Completion, Message
from accord.evaluation.best_of_n import measure_best_of_n
from accord.evaluation.calibration import measure_calibration, predicted_winner
from accord.evaluation.ceiling import VoteCounts, best_single_accuracy, measure_ceiling
from accord.evaluation.comparison.columns import difference_measurement
from accord.evaluation.comparison.comparing import TokenLogprobs, measure_kl
from accord.evaluation.crossed import crossed_estimate
from accord.evaluation.drift.diagnosis import AnchorVotes, measure_preference_drift
from accord.evaluation.drift.measurements import measure_drift
from accord.evaluation.drift.rows import DriftRows
from accord.evaluation.ensemble import measure_ensemble, weighted_auroc
from accord.evaluation.gates.history import Series
from accord.evaluation.group_sequential import LookPlan, plan_looks
from accord.evaluation.intervals import Estimate, wilson
from accord.evaluation.invariance import measure_invariance
from accord.evaluation.label_free import estimate_accuracy, fit_label_free
from accord.evaluation.length_control import control_length
from accord.evaluation.majority_erasure import measure_erasure
from accord.evaluation.overoptimization import Checkpoint, measure_overoptimization, within_prompt_correlation
from accord.evaluation.prediction_powered import rogan_gladen
from accord.evaluation.redteam.findings import Finding
from accord.evaluation.redteam.rates import compare_techniques
from accord.evaluation.repetition import compare_repetition
from accord.evaluation.reward_accuracy import measure_reward_accuracy
from accord.evaluation.reward_frontier import measure_gap, measure_length_adjusted_gain
from accord.evaluation.reward_length import measure_length_bias
from accord.evaluation.reward_ranking import (
    RankedAnswers,
    RankedLists,
    best_of_k,
    kendall_tau_b,
    measure_rankings,
)
from accord.evaluation.self_bleu import measure_self_bleu
from accord.evaluation.sequential import confidence_sequence

Held = tuple[list[bool], list[bool]]
"""Whether each interval held the truth, and whether each of the control did (empty where there is none)."""
LARGE = 400_000
"""Prompts behind a truth without a closed form."""
SHARPNESS = 0.6
"""Log-odds of the label a unit of margin: the simulated reward model is too sure of itself."""


def holds(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


# --- preferences -----------------------------------------------------------------------------------


def length_controlled(generator: np.random.Generator, seed: int) -> Held:
    """300 prompts, answers longer than the baseline's by a fifth, judge who likes length."""
    baseline = generator.lognormal(6.0, 0.4, 300)
    model = generator.lognormal(6.2, 0.4, 300)
    gap = baseline - model
    # sd of the difference of two lognormals, as the fit standardizes it
    spread = math.sqrt(sum((math.exp(0.16) - 1) * math.exp(2 * mean + 0.16) for mean in (6.0, 6.2)))
    label = generator.random(300) < expit(-0.8 * np.tanh(gap / spread) + 0.3)
    found = control_length(label.astype(float), baseline, model, resamples=500, seed=seed).controlled
    return [holds(found, 100 * float(expit(0.3)))], []


def prompts_and_annotators(generator: np.random.Generator, seed: int) -> Held:
    """60 prompts by 12 annotators, both with a part of their own: pigeonhole bootstrap."""
    rows = generator.normal(0, 0.6, 60)[:, None] + generator.normal(0, 0.5, 12) + 0.2
    rows = (rows + generator.normal(0, 1.0, (60, 12))).ravel()
    prompts, people = np.repeat(np.arange(60), 12).tolist(), np.tile(np.arange(12), 60).tolist()
    found = crossed_estimate(
        lambda weights: float(weights @ rows / weights.sum()), prompts, people, resamples=500, seed=seed
    )
    return [holds(found, 0.2)], []


def votes_at_all_times(generator: np.random.Generator, seed: int) -> Held:
    """400 votes looked at after each: the confidence sequence at all times together, at least 95 %."""
    bounds = confidence_sequence(generator.random(400) < 0.55, grid=401)
    return [bool(((bounds[:, 0] <= 0.55) & (bounds[:, 1] >= 0.55)).all())], []


@cache
def five_looks() -> LookPlan:
    return plan_looks([0.2, 0.4, 0.6, 0.8, 1.0], spending="pocock")


def looks_together(generator: np.random.Generator, seed: int) -> Held:
    """Win rate of 500 votes looked at five times: the repeated intervals of all looks together."""
    plan = five_looks()
    votes = generator.random(500) < 0.55
    is_held, is_held_plain = True, True
    for look in range(5):
        seen = votes[: 100 * (look + 1)]
        share = float(seen.mean())
        error = math.sqrt(share * (1 - share) / len(seen))
        low, high = plan.interval(look, share, error)
        is_held &= bool(low <= 0.55 <= high)
        is_held_plain &= bool(abs(share - 0.55) <= 1.96 * error)
    return [is_held], [is_held_plain]


def judge_errors_known(generator: np.random.Generator, seed: int) -> Held:
    """1,000 judged rows, of 200 people's labels: the judge's share corrected by Rogan and Gladen."""
    found = rogan_gladen(
        positive=int(generator.binomial(1000, 0.4 * 0.85 + 0.6 * 0.1)),
        judged=1000,
        true_positive=int(generator.binomial(80, 0.85)),
        really_positive=80,
        true_negative=int(generator.binomial(120, 0.9)),
        really_negative=120,
    )
    return [holds(found, 0.4)], []


def change_between_releases(generator: np.random.Generator, seed: int) -> Held:
    """Refusals of two releases on 200 prompts each: half-widths of two Wilson intervals joined."""
    values = [wilson(int(generator.binomial(200, share)), 200) for share in (0.85, 0.9)]
    series = Series(
        id="g",
        metric="m",
        slice="all",
        is_level=True,
        is_higher_better=True,
        threshold=None,
        releases=("1", "2"),
        verdicts=("pass", "pass"),
        values=tuple(values),
    )
    assert series.change is not None
    return [holds(series.change, 0.05)], []


# --- reward models ---------------------------------------------------------------------------------


def draw_pairs(generator: np.random.Generator, prompts: int) -> tuple[np.ndarray, ...]:
    """Margin, label, length difference (of about 100 words) and prompt of two pairs a prompt.

    The reward likes length and the labels do not, beyond what it shares with the margin.
    """
    easy = np.repeat(generator.gamma(2.0, 0.5, prompts), 2)
    length = generator.normal(0, 40.0, 2 * prompts)
    margin = easy * generator.normal(0.8, 1.5, 2 * prompts) + 0.01 * length
    label = (generator.random(2 * prompts) < expit(SHARPNESS * margin - 0.005 * length)).astype(float)
    return margin, label, length, np.repeat(np.arange(prompts), 2)


@cache
def pair_truth() -> dict[str, float]:
    margin, label, length, _ = draw_pairs(np.random.default_rng(1), LARGE)
    hits = 0.5 + 0.5 * np.sign(margin) * np.sign(label - 0.5)
    longer = np.sign(label - 0.5) * length
    confidence, outcome = predicted_winner(margin, label)
    # Means by two hundred equally large bins are close enough to those by any fewer.
    parts = np.array_split(np.argsort(confidence), 200)
    squares = [float((outcome[one].mean() - confidence[one].mean()) ** 2) for one in parts]
    signed = np.where(label > 0, margin, -margin)
    large = measure_length_bias_values(margin, label, length)
    return {
        "accuracy": float(hits.mean()),
        "nll": float(np.logaddexp(0, -signed).mean()),
        "brier": float(((confidence - outcome) ** 2).mean()),
        "ece": math.sqrt(float(np.mean(squares))),
        "gap": float(hits[longer > 0].mean() - hits[longer < 0].mean()),
        "reward_coefficient": large[0],
        "length_coefficient": large[1],
    }


def measure_length_bias_values(margin: np.ndarray, label: np.ndarray, length: np.ndarray) -> list[float]:
    """The two coefficients alone, by Newton's method."""
    design = np.stack([margin, length], axis=1)
    design = design / np.sqrt((design**2).mean(axis=0))
    slopes = np.zeros(2)
    for _ in range(20):
        chance = expit(design @ slopes)
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design
        slopes = slopes - np.linalg.solve(curvature, design.T @ (chance - label))
    return slopes.tolist()


def reward_accuracy(generator: np.random.Generator, seed: int) -> Held:
    """Accuracy and NLL of 150 prompts of two pairs each: BCa by prompt."""
    margin, label, _, prompts = draw_pairs(generator, 150)
    found = measure_reward_accuracy(margin, label, prompts.tolist(), seed=seed)
    truth = pair_truth()
    return [holds(found.accuracy, truth["accuracy"]), holds(found.nll, truth["nll"])], []


def reward_calibration(generator: np.random.Generator, seed: int) -> Held:
    """Debiased calibration error and Brier score of 300 prompts of two pairs, an overconfident model."""
    margin, label, _, prompts = draw_pairs(generator, 300)
    found = measure_calibration(margin, label, prompts.tolist(), seed=seed)
    truth = pair_truth()
    return [holds(found.ece_debiased, truth["ece"]), holds(found.brier.score, truth["brier"])], []


def reward_length_coefficients(generator: np.random.Generator, seed: int) -> Held:
    """What margin and length are worth to the labels, 150 prompts of two pairs."""
    margin, label, length, prompts = draw_pairs(generator, 150)
    chosen = 100 + np.maximum(length, 0)
    found = measure_length_bias(margin, label, chosen, chosen - length, prompts.tolist(), seed=seed)
    truth = pair_truth()
    pairs = (
        ("reward_coefficient", found.reward_coefficient),
        ("length_coefficient", found.length_coefficient),
    )
    return [holds(one, truth[name]) for name, one in pairs], []


def reward_length_correlation(generator: np.random.Generator, seed: int) -> Held:
    """Correlation of .4 between reward and length within 100 prompts of four answers."""
    length = generator.gamma(4.0, 25.0, (100, 4))
    noise = generator.normal(0, 50.0 * math.sqrt(1 / 0.16 - 1), (100, 4))
    rewards = length + noise + generator.normal(0, 100.0, (100, 1))
    prompts = np.repeat(np.arange(100), 4).tolist()
    return [holds(within_prompt_correlation(rewards.ravel(), length.ravel(), prompts, seed=seed), 0.4)], []


def reward_ceiling(generator: np.random.Generator, seed: int) -> Held:
    """150 pairs of five votes, shares of Beta(1, 1): the best accuracy against one vote."""
    left = generator.binomial(5, generator.beta(1.0, 1.0, 150))
    votes = [VoteCounts(left=int(one), right=5 - int(one), prompt_id=i) for i, one in enumerate(left)]
    return [holds(measure_ceiling(votes, seed=seed).best_single, best_single_accuracy(1.0))], []


def draw_members(generator: np.random.Generator, prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """Margins [member, pair] of five members who disagree more where they are wrong; prompts of two pairs."""
    doubt = np.repeat(generator.gamma(2.0, 0.5, prompts), 2)
    common = generator.normal(0.9, 1.0, 2 * prompts) * np.exp(-0.5 * doubt)
    shared = common + 0.4 * doubt * generator.normal(size=2 * prompts)
    return shared + 0.5 * doubt * generator.normal(size=(5, 2 * prompts)), np.repeat(np.arange(prompts), 2)


@cache
def member_truth() -> tuple[float, float]:
    margins, _ = draw_members(np.random.default_rng(2), LARGE // 4)
    errors = 0.5 - 0.5 * np.sign(margins.mean(axis=0))
    variance = margins.var(axis=0, ddof=1)
    return weighted_auroc(variance, errors), weighted_auroc(-np.abs(margins.mean(axis=0)), errors)


def ensemble_auroc(generator: np.random.Generator, seed: int) -> Held:
    """Whether variance and margin of five members tell errors: AUROC over 150 prompts of two pairs."""
    margins, prompts = draw_members(generator, 150)
    found = measure_ensemble(margins, np.ones(300), prompts.tolist(), seed=seed)
    return [
        holds(one, value)
        for one, value in zip((found.variance_auroc, found.margin_auroc), member_truth(), strict=True)
    ], []


def reward_shift(generator: np.random.Generator, seed: int) -> Held:
    """Size of the reward's move when 100 answers are changed, most a little and some much."""
    moved = generator.normal(0, np.where(generator.random(100) < 0.1, 1.5, 0.2))
    found = measure_invariance(np.zeros(100), moved, ["name"] * 100, deviation=1.0, seed=seed)[0]
    return [holds(found.size, math.sqrt(2 / math.pi) * (0.1 * 1.5 + 0.9 * 0.2))], []


def label_free(generator: np.random.Generator, seed: int) -> Held:
    """Accuracy promised on 300 pairs without labels by margins calibrated on 300 others; its bias is 0."""
    old, new = generator.normal(0, 2.0, 300), generator.normal(0, 2.0, 300)
    label = (generator.random(300) < expit(old)).astype(float)
    reference = fit_label_free(old, label, seed=seed)
    truth = 2 * quad(lambda m: expit(m) * norm.pdf(m, scale=2.0), 0, 40)[0]
    found = estimate_accuracy(new, reference, seed=seed)
    return [holds(found.accuracy, truth), holds(reference.bias_interval, 0.0)], []


# --- optimization ----------------------------------------------------------------------------------


def draw_tokens(generator: np.random.Generator, answers: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token log-probs under N(mean, 1) and N(0, 1) of samples of the first, mean and length by answer."""
    means, sizes = generator.gamma(2.0, 0.15, answers), generator.integers(20, 49, answers)
    own, other = [], []
    for mean, size in zip(means, sizes, strict=True):
        x = generator.normal(mean, 1.0, size)
        own.append(-0.5 * (x - mean) ** 2)
        other.append(-0.5 * x**2)
    return own, other


@cache
def tail_truth() -> float:
    generator = np.random.default_rng(3)
    means, sizes = generator.gamma(2.0, 0.15, 4 * LARGE), generator.integers(20, 49, 4 * LARGE)
    total = means**2 / 2 * sizes + means * np.sqrt(sizes) * generator.normal(size=4 * LARGE)
    return float(np.quantile(total, 0.99))


def divergence(answers: int) -> Callable[[np.random.Generator, int], Held]:
    """KL of answers of 20 to 48 tokens: k1 and k3 an answer, k1 a token."""
    # E mean^2 / 2 of Gamma(2, .15) is .0675 a token, 34 tokens an answer; k3 a token has the same mean
    truth = {"kl_divergence": 0.0675 * 34, "kl_divergence_k3": 0.0675 * 34}
    truth["kl_divergence_per_token"] = 0.0675

    def draw(generator: np.random.Generator, seed: int) -> Held:
        own, other = draw_tokens(generator, answers)
        logprobs = TokenLogprobs(candidate=own, incumbent=other)
        measured, _ = measure_kl(logprobs, [str(i) for i in range(answers)], seed=seed, facts={})
        found = {one.metric: one.estimate for one in measured if one.slice == "all"}
        return [holds(found[name], value) for name, value in truth.items()], []

    return draw


def divergence_tail(answers: int) -> Callable[[np.random.Generator, int], Held]:
    """The 99th percentile of k1 over answers."""

    def draw(generator: np.random.Generator, seed: int) -> Held:
        own, other = draw_tokens(generator, answers)
        logprobs = TokenLogprobs(candidate=own, incumbent=other)
        measured, _ = measure_kl(logprobs, [str(i) for i in range(answers)], seed=seed, facts={})
        found = next(one.estimate for one in measured if one.slice == "99th_percentile")
        return [holds(found, tail_truth())], []

    return draw


@cache
def largest_of_normals(n: int) -> float:
    return quad(lambda x: x * n * norm.pdf(x) * norm.cdf(x) ** (n - 1), -10, 10)[0]


def best_of_n_gain(generator: np.random.Generator, seed: int) -> Held:
    """Gold gain of the best of 4 and of 16 by a proxy of correlation .6, 80 prompts of 64 samples."""
    proxy = generator.normal(size=(80, 64))
    scale = generator.gamma(4.0, 0.25, (80, 1))
    gold = generator.normal(0, 1.0, (80, 1)) + scale * (0.6 * proxy + 0.8 * generator.normal(size=(80, 64)))
    found = measure_best_of_n(list(proxy), list(gold), [4, 16], seed=seed)
    return [holds(point.gold_gain, 0.6 * largest_of_normals(point.n)) for point in found], []


def gap_of_a_run(generator: np.random.Generator, seed: int) -> Held:
    """80 prompts of two answers, proxy up by 1 and gold by .2 deviations: gap and both gains."""
    part = np.repeat(generator.normal(0, 0.6, 80), 2)
    start = [part + 0.8 * generator.normal(size=160) for _ in range(2)]
    later = [part + 0.8 * generator.normal(size=160) + gain for gain in (1.0, 0.2)]
    prompts = np.repeat(np.arange(80), 2).tolist()
    found = measure_gap(start[0], start[1], later[0], later[1], prompts, seed=seed)
    pairs = ((found.gap, 0.8), (found.proxy_gain, 1.0), (found.gold_gain, 0.2))
    return [holds(one, value) for one, value in pairs], []


def fall_of_gold(generator: np.random.Generator, seed: int) -> Held:
    """Gold of six checkpoints on 100 prompts that peaks at the third; its fall, and 0 on a flat run."""
    held = []
    for level in ([0.0, 0.5, 1.2, 0.7, 0.3, 0.1], [0.0] * 6):
        part = generator.normal(0, 1.0, 100)
        rows = [part + one + generator.gamma(1.0, 1.0, 100) for one in level]
        points = [
            Checkpoint(step=i, kl=float(i), proxy=(row + i).tolist(), gold=row.tolist())
            for i, row in enumerate(rows)
        ]
        found = measure_overoptimization(points, [str(i) for i in range(100)], seed=seed)
        held.append(holds(found.gold_after_peak, level[-1] - max(level)))
    return held, []


def draw_lengths(generator: np.random.Generator, prompts: int) -> tuple[np.ndarray, ...]:
    """Rewards and lengths of the start and of answers longer by a fourth; a reward of length and a gain."""
    part = generator.normal(0, 1.0, prompts)
    lengths = [generator.gamma(6.0, scale, prompts) for scale in (20.0, 25.0)]
    rewards = [
        part + 0.02 * one + gain + generator.normal(0, 0.5, prompts)
        for one, gain in zip(lengths, (0.0, 0.4), strict=True)
    ]
    return rewards[0], lengths[0], rewards[1], lengths[1]


@cache
def length_truth() -> tuple[float, float, float]:
    """Gain in all, within ten equal buckets of the start's lengths, and their ratio."""
    old, old_length, new, new_length = draw_lengths(np.random.default_rng(4), LARGE)
    edges = np.quantile(old_length, np.arange(1, 10) / 10)
    codes = [np.searchsorted(edges, one, "right") for one in (old_length, new_length)]
    parts = [[row[code == k].mean() for k in range(10)] for row, code in zip((old, new), codes, strict=True)]
    within = float(np.mean(np.array(parts[1]) - parts[0]))
    total = float(new.mean() - old.mean())
    return total, within, within / total


def gain_beyond_length(generator: np.random.Generator, seed: int) -> Held:
    """Gain in all, within lengths, and the share of it, 200 prompts."""
    old, old_length, new, new_length = draw_lengths(generator, 200)
    ids = list(range(200))
    found = measure_length_adjusted_gain(
        old, old_length, new, new_length, start_prompt_ids=ids, prompt_ids=ids, seed=seed
    )
    estimates = (found.total, found.within_length, found.ratio)
    return [holds(one, value) for one, value in zip(estimates, length_truth(), strict=True)], []


# --- texts, drift and labels -----------------------------------------------------------------------


def difference_of_columns(generator: np.random.Generator, seed: int) -> Held:
    """100 prompts: cut answers 9 % against 5 %, and repetition that most answers do not have."""
    kind = generator.choice(3, 100, p=[0.09, 0.05, 0.86])
    cut = (kind == 0).astype(float), (kind == 1).astype(float)
    repeats = [
        np.where(generator.random(100) < share, generator.beta(2.0, 3.0, 100), 0.0) for share in (0.3, 0.2)
    ]
    ids, held = list(range(100)), []
    for (first, second), truth in ((cut, 0.04), (repeats, 0.04)):
        found = difference_measurement("m", first, second, ids, is_share=True, seed=seed, facts={})
        held.append(holds(found.estimate, truth))
    return held, []


def common_opening(generator: np.random.Generator, seed: int) -> Held:
    """200 answers a side, of twenty openings alike: the commonest one's share has not changed."""
    sides = [
        [Completion(text=f"opening {k} of the answer and more") for k in generator.integers(0, 20, 200)]
        for _ in range(2)
    ]
    found = compare_repetition(sides[0], sides[1], [str(i) for i in range(200)], seed=seed)
    return [holds(found.opening, 0.0)], []


def preference_change(generator: np.random.Generator, seed: int) -> Held:
    """60 anchors of five votes then and now of unchanged people: the change is 0."""
    chance = generator.beta(2.0, 2.0, 60)
    old, new = generator.binomial(5, chance), generator.binomial(5, chance)
    anchors = [
        AnchorVotes(
            pair=str(i),
            old_left=int(old[i]),
            old_right=5 - int(old[i]),
            new_left=int(new[i]),
            new_right=5 - int(new[i]),
        )
        for i in range(60)
    ]
    return [holds(measure_preference_drift(anchors, permutations=500, seed=seed).change, 0.0)], []


# --- rankings, groups, answers beside each other ---------------------------------------------------


def draw_ranked(generator: np.random.Generator, count: int) -> tuple[RankedAnswers, ...]:
    """Four answers a list; people's ranks from what they are worth, rewards from that and noise."""
    worth = generator.normal(size=(count, 4))
    ranks = (-worth).argsort(axis=1).argsort(axis=1) + 1.0
    rewards = worth + generator.normal(0, 1.2, (count, 4))
    rows = zip(rewards.tolist(), ranks.tolist(), strict=True)
    return tuple(
        RankedAnswers(prompt_id=str(i), rewards=tuple(a), ranks=tuple(b)) for i, (a, b) in enumerate(rows)
    )


@cache
def ranking_truth() -> tuple[float, float]:
    rows = draw_ranked(np.random.default_rng(0), LARGE // 8)
    best = float(np.mean([best_of_k(row.rewards, row.ranks) for row in rows]))
    return best, float(np.mean([kendall_tau_b(row.rewards, [-rank for rank in row.ranks]) for row in rows]))


def rankings(generator: np.random.Generator, seed: int) -> Held:
    """150 lists of four answers: best-of-k accuracy and the mean tau-b."""
    measured, _ = measure_rankings(RankedLists(rows=draw_ranked(generator, 150)), seed=seed)
    return [holds(one.estimate, truth) for one, truth in zip(measured, ranking_truth(), strict=True)], []


def erasure_beyond_chance(generator: np.random.Generator, seed: int) -> Held:
    """80 items, two groups of six votes each by chance: nobody is erased beyond it."""
    left = generator.binomial(12, generator.beta(2.0, 2.0, 80))
    own = generator.hypergeometric(left, 12 - left, 6)
    votes = [
        pair
        for n, k in zip(left.tolist(), own.tolist(), strict=True)
        for pair in ((k, 6 - k), (n - k, 6 - n + k))
    ]
    found = measure_erasure([i for i in range(80) for _ in range(2)], ["a", "b"] * 80, votes, seed=seed)
    return [holds(one.excess, 0.0) for one in found.groups], []


def likeness_of_answers(generator: np.random.Generator, seed: int) -> Held:
    """100 prompts, answers of both sides drawn alike: self-BLEU differs by 0, references held fixed."""
    ids = list(range(100))
    sides = [
        measure_self_bleu(
            [[str(word) for word in row] for row in generator.integers(0, 12, (100, 15))], ids, seed=seed
        )
        for _ in range(2)
    ]
    found = difference_measurement("m", sides[0], sides[1], ids, is_share=True, seed=seed, facts={})
    return [holds(found.estimate, 0.0)], []


def attack_that_gained_most(generator: np.random.Generator, seed: int) -> Held:
    """Three attacks on 150 behaviors, each succeeds 4 points more often than before: the largest gain."""
    findings = [
        Finding(
            behavior=str(i),
            technique=technique,
            messages=(Message("user", "x"),),
            answer="y",
            model=model,
            judged=float(generator.random() < share),
        )
        for technique in ("one", "two", "three")
        for model, share in (("new", 0.24), ("old", 0.2))
        for i in range(150)
    ]
    found = {
        (one.slice, one.versus): one.estimate for one in compare_techniques(findings, "new", "old", seed=seed)
    }
    return [holds(found["worst_technique", "incumbent"], 0.04)], []


def change_of_surprise(generator: np.random.Generator, seed: int) -> Held:
    """80 prompts then and 60 now, skewed, a fifth of a nat more surprising now."""
    old, new = generator.gamma(9.0, 0.3, 80), generator.gamma(9.0, 0.3, 60) + 0.2
    sides = [
        DriftRows(prompt_ids=tuple(f"{name} {i}" for i in range(len(rows))), prompt_nll=tuple(rows.tolist()))
        for name, rows in (("old", old), ("new", new))
    ]
    found = measure_drift(sides[0], sides[1], seed=seed).measurements
    change = next(one.estimate for one in found if (one.metric, one.versus) == ("prompt_nll", "incumbent"))
    return [holds(change, 0.2)], []


SCENARIOS: dict[str, Callable[[np.random.Generator, int], Held]] = {
    "length_controlled": length_controlled,
    "prompts_and_annotators": prompts_and_annotators,
    "votes_at_all_times": votes_at_all_times,
    "looks_together": looks_together,
    "judge_errors_known": judge_errors_known,
    "change_between_releases": change_between_releases,
    "reward_accuracy": reward_accuracy,
    "reward_calibration": reward_calibration,
    "reward_length_coefficients": reward_length_coefficients,
    "reward_length_correlation": reward_length_correlation,
    "reward_ceiling": reward_ceiling,
    "ensemble_auroc": ensemble_auroc,
    "reward_shift": reward_shift,
    "label_free": label_free,
    "divergence": divergence(100),
    "divergence_tail": divergence_tail(400),
    "best_of_n_gain": best_of_n_gain,
    "gap_of_a_run": gap_of_a_run,
    "fall_of_gold": fall_of_gold,
    "gain_beyond_length": gain_beyond_length,
    "difference_of_columns": difference_of_columns,
    "common_opening": common_opening,
    "preference_change": preference_change,
    "rankings": rankings,
    "erasure_beyond_chance": erasure_beyond_chance,
    "likeness_of_answers": likeness_of_answers,
    "attack_that_gained_most": attack_that_gained_most,
    "change_of_surprise": change_of_surprise,
}
