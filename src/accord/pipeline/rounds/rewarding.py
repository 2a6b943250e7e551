"""A round's reward model from its snapshot: on pairs, or on single judgments with habits learnt beside.

Habits are gain, leaning to a side and width of ties of each annotator. They are learnt with the rewards, kept
in the stage's `beside.json` under pseudonyms, and dropped at use. Leaves out grades of a written policy
(`grading`) and gains fitted to a finished reward (`skills`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.domain import Streams
from accord.models import RewardModel
from accord.pipeline.rounds.plan import LoopConfig
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.rounds.state import LoopState
from accord.pipeline.stage_running import has_checkpoint
from accord.training import train_reward_model
from accord.training.answer_reward import train_reward_on
from accord.training.habits import JudgmentsObjective
from accord.training.reward import weights_hash

DECIMALS = 6
"""Of habits in the journal; `beside.json` holds them in full."""


@dataclass
class RewardLearner:
    """Trains one reward model of a round, in a stage's folder."""

    loop: LoopState
    snapshot: Snapshot
    begin: RewardModel | None
    """The model to go on from; None begins from the fine-tuned one."""
    name: str
    """Of the stage: seeds the head."""
    streams: Streams
    trained: list[RewardModel] = field(default_factory=list)
    """What `learn` made; empty where the stage was done before."""

    @property
    def amount(self) -> str:
        """What is learnt from, in words."""
        if is_by_judgment(self.loop.config):
            return f"{len(self.snapshot.judgments)} judgments, habits beside"
        return f"{len(self.snapshot.preferences)} pairs"

    def learn(self, folder: Path) -> Mapping[str, Any]:
        """Train, or go on where a killed run stopped; the stage's facts."""
        loop, snapshot = self.loop, self.snapshot
        model = loop.new_reward_model(self.name) if self.begin is None else self.begin
        common: dict[str, Any] = {
            "normalization_demonstrations": list(loop.material.demonstrations),
            "run_dir": folder,
            "observers": loop.narrator.observers(),
            "resume": has_checkpoint(folder),
            "streams": self.streams,
        }
        if is_by_judgment(loop.config):
            result = train_reward_on(model, snapshot.judgments, loop.config.reward, **common)
        else:
            result = train_reward_model(model, snapshot.preferences, loop.config.reward, **common)
        self.trained.append(result.reward_model)
        accuracy = result.metrics.get("reward/eval_accuracy")
        held = "" if accuracy is None else f", {accuracy:.0%} right on held-out prompts"
        loss = result.metrics["reward/loss"]
        return {
            "objective": loop.config.reward.objective.type,
            "pairs": len(snapshot.preferences),
            "judgments": len(snapshot.judgments),
            "steps": result.steps,
            "metrics": dict(result.metrics),
            "version": weights_hash(result.reward_model),
            "habits": habit_rows(result.beside),
            "lines": [f"loss {loss:.3f} after {result.steps} steps{held}", *result.warnings],
        }


def is_by_judgment(config: LoopConfig) -> bool:
    """Whether the reward model learns from single judgments, knowing who gave each."""
    return isinstance(config.reward.objective, JudgmentsObjective)


def habit_rows(beside: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Annotators and their habits, the most gain first; none where nothing was learnt beside the rewards."""
    found = beside.get("annotators", {})
    rows = [
        {"annotator": name, **{key: round(value, DECIMALS) for key, value in habits.items()}}
        for name, habits in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["gain"], row["annotator"]))


def named_habits(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The same under handles, given pseudonym to handle; who is forgotten keeps the pseudonym."""
    return [{**row, "annotator": names.get(row["annotator"], row["annotator"])} for row in rows]
