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
def loop_space(tmp_path_factory):
    """A workspace with one loop that was run to its end."""
    from accord.pipeline.rounds.running import start_loop
    from accord.pipeline.workspace import Workspace

    space = Workspace(tmp_path_factory.mktemp("space"))
    start_loop(space, tiny_loop(), name="first", command=["accord", "run", "tiny.toml"])
    return space


@pytest.fixture(scope="session")
def finished_loop(loop_space):
    """The loop that was run to its end: folder and records."""
    from accord.pipeline.rounds.releasing import read_ledger

    folder = loop_space.run("first").folder
    return folder, read_ledger(folder)[0]
