"""KTO: a policy learns from answers that were judged one by one, each wanted or not.

The reference point is made once an update, before its first micro-batch, from answers to other
prompts of the update, so micro-batches do not change it. Held-out rows share one point of their own.
Leaves out pairs (`dpo`).
"""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from accord.domain import DataError, Streams, Verdict, content_hash
from accord.models.batching import plan_micro_batches
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.models.logprobs import sequence_sum
from accord.models.ragged import PackedCompletions, body_of, prompt_completion_batch
from accord.training.heldout_answers import HeldOutAnswers
from accord.training.loop import optimize
from accord.training.objectives.direct import weighted_mean
from accord.training.objectives.unpaired import kto, reference_point
from accord.training.optimizer import OptimizationConfig
from accord.training.order import DataOrder
from accord.training.precision import autocast
from accord.training.reference import Reference, score_completions
from accord.training.reference_cache import cache_for
from accord.training.reports import Observer
from accord.training.settings import check_settings
from accord.training.sft import TrainingResult
from accord.training.split import hold_out_records
from accord.training.task import LossPart, Update


@dataclass(frozen=True, kw_only=True)
class KtoConfig:
    """How a policy is trained on answers judged one by one."""

    beta: float = 0.1
    """How hard the policy is held to the reference."""
    desirable_weight: float = 1.0
    """Weight of the loss of wanted answers; with few of them raise it, so that both sides sum alike."""
    undesirable_weight: float = 1.0
    """Weight of the loss of unwanted answers."""
    epochs: float = 1.0
    """Passes over the rows."""
    batch_size: int = 8
    """Rows in one update, 2 or more: the reference point is read off answers to other rows' prompts."""
    max_tokens: int = 1024
    """Longest prompt with its answer; longer ones are cut and counted. Never above the model's context."""
    is_shuffled: bool = True
    """A new order in each pass, from the run's streams; False keeps the order given."""
    eval_share: float = 0.1
    """Share of prompts held out when no evaluation answers are given; 0 holds out nothing."""
    reference_cache: str | None = None
    """Folder that keeps reference log-probs for later runs on the same rows and reference; None keeps them
    for the later passes of this run only."""
    optimization: OptimizationConfig = field(
        default_factory=lambda: OptimizationConfig(learning_rate=1e-6, schedule="linear", warmup_steps=10)
    )
    """Optimizer, schedule, precision, evaluation and checkpoints."""

    def __post_init__(self) -> None:
        check_settings(
            "kto",
            self,
            (
                ("beta", self.beta > 0, "above 0"),
                ("desirable_weight", self.desirable_weight >= 0, "0 or more"),
                ("undesirable_weight", self.undesirable_weight >= 0, "0 or more"),
                ("epochs", self.epochs > 0, "above 0"),
                ("batch_size", self.batch_size >= 2, "2 or more"),
                ("max_tokens", self.max_tokens >= 2, "2 or more"),
                ("eval_share", 0 <= self.eval_share < 1, "in [0, 1)"),
            ),
        )


def train_kto(
    model: LanguageModel,
    answers: Sequence[Verdict],
    config: KtoConfig | None = None,
    *,
    reference: LanguageModel | None = None,
    eval_answers: Sequence[Verdict] | None = None,
    run_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    resume: bool = False,
    streams: Streams | None = None,
) -> TrainingResult:
    """Train `model` in place on judged answers; `reference` is the model as it comes unless given.

    Without `eval_answers`, those of `eval_share` of the prompts are held out. `run_dir` gets metrics,
    checkpoints and the model; `resume` goes on from there.
    """
    streams, settings = streams or Streams(0), config or KtoConfig()
    train, held_out = hold_out_records(answers, eval_answers, settings.eval_share, streams)
    rows, eval_rows = (judged_rows(model, part, max_tokens=settings.max_tokens) for part in (train, held_out))
    task = KtoTask(model, rows, settings, reference=reference, eval_rows=eval_rows, streams=streams)
    result = optimize(
        task, task.optimization, streams=streams, run_dir=run_dir, observers=observers, resume=resume
    )
    model.network.eval()
    cut = sum(row.is_cut for row in rows)
    return TrainingResult(model=model, metrics=result.metrics, steps=result.steps, truncated_rows=cut)


@dataclass(frozen=True)
class JudgedRow:
    """A judged answer as ids."""

    prompt_ids: list[int]
    completion_ids: list[int]
    p_desirable: float = 1.0
    weight: float = 1.0
    is_cut: bool = False

    @property
    def n_tokens(self) -> int:
        """Of prompt and answer."""
        return len(self.prompt_ids) + len(self.completion_ids)


def reference_key(row: JudgedRow) -> str:
    """What a row's reference log-probs are found by."""
    return hashlib.sha256(f"{row.prompt_ids}{row.completion_ids}".encode()).hexdigest()


def judged_rows(model: LanguageModel, answers: Sequence[Verdict], *, max_tokens: int) -> list[JudgedRow]:
    """Judged answers as ids; rows of weight 0 count for nothing and are left out."""
    context: int = body_of(model.body).config.max_position_embeddings
    rows = []
    for answer in answers:
        if not 0 <= answer.weight < math.inf:
            raise DataError(f"a verdict has the weight {answer.weight}; expected a finite number, 0 or more")
        if answer.weight == 0:
            continue
        (ids,) = model.tokenizer.examples(
            answer.prompt, [answer.completion], max_tokens=min(max_tokens, context)
        )
        is_cut = ids.is_truncated or ids.dropped_prompt_tokens > 0
        rows.append(
            JudgedRow(ids.prompt_ids, ids.completion_ids, float(answer.is_desirable), answer.weight, is_cut)
        )
    return rows


@dataclass(frozen=True)
class KtoMicroBatch:
    """Some rows of an update, packed, with the update's reference point and total weight."""

    rows: list[JudgedRow]
    packed: PackedCompletions
    reference_sums: Tensor
    """[row] Log-probs of whole answers under the reference."""
    point: Tensor
    """Scalar, without gradient."""
    normalizer: float


class KtoTask:
    """Judged answers for a policy as the loop sees them."""

    name = "kto"

    def __init__(
        self,
        model: LanguageModel,
        rows: Sequence[JudgedRow],
        config: KtoConfig,
        *,
        reference: LanguageModel | None = None,
        eval_rows: Sequence[JudgedRow] = (),
        streams: Streams,
    ):
        if len(rows) < 2:
            raise DataError(
                f"{len(rows)} judged answers with a weight above 0; the reference point needs 2 or more"
            )
        self.model, self.config = model, config
        self.rows, self.eval_rows = list(rows), list(eval_rows)
        self.order = DataOrder(len(self.rows), config.batch_size, streams, config.is_shuffled)
        self.reference = Reference(model, reference, precision=config.optimization.precision)
        self._reference_sums = cache_for(self.reference, config.reference_cache, config.optimization, model)

    @property
    def optimization(self) -> OptimizationConfig:
        """The optimization settings with the number of steps filled in."""
        steps = self.config.optimization.steps or self.order.steps_for(self.config.epochs)
        return dataclasses.replace(self.config.optimization, steps=steps)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The policy's trainable weights."""
        return self.model.trainable_parameters()

    def identity(self) -> dict[str, str]:
        """Hashes of policy, reference and rows, and the settings."""
        settings = dataclasses.asdict(self.config)
        del settings["optimization"], settings["reference_cache"]
        return {
            "model": self.model.version,
            "reference": self.reference.version,
            "data": content_hash([dataclasses.astuple(row) for row in (*self.rows, *self.eval_rows)]),
            **{f"kto.{key}": json.dumps(value) for key, value in settings.items()},
        }

    def next_update(self, step: int) -> Update:
        """The rows of this step, packed, scored by the reference, under one reference point."""
        rows = [self.rows[i] for i in self.order.batch(step)]
        self.model.network.eval()
        self._ask_reference([*rows, *self.mismatched(rows)])
        point = self.point(rows)
        total = sum(row.weight for row in rows)
        parts = []
        for part in self._split(rows):
            packed = self._packed(part)
            parts.append(KtoMicroBatch(part, packed, self._scored_by_reference(part, packed), point, total))
        return Update(
            micro_batches=parts,
            tokens=sum(row.n_tokens for row in rows),
            metrics={
                "kto/reference_point": float(point),
                "kto/rows": float(len(rows)),
                "kto/truncated_rows": float(sum(row.is_cut for row in rows)),
                "kto/epoch": (step + 1) / self.order.steps_per_epoch,
            },
        )

    @torch.no_grad()
    def point(self, rows: Sequence[JudgedRow]) -> Tensor:
        """The reference point of rows that are updated together; no mismatched rows give 0."""
        return reference_point(self._log_ratios(self.mismatched(rows)))

    def mismatched(self, rows: Sequence[JudgedRow]) -> list[JudgedRow]:
        """Each prompt with the answer of the row before it, the first with the last.

        A prompt equal to its neighbor's would be no mismatch and is left out. TRL keeps those, so where
        one prompt has several rows in an update its reference point is another.
        """
        return [
            JudgedRow(row.prompt_ids, other.completion_ids)
            for row, other in zip(rows, [rows[-1], *rows[:-1]], strict=True)
            if row.prompt_ids != other.prompt_ids
        ]

    def loss(self, micro_batch: KtoMicroBatch) -> LossPart:
        """This micro-batch's share of the weighted mean; dropout is off, as for the reference."""
        self.model.network.eval()
        ratios = self._sums(micro_batch.packed) - micro_batch.reference_sums
        weights, p_desirable = (
            torch.tensor([getattr(row, name) for row in micro_batch.rows], device=ratios.device)
            for name in ("weight", "p_desirable")
        )
        losses = kto(
            ratios,
            p_desirable,
            reference=micro_batch.point,
            beta=self.config.beta,
            desirable_weight=self.config.desirable_weight,
            undesirable_weight=self.config.undesirable_weight,
        )
        shares = weights / micro_batch.normalizer
        gains = (self.config.beta * (ratios - micro_batch.point)).detach()
        agreement = (gains.sign() * (p_desirable - 0.5).sign() + 1) / 2
        return LossPart(
            weighted_mean(losses, weights, normalizer=micro_batch.normalizer),
            {
                "kto/accuracy": (shares * agreement).sum(),
                "kto/margin": (shares * gains * (2 * p_desirable - 1)).sum(),
            },
        )

    def evaluate(self, step: int) -> dict[str, float]:
        """Loss, accuracy and order of the held-out rows, under one reference point read off all of them."""
        if not self.eval_rows:
            return {}
        self.model.network.eval()
        point = self.point(self.eval_rows)
        held_out = HeldOutAnswers(
            log_ratios=self._log_ratios(self.eval_rows).double().cpu().numpy(),
            p_desirable=np.array([row.p_desirable for row in self.eval_rows]),
            weights=np.array([row.weight for row in self.eval_rows]),
            reference_point=float(point),
        )
        return held_out.metrics(
            beta=self.config.beta,
            desirable_weight=self.config.desirable_weight,
            undesirable_weight=self.config.undesirable_weight,
        )

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the order follows from the step, and reference log-probs are made again."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to take up."""

    def save_model(self, folder: Path) -> None:
        """A plain Hugging Face folder."""
        save_model(self.model, folder)

    def _split(self, rows: Sequence[JudgedRow]) -> list[list[JudgedRow]]:
        return [[rows[i] for i in members] for members in self._plan(rows)]

    def _plan(self, rows: Sequence[JudgedRow]) -> list[list[int]]:
        """Places of the rows of each micro-batch, answers to one prompt side by side where they fit."""
        if not rows:
            return []
        most = self.config.optimization.micro_batch_tokens
        groups: list[list[int]] = []
        lengths: list[int] = []
        newest: dict[tuple[int, ...], int] = {}
        for place, row in enumerate(rows):
            key = tuple(row.prompt_ids)
            group = newest.get(key)
            if group is None or lengths[group] + len(row.completion_ids) > most:
                newest[key] = len(groups)
                groups.append([place])
                lengths.append(row.n_tokens)
            else:
                groups[group].append(place)
                lengths[group] += len(row.completion_ids)
        return [[i for group in part for i in groups[group]] for part in plan_micro_batches(lengths, most)]

    @torch.no_grad()
    def _log_ratios(self, rows: Sequence[JudgedRow]) -> Tensor:
        """[row] log pi - log ref of whole answers, in the order of `rows`."""
        ratios = torch.zeros(len(rows), device=self.model.device)
        for members in self._plan(rows):
            part = [rows[i] for i in members]
            packed = self._packed(part)
            with autocast(self.config.optimization.precision, self.model.device):
                sums = self._sums(packed)
            ratios[members] = (sums - self._scored_by_reference(part, packed)).to(ratios.dtype)
        return ratios

    def _packed(self, rows: Sequence[JudgedRow]) -> PackedCompletions:
        """The rows in their order; a prompt runs once for all its neighbors."""
        groups = [
            (prompt_ids, [row.completion_ids for row in same])
            for prompt_ids, same in itertools.groupby(rows, key=lambda row: row.prompt_ids)
        ]
        return prompt_completion_batch(groups).to(self.model.device)

    def _ask_reference(self, rows: Sequence[JudgedRow]) -> None:
        """Score what the reference does not know yet: own and mismatched answers share their prompt."""
        by_key = {reference_key(row): row for row in rows}
        new = [row for key, row in by_key.items() if self._reference_sums.get([key]) is None]
        for members in self._plan(new):
            part = [new[i] for i in members]
            self._scored_by_reference(part, self._packed(part))

    def _sums(self, packed: PackedCompletions) -> Tensor:
        logprobs = score_completions(self.model, packed).logprobs
        return sequence_sum(logprobs, packed.sequence_index, packed.n_completions)

    @torch.no_grad()
    def _scored_by_reference(self, rows: Sequence[JudgedRow], packed: PackedCompletions) -> Tensor:
        """[row] Reference log-probs of the answers; those already known are not made again."""
        keys = [reference_key(row) for row in rows]
        known = self._reference_sums.get(keys)
        if known is None:
            with autocast(self.config.optimization.precision, self.model.device):
                logprobs = self.reference.logprobs(packed, trunk=None, temperature=1.0)
            sums = sequence_sum(logprobs, packed.sequence_index, packed.n_completions)
            self._reference_sums.add((key, [value]) for key, value in zip(keys, sums.tolist(), strict=True))
            return sums
        return torch.tensor([value for (value,) in known], device=self.model.device)
