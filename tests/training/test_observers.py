"""What observers write: the metrics file, the progress bar with and without a terminal, trackers."""

import io
import json
import sys
import types

import pytest

from accord.domain import MissingExtra, TrainingError
from accord.training import EvalReport, JsonlMetrics, ProgressBar, Recorder, RunStart, StepReport
from accord.training.observers import TensorBoard, WandB


class Terminal(io.StringIO):
    def isatty(self):
        return True


def step(number, *, loss=1.0, steps=10):
    metrics = {"sft/loss": loss, "throughput/tokens_per_s": 1234.0, "memory/rss_gb": 2.5}
    return StepReport(step=number, steps=steps, metrics=metrics, tokens=100, seconds=0.1)


def evaluation(number):
    return EvalReport(step=number, steps=10, metrics={"sft/eval_loss": 0.5}, seconds=1.0)


def start(first_step=0):
    return RunStart(name="sft", steps=10, first_step=first_step)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_are_on_disk_after_each_step(tmp_path):
    metrics = JsonlMetrics(tmp_path / "metrics.jsonl")
    metrics.on_start(start())
    metrics.on_step(step(1))
    assert rows(metrics.path) == [{"step": 1, "kind": "step", "metrics": dict(step(1).metrics)}]
    metrics.on_eval(evaluation(1))
    assert rows(metrics.path)[1] == {"step": 1, "kind": "eval", "metrics": {"sft/eval_loss": 0.5}}
    metrics.on_end("finished")


def test_a_resumed_file_keeps_lines_up_to_its_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = JsonlMetrics(path)
    first.on_start(start())
    for number in (1, 2, 3):
        first.on_step(step(number))
    first.on_end("failed")
    path.write_text(path.read_text() + '{"step": 2')
    second = JsonlMetrics(path)
    second.on_start(start(first_step=2))
    second.on_step(step(3, loss=9.0))
    second.on_end("finished")
    assert [(row["step"], row["metrics"]["sft/loss"]) for row in rows(path)] == [(1, 1.0), (2, 1.0), (3, 9.0)]


def test_a_value_that_is_not_finite_is_null(tmp_path):
    metrics = JsonlMetrics(tmp_path / "metrics.jsonl")
    metrics.on_start(start())
    metrics.on_step(step(1, loss=float("nan")))
    metrics.on_end("failed")
    assert rows(metrics.path)[0]["metrics"]["sft/loss"] is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is a device of Linux")
def test_a_full_disk_names_the_metrics_file():
    class Full(JsonlMetrics):
        def on_start(self, start):
            self._file = open("/dev/full", "w")  # noqa: SIM115

    metrics = Full("run/metrics.jsonl")
    metrics.on_start(start())
    with pytest.raises(TrainingError, match=r"cannot write run/metrics.jsonl: No space left.*resume"):
        metrics.on_step(step(1))
    with pytest.raises(OSError):
        metrics.on_end("failed")


def test_a_recorder_gives_curves():
    recorder = Recorder()
    recorder.on_start(start())
    recorder.on_eval(evaluation(0))
    for number in (1, 2):
        recorder.on_step(step(number, loss=number * 2.0))
    recorder.on_eval(evaluation(2))
    assert recorder.curve("sft/loss") == [(1, 2.0), (2, 4.0)]
    assert recorder.curve("sft/eval_loss") == [(0, 0.5), (2, 0.5)]


def test_on_a_terminal_the_bar_shows_loss_speed_and_memory():
    stream = Terminal()
    bar = ProgressBar(stream=stream)
    bar.on_start(start())
    for number in range(1, 11):
        bar.on_step(step(number, loss=0.125))
    bar.on_end("finished")
    last = stream.getvalue().split("\r")[-1]
    assert "10/10" in last
    assert all(figure in last for figure in ("loss=0.1250", "tok/s=1234", "GB=2.5"))


def test_without_a_terminal_lines_come_by_the_clock():
    now = [0.0]
    stream = io.StringIO()
    bar = ProgressBar(stream=stream, seconds_between_lines=30, clock=lambda: now[0])
    bar.on_start(start())
    for number in range(1, 11):
        now[0] += 12.0
        bar.on_step(step(number))
    bar.on_end("finished")
    lines = stream.getvalue().splitlines()
    # a line at 12 s, then as soon as 30 s have passed (48, 84, 120 s = the last step)
    assert [line.split()[2] for line in lines] == ["1/10", "4/10", "7/10", "10/10"]
    assert lines[0].endswith("01:48 left")  # 9 steps of 12 s
    assert "\r" not in stream.getvalue()


def test_tensorboard_hides_what_was_logged_after_the_checkpoint(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first, last in ((0, 3), (1, 2)):
        board = TensorBoard(tmp_path)
        board.on_start(start(first_step=first))
        for number in range(first + 1, last + 1):
            board.on_step(step(number, loss=10.0 * first + number))
        board.on_eval(evaluation(last))
        board.on_end("finished")
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("sft/loss")] == [(1, 1.0), (2, 12.0)]


def test_wandb_gets_every_metric_and_the_outcome(monkeypatch):
    calls = []

    class Run:
        def log(self, metrics, step):
            calls.append((step, metrics))

        def finish(self, exit_code):
            calls.append(exit_code)

    module = types.ModuleType("wandb")
    module.init = lambda **settings: calls.append(settings) or Run()
    monkeypatch.setitem(sys.modules, "wandb", module)
    tracker = WandB("accord", config={"seed": 1})
    tracker.on_start(start())
    tracker.on_step(step(1))
    tracker.on_end("interrupted")
    assert calls == [
        {"project": "accord", "name": "sft", "config": {"seed": 1}},
        (1, dict(step(1).metrics)),
        1,
    ]


@pytest.mark.parametrize(
    ("module", "make"),
    [("torch.utils.tensorboard", lambda: TensorBoard("runs")), ("wandb", lambda: WandB("accord"))],
)
def test_a_missing_tracker_names_its_extra(monkeypatch, module, make):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r'pip install "accord\[tracking\]"'):
        make()
