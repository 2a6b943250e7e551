"""AdamW, schedule and clipping against numbers by hand."""

import math

import pytest
import torch
from torch import nn

from accord.domain import ConfigError, TrainingError
from accord.training.optimizer import (
    OptimizationConfig,
    build_optimizer,
    clip_gradients,
    learning_rate_at,
)


def rates(config, steps):
    return [learning_rate_at(config, step, steps) for step in range(steps)]


def adamw_by_hand(value, gradients, *, rate, beta1, beta2, eps, decay):
    """Loshchilov and Hutter 2019, algorithm 2, on one number."""
    mean = square = 0.0
    for step, gradient in enumerate(gradients, 1):
        value *= 1 - rate * decay
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        unbiased_mean, unbiased_square = mean / (1 - beta1**step), square / (1 - beta2**step)
        value -= rate * unbiased_mean / (math.sqrt(unbiased_square) + eps)
    return value


@pytest.mark.parametrize("eps", [1e-8, 1e-5])
def test_trap_33_adamw_equals_the_algorithm_by_hand(eps):
    config = OptimizationConfig(learning_rate=0.1, betas=(0.8, 0.9), eps=eps, weight_decay=0.3)
    matrix = nn.Parameter(torch.tensor([[2.0]], dtype=torch.float64))
    vector = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = build_optimizer([("matrix", matrix), ("vector", vector)], config)
    gradients = [0.5, -1e-5, 2.0]
    for gradient in gradients:
        matrix.grad = torch.full_like(matrix, gradient)
        vector.grad = torch.full_like(vector, gradient)
        optimizer.step()
    by_hand = {
        decay: adamw_by_hand(2.0, gradients, rate=0.1, beta1=0.8, beta2=0.9, eps=eps, decay=decay)
        for decay in (0.3, 0.0)
    }
    assert matrix.item() == pytest.approx(by_hand[0.3], rel=1e-9)
    assert vector.item() == pytest.approx(by_hand[0.0], rel=1e-9)  # no decay on vectors
    assert by_hand[0.3] != pytest.approx(by_hand[0.0], rel=1e-3)


def test_adamw_equals_torchs_plain_one_on_many_steps():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, 7, generator=generator)
    gradients = [torch.randn(5, 7, generator=generator) for _ in range(20)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = build_optimizer([("w", ours)], OptimizationConfig(learning_rate=0.01, weight_decay=0.1))
    plain = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1, foreach=False, fused=False)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        plain.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_optimizer_state_is_fp32():
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = build_optimizer([("w", weight)], OptimizationConfig())
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert {value.dtype for value in optimizer.state[weight].values()} == {torch.float32}


def test_half_precision_weights_are_refused():
    weight = nn.Parameter(torch.ones(2, 2, dtype=torch.bfloat16))
    with pytest.raises(TrainingError, match=r"w is torch.bfloat16, expected float32"):
        build_optimizer([("w", weight)], OptimizationConfig())


def test_nothing_to_train_is_refused():
    with pytest.raises(TrainingError, match="nothing to train"):
        build_optimizer([], OptimizationConfig())


def test_warm_up_rises_by_equal_steps_and_wastes_none():
    config = OptimizationConfig(learning_rate=1.0, warmup_steps=4)
    assert rates(config, 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_linear_falls_to_its_final_share():
    config = OptimizationConfig(learning_rate=1.0, schedule="linear", warmup_steps=1, final_rate_share=0.5)
    # after warm-up 4 steps of 5: 1, then down by 0.5 / 4 a step
    assert rates(config, 5) == pytest.approx([1.0, 1.0, 0.875, 0.75, 0.625])


def test_cosine_is_half_way_down_in_the_middle():
    config = OptimizationConfig(learning_rate=2.0, schedule="cosine")
    assert rates(config, 4) == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5)])


def test_warm_up_longer_than_the_run_is_fine():
    config = OptimizationConfig(learning_rate=1.0, schedule="cosine", warmup_steps=10)
    assert rates(config, 2) == pytest.approx([0.1, 0.2])


def test_clipping_scales_to_the_norm_and_returns_the_one_before():
    first, second = nn.Parameter(torch.zeros(1, 1)), nn.Parameter(torch.zeros(1))
    first.grad, second.grad = torch.tensor([[3.0]]), torch.tensor([4.0])
    assert clip_gradients([first, second], 1.0).item() == 5.0
    assert [first.grad.item(), second.grad.item()] == pytest.approx([0.6, 0.8], rel=1e-5)
    assert clip_gradients([first, second], 0.0).item() == pytest.approx(1.0, rel=1e-5)


def test_clipping_off_leaves_gradients_alone():
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.tensor([100.0])
    assert clip_gradients([weight], 0.0).item() == 100.0
    assert weight.grad.item() == 100.0


def test_every_wrong_setting_is_named():
    with pytest.raises(ConfigError) as caught:
        OptimizationConfig(learning_rate=-1.0, schedule="exponential", betas=(0.9, 1.0))  # type: ignore[arg-type]
    assert [problem.split()[0] for problem in caught.value.problems] == ["learning_rate", "schedule", "betas"]
