"""The compiled kernel against torch's operations, and decoding without it where it cannot be built."""

import shutil

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from accord.domain import Prompt, Streams
from accord.models.chat import ChatTokenizer
from accord.models.language_model import LanguageModel
from accord.models.tiny import byte_tokenizer, tiny_model
from accord.rollouts import NativeSampler, SamplingConfig
from accord.rollouts.compiled import load_kernel
from accord.rollouts.llama import LlamaDecoder

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def llama(head_size, heads, kv_heads, width=48):
    torch.manual_seed(head_size + heads)
    config = LlamaConfig(
        vocab_size=263, hidden_size=width, intermediate_size=64, num_hidden_layers=2, head_dim=head_size,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=512,
    )  # fmt: skip
    network = LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return LanguageModel(network=network.eval(), tokenizer=ChatTokenizer(byte_tokenizer()), name="small")


def decoded(decoder, prompts, group, steps):
    """Logits of each step, the same random tokens appended."""
    slots = decoder.begin(prompts, group=group, max_tokens=steps)
    draw = torch.Generator().manual_seed(1)
    rows = [slots.first_logits]
    for _ in range(steps):
        rows.append(slots.advance(torch.randint(0, 256, (slots.n_slots,), generator=draw)))
    return torch.stack(rows)


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [(16, 6, 2), (32, 4, 4), (48, 6, 1), (64, 8, 1), (80, 4, 2), (128, 4, 2)])
@torch.no_grad()
def test_the_kernel_is_torchs_function_on_awkward_sizes(sizes, dtype):
    model = llama(*sizes)
    prompts = [list(range(1, 2 + length)) for length in (0, 15, 16, 40)]
    compiled, plain = (
        LlamaDecoder(model, dtype=dtype, is_compiled=is_compiled) for is_compiled in (True, False)
    )
    assert compiled.kernel is not None
    assert plain.kernel is None
    # 70 tokens: the room for new ones grows twice, and ends amid a vector
    ours, torchs = (decoded(decoder, prompts, 3, 70) for decoder in (compiled, plain))
    gap, size = (ours - torchs).float(), torchs.float().std()
    if dtype == torch.float32:
        assert gap.abs().max() < 2e-5 * size
    else:  # a rounding that falls the other way: no more than bf16 does anyway
        exact = decoded(LlamaDecoder(model, dtype=torch.float32), prompts, 3, 70)
        assert (ours - exact).square().mean() < 1.2 * (torchs - exact).square().mean()


@needs_compiler
@torch.no_grad()
def test_two_threads_give_what_one_gives():
    model = llama(64, 6, 3)
    decoder = LlamaDecoder(model, dtype=torch.float32)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(decoded(decoder, [[1, 2, 3], [4]], 4, 5))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


@needs_compiler
def test_norm_keeps_nan_and_rounds_to_the_nearest():
    kernel = load_kernel(16, 32, torch.bfloat16)
    stream = torch.randn(5, 32)
    stream[2, 3] = float("nan")
    before = stream.clone()
    added, weight = torch.randn(5, 32).bfloat16(), torch.rand(32)
    expected = torch.nn.functional.rms_norm(stream + added, (32,), weight, 1e-5)
    found = kernel.add_norm(stream, added, weight, 1e-5)
    assert torch.isnan(found[2]).all()
    kept = [0, 1, 3, 4]
    # half of the last of bf16's eight bits, and a hair for another order of the sum
    assert ((found[kept].float() - expected[kept]).abs() <= expected[kept].abs() * 2**-8 * 1.001).all()
    torch.testing.assert_close(stream[kept], (before + added.float())[kept], atol=0, rtol=0)


def test_without_a_compiler_torch_does_it(monkeypatch):
    model = tiny_model()
    monkeypatch.setenv("CC", "there-is-no-such-compiler")
    sampler = NativeSampler(model)
    ((drawn,),) = sampler.sample(
        [Prompt.from_text("hello")], config=SamplingConfig(max_tokens=4), streams=Streams(0)
    )
    assert sampler._decoder.kernel is None
    assert len(drawn.token_ids) == 4


def test_a_compiler_that_fails_or_a_folder_that_cannot_be_written_leaves_torch(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "false")
    assert load_kernel(16, 32, torch.float32, cache=tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("CC")
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert load_kernel(16, 32, torch.float32, cache=blocked / "folder") is None


@needs_compiler
def test_a_user_without_a_home_gets_torch(monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "ACCORD_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert load_kernel(16, 32, torch.float32) is None


@needs_compiler
def test_the_cache_and_the_kernel_itself_are_chosen_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path))
    assert load_kernel(16, 32, torch.float32) is not None
    assert len(list((tmp_path / "kernels").iterdir())) == 1
    monkeypatch.setenv("ACCORD_KERNEL", "off")
    assert load_kernel(16, 32, torch.float32) is None


@pytest.mark.parametrize("is_compiled", [True, False])
@torch.no_grad()
def test_slots_take_no_more_tokens_than_they_have_room_for(is_compiled):
    decoder = LlamaDecoder(llama(16, 2, 2), dtype=torch.float32, is_compiled=is_compiled)
    # The longest prompt leaves, so that no table of positions is too short for the others.
    slots = decoder.begin([[1] * 40, [1]], group=1, max_tokens=16)
    assert slots.compact([False, True]) == [1]
    for _ in range(16):
        slots.advance(torch.tensor([5]))
    with pytest.raises(IndexError, match="16 tokens"):
        slots.advance(torch.tensor([5]))


@needs_compiler
@torch.no_grad()
def test_the_kernel_reads_what_compaction_left():
    model = llama(32, 4, 2)
    found = []
    for is_compiled in (True, False):
        slots = LlamaDecoder(model, dtype=torch.float32, is_compiled=is_compiled).begin(
            [[1, 2, 3], [4] * 20, [5]], group=3, max_tokens=40
        )
        slots.advance(torch.arange(9))
        kept = slots.compact([True, False, True, False, False, False, False, True, False])
        assert kept is not None
        steps = [slots.advance(torch.arange(len(kept)) + step) for step in range(35)]
        found.append(torch.stack(steps))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)


@needs_compiler
def test_a_kernel_is_built_once(tmp_path):
    assert load_kernel(16, 32, torch.float32, cache=tmp_path) is not None
    (built,) = tmp_path.iterdir()
    made = built.stat().st_mtime_ns
    assert load_kernel(16, 32, torch.float32, cache=tmp_path) is not None
    assert built.stat().st_mtime_ns == made


def test_sizes_that_are_no_multiple_of_sixteen_run_in_torch():
    assert load_kernel(8, 32, torch.float32) is None
    assert load_kernel(16, 40, torch.float32) is None
    assert load_kernel(16, 32, torch.float16) is None


@pytest.mark.parametrize("is_compiled", [True, False])
@torch.no_grad()
def test_batches_that_began_apart_give_together_what_they_give_alone(is_compiled):
    model = llama(16, 6, 2)
    decoder = LlamaDecoder(model, dtype=torch.float32, is_compiled=is_compiled)
    asked = [([[1, 2, 3], [7]], 2), ([[5] * 20], 3), ([[9, 9]], 1)]
    tokens = [torch.arange(len(prompts) * group) + 11 for prompts, group in asked]
    alone = []
    for (prompts, group), own in zip(asked, tokens, strict=True):
        slots = decoder.begin(prompts, group=group, max_tokens=8)
        alone.append([slots.advance(own + step) for step in range(4)])
    joined = [decoder.begin(prompts, group=group, max_tokens=8) for prompts, group in asked]
    joined[0].advance(tokens[0])  # it is one token ahead when the others join
    for step in range(3):
        parts = [
            (slots, own + step + (place == 0))
            for place, (slots, own) in enumerate(zip(joined, tokens, strict=True))
        ]
        found = decoder.advance(parts)
        for place, logits in enumerate(found):
            torch.testing.assert_close(logits, alone[place][step + (place == 0)], atol=1e-5, rtol=1e-5)
