"""One run: its record, its folder, its lock. `workspace` finds and makes runs; nothing here trains."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from accord.domain.clock import Clock
from accord.domain.errors import Interrupted, WorkspaceError
from accord.domain.files import write_text_atomic
from accord.pipeline.provenance import RunProvenance


class RunStatus(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_final(self) -> bool:
        """True when no process works on the run any more."""
        return self is not RunStatus.RUNNING

    @property
    def is_resumable(self) -> bool:
        """True when the run stopped before its end."""
        return self in (RunStatus.FAILED, RunStatus.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The one number a run is remembered by, with its interval where it has one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.name} {self.value:.3g}{interval}"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What `run.json` holds."""

    id: str
    name: str
    """Given by the user; empty when the id was made from kind and time."""
    kind: str
    """The command that made it: sft, reward, rloo, quickstart, ..."""
    status: RunStatus
    started: datetime
    finished: datetime | None = None
    command: tuple[str, ...] = ()
    """The command line, to run it again."""
    seed: int = 0
    process_id: int = 0
    message: str = ""
    """Why it failed or stopped."""
    headline: Headline | None = None
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """Named results: a path below the run folder, or a reference into the artifact store."""
    provenance: RunProvenance

    def duration(self, now: datetime) -> timedelta:
        """From start to finish, or to `now` while it runs."""
        return (self.finished or now) - self.started


RECORD = TypeAdapter(RunRecord)


class Run:
    """A run folder. Only the process that made or reopened the run holds its lock and may write.

        config.toml  run.json  metrics.jsonl  checkpoints/  model/  report.html

    Used as a context manager it records how the block ended: done, failed or interrupted.
    """

    def __init__(self, folder: Path, clock: Clock):
        self.folder = folder
        self._clock = clock
        self._lock: IO[str] | None = None

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def config_path(self) -> Path:
        """The config as it was run, every default written out."""
        return self.folder / "config.toml"

    @property
    def metrics_path(self) -> Path:
        """One JSON object a logged step."""
        return self.folder / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where training saves what `--resume` needs."""
        return self.folder / "checkpoints"

    @property
    def model_folder(self) -> Path:
        """The trained model, as a plain folder."""
        return self.folder / "model"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained page."""
        return self.folder / "report.html"

    @property
    def record(self) -> RunRecord:
        """What `run.json` says; a run whose process is gone without a word counts as interrupted."""
        record = self._stored_record()
        if record.status is RunStatus.RUNNING and not self.is_locked:
            message = f"process {record.process_id} ended without finishing the run"
            return replace(record, status=RunStatus.INTERRUPTED, message=record.message or message)
        return record

    @property
    def is_locked(self) -> bool:
        """True while a living process, this one included, works on the run."""
        if self._lock is not None:
            return True
        path = self.folder / "lock"
        if not path.exists():
            return False
        with path.open("r", encoding="utf-8") as stream:
            return not _try_lock(stream, fcntl.LOCK_SH)

    def acquire(self) -> None:
        """Take the run's lock, or raise WorkspaceError naming the process that has it.

        The system drops the lock when the process ends, however it ends, so a stale one
        cannot stay behind. Does not guard across machines that share a network folder.
        """
        stream = (self.folder / "lock").open("a+", encoding="utf-8")
        if not _try_lock(stream, fcntl.LOCK_EX):
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            stream.close()
            raise WorkspaceError(
                f"run '{self.id}' is in use by process {holder}; "
                f"wait for it, stop it, or start a run of another name"
            )
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        self._lock = stream

    def release(self) -> None:
        """Give the lock back; a run that is not locked stays as it is."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def reopen(self) -> None:
        """Take up a run that stopped early: lock it and set it to running again."""
        self.acquire()
        self.update(status=RunStatus.RUNNING, finished=None, message="", process_id=os.getpid())

    def update(self, **changes: Any) -> RunRecord:
        """Replace fields of the record, atomically; returns what is stored now."""
        record = replace(self._stored_record(), **changes)
        self.write_record(record)
        return record

    def write_record(self, record: RunRecord) -> None:
        """Store the record; readers see the old one or the new one, whole."""
        if self._lock is None:
            raise WorkspaceError(f"run '{self.id}' is not open for writing; make or reopen it first")
        write_text_atomic(self.folder / "run.json", RECORD.dump_json(record, indent=2).decode() + "\n")

    def add_artifact(self, name: str, place: Path | str) -> None:
        """Name a result: a file or folder below the run folder, or an artifact reference."""
        if isinstance(place, Path):
            place = str(place.relative_to(self.folder)) if place.is_relative_to(self.folder) else str(place)
        self.update(artifacts={**self._stored_record().artifacts, name: place})

    def finish(self, headline: Headline | None = None) -> None:
        """Mark the run done and release it."""
        kept = headline if headline is not None else self._stored_record().headline
        self._close(RunStatus.DONE, message="", headline=kept)

    def fail(self, message: str) -> None:
        """Mark the run failed, with the reason, and release it."""
        self._close(RunStatus.FAILED, message=message)

    def interrupt(self, message: str) -> None:
        """Mark the run stopped by the user and release it; it can be resumed."""
        self._close(RunStatus.INTERRUPTED, message=message)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lock is None:
            return
        if error is None:
            self.finish()
            return
        # What went wrong first is what the user must see: a disk too full for run.json comes second.
        with contextlib.suppress(WorkspaceError):
            if isinstance(error, KeyboardInterrupt | Interrupted):
                self.interrupt(str(error) or "stopped by the user")
            else:
                self.fail(f"{type(error).__name__}: {error}")
        self.release()

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The logged rows of every stage, each with `stage` (empty for the run's own).

        Stages come in the order they ended. A line that was cut off while it was written ends its file.
        """
        for path in sorted(self.folder.rglob("metrics.jsonl"), key=lambda path: path.stat().st_mtime_ns):
            stage = path.parent.relative_to(self.folder).as_posix()
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    break
                yield {"stage": "" if stage == "." else stage, **row}

    def _stored_record(self) -> RunRecord:
        path = self.folder / "run.json"
        try:
            return RECORD.validate_json(path.read_bytes())
        except FileNotFoundError:
            raise WorkspaceError(f"{self.folder} is not a run: it has no run.json") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise WorkspaceError(
                f"{path} is broken at {place}: {first['msg']}; mend it or move the folder {self.folder} away"
            ) from error

    def _close(self, status: RunStatus, **changes: Any) -> None:
        self.update(status=status, finished=self._clock.now(), **changes)
        self.release()


def _try_lock(stream: IO[str], operation: int) -> bool:
    try:
        fcntl.flock(stream, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
