"""KTO on the tiny model: against plain forwards, splits, learning, resume, bad input."""

import dataclasses
import math

import pytest
import torch

from accord.domain import ConfigError, DataError, Interrupted, ModelError, Prompt, Streams, Verdict
from accord.models.language_model import frozen_copy
from accord.models.tiny import tiny_model
from accord.training import OptimizationConfig, Recorder
from accord.training.kto import KtoConfig, KtoTask, judged_rows, train_kto
from accord.training.metrics import find_metric
from accord.training.split import hold_out_records


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


def test_answers_to_one_prompt_run_it_once_and_give_what_plain_forwards_give(tiny, monkeypatch):
    reference = frozen_copy(tiny)
    moved(tiny)
    two = [
        dataclasses.replace(item, prompt=Prompt.from_raw(f"question {i % 2}"))
        for i, item in enumerate(answers())
    ]
    task = task_on(tiny, two, config(beta=0.3), reference=reference)
    passes = []
    plain = task.reference.logprobs
    monkeypatch.setattr(
        task.reference, "logprobs", lambda packed, **given: passes.append(packed) or plain(packed, **given)
    )
    (part,) = task.next_update(0).micro_batches
    # own and mismatched answers in one pass of the reference, each prompt and equal answer in it once
    (asked,) = passes
    assert asked.n_completions == 6
    assert asked.group_index.tolist() == [0] * 3 + [1] * 3
    assert part.packed.group_index.tolist() == [0, 0, 1, 1]
    assert [row.prompt_ids for row in part.rows] == [task.rows[i].prompt_ids for i in (0, 2, 1, 3)]
    for row, found in zip(part.rows, task._log_ratios(part.rows), strict=True):
        ids = (row.prompt_ids, row.completion_ids)
        expected = answer_logprob(tiny, *ids) - answer_logprob(reference, *ids)
        assert found.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    for row, found in zip(part.rows, part.reference_sums, strict=True):
        expected = answer_logprob(reference, row.prompt_ids, row.completion_ids)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)


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


def test_each_evaluation_reports_the_held_out_rows(tiny):
    recorder = Recorder()
    rows = answers(12)
    train_kto(tiny, rows[:8], config(eval_every=1), eval_answers=rows[8:], observers=[recorder])
    assert [report.step for report in recorder.evaluations] == [0, 1, 2]
    assert set(recorder.evaluations[0].metrics) == {
        "kto/eval_loss",
        "kto/eval_accuracy",
        "kto/eval_auc",
        "kto/eval_reference_point",
    }
    start = recorder.evaluations[0].metrics
    assert start["kto/eval_loss"] == pytest.approx(0.5, abs=1e-5)  # the policy is the reference
    assert all(find_metric(name) for name in start)


def test_held_out_figures_are_those_of_plain_forwards(tiny):
    reference = frozen_copy(tiny)
    moved(tiny)
    rows = judged_rows(tiny, answers(5), max_tokens=512)
    settings = config(beta=0.3, micro_batch_tokens=40)
    task = KtoTask(tiny, rows[:2], settings, reference=reference, eval_rows=rows, streams=Streams(0))

    def ratio(prompt_ids, completion_ids):
        with torch.no_grad():
            own = answer_logprob(tiny, prompt_ids, completion_ids)
            return (own - answer_logprob(reference, prompt_ids, completion_ids)).item()

    wrong = [ratio(rows[i].prompt_ids, rows[i - 1].completion_ids) for i in range(5)]
    point = max(0.0, sum(wrong) / 5)
    losses, weights = [], [row.weight for row in rows]
    for row in rows:
        gain = 0.3 * (ratio(row.prompt_ids, row.completion_ids) - point)
        losses.append(1 / (1 + math.exp(gain if row.p_desirable else -gain)))
    expected = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    with torch.no_grad():
        found = task.evaluate(0)
    assert found["kto/eval_loss"] == pytest.approx(expected, rel=1e-4)
    assert found["kto/eval_reference_point"] == pytest.approx(point, rel=1e-3, abs=1e-4)


def test_trap_52_held_out_answers_share_no_prompt_with_training(tiny):
    rows = [row for row in answers(30) for _ in range(2)]
    train, held_out = hold_out_records(rows, None, 0.3, Streams(0))
    assert len(train) + len(held_out) == 60
    assert held_out
    assert not {row.prompt for row in train} & {row.prompt for row in held_out}
    with pytest.raises(DataError, match="1 prompts stand in training and in held-out records"):
        train_kto(tiny, rows[:4], config(), eval_answers=rows[2:3])


def test_a_reference_of_another_vocabulary_is_refused(tiny):
    other = tiny_model(seed=1)
    other.network.resize_token_embeddings(300)
    with pytest.raises(ModelError, match="has 300 tokens and policy"):
        train_kto(tiny, answers(), config(), reference=other)


def test_a_prompt_longer_than_the_context_is_cut_and_counted(tiny):
    rows = [dataclasses.replace(row, prompt=Prompt.from_raw("long " * 900)) for row in answers(1)]
    result = train_kto(tiny, [*rows, *answers(4)[1:]], config(eval_share=0.0, max_tokens=4000))
    assert result.truncated_rows == 1
    assert math.isfinite(result.metrics["kto/loss"])
