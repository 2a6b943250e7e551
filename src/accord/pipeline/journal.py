"""Which stages of a run are done: each has a folder, a fingerprint of its inputs, and a record written last.

A stage whose record matches is skipped; one that was interrupted is entered again in its
own folder, where a training stage finds its checkpoint. Holds no knowledge of any stage.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accord.domain.errors import WorkspaceError
from accord.domain.files import write_text_atomic
from accord.domain.messages import content_hash

RECORD = "stage.json"


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What a finished stage leaves behind beside its files."""

    name: str
    fingerprint: str
    """Hash of its settings and of the fingerprints of the stages it read."""
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    """What it measured, as JSON."""


class Journal:
    """The stages of one run, in `folder/<name>/`."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic):
        self.folder = folder
        self._clock = clock

    def path(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name

    def record(self, name: str) -> StageRecord | None:
        """The record of a finished stage, None while it is not finished."""
        path = self.path(name) / RECORD
        if not path.exists():
            return None
        try:
            return StageRecord(**json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, TypeError) as error:
            raise WorkspaceError(
                f"{path} is not a stage record ({error}). Delete it to run the stage again."
            ) from error

    def run(
        self,
        name: str,
        settings: Mapping[str, Any],
        work: Callable[[Path], Mapping[str, Any]],
        *,
        after: tuple[str, ...] = (),
    ) -> StageRecord:
        """Run `work(folder)` unless it is done; what it returns (JSON) becomes the record's facts.

        `settings` and the fingerprints of the stages in `after` make the fingerprint. A
        folder that an interrupted run left is kept, so that `work` can go on in it; one
        that belongs to other settings is emptied first.
        """
        fingerprint = content_hash(
            [name, _plain(settings), [self._fingerprint(earlier) for earlier in after]]
        )
        done = self.record(name)
        if done is not None and done.fingerprint == fingerprint:
            return done
        folder = self.path(name)
        claim = folder / "fingerprint"
        if folder.exists() and (not claim.exists() or claim.read_text(encoding="utf-8") != fingerprint):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(claim, fingerprint)
        started = self._clock()
        facts = work(folder)
        record = StageRecord(
            name=name,
            fingerprint=fingerprint,
            seconds=self._clock() - started,
            facts=json.loads(json.dumps(facts, default=str)),
        )
        write_text_atomic(folder / RECORD, json.dumps(asdict(record), indent=2))
        return record

    def _fingerprint(self, name: str) -> str:
        record = self.record(name)
        if record is None:
            raise WorkspaceError(f"stage {name!r} is not finished, so nothing can build on it. Run it first.")
        return record.fingerprint


def _plain(value: Any) -> Any:
    """`value` as JSON gives it back, whole floats as integers: 2 and 2.0 are the same setting."""
    return _whole(json.loads(json.dumps(value, default=str, sort_keys=True)))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
