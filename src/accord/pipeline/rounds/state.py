"""What a loop holds while it runs: its models, its journal, its judges, and how a stage is entered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from accord.domain import Interrupted, Streams
from accord.domain.clock import Clock
from accord.models import (
    LanguageModel,
    RewardModel,
    load_model,
    load_reward_model,
    reward_model_from,
)
from accord.pipeline.journal import Journal, StageRecord
from accord.pipeline.material import Material
from accord.pipeline.narration import Narrator
from accord.pipeline.rounds.bench import Bench
from accord.pipeline.rounds.choosing import Question
from accord.pipeline.rounds.grading import Grading
from accord.pipeline.rounds.notifying import Notices
from accord.pipeline.rounds.plan import LoopConfig
from accord.pipeline.rounds.releasing import RoundRecord, read_ledger, write_ledger
from accord.pipeline.stage_running import StageRunner

PRICES = ("price_asked", "price_answered")
"""Settings of judges that no stage depends on."""


@dataclass
class LoopState:
    """A loop under way. Models share the weights that do not learn."""

    config: LoopConfig
    folder: Path
    narrator: Narrator
    clock: Clock
    streams: Streams
    model: LanguageModel
    """The one that trains."""
    tuned: LanguageModel
    """The fine-tuned model: what KL is measured from, and the first incumbent."""
    newest: LanguageModel
    """The last policy, released or not."""
    incumbent: LanguageModel
    """The last released policy."""
    material: Material
    bench: Bench
    notices: Notices
    grading: Grading | None = None
    """The written policy, where the config names one."""
    until: str = ""
    asked: dict[int, list[Question]] = field(default_factory=dict)
    """Questions of each round so far."""
    anchors: list[Question] = field(default_factory=list)
    """Pairs of the first round that are judged again in each later one."""
    anchors_cut: frozenset[tuple[str, str]] = frozenset()
    """Prompt id and text of the first round's answers that ran out of tokens."""
    reward_model: RewardModel | None = None
    """Of the last round that learned one."""

    @property
    def runner(self) -> StageRunner:
        """Runs stages; their fingerprints share seed, model, task and judges."""
        shared = {name: asdict(getattr(self.config, name)) for name in ("model", "task", "judges")}
        # What a judge costs changes nothing of what it says.
        shared["judges"] = {key: value for key, value in shared["judges"].items() if key not in PRICES}
        journal = Journal(self.folder / "stages")
        return StageRunner(journal, self.narrator, {"seed": self.config.seed, **shared})

    def stage(
        self,
        name: str,
        what: str,
        work: Callable[[Path], Mapping[str, Any]],
        *,
        settings: Any = None,
        after: tuple[str, ...] = (),
    ) -> bool:
        """Run one stage; True where it was done before. Raises `Interrupted` after the stage of `until`."""
        self.enter_ledger(None, state="running", stage=name)
        self.notices.deliver()
        was_done = self.runner.run(name, what, work, tell=told, settings=settings, after=after)
        if self.until and self.until in (name, name.partition("-")[2]):
            raise Interrupted(f"stopped after stage {name}, as asked; resume the run to go on")
        return was_done

    def set_model(self, source: LanguageModel) -> None:
        """Give the model that trains the weights of another of the same make."""
        weights = dict(source.network.named_parameters())
        with torch.no_grad():
            for name, weight in self.model.trainable_parameters():
                weight.copy_(weights[name])

    def read_model(self, folder: Path) -> None:
        """Give the model that trains the weights a stage saved."""
        self.set_model(load_model(folder))

    def new_reward_model(self, name: str = "") -> RewardModel:
        """A reward model that begins from the fine-tuned model; `name` seeds its head."""
        self.set_model(self.tuned)
        seed = self.streams.child("head", name).value
        settings = self.config.reward
        return reward_model_from(
            self.model,
            head_std=settings.head_std,
            seed=seed,
            trainable_layers=settings.trainable_layers,
            members=settings.members,
        )

    def read_reward_model(self, folder: Path) -> RewardModel:
        """The reward model a stage saved, frozen layers shared."""
        restored = self.new_reward_model()
        saved = load_reward_model(folder)
        restored.load_state_dict(saved.state_dict())
        restored.scoring = saved.scoring
        return restored

    def enter_ledger(self, records: Sequence[RoundRecord] | None, **state: Any) -> None:
        """Write `rounds.json`: finished rounds (None: as they stand there) and where the loop is."""
        kept, before = read_ledger(self.folder)
        facts = {"title": self.config.title, "name": self.config.name, "planned": self.config.rounds}
        merged = {**before, **facts, **state, "at": self.clock.now().isoformat()}
        write_ledger(self.folder, kept if records is None else records, state=merged)


def told(record: StageRecord) -> Sequence[str]:
    """What a stage says of itself."""
    return [str(line) for line in record.facts.get("lines", ())]
