"""Fused layers against transformers' own, in value and in every gradient."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaModel, Qwen2Config, Qwen2Model

from accord.models.adapters import LoraConfig, add_adapter
from accord.models.fused import fused_layer, is_fusable
from accord.models.ragged import Ragged, Segment, body_of, dense_hidden_states, hidden_states
from accord.models.recomputing import set_recompute
from accord.models.tiny import tiny_model

SIZES = dict(
    vocab_size=50,
    hidden_size=36,
    intermediate_size=44,
    num_hidden_layers=2,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
BATCH = Ragged.pack([Segment([1, 2, 3]), Segment([4, 5, 6, 7], 0), Segment([8], 0), Segment([9, 10, 11])])


def make_body(kind="llama", **options):
    torch.manual_seed(3)
    config, model = (LlamaConfig, LlamaModel) if kind == "llama" else (Qwen2Config, Qwen2Model)
    body = model(config(**SIZES, **options)).eval()
    with torch.no_grad():
        for name, weight in body.named_parameters():
            if "norm" in name:
                weight.add_(0.3 * torch.randn_like(weight))
            elif "bias" in name:
                weight.normal_()
            else:
                weight.mul_(8)
    return body


def gradients(body, run):
    """Hidden states, and the gradient of a fixed function of them by name."""
    body.zero_grad()
    hidden = run(body, BATCH)
    weights = torch.linspace(-1, 1, hidden.numel(), dtype=torch.float64).sin().view_as(hidden)
    (hidden.double() * weights).sum().backward()
    return hidden.detach(), {
        name: None if weight.grad is None else weight.grad.clone() for name, weight in body.named_parameters()
    }


@pytest.mark.parametrize(
    ("kind", "options"),
    [("llama", {}), ("llama", {"attention_bias": True, "mlp_bias": True}), ("qwen2", {})],
    ids=["llama", "llama_with_biases", "qwen2"],
)
def test_fused_equals_transformers_in_value_and_gradient(kind, options):
    body = make_body(kind, **options).double()
    assert is_fusable(body)
    hidden, mine = gradients(body, hidden_states)
    plain, theirs = gradients(body, dense_hidden_states)
    # transformers' norm rounds to fp32 even in an fp64 model; the test below has no such rounding
    torch.testing.assert_close(hidden, plain, rtol=1e-5, atol=1e-5)
    for name, gradient in theirs.items():
        assert (mine[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-9, name


@pytest.mark.parametrize("has_bias", [False, True])
def test_fused_gradient_equals_finite_differences(has_bias):
    sizes = {
        **SIZES,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 3,
    }
    torch.manual_seed(0)
    config = LlamaConfig(**sizes, attention_bias=has_bias, mlp_bias=has_bias)
    layer = LlamaModel(config).double().layers[0]
    rotary = (torch.rand(5, 2, dtype=torch.float64), torch.rand(5, 2, dtype=torch.float64))
    layout = Ragged.pack([Segment([1, 2]), Segment([3, 4], 0), Segment([5])]).layout()
    names, weights = zip(*layer.named_parameters(), strict=True)

    def run(stream, *values):
        with torch.nn.utils.stateless._reparametrize_module(layer, dict(zip(names, values, strict=True))):
            return fused_layer(layer, stream, rotary, layout)

    inputs = [torch.randn(5, 8), *(torch.randn_like(weight) for weight in weights)]
    assert torch.autograd.gradcheck(run, [each.double().requires_grad_() for each in inputs], fast_mode=True)


def test_what_is_frozen_gets_no_gradient_and_changes_none_of_the_others():
    body = make_body(attention_bias=True)
    _, whole = gradients(body, hidden_states)
    frozen = [
        name
        for name, _ in body.named_parameters()
        if name.startswith(("embed", "layers.0")) or name.endswith(("k_proj.weight", "up_proj.weight"))
    ]
    for name, weight in body.named_parameters():
        weight.requires_grad_(name not in frozen)
    _, partly = gradients(body, hidden_states)
    for name, gradient in partly.items():
        assert (gradient is None) == (name in frozen), name
        if gradient is not None:
            assert torch.equal(gradient, whole[name]), name


def test_bf16_is_no_farther_from_fp64_than_transformers_under_autocast():
    body = make_body()
    exact_hidden, exact = gradients(make_body().double(), dense_hidden_states)

    def under_autocast(run):
        def inside(body, batch):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return run(body, batch)

        hidden, found = gradients(body, inside)
        errors = {name: (found[name].double() - exact[name]).norm() / exact[name].norm() for name in exact}
        return (hidden.double() - exact_hidden).norm() / exact_hidden.norm(), sum(errors.values()) / len(
            errors
        )

    (value, gradient), (plain_value, plain_gradient) = map(
        under_autocast, (hidden_states, dense_hidden_states)
    )
    assert 0 < value <= 1.1 * plain_value
    assert 0 < gradient <= 1.1 * plain_gradient


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputed_layers_give_the_same_bits(precision):
    body = make_body()

    def run(body, batch):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            return hidden_states(body, batch)

    hidden, kept = gradients(body, run)
    set_recompute(body, True)
    again, recomputed = gradients(body, run)
    assert torch.equal(hidden, again)
    for name, gradient in kept.items():
        assert torch.equal(gradient, recomputed[name]), name


def test_adapters_run_through_the_layers_themselves():
    model = tiny_model()
    assert is_fusable(body_of(model))
    assert not is_fusable(body_of(add_adapter(model, LoraConfig(rank=2))))


def test_other_activations_are_left_alone():
    body = make_body()
    body.config.hidden_act = "gelu"
    assert not is_fusable(body)
    body.config.hidden_act = "silu"
    body.layers[0].mlp.up_proj = nn.Sequential(body.layers[0].mlp.up_proj)
    assert not is_fusable(body)
