"""Multipliers by hand, at the optimum of a policy that answers exactly, and in a run."""

import math

import pytest

from accord.domain import ConfigError, Prompt, TrainingError
from accord.models.tiny import tiny_model
from accord.rollouts import FunctionReward, SamplingConfig, WeightedReward
from accord.training import OnlineConfig, OptimizationConfig, Recorder, train_rloo
from accord.training.lagrangian import LEAST_MULTIPLIER, ConstraintConfig, Lagrangian

PROMPTS = [Prompt.from_text(text) for text in ("tell me", "what now?", "a longer question than that", "go")]


def test_rewards_and_the_next_multiplier_by_hand():
    # lambda 3: (1 + 3 * 0.5) / 4 and (2 - 3) / 4; mean of the part -0.25, violation 0.5 + 0.25
    found = Lagrangian([ConstraintConfig(part="safe", at_least=0.5, start=3.0, rate=0.2)])
    parts = {"safe": [0.5, -1.0]}
    assert found.rewards([1.0, 2.0], parts) == pytest.approx([0.625, -0.25])
    after = found.after(parts)
    assert after.multipliers["safe"] == pytest.approx(3.0 * math.exp(0.2 * 0.75))
    assert found.metrics(parts) == pytest.approx(
        {"constraint/multiplier/safe": 3.0, "constraint/violation/safe": 0.75}
    )


def test_multipliers_stay_between_their_ends():
    constraint = ConstraintConfig(part="c", at_least=0.0, rate=10.0, most=5.0)
    assert Lagrangian([constraint]).after({"c": [-100.0]}).multipliers["c"] == pytest.approx(5.0)
    assert Lagrangian([constraint]).after({"c": [100.0]}).multipliers["c"] == pytest.approx(LEAST_MULTIPLIER)


def test_without_constraints_rewards_are_as_they_were():
    assert Lagrangian([]).rewards([1.0, 2.0], {}) == [1.0, 2.0]
    assert Lagrangian([]).after({}).multipliers == {}


@pytest.mark.parametrize(("bound", "expected"), [(0.75, 1 + 0.5 * math.log(3)), (0.9, 1 + 0.5 * math.log(9))])
def test_where_the_bound_binds_the_multiplier_converges_to_its_value_by_hand(bound, expected):
    # Two answers: the reward pays 1 for the first, the bound part 1 for the second. With entropy weight b
    # the best policy takes the second with p = sigmoid((lambda - 1) / b), which is the bound at
    # lambda = 1 + b logit(bound); b = 1/2.
    lagrangian = Lagrangian([ConstraintConfig(part="safe", at_least=bound, start=0.1, rate=0.5)])
    for _ in range(400):
        # rewards are divided by 1 + lambda, and so is the entropy weight of the same problem
        scale = 1.0 + lagrangian.multipliers["safe"]
        first, second = lagrangian.rewards([1.0, 0.0], {"safe": [0.0, 1.0]})
        p = 1 / (1 + math.exp(-(second - first) / (0.5 / scale)))
        lagrangian = lagrangian.after({"safe": [p]})
    assert lagrangian.multipliers["safe"] == pytest.approx(expected, rel=1e-4)
    assert p == pytest.approx(bound, rel=1e-4)


def test_where_the_bound_does_not_bind_the_multiplier_goes_to_its_lower_end():
    lagrangian = Lagrangian([ConstraintConfig(part="safe", at_least=0.1, rate=1.0)])
    for _ in range(100):
        lagrangian = lagrangian.after({"safe": [0.5]})
    assert lagrangian.multipliers["safe"] == pytest.approx(LEAST_MULTIPLIER)


def share_below(limit):
    def share(prompts, completions):
        return [sum(token < limit for token in each.token_ids) / len(each.token_ids) for each in completions]

    return FunctionReward(share)


def settings(*, constraints, steps=40, **optimization):
    return OnlineConfig(
        prompts_per_step=4,
        group_size=8,
        kl_coefficient=0.0,
        sampling=SamplingConfig(max_tokens=12),
        constraints=constraints,
        optimization=OptimizationConfig(steps=steps, learning_rate=1e-2, precision="fp32", **optimization),
    )


def opposed():
    """Low bytes pay, and high ones are what the bound asks for: each costs the other."""
    high = FunctionReward(
        lambda p, c: [sum(token >= 64 for token in each.token_ids) / len(each.token_ids) for each in c]
    )
    return WeightedReward({"low": (1.0, share_below(64)), "high": (0.0, high)})


def test_a_run_keeps_its_bound_where_it_would_break_it_without():
    bound = ConstraintConfig(part="high", at_least=0.6, start=0.2, rate=1.0)
    free, bound_run = Recorder(), Recorder()
    train_rloo(tiny_model(), PROMPTS, opposed(), settings(constraints=(), steps=25), observers=[free])
    train_rloo(tiny_model(), PROMPTS, opposed(), settings(constraints=(bound,)), observers=[bound_run])
    assert free.steps[-1].metrics["reward/part/high"] < 0.4
    last = [report.metrics["reward/part/high"] for report in bound_run.steps[-10:]]
    assert sum(last) / 10 > 0.5
    assert bound_run.steps[-1].metrics["constraint/multiplier/high"] > 0.4


def test_trap_46_multipliers_are_resumed(tmp_path):
    bound = ConstraintConfig(part="high", at_least=0.9, rate=1.0)
    plan = settings(constraints=(bound,), steps=4, checkpoint_every=2)
    whole, rest = Recorder(), Recorder()
    expected, resumed = tiny_model(), tiny_model()
    train_rloo(expected, PROMPTS, opposed(), plan, observers=[whole])

    class Stop(Exception):
        pass

    class StopAtThree(Recorder):
        def on_step(self, report):
            if report.step == 3:
                raise Stop

    with pytest.raises(Stop):
        train_rloo(tiny_model(), PROMPTS, opposed(), plan, run_dir=tmp_path, observers=[StopAtThree()])
    train_rloo(resumed, PROMPTS, opposed(), plan, run_dir=tmp_path, resume=True, observers=[rest])
    name = "constraint/multiplier/high"
    assert [each.metrics[name] for each in rest.steps] == [each.metrics[name] for each in whole.steps[2:]]
    assert resumed.version == expected.version


def test_a_part_that_the_reward_has_not_and_settings_that_cannot_work_are_refused(tiny):
    bound = ConstraintConfig(part="safety", at_least=0.0)
    with pytest.raises(TrainingError, match="has no part safety, which a constraint binds"):
        train_rloo(tiny, PROMPTS, opposed(), settings(constraints=(bound,), steps=1))
    with pytest.raises(ConfigError, match="bound twice"):
        Lagrangian([bound, bound])
    with pytest.raises(ConfigError) as caught:
        ConstraintConfig(part="c", at_least=math.nan, start=0.0, rate=0.0)
    assert len(caught.value.problems) == 3
