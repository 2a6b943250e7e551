"""Reward models as rewards: texts, not ids, and nothing changes by batching."""

import pytest

from accord.domain import Completion, Prompt
from accord.models.reward import reward_model_from
from accord.models.tiny import tiny_model
from accord.rollouts import ModelReward

PROMPTS = [Prompt.from_text("hello"), Prompt.from_text("who are you"), Prompt.from_text("hello")]
TEXTS = ["short", "a much longer answer than that", "another"]


def test_trap_50_ids_of_another_tokenizer_do_not_reach_the_reward_model():
    reward = ModelReward(reward_model_from(tiny_model(), seed=1))
    plain = [Completion(text=text) for text in TEXTS]
    foreign = [Completion(text=text, token_ids=(1, 2, 3), logprobs=(-1.0, -1.0, -1.0)) for text in TEXTS]
    assert reward.score(PROMPTS, plain) == reward.score(PROMPTS, foreign)


def test_scores_do_not_depend_on_batching_or_order():
    model = reward_model_from(tiny_model(), seed=1)
    completions = [Completion(text=text) for text in TEXTS]
    whole = ModelReward(model).score(PROMPTS, completions).values
    small = ModelReward(model, batch_tokens=8).score(PROMPTS, completions).values
    turned = ModelReward(model).score(PROMPTS[::-1], completions[::-1]).values
    assert small == pytest.approx(whole, abs=1e-5)
    assert turned[::-1] == pytest.approx(whole, abs=1e-5)
    assert len(set(whole)) == 3


def test_the_mode_is_put_back():
    model = reward_model_from(tiny_model()).train()
    ModelReward(model).score(PROMPTS, [Completion(text=text) for text in TEXTS])
    assert model.training
