"""What models of consensus make of labels they did not see, which is what `auto` compares them by.

A tenth of the labels is held back, several times; each model is fitted to the rest and gives a probability
of every held-out label, plain and with its log posterior discounted. Leaves out what is made of that:
see `choice.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from accord.domain import Streams
from accord.quality.consensus.evidence import GoldIndex, gather_evidence
from accord.quality.consensus.models import ModelFit, clamped, fit_model
from accord.quality.consensus.vote import vote_share
from accord.quality.labels import LabelTable

CANDIDATES = ("vote_share", "one_coin", "dawid_skene", "mace", "hierarchical", "glad")
"""What `auto` chooses from, the simplest first."""
SLOW_ABOVE = 50_000
"""Labels above which `auto` leaves out the models without a closed-form step."""
SLOW = ("glad", "kinds")
MANY_CLASSES = 60
"""Classes above which nobody gives labels enough to know a matrix of all confusions: `auto` then chooses
among `FEW_PARAMETERS`."""
FEW_PARAMETERS = ("vote_share", "one_coin", "mace")
"""Models with no more parameters an annotator than classes."""
DISCOUNTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
"""What the log posterior may be multiplied by."""
HELD_SHARE = 0.1
"""Share of the labels that is held back each time."""
N_FOLDS = 3
"""How often labels are held back; once where there are more than `SLOW_ABOVE`."""
MIN_HELD = 20
"""With fewer held-out labels nothing can be said, and `auto` takes Dawid-Skene."""
SMALLEST = 1e-12
"""Probabilities of held-out labels are no smaller, so that one label cannot decide."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What one model makes of the labels it did not see."""

    log_probabilities: NDArray[np.float64]
    """[discount, held-out label] The last discount is 1."""
    groups: NDArray[np.int64]
    """[held-out label] Its item: labels of one item are not independent."""

    @property
    def plain(self) -> NDArray[np.float64]:
        """[held-out label] Log probabilities without a discount."""
        return np.asarray(self.log_probabilities[-1])


@dataclass(frozen=True, eq=False)
class ModelSurvey:
    """All candidates of a table on the same held-out labels."""

    candidates: tuple[str, ...]
    """The simplest first."""
    held: Mapping[str, HeldOut]
    """By candidate, and `kinds` where it could be fitted to the whole; empty where too few labels could be
    held back."""
    beside: Mapping[str, HeldOut]
    """`kinds` and the best candidate on the same labels; empty where kinds were not tried."""

    @property
    def means(self) -> dict[str, float]:
        """Mean natural log of the probability of a held-out label, by model."""
        return {name: float(found.plain.mean()) for name, found in self.held.items()}

    @property
    def best(self) -> str:
        """The candidate of the highest mean."""
        means = self.means
        return max(self.candidates, key=lambda name: means[name])

    def gain_of_kinds(self) -> tuple[float, float] | None:
        """Nats a held-out label that kinds of items gain over the best candidate, and the standard error.

        The error counts labels of one item as one. None where kinds were not tried.
        """
        if "kinds" not in self.beside:
            return None
        kinds = self.beside["kinds"]
        gains = kinds.plain - self.beside[self.best].plain
        mean = float(gains.mean())
        error = float(np.sqrt((np.bincount(kinds.groups, gains - mean) ** 2).sum())) / len(gains)
        return mean, error


def survey_models(table: LabelTable, gold: GoldIndex | None = None, *, seed: int = 0) -> ModelSurvey:
    """Every candidate on the same held-out labels of a table; gold [item] is clamped in every fit."""
    is_large = table.n_labels > SLOW_ABOVE
    is_many = table.n_classes > MANY_CLASSES
    names = [name for name in (*CANDIDATES, "kinds") if not (is_large and name in SLOW)]
    names = [name for name in names if not is_many or name in FEW_PARAMETERS]
    held = _hold_out(table, names, gold, seed) or {}
    candidates = tuple(name for name in names if name != "kinds")
    beside: Mapping[str, HeldOut] = held
    if held and is_large and not is_many:
        best = ModelSurvey(candidates, held, {}).best
        beside = _part_of(table, gold, best, seed) or {}
    return ModelSurvey(candidates, held, beside)


def _part_of(table: LabelTable, gold: GoldIndex | None, best: str, seed: int) -> dict[str, HeldOut] | None:
    """Held-out labels of items drawn until they have `SLOW_ABOVE` labels, under kinds and the best model."""
    generator = np.random.default_rng(Streams(seed).child("consensus", "part").value)
    order = generator.permutation(table.n_items)
    is_in = np.zeros(table.n_items, dtype=bool)
    is_in[order[np.cumsum(table.labels_per_item[order]) <= SLOW_ABOVE]] = True
    part = table.select(is_in[table.item_index])
    if not part.n_labels:
        return None
    return _hold_out(part, ["kinds", best], None if gold is None else gold[is_in], seed)


def _hold_out(
    table: LabelTable, names: list[str], gold: GoldIndex | None, seed: int
) -> dict[str, HeldOut] | None:
    """Held-out labels under every model; None where too few can be held back."""
    n_folds = 1 if table.n_labels > SLOW_ABOVE else N_FOLDS
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    groups: list[NDArray[np.int64]] = []
    for fold in range(n_folds):
        generator = np.random.default_rng(Streams(seed).child("consensus", "held-out", fold).value)
        is_kept = generator.random(table.n_labels) >= HELD_SHARE
        if not is_kept.any():
            continue
        rest = table.select(is_kept)
        place = np.full(table.n_items, -1)
        place[np.unique(table.item_index[is_kept])] = np.arange(rest.n_items)
        is_known = np.bincount(rest.annotator_index, minlength=table.n_annotators) > 0
        usable = ~is_kept & (place[table.item_index] >= 0) & is_known[table.annotator_index]
        pairs = (place[table.item_index[usable]], table.annotator_index[usable], table.class_index[usable])
        groups.append(table.item_index[usable].astype(np.int64))
        evidence = gather_evidence(rest)
        clamp = None if gold is None else gold[np.unique(table.item_index[is_kept])]
        for name in names:
            model = fit_model(rest, name, gold=clamp, evidence=evidence, seed=seed)
            parts[name].append(_log_probabilities(rest, name, model, pairs, clamp))
    joined = np.concatenate(groups) if groups else np.zeros(0, dtype=np.int64)
    if len(joined) < MIN_HELD:
        return None
    return {name: HeldOut(np.concatenate(rows, axis=1), joined) for name, rows in parts.items()}


def _log_probabilities(
    table: LabelTable,
    name: str,
    model: ModelFit,
    pairs: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    gold: GoldIndex | None,
) -> NDArray[np.float64]:
    """[discount, pair] Log probability of each held-out label."""
    items, annotators, classes = pairs
    rows = np.arange(len(items))
    plain = model.predict(items, annotators)[rows, classes]
    if name in ("vote_share", "kinds"):
        return np.asarray(np.log(np.maximum(np.repeat(plain[None], len(DISCOUNTS), axis=0), SMALLEST)))
    found = []
    for discount in DISCOUNTS[:-1]:
        posterior = discounted(table, model.posterior, discount, gold)
        found.append(model.predict_under(posterior, items, annotators)[rows, classes])
    return np.asarray(np.log(np.maximum(np.stack([*found, plain]), SMALLEST)))


def discounted(
    table: LabelTable, posterior: NDArray[np.float64], discount: float, gold: GoldIndex | None = None
) -> NDArray[np.float64]:
    """posterior ** discount, times the smoothed vote where there are more than two classes; rows sum to 1."""
    logs = discount * np.log(np.maximum(posterior, np.finfo(float).tiny))
    if table.n_classes > 2:
        logs = logs + np.log(vote_share(table))
    return clamped(np.exp(log_softmax(logs, axis=1)), gold)
