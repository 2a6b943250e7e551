"""The annotator-aware preference model: scores of items, and how each annotator looks at them.

Left item i, right item j, annotator w, prompt family f, covariates x (left minus right):

    d = a_w (s_if - s_jf) + b + b_f + c_w + (l + l_f)' x      s_if = s_i + u_if
    t = exp(tau + tau_f + h_w)
    P(left) = sigma(d - t), P(right) = sigma(-d - t), a tie is the rest

a_w is the gain (0 answers at random, below 0 prefers the worse), c_w the habit of one side, h_w the habit of
calling ties. Everything but b, tau and l has a Gaussian prior whose spread is set by empirical Bayes,
so that an annotator of few judgments stays near the crowd. The reward of an item is its score:
positions, thresholds and covariates explain the annotators and are left out of it.

Departs from the log-linear gain exp(g_w) of Rasch-type models in that gains are linear with prior
N(m, spread^2): they may be 0 or negative, and the mode cannot run away to huge gains on tiny scores.
The scale is fixed by a mean gain of 1 over judgments, the origin by scores of sum 0. Intervals are those of
the Laplace approximation with the expected information; those of annotators and scores count to first order
what is not known of their spreads and of the mean gain (Kass and Steffey 1989). Variances of scores are also
expanded by rows over rows less parameters, as in any regression: the habits of many annotators of few rows
each fit some of the noise, and without it nominal 95 % intervals covered 93.7 %.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError, DataError
from accord.quality.preferences.annotator_design import (
    LOG_THRESHOLD,
    MARGIN,
    SHIFT,
    Block,
    NumberedRows,
    build_design,
    combine_item_and_family,
    number_rows,
)
from accord.quality.preferences.fisher_scoring import (
    LatentFit,
    LatentProblem,
    Likelihood,
    ScoringConfig,
    Terms,
    fit_latent,
)
from accord.quality.preferences.item_design import Z95, variances_around_mean
from accord.quality.preferences.likelihoods import threshold_terms
from accord.quality.preferences.scored_pairs import ScoredPairs

GAIN, POSITION, TIE_HABIT = 0, 1, 2
"""Local parameters of an annotator."""
OFF_SPREAD = 1e-6
"""Spread of a prior that keeps a habit at its mean: spread 0 in the config."""
USUAL_SPREAD = 0.5
"""Of the habits of annotators, on all three scales: where empirical Bayes starts."""
IMAGINED_ANNOTATORS = 2.0
"""Seen at the usual spread beside the real ones. Without them the spread of a few annotators often
falls to 0, all are taken for alike, and their intervals are far too short."""
SMALLEST_SHARE = 0.05
"""Of one annotator: what all together tell of the mean gain at least; keeps its variance finite."""
SMALLEST_SPREAD, LARGEST_SPREAD = 0.01, 10.0
"""Empirical Bayes stays within; outside, a spread has no effect that 0 or no prior would not have."""


@dataclass(frozen=True, kw_only=True)
class AnnotatorAwareConfig:
    """Spreads of the priors. None lets empirical Bayes set one; 0 leaves the term out; a number keeps it."""

    score_spread: float | None = None
    """Of the items' scores s."""
    family_score_spread: float | None = None
    """Of u: how far an item's score in one prompt family lies from its score at large."""
    gain_spread: float | None = None
    """Of the gains a around their mean."""
    position_spread: float | None = None
    """Of the annotators' position habits c."""
    tie_spread: float | None = None
    """Of the annotators' tie habits h, on the log scale."""
    family_position_spread: float | None = None
    """Of the position effect by prompt family."""
    family_tie_spread: float | None = None
    """Of the log tie threshold by prompt family."""
    family_covariate_spread: float | None = None
    """Of the covariates' effects by prompt family around the effect at large."""
    position_effect: bool = True
    """Whether the crowd as a whole may lean to one side."""
    weak_spread: float = 10.0
    """Of b and l, which every row informs; only keeps them finite where no row does."""
    threshold_spread: float = 3.0
    """Of tau; keeps the threshold finite where all or none are ties."""
    max_rounds: int = 30
    """Rounds of empirical Bayes at most."""
    spread_tolerance: float = 0.02
    """Empirical Bayes stops when no spread changes by more than this share."""
    scoring: ScoringConfig = field(default_factory=lambda: ScoringConfig(exact_limit=3000))
    """When a fit stops."""

    def __post_init__(self) -> None:
        spreads = {name: value for name, value in vars(self).items() if name.endswith("_spread")}
        problems = [
            f"{name} is {value}, expected None, 0 or a positive number"
            for name, value in spreads.items()
            if value is not None and not (np.isfinite(value) and value >= 0)
        ]
        for name in ("score_spread", "weak_spread", "threshold_spread"):
            if spreads[name] == 0:
                problems.append(f"{name} is 0, expected a positive number")
        if problems:
            raise ConfigError("AnnotatorAwareConfig", problems)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval; low and high are None where `reason` of the fit says why."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class AnnotatorHabits:
    """How one annotator answers."""

    annotator: object
    judgments: int
    """Rows the estimates rest on."""
    gain: Estimate
    """How strongly scores decide; the average judgment has gain 1, 0 answers at random."""
    tie_threshold: Estimate
    """Log-odds within which a tie is likely, in the average prompt family."""
    left_habit: Estimate
    """Log-odds added to the left side, the crowd's effect included."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AnnotatorAwareFit:
    """A fitted model. Predict with `accord.quality.preferences.annotator_prediction`."""

    pairs: ScoredPairs
    """What it was fitted on."""
    scores: NDArray[np.float64]
    """[item] The reward at large; sum 0."""
    scores_low: NDArray[np.float64] | None
    """[item] Lower ends of 95 % intervals of the score less the mean of all."""
    scores_high: NDArray[np.float64] | None
    """[item]"""
    annotators: tuple[AnnotatorHabits, ...]
    """One an annotator, in the order of `pairs.annotators`."""
    position_effect: Estimate
    """Log-odds the crowd adds to the left side."""
    tie_threshold: Estimate
    """Of the ordinary annotator."""
    covariate_effects: dict[str, Estimate]
    """Log-odds for one unit of each covariate, at large."""
    family_covariate_effects: dict[str, tuple[Estimate, ...]]
    """The same in each prompt family, in the order of `pairs.families`."""
    spreads: dict[str, float]
    """Standard deviations of the priors."""
    mean_gain: float
    """Mean of the prior of the gains: the gain to expect of an annotator not seen."""
    log_likelihood: float
    objectives: tuple[float, ...]
    """Negative log posterior at the final spreads, step by step; never rises."""
    rounds: int
    """Rounds of empirical Bayes."""
    is_converged: bool
    reason: str | None
    """Why intervals are missing, or None."""
    blocks: tuple[Block, ...]
    combined: NDArray[np.int64]
    """Codes of the (item, family) combinations with a deviation of their own."""
    latent: LatentFit

    def reward(self, family: object | None = None) -> NDArray[np.float64]:
        """[item] Scores in a prompt family, or at large; habits, positions and covariates left out."""
        rewards = self.scores.copy()
        block = next((block for block in self.blocks if block.name == "family_score"), None)
        if family is None or block is None:
            return rewards
        if family not in self.pairs.families:
            raise DataError(f"family {family!r} is not one of the fit; expected one of {self.pairs.families}")
        items, families = np.divmod(self.combined, len(self.pairs.families))
        own = families == self.pairs.families.index(family)
        rewards[items[own]] += self.latent.shared[block.place][own]
        return rewards


def fit_annotator_aware(pairs: ScoredPairs, config: AnnotatorAwareConfig | None = None) -> AnnotatorAwareFit:
    """Fit scores and habits jointly. Deterministic, and the same for every order of the rows.

    Works from one row on: what the rows do not tell stays at its prior. Items in comparison graphs that
    do not touch are placed around 0 each, and only the prior makes their scores comparable.
    """
    config = config or AnnotatorAwareConfig()
    if not len(pairs):
        raise DataError("no comparisons to fit; expected at least one")
    combined = combine_item_and_family(pairs)
    blocks = _blocks(pairs, config, len(combined))
    rows = number_rows(pairs, pairs, combined)
    problem = _problem(pairs, rows, blocks, config)
    is_exact = problem.n_shared <= config.scoring.exact_limit
    reason = None
    if not is_exact:
        reason = (
            f"{problem.n_shared} shared parameters exceed exact_limit {config.scoring.exact_limit}: no "
            f"intervals, and the spreads are those given or their starting values"
        )
    shared, local = np.zeros(problem.n_shared), np.tile(problem.local_mean, (problem.n_annotators, 1))
    rounds, loose = 0, replace(config.scoring, tolerance=max(1e-7, config.scoring.tolerance))
    crossed = [block.start for block in blocks if block.name in ("position", "log_threshold")]
    while is_exact and rounds < config.max_rounds:
        latent = fit_latent(problem, shared, local, loose)
        shared, local = latent.shared, latent.local
        blocks, problem, change = _with_new_spreads(problem, blocks, latent, config)
        rounds += 1
        if change < config.spread_tolerance:
            break
    latent = fit_latent(problem, shared, local, config.scoring, crossed=crossed)
    return _describe(pairs, config, blocks, combined, problem, latent, rounds, reason)


def aware_likelihood(outcome: NDArray[np.intp]) -> Likelihood:
    """Predictors margin, shift, log threshold, gain, position, tie habit to terms."""

    def terms(predictors: NDArray[np.float64]) -> Terms:
        difference, shift, log_threshold, gain, position, tie_habit = predictors
        inner = threshold_terms(gain * difference + shift + position, log_threshold + tie_habit, outcome)
        one, none = np.ones_like(gain), np.zeros_like(gain)
        on_margin = np.stack([gain, one, none, difference, one, none])
        on_threshold = np.stack([none, none, one, none, none, one])
        gradient = on_margin * inner.gradient[0] + on_threshold * inner.gradient[1]

        def root() -> NDArray[np.float64]:
            of_two = inner.root()
            return np.asarray(on_margin * of_two[:, None, 0] + on_threshold * of_two[:, None, 1])

        return Terms(inner.log_likelihood, gradient, root)

    return terms


def _blocks(pairs: ScoredPairs, config: AnnotatorAwareConfig, n_combined: int) -> tuple[Block, ...]:
    n_families, n_covariates = len(pairs.families), len(pairs.covariate_names)
    families = n_families if n_families > 1 else 0
    by_family = n_covariates * families
    wanted: list[tuple[str, int, int, float | None, float]] = [
        ("score", MARGIN, len(pairs.items), config.score_spread, 0.7),
        ("family_score", MARGIN, n_combined, config.family_score_spread, 0.7),
        ("position", SHIFT, int(config.position_effect), config.weak_spread, 0.0),
        ("family_position", SHIFT, families, config.family_position_spread, 0.2),
        ("log_threshold", LOG_THRESHOLD, 1, config.threshold_spread, 0.0),
        ("family_log_threshold", LOG_THRESHOLD, families, config.family_tie_spread, 0.4),
        ("covariate", SHIFT, n_covariates, config.weak_spread, 0.0),
        ("family_covariate", SHIFT, by_family, config.family_covariate_spread, 0.2),
    ]
    blocks: list[Block] = []
    start = 0
    for name, predictor, size, spread, first in wanted:
        if size == 0 or spread == 0:
            continue
        blocks.append(
            Block(
                name=name,
                predictor=predictor,
                start=start,
                size=size,
                spread=first if spread is None else spread,
                is_estimated=spread is None,
            )
        )
        start += size
    return tuple(blocks)


def _problem(
    pairs: ScoredPairs, rows: NumberedRows, blocks: tuple[Block, ...], config: AnnotatorAwareConfig
) -> LatentProblem:
    local = [config.gain_spread, config.position_spread, config.tie_spread]
    start = [USUAL_SPREAD if spread is None else spread or OFF_SPREAD for spread in local]
    if len(pairs.annotators) == 1:
        # One annotator's habits cannot be told from the crowd's.
        start = [OFF_SPREAD] * len(start)
    return LatentProblem(
        design=build_design(rows, blocks),
        n_rows=len(pairs),
        annotator=pairs.annotator,
        n_annotators=len(pairs.annotators),
        n_local=len(local),
        likelihood=aware_likelihood(pairs.outcome),
        shared_precision=_precision(blocks),
        local_precision=np.array(start) ** -2.0,
        local_mean=np.array([1.0, 0.0, 0.0]),
        held_local=GAIN,
    )


def _precision(blocks: tuple[Block, ...]) -> NDArray[np.float64]:
    return np.concatenate([np.full(block.size, block.spread**-2.0) for block in blocks])


def _with_new_spreads(
    problem: LatentProblem, blocks: tuple[Block, ...], latent: LatentFit, config: AnnotatorAwareConfig
) -> tuple[tuple[Block, ...], LatentProblem, float]:
    """One round of empirical Bayes (MacKay 1992): spread^2 = sum of squares / parameters the data set.

    Also moves the mean of the gains. Returns the largest relative change of a spread.
    """
    assert latent.shared_covariance is not None
    assert latent.local_covariance is not None
    renewed, changes = [], [0.0]
    for block in blocks:
        spread = block.spread
        if block.is_estimated:
            variances = np.diag(latent.shared_covariance)[block.place]
            spread = _spread(latent.shared[block.place], variances, block.spread, block.size)
        changes.append(abs(np.log(spread / block.spread)))
        renewed.append(replace(block, spread=spread))
    mean, local_spreads = problem.local_mean.copy(), problem.local_precision**-0.5
    given = (config.gain_spread, config.position_spread, config.tie_spread)
    for k, spread_given in enumerate(given):
        if spread_given is not None or problem.n_annotators == 1:
            continue
        own = latent.local[:, k]
        variances = latent.local_covariance[:, k, k]
        if k == GAIN:
            weight = 1 / (variances + local_spreads[k] ** 2)
            mean[k] = float(own @ weight / weight.sum())
        size = problem.n_annotators - (1 if k == GAIN else 0)
        before = local_spreads[k]
        local_spreads[k] = _spread(own - mean[k], variances, before, size, beside=IMAGINED_ANNOTATORS)
        changes.append(abs(np.log(local_spreads[k] / before)))
    moved = replace(
        problem,
        shared_precision=_precision(tuple(renewed)),
        local_precision=local_spreads**-2.0,
        local_mean=mean,
    )
    return tuple(renewed), moved, max(changes)


def _spread(
    values: NDArray[np.float64],
    variances: NDArray[np.float64],
    before: float,
    size: int,
    *,
    beside: float = 0.0,
) -> float:
    """`beside` parameters more, as if seen at USUAL_SPREAD."""
    determined = max(size - float(variances.sum()) / before**2, 0.05)
    squares = float(values @ values) + beside * USUAL_SPREAD**2
    spread = float(np.sqrt(squares / (determined + beside)))
    # Never more than doubled or halved at once: far from the fixed point the ratio overshoots.
    return float(np.clip(spread, max(SMALLEST_SPREAD, before / 2), min(LARGEST_SPREAD, before * 2)))


def _describe(
    pairs: ScoredPairs,
    config: AnnotatorAwareConfig,
    blocks: tuple[Block, ...],
    combined: NDArray[np.int64],
    problem: LatentProblem,
    latent: LatentFit,
    rounds: int,
    reason: str | None,
) -> AnnotatorAwareFit:
    by_name = {block.name: block for block in blocks}
    scores = latent.shared[by_name["score"].place]
    half = None
    if latent.shared_covariance is not None:
        place = by_name["score"].place
        variances = variances_around_mean(latent.shared_covariance[place, place])
        doubt = _doubt_of_score_spread(by_name["score"], scores, variances)
        half = Z95 * np.sqrt(_expansion(problem, latent) * variances + doubt)
    spreads = {block.name: block.spread for block in blocks}
    locals_ = zip(("gain", "left_habit", "tie_habit"), (problem.local_precision**-0.5).tolist(), strict=True)
    log_threshold = _estimate_sum(latent, [by_name["log_threshold"].start])
    return AnnotatorAwareFit(
        pairs=pairs,
        scores=scores,
        scores_low=None if half is None else scores - half,
        scores_high=None if half is None else scores + half,
        annotators=_habits(pairs, by_name, latent, _doubt_of_priors(problem, latent, config)),
        position_effect=_estimate_sum(latent, [block.start for block in blocks if block.name == "position"]),
        tie_threshold=_exponential(log_threshold),
        covariate_effects={
            name: _estimate_sum(latent, [by_name["covariate"].start + k])
            for k, name in enumerate(pairs.covariate_names)
        },
        family_covariate_effects=_family_covariates(pairs, by_name, latent),
        spreads=spreads | {name: (0.0 if spread <= OFF_SPREAD else spread) for name, spread in locals_},
        mean_gain=float(problem.local_mean[GAIN]),
        log_likelihood=latent.log_likelihood,
        objectives=latent.objectives,
        rounds=rounds,
        is_converged=latent.is_converged and rounds < max(config.max_rounds, 1),
        reason=reason,
        blocks=blocks,
        combined=combined,
        latent=latent,
    )


def _estimate_sum(latent: LatentFit, places: list[int]) -> Estimate:
    """The sum of shared parameters; of none it is 0 without doubt."""
    value = float(latent.shared[places].sum())
    if latent.shared_covariance is None:
        return Estimate(value=value, low=None, high=None)
    half = Z95 * float(np.sqrt(latent.shared_covariance[np.ix_(places, places)].sum()))
    return Estimate(value=value, low=value - half, high=value + half)


def _exponential(estimate: Estimate) -> Estimate:
    low, high = (None if end is None else float(np.exp(end)) for end in (estimate.low, estimate.high))
    return Estimate(value=float(np.exp(estimate.value)), low=low, high=high)


def _family_covariates(
    pairs: ScoredPairs, by_name: dict[str, Block], latent: LatentFit
) -> dict[str, tuple[Estimate, ...]]:
    own = by_name.get("family_covariate")
    effects = {}
    for k, name in enumerate(pairs.covariate_names):
        at_large = by_name["covariate"].start + k
        beside = [] if own is None else [own.start + k * len(pairs.families)]
        effects[name] = tuple(
            _estimate_sum(latent, [at_large, *(start + j for start in beside)])
            for j in range(len(pairs.families))
        )
    return effects


def _doubt_of_priors(
    problem: LatentProblem, latent: LatentFit, config: AnnotatorAwareConfig
) -> NDArray[np.float64]:
    """Variance [annotator, habit] that estimated spreads and the estimated mean gain add to habits.

    With B the share of an annotator's prior in his estimate and D its distance from the prior's mean,
    d estimate / d log spread = 2 B D, and log spread has information 2 sum (1 - B)^2; the mean gain moves
    an estimate by B, and has information sum (1 - B) / spread^2.
    """
    doubt = np.zeros_like(latent.local)
    if latent.local_covariance is None or problem.n_annotators == 1:
        return doubt
    given = (config.gain_spread, config.position_spread, config.tie_spread)
    for k in (GAIN, POSITION, TIE_HABIT):
        if given[k] is not None:
            continue
        spread = problem.local_precision[k] ** -0.5
        of_prior = np.minimum(latent.local_covariance[:, k, k] / spread**2, 1.0)
        distance = latent.local[:, k] - problem.local_mean[k]
        told = ((1 - of_prior) ** 2).sum() + IMAGINED_ANNOTATORS
        doubt[:, k] = (2 * of_prior * distance) ** 2 / (2 * told)
        if k == GAIN:
            told = max((1 - of_prior).sum(), SMALLEST_SHARE)
            doubt[:, k] += of_prior**2 * spread**2 / told
    return doubt


def _doubt_of_score_spread(
    block: Block, scores: NDArray[np.float64], variances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Variance [item] that the estimated spread of the scores adds to them, as for the annotators' habits."""
    if not block.is_estimated:
        return np.zeros_like(scores)
    of_prior = np.minimum(variances / block.spread**2, 1.0)
    told = max(float(((1 - of_prior) ** 2).sum()), 1.0)
    return np.asarray((2 * of_prior * scores) ** 2 / (2 * told))


def _expansion(problem: LatentProblem, latent: LatentFit) -> float:
    """Rows over rows less the parameters that the rows, not the priors, determine; at most 2."""
    assert latent.shared_covariance is not None
    assert latent.local_covariance is not None
    own = np.diagonal(latent.local_covariance, axis1=1, axis2=2)
    of_shared = 1 - problem.shared_precision * np.diag(latent.shared_covariance)
    of_local = 1 - problem.local_precision * own
    determined = float(np.maximum(of_shared, 0.0).sum() + np.maximum(of_local, 0.0).sum())
    return problem.n_rows / max(problem.n_rows - determined, problem.n_rows / 2)


def _habits(
    pairs: ScoredPairs, by_name: dict[str, Block], latent: LatentFit, doubt: NDArray[np.float64]
) -> tuple[AnnotatorHabits, ...]:
    judged = np.bincount(pairs.annotator, minlength=len(pairs.annotators))
    crossed = [name for name in ("position", "log_threshold") if name in by_name]
    half = np.full(latent.local.shape, np.nan)
    values = latent.local.copy()
    joined = {"position": POSITION, "log_threshold": TIE_HABIT}
    if latent.local_covariance is not None:
        half = np.diagonal(latent.local_covariance, axis1=1, axis2=2).copy()
    for at, name in enumerate(crossed):
        place, k = by_name[name].start, joined[name]
        values[:, k] += latent.shared[place]
        if latent.shared_covariance is not None and latent.cross_covariance is not None:
            half[:, k] += latent.shared_covariance[place, place] + 2 * latent.cross_covariance[at, :, k]
    half = Z95 * np.sqrt(np.maximum(half, 0.0) + doubt)
    has_interval = latent.local_covariance is not None

    def estimate(w: int, k: int) -> Estimate:
        value = float(values[w, k])
        if not has_interval:
            return Estimate(value=value, low=None, high=None)
        return Estimate(value=value, low=value - float(half[w, k]), high=value + float(half[w, k]))

    return tuple(
        AnnotatorHabits(
            annotator=annotator,
            judgments=int(judged[i]),
            gain=estimate(i, GAIN),
            tie_threshold=_exponential(estimate(i, TIE_HABIT)),
            left_habit=estimate(i, POSITION),
        )
        for i, annotator in enumerate(pairs.annotators)
    )
