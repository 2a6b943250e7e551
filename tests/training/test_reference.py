"""What a reference keeps of the weights it was made from."""

import pytest
import torch

from accord.models.adapters import LoraConfig, add_adapter
from accord.models.layers import train_top_layers
from accord.models.ragged import prompt_completion_batch
from accord.models.tiny import tiny_model
from accord.training.precision import autocast
from accord.training.reference import Reference, score_completions

CPU = torch.device("cpu")


@pytest.fixture
def batch():
    return prompt_completion_batch([([7, 8, 9], [[10, 11, 12], [13, 14]]), ([20, 21], [[22, 23, 24, 25]])])


def linears(model):
    return {
        name: module for name, module in model.body.named_modules() if isinstance(module, torch.nn.Linear)
    }


def test_in_bf16_it_keeps_its_linear_layers_rounded_and_says_the_same_to_the_last_bit(batch):
    policy = tiny_model()
    with torch.no_grad(), autocast("bf16", CPU):
        wanted = score_completions(policy, batch).logprobs
    reference = Reference(policy, precision="bf16")
    assert {module.weight.dtype for module in linears(reference.model).values()} == {torch.bfloat16}
    assert {module.weight.dtype for module in linears(policy).values()} == {torch.float32}
    assert reference.model.head_weight.dtype == torch.float32
    with autocast("bf16", CPU):
        assert reference.logprobs(batch, trunk=None, temperature=1.0).equal(wanted)
    assert reference.version == policy.version


def test_it_stays_while_the_policy_learns_and_in_fp32_keeps_all_bits(batch):
    policy = tiny_model()
    reference = Reference(policy, precision="fp32")
    assert {module.weight.dtype for module in linears(reference.model).values()} == {torch.float32}
    before, version = reference.logprobs(batch, trunk=None, temperature=1.0), reference.version
    with torch.no_grad():
        policy.head_weight.mul_(1.5)
    assert reference.logprobs(batch, trunk=None, temperature=1.0).equal(before)
    assert reference.version == version != policy.version


def test_layers_shared_with_the_policy_are_left_as_they_are():
    policy = tiny_model()
    train_top_layers(policy.causal_lm, 1)
    reference = Reference(policy, precision="bf16")
    mine, theirs = linears(policy), linears(reference.model)
    shared = [name for name in mine if mine[name].weight is theirs[name].weight]
    assert shared
    assert {mine[name].weight.dtype for name in shared} == {torch.float32}
    own = mine.keys() - set(shared)
    assert {theirs[name].weight.dtype for name in own} == {torch.bfloat16}


def test_below_an_adapter_nothing_is_rounded():
    policy = add_adapter(tiny_model(), LoraConfig())
    reference = Reference(policy, precision="bf16")
    assert reference.model is policy
    assert {module.weight.dtype for module in linears(policy).values()} == {torch.float32}
