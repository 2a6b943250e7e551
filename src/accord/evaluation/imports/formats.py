"""The formats there are, and reading files of one of them; a file of another is told apart.

Leaves out what each format means (one file each).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.domain.errors import ConfigError, DataError
from accord.evaluation.imports import alpaca_eval, garak, inspect_log, lm_eval, promptfoo, run_file
from accord.evaluation.imports.log_file import LogFile, ReadLimits, read_log
from accord.evaluation.imports.record import ImportedRun


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one tool's logs are recognized and read."""

    name: str
    wanted: str
    """What its files look like, in words."""
    is_of: Callable[[LogFile], bool]
    read: Callable[[Sequence[LogFile], str | None], list[ImportedRun]]


FORMATS = {
    one.name: one
    for one in (
        Format(name=lm_eval.TOOL, wanted=lm_eval.WANTED, is_of=lm_eval.is_lm_eval, read=lm_eval.read_lm_eval),
        Format(
            name=inspect_log.TOOL,
            wanted=inspect_log.WANTED,
            is_of=inspect_log.is_inspect,
            read=inspect_log.read_inspect,
        ),
        Format(name=garak.TOOL, wanted=garak.WANTED, is_of=garak.is_garak, read=garak.read_garak),
        Format(
            name=promptfoo.TOOL,
            wanted=promptfoo.WANTED,
            is_of=promptfoo.is_promptfoo,
            read=promptfoo.read_promptfoo,
        ),
        Format(
            name=alpaca_eval.TOOL,
            wanted=alpaca_eval.WANTED,
            is_of=alpaca_eval.is_alpaca_eval,
            read=alpaca_eval.read_alpaca_eval,
        ),
    )
}


def import_logs(
    name: str, paths: Sequence[Path], *, cluster_field: str | None = None, limits: ReadLimits | None = None
) -> list[ImportedRun]:
    """The runs that files of one format hold. A file of another format raises and says which it is."""
    chosen = FORMATS.get(name)
    if chosen is None:
        raise ConfigError("format", [f"is {name!r}; expected one of {', '.join(FORMATS)}"])
    logs = [read_log(path, limits) for path in paths]
    for log in logs:
        if not chosen.is_of(log):
            raise _wrong_format(log, chosen)
    if name == inspect_log.TOOL:
        return inspect_log.read_inspect(logs, cluster_field, limits)
    return chosen.read(logs, cluster_field)


def read_runs(
    path: Path, name: str | None = None, *, cluster_field: str | None = None, limits: ReadLimits | None = None
) -> list[ImportedRun]:
    """Imported runs from the file that `accord evaluate import --out` wrote, or a log itself.

    `name` says of which format a log is; without it the format is recognized.
    """
    if name is not None:
        return import_logs(name, [path], cluster_field=cluster_field, limits=limits)
    log = read_log(path, limits)
    if run_file.is_run_file(log):
        return run_file.read_run_file(log)
    of = next((one for one in FORMATS.values() if one.is_of(log)), None)
    if of is None and garak.is_hit_log(log):
        raise log.refuse(garak.HIT_LOG)
    if of is None:
        raise log.refuse(f"is neither an imported run nor a log of {', '.join(FORMATS)}")
    return import_logs(of.name, [path], cluster_field=cluster_field, limits=limits)


def _wrong_format(log: LogFile, chosen: Format) -> DataError:
    if run_file.is_run_file(log):
        return log.refuse("is imported already; compare it with `accord evaluate paired`")
    if garak.is_hit_log(log):
        return log.refuse(garak.HIT_LOG)
    other = next((one.name for one in FORMATS.values() if one.is_of(log)), None)
    hint = f"it looks like {other}: `accord evaluate import {other}`" if other else "no known format fits"
    return log.refuse(f"is no log of {chosen.name} ({hint}); expected {chosen.wanted}")
