"""What a comparison report holds: frozen records, every part optional, equal records give equal pages.

Leaves out how they are filled (`building.py`) and how they look.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from accord.domain.errors import EvaluationError
from accord.evaluation.calibration import Calibration
from accord.evaluation.intervals import Estimate
from accord.evaluation.report.contents import Report, Style

VerdictWord = Literal["pass", "fail", "undecided", "not measured"]


@dataclass(frozen=True, kw_only=True)
class GateTile:
    """One gate and what came of it."""

    id: str
    metric: str
    slice: str = "all"
    versus: str = "nothing"
    verdict: VerdictWord
    severity: str = "block"
    about: str = ""
    reason: str = ""
    estimate: Estimate | None = None
    threshold: float | None = None
    is_floor: bool = True
    """True where the right side of the threshold is above it."""
    lower_end: float | None = None
    """The other threshold of a gate that asks for a band."""
    more_needed: int | None = None
    waived_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """One line of the forest plot: candidate minus incumbent, or a win rate less one half."""

    label: str
    estimate: Estimate
    style: Style = "percent"
    candidate: Estimate | None = None
    incumbent: Estimate | None = None
    threshold: float | None = None
    """Margin of the gate on it; None where there is none."""
    is_floor: bool = True
    lower_end: float | None = None
    """The other margin of a gate that asks for a band."""
    verdict: VerdictWord | None = None
    p_value: float | None = None
    test: str = ""
    """e.g. "exact McNemar", "sign flips by prompt"."""
    detectable: float | None = None
    """Difference that so many prompts show with a power of 0.8."""


@dataclass(frozen=True, kw_only=True)
class RewardCurve:
    """One reward over KL; all curves of a page share their axes, so give them one unit."""

    name: str
    """"gold", "proxy", "ensemble minimum", or the judge's name."""
    kl: tuple[float, ...]
    rewards: tuple[Estimate, ...]

    def __post_init__(self) -> None:
        if len(self.kl) != len(self.rewards):
            raise EvaluationError(
                f"curve {self.name!r} has {len(self.kl)} KL and {len(self.rewards)} rewards"
            )


@dataclass(frozen=True, kw_only=True)
class FittedCurve:
    """Gao's form through the gold rewards, in the unit of the curves."""

    form: str
    """"best_of_n" or "rl"."""
    kl: tuple[float, ...]
    values: tuple[float, ...]
    peak_kl: Estimate
    """Infinite where it never turns."""


@dataclass(frozen=True, kw_only=True)
class LengthCurve:
    """What a judge gave to answers of each length."""

    name: str
    lengths: tuple[float, ...]
    """Mean of each bin."""
    rewards: tuple[Estimate, ...]
    unit: str = "tokens"

    def __post_init__(self) -> None:
        if len(self.lengths) != len(self.rewards):
            raise EvaluationError(
                f"{self.name!r} has {len(self.lengths)} lengths and {len(self.rewards)} rewards"
            )


@dataclass(frozen=True, kw_only=True)
class AgreementPanel:
    """Reward model's accuracy where people agree more or less."""

    rows: tuple[tuple[str, Estimate], ...]
    ceiling: Estimate | None = None
    """Highest accuracy that people's disagreement allows."""


@dataclass(frozen=True, kw_only=True)
class LengthPanel:
    """What a win is worth at equal length, and what empty politeness wins."""

    raw: Estimate
    controlled: Estimate | None = None
    constant: Estimate | None = None
    """Win rate of one fixed sentence."""


@dataclass(frozen=True, kw_only=True)
class SafetyDot:
    """One release in the safety plane, in the order of the releases."""

    name: str
    harmful_refusal: Estimate
    safe_refusal: Estimate


@dataclass(frozen=True, kw_only=True)
class BiasRow:
    """One slice of a bias measure."""

    label: str
    estimate: Estimate
    before: Estimate | None = None
    """The incumbent's."""


@dataclass(frozen=True, kw_only=True)
class BiasPanel:
    """One bias measure as a small multiple."""

    name: str
    rows: tuple[BiasRow, ...]
    neutral: float = 0.0
    """The value of a model that does not lean."""
    style: Style = "number"


@dataclass(frozen=True, kw_only=True)
class DriftChart:
    """A number batch by batch with its control limits."""

    name: str
    batches: tuple[str, ...]
    values: tuple[Estimate, ...]
    low: float | None = None
    high: float | None = None
    action: str = ""
    """What a value outside the limits asks for."""

    def __post_init__(self) -> None:
        if len(self.batches) != len(self.values):
            raise EvaluationError(
                f"chart {self.name!r} has {len(self.batches)} batches and {len(self.values)} values"
            )


@dataclass(frozen=True, kw_only=True)
class VoteChart:
    """Votes as they came, with bounds that hold at every look."""

    name: str
    means: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    threshold: float = 0.5
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not len(self.means) == len(self.lows) == len(self.highs):
            raise EvaluationError(f"chart {self.name!r} needs a mean and both bounds after every vote")

    @property
    def stopped_at(self) -> int | None:
        """Votes after which the bounds left the threshold for the first time."""
        for i, (low, high) in enumerate(zip(self.lows, self.highs, strict=True), start=1):
            if low > self.threshold or high < self.threshold:
                return i
        return None


@dataclass(frozen=True, kw_only=True)
class GateSeries:
    """A gate's number through the releases, as the history of gates has it."""

    id: str
    metric: str
    slice: str = "all"
    is_level: bool = True
    """False where the number is the difference from the incumbent of its time."""
    threshold: float | None = None
    releases: tuple[str, ...]
    verdicts: tuple[str, ...]
    values: tuple[Estimate | None, ...]
    """None where a release was not measured."""
    change: Estimate | None = None
    """The last value less the one before."""
    trend: str = ""
    """better, worse, not told apart, or empty."""

    def __post_init__(self) -> None:
        if not len(self.releases) == len(self.verdicts) == len(self.values) > 0:
            raise EvaluationError(f"series {self.id!r} needs a verdict and a value for each of its releases")
        strange = sorted(set(self.verdicts) - set(get_args(VerdictWord)))
        if strange:
            raise EvaluationError(
                f"series {self.id!r} has the verdict {strange[0]!r}; expected {VerdictWord}"
            )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What measurements alone do not hold; each part makes one section of the page."""

    curves: tuple[RewardCurve, ...] = ()
    calibration: Calibration | None = None
    """Of the reward model, for the reliability diagram."""
    calibration_before: Calibration | None = None
    """The same before its temperature."""
    safety: tuple[SafetyDot, ...] = ()
    bias: tuple[BiasPanel, ...] = ()
    drift: tuple[DriftChart, ...] = ()
    votes: VoteChart | None = None
    reward_length: tuple[LengthCurve, ...] = ()
    """The incumbent's and the candidate's."""
    history: tuple[GateSeries, ...] = ()
    """Gates of this and of earlier releases."""


@dataclass(frozen=True, kw_only=True)
class ComparisonReport:
    """Everything one comparison shows."""

    base: Report
    """Title, headline cards, findings, lengths, samples and provenance, as in the report of a run."""
    verdict: VerdictWord
    plan_name: str = ""
    plan_hash: str = ""
    gates: tuple[GateTile, ...] = ()
    deltas: tuple[Delta, ...] = ()
    length: LengthPanel | None = None
    agreement: AgreementPanel | None = None
    fitted: FittedCurve | None = None
    kl_budget: float | None = None
    """Of the plan's gate on KL."""
    kl_candidate: Estimate | None = None
    evidence: Evidence = field(default_factory=Evidence)
    not_measured: Mapping[str, str] = field(default_factory=dict)
    """Metric -> why there is no number."""
