"""Recomputed activations: the same run bit for bit, decided by the estimate, and counted in it."""

import dataclasses

import pytest
import torch

from accord.domain import ConfigError, Streams
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.language_model import LanguageModel
from accord.models.ragged import body_of
from accord.models.recomputing import recomputes
from accord.models.tiny import tiny_model
from accord.training import DpoConfig, OptimizationConfig, Recorder, SftConfig, train_dpo, train_sft
from accord.training.memory import free_bytes, resident_bytes
from accord.training.recompute import RecomputePlan, activation_room
from accord.training.task import Update

OPTIMIZATION = OptimizationConfig(steps=3, learning_rate=1e-3, precision="fp32", eval_at_start=False)


def trained(rows, recompute, *, train=train_sft, config=SftConfig, lora=False):
    model, recorder = tiny_model(dropout=0.1 if train is train_sft else 0.0), Recorder()
    if lora:
        model = add_adapter(model, LoraConfig(rank=2))
    settings = config(batch_size=4, optimization=dataclasses.replace(OPTIMIZATION, recompute=recompute))
    train(model, rows, settings, observers=[recorder], streams=Streams(2))
    return model, [report.metrics for report in recorder.steps]


@pytest.mark.parametrize("lora", [False, True], ids=["fused", "layers_themselves"])
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_recomputing_changes_no_bit(demonstrations, preferences, stage, lora):
    options = {"train": train_sft, "config": SftConfig} if stage == "sft" else {}
    options = options or {"train": train_dpo, "config": DpoConfig}
    rows = demonstrations if stage == "sft" else preferences
    plain, kept = trained(rows, "never", lora=lora, **options)
    model, again = trained(rows, "always", lora=lora, **options)
    assert [each[f"{stage}/loss"] for each in kept] == [each[f"{stage}/loss"] for each in again]
    assert [each["optim/recomputed"] for each in (*kept, *again)] == [0.0] * 3 + [1.0] * 3
    for (name, weight), (_, other) in zip(
        plain.trainable_parameters(), model.trainable_parameters(), strict=True
    ):
        assert torch.equal(weight, other), name


def plan_for(model: LanguageModel, **changes) -> RecomputePlan:
    config = dataclasses.replace(OPTIMIZATION, **changes)
    return RecomputePlan(model, [weight for _, weight in model.trainable_parameters()], config)


def test_auto_follows_the_room_and_the_size_of_the_update():
    model = tiny_model()
    plan = plan_for(model)
    assert plan.room is not None
    few, many = (Update(micro_batches=[], tokens=tokens) for tokens in (10, 4096))
    assert not plan.prepare(many)  # the tiny model fits anywhere
    assert not recomputes(body_of(model))
    plan.room = plan.cost.once + plan.cost.per_token * 100 + 100 * 263 * 4
    assert not plan.prepare(few)
    assert plan.prepare(many)
    assert recomputes(body_of(model))
    plan.config = dataclasses.replace(plan.config, micro_batch_tokens=50)
    assert not plan.prepare(many)  # no micro-batch has more than 50 tokens
    assert not recomputes(body_of(model))


def test_room_by_hand():
    model = tiny_model()
    parameters = [weight for _, weight in model.trainable_parameters()]
    count = sum(weight.numel() for weight in parameters)
    config = dataclasses.replace(OPTIMIZATION, memory_gb=100.0, optimizer_state="bf16")
    room = activation_room(parameters, config)
    # gradients take 4 bytes a weight, moments in bf16 as much again
    assert room == pytest.approx(100e9 - resident_bytes() - 8 * count, rel=1e-3)
    assert activation_room(parameters, dataclasses.replace(config, memory_gb=0.001)) < 0
    free = free_bytes(torch.device("cpu"))
    assert free is None or 0 <= free < 1e15


def test_a_task_without_a_network_is_left_alone(make_task):
    task = make_task()
    plan = RecomputePlan(task.model, [task.weight], OPTIMIZATION)
    assert not plan.prepare(Update(micro_batches=[], tokens=10**9))


def test_the_probe_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    plan_for(tiny_model(dropout=0.5))
    assert torch.equal(torch.rand(1), expected)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match=r"(?s)recompute.*memory_gb"):
        OptimizationConfig(recompute="sometimes", memory_gb=-1.0)
