import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from accord.domain import ModelError
from accord.models.language_model import LanguageModel
from accord.models.layers import decoder_layers, train_top_layers


def test_only_the_top_layer_and_the_final_norm_learn(tiny: LanguageModel):
    train_top_layers(tiny.causal_lm, 1)
    names = [name for name, _ in tiny.trainable_parameters()]
    assert names
    assert all(name.startswith("model.layers.1.") or name == "model.norm.weight" for name in names)
    assert len(names) == 9 + 1  # q k v o, gate up down, two norms; the final norm
    row = torch.arange(8)[None]
    tiny.network(input_ids=row, labels=row).loss.backward()
    assert all(weight.grad is not None for _, weight in tiny.trainable_parameters())
    assert tiny.head_weight.grad is None


def test_layers_are_found_in_a_gpt2():
    network = GPT2LMHeadModel(GPT2Config(n_layer=3, n_embd=8, n_head=2, vocab_size=16, n_positions=8))
    train_top_layers(network, 2)
    learning = {name.split(".")[1] for name, weight in network.named_parameters() if weight.requires_grad}
    assert learning == {"h", "ln_f"}
    assert [weight.requires_grad for layer in network.transformer.h for weight in layer.parameters()].count(
        False
    ) == len(list(network.transformer.h[0].parameters()))


@pytest.mark.parametrize("count", [0, -1, 3])
def test_a_count_that_the_model_does_not_have_is_refused(tiny: LanguageModel, count: int):
    with pytest.raises(ModelError, match=f"trainable_layers is {count}; expected 1 to 2"):
        train_top_layers(tiny.causal_lm, count)


def test_a_network_without_layers_is_refused():
    with pytest.raises(ModelError, match="no stack of decoder layers in Linear"):
        decoder_layers(torch.nn.Linear(1, 1))
