"""The native sampler against transformers' generate(), full forwards, and exact distributions."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from accord.domain import ConfigError, DataError, FinishReason, Prompt, Streams
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.chat import ChatTokenizer
from accord.models.language_model import LanguageModel
from accord.models.tiny import byte_tokenizer, tiny_model
from accord.rollouts.generate import GenerateSampler
from accord.rollouts.native import NativeSampler
from accord.rollouts.sampler import SamplingConfig

PROMPTS = [
    Prompt.from_text(text) for text in ("Hello there, who are you?", "a", "The sum of 2 and 3 is", "a")
]


def sharpened(seed=0, factor=6.0):
    """A tiny model whose next token is far from uniform, so that a wrong forward shows."""
    model = tiny_model(seed)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            weight.mul_(factor if "proj" in name else 4.0 if "embed" in name else 1.0)
    return model


def family(name):
    sizes = dict(vocab_size=263, hidden_size=48, num_hidden_layers=2, max_position_embeddings=512)
    llama = dict(**sizes, intermediate_size=96, num_attention_heads=6, num_key_value_heads=2)
    torch.manual_seed(1)
    network = {
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(
                vocab_size=263,
                n_embd=48,
                n_layer=2,
                n_head=4,
                n_positions=512,
                bos_token_id=256,
                eos_token_id=257,
            )
        ),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**llama, sliding_window=None)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**llama)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**llama, head_dim=8)),
        "gemma": lambda: GemmaForCausalLM(GemmaConfig(**llama, head_dim=8)),
        "gemma3": lambda: Gemma3ForCausalLM(
            Gemma3TextConfig(
                **llama, head_dim=8, sliding_window=24, layer_types=["sliding_attention", "full_attention"]
            )
        ),
        "llama3_rope": lambda: LlamaForCausalLM(
            LlamaConfig(
                **llama,
                attention_bias=True,
                mlp_bias=True,
                tie_word_embeddings=False,
                rope_parameters={
                    "rope_type": "llama3",
                    "rope_theta": 10000.0,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                },
            )
        ),
    }[name]()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.15)
    return LanguageModel(network=network.eval(), tokenizer=ChatTokenizer(byte_tokenizer()), name=name)


def full_logprobs(model, prompt, completion, temperature=1.0):
    """log_softmax of one plain forward over prompt and completion, at the completion's ids."""
    ids = model.tokenizer.prompt_ids(prompt)
    row = torch.tensor([[*ids, *completion.token_ids]])
    with torch.no_grad():
        logits = model.causal_lm(row).logits[0, len(ids) - 1 : -1]
    chosen = torch.tensor(completion.token_ids)[:, None]
    return (logits / temperature).log_softmax(-1).gather(1, chosen).squeeze(1)


OWN_FORWARD = ("gpt2", "qwen3", "gemma", "gemma3")
"""Families that run through transformers' forward."""


@pytest.mark.parametrize("name", ["tiny", "mistral", "qwen2", "llama3_rope", *OWN_FORWARD])
def test_greedy_equals_generate_token_by_token(name):
    model = sharpened() if name == "tiny" else family(name)
    config = SamplingConfig(max_tokens=80, temperature=0.0)
    sampler = NativeSampler(model, precision="fp32")
    assert sampler.is_fast == (name not in OWN_FORWARD)
    ours = sampler.sample(PROMPTS, config=config, streams=Streams(0))
    theirs = GenerateSampler(model).sample(PROMPTS, config=config, streams=Streams(0))
    for (mine,), (other,) in zip(ours, theirs, strict=True):
        assert mine.token_ids == other.token_ids
        assert mine.text == other.text
        assert mine.finish_reason == other.finish_reason
        assert np.allclose(mine.logprobs, other.logprobs, atol=2e-5)


@pytest.mark.parametrize("name", ["tiny", "qwen2", "llama3_rope", *OWN_FORWARD])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_trap_9_logprobs_equal_a_full_forward_at_the_sampling_temperature(name, temperature):
    model = sharpened() if name == "tiny" else family(name)
    config = SamplingConfig(max_tokens=30, temperature=temperature)
    groups = NativeSampler(model, precision="fp32").sample(
        PROMPTS, group=3, config=config, streams=Streams(3)
    )
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            expected = full_logprobs(model, prompt, completion, temperature)
            assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-5)


def test_first_token_follows_the_exact_softmax():
    # 4000 draws of one token against the softmax of a full forward; cells that expect fewer than 5 are pooled
    model = sharpened()
    prompt = PROMPTS[0]
    draws = 4000
    sampler = NativeSampler(model, precision="fp32", max_rows=4000)
    (group,) = sampler.sample([prompt], group=draws, config=SamplingConfig(max_tokens=1), streams=Streams(5))
    with torch.no_grad():
        logits = model.causal_lm(torch.tensor([model.tokenizer.prompt_ids(prompt)])).logits[0, -1]
    expected = logits.double().softmax(-1).numpy() * draws
    observed = np.bincount([c.token_ids[0] for c in group], minlength=len(expected))
    large = expected >= 5
    assert large.sum() > 10
    cells = np.append(observed[large], observed[~large].sum())
    assert chisquare(cells, np.append(expected[large], expected[~large].sum())).pvalue > 0.01


def test_group_sharing_equals_sampling_each_prompt_alone():
    model = sharpened()
    sampler = NativeSampler(model, precision="fp32")
    config = SamplingConfig(max_tokens=40)
    together = sampler.sample(PROMPTS[:3], group=4, config=config, streams=Streams(7))
    alone = [
        sampler.sample([prompt], group=4, config=config, streams=Streams(7))[0] for prompt in PROMPTS[:3]
    ]
    assert [[c.token_ids for c in group] for group in together] == [[c.token_ids for c in g] for g in alone]


def test_small_waves_equal_one_wave():
    model = sharpened()
    config = SamplingConfig(max_tokens=20)
    whole = NativeSampler(model, precision="fp32").sample(PROMPTS, group=5, config=config, streams=Streams(1))
    for max_rows in (2, 7):
        sampler = NativeSampler(model, precision="fp32", max_rows=max_rows)
        waves = sampler.sample(PROMPTS, group=5, config=config, streams=Streams(1))
        assert [[c.token_ids for c in g] for g in waves] == [[c.token_ids for c in g] for g in whole]


def test_a_prompt_given_twice_gets_its_own_draws():
    groups = NativeSampler(tiny_model(), precision="fp32").sample(
        PROMPTS, group=2, config=SamplingConfig(max_tokens=16), streams=Streams(0)
    )
    assert PROMPTS[1] == PROMPTS[3]
    rows = [completion.token_ids for completion in (*groups[1], *groups[3])]
    assert len(set(rows)) == 4


@pytest.mark.parametrize("name", ["tiny", "gpt2"])
def test_rows_that_finish_early_do_not_disturb_the_others(name):
    # EOS is made likely, so slots are compacted again and again, with growing columns
    model = sharpened() if name == "tiny" else family(name)
    with torch.no_grad():
        model.head_weight[model.tokenizer.eos_id] = model.head_weight[:256].mean(0) * 1.02
    config = SamplingConfig(max_tokens=150)
    sampler = NativeSampler(model, precision="fp32")
    groups = sampler.sample(PROMPTS, group=6, config=config, streams=Streams(2))
    lengths = {len(completion.token_ids) for group in groups for completion in group}
    assert len(lengths) > 3
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            expected = full_logprobs(model, prompt, completion)
            assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=3e-5)


def test_eos_is_kept_in_the_ids_and_not_in_the_text():
    model = sharpened()
    with torch.no_grad():
        model.head_weight[model.tokenizer.eos_id] = model.head_weight[:256].mean(0) * 1.02
    config = SamplingConfig(max_tokens=60)
    groups = NativeSampler(model, precision="fp32").sample(
        PROMPTS, group=8, config=config, streams=Streams(0)
    )
    completions = [completion for group in groups for completion in group]
    reasons = {completion.finish_reason for completion in completions}
    assert reasons == {FinishReason.STOP, FinishReason.LENGTH}
    for completion in completions:
        is_stopped = completion.finish_reason is FinishReason.STOP
        assert (completion.token_ids[-1] == model.tokenizer.eos_id) == is_stopped
        assert completion.token_ids.count(model.tokenizer.eos_id) == int(is_stopped)
        assert is_stopped or len(completion.token_ids) == 60
        # bytes are the ids, so the text decodes from them and nothing else
        kept = completion.token_ids[:-1] if is_stopped else completion.token_ids
        assert completion.text == model.tokenizer.decode(kept)


def test_a_stop_text_ends_the_row_and_is_cut_from_the_text():
    model = sharpened()
    sampler = NativeSampler(model, precision="fp32")
    config = SamplingConfig(max_tokens=40, temperature=0.0)
    ((free,),) = sampler.sample([PROMPTS[0]], config=config, streams=Streams(0))
    stop = free.text[7:9]
    config = SamplingConfig(max_tokens=40, temperature=0.0, stop=("never seen", stop))
    ((cut,),) = sampler.sample([PROMPTS[0]], config=config, streams=Streams(0))
    assert cut.finish_reason is FinishReason.STOP
    assert cut.text == free.text[: free.text.find(stop)]
    assert cut.token_ids == free.token_ids[: len(cut.token_ids)]
    assert stop in model.tokenizer.decode(cut.token_ids)


def test_trap_14_weights_changed_in_any_way_are_taken_over():
    # an optimizer step, a write through .data, and a load all show in the next draw
    model = sharpened()
    sampler = NativeSampler(model, precision="fp32")
    config = SamplingConfig(max_tokens=12)

    def probe():
        ((completion,),) = sampler.sample([PROMPTS[0]], config=config, streams=Streams(0))
        expected = full_logprobs(model, PROMPTS[0], completion)
        assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-5)
        return completion.policy_version

    versions = [probe()]
    weight = model.network.model.layers[1].mlp.down_proj.weight
    optimizer = torch.optim.AdamW([weight], lr=1e-2)
    weight.grad = torch.randn_like(weight)
    optimizer.step()
    versions.append(probe())
    model.network.model.norm.weight.data.mul_(1.1)
    versions.append(probe())
    model.network.load_state_dict(sharpened(seed=4).network.state_dict())
    versions.append(probe())
    assert len(set(versions)) == 4
    assert probe() == versions[-1]


def test_what_was_let_go_is_packed_again_and_frozen_layers_are_kept():
    model = tiny_model()
    for weight in model.body.layers[0].parameters():
        weight.requires_grad_(False)
    sampler = NativeSampler(model)

    def draw():
        return sampler.sample(
            [Prompt.from_raw("Hello")], group=3, config=SamplingConfig(max_tokens=5), streams=Streams(1)
        )

    before, frozen = draw(), sampler._decoder.layers[0]
    sampler.release()
    assert sampler._decoder.layers[0] is frozen
    assert sampler._decoder.layers[1:] == [None] * (len(model.body.layers) - 1)
    assert sampler._decoder.head is None
    assert draw() == before
    assert sampler._decoder.layers[0] is frozen


def test_bf16_stays_close_to_fp32():
    model = sharpened(factor=3.0)
    config = SamplingConfig(max_tokens=20)
    groups = NativeSampler(model, precision="bf16").sample(
        PROMPTS, group=2, config=config, streams=Streams(0)
    )
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            gap = torch.tensor(completion.logprobs) - full_logprobs(model, prompt, completion)
            assert gap.abs().max() < 0.15
            assert gap.abs().mean() < 0.03


def test_trap_14_lora_weights_are_merged_and_adapters_off_is_the_base():
    model = add_adapter(sharpened(), LoraConfig(rank=4, alpha=8.0))
    network = model.network
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    sampler = NativeSampler(model, precision="fp32")
    assert sampler.is_fast
    config = SamplingConfig(max_tokens=12)
    streams = Streams(1)
    for scope in (nullcontext(), model.reference(), nullcontext()):
        with scope:
            ((completion,),) = sampler.sample([PROMPTS[0]], config=config, streams=streams)
            expected = full_logprobs(model, PROMPTS[0], completion)
        assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=2e-5)


@pytest.mark.parametrize("name", ["tiny", "gpt2"])
def test_trap_12_dropout_is_off_while_sampling_and_the_mode_is_put_back(name):
    model = sharpened() if name == "tiny" else family(name)
    model.network.train()
    config = SamplingConfig(max_tokens=10)
    ((completion,),) = NativeSampler(model, precision="fp32").sample(
        [PROMPTS[0]], config=config, streams=Streams(0)
    )
    assert model.network.training
    model.network.eval()
    expected = full_logprobs(model, PROMPTS[0], completion)
    assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-5)


def test_no_prompts_give_no_completions():
    config = SamplingConfig()
    assert NativeSampler(tiny_model()).sample([], group=2, config=config, streams=Streams(0)) == []


def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers():
    model = tiny_model()
    prompt = Prompt.from_text("x" * (model.context_tokens - 20))
    with pytest.raises(DataError, match=r"prompt 0 has \d+ tokens and max_tokens is 48.*context of 2048"):
        NativeSampler(model).sample([prompt], config=SamplingConfig(), streams=Streams(0))


def test_a_group_of_none_is_refused():
    with pytest.raises(ConfigError, match="group is 0"):
        NativeSampler(tiny_model()).sample(PROMPTS, group=0, config=SamplingConfig(), streams=Streams(0))


@pytest.mark.parametrize("name", ["tiny", "gpt2"])
def test_prompts_that_wait_take_the_place_of_rows_that_finished(name):
    model = sharpened() if name == "tiny" else family(name)
    prompts = [Prompt.from_text(f"{'Tell me more. ' * (i % 3)}{i}") for i in range(12)]
    config = SamplingConfig(max_tokens=120, stop=tuple("aeioT1 "))  # answers of very unequal length
    sampler = NativeSampler(model, precision="fp32", max_rows=4)
    passes, most = [], []
    decoder = sampler._refresh()
    plain = decoder.advance

    def counted(parts):
        passes.append(len(parts))
        most.append(sum(len(tokens) for _, tokens in parts))
        return plain(parts)

    decoder.advance = counted
    groups = sampler.sample(prompts, config=config, streams=Streams(2))
    alone = [
        NativeSampler(model, precision="fp32").sample([prompt], config=config, streams=Streams(2))[0][0]
        for prompt in prompts
    ]
    assert [group[0].token_ids for group in groups] == [each.token_ids for each in alone]
    lengths = [len(each.token_ids) for each in alone]
    by_length = sorted(range(12), key=lambda i: (len(model.tokenizer.prompt_ids(prompts[i])), i))
    in_waves = sum(max(lengths[i] for i in by_length[start : start + 4]) - 1 for start in (0, 4, 8))
    assert len(passes) < in_waves  # batches one after the other wait for their longest
    assert max(passes) > 1  # rows of different age ran together
    assert max(most) <= 5  # a slot may be there that has finished
