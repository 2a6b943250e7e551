"""Two models on the same prompts: tests of their difference.

McNemar for right and wrong, with the interval of the difference; sign flips by prompt for any score. Other
intervals are in `intervals.py`.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import binom

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray, finite_array
from accord.evaluation.intervals import Estimate

EXACT_BELOW = 25
"""Discordant pairs below which the exact p-value is told; from there on the mid-p, which wastes less."""
ALL_FLIPS_UP_TO = 14
"""Clusters whose 2^n flips are all tried."""
FLIPS = 20_000
"""Flips drawn where there are more."""


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Right and wrong of two models on the same prompts."""

    n: int
    """Prompts."""
    only_candidate: int
    """Prompts that only the candidate got right."""
    only_incumbent: int
    exact_p: float
    """Two-sided; 1 where no pair is discordant."""
    mid_p: float
    """Two-sided with half the probability of what was seen (Fagerland, Lydersen and Laake 2013)."""

    @property
    def p_value(self) -> float:
        """Exact with fewer than 25 discordant pairs, else mid-p."""
        return self.exact_p if self.only_candidate + self.only_incumbent < EXACT_BELOW else self.mid_p


def mcnemar(candidate_right: ArrayLike, incumbent_right: ArrayLike) -> McNemar:
    """Whether two models are right equally often; [prompt] True or 1 where right. McNemar 1947."""
    candidate = _binary(candidate_right, "candidate_right")
    incumbent = _binary(incumbent_right, "incumbent_right")
    if len(candidate) != len(incumbent):
        raise EvaluationError(
            f"{len(candidate)} prompts of the candidate and {len(incumbent)} of the incumbent; "
            "compare the same prompts"
        )
    won, lost = int((candidate & ~incumbent).sum()), int((incumbent & ~candidate).sum())
    discordant, fewer = won + lost, min(won, lost)
    exact = min(1.0, 2 * float(binom.cdf(fewer, discordant, 0.5)))
    mid = min(1.0, 2 * float(binom.cdf(fewer, discordant, 0.5)) - float(binom.pmf(fewer, discordant, 0.5)))
    return McNemar(
        n=len(candidate),
        only_candidate=won,
        only_incumbent=lost,
        exact_p=exact,
        mid_p=mid if discordant else 1.0,
    )


def sign_flip(
    differences: ArrayLike, prompt_ids: Sequence[Hashable] | None = None, *, seed: int = 0
) -> float:
    """Two-sided p-value that differences are symmetric around 0, flipping whole prompts.

    With 14 prompts or fewer all flips are tried and the value is exact; else 20,000 are drawn and the
    sample itself counts as one of them, so that the level holds. One prompt gives 1.
    """
    values = finite_array(differences, name="differences")
    ids = range(len(values)) if prompt_ids is None else prompt_ids
    if len(ids) != len(values):
        raise EvaluationError(f"{len(ids)} prompt ids for {len(values)} differences; give one for each")
    if not len(values):
        raise EvaluationError("there is no difference to test")
    places: dict[Hashable, int] = {}
    index = np.array([places.setdefault(one, len(places)) for one in ids])
    sums = np.bincount(index, weights=values)
    seen = abs(sums.sum())
    close = 1e-12 * np.abs(sums).sum()
    n = len(sums)
    if n <= ALL_FLIPS_UP_TO:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ sums) >= seen - close).mean())
    generator = np.random.default_rng(seed)
    hits = drawn = 0
    while drawn < FLIPS:
        size = min(FLIPS - drawn, max(1, 4_000_000 // n))
        drawn_signs = generator.integers(0, 2, (size, n), dtype=np.int8) * 2.0 - 1.0
        hits += int((np.abs(drawn_signs @ sums) >= seen - close).sum())
        drawn += size
    return (hits + 1) / (FLIPS + 1)


def _binary(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or not np.isin(array, (0, 1)).all():
        raise EvaluationError(f"{name} must be one row of True and False; score other values by sign_flip")
    return array.astype(bool)


def paired_share_interval(
    candidate: FloatArray, incumbent: FloatArray, *, confidence: float = 0.95
) -> Estimate:
    """Difference of two paired proportions with Bonett and Price's interval (2012); [item] 0 or 1 each.

        d = (b - c) / (n + 2) +- z sqrt(((b + 1 + c + 1) / (n + 2) - d^2) / (n + 2))

    b and c are the items only one of both got right. Never of width 0, also where no item differs.
    """
    n = len(candidate)
    won, lost = float((candidate > incumbent).sum()), float((candidate < incumbent).sum())
    center = (won - lost) / (n + 2)
    spread = math.sqrt(((won + lost + 2) / (n + 2) - center**2) / (n + 2))
    z_value = float(ndtri(0.5 + confidence / 2))
    value = (won - lost) / n
    return Estimate(
        value=value,
        low=min(value, max(-1.0, center - z_value * spread)),
        high=max(value, min(1.0, center + z_value * spread)),
        n=n,
        method="bonett-price",
        confidence=confidence,
    )
