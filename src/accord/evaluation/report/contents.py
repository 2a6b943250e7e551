"""What a report holds: a tree of frozen records that a pipeline fills in and everything else only reads.

Every section is optional; an empty one is left out of the page, the JSON keeps it empty.
Leaves out how anything looks (`page.py`) and how it is written down (`encoding.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from accord.domain.errors import EvaluationError
from accord.evaluation.calibration import Calibration
from accord.evaluation.ceiling import HumanCeiling
from accord.evaluation.degeneracy import Degeneracy
from accord.evaluation.intervals import Estimate
from accord.evaluation.overoptimization import Overoptimization
from accord.evaluation.reward_accuracy import RewardAccuracy
from accord.evaluation.winrate import WinRate

Style = Literal["percent", "number", "nats"]
"""How a value is written: 71.4 %, 0.714, 0.714 nats."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A known value to hold a number against: chance, a ceiling, the value before."""

    value: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One headline number."""

    label: str
    estimate: Estimate
    style: Style = "number"
    before: Estimate | None = None
    """The same number before training; drawn as "from ... to ..."."""
    marks: tuple[Mark, ...] = ()
    """Reference values drawn beside the interval."""
    axis: tuple[float, float] | None = None
    """Range of the little interval bar; None: 0 to 1 for percent, fitted otherwise."""
    note: str = ""
    """One short line: what it means or on how much it rests."""


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """One model of the run: what the stage that made it bought."""

    name: str
    """Start, SFT, Policy, ..."""
    taste: Estimate | None = None
    """Mean true taste (gold reward) on held-out prompts."""
    proxy: Estimate | None = None
    """Mean reward by the reward model on the same answers."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Mean of each quality that the taste is made of."""
    degeneracy: Degeneracy | None = None
    """Length, repetition, cut-off and so on of its answers."""
    versus_previous: WinRate | None = None
    versus_start: WinRate | None = None
    kl: Estimate | None = None
    """KL to the reference, nats an answer."""
    seconds: float | None = None
    """Wall time of the stage."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a training curve. Curves of the same stage and y label share a panel."""

    stage: str
    """Heading it stands under: "Supervised fine-tuning", "Reward model", ..."""
    name: str
    """The line: "training", "held out", ..."""
    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str = "step"
    y_label: str = "loss"

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise EvaluationError(
                f"curve {self.name!r} of {self.stage!r} has {len(self.x)} x and {len(self.y)} y values; "
                f"expected one y per x"
            )


@dataclass(frozen=True, kw_only=True)
class NamedWinRate:
    """A win rate with the words that say who met whom by whose taste."""

    label: str
    """e.g. "Policy vs start"."""
    win_rate: WinRate
    judge: str = ""
    """e.g. "true taste", "reward model", "people"."""


@dataclass(frozen=True, kw_only=True)
class RewardHealth:
    """The reward model on held-out pairs, beside what people and length alone achieve."""

    accuracy: RewardAccuracy | None = None
    calibration: Calibration | None = None
    ceiling: HumanCeiling | None = None
    length_baseline: RewardAccuracy | None = None
    length_correlation: Estimate | None = None
    """Within-prompt correlation of reward and length on samples of the policy."""
    label_source: str = ""
    """Whose labels, e.g. "majority of 5 simulated annotators" or "pref_llmfao, people"."""


@dataclass(frozen=True, kw_only=True)
class AnnotatorRow:
    """One annotator: what is estimated of them and, when simulated, what is known."""

    name: str
    judgments: int
    estimated_skill: Estimate | None = None
    """Probability of choosing the better side, as estimated without knowing the truth."""
    known_skill: float | None = None
    """The simulated annotator's true value."""
    carelessness: float | None = None
    """Known share of random clicks of a simulated annotator."""
    bias: str = ""
    """e.g. "prefers the left side"; "none known" when empty."""
    is_simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One model's answer to a prompt, with its scores."""

    model: str
    """Start, SFT, Policy, ... in the order to be shown."""
    text: str
    scores: Mapping[str, float] = field(default_factory=dict)
    """e.g. {"taste": 0.71, "reward": 1.3}."""
    n_tokens: int | None = None
    is_cut_off: bool = False


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One held-out prompt and what each model answered."""

    prompt: str
    answers: tuple[Answer, ...]
    gain: float = 0.0
    """Score of the last answer minus the first, for sorting into biggest wins and losses."""
    domain: str = ""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where everything came from and how to get it again."""

    command: str = ""
    seed: int | None = None
    code_version: str = ""
    config: str = ""
    """The effective config as TOML text."""
    data: Mapping[str, str] = field(default_factory=dict)
    """Name -> content hash."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Name -> content hash."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Name -> version."""
    machine: str = ""
    seconds: float | None = None
    """Wall time of the whole run."""
    peak_memory_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything one report shows. Identical reports give identical pages and JSON."""

    title: str
    subtitle: str = ""
    """One sentence: what was trained, on what."""
    created_at: str = ""
    """ISO 8601 time, given by the caller's clock."""
    is_simulated: bool = False
    """True puts the "simulated annotators" banner on top."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Short facts for the header: model, prompts, pairs, seed, device."""
    notes: tuple[str, ...] = ()
    """Findings in plain words, shown under the cards; caveats belong here."""
    cards: tuple[Card, ...] = ()
    taste_name: str = "taste"
    """What the gold reward is called in this run: "true taste", "people's reward", ..."""
    stages: tuple[StageRow, ...] = ()
    curves: tuple[Curve, ...] = ()
    frontier: Overoptimization | None = None
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Model name -> length in tokens of each held-out answer, in stage order."""
    win_rates: tuple[NamedWinRate, ...] = ()
    reward_health: RewardHealth | None = None
    annotators: tuple[AnnotatorRow, ...] = ()
    samples: tuple[Sample, ...] = ()
    lineage: Lineage = field(default_factory=Lineage)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further JSON values kept in the JSON and left out of the page."""
