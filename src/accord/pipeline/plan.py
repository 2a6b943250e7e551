"""The config of one pass through the spine: model, task, panel, the three trainings, evaluation.

Composes the configs of the parts; holds nothing of its own but what joins them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from accord.domain import ConfigError
from accord.models import LoraConfig
from accord.rollouts import SamplingConfig
from accord.training import OnlineConfig, RewardTrainingConfig, SftConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model starts, and which of its weights learn."""

    name: str = "smollm2"
    """`smollm2`, `tiny`, a Hugging Face folder, a .gguf file or a hub id."""
    trainable_layers: int | None = None
    """Train only the top N layers; policy, reference and reward model share the others. None trains all."""
    lora: LoraConfig | None = None
    """Train a LoRA adapter instead of weights."""


@dataclass(frozen=True, kw_only=True)
class SupportTaskConfig:
    """The shipped task: a support co-pilot under a written policy, judged by a simulated panel."""

    type: Literal["support"] = "support"
    """Tells the task kinds apart."""
    compared_prompts: int = 200
    """Training prompts whose sampled answers are compared."""
    heldout_prompts: int = 96
    """Prompts no stage trains on: reward-model accuracy and win rate are measured there."""


@dataclass(frozen=True, kw_only=True)
class FilesTaskConfig:
    """Records from files: real comparisons, and optionally demonstrations and prompts."""

    type: Literal["files"] = "files"
    """Tells the task kinds apart."""
    root: Path = Path()
    """Folder the paths below are relative to."""
    preferences: tuple[Path, ...] = ()
    """Files of comparisons, judgments or preferences, in any format `accord data inspect` knows."""
    demonstrations: tuple[Path, ...] = ()
    """Files of demonstrations; none leaves supervised fine-tuning out."""
    prompts: tuple[Path, ...] = ()
    """Files of prompts for policy optimization; none takes the prompts of the preferences."""
    test_share: float = 0.2
    """Share of prompts held out, by hash of the prompt."""
    max_pair_tokens: int = 512
    """Pairs whose prompt and longer answer together exceed this are left out, and counted."""
    max_prompt_tokens: int = 192
    """Prompts longer than this are not used for policy optimization, and counted."""
    evaluation_prompts: int = 64
    """Held-out prompts on which start and policy are compared."""


TaskConfig = SupportTaskConfig | FilesTaskConfig


@dataclass(frozen=True, kw_only=True)
class PanelConfig:
    """The simulated annotators of the support task."""

    answers_per_prompt: int = 3
    """Fresh answers to each training prompt, every pair of them compared; held-out prompts have two."""
    votes_per_pair: int = 3
    """Annotators who see each pair."""
    consensus: Literal["majority", "vote_share", "dawid_skene"] = "dawid_skene"
    """How votes become `p_chosen`."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How start, tuned model and policy are compared on held-out prompts."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How answers are sampled; the same for every model."""
    resamples: int = 2000
    """Bootstrap resamples behind each interval."""
    frontier_points: int = 2
    """Examinations of the policy on its way, beside those of its start and end: where gaming sets in."""
    frontier_prompts: int = 24
    """Held-out prompts of each point of the way."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected at least {least}"
            for name, least in (("frontier_points", 0), ("frontier_prompts", 2), ("resamples", 1))
            if (value := getattr(self, name)) < least
        ]
        if problems:
            raise ConfigError("evaluation", problems)


@dataclass(frozen=True, kw_only=True)
class SpineConfig:
    """One pass: demonstrations, comparisons, reward model, policy, evaluation, report."""

    name: str = "spine"
    """Names the run folder."""
    title: str = "From human preferences to a better model"
    """Heading of the report."""
    seed: int = 0
    """The one seed every draw of the run comes from."""
    threads: int = 0
    """CPU threads; 0 takes what the machine offers."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model that starts."""
    task: TaskConfig = field(default_factory=SupportTaskConfig)
    """Where prompts, demonstrations and comparisons come from."""
    panel: PanelConfig = field(default_factory=PanelConfig)
    """The simulated annotators; only the support task has them."""
    sft: SftConfig = field(default_factory=SftConfig)
    """Supervised fine-tuning; left out when the task has no demonstrations."""
    reward: RewardTrainingConfig = field(default_factory=RewardTrainingConfig)
    """Reward model training."""
    policy: OnlineConfig = field(default_factory=OnlineConfig)
    """Policy optimization."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """The comparison at the end."""
