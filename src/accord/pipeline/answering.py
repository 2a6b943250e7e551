"""Answers of a model to prompts and what is measured on them: reward, known taste, reference log-probs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from accord.domain import Completion, Prompt, Streams
from accord.domain.files import write_text_atomic
from accord.evaluation import Checkpoint, Degeneracy, Divergence, measure_degeneracy, measure_divergence
from accord.models import (
    LanguageModel,
    RewardModel,
    hidden_states,
    plan_micro_batches,
    prompt_completion_batch,
    sequence_sum,
    token_logprobs,
)
from accord.pipeline.material import KnownTaste
from accord.pipeline.support import TasteScore
from accord.rollouts import ModelReward, NativeSampler, SamplingConfig
from accord.training import EvalReport, RunStart, StepReport, autocast

SCORING_TOKENS = 4096
"""Tokens scored at one time; results do not depend on it."""


@dataclass(frozen=True, kw_only=True)
class AnswerSet:
    """One answer of one model to each prompt."""

    name: str
    prompts: Sequence[Prompt]
    completions: Sequence[Completion]
    rewards: Sequence[float]
    """By the reward model."""
    reference_logprobs: Sequence[float]
    """Total log-prob of each answer under the reference model."""
    tastes: Sequence[TasteScore] = field(default_factory=tuple)
    """By the known taste; empty where none is known."""

    @property
    def prompt_ids(self) -> list[str]:
        """The cluster of each row."""
        return [prompt.id for prompt in self.prompts]

    @property
    def gold(self) -> list[float]:
        """Total of the known taste, row by row."""
        return [score.total for score in self.tastes]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each answer."""
        return [len(answer.token_ids) for answer in self.completions]

    def divergence(self) -> Divergence:
        """KL of the model from the reference on these answers."""
        own = [sum(answer.logprobs) for answer in self.completions]
        return measure_divergence(own, self.reference_logprobs, self.lengths, self.prompt_ids)

    def degeneracy(self) -> Degeneracy:
        """Length, repetition and cut-offs of the answers."""
        return measure_degeneracy(self.completions)

    def checkpoint(self, step: int, *, n_prompts: int | None = None) -> Checkpoint:
        """These answers as a point of the policy's way; `n_prompts` takes the first ones only."""
        if n_prompts is not None and n_prompts < len(self.prompts):
            fields = ("prompts", "completions", "rewards", "reference_logprobs", "tastes")
            return replace(self, **{name: getattr(self, name)[:n_prompts] for name in fields}).checkpoint(
                step
            )
        kl = self.divergence().per_sequence.value
        return Checkpoint(step=step, kl=kl, proxy=list(self.rewards), gold=self.gold)

    def quality_means(self) -> dict[str, float]:
        """Mean of each quality of the known taste."""
        if not self.tastes:
            return {}
        return {
            name: sum(score.parts[name] for score in self.tastes) / len(self.tastes)
            for name in self.tastes[0].parts
        }


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Asks models the same prompts and measures their answers the same way."""

    reward_model: RewardModel
    reference: LanguageModel
    sampling: SamplingConfig
    streams: Streams
    taste: KnownTaste | None = None

    def examine(self, name: str, model: LanguageModel, prompts: Sequence[Prompt]) -> AnswerSet:
        """Sample one answer to each prompt and measure it; equal draws for every model."""
        sampler = NativeSampler(model)
        groups = sampler.sample(prompts, group=1, config=self.sampling, streams=self.streams)
        completions = [group[0] for group in groups]
        rewards = ModelReward(self.reward_model).score(prompts, completions).values
        # On its own samples the reference is the sampler: its divergence is 0 by definition.
        reference_logprobs = (
            [sum(answer.logprobs) for answer in completions]
            if model is self.reference
            else completion_logprobs(
                self.reference, prompts, completions, temperature=self.sampling.scoring_temperature
            )
        )
        tastes = (
            ()
            if self.taste is None
            else [
                self.taste.judge(prompt, answer) for prompt, answer in zip(prompts, completions, strict=True)
            ]
        )
        return AnswerSet(
            name=name,
            prompts=prompts,
            completions=completions,
            rewards=rewards,
            reference_logprobs=reference_logprobs,
            tastes=tastes,
        )


@torch.inference_mode()
def completion_logprobs(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    *,
    temperature: float = 1.0,
) -> list[float]:
    """Total log-prob of each completion's own ids under `model`, natural log, one a row."""
    rows = [
        (model.tokenizer.prompt_ids(prompt), list(answer.token_ids))
        for prompt, answer in zip(prompts, completions, strict=True)
    ]
    totals = [0.0] * len(rows)
    for batch in plan_micro_batches([len(prompt) + len(answer) for prompt, answer in rows], SCORING_TOKENS):
        packed = prompt_completion_batch([(rows[i][0], [rows[i][1]]) for i in batch]).to(model.device)
        with autocast("auto", model.device):
            hidden = hidden_states(model, packed.ragged)[packed.predictor_index]
            values = token_logprobs(
                hidden, model.head_weight, packed.targets, temperature=temperature
            ).logprobs
        sums = sequence_sum(values, packed.sequence_index, packed.n_completions)
        for row, total in zip(batch, sums.tolist(), strict=True):
            totals[row] = total
    return totals


class FrontierProbe:
    """Observer that examines the policy every so many steps on the same prompts: reward and taste over KL.

    Leaves out the first and the last policy, which the evaluation examines in full. Rows go to a file as
    they come, so that a resumed run keeps them. Nothing it sees is trained on.
    """

    def __init__(
        self, policy: LanguageModel, examiner: Examiner, prompts: Sequence[Prompt], *, every: int, path: Path
    ):
        self.policy = policy
        self.examiner = examiner
        self.prompts = prompts
        self.every = every
        self.path = path
        self._rows: list[Checkpoint] = []

    def on_start(self, start: RunStart) -> None:
        """Keep what was probed before the checkpoint."""
        kept = read_frontier(self.path) if start.first_step else []
        self._rows = [row for row in kept if row.step <= start.first_step]

    def on_step(self, report: StepReport) -> None:
        """Probe when it is time."""
        if report.step % self.every == 0 and report.step < report.steps:
            answers = self.examiner.examine("policy", self.policy, self.prompts)
            self._rows.append(answers.checkpoint(report.step))
            write_text_atomic(self.path, "".join(json.dumps(vars(row)) + "\n" for row in self._rows))

    def on_eval(self, report: EvalReport) -> None:
        """Nothing to do."""

    def on_end(self, reason: str) -> None:
        """Nothing to do."""


def read_frontier(path: Path) -> list[Checkpoint]:
    """The rows a `FrontierProbe` wrote; none when there is no file."""
    if not path.exists():
        return []
    return [Checkpoint(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
