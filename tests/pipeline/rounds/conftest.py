"""A loop on the tiny model: every stage runs in seconds, nothing is learned."""

from dataclasses import replace

import pytest

from accord.pipeline.plan import ModelConfig, SupportTaskConfig
from accord.pipeline.rounds.plan import AskingConfig, LoopConfig, SimulatedJudgesConfig
from accord.rollouts import SamplingConfig
from accord.training import OnlineConfig, OptimizationConfig, RewardTrainingConfig, SftConfig


def tiny_loop(**changes) -> LoopConfig:
    """Two rounds of a few questions each."""
    sampling = SamplingConfig(max_tokens=12)
    config = LoopConfig(
        name="tiny",
        seed=3,
        rounds=2,
        model=ModelConfig(name="tiny", trainable_layers=1),
        task=SupportTaskConfig(compared_prompts=16, heldout_prompts=12),
        judges=SimulatedJudgesConfig(wave=40),
        asking=AskingConfig(
            prompts=8,
            answers_per_prompt=2,
            comparisons=8,
            judgments_per_pair=3,
            examined_prompts=8,
            judgments_per_examined=2,
            sampling=sampling,
        ),
        sft=SftConfig(batch_size=8, optimization=OptimizationConfig(steps=2, learning_rate=1e-4)),
        reward=RewardTrainingConfig(
            batch_size=4,
            trainable_layers=1,
            eval_share=0.2,
            optimization=OptimizationConfig(steps=3, learning_rate=1e-4, checkpoint_every=1),
        ),
        policy=OnlineConfig(
            prompts_per_step=4,
            group_size=2,
            sampling=sampling,
            optimization=OptimizationConfig(steps=3, learning_rate=1e-3, checkpoint_every=1),
        ),
    )
    return replace(config, **changes)


@pytest.fixture(name="tiny_loop", scope="session")
def tiny_loop_fixture():
    """The function that makes the config."""
    return tiny_loop


@pytest.fixture(scope="session")
def finished_loop(tmp_path_factory):
    """A loop that was run to its end: folder and records."""
    from accord.pipeline.rounds.loop import run_loop

    folder = tmp_path_factory.mktemp("loop")
    return folder, run_loop(tiny_loop(), folder)
