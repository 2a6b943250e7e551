"""Running one stage through the journal and telling the narrator; the order of stages is elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.pipeline.journal import Journal, StageRecord
from accord.pipeline.narration import Narrator


@dataclass(frozen=True)
class StageRunner:
    """Stages of one run, with what all their fingerprints share."""

    journal: Journal
    narrator: Narrator
    shared: Mapping[str, Any] = field(default_factory=dict)
    """Seed, model, task: whatever every stage depends on."""

    def run(
        self,
        name: str,
        what: str,
        work: Callable[[Path], Mapping[str, Any]],
        *,
        tell: Callable[[StageRecord], Sequence[str]],
        settings: Any = None,
        after: tuple[str, ...] = (),
    ) -> bool:
        """Run one stage unless it is done; True where it was done before. `tell` says what it bought."""
        self.narrator.stage_begins(name, what)
        entered: list[Path] = []

        def enter(folder: Path) -> Mapping[str, Any]:
            entered.append(folder)
            return work(folder)

        record = self.journal.run(name, {**self.shared, "settings": settings}, enter, after=after)
        self.narrator.stage_ends(name, record.seconds, tell(record), was_done=not entered)
        return not entered


def has_checkpoint(folder: Path) -> bool:
    """Whether an interrupted training left something to go on from."""
    checkpoints = folder / "checkpoints"
    return checkpoints.is_dir() and any(checkpoints.iterdir())
