import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from accord.domain import ModelError, Prompt
from accord.models.adapters import LoraConfig
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.models.loading import load_model
from accord.models.tiny import byte_tokenizer


@pytest.fixture
def saved(tmp_path: Path, tiny: LanguageModel) -> Path:
    return save_model(tiny, tmp_path / "saved")


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_is_ready_to_score_in_the_type_that_was_asked_for(saved: Path):
    for name in ("tiny", saved):
        model = load_model(name, dtype=torch.bfloat16, device="cpu")
        assert (model.dtype, model.device.type) == (torch.bfloat16, "cpu")
        assert not model.network.training
        assert model.context_tokens == 2048


def test_trainable_layers_freezes_the_rest(saved: Path):
    for name in ("tiny", saved):
        learning = [weight for weight, _ in load_model(name, trainable_layers=1).trainable_parameters()]
        assert {weight.rsplit(".layers.")[-1][0] for weight in learning if ".layers." in weight} == {"1"}
        assert "model.embed_tokens.weight" not in learning


def test_dropout_is_off_whatever_the_config_says_unless_asked_for(saved: Path):
    edit_json(saved / "config.json", attention_dropout=0.3)
    assert load_model(saved).body.layers[0].self_attn.attention_dropout == 0.0
    assert load_model(saved, dropout=0.1).body.layers[0].self_attn.attention_dropout == 0.1


def test_dropout_is_off_in_an_architecture_that_has_it_by_default(tmp_path: Path):
    network = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=263, n_positions=64))
    assert network.transformer.drop.p == 0.1
    network.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert {part.p for part in model.network.modules() if isinstance(part, torch.nn.Dropout)} == {0.0}
    assert load_model(tmp_path, lora=LoraConfig(rank=2)).is_adapter


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smolm2", "Did you mean smollm2"),
        ("Tiny", "Did you mean tiny"),
        ("./no/such/folder", "no such file or folder"),
        ("/no/such/model.gguf", "no such file or folder"),
        ("nobody/no-such-model", "the hub did not give it"),
    ],
)
def test_a_missing_model_names_its_nearest_neighbor(name: str, hint: str):
    with pytest.raises(ModelError, match=hint):
        load_model(name)


def test_a_misspelled_folder_names_the_one_beside_it(saved: Path):
    with pytest.raises(ModelError, match=f"Did you mean {saved}"):
        load_model(saved.with_name("savde"))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"neither config.json nor adapter_config.json"):
        load_model(tmp_path)


def test_missing_weights_are_refused_not_made_up(saved: Path):
    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 tensors are missing.*'model.layers.1.mlp.up_proj.weight'"):
        load_model(saved)


def test_a_reward_model_folder_is_no_language_model(tmp_path: Path):
    config = LlamaConfig(
        vocab_size=263,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=1,
    )
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is it a reward model"):
        load_model(tmp_path)


def test_broken_weights_are_refused(saved: Path):
    (saved / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(ModelError, match=f"the model in {saved} cannot be loaded"):
        load_model(saved)


def test_pickled_weights_are_not_read(saved: Path):
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    with pytest.raises(ModelError, match="Accord reads safetensors"):
        load_model(saved)


def test_code_from_a_model_folder_is_not_run(saved: Path):
    edit_json(saved / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.MineConfig"})
    (saved / "mine.py").write_text(f"open({str(saved / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="runs no code from a model folder"):
        load_model(saved)
    assert not (saved / "ran").exists()


def test_a_tokenizer_with_more_ids_than_the_model_has_rows_is_refused(saved: Path):
    byte_tokenizer(markers=[f"<|{i}|>" for i in range(10)]).save_pretrained(saved)
    with pytest.raises(ModelError, match="ids up to 268, the model has 263 embeddings"):  # 256 + 3 + 10 - 1
        load_model(saved)


def test_logits_that_are_changed_after_the_head_are_refused(saved: Path):
    edit_json(saved / "config.json", final_logit_softcapping=30.0)
    with pytest.raises(ModelError, match="final_logit_softcapping"):
        load_model(saved)


def test_a_base_model_gets_the_plain_template_on_request_and_keeps_it(tmp_path: Path, tiny: LanguageModel):
    tiny.tokenizer.hf.chat_template = None
    save_model(tiny, tmp_path / "base")
    prompt = Prompt.from_text("A kettle?")
    with pytest.raises(ModelError, match="has no chat template"):
        load_model(tmp_path / "base").tokenizer.prompt_ids(prompt)
    model = load_model(tmp_path / "base", chat_template="plain")
    assert model.tokenizer.prompt_ids(prompt) == [*b"User: A kettle?\n\nAssistant:"]
    save_model(model, tmp_path / "chat")
    assert load_model(tmp_path / "chat").tokenizer.prompt_ids(prompt) == model.tokenizer.prompt_ids(prompt)


def test_the_token_that_ends_the_turn_is_in_the_generation_config(tmp_path: Path):
    hf = byte_tokenizer(template="{% for m in messages %}{{ m['content'] + '<|user|>' }}{% endfor %}")
    config = LlamaConfig(
        vocab_size=263, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    hf.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert model.tokenizer.eos_id == 260
    assert model.network.generation_config.eos_token_id == [257, 260]


def test_an_adapter_comes_back_on_its_base(tmp_path: Path, saved: Path):
    model = load_model(saved, lora=LoraConfig(rank=4))
    save_model(model, tmp_path / "adapter", merge=False)
    again = load_model(tmp_path / "adapter")
    assert again.version == model.version
    assert again.base_version == load_model(saved).version
    assert [name for name, _ in again.trainable_parameters()] == [
        name for name, _ in model.trainable_parameters()
    ]


def test_an_adapter_on_other_weights_is_refused(tmp_path: Path, saved: Path):
    save_model(load_model(saved, lora=LoraConfig(rank=4)), tmp_path / "adapter", merge=False)
    weights = load_file(saved / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="was trained on other weights"):
        load_model(tmp_path / "adapter")


def test_an_adapter_without_its_base_is_refused(tmp_path: Path, saved: Path):
    save_model(load_model(saved, lora=LoraConfig(rank=4)), tmp_path / "adapter", merge=False)
    saved.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match="no such file or folder"):
        load_model(tmp_path / "adapter")


def test_an_adapter_that_only_peft_wrote_finds_its_base(tmp_path: Path, saved: Path):
    save_model(load_model(saved, lora=LoraConfig(rank=4)), tmp_path / "adapter", merge=False)
    (tmp_path / "adapter" / "accord_adapter.json").unlink()
    assert load_model(tmp_path / "adapter").is_adapter
