"""Consensus of a table of labels, by a named method or by the one that predicts labels best.

`auto` holds labels back, fits every model on the rest and asks how probable each made the labels it did
not see. Of the models that are not materially worse than the best it takes the simplest. All of them count
the labels of an item as independent, which they are not, and are too sure. Part of that is seen from
held-out labels: the log posterior is multiplied by the `discount` under which they are most probable. With
more than two classes the smoothed vote joins the product as one more opinion, since a confusion matrix then
rests on few labels a cell. Annotators are described by what comes out, the `posterior`.

An error that all share makes labels easier to foretell, not harder, so no label can show it. Therefore the
consensus that is published is humbler: its discount is at most `most_discount`, which is what known answers
have asked for on crowds that had them, and its probabilities are smoothed like votes,
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

from accord.domain import ConfigError, DataError, Value
from accord.quality.consensus.annotators import AnnotatorConfusion, annotator_confusions
from accord.quality.consensus.calibration import CalibratorConfig
from accord.quality.consensus.evidence import UNKNOWN, GoldIndex
from accord.quality.consensus.held_out import DISCOUNTS, ModelSurvey, discounted, survey_models
from accord.quality.consensus.models import ModelConfig, ModelFit, clamped, fit_model
from accord.quality.consensus.result import Consensus
from accord.quality.consensus.vote import SMOOTHING
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
DEFAULTS = {"dawid_skene": "Dawid-Skene, the default", "one_coin": "one rate each, for so many classes"}
SHARED_ERROR = (
    "annotators share an error: items of one class are not alike to them (held-out labels are {gain:.3f} "
    "nats a label more probable when items come in more kinds than there are classes), so labels are not "
    "independent evidence and every model that counts them so is over-confident. The smoothed vote was "
    "taken. Add known answers (30 or more) and calibrate"
)


@dataclass(frozen=True, kw_only=True)
class ChoiceConfig:
    """The limits of `auto`. What they rest on is measured by `benchmarks/quality_choice.py`."""

    material_gain: float = 0.02
    """Nats a held-out label; a model that gains less over a simpler one is not worth its freedom."""
    alarming_gain: float = 0.05
    """Nats a held-out label by which more kinds of items than classes must beat the best model, and surely
    so, to raise the alarm: independent errors give 0, the ducks set 0.1, five other sets under 0.02."""
    sure_errors: float = 2.0
    """Standard errors, over items, of a gain that is sure."""
    most_discount: float = CalibratorConfig().posterior_weight
    """Largest discount of a published consensus: where calibration starts before it has seen an answer."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}; expected 0 or more"
            for name in ("material_gain", "alarming_gain", "sure_errors")
            if not getattr(self, name) >= 0
        ]
        if not 0 < self.most_discount <= 1:
            problems.append(f"most_discount is {self.most_discount}; expected above 0 and at most 1")
        if problems:
            raise ConfigError("ChoiceConfig", problems)


@dataclass(frozen=True)
class Choice:
    """What `auto` takes, and why."""

    method: str
    discount: float
    """Under which held-out labels are most probable; multiplies the log posterior."""
    reason: str
    alarms: tuple[str, ...] = ()
    """In sentences."""


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
    choice: ChoiceConfig | None = None,
    seed: int = 0,
) -> ConsensusFit:
    """Consensus of every item of a table. Deterministic for a seed; independent of the order of rows.

    `gold` maps items to known classes; `choice` holds the limits of `auto`. Raises `DataError` for a method,
    a gold item or a gold class that does not exist. One class, one annotator or one item give a result: the
    votes.
    """
    if method not in METHODS:
        raise DataError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    known = None if gold is None else gold_index(table, gold)
    if method == "auto":
        return _choose(table, known, choice or ChoiceConfig(), seed)
    model = fit_model(table, method, config=config, gold=known, seed=seed)
    raw = _consensus(table, method, model, "")
    return ConsensusFit(
        consensus=raw,
        annotators=annotator_confusions(table, model.posterior),
        raw=raw,
        model=model,
        posterior=model.posterior,
    )


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


def choose_model(survey: ModelSurvey, config: ChoiceConfig | None = None) -> Choice:
    """What `auto` makes of a survey: the vote where an error is shared, else the simplest that holds."""
    config = config or ChoiceConfig()
    if not survey.held:
        default = "dawid_skene" if "dawid_skene" in survey.candidates else "one_coin"
        return Choice(default, 1.0, f"too few labels to hold any back: {DEFAULTS[default]}")
    gain = survey.gain_of_kinds()
    if gain is not None and gain[0] > max(config.alarming_gain, config.sure_errors * gain[1]):
        reason = "annotators share an error, see the alarm"
        return Choice("vote_share", 1.0, reason, (SHARED_ERROR.format(gain=gain[0]),))
    means, best = survey.means, survey.best
    chosen = next(name for name in survey.candidates if means[name] >= means[best] - config.material_gain)
    reason = f"{chosen} predicts held-out labels with {-means[chosen]:.4f} nats a label"
    if chosen == best:
        reason += f", the best of {len(survey.candidates)} models"
    else:
        reason += f"; {best} is best with {-means[best]:.4f}, too little to give up the simpler model"
    place = int(survey.held[chosen].log_probabilities.mean(axis=1).argmax())
    return Choice(chosen, DISCOUNTS[place], reason)


def published(
    table: LabelTable,
    posterior: NDArray[np.float64],
    discount: float,
    *,
    gold: GoldIndex | None = None,
    config: ChoiceConfig | None = None,
) -> NDArray[np.float64]:
    """[item, class] A model's posterior as `auto` publishes it: discounted, and smoothed like votes."""
    most = (config or ChoiceConfig()).most_discount
    humble = discounted(table, posterior, min(discount, most), gold)
    return clamped(smoothed(table, humble), gold)


def _choose(table: LabelTable, gold: GoldIndex | None, config: ChoiceConfig, seed: int) -> ConsensusFit:
    survey = survey_models(table, gold, seed=seed)
    choice = choose_model(survey, config)
    model = fit_model(table, choice.method, gold=gold, seed=seed)
    raw = _consensus(table, choice.method, model, choice.reason)
    final, posterior = raw, model.posterior
    if choice.method != "vote_share":
        posterior = discounted(table, model.posterior, choice.discount, gold)
        final = replace(
            raw, probabilities=published(table, model.posterior, choice.discount, gold=gold, config=config)
        )
    return ConsensusFit(
        consensus=final,
        annotators=annotator_confusions(table, posterior),
        raw=raw,
        model=model,
        posterior=posterior,
        discount=1.0 if final is raw else min(choice.discount, config.most_discount),
        candidates=MappingProxyType(survey.means),
        alarms=choice.alarms,
    )


def _consensus(table: LabelTable, method: str, model: ModelFit, reason: str) -> Consensus:
    return Consensus(
        method=method,
        items=table.items,
        classes=table.classes,
        probabilities=model.posterior,
        n_labels=table.labels_per_item,
        reason=reason,
    )


def smoothed(table: LabelTable, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """[item, class] (n p + 1/2) / (n + K/2): n labels that fell as `probabilities` say, smoothed as votes."""
    n = table.labels_per_item[:, None]
    return np.asarray((n * probabilities + SMOOTHING) / (n + SMOOTHING * table.n_classes))
