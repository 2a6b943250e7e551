"""One pass from human judgment to a better model: tune, compare, learn the reward, optimize, examine, report.

Each stage is entered in the run's journal, so that a run that was stopped goes on where it
was. What the stages do is in their own rooms; here stands only their order and what passes
from one to the next.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from accord.domain import Streams
from accord.domain.files import write_text_atomic
from accord.evaluation import Checkpoint, Report, report_from_json, report_to_json
from accord.models import (
    LanguageModel,
    RewardModel,
    frozen_copy,
    load_model,
    load_reward_model,
    reward_model_from,
    save_model,
)
from accord.pipeline.answering import AnswerSet, Examiner, FrontierProbe, read_frontier
from accord.pipeline.comparing import Comparisons, collect_comparisons, file_comparisons
from accord.pipeline.journal import Journal
from accord.pipeline.material import gather_material
from accord.pipeline.narration import Narrator, SilentNarrator
from accord.pipeline.plan import SpineConfig
from accord.pipeline.reporting import Findings, build_report, stage_lines
from accord.pipeline.stage_running import StageRunner, has_checkpoint
from accord.rollouts import ModelReward
from accord.training import train_reward_model, train_rloo, train_sft


@dataclass
class Spine:
    """The models of a run as they come into being."""

    config: SpineConfig
    folder: Path
    narrator: Narrator = field(default_factory=SilentNarrator)

    def run(self, lineage: Callable[[float], Any]) -> Report:
        """Run every stage that is not done yet; `lineage(seconds)` describes the run for the report."""
        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        self.streams = Streams(self.config.seed)
        self.journal = Journal(self.folder / "stages")
        self.model = self._load_start()
        self.start = frozen_copy(self.model)
        self.material = gather_material(self.config, self.model.tokenizer)
        self._tune()
        self.reference = frozen_copy(self.model)
        self.comparisons = self._compare()
        self.reward_model = self._learn_reward()
        self._optimize()
        return self._examine(lineage)

    def _load_start(self) -> LanguageModel:
        settings = self.config.model
        return load_model(settings.name, lora=settings.lora, trainable_layers=settings.trainable_layers)

    def _stage(
        self,
        name: str,
        what: str,
        work: Callable[[Path], Mapping[str, Any]],
        *,
        settings: Any = None,
        after: tuple[str, ...] = (),
    ) -> bool:
        """Run one stage through the journal and tell the narrator; says whether it was done before."""
        model, task = asdict(self.config.model), asdict(self.config.task)
        shared = {"seed": self.config.seed, "model": model, "task": task}
        runner = StageRunner(self.journal, self.narrator, shared)
        return runner.run(name, what, work, tell=stage_lines, settings=settings, after=after)

    def _tune(self) -> None:
        """Supervised fine-tuning in place; without demonstrations the model stays as it came."""
        demonstrations = list(self.material.demonstrations)

        def work(folder: Path) -> Mapping[str, Any]:
            if not demonstrations:
                return {"demonstrations": 0}
            result = train_sft(
                self.model,
                demonstrations,
                self.config.sft,
                run_dir=folder,
                observers=self.narrator.observers(),
                resume=has_checkpoint(folder),
                streams=self.streams.child("sft"),
            )
            return {
                "demonstrations": len(demonstrations),
                "steps": result.steps,
                "truncated_rows": result.truncated_rows,
                "metrics": dict(result.metrics),
            }

        what = (
            f"imitate {len(demonstrations)} demonstrations"
            if demonstrations
            else "no demonstrations, nothing to do"
        )
        was_done = self._stage("sft", what, work, settings=asdict(self.config.sft))
        if demonstrations and (was_done or self.model.is_adapter):
            self.model = self._continued(self.journal.path("sft") / "model")

    def _compare(self) -> Comparisons:
        """Comparisons of the files, or of fresh answers by the simulated panel."""

        def work(folder: Path) -> Mapping[str, Any]:
            if self.material.preferences is not None:
                comparisons = file_comparisons(self.material)
            else:
                comparisons = collect_comparisons(
                    self.model,
                    self.material,
                    self.config.panel,
                    self.config.policy.sampling,
                    streams=self.streams.child("compare"),
                    report_progress=lambda done, total: self.narrator.progress("compare", done, total),
                )
            comparisons.write(folder)
            return comparisons.facts()

        what = (
            f"SIMULATED annotators, {self.config.panel.votes_per_pair} a pair, compare answers to "
            f"{len(self.material.compared) + len(self.material.heldout)} prompts"
            if self.material.preferences is None
            else "read people's comparisons"
        )
        self._stage("compare", what, work, settings=asdict(self.config.panel), after=("sft",))
        return Comparisons.read(self.journal.path("compare"))

    def _learn_reward(self) -> RewardModel:
        trained: list[RewardModel] = []

        def work(folder: Path) -> Mapping[str, Any]:
            result = train_reward_model(
                self.model,
                self.comparisons.train,
                self.config.reward,
                eval_preferences=self.comparisons.heldout,
                normalization_demonstrations=list(self.material.demonstrations),
                run_dir=folder,
                observers=self.narrator.observers(),
                resume=has_checkpoint(folder),
                streams=self.streams.child("reward"),
            )
            trained.append(result.reward_model)
            return {
                "pairs": len(self.comparisons.train),
                "heldout_pairs": len(self.comparisons.heldout),
                "steps": result.steps,
                "metrics": dict(result.metrics),
                "warnings": list(result.warnings),
            }

        what = f"learn what is preferred from {len(self.comparisons.train)} pairs"
        self._stage("reward", what, work, settings=asdict(self.config.reward), after=("compare",))
        if trained:
            return trained[0]
        settings = self.config.reward
        restored = reward_model_from(
            self.model, trainable_layers=settings.trainable_layers, members=settings.members
        )
        saved = load_reward_model(self.journal.path("reward") / "model")
        restored.load_state_dict(saved.state_dict())
        restored.scoring = saved.scoring
        return restored

    def _optimize(self) -> None:
        """Optimize the policy in place against the reward model, examined on the way."""

        def work(folder: Path) -> Mapping[str, Any]:
            steps, settings = self.config.policy.optimization.steps or 1, self.config.evaluation
            observers = list(self.narrator.observers())
            if self.material.taste is not None:
                probe = FrontierProbe(
                    self.model,
                    self._examiner(),
                    self.material.heldout[: settings.frontier_prompts],
                    every=math.ceil(steps / (settings.frontier_points + 1)),
                    path=folder / "frontier.jsonl",
                )
                observers.append(probe)
            result = train_rloo(
                self.model,
                self.material.policy_prompts,
                ModelReward(self.reward_model),
                self.config.policy,
                run_dir=folder,
                observers=observers,
                resume=has_checkpoint(folder),
                streams=self.streams.child("policy"),
            )
            return {"steps": result.steps, "metrics": dict(result.metrics)}

        what = f"RLOO on {len(self.material.policy_prompts)} prompts against the reward model"
        if self._stage("policy", what, work, settings=asdict(self.config.policy), after=("reward",)):
            self.model = self._continued(self.journal.path("policy") / "model")

    def _examine(self, lineage: Callable[[float], Any]) -> Report:
        """Ask start, tuned model and policy the held-out prompts, and write the report."""

        def work(folder: Path) -> Mapping[str, Any]:
            examiner = self._examiner()
            answers: list[AnswerSet] = []
            models = {"start": self.start, "SFT": self.reference, "policy": self.model}
            if not self.material.demonstrations:
                models.pop("SFT")
            for number, (name, model) in enumerate(models.items()):
                self.narrator.progress("evaluate", number, len(models))
                answers.append(examiner.examine(name, model, self.material.heldout))
            self.narrator.progress("evaluate", len(models), len(models))
            records = [record for name in self.ORDER if (record := self.journal.record(name)) is not None]
            findings = Findings(
                config=self.config,
                material=self.material,
                comparisons=self.comparisons,
                reward_model=self.reward_model,
                answers=answers,
                frontier=self._frontier(answers),
                stages=records,
                stages_folder=self.journal.folder,
            )
            report = replace(
                build_report(findings), lineage=lineage(sum(record.seconds for record in records))
            )
            save_model(self.model, self.folder / "model")
            write_text_atomic(folder / "report.json", report_to_json(report))
            return {"cards": [asdict(card) for card in report.cards]}

        what = f"{len(self.material.heldout)} held-out prompts, every model"
        self._stage(
            "evaluate", what, work, settings=asdict(self.config.evaluation), after=("policy", "compare")
        )
        path = self.journal.path("evaluate") / "report.json"
        return report_from_json(path.read_text(encoding="utf-8"))

    def _frontier(self, answers: Sequence[AnswerSet]) -> list[Checkpoint]:
        """The policy on its way, from the reference to the last step, on the same prompts; none if untold."""
        if self.material.taste is None:
            return []
        policy = self.journal.record("policy")
        last = int(policy.facts["steps"]) if policy is not None else 0
        between = read_frontier(self.journal.path("policy") / "frontier.jsonl")
        *_, first, final = answers
        n_prompts = self.config.evaluation.frontier_prompts
        return [
            first.checkpoint(0, n_prompts=n_prompts),
            *between,
            final.checkpoint(last, n_prompts=n_prompts),
        ]

    ORDER = ("sft", "compare", "reward", "policy", "evaluate")

    def _examiner(self) -> Examiner:
        return Examiner(
            reward_model=self.reward_model,
            reference=self.reference,
            sampling=self.config.evaluation.sampling,
            streams=self.streams.child("evaluate"),
            taste=self.material.taste,
        )

    def _continued(self, folder: Path) -> LanguageModel:
        """The model a finished stage saved, ready for the next: frozen weights stay shared."""
        settings = self.config.model
        if self.model.is_adapter:
            return load_model(folder, lora=settings.lora, trainable_layers=settings.trainable_layers)
        saved = dict(load_model(folder).network.named_parameters())
        with torch.no_grad():
            for name, weight in self.model.trainable_parameters():
                weight.copy_(saved[name])
        return self.model


def run_spine(
    config: SpineConfig,
    folder: Path,
    *,
    narrator: Narrator | None = None,
    lineage: Callable[[float], Any],
) -> Report:
    """Run (or finish) one pass in `folder`; see `Spine`."""
    return Spine(config, folder, narrator or SilentNarrator()).run(lineage)
