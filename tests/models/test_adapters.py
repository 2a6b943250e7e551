"""Correctness traps 13 and 15: what is below an adapter, and what merging gives."""

from pathlib import Path

import pytest
import torch

from accord.domain import ModelError
from accord.models.adapters import LoraConfig, add_adapter, merged_copy
from accord.models.export import save_model
from accord.models.language_model import LanguageModel, frozen_copy
from accord.models.loading import load_model

ROW = torch.tensor([[256, 260, 72, 105, 257, 261, 89, 111, 257]])


def logits(model: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return model.network(input_ids=ROW).logits


def train(model: LanguageModel, *, steps: int) -> None:
    optimizer = torch.optim.Adam([weight for _, weight in model.trainable_parameters()], lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model.network(input_ids=ROW, labels=ROW).loss.backward()
        optimizer.step()


def test_a_fresh_adapter_changes_nothing_and_trains_alone(tiny: LanguageModel):
    before, version = logits(tiny), tiny.version
    model = add_adapter(tiny, LoraConfig(rank=4))
    assert torch.equal(logits(model), before)
    assert model.base_version == version
    assert all("lora_" in name for name, _ in model.trainable_parameters())


def test_trap_13_adapters_off_is_the_base_bit_for_bit_after_10_updates():
    base = logits(load_model("tiny"))
    model = load_model("tiny", lora=LoraConfig(rank=4))
    version = model.base_version
    train(model, steps=10)
    assert (logits(model) - base).abs().max() > 0.01
    with model.reference() as reference:
        assert torch.equal(logits(reference), base)
    assert (logits(model) - base).abs().max() > 0.01
    assert model.base_version == version == load_model("tiny").version


def test_trap_13_the_merged_copy_computes_what_the_adapter_does_and_leaves_it_alone():
    model = load_model("tiny", lora=LoraConfig(rank=4))
    train(model, steps=10)
    before, version = logits(model), model.version
    merged = merged_copy(model)
    torch.testing.assert_close(logits(merged), before, rtol=0, atol=1e-5)
    assert not merged.is_adapter
    assert torch.equal(logits(model), before)
    assert model.version == version
    assert model.trainable_parameters() != []
    assert all("lora_" in name for name, _ in model.trainable_parameters())


def test_trap_13_an_adapter_that_had_learned_needs_a_frozen_copy(tmp_path: Path):
    first = load_model("tiny", lora=LoraConfig(rank=4))
    train(first, steps=5)
    save_model(first, tmp_path / "adapter", merge=False)
    model = load_model(tmp_path / "adapter")
    start = logits(model)
    assert torch.equal(start, logits(first))
    with pytest.raises(ModelError, match="an adapter that had learned before"), model.reference():
        pass
    reference = frozen_copy(model)
    train(model, steps=5)
    assert torch.equal(logits(reference), start)
    assert not torch.equal(logits(model), start)


def test_frozen_copy_of_an_adapter_shares_the_base():
    model = load_model("tiny", lora=LoraConfig(rank=4))
    reference = frozen_copy(model)
    mine, theirs = dict(model.network.named_parameters()), dict(reference.network.named_parameters())
    copied = {name for name, weight in mine.items() if theirs[name].data_ptr() != weight.data_ptr()}
    assert copied == {name for name, _ in model.trainable_parameters()}


def test_trap_15_merging_in_bf16_rounds_each_weight_once():
    model = load_model("tiny", lora=LoraConfig(rank=4), dtype=torch.bfloat16)
    layer = model.body.layers[0].mlp.up_proj
    with torch.no_grad():
        layer.lora_B["default"].weight.fill_(0.013)
    # W + alpha / rank * B A in float32, then rounded; alpha 32 over rank 4 is 8
    first, second = layer.lora_A["default"].weight.float(), layer.lora_B["default"].weight.float()
    exact = layer.base_layer.weight.float() + 8 * second @ first
    merged = merged_copy(model).body.layers[0].mlp.up_proj.weight
    assert merged.dtype == torch.bfloat16
    assert torch.equal(merged, exact.to(torch.bfloat16))


def test_an_adapter_on_an_adapter_starts_from_the_merged_model():
    first = load_model("tiny", lora=LoraConfig(rank=4))
    train(first, steps=5)
    before = logits(first)
    second = add_adapter(first, LoraConfig(rank=2, seed=1))
    torch.testing.assert_close(logits(second), before, rtol=0, atol=1e-5)
    start = logits(second)
    train(second, steps=2)
    with second.reference() as reference:
        assert torch.equal(logits(reference), start)


def test_top_layers_limits_where_adapters_go():
    model = load_model("tiny", lora=LoraConfig(rank=4), trainable_layers=1)
    names = [name for name, _ in model.trainable_parameters()]
    assert len(names) == 7 * 2  # q k v o, gate up down; two factors each
    assert all(".layers.1." in name for name in names)


def test_equal_seeds_give_equal_adapters():
    versions = [load_model("tiny", lora=LoraConfig(rank=4, seed=seed)).version for seed in (0, 0, 1)]
    assert versions[0] == versions[1] != versions[2]


def test_targets_that_do_not_exist_are_named():
    with pytest.raises(ModelError, match=r"LoRA targets \['query'\] are not in this model.*'q_proj'"):
        load_model("tiny", lora=LoraConfig(targets=("query", "v_proj")))


@pytest.mark.parametrize(("field", "value"), [("rank", 0), ("dropout", 1.0)])
def test_a_config_out_of_range_is_refused(field: str, value: float):
    with pytest.raises(ModelError, match=f"LoRA {field} is {value}"):
        LoraConfig(**{field: value})
