"""Memory and time before a run: counted by hand on the tiny model, linear where it must be."""

import pytest
import torch

from accord.domain import TrainingError
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.ragged import body_of
from accord.models.tiny import tiny_model
from accord.training import estimate
from accord.training.estimate import (
    ActivationCost,
    RowShape,
    Work,
    estimate_memory,
    estimate_step_seconds,
    measure_activations,
    plan_work,
)

WORK = Work(steps=10, tokens_per_step=100.0, largest_tokens=60, largest_labels=20, micro_batches=2)
COST = ActivationCost(once=1000.0, per_token=10.0)


def test_work_by_hand():
    # updates of 2: (10, 20), (30, 5), (8); budget 32: 30 in one, 30 and 5 apart, 8
    rows = [RowShape(tokens=n, label_tokens=n // 2) for n in (10, 20, 30, 5, 8)]
    work = plan_work(rows, batch_size=2, micro_batch_tokens=32, epochs=2, steps=None)
    assert (work.steps, work.largest_tokens, work.largest_labels, work.micro_batches) == (6, 30, 15, 2)
    assert work.tokens_per_step == pytest.approx(73 / 3)
    assert plan_work(rows, batch_size=2, micro_batch_tokens=32, epochs=2, steps=7).steps == 7
    with pytest.raises(TrainingError, match="no rows"):
        plan_work([], batch_size=2, micro_batch_tokens=32, epochs=1, steps=None)


def test_memory_by_hand():
    model = tiny_model()
    count = sum(weight.numel() for weight in model.network.parameters())
    options = {"precision": "fp32", "process_bytes": 5e6, "activations": COST}
    found = estimate_memory(model.network, body_of(model), WORK, has_reference=True, **options)
    assert found.weights == found.reference == found.gradients == 4 * count
    assert found.optimizer == 8 * count
    assert found.activations == 1000 + 10 * 60
    # exponentials [20, 263] and the head's gradient [263, 64] in fp32, three [20, 64]
    assert found.head == 4 * (20 * 263 + 263 * 64 + 3 * 20 * 64)
    assert found.peak == 5e6 + 5 * 4 * count + found.activations + found.head
    alone = Work(**{**vars(WORK), "largest_labels": 0})
    single = estimate_memory(model.network, body_of(model), alone, has_reference=False, **options)
    assert single.head == 0
    assert single.peak == 5e6 + 4 * 4 * count + found.activations


def test_under_an_adapter_only_the_adapter_has_gradients_and_states():
    model = tiny_model()
    add_adapter(model, LoraConfig(rank=2))
    trained = sum(weight.numel() for weight in model.network.parameters() if weight.requires_grad)
    found = estimate_memory(
        model.network, body_of(model), WORK, precision="fp32", has_reference=False, process_bytes=0.0
    )
    assert found.gradients == 4 * trained < found.weights / 4
    assert found.optimizer == 8 * trained


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_forward_keeps_is_linear_in_its_tokens(precision, monkeypatch):
    body = body_of(tiny_model())
    cost = measure_activations(body, precision=precision)
    assert cost.per_token > 2 * 64 * 4  # two layers keep more than their inputs
    monkeypatch.setattr(estimate, "PROBE_TOKENS", (40, 160))
    again = measure_activations(body, precision=precision)
    assert again.per_token == pytest.approx(cost.per_token, rel=0.05)
    matrices = sum(weight.numel() for weight in body.layers.parameters() if weight.ndim == 2)
    if precision == "bf16":  # autocast keeps a copy of each matrix
        assert cost.once == pytest.approx(2 * matrices, rel=0.1)
    else:
        assert cost.once < matrices


def test_frozen_lower_layers_keep_less():
    body = body_of(tiny_model())
    whole = measure_activations(body, precision="fp32").per_token
    body.embed_tokens.requires_grad_(False)
    body.layers[0].requires_grad_(False)
    assert measure_activations(body, precision="fp32").per_token < 0.7 * whole


def test_seconds_by_hand_and_the_mode_is_put_back():
    model = tiny_model()
    body_of(model).eval()
    n_matrix = sum(weight.numel() for weight in model.network.parameters() if weight.ndim == 2)
    plain = estimate_step_seconds(model.network, WORK, precision="fp32", has_reference=False, speed=1e9)
    assert plain == pytest.approx(100 * 6 * n_matrix / 0.5e9)
    both = estimate_step_seconds(model.network, WORK, precision="fp32", has_reference=True, speed=1e9)
    assert both == pytest.approx(plain * 8 / 6)
    assert estimate.measure_matrix_speed(torch.device("cpu"), precision="fp32", size=64) > 1e6
    measure_activations(body_of(model), precision="fp32")
    assert not body_of(model).training
