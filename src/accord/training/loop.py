"""The one optimization loop of all stages: updates in, changed weights out, whatever the algorithm.

It owns accumulation, clipping, the schedule, precision, non-finite steps,
checkpoints, interruption, reporting and the agreement of ranks. It leaves out what is learned: that is
the task's. Random numbers of a step (dropout) are seeded by the step, so they need no
saving; torch's global generator is left as it was.
"""

import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from accord.domain import AccordError, ConfigError, Interrupted, Streams, TrainingError
from accord.models.allocator import keep_freed_memory
from accord.training.accumulation import Accumulated, accumulate
from accord.training.checkpoint import (
    SEPARATOR,
    Progress,
    latest_checkpoint,
    load_checkpoint,
    optimizer_tensors,
    save_checkpoint,
)
from accord.training.interruption import deferred_interrupt
from accord.training.memory import read_memory
from accord.training.observers import JsonlMetrics
from accord.training.optimizer import (
    OptimizationConfig,
    build_optimizer,
    clip_gradients,
    learning_rate_at,
)
from accord.training.parallel import Ranks
from accord.training.precision import autocast
from accord.training.recompute import RecomputePlan
from accord.training.reports import EvalReport, Observer, RunStart, StepReport
from accord.training.sharding import ShardedLayers
from accord.training.task import LossPart, StopRun, Task, Update

__all__ = [
    "EvalReport",
    "LossPart",
    "Observer",
    "OptimizationConfig",
    "OptimizationResult",
    "StepReport",
    "StopRun",
    "Task",
    "Update",
    "optimize",
]

FREE_TO_CHANGE = frozenset(
    {
        "eval_every",
        "eval_at_start",
        "checkpoint_every",
        "keep_checkpoints",
        "recompute",
        "memory_gb",
        "parallel",
    }
)
"""Settings that do not change what is learned, so a resumed run may have others."""


@dataclass(frozen=True, kw_only=True)
class OptimizationResult:
    """Where a run ended."""

    metrics: Mapping[str, float]
    """The last finite value of every metric, evaluation included."""
    steps: int
    stopped_reason: str
    """`finished`, or why the task ended the run before its last step; anything else raises."""


def optimize(
    task: Task,
    config: OptimizationConfig,
    *,
    streams: Streams,
    run_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    resume: bool = False,
) -> OptimizationResult:
    """Train `task` for `config.steps` steps; with `run_dir`, log, checkpoint and save the model there.

    `run_dir` gets `metrics.jsonl`, `checkpoints/` and, at the end, `model/`. With
    `resume` the newest checkpoint there is taken up and the run goes on bit for bit
    (CPU, same threads); without a checkpoint it starts afresh. Ctrl-C finishes the
    step, saves and raises Interrupted; a second one stops at once. In a process group every rank
    calls it with the same task and folder; rank 0 writes and reports.
    """
    keep_freed_memory()
    run = _Run(task, config, streams, run_dir, observers)
    outcome = "failed"
    try:
        run.begin(resume=resume)
        with deferred_interrupt() as interruption:
            if run.progress.step == 0 and config.eval_at_start:
                run.evaluate()
            while not run.is_over:
                run.take_step()
                if _is_due(run.progress.step, config.eval_every):
                    run.evaluate()
                if run.ranks.any_of(interruption.is_requested) and not run.is_over:
                    outcome = "interrupted"
                    raise Interrupted(run.saved_for_later())
                if _is_due(run.progress.step, config.checkpoint_every):
                    run.save()
            run.finish()
        outcome = "finished"
    except AccordError as error:
        run.save_after(error)
        raise
    finally:
        run.end(outcome)
    return OptimizationResult(
        metrics=run.progress.metrics,
        steps=run.progress.step,
        stopped_reason=run.progress.stopped_reason or "finished",
    )


class _Run:
    """One call of `optimize`: the pieces its loop is written in."""

    def __init__(
        self,
        task: Task,
        config: OptimizationConfig,
        streams: Streams,
        run_dir: Path | None,
        observers: Sequence[Observer],
    ):
        if config.steps is None:
            raise ConfigError(
                "optimization", ["steps is not set and this stage has no epochs to count them from"]
            )
        self.task = task
        self.config = config
        self.steps = config.steps
        self.streams = streams
        self.run_dir = run_dir
        self.ranks = Ranks.current()
        # Now, while the weights are those the run starts from, and whole.
        self.identity = self._identify() if run_dir is not None else {}
        self.recompute = RecomputePlan(task.model, [weight for _, weight in task.parameters()], config)
        is_sharded = config.parallel == "shard" and self.ranks.world > 1
        self.shards = ShardedLayers(task.model) if is_sharded else None
        self.named = self.shards.local(task.parameters()) if self.shards else task.parameters()
        self.optimizer = build_optimizer(self.named, config)
        self.device = self.named[0][1].device
        self.progress = Progress()
        self._saved: Progress | None = None
        self.observers = list(observers) if self.ranks.is_first else []
        if run_dir is not None and self.ranks.is_first:
            self.observers.insert(0, JsonlMetrics(run_dir / "metrics.jsonl"))

    def begin(self, *, resume: bool) -> None:
        """Take up the newest checkpoint when asked to, and tell the observers."""
        newest = None
        if self.run_dir is not None:
            newest = latest_checkpoint(self.run_dir / "checkpoints")
        if newest is not None and not resume:
            raise TrainingError(
                f"{self.run_dir} already holds a run (checkpoint {newest.name}). "
                f"Go on with it by --resume (resume=True), or choose another folder."
            )
        if newest is not None:
            self.progress, state = load_checkpoint(
                newest,
                identity=self.identity,
                named=self.named,
                optimizer=self.optimizer,
                part=self.shards.part if self.shards else None,
            )
            self.task.load_state_dict(state)
            self._saved = dataclasses.replace(self.progress)
        start = RunStart(
            name=self.task.name, steps=self.steps, first_step=self.progress.step, run_dir=self.run_dir
        )
        for observer in self.observers:
            observer.on_start(start)

    @property
    def is_over(self) -> bool:
        """True when all steps are done, or the task has ended the run."""
        return self.progress.step >= self.steps or bool(self.progress.stopped_reason)

    def take_step(self) -> None:
        """One update: every share backward, clip, step; a non-finite one is skipped and counted."""
        started = time.perf_counter()
        step = self.progress.step
        rate = learning_rate_at(self.config, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self._seeded("step", step):
            try:
                update = self.task.next_update(step)
            except StopRun as stop:
                self.progress.stopped_reason = str(stop)
                return
            is_recomputed = self.recompute.prepare(update)
            learned = self._learn(update, step)
        norm = clip_gradients(
            [parameter for _, parameter in self.named],
            self.config.max_grad_norm,
            norm=self.shards.norm(self.named) if self.shards else None,
        ).item()
        is_skipped = not (math.isfinite(learned.loss) and math.isfinite(norm))
        if not is_skipped:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if update.on_learned is not None:
            update.on_learned(learned.metrics)
        seconds = time.perf_counter() - started
        self.progress.step += 1
        metrics = {
            **update.metrics,
            **learned.metrics,
            f"{self.task.name}/loss": learned.loss,
            "optim/grad_norm": norm,
            "optim/lr": rate,
            "optim/skipped": float(is_skipped),
            "optim/recomputed": float(is_recomputed),
            "throughput/tokens": float(update.tokens),
            "throughput/tokens_per_s": update.tokens / seconds,
            "throughput/step_s": seconds,
            **read_memory(self.device),
        }
        try:
            self._report(metrics, tokens=update.tokens, seconds=seconds)
        except StopRun as stop:
            self.progress.stopped_reason = str(stop)
        self._count_skipped(is_skipped, learned.loss, norm)

    def _learn(self, update: Update, step: int) -> Accumulated:
        """The update's gradient and numbers, from this rank's micro-batches and the other ranks'."""
        if self.ranks.world > 1:  # dropout must not fall alike on different rows
            torch.manual_seed(self.streams.child("rank", self.ranks.rank, step).value)
        n_idle = self.ranks.idle_rounds(update.micro_batches) if self.shards else 0
        learned = accumulate(
            self.task,
            dataclasses.replace(update, micro_batches=self.ranks.part(update.micro_batches)),
            precision=self.config.precision,
            device=self.device,
            idle=[update.micro_batches[0]] * n_idle,
            runs_alike=self.shards is not None,
        )
        if self.shards:
            self.shards.take_gradients(self.named)
        split = self.shards.sharded if self.shards else {}
        self.ranks.sum_gradients([parameter for name, parameter in self.named if name not in split])
        return self.ranks.sum_numbers(learned)

    def evaluate(self) -> None:
        """Ask the task for its held-out metrics and report them, if there are any; once a step."""
        started = time.perf_counter()
        step = self.progress.step
        if self.progress.evaluated_step == step:
            return
        self.progress.evaluated_step = step
        with self._seeded("evaluation", step), torch.no_grad(), autocast(self.config.precision, self.device):
            metrics = self.task.evaluate(step)
        if not metrics:
            return
        self._remember(metrics)
        seconds = time.perf_counter() - started
        report = EvalReport(step=step, steps=self.steps, metrics=metrics, seconds=seconds)
        for observer in self.observers:
            observer.on_eval(report)

    def finish(self) -> None:
        """The last evaluation, checkpoint and the model."""
        self.evaluate()
        if self.config.checkpoint_every and self._saved != self.progress:
            self.save()
        self.put_together()
        if self.run_dir is not None:
            with self.ranks.first_writes() as is_writer:
                if is_writer:
                    self.task.save_model(self.run_dir / "model")

    def save(self) -> Path | None:
        """Write a checkpoint of this step where the run has a folder."""
        if self.run_dir is None:
            return None
        self._saved = dataclasses.replace(self.progress)
        saved = None
        weights = {name: parameter.detach() for name, parameter in self.named}
        moments = optimizer_tensors(self.named, self.optimizer)
        if self.shards:
            weights, moments = (self.shards.whole(each, separator=SEPARATOR) for each in (weights, moments))
        with self.ranks.first_writes() as is_writer:
            if is_writer:
                saved = save_checkpoint(
                    self.run_dir / "checkpoints",
                    identity=self.identity,
                    progress=self.progress,
                    weights=weights,
                    moments=moments,
                    task_state=self.task.state_dict(),
                    keep=self.config.keep_checkpoints,
                )
        return saved or latest_checkpoint(self.run_dir / "checkpoints")

    def saved_for_later(self) -> str:
        """Save where there is a folder; what to tell the user who stopped the run."""
        done = f"{self.task.name} stopped after step {self.progress.step} of {self.steps}"
        saved = self.save()
        if saved is None:
            return f"{done}; nothing was saved, because the run has no folder (run_dir)."
        return f"{done}; saved {saved}. Run the same command with --resume (resume=True) to go on."

    def save_after(self, error: AccordError) -> None:
        """Keep the finished steps when the task failed: a reward that raised costs one step, not the run.

        Not among ranks: the others may be in the middle of a step, and would not come to the save.
        """
        is_ours = isinstance(error, TrainingError | Interrupted)
        is_alone = self.ranks.world == 1
        if self.run_dir is not None and self.progress.step and not is_ours and is_alone:
            error.add_note(
                f"The {self.progress.step} finished steps are saved in {self.save()}; mend and resume."
            )

    def put_together(self) -> None:
        """Give the model its whole layers back; where ranks failed they stay split, for others would wait."""
        if self.shards is not None:
            self.shards.restore()

    def end(self, reason: str) -> None:
        """Tell the observers, so that they close what they opened."""
        if reason == "interrupted":
            self.put_together()
        for observer in self.observers:
            observer.on_end(reason)

    def _identify(self) -> dict[str, str]:
        """What a checkpoint is bound to: task, seed, settings, and the task's own hashes."""
        settings = {
            f"optimization.{key}": json.dumps(value)
            for key, value in dataclasses.asdict(self.config).items()
            if key not in FREE_TO_CHANGE
        }
        seed = "/".join((str(self.streams.seed), *self.streams.path))
        return {"stage": self.task.name, "seed": seed, **settings, **self.task.identity()}

    def _report(self, metrics: dict[str, float], *, tokens: int, seconds: float) -> None:
        self._remember(metrics)
        report = StepReport(
            step=self.progress.step, steps=self.steps, metrics=metrics, tokens=tokens, seconds=seconds
        )
        for observer in self.observers:
            observer.on_step(report)

    def _remember(self, metrics: Mapping[str, float]) -> None:
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.progress.metrics.update(finite)

    def _count_skipped(self, is_skipped: bool, loss: float, norm: float) -> None:
        self.progress.skipped_in_a_row = self.progress.skipped_in_a_row + 1 if is_skipped else 0
        streak = self.progress.skipped_in_a_row
        if streak >= self.config.max_skipped_in_a_row:
            raise TrainingError(
                f"{self.task.name}: loss {loss} and gradient norm {norm} at step {self.progress.step}, not "
                f"finite for {streak} steps in a row; the weights are those of the last finite step. Lower "
                f"learning_rate ({self.config.learning_rate}), try precision='fp32', or look at its data."
            )

    @contextmanager
    def _seeded(self, kind: str, step: int) -> Iterator[None]:
        """Torch's global generators as a function of seed and step inside, as they were outside."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.streams.child(kind, step).value)
            yield


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
