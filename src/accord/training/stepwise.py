"""A reward model from labeled steps (a process reward model), read at the last token of each step.

An answer's steps are tokenized one by one with their separator; the last is read at EOS, so that the plain
score of an answer is that of its last step. `score_steps` gives all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accord.domain import ConfigError, DataError, Prompt, StepLabels
from accord.models.batching import plan_micro_batches
from accord.models.ragged import hidden_states, prompt_completion_batch
from accord.models.reward import DEFAULT_BATCH_TOKENS, RewardModel
from accord.training.answers import AnswerRow, per_row, read_index, row_tokens
from accord.training.objectives.steps import step_loss
from accord.training.task import LossPart


@dataclass(frozen=True, kw_only=True)
class StepsObjective:
    """Learn from step labels: files of prompts with an answer in steps, each right or wrong."""

    type: Literal["steps"] = "steps"
    """Picks this objective."""
    separator: str = "\n"
    """Stands after each step but the last, in training and at use."""

    def __post_init__(self) -> None:
        if not self.separator:
            raise ConfigError("objective", ["separator must be text, got ''"])


class StepLearner:
    """`RewardObjective` of step labels."""

    def __init__(self, settings: StepsObjective):
        self.dimensions: tuple[str, ...] = ("overall",)
        self.mix: tuple[float, ...] = (1.0,)
        self.settings = settings

    def rows(self, model: RewardModel, records: Sequence[StepLabels], *, max_tokens: int) -> list[AnswerRow]:
        """Answers as ids; steps without a label are not read, answers without a labeled step left out."""
        rows = (
            step_row(
                model,
                record.prompt,
                record.steps,
                record.labels,
                separator=self.settings.separator,
                max_tokens=max_tokens,
            )
            for record in records
        )
        return [row for row in rows if row.weight > 0]

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Nothing beside the model."""
        return []

    def loss(self, scores: Tensor, rows: Sequence[AnswerRow], normalizer: float) -> LossPart:
        """Mean over the update's labeled steps."""
        labels = torch.tensor([label for row in rows for label in row.said], device=scores.device)
        own = scores[:, 0]
        loss = step_loss(own, labels, weights=torch.ones_like(own), normalizer=normalizer)
        return LossPart(loss, {"reward/accuracy": _agreement(own, labels).sum() / normalizer})

    def evaluate(self, scores: Tensor, rows: Sequence[AnswerRow]) -> dict[str, float]:
        """Likelihood and accuracy over steps, and share of answers whose first wrong step is found."""
        own = scores[:, 0]
        labels = torch.tensor([label for row in rows for label in row.said], dtype=own.dtype)
        found = [
            _first_wrong(torch.tensor(row.said) - 0.5) == _first_wrong(part)
            for row, part in zip(rows, per_row(own, rows), strict=True)
        ]
        metrics = {
            "reward/eval_nll": float(step_loss(own, labels, weights=torch.ones_like(own))),
            "reward/eval_first_wrong": sum(found) / len(found),
        }
        decided = labels != 0.5
        if decided.any():
            metrics["reward/eval_accuracy"] = float(_agreement(own, labels)[decided].mean())
        return metrics

    def report(self) -> Mapping[str, Any]:
        """How steps must be joined at use."""
        return {"separator": self.settings.separator}


def step_row(
    model: RewardModel,
    prompt: Prompt,
    steps: Sequence[str],
    labels: Sequence[float | None],
    *,
    separator: str,
    max_tokens: int,
) -> AnswerRow:
    """An answer read at the ends of its labeled steps; a row too long loses prompt first, then last steps."""
    tokenizer, room = model.tokenizer, row_tokens(model, max_tokens)
    head = tokenizer.prompt_ids(prompt)
    tail, ends = tokenizer.step_ids(steps, separator=separator)
    kept = tokenizer.cut_prompt(head, max(room - len(tail), room // 2)) if room < len(head + tail) else head
    left = room - len(kept)
    pairs = zip(ends, labels, strict=True)
    read = [(end, label) for end, label in pairs if label is not None and end < left]
    return AnswerRow(
        prompt_ids=kept,
        answers=(tail[:left],),
        reads=(tuple(end for end, _ in read),),
        said=tuple(float(label) for _, label in read),
        weight=float(len(read)),
        is_cut=len(kept) < len(head) or left < len(tail),
    )


@torch.inference_mode()
def score_steps(
    model: RewardModel,
    prompts: Sequence[Prompt],
    answers: Sequence[Sequence[str]],
    *,
    separator: str = "\n",
    batch_tokens: int = DEFAULT_BATCH_TOKENS,
) -> list[list[float]]:
    """Raw log-odds that each step of each answer is right; `join_steps` makes one score of them.

    An answer that does not fit into the model's context raises: steps would go without a score.
    """
    model.eval()
    context = row_tokens(model, 2**31)
    rows = [
        step_row(model, prompt, steps, [1.0] * len(steps), separator=separator, max_tokens=context)
        for prompt, steps in zip(prompts, answers, strict=True)
    ]
    for row, steps in zip(rows, answers, strict=True):
        if row.n_reads < len(steps) or not steps:
            raise DataError(
                f"{row.n_reads} of {len(steps)} steps of an answer fit into {context} tokens; expected all, "
                f"and one at least"
            )
    scores: list[list[float]] = [[] for _ in rows]
    for batch in plan_micro_batches([row.n_tokens for row in rows], batch_tokens):
        chosen = [rows[i] for i in batch]
        packed = prompt_completion_batch([(row.prompt_ids, list(row.answers)) for row in chosen])
        packed = packed.to(model.device)
        hidden = hidden_states(model.body, packed.ragged)
        values = model.dimension_scores(hidden[read_index(packed, chosen)])[:, 0]
        for i, own in zip(batch, per_row(values, chosen), strict=True):
            scores[i] = own.tolist()
    return scores


def _agreement(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores.detach().sign() * (labels - 0.5).sign() + 1) / 2


def _first_wrong(values: Tensor) -> int:
    """Place of the first value below 0; the number of values where none is."""
    wrong = (values < 0).nonzero()
    return int(wrong[0]) if len(wrong) else len(values)
