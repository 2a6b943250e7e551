"""What one rank does in test_parallel: started by torchrun, trains on the tiny model, writes what it saw."""

import dataclasses
import json
import math
import os
import signal
import sys
from pathlib import Path

import torch
from torch import distributed, nn

from accord.domain import Demonstration, Interrupted, Preference, Prompt, Streams, TrainingError
from accord.models.export import save_model
from accord.models.layers import train_top_layers
from accord.models.tiny import tiny_model
from accord.rollouts import SamplingConfig
from accord.training import (
    DpoConfig,
    OnlineConfig,
    OptimizationConfig,
    PpoConfig,
    Recorder,
    RewardTrainingConfig,
    SftConfig,
    train_dpo,
    train_ppo,
    train_reward_model,
    train_sft,
)
from accord.training.accumulation import Accumulated
from accord.training.parallel import Ranks, joined_ranks

OPTIMIZATION = OptimizationConfig(
    steps=4, learning_rate=1e-3, precision="fp32", micro_batch_tokens=120, checkpoint_every=2
)


class StopsAt(Recorder):
    """Presses Ctrl-C on this rank when a step is done."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def on_step(self, report):
        super().on_step(report)
        if report.step == self.step:
            signal.raise_signal(signal.SIGINT)


def demonstrations():
    return [
        Demonstration(prompt=Prompt.from_text(f"say {'so ' * i}{i}"), completion="yes " * (1 + i % 4))
        for i in range(10)
    ]


def pairs():
    return [
        Preference(
            prompt=Prompt.from_text(f"what is {i}?"),
            chosen=f"it is {i}" + "!" * i,
            rejected="no idea" * (1 + i % 3),
            p_chosen=1.0 - 0.1 * (i % 4),
        )
        for i in range(12)
    ]


PPO = PpoConfig(
    critic="separate",
    online=OnlineConfig(
        prompts_per_step=4,
        group_size=2,
        kl_coefficient=0.05,
        kl_target=0.1,
        epochs=2,
        minibatches=2,
        stop_update_kl=10.0,
        whiten_advantages=True,
        sampling=SamplingConfig(max_tokens=8),
        optimization=dataclasses.replace(OPTIMIZATION, steps=6),
    ),
)


def prompts():
    return [Prompt.from_text(f"tell me {'more ' * i}") for i in range(4)]


def by_length(ranks):
    """A reward that only rank 0 may be asked."""

    def score(prompts, completions):
        assert ranks.is_first
        return [len(each.token_ids) / 8 + each.text.count("e") for each in completions]

    return score


def train_all(place: Path, ranks: Ranks) -> None:
    common = {"streams": Streams(5)}
    recorder = Recorder()
    sft = SftConfig(batch_size=5, optimization=OPTIMIZATION)
    train_sft(tiny_model(), demonstrations(), sft, run_dir=place / "sft", observers=[recorder], **common)
    reward = RewardTrainingConfig(batch_size=4, eval_share=0.2, optimization=OPTIMIZATION)
    train_reward_model(tiny_model(), pairs(), reward, run_dir=place / "reward", **common)
    dpo = DpoConfig(batch_size=4, eval_share=0.0, optimization=OPTIMIZATION)
    train_dpo(tiny_model(), pairs(), dpo, run_dir=place / "dpo", **common)
    train_ppo(tiny_model(), prompts(), by_length(ranks), PPO, run_dir=place / "ppo", **common)
    train_sharded(place, ranks, common)
    if ranks.is_first:
        save_model(tiny_model(), place / "start" / "model")
    try:
        train_sft(
            tiny_model(), demonstrations(), sft, run_dir=place / "resumed", observers=[StopsAt(3)], **common
        )
    except Interrupted:
        train_sft(tiny_model(), demonstrations(), sft, run_dir=place / "resumed", resume=True, **common)
    counts = [len(recorder.steps)] * ranks.world
    if ranks.world > 1:
        distributed.all_gather_object(counts, len(recorder.steps))
    if ranks.is_first:
        said = {f"rank_{rank}_steps": count for rank, count in enumerate(counts)}
        (place / "said.json").write_text(json.dumps(said))


def train_sharded(place: Path, ranks: Ranks, common: dict) -> None:
    """The same under parallel = "shard"; a run that two ranks began is left for one to resume."""
    split = dataclasses.replace(OPTIMIZATION, parallel="shard")
    sft = SftConfig(batch_size=5, optimization=split)
    model = tiny_model()
    train_sft(model, demonstrations(), sft, run_dir=place / "sharded_sft", **common)
    if ranks.is_first:
        save_model(model, place / "sharded_sft_left" / "model")
    reward = RewardTrainingConfig(batch_size=4, eval_share=0.2, optimization=split)
    train_reward_model(tiny_model(), pairs(), reward, run_dir=place / "sharded_reward", **common)
    frozen = tiny_model()
    train_top_layers(frozen.network, 1)
    dpo = DpoConfig(batch_size=4, eval_share=0.0, optimization=split)
    train_dpo(frozen, pairs(), dpo, run_dir=place / "sharded_dpo", **common)
    if ranks.world > 1:
        try:
            train_sft(
                tiny_model(), demonstrations(), sft, run_dir=place / "moved", observers=[StopsAt(3)], **common
            )
        except Interrupted:
            return
        raise AssertionError("the run was not stopped")


def state_facts(place: Path, ranks: Ranks) -> None:
    """What the ranks make of each other's numbers; written by the last."""
    parameters = [nn.Parameter(torch.zeros(size)) for size in (2, 3, 1)]
    parameters[0].grad = torch.full((2,), float(ranks.rank + 1))
    if ranks.rank == 1:
        parameters[2].grad = torch.full((1,), 2.0)
    ranks.sum_gradients(parameters)
    mine = Accumulated(math.nan if ranks.rank == 1 else 1.0, {"a": 1.0} if ranks.is_first else {"b": 3.0})
    learned = ranks.sum_numbers(mine)
    error = ""
    try:
        with ranks.first_writes() as is_writer:
            if is_writer:
                raise OSError("no room")
    except (OSError, TrainingError) as caught:
        error = str(caught)
    facts = {
        "error": error,
        "loss_is_nan": math.isnan(learned.loss),
        "metrics": learned.metrics,
        "gradients": [None if each.grad is None else each.grad.tolist() for each in parameters],
        "any": ranks.any_of(ranks.rank == 0),
    }
    if ranks.rank == ranks.world - 1:
        (place / "facts.json").write_text(json.dumps(facts))


def main() -> None:
    place = Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    with joined_ranks() as ranks:
        train_all(place, ranks)
        if ranks.world > 1:
            state_facts(place, ranks)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the process group's own threads may outlive the interpreter and abort it


if __name__ == "__main__":
    main()
