"""The exception tree; every error a user can cause is one of these.

    AccordError
    ├── ConfigError          a config file or --set value that does not fit
    ├── DataError            a data file, row or record that does not fit
    ├── ModelError           a model or tokenizer that is missing or does not fit
    ├── RewardError          a reward that raised, or returned the wrong thing
    ├── TrainingError        training cannot go on (non-finite loss, bad resume)
    ├── EvaluationError      a statistic that is not defined on what it was given
    ├── WorkspaceError       a run, artifact or lock that is missing or broken; a full disk
    ├── StoreError           the database refused: no such row, a step that is not allowed, a broken chain
    │   └── LeaseLost        an assignment that is not, or no longer, in the caller's hands
    ├── ServerError          a server refused a request, or did not answer
    │   └── ModelAway        a live model did not answer somebody who talks to it
    ├── MissingExtra         an optional dependency is not installed
    └── Interrupted          stopped by the user; what was done is saved
        └── Waiting          a run that goes on when people have judged; no process waits

A message says what is wrong, the value seen, what was expected and what to do.
"""


class AccordError(Exception):
    """Root of every error that Accord raises on purpose."""


class ConfigError(AccordError):
    """A config does not fit. `problems` holds every problem found, not only the first."""

    def __init__(self, source: str, problems: list[str]):
        self.source = source
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  - {problem}" for problem in problems))


class DataError(AccordError):
    """A data file, row or record does not fit. Names file and line where there is one."""

    def __init__(self, reason: str, *, path: str | None = None, line: int | None = None):
        self.reason = reason
        self.path = path
        self.line = line
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + reason)


class ModelError(AccordError):
    """A model, tokenizer or chat template is missing or does not fit."""


class RewardError(AccordError):
    """A reward function raised, or returned NaN or the wrong number of values."""


class TrainingError(AccordError):
    """Training cannot go on; the message says what was saved and how to go on."""


class EvaluationError(AccordError):
    """A statistic is not defined on what it was given."""


class WorkspaceError(AccordError):
    """A run, artifact or lock is missing, broken or held by another process."""


class StoreError(AccordError):
    """The database refused: no such row, a step that is not allowed, a broken chain."""


class LeaseLost(StoreError):
    """An assignment is not, or no longer, in the hands of the caller; what he sent was not taken."""


class ServerError(AccordError):
    """A server refused a request or did not answer; `status` is its answer's, 0 where there was none."""

    def __init__(self, message: str, *, status: int = 0):
        self.status = status
        super().__init__(message)


class ModelAway(ServerError):
    """A live model did not answer; a failed machine is nobody's mark, and what was said to it is kept."""


class MissingExtra(AccordError):
    """An optional dependency is not installed; the message is the command that installs it."""

    def __init__(self, what: str, extra: str, *, command: str | None = None):
        self.extra = extra
        fix = command if command is not None else f'pip install "accord[{extra}]"'
        super().__init__(f"{what} needs packages that are not installed. Install them with: {fix}")


class Interrupted(AccordError):
    """The user stopped the run; the message says what was saved and how to resume."""


class Waiting(Interrupted):
    """A run came to where people must judge; the message says where, and how to go on afterwards."""
