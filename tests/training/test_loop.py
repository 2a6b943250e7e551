"""The loop: accumulation, clipping, skipping, resuming, interruption, full disk."""

import errno
import math
import shutil
import signal
import threading

import pytest
import safetensors.torch
import torch

from accord.domain import ConfigError, Interrupted, RewardError, Streams, TrainingError
from accord.training import LossPart, OptimizationConfig, Recorder, StopRun, Update, optimize
from accord.training.checkpoint import latest_checkpoint

SEEN = ("sft/loss", "optim/grad_norm")


def config(**changes):
    return OptimizationConfig(**{"steps": 6, "learning_rate": 0.1, "precision": "fp32", **changes})


def run(task, run_dir=None, *, resume=False, observers=(), **changes):
    return optimize(
        task, config(**changes), run_dir=run_dir, resume=resume, observers=observers, streams=Streams(7)
    )


def test_the_first_step_by_hand(make_task):
    # w = (1, -2), b = 1/2; data 1, 2, 3: loss = mean |w - x|^2 + |b - x|^2, gradient = 2 (w - mean x)
    # squares: x=1: 0 + 9 + 1/4, x=2: 1 + 16 + 9/4, x=3: 4 + 25 + 25/4 -> 63.75 / 3 = 21.25
    # gradient (-2, -8, -3), norm sqrt(77); Adam's first step is rate * sign(gradient)
    task, recorder = make_task(), Recorder()
    run(task, steps=1, max_grad_norm=0.0, observers=[recorder])
    metrics = recorder.steps[0].metrics
    assert metrics["sft/loss"] == pytest.approx(21.25, rel=1e-6)
    assert metrics["optim/grad_norm"] == pytest.approx(math.sqrt(77), rel=1e-6)
    assert task.weight.tolist()[0] == pytest.approx([1.1, -1.9], rel=1e-5)
    assert task.bias.item() == pytest.approx(0.6, rel=1e-5)


def test_trap_16_any_split_into_micro_batches_gives_the_same_weights(make_task):
    numbers = [1.0, 2.0, 3.0, -4.0, 2.5]
    splits = [[numbers], [[x] for x in numbers], [numbers[:1], numbers[1:]], [numbers[:3], [], numbers[3:]]]
    ends, figures = [], []
    for split in splits:
        task, recorder = make_task([split]), Recorder()
        run(task, max_grad_norm=0.5, observers=[recorder])
        ends.append(torch.cat([task.weight[0], task.bias]).detach())
        figures.append([report.metrics[name] for report in recorder.steps for name in SEEN])
    for end, seen in zip(ends[1:], figures[1:], strict=True):
        assert seen == pytest.approx(figures[0], rel=1e-6)
        torch.testing.assert_close(end, ends[0], rtol=1e-6, atol=1e-6)


def test_trap_45_the_update_is_clipped_as_a_whole_and_the_norm_logged_is_recomputed(make_task):
    # the same gradients twice: in one micro-batch, and as two halves whose own norms differ
    task, recorder = make_task([[[5.0], [-1.0]]]), Recorder()
    start = torch.cat([task.weight[0], task.bias]).detach().clone()
    recomputed = 2 * (start - 2.0)  # mean of the data is 2
    run(task, steps=1, max_grad_norm=1e-3, observers=[recorder])
    assert recorder.steps[0].metrics["optim/grad_norm"] == pytest.approx(recomputed.norm().item(), rel=1e-6)
    with_clip = make_task([[[5.0], [-1.0]]])
    run(with_clip, steps=1, max_grad_norm=1e-3, eps=1.0)
    # with eps 1 and a gradient of norm 1e-3 Adam's step is rate * g / (|g| + 1): clipped means tiny
    clipped = recomputed / recomputed.norm() * 1e-3
    moved = torch.cat([with_clip.weight[0], with_clip.bias]).detach() - start
    torch.testing.assert_close(moved, -0.1 * clipped / (clipped.abs() + 1), rtol=1e-3, atol=1e-7)


def test_metrics_of_micro_batches_are_summed(make_task):
    recorder = Recorder()
    run(make_task(), observers=[recorder])
    assert [report.metrics["sft/tokens"] for report in recorder.steps] == [3.0] * 6


def test_a_micro_batch_without_gradient_is_taken_as_zero(make_task):
    class Constant(type(make_task())):
        def loss(self, micro_batch):
            return LossPart(torch.zeros(()))

    task, recorder = Constant([[[1.0]]]), Recorder()
    run(task, steps=1, observers=[recorder])
    assert recorder.steps[0].metrics["optim/grad_norm"] == 0.0
    assert task.bias.item() == 0.5


def test_evaluation_runs_first_last_and_when_due(make_task):
    recorder = Recorder()
    run(make_task(), eval_every=4, observers=[recorder])
    assert [report.step for report in recorder.evaluations] == [0, 4, 6]


def test_steps_must_come_from_somewhere(make_task):
    with pytest.raises(ConfigError, match="steps is not set"):
        run(make_task(), steps=None)


def test_global_random_numbers_are_left_as_they_were(make_task):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(make_task())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_is_saved_at_the_end_under_the_run(make_task, tmp_path):
    task = make_task()
    run(task, tmp_path)
    assert task.saved == [tmp_path / "model"]


# --- steps that are not finite ---


def test_a_step_that_is_not_finite_is_skipped_and_counted(make_task):
    task, recorder = make_task([[[1.0]], [[math.nan], [1.0]], [[1.0]]]), Recorder()
    run(task, steps=3, observers=[recorder])
    assert [report.metrics["optim/skipped"] for report in recorder.steps] == [0.0, 1.0, 0.0]
    twice = make_task([[[1.0]], [[1.0]]])
    run(twice, steps=2)
    assert torch.equal(task.weight, twice.weight)


def test_an_infinite_gradient_under_a_finite_loss_is_skipped(make_task):
    class Steep(type(make_task())):
        def loss(self, micro_batch):
            return LossPart((self.weight.sum() + 1.0).abs().sqrt())  # sum is -1: value 0, slope infinite

    task, recorder = Steep([[[1.0]]]), Recorder()
    run(task, steps=1, observers=[recorder])
    assert recorder.steps[0].metrics["sft/loss"] == 0.0
    assert recorder.steps[0].metrics["optim/skipped"] == 1.0
    assert task.weight.tolist() == [[1.0, -2.0]]


def test_too_many_in_a_row_stop_the_run_and_say_where(make_task, tmp_path, curve):
    task = make_task([[[1.0]], [[math.nan]], [[math.inf]]])
    with pytest.raises(TrainingError, match=r"at step 3, not finite for 2 steps in a row.*learning_rate"):
        run(task, tmp_path, max_skipped_in_a_row=2)
    assert task.weight.isfinite().all()
    rows = curve(tmp_path)
    assert rows[-1]["metrics"]["sft/loss"] is None  # JSON has no NaN


# --- checkpoints and resume ---


def test_trap_46_killed_and_resumed_equals_uninterrupted(make_task, tmp_path, curve, probe):
    whole, parted = make_task(), make_task()
    run(whole, tmp_path / "whole", schedule="cosine", warmup_steps=2, checkpoint_every=2, eval_every=2)

    def die(step):
        if step == 5:
            raise KeyboardInterrupt  # as a kill: nothing is saved after step 4

    settings = {"schedule": "cosine", "warmup_steps": 2, "checkpoint_every": 2, "eval_every": 2}
    with pytest.raises(KeyboardInterrupt):
        run(parted, tmp_path / "parted", observers=[probe(die)], **settings)
    assert len(curve(tmp_path / "parted")) > 5
    fresh = make_task()
    run(fresh, tmp_path / "parted", resume=True, **settings)
    assert torch.equal(fresh.weight, whole.weight)
    assert torch.equal(fresh.bias, whole.bias)
    assert torch.equal(fresh.carried, whole.carried)  # the task's state, and torch's random numbers in it
    assert curve(tmp_path / "parted") == curve(tmp_path / "whole")


def test_a_metrics_line_cut_off_by_a_kill_is_dropped(make_task, tmp_path, curve):
    run(make_task(), tmp_path, steps=6, checkpoint_every=4, keep_checkpoints=9)
    shutil.rmtree(tmp_path / "checkpoints" / "step-00000006")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "kind": "st')
    run(make_task(), tmp_path, steps=6, checkpoint_every=4, resume=True)
    steps = [row["step"] for row in curve(tmp_path) if row["kind"] == "step"]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_resumes_to_the_same_result(make_task, tmp_path):
    first = run(make_task(), tmp_path, checkpoint_every=3)
    again = run(make_task(), tmp_path, checkpoint_every=3, resume=True)
    assert again == first


def test_resume_without_a_checkpoint_starts_afresh(make_task, tmp_path):
    assert run(make_task(), tmp_path, resume=True).steps == 6


def test_a_folder_with_a_run_is_not_overwritten(make_task, tmp_path):
    run(make_task(), tmp_path, checkpoint_every=3)
    with pytest.raises(TrainingError, match=r"already holds a run.*--resume"):
        run(make_task(), tmp_path, checkpoint_every=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.2}, r"optimization.learning_rate was 0.1, is 0.2"),
        ({"betas": (0.9, 0.99)}, r"optimization.betas"),
    ],
)
def test_a_checkpoint_of_another_config_is_refused(make_task, tmp_path, changes, message):
    run(make_task(), tmp_path, checkpoint_every=3)
    with pytest.raises(TrainingError, match=message):
        run(make_task(), tmp_path, resume=True, checkpoint_every=3, **changes)


def test_a_checkpoint_of_another_model_is_refused(make_task, tmp_path):
    run(make_task(), tmp_path, checkpoint_every=3)
    with pytest.raises(TrainingError, match="model was quadratic, is other"):
        run(make_task(model="other"), tmp_path, resume=True, checkpoint_every=3)


def test_evaluation_and_checkpoint_intervals_may_change_on_resume(make_task, tmp_path):
    run(make_task(), tmp_path, checkpoint_every=3)
    assert run(make_task(), tmp_path, resume=True, eval_every=1, checkpoint_every=1).steps == 6


def test_a_damaged_checkpoint_is_refused_by_name(make_task, tmp_path):
    run(make_task(), tmp_path, checkpoint_every=3)
    broken = latest_checkpoint(tmp_path / "checkpoints") / "weights.safetensors"
    content = bytearray(broken.read_bytes())
    content[-1] ^= 1
    broken.write_bytes(content)
    with pytest.raises(TrainingError, match=r"weights.safetensors does not match its hash.*Remove"):
        run(make_task(), tmp_path, resume=True, checkpoint_every=3)


def test_only_the_newest_checkpoints_are_kept(make_task, tmp_path):
    run(make_task(), tmp_path, checkpoint_every=1, keep_checkpoints=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000005",
        "step-00000006",
    ]


def test_a_checkpoint_is_safetensors_and_json(make_task, tmp_path):
    run(make_task(), tmp_path, checkpoint_every=6)
    folder = latest_checkpoint(tmp_path / "checkpoints")
    assert sorted(path.suffix for path in folder.iterdir()) == [".json"] + [".safetensors"] * 3
    assert set(safetensors.torch.load_file(folder / "optimizer.safetensors")) == {
        f"{name}|{key}" for name in ("weight", "bias") for key in ("exp_avg", "exp_avg_sq", "step")
    }


def test_a_full_disk_leaves_the_previous_checkpoint(make_task, tmp_path, monkeypatch):
    written = []

    def save(tensors, path):
        written.append(path)
        if len(written) > 4:  # the second checkpoint's second file
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real_save(tensors, path)

    real_save = safetensors.torch.save_file
    monkeypatch.setattr(safetensors.torch, "save_file", save)
    with pytest.raises(
        TrainingError, match=r"checkpoint of step 4 .*step-00000002 is unchanged.*disk is full"
    ) as caught:
        run(make_task(), tmp_path, checkpoint_every=2)
    assert str(tmp_path / "checkpoints" / "step-00000004") in str(caught.value)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
    monkeypatch.setattr(safetensors.torch, "save_file", real_save)
    whole, resumed = make_task(), make_task()
    run(whole)
    run(resumed, tmp_path, checkpoint_every=2, resume=True)
    assert torch.equal(resumed.weight, whole.weight)


def test_a_task_that_fails_loses_only_its_step(make_task, tmp_path):
    class Failing(type(make_task())):
        def next_update(self, step) -> Update:
            if step == 3:
                raise RewardError("reward returned NaN for prompt 2")
            return super().next_update(step)

    with pytest.raises(RewardError) as caught:
        run(Failing([[[1.0]]]), tmp_path)
    assert "step-00000003" in caught.value.__notes__[0]
    whole, mended = make_task([[[1.0]]]), make_task([[[1.0]]])
    run(whole)
    run(mended, tmp_path, resume=True)
    assert torch.equal(mended.weight, whole.weight)


def test_a_task_may_end_the_run_early(make_task, tmp_path):
    class Spent(type(make_task())):
        def next_update(self, step) -> Update:
            if step == 2:
                raise StopRun("the KL budget is spent")
            return super().next_update(step)

    recorder = Recorder()
    task = Spent([[[1.0]]])
    result = run(task, tmp_path, checkpoint_every=5, observers=[recorder])
    assert (result.steps, result.stopped_reason) == (2, "the KL budget is spent")
    assert recorder.reason == "finished"
    assert [report.step for report in recorder.evaluations] == [0, 2]
    assert task.saved == [tmp_path / "model"]
    again = run(Spent([[[1.0]]]), tmp_path, checkpoint_every=5, resume=True)
    assert again == result


# --- Ctrl-C ---


def test_the_first_ctrl_c_finishes_the_step_saves_and_says_how_to_resume(
    make_task, tmp_path, press_ctrl_c_at
):
    recorder = Recorder()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"after step 3 of 6; saved .*step-00000003.*--resume"):
        run(make_task(), tmp_path, observers=[press_ctrl_c_at(3), recorder])
    assert signal.getsignal(signal.SIGINT) is before
    assert recorder.reason == "interrupted"
    whole, resumed = make_task(), make_task()
    run(whole)
    run(resumed, tmp_path, resume=True)
    assert torch.equal(resumed.weight, whole.weight)


def test_the_second_ctrl_c_stops_at_once(make_task, tmp_path, probe):
    def twice(step):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(make_task(), tmp_path, observers=[probe(twice)])
    assert signal.getsignal(signal.SIGINT) is before
    assert latest_checkpoint(tmp_path / "checkpoints") is None


def test_ctrl_c_without_a_folder_says_that_nothing_was_saved(make_task, press_ctrl_c_at):
    with pytest.raises(Interrupted, match="nothing was saved"):
        run(make_task(), observers=[press_ctrl_c_at(1)])


def test_ctrl_c_in_the_last_step_changes_nothing(make_task, tmp_path, press_ctrl_c_at):
    assert run(make_task(), tmp_path, observers=[press_ctrl_c_at(6)]).stopped_reason == "finished"


def test_in_another_thread_signals_are_left_alone(make_task):
    before = signal.getsignal(signal.SIGINT)
    results = []
    thread = threading.Thread(target=lambda: results.append(run(make_task())))
    thread.start()
    thread.join()
    assert results[0].steps == 6
    assert signal.getsignal(signal.SIGINT) is before
