"""Direct preference optimization on the tiny model: against a plain forward, splits, caching, resume."""

import dataclasses
import math

import pytest
import torch

from accord.domain import (
    ConfigError,
    DataError,
    Interrupted,
    Preference,
    Prompt,
    Streams,
    TrainingError,
)
from accord.models.language_model import frozen_copy
from accord.models.tiny import tiny_model
from accord.training import DpoConfig, OptimizationConfig, Recorder, train_dpo
from accord.training.dpo import DpoTask

LOSSES = ("sigmoid", "sigmoid_per_token", "robust", "ipo", "hinge", "simpo", "orpo", "apo_zero", "apo_down")


@pytest.fixture
def tiny():
    return tiny_model(seed=0)


def config(**changes):
    names = {field.name for field in dataclasses.fields(OptimizationConfig)}
    optimization = {key: changes.pop(key) for key in list(changes) if key in names}
    settings = OptimizationConfig(**{"learning_rate": 1e-3, "precision": "fp32", **optimization})
    return DpoConfig(**{"batch_size": 4, "eval_share": 0.0, **changes}, optimization=settings)


def pairs(count=4):
    return [
        Preference(
            prompt=Prompt.from_raw(f"question {i}"),
            chosen="yes, gladly",
            rejected="no" + "." * i,
            p_chosen=1.0 - 0.1 * (i % 3),
            weight=1.0 + i % 2,
        )
        for i in range(count)
    ]


def answer_logprob(model, prompt, text):
    """Summed log-prob of an answer by one plain forward of prompt and answer."""
    row = model.tokenizer.example(prompt, text)
    logits = model.network(input_ids=torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
    start = len(row.prompt_ids)
    values = [logits[start + i - 1, token] for i, token in enumerate(row.completion_ids)]
    return torch.stack(values).sum()


def test_trap_34_loss_and_gradient_equal_dpo_by_plain_forwards(tiny):
    reference = frozen_copy(tiny)
    with torch.no_grad():
        for _, weight in tiny.trainable_parameters():
            weight.add_(
                0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
            )
    task = DpoTask(tiny, pairs(), config(beta=0.3), reference=reference, streams=Streams(0))
    (part,) = task.next_update(0).micro_batches
    found = task.loss(part)
    found.loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in task.parameters()}
    tiny.network.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    for item in pairs():
        sides = [
            answer_logprob(tiny, item.prompt, text) - answer_logprob(reference, item.prompt, text).detach()
            for text in (item.chosen, item.rejected)
        ]
        margin = 0.3 * (sides[0] - sides[1])
        won, lost = torch.nn.functional.softplus(-margin), torch.nn.functional.softplus(margin)
        total = total + item.weight * (item.p_chosen * won + (1 - item.p_chosen) * lost)
    expected = total / sum(item.weight for item in pairs())
    expected.backward()
    assert found.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, weight in task.parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-3, atol=1e-6)


def test_at_the_reference_the_loss_is_ln_2_and_rewards_are_0(tiny):
    task = DpoTask(tiny, pairs(), config(), streams=Streams(0))
    (part,) = task.next_update(0).micro_batches
    found = task.loss(part)
    assert found.loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert float(found.metrics["dpo/chosen_reward"]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_member_learns_to_tell_the_sides_apart(tiny, loss):
    result = train_dpo(tiny, pairs(8), config(loss=loss, epochs=8, beta=0.5, learning_rate=3e-3))
    assert result.metrics["dpo/accuracy"] == pytest.approx(1.0)
    assert result.metrics["dpo/margin"] > 0


@pytest.mark.parametrize("micro_batch_tokens", [1, 60, 4096])
def test_trap_16_micro_batches_equal_the_full_batch(tiny, micro_batch_tokens):
    whole = DpoTask(tiny, pairs(), config(), streams=Streams(0))
    split = DpoTask(tiny, pairs(), config(micro_batch_tokens=micro_batch_tokens), streams=Streams(0))
    losses = [
        sum(task.loss(part).loss for part in task.next_update(0).micro_batches) for task in (whole, split)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)


def test_reference_logprobs_of_a_later_epoch_are_those_of_the_first(tiny):
    task = DpoTask(tiny, pairs(), config(is_shuffled=False), streams=Streams(0))
    (first,) = task.next_update(0).micro_batches
    with torch.no_grad():
        for _, weight in tiny.trainable_parameters():
            weight.mul_(1.1)
    (again,) = task.next_update(1).micro_batches
    assert torch.equal(first.reference_sums, again.reference_sums)
    fresh = task.reference.logprobs(again.packed, trunk=None, temperature=1.0)
    assert again.reference_sums.sum().item() == pytest.approx(fresh.sum().item(), rel=1e-6)


def test_frozen_lower_layers_change_no_number():
    full, top = tiny_model(seed=0), tiny_model(seed=0)
    for name, weight in top.network.named_parameters():
        weight.requires_grad_("layers.1." in name)
    losses = []
    for model in (full, top):
        task = DpoTask(
            model, pairs(), config(), reference=frozen_copy(tiny_model(seed=1)), streams=Streams(0)
        )
        (part,) = task.next_update(0).micro_batches
        losses.append(task.loss(part).loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_held_out_pairs_are_scored_by_implicit_rewards(tiny):
    result = train_dpo(tiny, pairs(8), config(eval_share=0.3, epochs=2))
    assert {"dpo/eval_accuracy", "dpo/eval_nll"} <= set(result.metrics)


def test_trap_46_killed_and_resumed_equals_uninterrupted(tmp_path, press_ctrl_c_at):
    settings = config(epochs=4, checkpoint_every=2, loss="sigmoid")
    whole, recorder = tiny_model(seed=0), Recorder()
    train_dpo(whole, pairs(8), settings, run_dir=tmp_path / "whole", observers=[recorder])
    parted = tiny_model(seed=0)
    with pytest.raises(Interrupted):
        train_dpo(parted, pairs(8), settings, run_dir=tmp_path / "parted", observers=[press_ctrl_c_at(3)])
    resumed = tiny_model(seed=0)
    train_dpo(resumed, pairs(8), settings, run_dir=tmp_path / "parted", resume=True)
    for (name, one), (_, other) in zip(
        whole.network.named_parameters(), resumed.network.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name


def test_bad_settings_are_named_together():
    with pytest.raises(ConfigError, match=r"(?s)beta must be above 0.*flip_share must be"):
        DpoConfig(beta=0, flip_share=0.5)


def test_no_pairs_is_an_error(tiny):
    with pytest.raises(DataError, match="no pairs to learn from"):
        train_dpo(tiny, [], config())


def test_trap_35_displacement_is_measured_and_an_alarm_is_raised_once(tiny, caplog):
    # answers that differ in one token: what raises the margin lowers both
    nearly = [
        Preference(
            prompt=Prompt.from_raw(f"q{i}"), chosen="abcdefgh" * 3 + "x", rejected="abcdefgh" * 3 + "y"
        )
        for i in range(8)
    ]
    reference = frozen_copy(tiny)
    with torch.no_grad():
        tiny.network.model.norm.weight.mul_(-2.0)  # a policy under which every chosen answer has lost
    recorder = Recorder()
    settings = config(learning_rate=0.0, steps=12, batch_size=8, is_shuffled=False)
    result = train_dpo(tiny, nearly, settings, reference=reference, observers=[recorder])
    with torch.no_grad():
        lost = [
            float(answer_logprob(reference, each.prompt, each.chosen))
            - float(answer_logprob(tiny, each.prompt, each.chosen))
            for each in nearly
        ]
    first = recorder.steps[0].metrics
    assert first["dpo/displaced"] == pytest.approx(sum(value > 0 for value in lost) / 8)
    assert first["dpo/displacement"] == pytest.approx(sum(max(0.0, value) for value in lost) / 8, rel=1e-4)
    assert first["dpo/displaced"] == 1.0
    (message,) = result.warnings
    assert "100% of the chosen answers are less likely than at the start" in message
    assert caplog.text.count("chosen answers") == 1


def test_trap_35_the_preferred_answer_is_the_more_probable_one_whatever_its_side(tiny):
    reference = frozen_copy(tiny)
    with torch.no_grad():
        tiny.network.model.norm.weight.mul_(1.3)
    found = []
    turned = [
        dataclasses.replace(each, chosen=each.rejected, rejected=each.chosen, p_chosen=1 - each.p_chosen)
        for each in pairs()
    ]
    for rows in (pairs(), turned):
        task = DpoTask(tiny, rows, config(), reference=reference, streams=Streams(0))
        (part,) = task.next_update(0).micro_batches
        metrics = task.loss(part).metrics
        found.append([float(metrics[f"dpo/{name}"]) for name in ("displaced", "displacement")])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0][1] > 0


def test_trap_35_no_alarm_where_chosen_answers_gain(tiny):
    result = train_dpo(tiny, pairs(), config(steps=8, sft_weight=1.0))
    assert result.warnings == ()


def test_trap_36_kept_reference_log_probs_serve_the_next_run_and_no_other_model(tmp_path):
    settings = config(steps=2, batch_size=2, reference_cache=str(tmp_path / "deep"))
    first, second = tiny_model(seed=0), tiny_model(seed=0)
    train_dpo(first, pairs(), settings)
    task = DpoTask(second, pairs(), settings, streams=Streams(0))
    assert len(task.cache) == 4
    calls = []
    task.reference.logprobs = lambda *args, **options: calls.append(1)
    task.next_update(0)
    assert not calls
    train_dpo(second, pairs(), settings)
    assert second.version == first.version
    # another model's numbers are in another file; one that claims to be this one's is refused
    assert len(DpoTask(tiny_model(seed=1), pairs(), settings, streams=Streams(0)).cache) == 0
    (kept,) = (tmp_path / "deep").iterdir()
    other = tiny_model(seed=1)
    kept.rename(kept.with_name(kept.name.replace(tiny_model(seed=0).version, other.version)))
    with pytest.raises(TrainingError, match="holds log-probs of"):
        DpoTask(other, pairs(), settings, streams=Streams(0))


def test_trap_36_other_ids_find_nothing(tmp_path):
    settings = config(steps=1, reference_cache=str(tmp_path))
    train_dpo(tiny_model(seed=0), pairs(2), settings)
    task = DpoTask(tiny_model(seed=0), pairs(), settings, streams=Streams(0))
    keys = [group.key for group in task.groups]
    assert [task.cache.get([key]) is not None for key in keys] == [True, True, False, False]


def test_trap_46_a_second_epoch_after_a_stop_has_the_same_reference_log_probs(tmp_path):
    # groups meet other neighbors in the second pass: scored anew their last bits could differ
    settings = config(batch_size=3, epochs=3.0, checkpoint_every=2)
    whole, resumed = tiny_model(seed=0), tiny_model(seed=0)
    train_dpo(whole, pairs(7), settings)

    class Stop(Exception):
        pass

    class StopAtSix(Recorder):
        def on_step(self, report):
            if report.step == 6:
                raise Stop

    with pytest.raises(Stop):
        train_dpo(tiny_model(seed=0), pairs(7), settings, run_dir=tmp_path, observers=[StopAtSix()])
    train_dpo(resumed, pairs(7), settings, run_dir=tmp_path, resume=True)
    assert resumed.version == whole.version
