from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from accord.domain import ModelError, Prompt
from accord.models.adapters import LoraConfig
from accord.models.language_model import LanguageModel, frozen_copy
from accord.models.loading import load_model

PROMPT = Prompt.from_text("What is a kettle?")


def row_of(model: LanguageModel, answer: str = "A pot.") -> torch.Tensor:
    return torch.tensor([model.tokenizer.example(PROMPT, answer).ids])


def train(model: LanguageModel, *, steps: int, learning_rate: float = 1e-2) -> None:
    """Plain next-token training on one answer, its EOS included."""
    example = model.tokenizer.example(PROMPT, "A pot.")
    row = torch.tensor([example.ids])
    counts = torch.tensor(example.completion_mask)[1:]
    optimizer = torch.optim.Adam([weight for _, weight in model.trainable_parameters()], lr=learning_rate)
    for _ in range(steps):
        logits = model.network(input_ids=row).logits[0, :-1]
        optimizer.zero_grad()
        cross_entropy(logits[counts], row[0, 1:][counts]).backward()
        optimizer.step()


def greedy(model: LanguageModel, *, max_tokens: int) -> list[int]:
    ids = model.tokenizer.prompt_ids(PROMPT)
    answer: list[int] = []
    with torch.no_grad():
        while len(answer) < max_tokens and answer[-1:] != [model.tokenizer.eos_id]:
            answer.append(int(model.network(input_ids=torch.tensor([ids + answer])).logits[0, -1].argmax()))
    return answer


def test_trap_1_after_50_steps_on_one_answer_the_model_says_it_and_stops(tiny: LanguageModel):
    assert tiny.tokenizer.eos_id not in greedy(tiny, max_tokens=30)
    train(tiny, steps=50)
    answer = greedy(tiny, max_tokens=30)
    assert tiny.tokenizer.decode(answer) == "A pot."
    assert answer[-1] == tiny.tokenizer.eos_id


def test_body_and_head_are_the_whole_model(tiny: LanguageModel):
    row = row_of(tiny)
    hidden = tiny.body(input_ids=row).last_hidden_state
    torch.testing.assert_close(hidden @ tiny.head_weight.T, tiny.network(input_ids=row).logits)


def test_body_and_head_are_the_whole_model_under_an_adapter():
    model = load_model("tiny", lora=LoraConfig(rank=4))
    train(model, steps=2)
    row = row_of(model)
    hidden = model.body(input_ids=row).last_hidden_state
    torch.testing.assert_close(hidden @ model.head_weight.T, model.network(input_ids=row).logits)


def test_trap_5_a_left_padded_row_with_its_own_positions_equals_the_row_alone(tiny: LanguageModel):
    row = row_of(tiny)
    pads = 5
    padded = torch.cat([torch.full((1, pads), tiny.tokenizer.pad_id), row], dim=1)
    mask = torch.cat([torch.zeros(1, pads), torch.ones(row.shape)], dim=1).long()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        alone = tiny.body(input_ids=row).last_hidden_state
        beside = tiny.body(input_ids=padded, attention_mask=mask, position_ids=positions).last_hidden_state
    torch.testing.assert_close(beside[:, pads:], alone, rtol=1e-5, atol=1e-5)


def test_version_changes_with_any_one_weight_and_comes_back_with_it(tiny: LanguageModel):
    before = tiny.version
    versions = {before}
    parameters = list(tiny.network.parameters())
    for weight in parameters:
        with torch.no_grad():
            kept = weight.view(-1)[-1].clone()
            weight.view(-1)[-1] += 1e-3
            versions.add(tiny.version)
            weight.view(-1)[-1] = kept
    assert len(versions) == len(parameters) + 1
    assert tiny.version == before


def test_version_tells_a_swap_of_two_equal_shapes_and_a_change_of_type(tiny: LanguageModel):
    before = tiny.version
    first, second = (layer.mlp.up_proj for layer in tiny.body.layers)
    first.weight, second.weight = second.weight, first.weight
    swapped = tiny.version
    assert swapped != before
    tiny.network.to(torch.bfloat16)
    assert tiny.version not in (before, swapped)


def test_frozen_copy_stays_while_the_model_learns(tiny: LanguageModel):
    reference = frozen_copy(tiny)
    start = tiny.version
    train(tiny, steps=2)
    assert tiny.version != start
    assert reference.version == start
    assert reference.trainable_parameters() == []
    assert tiny.trainable_parameters() != []


def test_frozen_copy_shares_what_does_not_train():
    model = load_model("tiny", trainable_layers=1)
    reference = frozen_copy(model)
    mine, theirs = dict(model.network.named_parameters()), dict(reference.network.named_parameters())
    shared = {name for name, weight in mine.items() if theirs[name].data_ptr() == weight.data_ptr()}
    assert shared == {name for name, weight in mine.items() if not weight.requires_grad}
    assert "model.embed_tokens.weight" in shared
    assert reference.head_weight.data_ptr() == model.head_weight.data_ptr()
    start = model.version
    train(model, steps=2)
    assert (reference.version, model.version == start) == (start, False)


def test_reference_of_full_weights_says_to_take_a_frozen_copy(tiny: LanguageModel):
    with pytest.raises(ModelError, match="frozen_copy"), tiny.reference():
        pass


def test_trap_12_dropout_is_off_unless_asked_for_and_always_while_scoring(tiny: LanguageModel):
    row = row_of(tiny)
    assert tiny.causal_lm.config.attention_dropout == 0.0
    noisy = load_model("tiny", dropout=0.1)
    noisy.network.train()
    with torch.no_grad():
        assert not torch.equal(noisy.network(input_ids=row).logits, noisy.network(input_ids=row).logits)
        with noisy.scoring() as scorer:
            first, second = (scorer.network(input_ids=row).logits for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(first, tiny.network(input_ids=row).logits)
    assert noisy.network.training


def test_scoring_gives_each_part_its_mode_back(tiny: LanguageModel):
    tiny.network.train()
    tiny.body.layers[0].eval()
    with tiny.scoring():
        assert not any(module.training for module in tiny.network.modules())
    assert tiny.network.training
    assert not tiny.body.layers[0].mlp.training
    assert tiny.body.layers[1].mlp.training


def test_the_eos_embedding_learns_although_the_checkpoint_pads_with_it(tmp_path: Path, tiny: LanguageModel):
    # transformers builds Embedding(padding_idx=pad), which drops the gradient of that row
    config = tiny.causal_lm.config
    config.pad_token_id, config.tie_word_embeddings = config.eos_token_id, False
    type(tiny.causal_lm)(config).save_pretrained(tmp_path)
    tiny.tokenizer.hf.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    row = torch.tensor([[model.tokenizer.eos_id, 65, 66]])
    model.network(input_ids=row, labels=row).loss.backward()
    assert model.body.embed_tokens.weight.grad[model.tokenizer.eos_id].abs().max() > 0
