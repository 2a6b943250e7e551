"""What fp32, bf16 and auto mean."""

import pytest
import torch

from accord.domain import TrainingError
from accord.training import OptimizationConfig, Recorder, SftConfig, autocast, resolve_precision, train_sft
from accord.training.precision import has_fast_bf16

CPU = torch.device("cpu")


def test_auto_is_bf16_exactly_where_the_machine_multiplies_it_quickly():
    assert resolve_precision("auto", CPU) == ("bf16" if has_fast_bf16(CPU) else "fp32")
    assert resolve_precision("fp32", CPU) == "fp32"
    assert resolve_precision("auto", torch.device("meta")) == "fp32"


def test_an_unknown_precision_is_refused():
    with pytest.raises(TrainingError, match="fp16"):
        resolve_precision("fp16", CPU)  # type: ignore[arg-type]


def test_bf16_multiplies_in_bf16_over_fp32_weights():
    layer = torch.nn.Linear(4, 4)
    with autocast("bf16", CPU):
        assert layer(torch.ones(1, 4)).dtype == torch.bfloat16
    with autocast("fp32", CPU):
        assert layer(torch.ones(1, 4)).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


def test_a_bf16_run_stays_near_the_fp32_run(demonstrations):
    from accord.models.tiny import tiny_model

    curves = []
    for precision in ("fp32", "bf16"):
        model, recorder = tiny_model(), Recorder()
        optimization = OptimizationConfig(learning_rate=1e-3, precision=precision)
        train_sft(model, demonstrations, SftConfig(optimization=optimization), observers=[recorder])
        curves.append([value for _, value in recorder.curve("sft/loss")])
        assert {weight.dtype for weight in model.network.parameters()} == {torch.float32}
    assert curves[1] == pytest.approx(curves[0], rel=0.02)  # 8 bits of mantissa
    assert curves[1] != curves[0]
