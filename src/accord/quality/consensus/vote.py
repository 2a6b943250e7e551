"""Votes: the plurality with a named policy for ties, and the smoothed share, which is the figure to beat."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError, Streams
from accord.quality.labels import LabelTable

TiePolicy = Literal["abstain", "random", "split"]
TIE_POLICIES: tuple[TiePolicy, ...] = get_args(TiePolicy)
SMOOTHING = 0.5
"""Imagined votes for each class: Jeffreys' prior."""


def majority(table: LabelTable, *, ties: TiePolicy = "split", seed: int = 0) -> NDArray[np.float64]:
    """[item, class] All mass on the class with most votes.

    Among tied classes the mass is split equally (`split`), or given to one drawn by the seed (`random`); with
    `abstain` all classes of a tied item are equally likely. No class ever wins by its name or row.
    """
    if ties not in TIE_POLICIES:
        raise ConfigError("majority", [f"ties is {ties!r}; expected one of {', '.join(TIE_POLICIES)}"])
    counts = table.counts
    is_top = counts == counts.max(axis=1, keepdims=True)
    n_top = is_top.sum(axis=1, keepdims=True)
    split = is_top / n_top
    if ties == "split":
        return np.asarray(split)
    if ties == "abstain":
        return np.where(n_top > 1, 1.0 / table.n_classes, split)
    generator = np.random.default_rng(Streams(seed).child("consensus", "ties").value)
    lots = np.where(is_top, generator.random(counts.shape), -1.0)
    return np.asarray(np.eye(table.n_classes)[lots.argmax(axis=1)])


def vote_share(table: LabelTable) -> NDArray[np.float64]:
    """[item, class] (votes + 1/2) / (all votes + K/2): the posterior mean of the share under Jeffreys' prior.

    One label on two classes gives 3/4 and 1/4; total agreement of n gives (n + 1/2) / (n + K/2).
    """
    counts = table.counts
    return np.asarray(
        (counts + SMOOTHING) / (counts.sum(axis=1, keepdims=True) + SMOOTHING * table.n_classes)
    )
