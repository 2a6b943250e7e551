"""KTO on the tiny model: against plain forwards, splits, learning, resume, bad input."""

import dataclasses
import math

import pytest
import torch

from accord.domain import ConfigError, DataError, Interrupted, Prompt, Streams, Verdict
from accord.models.language_model import frozen_copy
from accord.models.tiny import tiny_model
from accord.training import OptimizationConfig
from accord.training.kto import KtoConfig, KtoTask, judged_rows, train_kto


@pytest.fixture
def tiny():
    return tiny_model(seed=0)


def config(**changes):
    names = {field.name for field in dataclasses.fields(OptimizationConfig)}
    optimization = {key: changes.pop(key) for key in list(changes) if key in names}
    settings = OptimizationConfig(**{"learning_rate": 1e-3, "precision": "fp32", **optimization})
    return KtoConfig(**{"batch_size": 4, "is_shuffled": False, **changes}, optimization=settings)


def answers(count=4):
    return [
        Verdict(
            prompt=Prompt.from_raw(f"question {i}"),
            completion="no" + "." * i if i % 2 else "yes, gladly",
            is_desirable=i % 2 == 0,
            weight=1.0 + i % 3,
        )
        for i in range(count)
    ]


def task_on(model, rows, settings, **options):
    ids = judged_rows(model, rows, max_tokens=settings.max_tokens)
    return KtoTask(model, ids, settings, streams=Streams(0), **options)


def moved(model):
    with torch.no_grad():
        for _, weight in model.trainable_parameters():
            generator = torch.Generator().manual_seed(weight.numel())
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    return model


def answer_logprob(model, prompt_ids, completion_ids):
    """Summed log-prob of an answer by one plain forward of prompt and answer."""
    ids = torch.tensor([[*prompt_ids, *completion_ids]])
    logits = model.network(input_ids=ids).logits[0].double().log_softmax(-1)
    values = [logits[len(prompt_ids) + i - 1, token] for i, token in enumerate(completion_ids)]
    return torch.stack(values).sum()


def test_loss_and_gradient_equal_kto_by_plain_forwards(tiny):
    reference = frozen_copy(tiny)
    moved(tiny)
    task = task_on(tiny, answers(), config(beta=0.3, undesirable_weight=2.0), reference=reference)
    task.rows = [dataclasses.replace(row, p_desirable=abs(row.p_desirable - 0.1)) for row in task.rows]
    (part,) = task.next_update(0).micro_batches
    found = task.loss(part)
    found.loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in task.parameters()}
    tiny.network.zero_grad()

    def ratio(prompt_ids, completion_ids):
        own = answer_logprob(tiny, prompt_ids, completion_ids)
        return own - answer_logprob(reference, prompt_ids, completion_ids).detach()

    rows = task.rows
    wrong = [ratio(rows[i].prompt_ids, rows[i - 1].completion_ids) for i in range(4)]
    point = max(0.0, (sum(wrong) / 4).item())
    assert part.point.item() == pytest.approx(point, rel=1e-4, abs=1e-5)
    total = torch.zeros((), dtype=torch.float64)
    for row in rows:
        gain = 0.3 * (ratio(row.prompt_ids, row.completion_ids) - point)
        good, bad = torch.sigmoid(-gain), 2.0 * torch.sigmoid(gain)
        total = total + row.weight * (row.p_desirable * good + (1 - row.p_desirable) * bad)
    expected = total / sum(row.weight for row in rows)
    expected.backward()
    assert found.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, weight in task.parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-3, atol=1e-6)


def test_at_the_reference_the_loss_is_one_half(tiny):
    task = task_on(tiny, answers(), config())
    (part,) = task.next_update(0).micro_batches
    assert part.point.item() == pytest.approx(0, abs=1e-5)
    assert task.loss(part).loss.item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("micro_batch_tokens", [1, 60])
def test_trap_16_micro_batches_share_one_reference_point(tiny, micro_batch_tokens):
    reference = frozen_copy(tiny)
    moved(tiny)
    tasks = [
        task_on(tiny, answers(), config(**extra), reference=reference)
        for extra in ({}, {"micro_batch_tokens": micro_batch_tokens})
    ]
    losses = [sum(task.loss(part).loss for part in task.next_update(0).micro_batches) for task in tasks]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)


def test_answers_of_one_prompt_are_no_mismatch(tiny):
    reference = frozen_copy(tiny)
    moved(tiny)
    same = [dataclasses.replace(item, prompt=Prompt.from_raw("one")) for item in answers()]
    task = task_on(tiny, same, config(), reference=reference)
    assert task.point(task.rows).item() == 0.0


def test_kto_learns_to_tell_wanted_from_unwanted(tiny):
    result = train_kto(tiny, answers(8), config(epochs=8, beta=0.5, learning_rate=3e-3))
    assert result.metrics["kto/margin"] > 0.1
    assert result.metrics["kto/loss"] < 0.5


def test_trap_46_killed_and_resumed_equals_uninterrupted(tmp_path, press_ctrl_c_at):
    settings = config(epochs=4, checkpoint_every=2, is_shuffled=True)
    whole, parted, resumed = (tiny_model(seed=0) for _ in range(3))
    train_kto(whole, answers(8), settings, run_dir=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train_kto(parted, answers(8), settings, run_dir=tmp_path / "parted", observers=[press_ctrl_c_at(3)])
    train_kto(resumed, answers(8), settings, run_dir=tmp_path / "parted", resume=True)
    for (name, one), (_, other) in zip(
        whole.network.named_parameters(), resumed.network.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name


def test_bad_settings_and_rows_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"(?s)beta must be above 0.*batch_size must be"):
        KtoConfig(beta=0, batch_size=1)
    with pytest.raises(DataError, match="needs 2 or more"):
        train_kto(tiny, answers(1), config())
    with pytest.raises(DataError, match="has the weight nan"):
        train_kto(tiny, [dataclasses.replace(answers()[0], weight=math.nan)], config())
