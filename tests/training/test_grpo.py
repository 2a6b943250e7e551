"""GRPO and its kin: settings of one loop, each learning what is rewarded."""

import dataclasses

import pytest
import torch

from accord.domain import ConfigError, Prompt
from accord.models.tiny import tiny_model
from accord.rollouts import SamplingConfig
from accord.training import GrpoConfig, OnlineConfig, OptimizationConfig, Recorder, train_grpo
from accord.training.objectives import Aggregation

PROMPTS = [Prompt.from_text(text) for text in ("tell me", "what now?", "a longer question than that", "go")]
FAMILY = {
    "grpo": {},
    "dr_grpo": {"divides_by_std": False, "aggregation": Aggregation.SEQUENCE_MEAN_TOKEN_CONSTANT},
    "dapo": {"clip_high": 0.28, "aggregation": Aggregation.TOKEN_MEAN},
    "gspo": {"ratio": "sequence"},
    "cispo": {"ratio": "weight", "aggregation": Aggregation.TOKEN_MEAN},
}


def settings(name, *, steps=25, rate=1e-2, **changes):
    optimization = OptimizationConfig(steps=steps, learning_rate=rate, precision="fp32", **changes)
    online = OnlineConfig(
        prompts_per_step=4,
        group_size=8,
        kl_coefficient=0.0,
        sampling=SamplingConfig(max_tokens=12),
        optimization=optimization,
    )
    return GrpoConfig(**FAMILY[name], online=online)


def share_of_e(prompts, completions):
    return [completion.token_ids.count(ord("e")) / len(completion.token_ids) for completion in completions]


@pytest.mark.parametrize("name", FAMILY)
def test_each_member_learns_what_is_rewarded(name):
    # a random byte model writes "e" about once in 260 bytes
    recorder = Recorder()
    train_grpo(tiny_model(seed=0), PROMPTS, share_of_e, settings(name), observers=[recorder])
    rewards = [report.metrics["reward/mean"] for report in recorder.steps]
    assert sum(rewards[:3]) / 3 < 0.05
    assert sum(rewards[-3:]) / 3 > 0.2


@pytest.mark.parametrize("name", ["grpo", "gspo", "cispo"])
def test_trap_46_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(name, tmp_path):
    whole, halves = tiny_model(seed=0), tiny_model(seed=0)
    plan = settings(name, steps=4, checkpoint_every=2)
    train_grpo(whole, PROMPTS, share_of_e, plan, run_dir=tmp_path / "whole")

    class Stop(Exception):
        pass

    class StopAfterTwo(Recorder):
        def on_step(self, report):
            super().on_step(report)
            if report.step == 3:
                raise Stop

    with pytest.raises(Stop):
        train_grpo(halves, PROMPTS, share_of_e, plan, run_dir=tmp_path / "halves", observers=[StopAfterTwo()])
    resumed = tiny_model(seed=0)
    train_grpo(resumed, PROMPTS, share_of_e, plan, run_dir=tmp_path / "halves", resume=True)
    for (_, left), (_, right) in zip(
        whole.trainable_parameters(), resumed.trainable_parameters(), strict=True
    ):
        assert torch.equal(left, right)


def test_at_rate_zero_nothing_moves():
    model = tiny_model(seed=0)
    before = [weight.clone() for _, weight in model.trainable_parameters()]
    recorder = Recorder()
    train_grpo(model, PROMPTS, share_of_e, settings("grpo", steps=2, rate=0.0), observers=[recorder])
    assert all(
        torch.equal(old, new) for old, (_, new) in zip(before, model.trainable_parameters(), strict=True)
    )
    assert all(report.metrics["ratio/mean"] == 1.0 for report in recorder.steps)


def test_settings_that_cannot_work_are_all_named_at_once():
    with pytest.raises(ConfigError) as caught:
        GrpoConfig(ratio="group", clip_high=-1.0)
    assert len(caught.value.problems) == 2
    assert dataclasses.replace(GrpoConfig(), ratio="sequence").ratio == "sequence"
