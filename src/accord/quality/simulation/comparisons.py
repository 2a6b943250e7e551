"""A simulated crowd comparing pairs of answers, every parameter of the model known.

The crowd follows the annotator-aware preference model: gain, tie threshold and position habit
of each annotator, and an effect of length in each prompt family.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError, Streams
from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.simulation.roster import expit
from accord.quality.simulation.schedule import draw_distinct


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """The default is an honest crowd of one gain and no habits, without ties."""

    n_items: int = 50
    """Answers, numbered from 0."""
    n_annotators: int = 20
    """Annotators, numbered from 0."""
    n_pairs: int = 500
    """Different pairs asked; both answers of a pair are of one prompt family."""
    judgments_per_pair: int = 3
    """Distinct annotators a pair."""
    score_spread: float = 1.0
    """Standard deviation of the true scores, in log-odds at a gain of 1."""
    gain_spread: float = 0.0
    """Standard deviation of the log of an annotator's gain."""
    reversed_share: float = 0.0
    """Share of annotators who prefer the worse answer: their gain is below 0."""
    guessing_share: float = 0.0
    """Share of annotators whose gain is 0."""
    tie_threshold: float = 0.0
    """Median log-odds below which a tie is likely; 0 never ties."""
    tie_spread: float = 0.0
    """Standard deviation of the log of an annotator's threshold."""
    position_effect: float = 0.0
    """Log-odds that the crowd adds to the left side."""
    position_spread: float = 0.0
    """Standard deviation of an annotator's own addition."""
    length_effects: tuple[float, ...] = (0.0,)
    """Log-odds added for each unit of log length, one a prompt family; the answers are split evenly."""
    length_spread: float = 0.5
    """Standard deviation of an answer's log length."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, expected {least} or more"
            for name, least in (("n_annotators", 1), ("n_pairs", 1), ("judgments_per_pair", 1))
            if getattr(self, name) < least
        ]
        spreads = ("score_spread", "gain_spread", "tie_threshold", "tie_spread", "position_spread")
        for name in (*spreads, "length_spread", "reversed_share", "guessing_share"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                problems.append(f"{name} is {getattr(self, name)}, expected 0 or more")
        if self.reversed_share + self.guessing_share > 1:
            problems.append("reversed_share and guessing_share together exceed 1")
        if self.judgments_per_pair > self.n_annotators:
            problems.append(
                f"judgments_per_pair is {self.judgments_per_pair}, expected at most {self.n_annotators}, "
                "the number of annotators"
            )
        if self.n_items < 2 * max(1, len(self.length_effects)):
            problems.append(f"n_items is {self.n_items}, expected two or more a prompt family")
        elif not self.length_effects or self.n_pairs > self.possible_pairs:
            problems.append(f"n_pairs is {self.n_pairs}, expected at most {self.possible_pairs}")
        if problems:
            raise ConfigError("ComparisonConfig", problems)

    @property
    def families(self) -> NDArray[np.int64]:
        """[item] The prompt family of each answer."""
        return np.arange(self.n_items) * len(self.length_effects) // self.n_items

    @property
    def possible_pairs(self) -> int:
        """Different pairs within the families."""
        sizes = np.bincount(self.families)
        return int((sizes * (sizes - 1) // 2).sum())


@dataclass(frozen=True, eq=False)
class SimulatedComparisons:
    """Judgments pair by pair, and what is true behind them."""

    pair_index: NDArray[np.int64]
    """[judgment]"""
    left: NDArray[np.int64]
    """[judgment] The answer shown left, drawn anew for each judgment."""
    right: NDArray[np.int64]
    """[judgment] The answer shown right."""
    annotator_index: NDArray[np.int64]
    """[judgment]"""
    answer: NDArray[np.int64]
    """[judgment] LEFT, RIGHT or TIE of `accord.quality.judgments`."""
    scores: NDArray[np.float64]
    """[item] Mean 0 in each prompt family."""
    log_lengths: NDArray[np.float64]
    """[item] Mean 0; not related to the scores."""
    families: NDArray[np.int64]
    """[item] Prompt family."""
    gains: NDArray[np.float64]
    """[annotator] Below 0 for the reversed, 0 for the guessing; the others' log size is 0 on average."""
    tie_thresholds: NDArray[np.float64]
    """[annotator]"""
    positions: NDArray[np.float64]
    """[annotator] Log-odds to the left, the crowd's effect included."""
    log_odds: NDArray[np.float64]
    """[judgment] True log-odds of left over right, less ties."""


def simulate_comparisons(config: ComparisonConfig, seed: int) -> SimulatedComparisons:
    """Judgments of a crowd; equal config and seed give equal judgments.

    d = gain_w * (s_left - s_right) + position_w + length_f * (log length left - log length right)
    P(left) = sigma(d - t_w), P(right) = sigma(-d - t_w), a tie is the rest
    """
    streams = Streams(seed).child("comparisons")
    families = config.families
    scores = config.score_spread * _generator(streams, "scores").normal(size=config.n_items)
    scores -= (np.bincount(families, weights=scores) / np.bincount(families))[families]
    log_lengths = config.length_spread * _generator(streams, "lengths").normal(size=config.n_items)
    log_lengths -= log_lengths.mean()
    gains = _draw_gains(config, streams)
    habits = _generator(streams, "ties").normal(size=config.n_annotators)
    thresholds = config.tie_threshold * np.exp(config.tie_spread * habits)
    habits = _generator(streams, "positions").normal(size=config.n_annotators)
    positions = config.position_effect + config.position_spread * (habits - habits.mean())
    pair, annotator, left, right = _ask(config, streams)
    length_effect = np.array(config.length_effects)[families[left]]
    log_odds = (
        gains[annotator] * (scores[left] - scores[right])
        + positions[annotator]
        + length_effect * (log_lengths[left] - log_lengths[right])
    )
    draws = _generator(streams, "answers").random(len(pair))
    p_left = expit(log_odds - thresholds[annotator])
    p_right = expit(-log_odds - thresholds[annotator])
    return SimulatedComparisons(
        pair_index=pair,
        left=left,
        right=right,
        annotator_index=annotator,
        answer=np.where(draws < p_left, LEFT, np.where(draws >= 1 - p_right, RIGHT, TIE)),
        scores=scores,
        log_lengths=log_lengths,
        families=families,
        gains=gains,
        tie_thresholds=thresholds,
        positions=positions,
        log_odds=log_odds,
    )


def _generator(streams: Streams, name: str) -> np.random.Generator:
    return np.random.default_rng(streams.child(name).value)


def _ask(config: ComparisonConfig, streams: Streams) -> tuple[NDArray[np.int64], ...]:
    """Pair, annotator, left and right of each judgment."""
    low, high = _draw_pairs(config, _generator(streams, "pairs"))
    weights = np.full(config.n_annotators, 1 / config.n_annotators)
    generator = _generator(streams, "assign")
    annotator = draw_distinct(config.n_pairs, config.judgments_per_pair, weights, generator).ravel()
    pair = np.repeat(np.arange(config.n_pairs), config.judgments_per_pair)
    swap = _generator(streams, "sides").random(len(pair)) < 0.5
    return (
        pair,
        annotator,
        np.where(swap, high[pair], low[pair]),
        np.where(swap, low[pair], high[pair]),
    )


def _draw_gains(config: ComparisonConfig, streams: Streams) -> NDArray[np.float64]:
    number = config.n_annotators
    order = _generator(streams, "roles").permutation(number)
    n_guessing, n_reversed = round(config.guessing_share * number), round(config.reversed_share * number)
    guesses = np.zeros(number, dtype=bool)
    guesses[order[:n_guessing]] = True
    logs = config.gain_spread * _generator(streams, "gains").normal(size=number)
    if not guesses.all():
        logs -= logs[~guesses].mean()
    gains = np.where(guesses, 0.0, np.exp(logs))
    gains[order[n_guessing : n_guessing + n_reversed]] *= -1
    return gains


def _draw_pairs(
    config: ComparisonConfig, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Different pairs within families, all alike likely; the lower number first."""
    families, number = config.families, config.n_items
    if config.possible_pairs <= 4 * config.n_pairs:
        low, high = np.triu_indices(number, 1)
        within = np.flatnonzero(families[low] == families[high])
        kept = generator.choice(within, config.n_pairs, replace=False)
        return low[kept], high[kept]
    codes = np.empty(0, dtype=np.int64)
    while len(codes) < config.n_pairs:
        one, other = generator.integers(0, number, (2, 2 * config.n_pairs))
        fits = (one != other) & (families[one] == families[other])
        fresh = np.minimum(one, other)[fits] * number + np.maximum(one, other)[fits]
        codes = np.concatenate([codes, fresh])
        codes = codes[np.sort(np.unique(codes, return_index=True)[1])]
    return codes[: config.n_pairs] // number, codes[: config.n_pairs] % number
