"""Does quality control throw out one group of annotators more than others?

Exclusion by agreement with the consensus excludes minorities, who are the consensus least often. Leaves
out why a group is excluded more: a difference is a question to ask, not an answer.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import betaincinv
from scipy.stats import fisher_exact

from accord.domain import ConfigError, DataError
from accord.quality.bias.multiplicity import adjust_holm


class ExclusionVerdict(StrEnum):
    """What the two tests say of one group together."""

    EVEN = "even"
    """Its share kept is at least four fifths of the highest, or not lower at all."""
    WATCH = "watch"
    """Below four fifths, but so few annotators that chance explains it."""
    ADVERSE = "adverse"
    """Below four fifths, and beyond chance."""
    TOO_FEW = "too_few"
    """Even if every one had been excluded, or none, the exact test could not have told."""

    @property
    def is_alarm(self) -> bool:
        """True where quality control is to be stopped and looked at."""
        return self is ExclusionVerdict.ADVERSE


@dataclass(frozen=True, kw_only=True)
class ExclusionConfig:
    """When a difference in exclusion counts."""

    kept_ratio: float = 0.8
    """Share kept over the highest group's, below which a group is looked at: the four-fifths rule."""
    significance: float = 0.05
    """Of the exact test, after Holm's adjustment over groups."""
    confidence: float = 0.95
    """Of the interval of each group's exclusion rate: Jeffreys', whose coverage is at the promise on average
    over rates, where the exact one of Clopper and Pearson holds .97 to .99. The test is exact."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}, expected a share between 0 and 1"
            for name, value in vars(self).items()
            if not 0 < value < 1
        ]
        if problems:
            raise ConfigError("exclusion", problems)


@dataclass(frozen=True, kw_only=True)
class GroupExclusion:
    """Exclusion in one group, and against all others."""

    group: Hashable
    n_annotators: int
    n_excluded: int
    rate: float
    """n_excluded / n_annotators."""
    low: float
    """Of the rate's interval (Brown, Cai and DasGupta 2001): 0 where nobody was excluded."""
    high: float
    """1 where everybody was."""
    kept_ratio: float | None
    """(1 - rate) over that of the group kept most; None where every annotator of every group is excluded."""
    p_value: float | None
    """Fisher's exact test against the annotators of all other groups, two-sided; None for a single group."""
    p_adjusted: float | None
    """After Holm over the groups."""
    verdict: ExclusionVerdict


DEFAULT_EXCLUSION = ExclusionConfig()


def compare_exclusion(
    groups: Sequence[Hashable],
    is_excluded: Sequence[bool],
    *,
    config: ExclusionConfig = DEFAULT_EXCLUSION,
) -> tuple[GroupExclusion, ...]:
    """Exclusion by group, from one entry an annotator in both; groups in the order of their text.

    Two rules stand side by side (US Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D,
    on the ratio, and on small numbers): the ratio of shares kept, which is about size, and Fisher's
    exact test, which is about chance. A single group is even by definition. No annotator raises.
    """
    if len(groups) != len(is_excluded):
        raise DataError(
            f"{len(groups)} groups for {len(is_excluded)} exclusions; expected one entry an annotator"
        )
    if not len(groups):
        raise DataError("no annotators; expected one entry an annotator")
    names = sorted(set(groups), key=str)
    number = {name: i for i, name in enumerate(names)}
    index = np.array([number[group] for group in groups])
    sizes = np.bincount(index, minlength=len(names))
    excluded = np.bincount(index, weights=np.asarray(is_excluded, dtype=bool), minlength=len(names))
    counts = excluded.astype(np.int64)
    kept = 1 - counts / sizes
    p_values = [_exact_test(counts, sizes, i) for i in range(len(names))] if len(names) > 1 else []
    adjusted = adjust_holm(p_values).tolist()
    return tuple(
        _group(
            name,
            int(counts[i]),
            int(sizes[i]),
            float(kept[i] / kept.max()) if kept.max() > 0 else None,
            p_values[i] if p_values else None,
            adjusted[i] if p_values else None,
            _smallest_p(counts, sizes, i) * len(names) if p_values else 0.0,
            config,
        )
        for i, name in enumerate(names)
    )


def _group(
    name: Hashable,
    n_excluded: int,
    size: int,
    kept_ratio: float | None,
    p_value: float | None,
    p_adjusted: float | None,
    smallest_p: float,
    config: ExclusionConfig,
) -> GroupExclusion:
    tail = (1 - config.confidence) / 2
    low = float(betaincinv(n_excluded + 0.5, size - n_excluded + 0.5, tail)) if n_excluded else 0.0
    high = (
        float(betaincinv(n_excluded + 0.5, size - n_excluded + 0.5, 1 - tail)) if n_excluded < size else 1.0
    )
    if p_adjusted is None or kept_ratio is None:
        verdict = ExclusionVerdict.EVEN
    elif kept_ratio < config.kept_ratio and p_adjusted < config.significance:
        verdict = ExclusionVerdict.ADVERSE
    elif smallest_p >= config.significance:
        verdict = ExclusionVerdict.TOO_FEW
    else:
        verdict = ExclusionVerdict.WATCH if kept_ratio < config.kept_ratio else ExclusionVerdict.EVEN
    return GroupExclusion(
        group=name,
        n_annotators=size,
        n_excluded=n_excluded,
        rate=n_excluded / size,
        low=low,
        high=high,
        kept_ratio=kept_ratio,
        p_value=p_value,
        p_adjusted=p_adjusted,
        verdict=verdict,
    )


def _exact_test(counts: np.ndarray, sizes: np.ndarray, at: int) -> float:
    others, n_others = counts.sum() - counts[at], sizes.sum() - sizes[at]
    cross_table = [[counts[at], sizes[at] - counts[at]], [others, n_others - others]]
    return float(min(1.0, fisher_exact(cross_table).pvalue))


def _smallest_p(counts: np.ndarray, sizes: np.ndarray, at: int) -> float:
    """Of the tables with the same margins, the smaller p of the two outermost."""
    n_excluded, size, total = int(counts.sum()), int(sizes[at]), int(sizes.sum())
    ends = (max(0, n_excluded - (total - size)), min(size, n_excluded))
    tables = [[[own, size - own], [n_excluded - own, total - size - n_excluded + own]] for own in ends]
    return min(float(fisher_exact(table).pvalue) for table in tables)
