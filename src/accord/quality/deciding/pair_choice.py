"""Which two items to compare next, and whom to ask: the comparison whose answer tells most.

The posterior of the scores is normal (Laplace), so all that matters of a pair is the mean and the variance of
its margin. Leaves out which side each item stands on, to be drawn by whoever shows them, and ties,
which would tell a little of close pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, log_expit, xlogy

from accord.domain import ConfigError, DataError
from accord.quality.preferences.bradley_terry import BradleyTerryConfig, fit_bradley_terry
from accord.quality.preferences.crowd_bt import CrowdBradleyTerryConfig, crowd_bt_problem
from accord.quality.preferences.fisher_scoring import fit_latent
from accord.quality.preferences.scored_pairs import ScoredPairs

Goal = Literal["scores", "best"]
MARGIN_NODES = 41
"""Points of the sum over a margin: exact to 1e-5 nats up to a standard deviation of 6."""
RELIABILITY_NODES = 15
"""Points of the sum over an annotator's log-odds."""
REACH = 5.5
"""Standard deviations that the points span to either side."""
MARGIN_GRID = np.linspace(-12.0, 12.0, 481)
"""Margins at which what is learned of an annotator is computed; between them it is interpolated."""
TIE_BREAK = 1e-12
"""Nats within which gains are equal."""


@dataclass(frozen=True, kw_only=True)
class PairChoiceConfig:
    """What a comparison is for."""

    goal: Goal = "scores"
    """`scores`: nats about all scores. `best`: nats about which item is the best."""
    score_spread: float = 2.0
    """Standard deviation of the prior of scores around 0."""
    learning_weight: float = 0.2
    """Nats about the goal that a nat about an annotator's reliability is worth."""
    n_draws: int = 400
    """Scores drawn from the posterior, for the goal `best`."""
    diversity: bool = True
    """Whether later pairs of a batch know that the earlier ones are being asked."""

    def __post_init__(self) -> None:
        problems = []
        if self.goal not in ("scores", "best"):
            problems.append(f"goal is {self.goal!r}, expected scores or best")
        if not (np.isfinite(self.score_spread) and self.score_spread > 0):
            problems.append(f"score_spread is {self.score_spread}, expected above 0")
        if not (np.isfinite(self.learning_weight) and self.learning_weight >= 0):
            problems.append(f"learning_weight is {self.learning_weight}, expected 0 or more")
        if self.n_draws < 2:
            problems.append(f"n_draws is {self.n_draws}, expected 2 or more")
        if problems:
            raise ConfigError("PairChoiceConfig", problems)


@dataclass(frozen=True, eq=False)
class ScorePosterior:
    """What is known of the scores: normal, in log-odds."""

    items: tuple[Any, ...]
    mean: NDArray[np.float64]
    """[item]"""
    covariance: NDArray[np.float64]
    """[item, item]"""

    def margins(
        self, first: NDArray[np.intp], second: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation [pair] of the score of `first` less that of `second`."""
        variance = self.covariance.diagonal()[first] + self.covariance.diagonal()[second]
        variance = variance - 2 * self.covariance[first, second]
        return self.mean[first] - self.mean[second], np.sqrt(np.maximum(variance, 0.0))


@dataclass(frozen=True, eq=False)
class Reliabilities:
    """What is known of how often each annotator follows the scores: log-odds of it are normal."""

    annotators: tuple[Any, ...]
    mean: NDArray[np.float64]
    """[annotator] Of the log-odds; 0 is somebody who answers at random."""
    spread: NDArray[np.float64]
    """[annotator] Standard deviation of the log-odds."""


@dataclass(frozen=True)
class PairQuestion:
    """Compare these two."""

    first: Any
    second: Any
    annotator: Any | None
    """Whom to ask; None where no annotators were given."""
    gain: float
    """Nats expected of the answer, given that the batch's earlier questions are answered."""


def score_posterior(
    items: Sequence[Any], pairs: ScoredPairs | None = None, config: PairChoiceConfig | None = None
) -> ScorePosterior:
    """Bradley-Terry scores of `items`, those never compared included; annotators taken as alike.

    The mode under a normal prior and the inverse of the curvature there. Without `pairs` it is the prior.
    """
    config = config or PairChoiceConfig()
    place = _places(items, pairs)
    mean = np.zeros(len(items))
    if pairs is None or not len(pairs):
        return ScorePosterior(tuple(items), mean, np.eye(len(items)) * config.score_spread**2)
    ridge = config.score_spread**-2.0
    fit = fit_bradley_terry(pairs, BradleyTerryConfig(ridge=ridge, intervals="none"))
    assert fit.scores is not None, "with a ridge the mode exists"
    mean[place] = fit.scores
    return _laplace(items, place, pairs, mean, np.ones(len(pairs)), config)


def crowd_score_posterior(
    items: Sequence[Any],
    annotators: Sequence[Any],
    pairs: ScoredPairs | None = None,
    config: PairChoiceConfig | None = None,
    crowd: CrowdBradleyTerryConfig | None = None,
) -> tuple[ScorePosterior, Reliabilities]:
    """Scores of `items` and reliabilities of `annotators` by CrowdBT, those without a comparison included.

    The covariance allows for what is not known of the annotators.
    """
    config = config or PairChoiceConfig()
    crowd = crowd or CrowdBradleyTerryConfig(score_spread=config.score_spread)
    log_odds = np.full(len(annotators), crowd.reliability_mean)
    spread = np.full(len(annotators), crowd.reliability_spread)
    if pairs is None or not len(pairs):
        return score_posterior(items, None, config), Reliabilities(tuple(annotators), log_odds, spread)
    number = {name: k for k, name in enumerate(annotators)}
    strange = [name for name in pairs.annotators if name not in number]
    if strange:
        raise DataError(
            f"annotator {strange[0]!r} has compared but is not in the list of annotators; add him"
        )
    who = np.array([number[name] for name in pairs.annotators])
    problem = crowd_bt_problem(pairs, crowd)
    start = np.tile(problem.local_mean, (problem.n_annotators, 1))
    fit = fit_latent(problem, np.zeros(problem.n_shared), start, crowd.scoring)
    if fit.shared_covariance is None or fit.local_covariance is None:
        raise DataError(
            f"{len(pairs.items)} items are more than a posterior is computed for; choose among fewer"
        )
    log_odds[who] = fit.local[:, 0]
    spread[who] = np.sqrt(fit.local_covariance[:, 0, 0])
    place, mean = _places(items, pairs), np.zeros(len(items))
    mean[place] = fit.shared
    covariance = np.eye(len(items)) * crowd.score_spread**2
    covariance[np.ix_(place, place)] = fit.shared_covariance
    return (
        ScorePosterior(tuple(items), mean, covariance),
        Reliabilities(tuple(annotators), log_odds, spread),
    )


def choose_pairs(
    posterior: ScorePosterior,
    config: PairChoiceConfig | None = None,
    *,
    n: int = 1,
    reliabilities: Reliabilities | None = None,
    candidates: NDArray[np.intp] | None = None,
    is_allowed: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> list[PairQuestion]:
    """The `n` questions that together tell most, one after the other; fewer where no more are allowed.

    Give `reliabilities` only where part of the comparisons have known answers: without those an annotator
    who guesses agrees with the scores that he alone has made, looks reliable, and is asked ever more.
    In simulation, half of ten annotators guessing, that ranks twenty items worse than pairs and annotators
    at random do; with four known answers each it ranks them as well with half as many.
    Pairs chosen without annotators help the more the farther the scores lie apart; where most pairs are
    close they help little. `best` finds the best item sooner and ranks the others worse.

    `candidates` [pair, 2] are numbers of items, all pairs without it. `is_allowed` [pair, annotator], a
    single column without annotators, bars questions already put. No question is put twice in a batch; a
    pair may be, to two annotators. Equal gains are settled by the seed. O(n x pairs x annotators).
    """
    config = config or PairChoiceConfig()
    size = len(posterior.items)
    if candidates is None:
        candidates = np.column_stack(np.triu_indices(size, 1))
    n_annotators = 1 if reliabilities is None else len(reliabilities.annotators)
    allowed = _allowed(candidates, n_annotators, is_allowed)
    if n < 0:
        raise DataError(f"n is {n}, expected 0 or more questions")
    generator = np.random.default_rng(seed)
    tie_break = TIE_BREAK * generator.random(allowed.shape)
    normals = generator.standard_normal((config.n_draws, size)) if config.goal == "best" else None
    chosen: list[PairQuestion] = []
    gains = np.zeros(allowed.shape)
    while len(chosen) < n and allowed.any():
        if not chosen or config.diversity:
            first, second = candidates[:, 0], candidates[:, 1]
            gains = question_gains(posterior, first, second, reliabilities, config, normals=normals)
        k, w = np.unravel_index(np.where(allowed, gains + tie_break, -np.inf).argmax(), gains.shape)
        allowed[k, w] = False
        one, other = (int(each) for each in candidates[k])
        name = None if reliabilities is None else reliabilities.annotators[w]
        items = posterior.items
        chosen.append(PairQuestion(items[one], items[other], name, float(gains[k, w])))
        if config.diversity:
            posterior, reliabilities = _as_if_answered(posterior, reliabilities, one, other, int(w))
    return chosen


def _allowed(
    candidates: NDArray[np.intp], n_annotators: int, is_allowed: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """[pair, annotator] A copy to cross off from."""
    shape = (len(candidates), n_annotators)
    if (candidates[:, 0] == candidates[:, 1]).any():
        raise DataError("candidates has a pair of an item with itself; expected two different items")
    if is_allowed is None:
        return np.ones(shape, dtype=bool)
    if is_allowed.shape != shape:
        raise DataError(f"is_allowed has shape {is_allowed.shape}, expected {shape}: pairs, annotators")
    return is_allowed.copy()


def question_gains(
    posterior: ScorePosterior,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    reliabilities: Reliabilities | None,
    config: PairChoiceConfig,
    *,
    normals: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """[pair, annotator] Nats expected of each answer; a single column without annotators.

    `normals` [draw, item] are standard normal numbers, needed for the goal `best`.
    """
    mean, spread = posterior.margins(first, second)
    log_odds = np.array([np.inf]) if reliabilities is None else reliabilities.mean
    doubt = np.zeros(1) if reliabilities is None else reliabilities.spread
    columns = []
    for center, width in zip(log_odds, doubt, strict=True):
        about_margin, about_annotator = pair_information(mean, spread, log_odds=center, doubt=width)
        if config.goal == "best":
            if normals is None:
                raise DataError("the goal best needs normals [draw, item]; give standard normal numbers")
            follows = _mean_reliability(center, width)
            about_margin = best_information(posterior, first, second, normals, reliability=follows)
        columns.append(about_margin + config.learning_weight * about_annotator)
    return np.stack(columns, axis=1)


def pair_information(
    mean: NDArray[np.float64], spread: NDArray[np.float64], *, log_odds: float = np.inf, doubt: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[pair] Nats of one answer about the margin, and beyond that about the annotator.

    P(first) = eta sigma(d) + (1 - eta) sigma(-d), d normal with `mean` and `spread` [pair], the log-odds
    of eta normal with `log_odds` and `doubt`. The first is I(y; d) (Houlsby et al. 2011, BALD), the second
    I(y; eta | d); their sum is I(y; d, eta), for what Chen et al. 2013 weigh as two divergences.
    An infinite `log_odds` is an annotator who always follows the scores.
    """
    nodes, weights = _normal_nodes(MARGIN_NODES)
    margins = mean[:, None] + spread[:, None] * nodes
    follows = _mean_reliability(log_odds, doubt)
    p_first = _p_first(margins, follows)
    about_margin = _entropy(p_first @ weights) - _entropy(p_first) @ weights
    if not np.isfinite(log_odds) or doubt == 0:
        return np.maximum(about_margin, 0.0), np.zeros(len(mean))
    knots, shares = _normal_nodes(RELIABILITY_NODES)
    eta = expit(log_odds + doubt * knots)
    certain = _entropy(_p_first(MARGIN_GRID[:, None], eta)) @ shares
    told = _entropy(_p_first(MARGIN_GRID, follows)) - certain
    about_annotator = np.interp(margins, MARGIN_GRID, told) @ weights
    return np.maximum(about_margin, 0.0), np.maximum(about_annotator, 0.0)


def best_information(
    posterior: ScorePosterior,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    normals: NDArray[np.float64],
    *,
    reliability: float = 1.0,
) -> NDArray[np.float64]:
    """[pair] Nats of one answer about which item has the highest score, over draws from the posterior.

        H(mean P(first)) - sum over b of P(best is b) H(mean P(first) where the best is b)

    A sum over draws: biased up by about (items that may be best) / (2 draws), for all pairs alike.
    """
    root = np.linalg.cholesky(posterior.covariance + 1e-10 * np.eye(len(posterior.items)))
    scores = posterior.mean + normals @ root.T
    p_first = _p_first(scores[:, first] - scores[:, second], reliability)
    best, which = np.unique(scores.argmax(axis=1), return_inverse=True)
    is_best = (which[:, None] == np.arange(len(best))).astype(np.float64)
    often = is_best.sum(axis=0)
    within = (is_best.T @ p_first) / often[:, None]
    gain = _entropy(p_first.mean(axis=0)) - (often / len(scores)) @ _entropy(within)
    return np.asarray(np.maximum(gain, 0.0), dtype=np.float64)


def _as_if_answered(
    posterior: ScorePosterior, reliabilities: Reliabilities | None, first: int, second: int, annotator: int
) -> tuple[ScorePosterior, Reliabilities | None]:
    """What is known when the answer is in, whatever it be: the means stay, the variances shrink.

    Scores and reliability shrink each for itself, by the Fisher information expected of the answer.
    """
    means, spreads = posterior.margins(np.array([first]), np.array([second]))
    nodes, weights = _normal_nodes(MARGIN_NODES)
    margins = means + spreads * nodes
    follows = 1.0 if reliabilities is None else float(expit(reliabilities.mean[annotator]))
    information = float(_information(margins, np.full(len(nodes), follows)) @ weights)
    along = posterior.covariance[:, first] - posterior.covariance[:, second]
    shrink = information / (1 + information * float(spreads[0]) ** 2)
    covariance = posterior.covariance - shrink * np.outer(along, along)
    if reliabilities is not None:
        p_first = _p_first(margins, follows)
        slope = follows * (1 - follows) * (2 * expit(margins) - 1)
        told = float((slope**2 / np.maximum(p_first * (1 - p_first), np.finfo(float).tiny)) @ weights)
        spread = reliabilities.spread.copy()
        spread[annotator] /= np.sqrt(1 + told * spread[annotator] ** 2)
        reliabilities = Reliabilities(reliabilities.annotators, reliabilities.mean, spread)
    return ScorePosterior(posterior.items, posterior.mean, covariance), reliabilities


def _laplace(
    items: Sequence[Any],
    place: NDArray[np.intp],
    pairs: ScoredPairs,
    mean: NDArray[np.float64],
    reliability: NDArray[np.float64],
    config: PairChoiceConfig,
) -> ScorePosterior:
    """The inverse of the expected curvature at `mean` [item]; `reliability` is of each row."""
    left, right = place[pairs.left], place[pairs.right]
    weight = _information(mean[left] - mean[right], reliability)
    curvature = np.zeros((len(items), len(items)))
    np.add.at(curvature, (left, right), -weight)
    curvature += curvature.T
    np.fill_diagonal(curvature, config.score_spread**-2.0 - curvature.sum(axis=1))
    covariance = cho_solve(cho_factor(curvature), np.eye(len(items)))
    return ScorePosterior(tuple(items), mean, np.asarray(covariance))


def _information(margin: NDArray[np.float64], reliability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher information of one answer about its margin."""
    p_first = _p_first(margin, reliability)
    slope = (2 * reliability - 1) * np.exp(log_expit(margin) + log_expit(-margin))
    both = np.maximum(p_first * (1 - p_first), np.finfo(float).tiny)
    return np.asarray(slope**2 / both, dtype=np.float64)


def _places(items: Sequence[Any], pairs: ScoredPairs | None) -> NDArray[np.intp]:
    """[item of pairs] Its number in `items`."""
    number = {item: k for k, item in enumerate(items)}
    if len(number) != len(items) or len(items) < 2:
        raise DataError(f"{len(items)} items of which {len(number)} differ; expected two or more, each once")
    compared = () if pairs is None else pairs.items
    strange = [item for item in compared if item not in number]
    if strange:
        raise DataError(f"item {strange[0]!r} is compared but is not in the list of items; add it")
    return np.array([number[item] for item in compared], dtype=np.intp)


def _p_first(margin: NDArray[np.float64], reliability: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that the first is preferred by somebody who follows the scores that often."""
    return np.asarray(reliability * expit(margin) + (1 - reliability) * expit(-margin), dtype=np.float64)


def _mean_reliability(log_odds: float, doubt: float) -> float:
    if not np.isfinite(log_odds):
        return 1.0
    knots, shares = _normal_nodes(RELIABILITY_NODES)
    return float(expit(log_odds + doubt * knots) @ shares)


def _normal_nodes(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights for a mean over a standard normal number.

    Evenly spaced, for then smooth steps much narrower than the spread are still summed well.
    """
    points = np.linspace(-REACH, REACH, size)
    weights = np.exp(-(points**2) / 2)
    return points, weights / weights.sum()


def _entropy(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a coin, in nats."""
    return np.asarray(-xlogy(share, share) - xlogy(1 - share, 1 - share), dtype=np.float64)
