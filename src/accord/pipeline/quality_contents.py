"""What a quality report holds: frozen records that the joining code fills in and every rendering only reads.

Shows how far labels agree, what they say together, and who gave them. A part that was not measured is
empty and left out of the page; a number that does not exist is None beside a reason. Leaves out how
anything looks (`quality_page.py`) and how it is computed (`accord.quality`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from accord.domain.errors import EvaluationError
from accord.evaluation import Card, Estimate
from accord.evaluation.report.contents import Lineage
from accord.evaluation.report.encoding import decode, encode

SCHEMA = 1
"""Raised when the meaning of a field changes."""
UNCALIBRATED = "uncalibrated: no known answers were used to check or correct the probabilities"
"""What every output says that was made without gold."""


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """One agreement coefficient."""

    name: str
    estimate: Estimate | None
    reason: str = ""
    """Why there is no value."""
    note: str = ""
    """What it corrects for, in a few words."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityPoint:
    """Items of similar probability."""

    predicted: float
    """Mean probability of the predicted class."""
    observed: Estimate
    """Share of them on which gold agrees."""


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far the posterior's probabilities can be trusted, on gold that no fit has seen."""

    points: tuple[ReliabilityPoint, ...]
    accuracy: Estimate
    log_loss: Estimate
    """Nats an item."""
    baseline_log_loss: Estimate | None = None
    """The same of the smoothed vote share: what a method has to beat."""
    fitted_on: int = 0
    """Gold items that the calibrator was fitted on; not among those above."""
    alarms: tuple[str, ...] = ()
    """What the calibrator's parameters warn of."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How one annotator, or all together, answer on items of each class."""

    name: str
    labels: int
    shares: tuple[tuple[float, ...], ...]
    """[true class, given class] Rows sum to 1."""


@dataclass(frozen=True, kw_only=True)
class AnnotatorFacts:
    """One annotator."""

    name: str
    judgments: int
    accuracy: Estimate | None = None
    """Probability of the right answer; against gold where `gold_seen` is above 0, else against consensus."""
    gold_seen: int = 0
    value: float | None = None
    """Share of a perfect annotator's information that one of his labels brings, 0 to 1."""
    median_seconds: float | None = None
    """Median time for a judgment."""
    left_habit: Estimate | None = None
    """Pull toward the left side, logits; None where there are no sides."""
    gain: Estimate | None = None
    """How sharply choices follow the quality; 1 is ordinary, 0 is noise."""
    tie_share: float | None = None
    flags: tuple[str, ...] = ()
    """What stands out, in a few words each."""


@dataclass(frozen=True, kw_only=True)
class DriftChart:
    """One detector on one annotator's stream of judgments."""

    annotator: str
    channel: str
    """What is watched: "expected correctness", "response time", ..."""
    statistic: tuple[float, ...]
    """After each judgment, in the order they were made."""
    threshold: float
    alarm_at: int | None = None
    """Number of the judgment, from 1, at which the statistic crossed the threshold."""
    fell_at: int | None = None
    """Number of the judgment, from 1, from which on a test of the whole stream finds it lower, adjusted for
    all annotators; None where it finds nothing."""


@dataclass(frozen=True, kw_only=True)
class CostPoint:
    """What one rule costs and buys."""

    name: str
    """Such as "5 labels each" or "stop at 0.95"."""
    labels_an_item: float
    accuracy: Estimate
    is_adaptive: bool = False
    """True where the rule asks more on hard items."""


@dataclass(frozen=True, kw_only=True)
class BiasRow:
    """One effect on choices that the answers' quality should not have."""

    name: str
    """Such as "left side" or "twice the length"."""
    estimate: Estimate | None
    """Log-odds; 0 is no bias."""
    family: str = ""
    """The prompts it was measured on; empty for all."""
    p_value: float | None = None
    """Corrected for the number of effects tested."""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """Annotators who share an attribute."""

    attribute: str
    group: str
    annotators: int
    labels: int
    within: Estimate | None = None
    """Agreement inside the group."""
    across: Estimate | None = None
    """Agreement of the group with everybody else."""
    p_value: float | None = None
    """That within differs from across by chance; corrected for the number of groups."""
    excluded: int = 0
    """Annotators whom quality control would set aside."""


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """Everything one quality report shows. Equal reports give equal pages and JSON."""

    title: str
    subtitle: str = ""
    created_at: str = ""
    """ISO 8601 time."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Short facts for the header: labels, items, annotators, classes, repeats."""
    notes: tuple[str, ...] = ()
    """Findings and caveats in plain words."""
    cards: tuple[Card, ...] = ()
    method: str = ""
    """Consensus method that was used."""
    method_reason: str = ""
    is_calibrated: bool = False
    classes: tuple[str, ...] = ()
    agreement: tuple[Coefficient, ...] = ()
    reliability: Reliability | None = None
    confusions: tuple[Confusion, ...] = ()
    annotators: tuple[AnnotatorFacts, ...] = ()
    drift: tuple[DriftChart, ...] = ()
    costs: tuple[CostPoint, ...] = ()
    biases: tuple[BiasRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    lineage: Lineage = field(default_factory=Lineage)


def quality_report_to_json(report: QualityReport) -> str:
    """The report as JSON text, keys in the order of the records, ending in a newline."""
    return json.dumps({"schema": SCHEMA, **encode(report)}, indent=1) + "\n"


def quality_report_from_json(text: str) -> QualityReport:
    """The report that `quality_report_to_json` wrote; raises `EvaluationError` on anything else."""
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise EvaluationError(f"this is not a quality report: {error}. Expected JSON by Accord.") from error
    if not isinstance(tree, dict) or tree.pop("schema", None) != SCHEMA:
        raise EvaluationError(f'this is not a quality report; expected an object with "schema": {SCHEMA}')
    return decode(tree, QualityReport)
