"""Best-of-n: what the policy "draw n, keep the highest proxy" earns, for every n from one pool of samples.

Leaves out drawing and scoring the pool, and the fit of the curve (`reward_frontier.py`).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray, finite_array
from accord.evaluation.intervals import Estimate, mean_estimate


@dataclass(frozen=True, kw_only=True)
class BestOfN:
    """Best-of-n at one n, over all prompts."""

    n: int
    kl_bound: float
    """ln n - (n - 1) / n, nats: at least KL(best-of-n || policy)."""
    proxy: Estimate
    """Expected proxy reward of the kept answer."""
    gold: Estimate
    gold_gain: Estimate
    """Gold minus the prompt's reference gold; exactly 0 at n = 1 where the pool is the reference."""
    gold_rows: FloatArray
    """Expected gold of each prompt, shape [prompt], for paired comparisons."""
    proxy_rows: FloatArray

    @property
    def distance(self) -> float:
        """d = sqrt(KL bound), the abscissa of Gao et al. 2022."""
        return math.sqrt(self.kl_bound)


def best_of_n_kl_bound(n: int) -> float:
    """ln n - (n - 1) / n, nats: an UPPER bound of KL(best-of-n || policy), 0 at n = 1.

    Exact only when no two answers score alike; atoms make the true KL smaller (Beirami et al. 2024).
    """
    _require_n(n)
    return math.log(n) - (n - 1) / n


def best_of_n_kl(probabilities: ArrayLike, scores: ArrayLike, n: int) -> float:
    """Exact KL(best-of-n || policy) of a policy over finitely many answers, nats; equal scores share by
    chance.

        P(level <= k after n draws) = F_k^n,   KL = sum_k p'_k ln(p'_k / p_k)

    Only score levels count: within a level best-of-n keeps the policy's proportions.
    """
    _require_n(n)
    chance = finite_array(probabilities, name="probabilities")
    score = finite_array(scores, name="scores", length=len(chance))
    if not len(chance) or chance.min() < 0 or not math.isclose(chance.sum(), 1.0, rel_tol=1e-9):
        raise EvaluationError(
            f"probabilities must be non-negative and sum to 1, got {len(chance)} with sum {chance.sum()}"
        )
    _, codes = np.unique(score, return_inverse=True)
    level = np.bincount(codes, weights=chance)
    level = level[level > 0]
    below = np.concatenate([[0.0], np.cumsum(level)])
    below[-1] = 1.0
    kept = np.diff(below**n)
    is_kept = kept > 0
    return float((kept[is_kept] * np.log(kept[is_kept] / level[is_kept])).sum())


def order_statistic_weights(size: int, n: int) -> FloatArray:
    """Chance that the i-th smallest of `size` samples is the largest of n drawn without replacement.

        w_i = C(i - 1, n - 1) / C(size, n),   i = 1 .. size;  0 for i < n

    Computed through log-gamma, so a pool of millions does not overflow. Sums to 1.
    """
    _require_n(n)
    if size < n:
        raise EvaluationError(f"best-of-{n} needs a pool of {n} samples or more per prompt, got {size}")
    weights = np.zeros(size)
    rank = np.arange(n, size + 1, dtype=np.float64)
    log_weight = gammaln(rank) - gammaln(n) - gammaln(rank - n + 1)
    log_total = gammaln(size + 1) - gammaln(n + 1) - gammaln(size - n + 1)
    weights[n - 1 :] = np.exp(log_weight - log_total)
    return weights / weights.sum()


def best_of_n_value(proxy: ArrayLike, values: ArrayLike, n: int) -> float:
    """Unbiased estimate of E[value of the best of n by proxy] from one prompt's pool.

    The mean over all C(N, n) subsets. Samples of equal proxy share their weights, which is
    the mean over random tie breaking, so the order of the pool does not matter.
    """
    score = finite_array(proxy, name="proxy")
    value = finite_array(values, name="values", length=len(score))
    return float(_sample_weights(score, order_statistic_weights(len(score), n)) @ value)


def measure_best_of_n(
    proxy: Sequence[ArrayLike],
    gold: Sequence[ArrayLike],
    ns: Sequence[int],
    *,
    reference_gold: ArrayLike | None = None,
    prompt_ids: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> list[BestOfN]:
    """Best-of-n at each n of `ns`, from one pool of samples per prompt (pools may differ in size).

    `proxy[i]` and `gold[i]` are the scores of prompt i's samples. `reference_gold` holds one
    number per prompt from samples OUTSIDE the pool (their mean); without it the pool's own mean
    is the reference. Intervals resample prompts (`prompt_ids` joins pools that share one). No
    prompts, or a pool smaller than the largest n, raise.
    """
    if not proxy or len(proxy) != len(gold):
        raise EvaluationError(f"expected one pool a prompt in both, got {len(proxy)} proxy, {len(gold)} gold")
    if len(set(ns)) != len(ns) or not ns:
        raise EvaluationError(f"ns must be one or more distinct numbers, got {list(ns)}")
    scores = [finite_array(row, name=f"proxy of prompt {i}") for i, row in enumerate(proxy)]
    golds = [
        finite_array(row, name=f"gold of prompt {i}", length=len(scores[i])) for i, row in enumerate(gold)
    ]
    base = (
        np.array([row.mean() if len(row) else math.nan for row in golds])
        if reference_gold is None
        else finite_array(reference_gold, name="reference gold", length=len(scores))
    )
    points = []
    for n in sorted(ns):
        tables = {size: order_statistic_weights(size, n) for size in {len(row) for row in scores}}
        weights = [_sample_weights(row, tables[len(row)]) for row in scores]
        proxy_rows = np.array([weight @ row for weight, row in zip(weights, scores, strict=True)])
        gold_rows = np.array([weight @ row for weight, row in zip(weights, golds, strict=True)])
        if n == 1 and reference_gold is None:
            gold_rows = base  # the same sum in another order; the gain is then exactly 0
        points.append(
            BestOfN(
                n=n,
                kl_bound=best_of_n_kl_bound(n),
                proxy=mean_estimate(proxy_rows, prompt_ids, seed=seed),
                gold=mean_estimate(gold_rows, prompt_ids, seed=seed),
                gold_gain=mean_estimate(gold_rows - base, prompt_ids, seed=seed),
                gold_rows=gold_rows,
                proxy_rows=proxy_rows,
            )
        )
    return points


def _sample_weights(score: FloatArray, by_rank: FloatArray) -> FloatArray:
    """Weight of each sample; samples of equal score share the weights of the ranks they fill."""
    order = np.argsort(score, kind="stable")
    _, codes, counts = np.unique(score[order], return_inverse=True, return_counts=True)
    shared = np.bincount(codes, weights=by_rank) / counts
    weights = np.empty_like(score)
    weights[order] = shared[codes]
    return weights


def _require_n(n: int) -> None:
    if n < 1:
        raise EvaluationError(f"best-of-n needs n of at least 1, got {n}")
