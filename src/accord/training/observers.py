"""Who listens to a run: a metrics file, a progress bar, a recorder, TensorBoard, Weights & Biases."""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from accord.domain import MissingExtra, TrainingError
from accord.domain.files import write_text_atomic
from accord.training.reports import EvalReport, RunStart, StepReport

SECONDS_BETWEEN_LINES = 30.0
"""How often a progress bar without a terminal writes a line."""


class JsonlMetrics:
    """One JSON object a line: `{"step": 3, "kind": "step", "metrics": {...}}`, flushed line by line.

    A resumed run first drops the lines after its checkpoint, and a last line that was
    cut off, so that the curve is that of a run that was never stopped. A value that is
    not finite is null.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file: TextIO | None = None

    def on_start(self, start: RunStart) -> None:
        """Open the file, keeping the lines up to the step the run starts from."""
        kept = (
            [line for line in self._lines() if _step_of(line) <= start.first_step] if start.first_step else []
        )
        write_text_atomic(self.path, "".join(line + "\n" for line in kept))
        self._file = self.path.open("a", encoding="utf-8")

    def on_step(self, report: StepReport) -> None:
        """Append the step's metrics."""
        self._write({"step": report.step, "kind": "step", "metrics": _as_json(report.metrics)})

    def on_eval(self, report: EvalReport) -> None:
        """Append the evaluation's metrics."""
        self._write({"step": report.step, "kind": "eval", "metrics": _as_json(report.metrics)})

    def on_end(self, reason: str) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []

    def _write(self, row: dict[str, object]) -> None:
        assert self._file is not None, "on_start comes first"
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        except OSError as error:
            raise TrainingError(
                f"cannot write {self.path}: {error.strerror}. Checkpoints are unchanged: "
                f"free some space and resume the run."
            ) from error


class Recorder:
    """Keeps every report in memory: for notebooks and tests."""

    def __init__(self) -> None:
        self.start: RunStart | None = None
        self.steps: list[StepReport] = []
        self.evaluations: list[EvalReport] = []
        self.reason: str | None = None

    def on_start(self, start: RunStart) -> None:
        """Keep it."""
        self.start = start

    def on_step(self, report: StepReport) -> None:
        """Keep it."""
        self.steps.append(report)

    def on_eval(self, report: EvalReport) -> None:
        """Keep it."""
        self.evaluations.append(report)

    def on_end(self, reason: str) -> None:
        """Keep it."""
        self.reason = reason

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(step, value) of one metric, wherever it was reported."""
        reports: list[StepReport | EvalReport] = [*self.steps, *self.evaluations]
        reports.sort(key=lambda report: report.step)
        return [(report.step, report.metrics[name]) for report in reports if name in report.metrics]


class ProgressBar:
    """A bar on stderr with loss, tokens/s, memory and time left.

    Without a terminal (a log file, CI) it writes a line now and then instead:
    every 30 seconds, at each evaluation and at the end.
    """

    def __init__(
        self,
        *,
        stream: TextIO | None = None,
        seconds_between_lines: float = SECONDS_BETWEEN_LINES,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.stream = stream if stream is not None else sys.stderr
        self.seconds_between_lines = seconds_between_lines
        self.clock = clock
        self._name = ""
        self._bar: tqdm[Any] | None = None
        self._started = self._last_line = 0.0
        self._first_step = 0

    def on_start(self, start: RunStart) -> None:
        """Draw the empty bar."""
        self._name, self._first_step = start.name, start.first_step
        self._started, self._last_line = self.clock(), -math.inf
        if self.stream.isatty():
            self._bar = tqdm(
                total=start.steps,
                initial=start.first_step,
                desc=start.name,
                unit="step",
                file=self.stream,
                dynamic_ncols=True,
            )

    def on_step(self, report: StepReport) -> None:
        """Advance the bar, or write a line when one is due."""
        figures = {
            "loss": f"{report.metrics[f'{self._name}/loss']:.4f}",
            "tok/s": f"{report.metrics['throughput/tokens_per_s']:.0f}",
            "GB": f"{report.metrics['memory/rss_gb']:.1f}",
        }
        if self._bar is not None:
            self._bar.set_postfix(figures, refresh=False)
            self._bar.update()
        elif report.step == report.steps or self.clock() - self._last_line >= self.seconds_between_lines:
            shown = "  ".join(f"{name} {value}" for name, value in figures.items())
            self._line(f"step {report.step}/{report.steps}  {shown}  {self._time_left(report)} left")

    def on_eval(self, report: EvalReport) -> None:
        """Write the held-out metrics above the bar."""
        shown = "  ".join(f"{name} {value:.4f}" for name, value in report.metrics.items())
        self._line(f"held-out after step {report.step}  {shown}")

    def on_end(self, reason: str) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _line(self, text: str) -> None:
        self._last_line = self.clock()
        if self._bar is not None:
            self._bar.clear()
        self.stream.write(f"{self._name}: {text}\n")
        self.stream.flush()

    def _time_left(self, report: StepReport) -> str:
        per_step = (self.clock() - self._started) / max(1, report.step - self._first_step)
        return str(tqdm.format_interval(per_step * (report.steps - report.step)))


class TensorBoard:
    """Scalars for TensorBoard in `folder`; needs the extra `tracking`."""

    def __init__(self, folder: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtra("TensorBoard logging", "tracking") from error
        self._make: Callable[[int], Any] = lambda first: SummaryWriter(str(folder), purge_step=first)
        self._writer: Any = None

    def on_start(self, start: RunStart) -> None:
        """Open the event file; what a stopped run logged after its checkpoint is hidden."""
        self._writer = self._make(start.first_step + 1)

    def on_step(self, report: StepReport) -> None:
        """Log the step's metrics."""
        self._log(report.step, report.metrics)

    def on_eval(self, report: EvalReport) -> None:
        """Log the held-out metrics."""
        self._log(report.step, report.metrics)

    def on_end(self, reason: str) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)


class WandB:
    """Metrics to Weights & Biases; needs the extra `tracking`. Offline mode is chosen by its own settings."""

    def __init__(self, project: str, *, name: str | None = None, config: Mapping[str, Any] | None = None):
        try:
            import wandb
        except ImportError as error:
            raise MissingExtra("Weights & Biases logging", "tracking") from error
        self._wandb: Any = wandb
        self._settings = {"project": project, "name": name, "config": dict(config or {})}
        self._run: Any = None

    def on_start(self, start: RunStart) -> None:
        """Begin a run named after the stage unless a name was given."""
        self._run = self._wandb.init(**{**self._settings, "name": self._settings["name"] or start.name})

    def on_step(self, report: StepReport) -> None:
        """Log the step's metrics."""
        self._run.log(dict(report.metrics), step=report.step)

    def on_eval(self, report: EvalReport) -> None:
        """Log the held-out metrics."""
        self._run.log(dict(report.metrics), step=report.step)

    def on_end(self, reason: str) -> None:
        """Finish the run; one that did not finish is marked as failed."""
        if self._run is not None:
            self._run.finish(exit_code=0 if reason == "finished" else 1)


def _as_json(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity: they become null."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _step_of(line: str) -> float:
    """The step of a metrics line; infinity for a line that was cut off while it was written."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
