"""Sampling through generate(): the oracle has to be right as well."""

import pytest
import torch

from accord.domain import ConfigError, Prompt, Streams
from accord.rollouts import GenerateSampler, NativeSampler, SamplingConfig

PROMPTS = [Prompt.from_text("hello"), Prompt.from_text("what is this about?")]


@pytest.mark.parametrize(
    "config",
    [
        SamplingConfig(max_tokens=10, temperature=0.7),
        SamplingConfig(max_tokens=10, top_k=5),
        SamplingConfig(max_tokens=10, top_p=0.5),
        SamplingConfig(max_tokens=10, min_p=0.9),
    ],
)
def test_logprobs_are_of_the_distribution_drawn_from_as_the_native_sampler_has_it(tiny, config):
    # the native draw rule is applied to generate()'s ids: filters and temperature must mean the same in both
    from accord.rollouts.drawing import filter_logits

    for prompt, group in zip(
        PROMPTS,
        GenerateSampler(tiny).sample(PROMPTS, group=3, config=config, streams=Streams(0)),
        strict=True,
    ):
        for completion in group:
            ids = tiny.tokenizer.prompt_ids(prompt)
            with torch.no_grad():
                logits = tiny.network(torch.tensor([[*ids, *completion.token_ids]])).logits[
                    0, len(ids) - 1 : -1
                ]
            expected = filter_logits(logits / config.temperature, config).log_softmax(-1)
            chosen = expected.gather(1, torch.tensor(completion.token_ids)[:, None]).squeeze(1)
            assert torch.allclose(torch.tensor(completion.logprobs), chosen, atol=1e-5)


def test_equal_streams_give_equal_samples_and_the_global_generator_is_left_alone(tiny):
    config = SamplingConfig(max_tokens=8)
    before = torch.get_rng_state()
    first = GenerateSampler(tiny).sample(PROMPTS, group=2, config=config, streams=Streams(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert first == GenerateSampler(tiny).sample(PROMPTS, group=2, config=config, streams=Streams(3))
    assert first != GenerateSampler(tiny).sample(PROMPTS, group=2, config=config, streams=Streams(4))


def test_stop_texts_are_refused(tiny):
    with pytest.raises(ConfigError, match="use NativeSampler"):
        GenerateSampler(tiny).sample(PROMPTS, config=SamplingConfig(stop=("x",)), streams=Streams(0))


def test_neither_sampler_is_disturbed_by_the_callers_autocast(tiny):
    config = SamplingConfig(max_tokens=8)
    for sampler in (GenerateSampler(tiny), NativeSampler(tiny, precision="fp32")):
        plain = sampler.sample(PROMPTS, config=config, streams=Streams(0))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert sampler.sample(PROMPTS, config=config, streams=Streams(0)) == plain
