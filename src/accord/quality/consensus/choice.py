"""Consensus of a table of labels, by a named method or by the one that predicts labels best.

`auto` holds labels back, fits every model on the rest and asks how probable each made the labels it did
not see. Of the models that are not materially worse than the best it takes the simplest. All of them count
the labels of an item as independent, which they are not, and are too sure. Part of that is seen from
held-out labels: the log posterior is multiplied by the `discount` under which they are most probable. With
more than two classes the smoothed vote joins the product as one more opinion, since a confusion matrix then
rests on few labels a cell. Annotators are described by what comes out, the `posterior`.

An error that all share makes labels easier to foretell, not harder, so no label can show it. Therefore the
consensus that is published is humbler: its discount is at most `MOST`, which is what known answers have
asked for on crowds that had them, and its probabilities are smoothed like votes,
`(n p_k + 1/2) / (n + K/2)` for an item of n labels, so that it is never surer than a vote without dissent.

Known answers (`gold`) are clamped in every fit. They make the fit better, and its probabilities no more
calibrated: for that see `calibration.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from accord.domain import DataError, Streams, Value
from accord.quality.consensus.annotators import AnnotatorConfusion, annotator_confusions
from accord.quality.consensus.calibration import CalibratorConfig
from accord.quality.consensus.evidence import UNKNOWN, GoldIndex, gather_evidence
from accord.quality.consensus.models import ModelConfig, ModelFit, clamped, fit_model
from accord.quality.consensus.result import Consensus
from accord.quality.consensus.vote import SMOOTHING, vote_share
from accord.quality.labels import LabelTable

Method = Literal[
    "auto",
    "majority",
    "vote_share",
    "dawid_skene",
    "averaged",
    "hierarchical",
    "one_coin",
    "glad",
    "mace",
    "kinds",
]
METHODS: tuple[Method, ...] = get_args(Method)
CANDIDATES = ("vote_share", "one_coin", "dawid_skene", "mace", "hierarchical", "glad")
"""What `auto` chooses from, the simplest first."""
SLOW_ABOVE = 50_000
"""Labels above which `auto` leaves out the models without a closed-form step."""
SLOW = ("glad", "kinds")
DEFAULTS = {"dawid_skene": "Dawid-Skene, the default", "one_coin": "one rate each, for so many classes"}
MANY_CLASSES = 60
"""Classes above which nobody gives labels enough to know a matrix of all confusions: `auto` then chooses
among `FEW_PARAMETERS`."""
FEW_PARAMETERS = ("vote_share", "one_coin", "mace")
"""Models with no more parameters an annotator than classes."""
DISCOUNTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
"""What the log posterior may be multiplied by."""
MOST = CalibratorConfig().posterior_weight
"""Largest discount of a published consensus: where calibration starts before it has seen an answer."""
HELD_SHARE = 0.1
"""Share of the labels that is held back each time."""
N_FOLDS = 3
"""How often labels are held back; once where there are more than `SLOW_ABOVE`."""
MIN_HELD = 20
"""With fewer held-out labels nothing can be said, and `auto` takes Dawid-Skene."""
MATERIAL = 0.02
"""Nats a held-out label; a model that gains less over a simpler one is not worth its freedom."""
ALARMING = 0.05
"""Nats a held-out label by which more kinds of items than classes must beat the best model, and surely so,
to raise the alarm: independent errors give 0, the ducks set 0.1, all other sets we know less than 0.02."""
SURE = 2.0
"""Standard errors, over items, of a gain that is sure."""
SMALLEST = 1e-12
"""Probabilities of held-out labels are no smaller, so that one label cannot decide."""

SHARED_ERROR = (
    "annotators share an error: items of one class are not alike to them (held-out labels are {gain:.3f} "
    "nats a label more probable when items come in more kinds than there are classes), so labels are not "
    "independent evidence and every model that counts them so is over-confident. The smoothed vote was "
    "taken. Add known answers (30 or more) and calibrate"
)


@dataclass(frozen=True, eq=False)
class ConsensusFit:
    """A consensus and how it came about."""

    consensus: Consensus
    annotators: tuple[AnnotatorConfusion, ...]
    """In the order of the table, by `posterior`."""
    raw: Consensus
    """The model's own posterior, before any discount: what a calibrator is fitted to."""
    model: ModelFit
    posterior: NDArray[np.float64]
    """[item, class] As sure as held-out labels allow, were no error shared: annotators are measured by it."""
    discount: float = 1.0
    """What `auto` multiplied the log posterior of the consensus by; 1 for a named method."""
    candidates: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Mean natural log of the probability of a held-out label, by model; empty for a named method."""
    alarms: tuple[str, ...] = ()
    """What a reader must know before he trusts the result, in sentences."""

    @property
    def objectives(self) -> tuple[float, ...]:
        """What the model climbed, iteration by iteration; empty for votes."""
        return self.model.objectives


def fit_consensus(
    table: LabelTable,
    *,
    method: Method = "auto",
    gold: Mapping[Any, Value] | None = None,
    config: ModelConfig | None = None,
    seed: int = 0,
) -> ConsensusFit:
    """Consensus of every item of a table. Deterministic for a seed; independent of the order of rows.

    `gold` maps items to known classes. Raises `DataError` for a method, a gold item or a gold class that
    does not exist. One class, one annotator or one item give a result: the votes.
    """
    if method not in METHODS:
        raise DataError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    known = None if gold is None else gold_index(table, gold)
    if method == "auto":
        return _choose(table, known, seed)
    model = fit_model(table, method, config=config, gold=known, seed=seed)
    return _finish(table, method, model)


def gold_index(table: LabelTable, gold: Mapping[Any, Value]) -> GoldIndex:
    """[item] The class of each item that `gold` knows, `UNKNOWN` elsewhere; other items and classes raise."""
    place = {item: i for i, item in enumerate(table.items.tolist())}
    number = {value: k for k, value in enumerate(table.classes)}
    index = np.full(table.n_items, UNKNOWN, dtype=np.int64)
    for item, value in gold.items():
        if item not in place:
            raise DataError(f"gold names item {item!r}, which has no labels; leave it out")
        if value not in number:
            raise DataError(
                f"gold of item {item!r} is {value!r}, a class that nobody gave; expected one of "
                f"{', '.join(repr(name) for name in table.classes)}"
            )
        index[place[item]] = number[value]
    return index


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """What one model makes of the labels it did not see."""

    log_probabilities: NDArray[np.float64]
    """[discount, held-out label] The last discount is 1."""
    groups: NDArray[np.int64]
    """[held-out label] Its item: labels of one item are not independent."""

    @property
    def plain(self) -> NDArray[np.float64]:
        return np.asarray(self.log_probabilities[-1])


def _choose(table: LabelTable, gold: GoldIndex | None, seed: int) -> ConsensusFit:
    is_large = table.n_labels > SLOW_ABOVE
    is_many = table.n_classes > MANY_CLASSES
    names = [name for name in (*CANDIDATES, "kinds") if not (is_large and name in SLOW)]
    names = [name for name in names if not is_many or name in FEW_PARAMETERS]
    held = _hold_out(table, names, gold, seed)
    if held is None:
        default = "one_coin" if is_many else "dawid_skene"
        model = fit_model(table, default, gold=gold, seed=seed)
        reason = f"too few labels to hold any back: {DEFAULTS[default]}"
        return _finish(table, default, model, reason=reason, discount=1.0, gold=gold)
    means = {name: float(found.plain.mean()) for name, found in held.items()}
    candidates = [name for name in names if name != "kinds"]
    best = max(candidates, key=lambda name: means[name])
    beside: Mapping[str, _HeldOut] | None = held
    if is_large and not is_many:
        beside = _part_of(table, gold, best, seed)
    gain = _shared_error(beside, best)
    if gain is not None:
        model = fit_model(table, "vote_share", gold=gold, seed=seed)
        alarm = SHARED_ERROR.format(gain=gain)
        fit = _finish(table, "vote_share", model, reason="annotators share an error, see the alarm")
        return replace(fit, candidates=MappingProxyType(means), alarms=(alarm,))
    chosen = next(name for name in candidates if means[name] >= means[best] - MATERIAL)
    place = int(held[chosen].log_probabilities.mean(axis=1).argmax())
    model = fit_model(table, chosen, gold=gold, seed=seed)
    reason = _why(chosen, best, means)
    fit = _finish(table, chosen, model, reason=reason, discount=DISCOUNTS[place], gold=gold)
    return replace(fit, candidates=MappingProxyType(means))


def _part_of(table: LabelTable, gold: GoldIndex | None, best: str, seed: int) -> dict[str, _HeldOut] | None:
    """Held-out labels of items drawn until they have `SLOW_ABOVE` labels, under kinds and the best model."""
    generator = np.random.default_rng(Streams(seed).child("consensus", "part").value)
    order = generator.permutation(table.n_items)
    is_in = np.zeros(table.n_items, dtype=bool)
    is_in[order[np.cumsum(table.labels_per_item[order]) <= SLOW_ABOVE]] = True
    part = table.select(is_in[table.item_index])
    if not part.n_labels:
        return None
    return _hold_out(part, ["kinds", best], None if gold is None else gold[is_in], seed)


def _why(chosen: str, best: str, means: Mapping[str, float]) -> str:
    found = f"{chosen} predicts held-out labels with {-means[chosen]:.4f} nats a label"
    if chosen == best:
        return f"{found}, the best of {len(means)} models"
    return f"{found}; {best} is best with {-means[best]:.4f}, too little to give up the simpler model"


def _shared_error(held: Mapping[str, _HeldOut] | None, best: str) -> float | None:
    """Nats a held-out label that kinds of items gain over the best model, where it is alarming; else None."""
    if held is None or "kinds" not in held:
        return None
    kinds = held["kinds"]
    gains = kinds.plain - held[best].plain
    mean = float(gains.mean())
    error = float(np.sqrt((np.bincount(kinds.groups, gains - mean) ** 2).sum())) / len(gains)
    return mean if mean > ALARMING and mean > SURE * error else None


def _hold_out(
    table: LabelTable, names: list[str], gold: GoldIndex | None, seed: int
) -> dict[str, _HeldOut] | None:
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
    return {name: _HeldOut(np.concatenate(rows, axis=1), joined) for name, rows in parts.items()}


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


def smoothed(table: LabelTable, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """[item, class] (n p + 1/2) / (n + K/2): n labels that fell as `probabilities` say, smoothed as votes."""
    n = table.labels_per_item[:, None]
    return np.asarray((n * probabilities + SMOOTHING) / (n + SMOOTHING * table.n_classes))


def _finish(
    table: LabelTable,
    method: str,
    model: ModelFit,
    *,
    reason: str = "",
    discount: float | None = None,
    gold: GoldIndex | None = None,
) -> ConsensusFit:
    """`discount` is the one that held-out labels chose; None publishes the model as it is."""
    raw = Consensus(
        method=method,
        items=table.items,
        classes=table.classes,
        probabilities=model.posterior,
        n_labels=table.labels_per_item,
        reason=reason,
    )
    final, posterior = raw, model.posterior
    if discount is not None and method != "vote_share":
        posterior = discounted(table, model.posterior, discount, gold)
        humble = discounted(table, model.posterior, min(discount, MOST), gold)
        final = replace(raw, probabilities=clamped(smoothed(table, humble), gold))
    return ConsensusFit(
        consensus=final,
        annotators=annotator_confusions(table, posterior),
        raw=raw,
        model=model,
        posterior=posterior,
        discount=1.0 if final is raw or discount is None else min(discount, MOST),
    )
