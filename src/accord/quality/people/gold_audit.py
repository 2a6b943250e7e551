"""Is the gold itself wrong? Posterior odds from what the crowd said, never from the gold.

The votes on an item of true class k are Dirichlet-multinomial: each item of a class has its own vote
shares, spread as the items of the class are. Independent errors are the special case of no spread; with
spread, forty annotators who share a mistake count as the few voices they are. The spread and the shares of
class k are fitted to every item by a few rounds of EM, from the mean of two probabilities of k: the posterior
of a consensus fitted WITHOUT gold, and the plain share of votes. The second is there because a posterior
that takes errors as independent is too sure of the items its crowd splits on, and would hide the spread;
for the same reason EM is not run to its end, which would make every split item a sure one. Then, with a
prior chance `wrong_rate` that a gold item is wrong, the odds that gold g is wrong are

    wrong_rate / (1 - wrong_rate) * [sum over k != g of prior_k / (1 - prior_g) DM_k(votes)] / DM_g(votes)

Where the gold is right, the chance that the odds reach a limit is at most wrong_rate / (1 - wrong_rate) /
limit (Markov's inequality on the likelihood ratio): 2 % with the defaults. That is the stated false-alarm
rate; it holds as far as the votes on sound gold are spread like those on other items of their class. It
does NOT guard against a crowd that is misled as a whole (ducks): no count of votes tells that from wrong
gold, so a flag asks for a look and settles nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from accord.domain import ConfigError, EvaluationError, Value
from accord.quality.labels import LabelTable
from accord.quality.people.gold import index_gold

MIN_SHAPE = 1e-3
"""Least Dirichlet parameter: a class never voted for keeps a little chance."""
MAX_TOTAL = 1e4
"""Most a class's parameters sum to: beyond it, items of a class do not differ."""


@dataclass(frozen=True, kw_only=True)
class GoldAuditConfig:
    """When gold is doubted."""

    wrong_rate: float = 0.02
    """Prior chance that a gold item is wrong."""
    min_odds: float = 1.0
    """Posterior odds from which an item is flagged."""
    prior_votes: float = 1.0
    """Imagined votes of each class, spread like a crowd that is right eight times in ten, per class."""
    rounds: int = 2
    """Rounds of EM; more find more wrong gold and doubt more sound gold of items that split the crowd."""
    max_iterations: int = 200
    """Steps of the fixed point at most."""
    tolerance: float = 1e-6
    """The fixed point stops when no parameter changes by a larger share."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.wrong_rate < 1:
            problems.append(f"wrong_rate is {self.wrong_rate}; expected between 0 and 1")
        if not self.min_odds > 0:
            problems.append(f"min_odds is {self.min_odds}; expected above 0")
        if problems:
            raise ConfigError("gold audit", problems)

    @property
    def false_alarm_rate(self) -> float:
        """Largest chance that sound gold is flagged."""
        return min(self.wrong_rate / (1 - self.wrong_rate) / self.min_odds, 1.0)


@dataclass(frozen=True)
class GoldDoubt:
    """One gold item against the crowd."""

    item: Any
    gold: Value
    crowd: Value
    """Likeliest other class."""
    n_labels: int
    n_against: int
    """Labels of a class other than the gold."""
    log_odds: float
    """Natural log of the posterior odds that the gold is wrong."""
    is_flagged: bool

    @property
    def p_wrong(self) -> float:
        """Posterior probability that the gold is wrong."""
        return float(special.expit(self.log_odds))


@dataclass(frozen=True, eq=False)
class VoteSpread:
    """Dirichlet-multinomial votes of each class."""

    shapes: NDArray[np.float64]
    """[true, given] Parameters."""
    prior: NDArray[np.float64]
    """[true] Shares of the classes."""

    @property
    def voices(self) -> NDArray[np.float64]:
        """[true] How many independent annotators a large crowd is worth: 1 / correlation of two votes."""
        return np.asarray(1.0 + self.shapes.sum(axis=1))


def audit_gold(
    table: LabelTable,
    probabilities: ArrayLike,
    gold: Mapping[Any, Value],
    *,
    config: GoldAuditConfig | None = None,
) -> list[GoldDoubt]:
    """Every gold item with a label, the most doubtful first.

    `probabilities` [item, class] are the consensus fitted without gold; one fitted with it would vouch for
    itself. With one class nothing can be doubted: no item comes back.
    """
    config = config or GoldAuditConfig()
    gold_class = index_gold(table.items, table.classes, gold)
    audited = np.flatnonzero(gold_class >= 0)
    if table.n_classes < 2 or not len(audited):
        return []
    counts = table.counts
    posterior = np.asarray(probabilities, dtype=np.float64)
    if posterior.shape != counts.shape:
        raise EvaluationError(
            f"probabilities have shape {posterior.shape}; expected [item, class] = {counts.shape}"
        )
    spread = _fit_by_rounds(counts, posterior, config)
    votes = counts[audited].astype(np.float64)
    log_votes = _log_votes(votes, spread.shapes)
    given = gold_class[audited]
    rows = np.arange(len(audited))
    others = log_votes + np.log(spread.prior)
    others[rows, given] = -np.inf
    rest = np.maximum(1 - spread.prior[given], np.finfo(np.float64).tiny)
    log_odds = special.logsumexp(others, axis=1) - np.log(rest) - log_votes[rows, given]
    log_odds += special.logit(config.wrong_rate)
    crowd = others.argmax(axis=1)
    doubts = [
        GoldDoubt(
            item=table.items[item].item(),
            gold=table.classes[given[place]],
            crowd=table.classes[crowd[place]],
            n_labels=int(votes[place].sum()),
            n_against=int(votes[place].sum() - votes[place, given[place]]),
            log_odds=float(log_odds[place]),
            is_flagged=bool(log_odds[place] >= np.log(config.min_odds)),
        )
        for place, item in enumerate(audited)
    ]
    return sorted(doubts, key=lambda one: -one.log_odds)


def fit_vote_spread(
    counts: ArrayLike, probabilities: ArrayLike, *, config: GoldAuditConfig | None = None
) -> VoteSpread:
    """Dirichlet-multinomial of each class from votes [item, class], weighed by probabilities [item, class].

    Minka 2000 (Estimating a Dirichlet distribution, eq. 55), with imagined one-vote items. Distinct
    rows of votes are fitted once, so the cost an iteration does not grow with the items.
    """
    config = config or GoldAuditConfig()
    votes = np.asarray(counts, dtype=np.float64)
    posterior = np.asarray(probabilities, dtype=np.float64)
    if votes.shape != posterior.shape:
        raise EvaluationError(
            f"votes have shape {votes.shape} and probabilities {posterior.shape}; expected the same"
        )
    n_classes = votes.shape[1]
    rows, index = np.unique(votes, axis=0, return_inverse=True)
    weights = np.stack(
        [np.bincount(index.ravel(), weights=posterior[:, k], minlength=len(rows)) for k in range(n_classes)]
    )
    rows = np.concatenate([rows, np.eye(n_classes)])
    imagined = np.full((n_classes, n_classes), 0.2 / max(n_classes - 1, 1))
    np.fill_diagonal(imagined, 0.8)
    weights = np.concatenate([weights, config.prior_votes * imagined], axis=1)
    prior = (posterior.sum(axis=0) + 1.0) / (len(votes) + n_classes)
    shapes = imagined * 5.0
    totals = rows.sum(axis=1)
    for _ in range(config.max_iterations):
        size = shapes.sum(axis=1, keepdims=True)
        per_row = special.digamma(totals[None, :] + size) - special.digamma(size)
        bottom = (weights * per_row).sum(axis=1, keepdims=True)
        top = np.empty_like(shapes)
        for k in range(n_classes):
            gain = special.digamma(rows[:, k][None, :] + shapes[:, [k]]) - special.digamma(shapes[:, [k]])
            top[:, k] = (weights * gain).sum(axis=1)
        renewed = np.maximum(shapes * top / np.maximum(bottom, 1e-300), MIN_SHAPE)
        renewed *= np.minimum(MAX_TOTAL / renewed.sum(axis=1, keepdims=True), 1.0)
        change = float(np.max(np.abs(renewed / shapes - 1)))
        shapes = renewed
        if change < config.tolerance:
            break
    return VoteSpread(shapes=shapes, prior=prior)


def _fit_by_rounds(
    counts: NDArray[np.int64], posterior: NDArray[np.float64], config: GoldAuditConfig
) -> VoteSpread:
    """The spread, and after it the classes of the items by it, in turn."""
    weights = (posterior + counts / counts.sum(axis=1, keepdims=True)) / 2
    spread = fit_vote_spread(counts, weights, config=config)
    for _ in range(config.rounds):
        evidence = _log_votes(counts.astype(np.float64), spread.shapes) + np.log(spread.prior)
        spread = fit_vote_spread(counts, special.softmax(evidence, axis=1), config=config)
    return spread


def _log_votes(votes: NDArray[np.float64], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """[item, true] Log chance of the votes [item, class], up to a term that no class changes."""
    size = shapes.sum(axis=1)
    result = special.gammaln(size)[None, :] - special.gammaln(votes.sum(axis=1)[:, None] + size[None, :])
    for k in range(votes.shape[1]):
        result += special.gammaln(votes[:, [k]] + shapes[:, k]) - special.gammaln(shapes[:, k])
    return np.asarray(result)
