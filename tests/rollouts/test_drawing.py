"""Drawing by inverse CDF: exact, seeded, and honest about what it drew from."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.domain import ConfigError, Prompt, Streams
from accord.rollouts.drawing import draw_tokens, filter_logits, row_uniforms
from accord.rollouts.sampler import SamplingConfig

FULL = SamplingConfig()


def test_inverse_cdf_by_hand():
    # probabilities 1/2, 1/4, 1/4: the running sums are 0.5, 0.75, 1
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]])).expand(6, 3)
    uniforms = torch.tensor([0.0, 0.499, 0.501, 0.749, 0.751, 1 - 2**-53], dtype=torch.float64)
    drawn = draw_tokens(logits, uniforms, FULL)
    assert drawn.tokens.tolist() == [0, 0, 1, 1, 2, 2]
    assert drawn.logprobs.tolist() == pytest.approx([math.log(0.5)] * 2 + [math.log(0.25)] * 4, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(size=st.integers(1, 1030), seed=st.integers(0, 1000), temperature=st.sampled_from([0.3, 1.0, 2.0]))
def test_two_levels_equal_one_plain_cumulative_sum(size, seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, size, generator=generator) * 3
    uniforms = torch.rand(4, generator=generator, dtype=torch.float64)
    drawn = draw_tokens(logits, uniforms, SamplingConfig(temperature=temperature))
    running = (logits.double() / temperature).softmax(-1).cumsum(-1)
    # a draw within rounding of a step of the running sum may fall on either side
    before = torch.where(
        drawn.tokens > 0, running.gather(1, (drawn.tokens - 1).clamp_min(0)[:, None])[:, 0], 0.0
    )
    after = running.gather(1, drawn.tokens[:, None])[:, 0]
    assert bool((before <= uniforms + 1e-6).all())
    assert bool((uniforms <= after + 1e-6).all())
    expected = (logits / temperature).log_softmax(-1).gather(1, drawn.tokens[:, None])[:, 0]
    assert torch.allclose(drawn.logprobs, expected, atol=1e-5)


@pytest.mark.parametrize("uniform", [0.0, 0.3, 0.999, 1 - 2**-53])
def test_a_token_of_probability_zero_is_never_drawn(uniform):
    logits = torch.full((1, 600), -torch.inf)
    logits[0, 300] = 0.0
    logits[0, 420] = -40.0
    drawn = draw_tokens(logits, torch.tensor([uniform], dtype=torch.float64), FULL)
    assert drawn.tokens.item() in (300, 420)
    assert math.isfinite(drawn.logprobs.item())


def test_greedy_takes_the_likeliest_and_keeps_its_logprob_at_temperature_one():
    logits = torch.log(torch.tensor([[0.2, 0.7, 0.1]]))
    drawn = draw_tokens(logits, torch.tensor([0.01]), SamplingConfig(temperature=0.0))
    assert drawn.tokens.tolist() == [1]
    assert drawn.logprobs.item() == pytest.approx(math.log(0.7), abs=1e-6)


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (SamplingConfig(top_k=2), {0, 1}),
        (SamplingConfig(top_p=0.5), {0}),
        (SamplingConfig(top_p=0.51), {0, 1}),
        (SamplingConfig(top_p=0.85), {0, 1, 2}),
        (SamplingConfig(min_p=0.5), {0, 1}),
        (SamplingConfig(min_p=1.0), {0}),
        (SamplingConfig(top_p=1e-9), {0}),
        (SamplingConfig(top_k=9), {0, 1, 2, 3}),
    ],
)
def test_filters_by_hand(config, kept):
    # probabilities 0.5, 0.3, 0.15, 0.05
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64))
    finite = filter_logits(logits, config)[0].isfinite()
    assert {i for i in range(4) if finite[i]} == kept


def test_filtered_logprobs_are_renormalized():
    # top-k 2 of 0.5, 0.3, 0.2 keeps mass 0.8: the second has 0.3 / 0.8
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    drawn = draw_tokens(logits, torch.tensor([0.9]), SamplingConfig(top_k=2))
    assert drawn.tokens.item() == 1
    assert drawn.logprobs.item() == pytest.approx(math.log(0.375), abs=1e-6)


def test_uniforms_of_a_row_do_not_depend_on_the_batch():
    first, second = Prompt.from_text("a"), Prompt.from_text("b")
    both = row_uniforms([first, second, first], group=2, count=5, streams=Streams(1))
    alone = row_uniforms([second], group=3, count=5, streams=Streams(1))
    assert torch.equal(both[2:4], alone[:2])
    assert len({tuple(row.tolist()) for row in both}) == 6
    assert not torch.equal(both, row_uniforms([first, second, first], group=2, count=5, streams=Streams(2)))
    assert 0 <= both.min() < both.max() < 1


def test_settings_that_cannot_work_are_all_named_at_once():
    with pytest.raises(ConfigError) as caught:
        SamplingConfig(max_tokens=0, temperature=-1.0, top_p=0.0, top_k=-1, min_p=2.0, stop=("",))
    assert len(caught.value.problems) == 6


@pytest.mark.parametrize("changed", [{"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}, {"temperature": 0.0}])
def test_full_support_is_lost_by_any_filter_and_by_greedy(changed):
    assert SamplingConfig(temperature=0.7).has_full_support
    assert not SamplingConfig(**changed).has_full_support
