"""The configs of `accord quickstart`: rounds on a laptop with a simulated panel, or one pass."""

from dataclasses import replace

from accord.pipeline.plan import EvaluationConfig, ModelConfig, PanelConfig, SpineConfig, SupportTaskConfig
from accord.pipeline.rounds.plan import AgreeingConfig, AskingConfig, LoopConfig, StopConfig
from accord.rollouts import MissingEosConfig, SamplingConfig
from accord.training import OnlineConfig, OptimizationConfig, RewardTrainingConfig, SftConfig

TITLE = "A support co-pilot, from judgments to a better model"
ANSWER_TOKENS = 48
TEMPERATURE = 0.7
"""Of every answer, in training and evaluation alike: at 1 a model of this size wanders off its notes."""
TOP_LAYERS = 10
"""Of SmolLM2's 30: the lower 20 are shared by policy, reference and reward model."""


def quickstart_config(*, seed: int = 0, is_fast: bool = False) -> LoopConfig:
    """Two rounds, minutes on two cores; `is_fast` is the same on the tiny model, and shows no gain."""
    once = single_pass_config(seed=seed, is_fast=is_fast)
    asking = AskingConfig(
        prompts=64,
        answers_per_prompt=3,
        comparisons=160,
        judgments_per_pair=3,
        examined_prompts=64,
        judgments_per_examined=3,
        known_share=0.25,
        strategy="information",
        sampling=once.evaluation.sampling,
    )
    steps = replace(once.policy.optimization, steps=10, learning_rate=1e-4, checkpoint_every=5)
    config = LoopConfig(
        name="quickstart",
        title="A support co-pilot, round after round",
        seed=seed,
        rounds=2,
        model=once.model,
        task=SupportTaskConfig(compared_prompts=160, heldout_prompts=64),
        asking=asking,
        agreeing=AgreeingConfig(half_life=2.0),
        sft=once.sft,
        reward=replace(once.reward, members=4, head_std=0.0, epochs=2.0, trunk_cache_gb=1.0),
        policy=replace(once.policy, missing_eos=MissingEosConfig(mode="subtract"), optimization=steps),
        start_from="newest",
        stop=StopConfig(on_fail=False),
    )
    return _fast_loop(config, once) if is_fast else config


def _fast_loop(config: LoopConfig, once: SpineConfig) -> LoopConfig:
    """Every stage, a few questions and steps each, on the tiny model."""
    return replace(
        config,
        title=f"{config.title} (tiny model: every stage runs, nothing is learned)",
        task=SupportTaskConfig(compared_prompts=16, heldout_prompts=16),
        asking=replace(
            config.asking,
            prompts=12,
            answers_per_prompt=2,
            comparisons=16,
            examined_prompts=16,
            judgments_per_examined=2,
        ),
        policy=once.policy,
    )


def single_pass_config(*, seed: int = 0, is_fast: bool = False) -> SpineConfig:
    """One pass with more labels and steps instead of rounds; `is_fast` is on the tiny model."""
    config = SpineConfig(
        name="quickstart",
        title=TITLE,
        seed=seed,
        model=ModelConfig(name="smollm2", trainable_layers=TOP_LAYERS),
        task=SupportTaskConfig(compared_prompts=160, heldout_prompts=96),
        panel=PanelConfig(answers_per_prompt=3, votes_per_pair=3),
        sft=SftConfig(
            epochs=1.0,
            batch_size=8,
            optimization=OptimizationConfig(
                learning_rate=2e-4, schedule="linear", warmup_steps=2, checkpoint_every=10
            ),
        ),
        reward=RewardTrainingConfig(
            epochs=1.0,
            batch_size=9,
            pairs_per_group=3,
            trainable_layers=TOP_LAYERS,
            trunk_cache_gb=0.0,
            optimization=OptimizationConfig(
                learning_rate=3e-4,
                schedule="linear",
                warmup_steps=3,
                eval_at_start=False,
                checkpoint_every=30,
            ),
        ),
        policy=OnlineConfig(
            prompts_per_step=8,
            group_size=4,
            kl_coefficient=0.02,
            sampling=SamplingConfig(max_tokens=ANSWER_TOKENS, temperature=TEMPERATURE),
            optimization=OptimizationConfig(
                steps=14, learning_rate=5e-5, schedule="constant", warmup_steps=2, checkpoint_every=7
            ),
        ),
        evaluation=EvaluationConfig(
            sampling=SamplingConfig(max_tokens=ANSWER_TOKENS, temperature=TEMPERATURE)
        ),
    )
    return _fast(config) if is_fast else config


def _fast(config: SpineConfig) -> SpineConfig:
    """Every stage, a few steps each, on the tiny model."""
    return replace(
        config,
        title=f"{TITLE} (tiny model: every stage runs, nothing is learned)",
        model=ModelConfig(name="tiny", trainable_layers=1),
        task=SupportTaskConfig(compared_prompts=16, heldout_prompts=16),
        sft=replace(config.sft, optimization=replace(config.sft.optimization, steps=3, checkpoint_every=2)),
        reward=replace(
            config.reward,
            trainable_layers=1,
            optimization=replace(config.reward.optimization, steps=4, eval_every=2, checkpoint_every=2),
        ),
        policy=replace(
            config.policy,
            prompts_per_step=4,
            sampling=SamplingConfig(max_tokens=16),
            optimization=replace(config.policy.optimization, steps=4, checkpoint_every=2),
        ),
        evaluation=EvaluationConfig(sampling=SamplingConfig(max_tokens=16)),
    )
