"""The workspace: a folder with runs and artifacts. Makes runs and finds them again; holds no database.

accord-workspace/
  runs/<id>/     one folder a run, see `runs`
  artifacts/     results kept by their content
"""

import difflib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import WorkspaceError
from accord.domain.files import write_text_atomic
from accord.pipeline.configuration import dump_config
from accord.pipeline.provenance import RunProvenance
from accord.pipeline.runs import Run, RunRecord, RunStatus

DEFAULT_FOLDER = "accord-workspace"
VARIABLE = "ACCORD_WORKSPACE"
LATEST = "latest"
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def workspace_root(option: Path | None, environment: Mapping[str, str]) -> Path:
    """The folder named by `--workspace`, else by ACCORD_WORKSPACE, else `accord-workspace` here."""
    return option or Path(environment.get(VARIABLE) or DEFAULT_FOLDER)


class Workspace:
    """The runs and artifacts below one folder. The folder is made with the first run, not before."""

    def __init__(self, root: Path, *, clock: Clock | None = None):
        self.root = root
        self.clock = clock or SystemClock()

    @property
    def artifacts(self) -> Path:
        """Where results are kept by their content."""
        return self.root / "artifacts"

    @property
    def runs_folder(self) -> Path:
        """Where the runs are, one folder each."""
        return self.root / "runs"

    def create_run(
        self,
        kind: str,
        *,
        config: Any,
        provenance: RunProvenance,
        name: str = "",
        command: Sequence[str] | None = None,
    ) -> Run:
        """A new locked run in state running, its config written; the caller finishes it.

        The id is `name`, or kind and time. A name that is taken raises WorkspaceError.
        """
        started = self.clock.now()
        folder = self._new_folder(name or f"{kind}-{started:%Y%m%d-%H%M%S}", is_given=bool(name))
        run = Run(folder, self.clock)
        run.acquire()
        record = RunRecord(
            id=folder.name,
            name=name,
            kind=kind,
            status=RunStatus.RUNNING,
            started=started,
            command=tuple(sys.argv if command is None else command),
            seed=provenance.seed,
            process_id=os.getpid(),
            provenance=provenance,
        )
        write_text_atomic(run.config_path, dump_config(config))
        run.write_record(record)
        return run

    def runs(self) -> list[Run]:
        """All runs, the latest first. A folder without run.json (a crash while it was made) is not one."""
        if not self.runs_folder.is_dir():
            return []
        runs = [Run(path.parent, self.clock) for path in self.runs_folder.glob("*/run.json")]
        return sorted(runs, key=lambda run: (run.record.started, run.id), reverse=True)

    def run(self, key: str) -> Run:
        """The run with this id, or the only one whose id begins so, or the newest for `latest`."""
        if RUN_NAME.fullmatch(key) and (self.runs_folder / key / "run.json").is_file():
            return Run(self.runs_folder / key, self.clock)
        runs = self.runs()
        if not runs:
            raise WorkspaceError(
                f"no runs in {self.root}; name another folder with --workspace or {VARIABLE}"
            )
        if key == LATEST:
            return runs[0]
        matching = [run for run in runs if run.id.startswith(key)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            ids = ", ".join(run.id for run in matching)
            raise WorkspaceError(f"'{key}' fits {len(matching)} runs: {ids}; give more letters")
        close = difflib.get_close_matches(key, [run.id for run in runs], n=1)
        hint = f"did you mean '{close[0]}'?" if close else "`accord runs` lists them"
        raise WorkspaceError(f"no run '{key}' in {self.root}; {hint}")

    def _new_folder(self, wanted: str, *, is_given: bool) -> Path:
        if not RUN_NAME.fullmatch(wanted) or wanted == LATEST:
            raise WorkspaceError(
                f"'{wanted}' cannot name a run: expected letters, digits, '.', '_' and '-', "
                f"at most 80, beginning with a letter or digit, and not '{LATEST}'"
            )
        number = 1
        while True:
            folder = self.runs_folder / (wanted if number == 1 else f"{wanted}-{number}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if is_given:
                    raise WorkspaceError(
                        f"run '{wanted}' exists in {self.root}; choose another name, or go on with --resume"
                    ) from None
                number += 1
            except OSError as error:
                raise WorkspaceError(
                    f"cannot make {folder}: {error.strerror}; name another folder with --workspace"
                ) from error
            else:
                return folder
