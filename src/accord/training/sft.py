"""Supervised fine-tuning: imitate demonstrations, with loss on the completion only."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accord.domain import DataError, Demonstration, Streams
from accord.models.batching import plan_micro_batches
from accord.models.chat import TokenizedExample
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.models.logprobs import token_logprobs
from accord.models.ragged import PackedCompletions, hidden_states, prompt_completion_batch
from accord.training.loop import optimize
from accord.training.objectives.masked import completion_nll
from accord.training.optimizer import OptimizationConfig
from accord.training.order import DataOrder
from accord.training.reports import Observer
from accord.training.settings import check_settings
from accord.training.task import LossPart, Update


@dataclass(frozen=True, kw_only=True)
class SftConfig:
    """How a model is fine-tuned on demonstrations."""

    epochs: float = 1.0
    """Passes over the demonstrations; `optimization.steps` goes before it when set."""
    batch_size: int = 8
    """Demonstrations in one update."""
    max_tokens: int = 1024
    """Longest prompt with completion; longer ones are cut and counted. Never above the model's context."""
    is_shuffled: bool = True
    """A new order in each pass, from the run's streams; False keeps the order given."""
    optimization: OptimizationConfig = field(
        default_factory=lambda: OptimizationConfig(learning_rate=2e-5, schedule="linear", warmup_steps=5)
    )
    """Optimizer, schedule, precision, evaluation and checkpoints."""

    def __post_init__(self) -> None:
        check_settings(
            "sft",
            self,
            (
                ("epochs", self.epochs > 0, "above 0"),
                ("batch_size", self.batch_size >= 1, "1 or more"),
                ("max_tokens", self.max_tokens >= 2, "2 or more"),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A language model after training."""

    model: LanguageModel
    """The model that was handed in: training changes it in place."""
    metrics: Mapping[str, float]
    """The last value of every metric."""
    steps: int
    truncated_rows: int
    """Training rows that were cut to `max_tokens`."""
    warnings: tuple[str, ...] = ()
    """What was noticed on the way."""


def train_sft(
    model: LanguageModel,
    demonstrations: Sequence[Demonstration],
    config: SftConfig | None = None,
    *,
    eval_demonstrations: Sequence[Demonstration] = (),
    run_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    resume: bool = False,
    streams: Streams | None = None,
) -> TrainingResult:
    """Fine-tune `model` in place; each evaluation logs the loss on `eval_demonstrations`.

    `run_dir` gets metrics, checkpoints and the model; `resume` goes on from the newest
    checkpoint there, given the model, data and config the run was started with.
    """
    settings = config if config is not None else SftConfig()
    task = SftTask(
        model,
        demonstrations,
        settings,
        eval_demonstrations=eval_demonstrations,
        streams=streams or Streams(0),
    )
    result = optimize(
        task,
        task.optimization,
        streams=task.streams,
        run_dir=run_dir,
        observers=observers,
        resume=resume,
    )
    model.network.eval()
    return TrainingResult(
        model=model, metrics=result.metrics, steps=result.steps, truncated_rows=task.truncated_rows
    )


@dataclass(frozen=True)
class SftMicroBatch:
    """Some of an update's rows, and the update's count of completion tokens."""

    packed: PackedCompletions
    normalizer: int


class SftTask:
    """Demonstrations as the loop sees them."""

    name = "sft"

    def __init__(
        self,
        model: LanguageModel,
        demonstrations: Sequence[Demonstration],
        config: SftConfig,
        *,
        eval_demonstrations: Sequence[Demonstration] = (),
        streams: Streams,
    ):
        self.model = model
        self.config = config
        self.streams = streams
        self.rows = tokenize_demonstrations(model, demonstrations, max_tokens=config.max_tokens)
        if not self.rows:
            raise DataError("no demonstrations to learn from, got an empty list")
        self.eval_rows = tokenize_demonstrations(model, eval_demonstrations, max_tokens=config.max_tokens)
        self.order = DataOrder(len(self.rows), config.batch_size, streams, config.is_shuffled)

    @property
    def optimization(self) -> OptimizationConfig:
        """The optimization settings with the number of steps filled in."""
        steps = self.config.optimization.steps or self.order.steps_for(self.config.epochs)
        return dataclasses.replace(self.config.optimization, steps=steps)

    @property
    def truncated_rows(self) -> int:
        """Training rows that were cut."""
        return sum(_is_cut(row) for row in self.rows)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The model's trainable weights."""
        return self.model.trainable_parameters()

    def identity(self) -> dict[str, str]:
        """Hashes of weights and rows, and the settings."""
        settings = dataclasses.asdict(self.config)
        del settings["optimization"]
        return {
            "model": self.model.version,
            "data": _rows_hash(self.rows),
            **{f"sft.{key}": json.dumps(value) for key, value in settings.items()},
        }

    def next_update(self, step: int) -> Update:
        """The rows of this step, in micro-batches that know the update's token count."""
        rows = [self.rows[i] for i in self.order.batch(step)]
        completion_tokens = sum(len(row.completion_ids) for row in rows)
        return Update(
            micro_batches=self._pack(rows, completion_tokens),
            tokens=sum(len(row.ids) for row in rows),
            metrics={
                "sft/tokens": float(completion_tokens),
                "sft/truncated_rows": float(sum(_is_cut(row) for row in rows)),
                "sft/epoch": (step + 1) / self.order.steps_per_epoch,
            },
        )

    def loss(self, micro_batch: SftMicroBatch) -> LossPart:
        """This micro-batch's share of the mean over all completion tokens of the update."""
        self.model.network.train()
        return LossPart(self._share(micro_batch))

    def evaluate(self, step: int) -> dict[str, float]:
        """Loss per completion token on the held-out demonstrations."""
        if not self.eval_rows:
            return {}
        self.model.network.eval()
        total = sum(len(row.completion_ids) for row in self.eval_rows)
        shares = [float(self._share(part)) for part in self._pack(self.eval_rows, total)]
        return {"sft/eval_loss": sum(shares)}

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the rows of a step follow from its number."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to take up."""

    def save_model(self, folder: Path) -> None:
        """A plain Hugging Face folder."""
        save_model(self.model, folder)

    def _pack(self, rows: Sequence[TokenizedExample], normalizer: int) -> list[SftMicroBatch]:
        plan = plan_micro_batches([len(row.ids) for row in rows], self.config.optimization.micro_batch_tokens)
        return [
            SftMicroBatch(
                prompt_completion_batch([(rows[i].prompt_ids, [rows[i].completion_ids]) for i in members]),
                normalizer,
            )
            for members in plan
        ]

    def _share(self, micro_batch: SftMicroBatch) -> torch.Tensor:
        packed = micro_batch.packed.to(self.model.device)
        hidden = hidden_states(self.model, packed.ragged)
        tokens = token_logprobs(hidden[packed.predictor_index], self.model.head_weight, packed.targets)
        everything = torch.ones_like(packed.targets, dtype=torch.bool)
        return completion_nll(tokens.logprobs, everything, normalizer=micro_batch.normalizer)


def tokenize_demonstrations(
    model: LanguageModel, demonstrations: Sequence[Demonstration], *, max_tokens: int
) -> list[TokenizedExample]:
    """Rows of ids with the completion known; a row without a token to learn from raises DataError."""
    limit = min(max_tokens, model.context_tokens)
    rows = [
        model.tokenizer.example(item.prompt, item.completion, max_tokens=limit) for item in demonstrations
    ]
    for index, row in enumerate(rows):
        if not row.completion_ids:
            raise DataError(
                f"demonstration {index} has no completion token to learn from after tokenization; "
                f"its prompt begins {demonstrations[index].prompt.text[:60]!r}. Remove it or mend it."
            )
    return rows


def _is_cut(row: TokenizedExample) -> bool:
    return row.is_truncated or row.dropped_prompt_tokens > 0


def _rows_hash(rows: Sequence[TokenizedExample]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.prompt_ids}{row.completion_ids}".encode())
    return digest.hexdigest()[:16]
