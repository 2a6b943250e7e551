"""What a written policy adds to the rounds: from a dimension to grades, a head, the reward and a gate.

    dimension -> question of each answer -> head of a reward model -> weight or constraint -> gate

Grades are learnt in half spans of their scale: 1 is best, 0 the middle, -1 worst; a limit is 1 where kept and
-1 where broken. A scale is thus the policy's own and no data's. Leaves out asking and running stages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from accord.domain import Completion, Prompt, Rating, Streams, content_hash
from accord.domain.files import write_text_atomic
from accord.evaluation.gates.plan import GatePlan
from accord.evaluation.measurement import Measurement
from accord.models import LanguageModel, RewardModel, load_reward_model, reward_model_from
from accord.pipeline.charter.collecting import guideline, rubric
from accord.pipeline.charter.principles import Charter, Limit, read_charter
from accord.pipeline.charter.release import gate_plan, measure_grades, slice_of
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.stage_running import has_checkpoint
from accord.rollouts import Reward, RewardScores
from accord.training import Observer, OnlineConfig, RewardTrainingConfig
from accord.training.answer_reward import train_reward_on
from accord.training.group_weights import GroupWeightsConfig
from accord.training.lagrangian import ConstraintConfig
from accord.training.ratings import RatingsObjective

PREFERENCE = "preference"
"""Part of the reward that is learnt from comparisons, all in all."""
FOLDER = "policies"
"""In the run's folder: every version of the written policy it ran under."""


@dataclass(frozen=True)
class Grading:
    """One version of a written policy, as the rounds use it."""

    charter: Charter

    @classmethod
    def read(cls, path: str, folder: Path) -> "Grading | None":
        """That of a file, kept in the run's folder under its hash; None where no file is named."""
        if not path:
            return None
        made = cls(read_charter(Path(path)))
        kept = folder / FOLDER / f"{made.charter.hash}.toml"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomic(kept, Path(path).read_text(encoding="utf-8"))
        return made

    @property
    def ids(self) -> tuple[str, ...]:
        """Dimensions, limits first, as they are asked."""
        return tuple(one.id for one in self.charter.entries)

    @property
    def task(self) -> dict[str, Any]:
        """The task of the queue: a comparison, then a grade of each answer on each dimension."""
        return {
            "title": "Which answer is better, and how good is each?",
            "instructions": "Read the question and both answers. Compare them, then grade each by itself.",
            "questions": rubric(self.charter),
        }

    @property
    def guideline(self) -> str:
        """What annotators read."""
        return guideline(self.charter)

    @property
    def asked(self) -> dict[str, str]:
        """What of the policy those who judge see: the stages in which they do depend on it."""
        return {"guideline": content_hash(self.guideline), "questions": content_hash(self.task)}

    def heads_config(self, config: RewardTrainingConfig) -> RewardTrainingConfig:
        """How the heads are trained: as the reward model of comparisons, on grades."""
        return replace(
            config,
            objective=RatingsObjective(dimensions=self.ids, is_standardized=False),
            members=1,
            is_calibrated=False,
            is_length_debiased=False,
            group_weights=GroupWeightsConfig(),
        )

    def placed(self, ratings: Sequence[Rating]) -> list[Rating]:
        """Grades of the policy's dimensions in half spans around the middle; others are left out."""
        spans = {one.id: (0, 1) if isinstance(one, Limit) else (one.low, one.high)
                 for one in self.charter.entries}  # fmt: skip
        return [
            replace(one, value=(2 * one.value - sum(spans[one.dimension]))
                    / (spans[one.dimension][1] - spans[one.dimension][0]))
            for one in ratings
            if one.dimension in spans
        ]  # fmt: skip

    def learn(
        self,
        model: LanguageModel,
        ratings: Sequence[Rating],
        config: RewardTrainingConfig,
        folder: Path,
        *,
        observers: Sequence[Observer],
        streams: Streams,
    ) -> dict[str, Any]:
        """Train the heads in a stage's folder, from `placed` ratings; the stage's facts."""
        result = train_reward_on(
            model,
            ratings,
            self.heads_config(config),
            run_dir=folder,
            observers=observers,
            resume=has_checkpoint(folder),
            streams=streams,
        )
        return {"grades": len(ratings), "steps": result.steps, "metrics": dict(result.metrics)}

    def read_heads(self, model: LanguageModel, folder: Path, config: RewardTrainingConfig) -> RewardModel:
        """The heads a stage saved, frozen layers shared with `model`."""
        heads = reward_model_from(model, trainable_layers=config.trainable_layers, dimensions=self.ids)
        heads.load_state_dict(load_reward_model(folder).state_dict())
        return heads.eval()

    @property
    def weights(self) -> dict[str, Any]:
        """What of the policy the optimization of the model depends on."""
        return {
            PREFERENCE: self.charter.preference,
            "parts": self.charter.parts,
            "constraints": [asdict(one) for one in self.constraints],
        }

    @property
    def constraints(self) -> tuple[ConstraintConfig, ...]:
        """The share of answers that a head says keep a limit is held above what its rate allows."""
        return tuple(ConstraintConfig(part=one.id, at_least=1 - one.max_rate) for one in self.charter.limits)

    def policy_config(self, config: OnlineConfig) -> OnlineConfig:
        """Policy optimization with a constraint for each limit beside those the config has."""
        return replace(config, constraints=(*config.constraints, *self.constraints))

    def gates(self, plan: GatePlan) -> GatePlan:
        """The loop's plan with the policy's own gates after it."""
        own = gate_plan(self.charter)
        return replace(plan, name=f"{plan.name} and {own.name}", gates=(*plan.gates, *own.gates))

    def measure(
        self,
        ratings: Sequence[Rating],
        candidate: Sequence[AnswerGroup],
        incumbent: Sequence[AnswerGroup],
    ) -> list[Measurement]:
        """Each principle's number of the candidate, and its difference from the incumbent.

        Nobody is asked about two equal answers: they count as no difference, and are graded by nobody.
        """
        mine, its = ({group.prompt.id: group.answers[0].text for group in groups}
                     for groups in (candidate, incumbent))  # fmt: skip
        own = [one for one in ratings if mine.get(one.prompt.id) == one.completion]
        other = [one for one in ratings if its.get(one.prompt.id) == one.completion]
        alike = [key for key, text in mine.items() if its.get(key) == text]
        return measure_grades(self.charter, own, other, alike=alike)

    def facts(
        self, heads: Mapping[str, float], policy: Mapping[str, float], gates: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """For the round's record: every dimension with all that was made of it.

        `heads` and `policy` are the metrics of training the heads and the policy.
        """
        rows = []
        for one in self.charter.entries:
            is_limit = isinstance(one, Limit)
            rows.append(
                {
                    "id": one.id,
                    "title": one.title,
                    "text": " ".join(one.text.split()),
                    "kind": "limit" if is_limit else "principle",
                    "part": None if is_limit else self.charter.parts[one.id],
                    "max_rate": one.max_rate if isinstance(one, Limit) else None,
                    "number": f"{'limit_broken' if is_limit else 'principle_grade'} [{slice_of(one.id)}]",
                    "head_error": heads.get(f"reward/eval_rating_error/{one.id}"),
                    "head_correlation": heads.get(f"reward/eval_rating_correlation/{one.id}"),
                    "reward": policy.get(f"reward/part/{one.id}"),
                    "multiplier": policy.get(f"constraint/multiplier/{one.id}"),
                    "gates": [row["id"] for row in gates if row["id"].partition(".")[0] == one.id],
                }
            )
        return {
            "name": self.charter.name,
            "hash": self.charter.hash,
            "file": f"{FOLDER}/{self.charter.hash}.toml",
            "preference": self.charter.preference,
            "principles": rows,
        }


@dataclass(frozen=True)
class WrittenReward:
    """The reward of a written policy.

        value = preference * r + sum over principles of part_i * head_i

    with r the reward learnt from comparisons. Of a limit the part is 1 where its head says kept, else 0;
    it is in no sum, and bound by its constraint.
    """

    preference: Reward
    heads: RewardModel
    charter: Charter
    is_bf16: bool = False

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """One number an answer; `parts` holds the comparisons' reward and every head's."""
        if not completions:
            return RewardScores([])
        compared = self.preference.score(prompts, completions).values
        with torch.autocast(self.heads.device.type, dtype=torch.bfloat16, enabled=self.is_bf16):
            told = self.heads.dimension_texts(prompts, [answer.text for answer in completions])
        parts: dict[str, list[float]] = {PREFERENCE: compared}
        values = [self.charter.preference * value for value in compared]
        limits = {one.id for one in self.charter.limits}
        for name, column in zip(self.heads.dimensions, told.double().T.tolist(), strict=True):
            if name in limits:
                parts[name] = [float(value >= 0) for value in column]
                continue
            parts[name] = column
            share = self.charter.parts[name]
            values = [value + share * own for value, own in zip(values, column, strict=True)]
        return RewardScores(values, parts)
