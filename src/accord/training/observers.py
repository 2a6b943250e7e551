"""Who listens to a run: a metrics file, a progress bar, a recorder, TensorBoard, Weights & Biases."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from accord.domain import TrainingError
from accord.domain.files import write_text_atomic
from accord.training.reports import EvalReport, RunStart, StepReport


class JsonlMetrics:
    """One JSON object a line: `{"step": 3, "kind": "step", "metrics": {...}}`, flushed line by line.

    A resumed run first drops the lines after its checkpoint, and a last line that was
    cut off, so that the curve is that of a run that was never stopped.
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


def _as_json(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity: they become null."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _step_of(line: str) -> float:
    """The step of a metrics line; infinity for a line that was cut off while it was written."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
