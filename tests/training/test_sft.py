"""SFT on the tiny model: the loss against plain transformers, splits, truncation, resume."""

import dataclasses

import pytest
import safetensors.torch
import torch

from accord.domain import ConfigError, DataError, Demonstration, Interrupted, Prompt, Streams
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.chat import ChatTokenizer
from accord.models.tiny import tiny_model
from accord.training import OptimizationConfig, Recorder, SftConfig, train_sft
from accord.training.sft import SftTask


def config(*, batch_size=4, epochs=1.0, max_tokens=1024, is_shuffled=True, **optimization):
    settings = {"learning_rate": 1e-2, "precision": "fp32", **optimization}
    return SftConfig(
        batch_size=batch_size,
        epochs=epochs,
        max_tokens=max_tokens,
        is_shuffled=is_shuffled,
        optimization=OptimizationConfig(**settings),
    )


def plain_loss(model, demonstrations):
    """Mean over completion tokens by transformers' own forward, row by row."""
    losses = []
    for item in demonstrations:
        row = model.tokenizer.example(item.prompt, item.completion)
        logits = model.network(input_ids=torch.tensor([row.ids])).logits[0]
        predicted = logits[len(row.prompt_ids) - 1 : -1].log_softmax(-1)
        losses.append(-predicted.gather(1, torch.tensor(row.completion_ids)[:, None])[:, 0])
    return torch.cat(losses).mean()


def gradients_of(model):
    return {name: weight.grad.clone() for name, weight in model.trainable_parameters()}


def accumulated(model, demonstrations, settings):
    """Loss and gradients of the first update as the task gives them."""
    task = SftTask(model, demonstrations, settings, streams=Streams(0))
    update = task.next_update(0)
    total = 0.0
    for micro_batch in update.micro_batches:
        part = task.loss(micro_batch)
        part.loss.backward()
        total += part.loss.item()
    return total, gradients_of(model), len(update.micro_batches)


def test_trap_38_packed_rows_equal_each_row_on_its_own_in_loss_and_gradient(tiny, demonstrations):
    oracle = tiny_model()
    loss = plain_loss(oracle, demonstrations)
    loss.backward()
    ours, gradients, _ = accumulated(tiny, demonstrations, config(batch_size=10))
    assert ours == pytest.approx(loss.item(), rel=1e-5)
    for name, gradient in gradients_of(oracle).items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("micro_batch_tokens", [1, 60, 150])
def test_trap_16_micro_batches_of_uneven_rows_equal_the_full_batch(demonstrations, micro_batch_tokens):
    results = []
    for budget in (10_000, micro_batch_tokens):
        model = tiny_model()
        model.network.double()
        results.append(accumulated(model, demonstrations, config(batch_size=10, micro_batch_tokens=budget)))
    (whole, whole_gradients, _), (parted, gradients, count) = results
    assert count > 1
    assert parted == pytest.approx(whole, rel=1e-6)
    # transformers' norm rounds gradients to fp32: once for a beginning that prompts share, else for each
    for name, gradient in whole_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-6, atol=1e-7, msg=name)


def test_it_learns_and_logs_a_held_out_loss(tiny, demonstrations):
    recorder = Recorder()
    result = train_sft(
        tiny,
        demonstrations[:8],
        config(epochs=4),
        eval_demonstrations=demonstrations[8:],
        observers=[recorder],
    )
    curve = [value for _, value in recorder.curve("sft/eval_loss")]
    assert len(curve) == 2
    assert curve[1] < curve[0] - 1
    assert result.steps == 8
    assert result.metrics["sft/eval_loss"] == curve[1]


def test_the_logged_loss_counts_every_completion_token_once(tiny, demonstrations):
    recorder = Recorder()
    expected = plain_loss(tiny_model(), demonstrations).item()
    train_sft(tiny, demonstrations, config(batch_size=10), observers=[recorder])
    metrics = recorder.steps[0].metrics
    # "yes " is 4 bytes, 1 + i % 4 of them, and an end of turn: i = 0..9 -> 23 words, 10 ends
    assert metrics["sft/tokens"] == 23 * 4 + 10
    assert metrics["sft/loss"] == pytest.approx(expected, rel=1e-5)
    rows = [tiny.tokenizer.example(item.prompt, item.completion) for item in demonstrations]
    assert metrics["throughput/tokens"] == sum(len(row.ids) for row in rows)


def test_every_row_is_seen_once_in_each_pass(tiny, demonstrations):
    task = SftTask(tiny, demonstrations, config(batch_size=4), streams=Streams(0))
    assert task.optimization.steps == 3
    seen = [row for step in range(3) for row in task.order.batch(step)]
    second = [row for step in range(3, 6) for row in task.order.batch(step)]
    assert sorted(seen) == sorted(second) == list(range(10))
    assert seen != second


def test_without_shuffling_rows_come_in_file_order(tiny, demonstrations):
    task = SftTask(tiny, demonstrations, config(batch_size=4, is_shuffled=False), streams=Streams(0))
    assert [task.order.batch(step) for step in range(4)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
        [0, 1, 2, 3],
    ]


def test_rows_that_are_cut_are_counted_and_get_no_end(tiny):
    rows = [
        Demonstration(prompt=Prompt.from_text("a"), completion="b"),
        Demonstration(prompt=Prompt.from_text("a"), completion="b" * 100),
    ]
    recorder = Recorder()
    result = train_sft(tiny, rows, config(max_tokens=40), observers=[recorder])
    assert result.truncated_rows == 1
    assert recorder.steps[0].metrics["sft/truncated_rows"] == 1.0
    task = SftTask(tiny, rows, config(max_tokens=40), streams=Streams(0))
    assert [row.completion_ids[-1] == tiny.tokenizer.eos_id for row in task.rows] == [True, False]


def test_no_demonstrations_raise(tiny):
    with pytest.raises(DataError, match="empty list"):
        train_sft(tiny, [])


def test_trap_48_a_row_without_a_token_to_learn_from_raises(tiny, demonstrations):
    class Forgetful(ChatTokenizer):
        def example(self, prompt, completion, *, max_tokens=None):
            row = super().example(prompt, completion, max_tokens=max_tokens)
            return dataclasses.replace(row, completion_ids=[])

    tiny.tokenizer = Forgetful(tiny.tokenizer.hf)
    with pytest.raises(DataError, match="demonstration 0 has no completion token"):
        train_sft(tiny, demonstrations)


def test_trap_46_killed_and_resumed_equals_uninterrupted(demonstrations, tmp_path, press_ctrl_c_at, curve):
    settings = config(epochs=2, schedule="cosine", eval_every=2)
    whole, parted, resumed = tiny_model(), tiny_model(), tiny_model()
    train, held_out = demonstrations[:9], demonstrations[9:]
    train_sft(whole, train, settings, eval_demonstrations=held_out, run_dir=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train_sft(
            parted,
            train,
            settings,
            eval_demonstrations=held_out,
            run_dir=tmp_path / "parted",
            observers=[press_ctrl_c_at(3)],
        )
    train_sft(
        resumed, train, settings, eval_demonstrations=held_out, run_dir=tmp_path / "parted", resume=True
    )
    assert resumed.version == whole.version
    assert curve(tmp_path / "parted") == curve(tmp_path / "whole")


def test_resuming_on_other_data_is_refused(demonstrations, tmp_path):
    train_sft(tiny_model(), demonstrations, config(checkpoint_every=1), run_dir=tmp_path)
    with pytest.raises(Exception, match=r"data was .*, is"):
        train_sft(tiny_model(), demonstrations[1:], config(checkpoint_every=1), run_dir=tmp_path, resume=True)


def test_the_same_seed_gives_the_same_weights(demonstrations):
    ends = []
    for seed in (1, 1, 2):
        model = tiny_model()
        train_sft(model, demonstrations, config(), streams=Streams(seed))
        ends.append(model.version)
    assert ends[0] == ends[1] != ends[2]


def test_wrong_settings_are_all_named():
    with pytest.raises(ConfigError, match="2 problems") as caught:
        SftConfig(epochs=0, batch_size=0)
    assert [problem.split()[0] for problem in caught.value.problems] == ["epochs", "batch_size"]


def test_trap_46_dropout_draws_the_same_after_a_resume(demonstrations, tmp_path, press_ctrl_c_at):
    def adapted():
        return add_adapter(tiny_model(), LoraConfig(rank=4, dropout=0.5))

    settings = config(epochs=2)
    whole, parted, resumed = adapted(), adapted(), adapted()
    train_sft(whole, demonstrations, settings, run_dir=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train_sft(
            parted, demonstrations, settings, run_dir=tmp_path / "parted", observers=[press_ctrl_c_at(2)]
        )
    train_sft(resumed, demonstrations, settings, run_dir=tmp_path / "parted", resume=True)
    assert resumed.version == whole.version != adapted().version
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)  # the caller's generator has no say
        again = adapted()
        train_sft(again, demonstrations, settings)
    assert again.version == whole.version
    checkpoint = safetensors.torch.load_file(
        tmp_path / "parted" / "checkpoints" / "step-00000002" / "weights.safetensors"
    )
    assert all("lora" in name for name in checkpoint)  # the frozen base is not in it
    start = dict(adapted().network.named_parameters())
    for name, weight in whole.network.named_parameters():
        assert weight.requires_grad or torch.equal(weight, start[name]), name


def test_training_leaves_the_model_in_evaluation_mode(tiny, demonstrations):
    train_sft(tiny, demonstrations, config())
    assert not any(module.training for module in tiny.network.modules())
