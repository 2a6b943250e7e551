"""AdamW with small moments: error bounds, no bias, the exact first step, and resuming bit for bit."""

import dataclasses

import pytest
import torch
from torch import nn

from accord.domain import ConfigError, Streams, TrainingError
from accord.training import optimize
from accord.training.compact_adamw import (
    BLOCK,
    CHUNK,
    FIRST,
    SECOND,
    CompactAdamW,
    decode,
    encode,
    round_at_random,
    state_bytes,
)
from accord.training.optimizer import OptimizationConfig, build_optimizer


def generator():
    return torch.Generator().manual_seed(0)


def awkward(n=3 * BLOCK + 17):
    """Values over twelve orders of magnitude, with zeros and a block of zeros."""
    values = torch.randn(n, generator=generator()) * 10.0 ** torch.randint(-9, 3, (n,), generator=generator())
    values[:5] = 0.0
    values[BLOCK : 2 * BLOCK] = 0.0
    return values


@pytest.mark.parametrize("levels", [FIRST, SECOND], ids=["signed", "unsigned"])
def test_a_code_is_off_by_less_than_one_level(levels):
    values = awkward() if levels.is_signed else awkward().abs()
    codes, scales = encode(values, levels, generator())
    assert codes.dtype == torch.uint8
    smallest = 2.0 ** (-levels.octaves * (levels.count - 1) / levels.count)
    floor = scales.repeat_interleave(BLOCK)[: len(values)] * smallest
    # 2 ** (16 / 127) and 2 ** (32 / 255): one level is 9.1 % of the value, or the smallest magnitude
    assert levels.ratio - 1 == pytest.approx(0.0912, abs=4e-4)
    error = (decode(codes, scales, levels) - values).abs()
    assert bool((error <= torch.maximum((levels.ratio - 1 + 1e-5) * values.abs(), floor * 1.00001)).all())
    assert bool((decode(codes, scales, levels)[values == 0] == 0).all())


def test_a_second_moment_above_zero_never_becomes_zero():
    values = torch.full((BLOCK,), 1e-30)
    values[0] = 1.0
    codes, scales = encode(values, SECOND, generator())
    assert bool((decode(codes, scales, SECOND) > 0).all())


def test_rounding_keeps_the_mean():
    # 0.3 of the block's largest lies between two codes; the mean of many draws is within 4 standard errors
    values = torch.full((40_000,), 0.3)
    values[::BLOCK] = 1.0
    kept = decode(*encode(values, FIRST, generator()), FIRST)[values < 1]
    assert kept.std() > 0
    assert abs(kept.double().mean().item() - 0.3) < 4 * kept.std().item() / len(kept) ** 0.5
    # an eighth of the way from 1 to the next bf16 number, 1 + 2 ** -7
    value = 1.0 + 2.0**-10
    kept = round_at_random(torch.full((40_000,), value), generator()).double()
    assert set(kept.unique().tolist()) == {1.0, 1.0 + 2.0**-7}
    assert (kept > 1).double().mean().item() == pytest.approx(
        2.0**-3, abs=4 * (0.125 * 0.875 / 40_000) ** 0.5
    )


def run(optimizer_state, steps, size=CHUNK + 300):
    """Minimize a badly scaled quadratic from one start; the weights after `steps`."""
    scale = 10.0 ** torch.linspace(-2, 2, size)
    weight = nn.Parameter(torch.ones(2, size))
    config = OptimizationConfig(learning_rate=0.02, weight_decay=0.01, optimizer_state=optimizer_state)
    optimizer = build_optimizer([("w", weight)], config)
    for _ in range(steps):
        weight.grad = scale * weight.detach()
        optimizer.step()
    return weight.detach(), optimizer


@pytest.mark.parametrize("optimizer_state", ["bf16", "int8"])
def test_the_first_step_is_torchs_to_the_rounding(optimizer_state):
    exact, _ = run("fp32", 1)
    small, _ = run(optimizer_state, 1)
    torch.testing.assert_close(small, exact, rtol=0, atol=2e-7)


@pytest.mark.parametrize(("optimizer_state", "bound"), [("bf16", 0.01), ("int8", 0.05)])
def test_many_steps_stay_near_torchs(optimizer_state, bound):
    exact, _ = run("fp32", 30, size=600)
    small, _ = run(optimizer_state, 30, size=600)
    start = torch.ones_like(exact)
    assert (small - exact).norm() <= bound * (exact - start).norm()
    assert (exact - start).norm() > 0.3 * start.norm()


@pytest.mark.parametrize("optimizer_state", ["bf16", "int8"])
def test_memory_is_what_the_estimate_says(optimizer_state):
    weight, optimizer = run(optimizer_state, 1, size=4 * BLOCK)
    (state,) = optimizer.state.values()
    held = sum(value.numel() * value.element_size() for name, value in state.items() if name != "step")
    assert held == state_bytes(weight.numel(), optimizer_state)
    assert held < 0.51 * state_bytes(weight.numel(), "fp32")


@pytest.mark.parametrize("optimizer_state", ["bf16", "int8"])
def test_trap_46_killed_and_resumed_equals_uninterrupted_with_small_moments(
    make_task, tmp_path, optimizer_state
):
    config = OptimizationConfig(
        steps=6, learning_rate=0.1, checkpoint_every=3, optimizer_state=optimizer_state, precision="fp32"
    )
    whole, parts = make_task(), make_task()
    optimize(whole, config, streams=Streams(1))

    class Dies(type(parts)):
        def next_update(self, step):
            if step == 4:
                raise KeyboardInterrupt
            return super().next_update(step)

    dying = Dies(parts.data)
    with pytest.raises(KeyboardInterrupt):
        optimize(dying, config, streams=Streams(1), run_dir=tmp_path)
    optimize(parts, config, streams=Streams(1), run_dir=tmp_path, resume=True)
    assert torch.equal(parts.weight, whole.weight)
    assert torch.equal(parts.bias, whole.bias)


def test_a_run_resumed_with_another_kind_of_moments_is_refused(make_task, tmp_path):
    config = OptimizationConfig(steps=2, checkpoint_every=1, optimizer_state="int8")
    optimize(make_task(), config, streams=Streams(1), run_dir=tmp_path)
    other = dataclasses.replace(config, optimizer_state="bf16")
    with pytest.raises(TrainingError, match="optimizer_state"):
        optimize(make_task(), other, streams=Streams(1), run_dir=tmp_path, resume=True)


def test_what_it_cannot_do_is_said():
    with pytest.raises(ConfigError, match="optimizer_state"):
        OptimizationConfig(optimizer_state="int4")
    weight = nn.Parameter(torch.ones(4, 6).T)
    weight.grad = torch.ones_like(weight)
    optimizer = CompactAdamW(
        [{"params": [weight]}], lr=0.1, betas=(0.9, 0.999), eps=1e-8, state_format="int8"
    )
    with pytest.raises(TrainingError, match="contiguous"):
        optimizer.step()
    with pytest.raises(TrainingError, match="closure"):
        optimizer.step(lambda: 1.0)
