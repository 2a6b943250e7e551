"""Several rewards as one: weights, ensembles by hand, concurrency and its timeout."""

import math
import threading

import pytest

from accord.domain import Completion, ConfigError, Prompt, RewardError
from accord.models.reward import reward_model_from
from accord.models.tiny import tiny_model
from accord.rollouts import (
    EnsembleReward,
    FunctionReward,
    ModelReward,
    RewardPartConfig,
    RewardsConfig,
    WeightedReward,
    load_rewards,
)

PROMPTS = [Prompt.from_text("what is two"), Prompt.from_text("name a color")]
COMPLETIONS = [Completion(text="two is a number"), Completion(text="red")]


def fixed(*values):
    return FunctionReward(lambda prompts, completions: list(values))


MEMBERS = {"a": fixed(1.0, 4.0), "b": fixed(3.0, 4.0), "c": fixed(5.0, -2.0)}


@pytest.mark.parametrize(
    ("rule", "coefficient", "expected"),
    [
        ("mean", 1.0, [3.0, 2.0]),
        ("min", 1.0, [1.0, -2.0]),
        # variances (4 + 0 + 4) / 3 and (4 + 4 + 16) / 3
        ("mean_minus_variance", 1.0, [3.0 - 8 / 3, 2.0 - 8.0]),
        ("mean_minus_variance", 0.5, [3.0 - 4 / 3, 2.0 - 4.0]),
        ("mean_minus_variance", 0.0, [3.0, 2.0]),
    ],
)
def test_ensembles_by_hand(rule, coefficient, expected):
    scores = EnsembleReward(MEMBERS, rule=rule, coefficient=coefficient).score(PROMPTS, COMPLETIONS)
    assert scores.values == pytest.approx(expected)
    assert scores.parts["disagreement"] == pytest.approx([math.sqrt(8 / 3), math.sqrt(8)])
    assert scores.parts["b"] == [3.0, 4.0]


def test_members_that_agree_are_not_punished():
    alike = EnsembleReward({"a": fixed(2.0, -1.0), "b": fixed(2.0, -1.0)}, rule="mean_minus_variance")
    assert alike.score(PROMPTS, COMPLETIONS).values == [2.0, -1.0]


def test_reward_models_are_members_like_others():
    models = {
        name: ModelReward(reward_model_from(tiny_model(), seed=seed)) for name, seed in (("x", 1), ("y", 2))
    }
    scores = EnsembleReward(models, rule="min").score(PROMPTS, COMPLETIONS)
    alone = [model.score(PROMPTS, COMPLETIONS).values for model in models.values()]
    assert scores.values == [min(pair) for pair in zip(*alone, strict=True)]


def test_parts_that_wait_for_each_other_answer_because_they_run_at_one_time():
    met = threading.Barrier(2, timeout=30)

    def meeting(prompts, completions):
        met.wait()
        return [1.0] * len(completions)

    reward = WeightedReward({"left": (1.0, FunctionReward(meeting)), "right": (2.0, FunctionReward(meeting))})
    assert reward.score(PROMPTS, COMPLETIONS).values == [3.0, 3.0]


def test_a_part_that_does_not_answer_in_time_is_named():
    released = threading.Event()

    def stuck(prompts, completions):
        released.wait(60)
        return [0.0] * len(completions)

    reward = WeightedReward(
        {"quick": (1.0, fixed(0.0, 0.0)), "slow": (1.0, FunctionReward(stuck))}, timeout_s=0.05
    )
    with pytest.raises(RewardError, match=r"reward 'slow' gave no answer within 0.05 s"):
        reward.score(PROMPTS, COMPLETIONS)
    released.set()


def test_what_a_part_raises_comes_through_as_it_was():
    reward = EnsembleReward(
        {"a": fixed(1.0, 2.0), "b": FunctionReward(lambda p, c: [math.nan, 1.0], name="odd")}
    )
    with pytest.raises(RewardError, match=r"reward 'odd' returned nan for the completion 'two is a number'"):
        reward.score(PROMPTS, COMPLETIONS)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"members": {"a": fixed(1.0)}}, "1 members; expected 2 or more"),
        ({"members": MEMBERS, "rule": "max"}, "expected mean, min or mean_minus_variance"),
        ({"members": MEMBERS, "coefficient": -1.0}, "0 or more"),
    ],
)
def test_ensembles_that_cannot_work_are_refused(options, problem):
    with pytest.raises(ConfigError, match=problem):
        EnsembleReward(**options)


def test_a_config_names_several_rewards(tmp_path):
    path = tmp_path / "pay.py"
    path.write_text(
        "def one(p, c):\n    return [1.0] * len(c)\n\ndef two(p, c):\n    return [2.0] * len(c)\n"
    )
    parts = tuple(RewardPartConfig(name=name, source=f"{path}:{name}") for name in ("one", "two"))
    assert load_rewards("", RewardsConfig(parts=parts)).score(PROMPTS, COMPLETIONS).values == [3.0, 3.0]
    mixed = RewardsConfig(parts=parts, rule="mean_minus_variance", variance_coefficient=2.0)
    assert load_rewards("", mixed).score(PROMPTS, COMPLETIONS).values == [1.0, 1.0]  # 1.5 - 2 / 4
    for reward, config, seen in ((str(path), mixed, "both"), ("", RewardsConfig(), "neither")):
        with pytest.raises(ConfigError, match=seen):
            load_rewards(reward, config)


def test_configs_that_cannot_work_are_refused():
    part = RewardPartConfig(name="a", source="x")
    with pytest.raises(ConfigError, match="expected different ones"):
        RewardsConfig(parts=(part, part))
    with pytest.raises(ConfigError, match="has no weights"):
        RewardsConfig(parts=(RewardPartConfig(name="a", source="x", weight=2.0),), rule="min")
