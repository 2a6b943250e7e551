"""Rewards: what they return is checked, and every mistake is named."""

import math

import numpy as np
import pytest
import torch

from accord.domain import Completion, ConfigError, FinishReason, Prompt, RewardError
from accord.rollouts import FunctionReward, MissingEosConfig, ScriptedSampler, WeightedReward

PROMPTS = [Prompt.from_text("what is two"), Prompt.from_text("name a color")]
COMPLETIONS = [Completion(text="two is a number"), Completion(text="red", finish_reason=FinishReason.LENGTH)]


def lengths(prompts, completions):
    return [len(completion.text) for completion in completions]


def test_a_function_gets_the_batch_and_gives_one_number_each():
    assert FunctionReward(lengths).score(PROMPTS, COMPLETIONS).values == [15.0, 3.0]


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple, list])
def test_arrays_and_tensors_count_as_lists_of_numbers(kind):
    assert FunctionReward(lambda p, c: kind([1.5, 2.0])).score(PROMPTS, COMPLETIONS).values == [1.5, 2.0]


def test_an_exception_names_function_prompt_and_cause():
    def broken(prompts, completions):
        raise KeyError("color")

    with pytest.raises(RewardError, match=r"reward 'broken' raised KeyError: 'color'.*what is two") as caught:
        FunctionReward(broken).score(PROMPTS, COMPLETIONS)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "3", 1j])
def test_a_value_that_is_no_finite_number_names_the_completion(value):
    with pytest.raises(RewardError, match=r"'red' to the prompt 'name a color'; expected a finite number"):
        FunctionReward(lambda p, c: [1.0, value], name="odd").score(PROMPTS, COMPLETIONS)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_count_is_refused(count):
    with pytest.raises(RewardError, match=f"returned {count} values for 2 completions"):
        FunctionReward(lambda p, c: [1.0] * count).score(PROMPTS, COMPLETIONS)


@pytest.mark.parametrize("returned", [None, 3.0, "12", {1: 2}])
def test_something_that_is_no_list_is_refused(returned):
    with pytest.raises(RewardError, match="expected a list of 2 numbers"):
        FunctionReward(lambda p, c: returned, name="odd").score(PROMPTS, COMPLETIONS)


def test_no_completions_need_no_call():
    assert FunctionReward(lambda p, c: 1 / 0).score([], []).values == []


def test_weighted_sum_by_hand_keeps_its_parts():
    reward = WeightedReward(
        {"length": (0.5, FunctionReward(lengths)), "one": (-2.0, FunctionReward(lambda p, c: [1.0, 0.0]))}
    )
    scores = reward.score(PROMPTS, COMPLETIONS)
    assert scores.values == [0.5 * 15 - 2, 0.5 * 3]
    assert scores.parts == {"length": [15.0, 3.0], "one": [1.0, 0.0]}


def test_weighted_rewards_are_named_after_their_functions():
    assert list(WeightedReward([(1.0, FunctionReward(lengths))]).parts) == ["lengths"]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([], "no reward to weigh"),
        ({"a": (math.nan, FunctionReward(lengths))}, "weight of reward 'a' is nan"),
        ([(1.0, FunctionReward(lengths)), (2.0, FunctionReward(lengths))], "same name"),
    ],
)
def test_weights_that_cannot_work_are_refused(parts, problem):
    with pytest.raises(ConfigError, match=problem):
        WeightedReward(parts)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (MissingEosConfig(), [2.0, 5.0]),
        (MissingEosConfig(mode="subtract", value=1.5), [2.0, 3.5]),
        (MissingEosConfig(mode="replace", value=-1.0), [2.0, -1.0]),
    ],
)
def test_trap_24_missing_eos_in_all_its_conventions(rule, expected):
    # one code replaces the score by -1, another subtracts a penalty; only the cut one is touched
    assert rule.apply([2.0, 5.0], COMPLETIONS) == expected


def test_missing_eos_refuses_a_negative_penalty():
    with pytest.raises(ConfigError, match="penalty to subtract is 0 or more"):
        MissingEosConfig(mode="subtract", value=-1.0)


def test_scripted_answers_come_in_turn():
    from accord.domain import Streams
    from accord.rollouts import SamplingConfig

    sampler = ScriptedSampler({"what is two": ["a", "b", "c"], "name a color": ["red"]})
    groups = sampler.sample(PROMPTS, group=2, config=SamplingConfig(), streams=Streams(0))
    assert [[completion.text for completion in group] for group in groups] == [["a", "b"], ["red", "red"]]
