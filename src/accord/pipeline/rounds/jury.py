"""Those who judge in a round: what they are asked, who was paused, and whose votes on the candidate count.

Leaves out how each kind of judge is reached (`bench`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.domain.judgments import Judgment
from accord.pipeline.rounds.bench import Judged
from accord.pipeline.rounds.choosing import Question, key_of
from accord.pipeline.rounds.plan import ModelJudgesConfig
from accord.pipeline.rounds.state import LoopState


@dataclass(frozen=True)
class Jury:
    """The judges of one round."""

    loop: LoopState
    number: int

    @property
    def who(self) -> str:
        """What they are, in words."""
        kind = self.loop.config.judges.type
        return {"simulated": "SIMULATED annotators", "people": "people", "model": "a language model"}[kind]

    @property
    def asked(self) -> dict[str, str] | None:
        """What a written policy shows them beside the pairs: stages in which they judge depend on it."""
        return None if self.loop.grading is None else self.loop.grading.asked

    def project(self, stage: str) -> str:
        """Examinations are a project of their own: what is judged there is never trained on."""
        name = self.loop.config.name
        return name if stage == "judge" else f"{name} (held out)"

    def ask(
        self,
        questions: Sequence[Question],
        stage: str,
        *,
        overlap: int,
        folder: Path,
        cut: frozenset[tuple[str, str]],
        anchors: Sequence[Question] = (),
    ) -> Judged:
        """Have `questions` judged in a stage, `judge` or `examine`; see `Bench.ask`."""
        config = self.loop.config
        is_model = isinstance(config.judges, ModelJudgesConfig)
        checks = 0.0 if is_model else config.asking.known_share + config.asking.repeat_share
        n_asked = len(questions) + len(anchors)
        total = round((1 if is_model else overlap) * n_asked / max(1 - checks, 0.1))
        return self.loop.bench.ask(
            questions,
            project=self.project(stage),
            batch=f"r{self.number}-{stage}",
            lot=1 + 2 * self.number + (stage == "examine"),
            overlap=1 if is_model else overlap,
            folder=folder,
            cut=cut,
            paused=self.paused(),
            anchors=anchors,
            advance=lambda done: self.loop.narrator.progress(stage, done, total),
        )

    def paused(self) -> dict[str, str]:
        """Who was paused by any stage so far -> why."""
        paused: dict[str, str] = {}
        for number in range(1, self.number + 1):
            for stage in ("judge", "examine"):
                record = self.loop.runner.journal.record(f"r{number}-{stage}")
                paused |= {} if record is None else record.facts.get("paused", {})
        return paused

    def votes(self, examined: Sequence[Question], left_out: Collection[str]) -> list[Judgment]:
        """On this examination's questions, by those who were not left out of the snapshot."""
        asked = {one.key for one in examined}
        gone = self.loop.bench.voided()
        return [
            one
            for one in self.loop.bench.judgments(self.project("examine"))
            if one.annotator_id not in left_out
            and one.meta["judgment_id"] not in gone
            and key_of(one) in asked
        ]
