"""What a task brings to a run: demonstrations, prompts, comparisons, and the known taste if there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from accord.domain import (
    Completion,
    DataError,
    Demonstration,
    Judgment,
    Preference,
    Prompt,
    Split,
    split_by_prompt,
)
from accord.models import ChatTokenizer
from accord.pipeline.plan import FilesTaskConfig, SpineConfig, SupportTaskConfig
from accord.pipeline.support import SupportTask, Taste, TasteScore, load_support_task
from accord.rollouts import RewardScores
from accord.store import hash_file, read_demonstrations, read_judgments, read_preferences, read_prompts


@dataclass(frozen=True)
class KnownTaste:
    """The true taste of the support task as a reward: what the panel chooses by, never trained on."""

    task: SupportTask
    taste: Taste = field(default_factory=Taste)

    def judge(self, prompt: Prompt, completion: Completion) -> TasteScore:
        """Total and parts for one answer."""
        return self.taste.score(
            self.task.find(prompt), completion.text, finish_reason=completion.finish_reason
        )

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """The total of each answer, with the qualities as parts."""
        scores = [self.judge(prompt, answer) for prompt, answer in zip(prompts, completions, strict=True)]
        names = scores[0].parts if scores else ()
        return RewardScores(
            values=[score.total for score in scores],
            parts={name: [score.parts[name] for score in scores] for name in names},
        )


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything a run starts from besides the model."""

    demonstrations: Sequence[Demonstration]
    compared: Sequence[Prompt]
    """Training prompts whose sampled answers a panel compares; empty when comparisons exist already."""
    policy_prompts: Sequence[Prompt]
    """Training prompts the policy is optimized on."""
    heldout: Sequence[Prompt]
    """Prompts no stage trains on."""
    preferences: Split[Preference] | None = None
    """Comparisons that exist already, split by prompt."""
    heldout_judgments: Sequence[Judgment] = ()
    """Single votes on the held-out side, for the ceiling."""
    taste: KnownTaste | None = None
    """The known taste; None for real people."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Content hash of each input file."""
    notes: Sequence[str] = ()
    """What was left out and why, in sentences."""


def gather_material(config: SpineConfig, tokenizer: ChatTokenizer) -> Material:
    """Read what the config's task names; nothing is sampled or trained."""
    if isinstance(config.task, SupportTaskConfig):
        return _support_material(config.task)
    return _file_material(config.task, tokenizer, seed=config.seed)


def _support_material(config: SupportTaskConfig) -> Material:
    task = load_support_task()
    available = [row.prompt for row in task.undemonstrated]
    heldout = [row.prompt for row in task.heldout]
    for name, wanted, given in (
        ("compared_prompts", config.compared_prompts, len(available)),
        ("heldout_prompts", config.heldout_prompts, len(heldout)),
    ):
        if not 2 <= wanted <= given:
            raise DataError(f"task.{name} is {wanted}; the support task has {given}, expected 2 to {given}")
    return Material(
        demonstrations=task.demonstrations,
        compared=_spread(available, config.compared_prompts),
        policy_prompts=available,
        heldout=_spread(heldout, config.heldout_prompts),
        taste=KnownTaste(task),
    )


def _spread(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """`count` prompts at even distances, so that every domain is among them."""
    return [prompts[i * len(prompts) // count] for i in range(count)]


def _file_material(config: FilesTaskConfig, tokenizer: ChatTokenizer, *, seed: int) -> Material:
    if not config.preferences:
        raise DataError("task.preferences names no file; expected at least one file of comparisons")
    files = [config.root / path for path in config.preferences]
    everything = read_preferences(files)
    notes: list[str] = []
    fitting = [pair for pair in everything if _pair_tokens(pair, tokenizer) <= config.max_pair_tokens]
    if len(fitting) < len(everything):
        notes.append(
            f"{len(everything) - len(fitting)} of {len(everything)} pairs are longer than "
            f"{config.max_pair_tokens} tokens and were left out."
        )
    split = split_by_prompt(fitting, test_share=config.test_share, seed=seed)
    if not split.train or not split.test:
        raise DataError(
            f"{len(fitting)} pairs give {len(split.train)} to train and {len(split.test)} held out; expected "
            f"both above 0. Give more files, raise max_pair_tokens or change test_share"
        )
    heldout_ids = {pair.prompt.id for pair in split.test}
    prompts = (
        read_prompts([config.root / path for path in config.prompts])
        if config.prompts
        else [pair.prompt for pair in everything]
    )
    short = [
        prompt
        for prompt in {prompt.id: prompt for prompt in prompts}.values()
        if len(tokenizer.prompt_ids(prompt)) <= config.max_prompt_tokens
    ]
    heldout = [prompt for prompt in short if prompt.id in heldout_ids]
    return Material(
        demonstrations=read_demonstrations([config.root / path for path in config.demonstrations])
        if config.demonstrations
        else [],
        compared=[],
        policy_prompts=[prompt for prompt in short if prompt.id not in heldout_ids],
        heldout=_spread(heldout, min(len(heldout), config.evaluation_prompts)),
        preferences=split,
        heldout_judgments=[
            judgment for judgment in _judgments(files) if judgment.comparison.prompt.id in heldout_ids
        ],
        hashes={str(path): hash_file(config.root / path) for path in config.preferences},
        notes=notes,
    )


def _judgments(files: Sequence[Path]) -> list[Judgment]:
    """The single votes of those files that hold votes; files with outcomes alone have none."""
    votes: list[Judgment] = []
    for file in files:
        try:
            votes += read_judgments(file)
        except DataError:
            continue
    return votes


def _pair_tokens(pair: Preference, tokenizer: ChatTokenizer) -> int:
    longer = max(len(tokenizer.completion_ids(text)) for text in (pair.chosen, pair.rejected))
    return len(tokenizer.prompt_ids(pair.prompt)) + longer
