"""What a training from files would need: rows counted, model asked, and on demand a few steps measured.

Covers fine-tuning, reward models on pairs, DPO and KTO. Leaves out online stages, whose samples do not
exist yet.
"""

import dataclasses
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accord.domain import ConfigError, Streams
from accord.models.language_model import LanguageModel
from accord.models.loading import load_model
from accord.models.ragged import body_of
from accord.pipeline.configuration import apply_override, load_config, read_toml
from accord.pipeline.jobs import KINDS, DpoJob, Job, KtoJob, RewardJob, SftJob
from accord.store import read_demonstrations, read_preferences
from accord.store.reading import read_verdicts
from accord.training import Recorder, train_dpo, train_reward_model, train_sft
from accord.training.estimate import (
    MemoryEstimate,
    RowShape,
    Work,
    estimate_memory,
    estimate_step_seconds,
    measure_activations,
    plan_work,
)
from accord.training.kto import judged_rows, train_kto
from accord.training.memory import resident_bytes
from accord.training.optimizer import OptimizationConfig
from accord.training.pairs import group_pairs, tokenize_preferences
from accord.training.precision import resolve_precision
from accord.training.recompute import activation_room

RECOMPUTED_TIME = 4 / 3
"""A step with layers run again, as a share of one without: four passes' work in place of three."""

ESTIMATED = ("sft", "reward", "dpo", "kto")
TELLING_KEYS = {
    "demonstrations": "sft",
    "verdicts": "kto",
    "dpo": "dpo",
    "reward": "reward",
    "sft": "sft",
    "kto": "kto",
}
"""Keys of a config that only one kind of training has."""


@dataclass(frozen=True, kw_only=True)
class TrainingEstimate:
    """What a run would take, and what a few of its steps did take where they were run."""

    kind: str
    precision: str
    work: Work
    memory: MemoryEstimate
    is_recomputed: bool
    """Whether layers would run again in the backward pass, by `recompute` and the memory there is."""
    step_seconds: float
    measured_step_seconds: float | None = None
    """Median of the measured steps but the first."""
    measured_peak_bytes: float | None = None

    @property
    def run_seconds(self) -> float:
        """Of all steps, by the measured ones where there are any."""
        return self.work.steps * (self.measured_step_seconds or self.step_seconds)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        measured = None
        if self.measured_step_seconds is not None and self.measured_peak_bytes is not None:
            measured = {
                "step_s": round(self.measured_step_seconds, 3),
                "peak_gb": round(self.measured_peak_bytes / 1e9, 3),
                "peak_error": round(self.memory.peak / self.measured_peak_bytes - 1, 3),
            }
        return {
            "kind": self.kind,
            "precision": self.precision,
            "work": dataclasses.asdict(self.work),
            "memory": self.memory.to_json(),
            "recomputed": self.is_recomputed,
            "step_s": round(self.step_seconds, 3),
            "run_s": round(self.run_seconds, 1),
            "measured": measured,
        }


def kind_of(config: Path | None, overrides: Sequence[str], kind: str = "") -> str:
    """The kind of training a config is for: as named, else by the keys that only one kind has."""
    if not kind:
        values: dict[str, Any] = {} if config is None else read_toml(config)
        for override in overrides:
            apply_override(values, override)
        found = {name for key, name in TELLING_KEYS.items() if key in values}
        if len(found) != 1:
            seen = " and ".join(sorted(found)) or "none of them"
            raise ConfigError(str(config or "command line"), [f"it could be {seen}; name it by --kind"])
        kind = found.pop()
    if kind not in ESTIMATED:
        raise ConfigError("--kind", [f"expected one of {', '.join(ESTIMATED)}, got {kind!r}"])
    return kind


def estimate_training(
    kind: str, config: Path | None, overrides: Sequence[str] = (), *, measured_steps: int = 0
) -> TrainingEstimate:
    """Read rows and model and say what the run needs; with `measured_steps`, run so many and compare."""
    job = load_config(KINDS[kind], config, overrides)
    process = float(resident_bytes())
    model = load_model(job.model.name, lora=job.model.lora, trainable_layers=job.model.trainable_layers)
    rows, batch_size = _rows(job, model)
    settings = _settings(job)
    optimization = settings.optimization
    work = plan_work(
        rows,
        batch_size=batch_size,
        micro_batch_tokens=optimization.micro_batch_tokens,
        epochs=settings.epochs,
        steps=optimization.steps,
    )
    # Steps first: what the estimate itself runs would count in their peak.
    measured = _measure(job, model, measured_steps) if measured_steps else None
    has_reference = isinstance(job, DpoJob | KtoJob) and job.model.lora is None
    has_reference = has_reference and not (isinstance(job, DpoJob) and not job.dpo.has_reference)
    has_copy = has_reference or isinstance(job, RewardJob)  # a reward model is a copy as well
    memory, is_recomputed = _memory(model, work, optimization, has_copy=has_copy, process=process)
    step_seconds = estimate_step_seconds(
        model.network, work, precision=optimization.precision, has_reference=has_reference
    )
    estimate = TrainingEstimate(
        kind=kind,
        precision=resolve_precision(optimization.precision, model.device),
        work=work,
        memory=memory,
        is_recomputed=is_recomputed,
        step_seconds=step_seconds * (RECOMPUTED_TIME if is_recomputed else 1.0),
    )
    if measured is None:
        return estimate
    seconds, peak = measured
    return dataclasses.replace(estimate, measured_step_seconds=seconds, measured_peak_bytes=peak)


def _memory(
    model: LanguageModel, work: Work, optimization: OptimizationConfig, *, has_copy: bool, process: float
) -> tuple[MemoryEstimate, bool]:
    """The estimate, and whether `recompute` would let layers run again on this machine as it is now."""
    body = body_of(model)
    estimate = partial(
        estimate_memory,
        model.network,
        body,
        work,
        precision=optimization.precision,
        has_reference=has_copy,
        process_bytes=process,
        activations=measure_activations(body, precision=optimization.precision),
        optimizer_state=optimization.optimizer_state,
    )
    kept = estimate(is_recomputed=False)
    if optimization.recompute != "auto":
        is_recomputed = optimization.recompute == "always"
    else:
        parameters = [weight for weight in model.network.parameters() if weight.requires_grad]
        room = activation_room(parameters, optimization)
        copy = kept.reference if has_copy else 0.0
        is_recomputed = room is not None and kept.activations + kept.head > room - copy
    return (estimate(is_recomputed=True) if is_recomputed else kept), is_recomputed


def _rows(job: Job, model: LanguageModel) -> tuple[list[RowShape], int]:
    """Rows of the training files, and how many of them make an update."""
    match job:
        case SftJob():
            items = (
                model.tokenizer.example(item.prompt, item.completion, max_tokens=job.sft.max_tokens)
                for item in read_demonstrations(job.demonstrations)
            )
            shapes = [RowShape(tokens=len(row.ids), label_tokens=len(row.completion_ids)) for row in items]
            return shapes, job.sft.batch_size
        case RewardJob() | DpoJob():
            settings = job.reward if isinstance(job, RewardJob) else job.dpo
            rows = tokenize_preferences(
                model, read_preferences(job.preferences), max_tokens=settings.max_tokens
            )
            groups = group_pairs(rows, max_pairs=settings.pairs_per_group)
            shapes = [
                RowShape(
                    tokens=group.n_tokens,
                    label_tokens=sum(map(len, group.answers)) if isinstance(job, DpoJob) else 0,
                )
                for group in groups
            ]
            return shapes, max(1, round(settings.batch_size * len(groups) / max(1, len(rows))))
        case KtoJob():
            judged = judged_rows(model, read_verdicts(job.verdicts), max_tokens=job.kto.max_tokens)
            shapes = [RowShape(tokens=row.n_tokens, label_tokens=len(row.completion_ids)) for row in judged]
            return shapes, job.kto.batch_size
        case _:
            raise ConfigError("--kind", [f"online stages are not estimated; expected {', '.join(ESTIMATED)}"])


def _settings(job: Job) -> Any:
    match job:
        case SftJob():
            return job.sft
        case RewardJob():
            return job.reward
        case DpoJob():
            return job.dpo
        case KtoJob():
            return job.kto
        case _:
            raise ConfigError("--kind", ["online stages are not estimated"])


def _measure(job: Job, model: LanguageModel, steps: int) -> tuple[float, float]:
    """(seconds a step, peak bytes) of `steps` steps of the run, whose result is thrown away."""
    settings = _settings(job)
    short = dataclasses.replace(settings.optimization, steps=max(2, steps), eval_at_start=False)
    changes: dict[str, Any] = {"optimization": short}
    if not isinstance(job, SftJob):
        changes["eval_share"] = 0.0
    settings = dataclasses.replace(settings, **changes)
    recorder = Recorder()
    common: Mapping[str, Any] = {"observers": [recorder], "streams": Streams(job.seed)}
    match job:
        case SftJob():
            train_sft(model, read_demonstrations(job.demonstrations), settings, **common)
        case RewardJob():
            train_reward_model(model, read_preferences(job.preferences), settings, **common)
        case DpoJob():
            train_dpo(model, read_preferences(job.preferences), settings, **common)
        case KtoJob():
            train_kto(model, read_verdicts(job.verdicts), settings, **common)
    seconds = sorted(report.seconds for report in recorder.steps[1:])
    return seconds[len(seconds) // 2], float(_peak_bytes())


def _peak_bytes() -> int:
    """The most this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
