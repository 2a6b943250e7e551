"""What the labels say of each item when the annotators' rates are known, in one pass over the labels.

Every model with a confusion matrix an annotator (Dawid-Skene, one-coin, MACE) is fitted by this pass;
the models differ only in how rates are drawn from the counts it returns. The states of an item need
not be as many as the classes that are given. GLAD has its own pass: its rates depend on the item.

One sparse 0/1 matrix with a row an item and a column an (annotator, given class) holds the labels,
cut into blocks of items small enough for the processor's cache. Both products of a block, with the
rates and with the posterior, are taken while it lies there, so that a pass reads the labels once.
Of K states K - 1 columns are multiplied: only log-odds against the first state are needed.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from accord.quality.labels import LabelTable

BLOCK_LABELS = 1 << 16
"""Labels a block aims at: 0.25 MB of numbers, which stays in the second-level cache."""
UNKNOWN = -1
"""Marks an item without gold."""


GoldIndex = NDArray[np.int64]
"""[item] Known class, `UNKNOWN` elsewhere."""


@dataclass(frozen=True, eq=False)
class Expectation:
    """What one pass returns."""

    log_likelihood: float
    """Natural log of the probability of all labels (and of the gold) given the rates, items summed out."""
    counts: NDArray[np.float64]
    """[annotator, true class, given class] Expected numbers of labels."""
    class_counts: NDArray[np.float64]
    """[class] Expected numbers of items."""


@dataclass(frozen=True, eq=False)
class Block:
    """The labels of consecutive items."""

    items: slice
    by_item: csr_array
    """[item, annotator * K + given class] 1 where there is a label."""
    by_label: csc_array
    """The same memory, transposed."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Labels as blocks of a sparse matrix. Built by `gather_evidence`."""

    n_items: int
    n_annotators: int
    n_classes: int
    blocks: tuple[Block, ...]
    given: NDArray[np.float64]
    """[annotator, class] How often each annotator gave each class."""

    @property
    def n_labels(self) -> int:
        """How many labels there are."""
        return int(self.given.sum())

    def expect(
        self,
        log_rates: NDArray[np.float64],
        log_classes: NDArray[np.float64],
        *,
        gold: GoldIndex | None = None,
    ) -> Expectation:
        """One pass: likelihood and expected counts under `log_rates` [annotator, true, given].

        `gold` [item] holds known classes, `UNKNOWN` elsewhere; a known class is certain.
        """
        size = log_rates.shape[1]
        counts = np.zeros((self.n_annotators * self.n_classes, size - 1))
        class_counts = np.zeros(size)
        reference = np.where(self.given > 0, log_rates[:, 0, :], 0.0)
        log_likelihood = float((self.given * reference).sum())
        for block, log_evidence, posterior in self._posteriors(log_rates, log_classes, gold):
            log_likelihood += float(log_evidence.sum())
            rest = posterior[:, 1:] if size != 2 else posterior[:, 1]
            counts += np.asarray(block.by_label @ np.ascontiguousarray(rest)).reshape(counts.shape)
            class_counts += posterior.sum(axis=0)
        rest = counts.reshape(self.n_annotators, self.n_classes, size - 1)
        first = np.maximum(self.given - rest.sum(axis=2), 0.0)
        whole = np.concatenate([first[:, :, None], rest], axis=2)
        return Expectation(log_likelihood, whole.transpose(0, 2, 1), class_counts)

    def posterior(
        self,
        log_rates: NDArray[np.float64],
        log_classes: NDArray[np.float64],
        *,
        gold: GoldIndex | None = None,
    ) -> NDArray[np.float64]:
        """[item, class] Probability of each class given the labels; rows sum to 1."""
        whole = np.empty((self.n_items, log_rates.shape[1]))
        for block, _, posterior in self._posteriors(log_rates, log_classes, gold):
            whole[block.items] = posterior
        return whole

    def count(self, posterior: NDArray[np.float64]) -> NDArray[np.float64]:
        """[annotator, true class, given class] Labels weighed by `posterior` [item, class] of their item."""
        total = np.zeros((self.n_annotators * self.n_classes, posterior.shape[1]))
        for block in self.blocks:
            total += block.by_label @ posterior[block.items]
        return total.reshape(self.n_annotators, self.n_classes, posterior.shape[1]).transpose(0, 2, 1)

    def _posteriors(
        self,
        log_rates: NDArray[np.float64],
        log_classes: NDArray[np.float64],
        gold: GoldIndex | None,
    ) -> Iterator[tuple[Block, NDArray[np.float64], NDArray[np.float64]]]:
        """Of each block the log evidence [item] over that of the first class, and the posterior [item,
        class]."""
        size = log_rates.shape[1]
        gaps = (log_rates[:, 1:, :] - log_rates[:, :1, :]).transpose(0, 2, 1)
        gaps = gaps.reshape(self.n_annotators * self.n_classes, size - 1)
        gaps = np.ascontiguousarray(gaps if size != 2 else gaps[:, 0])
        normalize = _normalize_two if size == 2 else _normalize_many
        for block in self.blocks:
            log_evidence, posterior = normalize(block.by_item @ gaps, log_classes)
            if gold is not None:
                self._clamp(log_evidence, posterior, gold[block.items], block.by_item @ gaps, log_classes)
            yield block, log_evidence, posterior

    @staticmethod
    def _clamp(
        log_evidence: NDArray[np.float64],
        posterior: NDArray[np.float64],
        gold: GoldIndex,
        gaps: NDArray[np.float64],
        log_classes: NDArray[np.float64],
    ) -> None:
        """Where gold is known its joint probability is the evidence, and it is certain. Works in place."""
        known = np.flatnonzero(gold != UNKNOWN)
        truth = gold[known]
        over_first = np.concatenate([np.zeros((len(known), 1)), gaps.reshape(len(gold), -1)[known]], axis=1)
        log_evidence[known] = over_first[np.arange(len(known)), truth] + log_classes[truth]
        posterior[known] = 0.0
        posterior[known, truth] = 1.0


def gather_evidence(table: LabelTable, *, block_labels: int = BLOCK_LABELS) -> Evidence:
    """The labels of a table as blocks of whole items; an item with more labels is a block of its own.

    Takes 4 bytes a label and 4 an item beside the table. An annotator who gave nothing keeps his place.
    """
    size = table.n_classes
    n_columns = table.n_annotators * size
    codes = table.annotator_index * np.int32(size)
    codes += table.class_index
    # a block adds a column vector to the counts, which must not cost more than its labels
    block_labels = max(block_labels, 2 * n_columns)
    starts = table.item_starts
    edges = [0]
    while edges[-1] < table.n_items:
        reach = int(np.searchsorted(starts, starts[edges[-1]] + block_labels, side="right")) - 1
        edges.append(max(reach, edges[-1] + 1))
    longest = max((int(starts[j] - starts[i]) for i, j in itertools.pairwise(edges)), default=0)
    ones = np.ones(longest)
    given = np.zeros(n_columns)
    blocks = []
    for i, j in itertools.pairwise(edges):
        columns = codes[starts[i] : starts[j]]
        pointers = (starts[i : j + 1] - starts[i]).astype(np.int32)
        data = (ones[: len(columns)], columns, pointers)
        given += np.bincount(columns, minlength=n_columns)
        by_item = csr_array(data, shape=(j - i, n_columns), copy=False)
        by_label = csc_array(data, shape=(n_columns, j - i), copy=False)
        blocks.append(Block(slice(i, j), by_item, by_label))
    return Evidence(
        table.n_items, table.n_annotators, size, tuple(blocks), given.reshape(table.n_annotators, size)
    )


def _normalize_two(
    gaps: NDArray[np.float64], log_classes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two classes from one log-odds an item, without overflow: e^-|x| is all that is needed."""
    odds = gaps + (log_classes[1] - log_classes[0])
    small = np.exp(-np.abs(odds))
    total = 1.0 + small
    log_evidence = np.maximum(odds, 0.0)
    log_evidence += np.log(total)
    log_evidence += log_classes[0]
    likely = 1.0 / total
    unlikely = small * likely
    is_second = odds > 0
    posterior = np.empty((len(odds), 2))
    posterior[:, 0] = np.where(is_second, unlikely, likely)
    posterior[:, 1] = np.where(is_second, likely, unlikely)
    return log_evidence, posterior


def _normalize_many(
    gaps: NDArray[np.float64], log_classes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    joint = np.concatenate([np.zeros((len(gaps), 1)), gaps], axis=1)
    joint += log_classes
    peak = joint.max(axis=1, keepdims=True)
    posterior = np.exp(joint - peak)
    total = posterior.sum(axis=1, keepdims=True)
    posterior /= total
    return (peak + np.log(total))[:, 0], posterior
