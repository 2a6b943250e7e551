"""The vLLM sampler against a stand-in with vLLM's call surface, which draws through the native sampler.

The real one is in `test_vllm_real.py`.
"""

from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from accord.domain import DataError, FinishReason, MissingExtra, ModelError, Prompt, Streams
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.loading import load_model
from accord.models.tiny import tiny_model
from accord.rollouts import NativeSampler, SamplingConfig
from accord.rollouts.vllm import VllmSampler, plain_weights

PROMPTS = [Prompt.from_text("hello"), Prompt.from_text("what is this?")]


class SamplingParams:
    """Takes what vLLM's takes, and no other argument."""

    def __init__(
        self, *, n, temperature, top_p, top_k, min_p, max_tokens, stop, stop_token_ids, ignore_eos,
        logprobs, seed,
    ):  # fmt: skip
        assert (n, logprobs, ignore_eos) == (1, 0, True)
        self.config = SamplingConfig(
            max_tokens=max_tokens, temperature=temperature, top_p=top_p, top_k=max(0, top_k), min_p=min_p,
            stop=tuple(stop),
        )  # fmt: skip
        self.stop_token_ids, self.seed = stop_token_ids, seed


class LLM:
    """An engine on weights read from a folder, or loaded by name."""

    started: ClassVar[list] = []

    def __init__(self, model, tokenizer, **options):
        self.policy = load_model(model)
        self.options, self.resets = options, 0
        LLM.started.append(self)

    def generate(self, prompts, sampling_params, use_tqdm):
        assert not use_tqdm
        return [
            self._one(one["prompt_token_ids"], how) for one, how in zip(prompts, sampling_params, strict=True)
        ]

    def collective_rpc(self, method, kwargs):
        assert method == "reload_weights"
        self.packed_head = False
        own = dict(self.policy.causal_lm.named_parameters())
        for name, weight in kwargs["weights_iterator"]:
            self.packed_head = self.packed_head or name == "lm_head.weight"
            own.get(name, self.policy.head_weight).data.copy_(weight)

    def reset_prefix_cache(self):
        self.resets += 1

    def _one(self, ids, how):
        assert how.stop_token_ids == sorted(self.policy.tokenizer.stop_ids)
        prompt = SimpleNamespace(id=str(how.seed), ids=ids)
        sampler = NativeSampler(self.policy, precision="fp32")
        tokenizer = SimpleNamespace(prompt_ids=lambda asked: asked.ids)
        real = self.policy.tokenizer
        for name in ("stop_ids", "decode"):
            setattr(tokenizer, name, getattr(real, name))
        sampler.model.tokenizer = tokenizer
        try:
            ((done,),) = sampler.sample([prompt], config=how.config, streams=Streams(how.seed % 1000))
        finally:
            sampler.model.tokenizer = real
        steps = [
            {token: SimpleNamespace(logprob=value)}
            for token, value in zip(done.token_ids, done.logprobs, strict=True)
        ]
        output = SimpleNamespace(
            token_ids=list(done.token_ids),
            logprobs=steps,
            text=done.text,
            finish_reason=str(done.finish_reason.value),
        )
        return SimpleNamespace(outputs=[output])


LIBRARY = SimpleNamespace(LLM=LLM, SamplingParams=SamplingParams)


def make_sampler(model):
    LLM.started.clear()
    return VllmSampler(model, library=LIBRARY, options={"dtype": "float32"})


def check_logprobs(model, prompts, groups):
    """What the policy itself gives the drawn tokens."""
    for prompt, group in zip(prompts, groups, strict=True):
        ids = model.tokenizer.prompt_ids(prompt)
        for completion in group:
            with torch.no_grad():
                logits = model.network(torch.tensor([[*ids, *completion.token_ids]])).logits[0]
            expected = logits[len(ids) - 1 : -1].log_softmax(-1)
            chosen = expected.gather(1, torch.tensor(completion.token_ids)[:, None]).squeeze(1)
            torch.testing.assert_close(torch.tensor(completion.logprobs), chosen, atol=1e-4, rtol=1e-4)


def test_groups_come_in_order_with_the_policys_logprobs_and_repeat_under_equal_streams():
    model = tiny_model()
    sampler = make_sampler(model)
    config = SamplingConfig(max_tokens=6)
    groups = sampler.sample(PROMPTS, group=3, config=config, streams=Streams(0))
    assert [len(group) for group in groups] == [3, 3]
    check_logprobs(model, PROMPTS, groups)
    assert groups == sampler.sample(PROMPTS, group=3, config=config, streams=Streams(0))
    assert groups != sampler.sample(PROMPTS, group=3, config=config, streams=Streams(1))
    assert len({completion.token_ids for group in groups for completion in group}) > 4
    (engine,) = LLM.started
    assert engine.options["dtype"] == "float32"
    assert engine.options["max_model_len"] == model.context_tokens
    assert engine.options["logprobs_mode"] == "processed_logprobs"
    # keys and values of 2 layers with 2 heads of 16 in fp32, 65,536 tokens
    assert engine.options["kv_cache_memory_bytes"] == 2 * 2 * 2 * 16 * 4 * 65536


@pytest.mark.parametrize("is_adapter", [False, True])
def test_changed_weights_reach_the_engine_and_change_the_version(is_adapter):
    model = tiny_model()
    if is_adapter:
        model = add_adapter(model, LoraConfig(rank=2))
    sampler = make_sampler(model)
    config = SamplingConfig(max_tokens=5)
    ((before,),) = sampler.sample(PROMPTS[:1], config=config, streams=Streams(0))
    with torch.no_grad():
        for _, weight in model.trainable_parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    groups = sampler.sample(PROMPTS, group=2, config=config, streams=Streams(0))
    check_logprobs(model, PROMPTS, groups)
    assert groups[0][0].policy_version != before.policy_version
    (engine,) = LLM.started
    assert engine.resets == 1
    assert engine.packed_head
    sampler.sample(PROMPTS, config=config, streams=Streams(0))
    assert engine.resets == 1  # unchanged weights are not handed over again


def test_ends_are_told_apart():
    sampler = make_sampler(tiny_model())
    (end,) = sampler.model.tokenizer.stop_ids
    step = lambda *ids: [{token: SimpleNamespace(logprob=-1.0)} for token in ids]  # noqa: E731

    def output(ids, text, reason):
        return sampler._completion(
            SimpleNamespace(token_ids=ids, logprobs=step(*ids), text=text, finish_reason=reason)
        )

    by_token, by_text, cut = (
        output([72, 105, end], "Hi", "stop"),
        output([72, 105, 33], "Hi", "stop"),
        output([72, 105], "Hi", "length"),
    )
    assert [each.text for each in (by_token, by_text, cut)] == ["Hi", "Hi", "Hi"]
    assert [each.token_ids[-1] for each in (by_token, by_text, cut)] == [end, 33, 105]
    expected = [FinishReason.STOP, FinishReason.STOP, FinishReason.LENGTH]
    assert [each.finish_reason for each in (by_token, by_text, cut)] == expected


def test_bad_requests_and_answers_are_refused():
    sampler = make_sampler(tiny_model())
    with pytest.raises(DataError, match="together more than the model's context"):
        sampler.sample(PROMPTS, config=SamplingConfig(max_tokens=5000), streams=Streams(0))
    assert sampler.sample([], config=SamplingConfig(), streams=Streams(0)) == []
    with pytest.raises(ModelError, match="0 log-probs for 1 tokens"):
        sampler._completion(SimpleNamespace(token_ids=[1], logprobs=None, text="", finish_reason="stop"))
    sampler.sample(PROMPTS, config=SamplingConfig(max_tokens=2), streams=Streams(0))
    LLM.started[0].generate = lambda *_, **__: []
    with pytest.raises(ModelError, match="answered 0 of 2"):
        sampler.sample(PROMPTS, config=SamplingConfig(max_tokens=2), streams=Streams(0))


def test_weights_have_the_plain_models_names_and_merged_adapters():
    model = tiny_model()
    names = [name for name, _ in model.network.named_parameters()]
    model = add_adapter(model, LoraConfig(rank=2))
    merged = dict(plain_weights(model))
    assert sorted(merged) == sorted(names)
    assert torch.equal(merged["model.norm.weight"], tiny_model().network.model.norm.weight)


def test_without_vllm_the_install_command_is_named():
    pytest.importorskip("torch")
    try:
        import vllm  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match="pip install vllm"):
            VllmSampler(tiny_model())
