"""Reading records: the file is found, its format recognized, its rows read, bad rows gathered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar, cast

from accord.domain import (
    Comparison,
    DataError,
    Demonstration,
    Judgment,
    Preference,
    Prompt,
    Ranking,
    Rating,
    StepLabels,
    Verdict,
)
from accord.store.conversion import as_chat_record, prompts_of
from accord.store.exchange.format import FileContext, Format, Record
from accord.store.exchange.registry import detect_format
from accord.store.rows import BadRow, Row
from accord.store.sources import RowSource, find_sources
from accord.store.votes import judgments_from_ranking, preferences_from_judgments

SAMPLE_ROWS = 20
"""Rows looked at to recognize a format."""
SHOWN_BAD_ROWS = 10

Paths = str | Path | Sequence[str | Path]
Kind = TypeVar("Kind", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile:
    """What a file, or a split of a folder, held."""

    path: str
    format: Format
    """The format it was read as."""
    records: list[Record]
    """In file order."""
    rows: int
    """Rows seen, bad ones included. A row may hold several records."""
    skipped: list[BadRow] = field(default_factory=list)
    """Rows left out because they could not be read."""

    @property
    def kind(self) -> type[Record]:
        """The class of every record."""
        return self.format.kind


def read_records(
    path: str | Path,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> RecordFile:
    """Read a file, a folder with splits or a hub id.

    The format is recognized by its fields unless `format` names it. Bad rows raise one
    DataError that counts them all and shows the first ten; with `skip_bad` they are
    left out and listed in `skipped`. `as_chat` turns plain-text prompts, which TRL
    continues as they stand, into user turns for the chat template.
    """
    sources = find_sources(path, split=split)
    form = _recognize(sources, str(path), format)
    records: list[Record] = []
    bad: list[BadRow] = []
    rows = 0
    for source in sources:
        rows += _read_source(source, form, records, bad)
    if bad and not (skip_bad and records):
        raise _bad_rows_error(bad, rows, form=form)
    if as_chat:
        records = [as_chat_record(record) for record in records]
    return RecordFile(path=str(path), format=form, records=records, rows=rows, skipped=bad)


def _recognize(sources: list[RowSource], path: str, name: str | None) -> Format:
    bad: list[BadRow] = []
    samples = []
    for row in islice((row for source in sources for row in source.rows()), SAMPLE_ROWS):
        if isinstance(row, Row):
            samples.append(row.cells)
        else:
            bad.append(row)
    if not samples and bad:
        raise _bad_rows_error(bad, len(bad))
    if not samples:
        raise DataError("the file is empty; expected one record a row", path=path)
    try:
        return detect_format(samples, name=name)
    except DataError as error:
        raise DataError(error.reason, path=path) from error


def _read_source(source: RowSource, form: Format, records: list[Record], bad: list[BadRow]) -> int:
    """Append what one source holds to `records` and `bad`; the number of rows seen."""
    context = FileContext(
        path=source.path,
        name=source.name,
        is_text_only=source.is_text_only,
        joined=None if form.prepare is None else form.prepare(source.path),
    )
    read_row = form.read_row
    rows = 0
    for row in source.rows():
        rows += 1
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        try:
            records.extend(read_row(row.cells, context))
        except DataError as error:
            bad.append(BadRow(str(source.path), row.line, error.reason))
    return rows


def _bad_rows_error(bad: list[BadRow], rows: int, *, form: Format | None = None) -> DataError:
    first, *others = bad
    if len(bad) == rows and form is not None:
        reason = f"{first.reason}\nNone of the {rows} rows can be read as {form.name!r} ({form.summary})."
        return DataError(reason, path=first.path, line=first.line)
    lines = [first.reason]
    lines += [f"  {row.path}:{row.line}: {row.reason}" for row in others[: SHOWN_BAD_ROWS - 1]]
    if len(bad) > SHOWN_BAD_ROWS:
        lines.append(f"  and {len(bad) - SHOWN_BAD_ROWS} more")
    advice = "" if len(bad) == rows else " Mend them, or leave them out with --skip-bad."
    lines.append(f"{len(bad)} of {rows} rows cannot be used.{advice}")
    return DataError("\n".join(lines), path=first.path, line=first.line)


def _read_many(
    paths: Paths,
    wanted: tuple[type[Record], ...],
    *,
    format: str | None,
    skip_bad: bool,
    split: str | None,
    as_chat: bool,
) -> list[RecordFile]:
    """Files whose records are of a wanted kind; any other kind raises."""
    each = [paths] if isinstance(paths, str | Path) else list(paths)
    if not each:
        raise DataError("no file was named; expected at least one path")
    files = [
        read_records(path, format=format, skip_bad=skip_bad, split=split, as_chat=as_chat) for path in each
    ]
    for file in files:
        if file.kind not in wanted:
            names = " or ".join(kind.__name__.lower() for kind in wanted)
            raise DataError(
                f"the file holds {file.kind.__name__.lower()} records ({file.format.name}), "
                f"expected {names} records",
                path=file.path,
            )
    return files


def _read_kind(kind: type[Kind], files: Iterable[RecordFile]) -> list[Kind]:
    return [cast(Kind, record) for file in files for record in file.records]


def read_preferences(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
    weighting: Literal["one", "votes"] = "one",
) -> list[Preference]:
    """Preferences from preference, judgment or ranking files, file by file in order.

    Judgments, and the pairs of rankings, become one preference for each pair of
    answers by vote share (see `preferences_from_judgments`); all other weights are
    as in the file, 1 where it has none. Votes whose texts are missing raise.
    """
    files = _read_many(
        paths,
        (Preference, Judgment, Ranking),
        format=format,
        skip_bad=skip_bad,
        split=split,
        as_chat=as_chat,
    )
    preferences: list[Preference] = []
    for file in files:
        if not file.format.has_texts:
            raise DataError(f"preferences need the texts of both answers. {file.format.note}", path=file.path)
        preferences += preferences_of(file, weighting=weighting)
    return preferences


def preferences_of(file: RecordFile, *, weighting: Literal["one", "votes"] = "one") -> list[Preference]:
    """The preferences in a file of preferences, judgments or rankings."""
    if file.kind is Preference:
        return _read_kind(Preference, [file])
    source = "/".join(Path(file.path).parts[-2:])
    if file.kind is Judgment:
        judgments = _read_kind(Judgment, [file])
    else:
        rankings = _read_kind(Ranking, [file])
        judgments = [judgment for ranking in rankings for judgment in judgments_from_ranking(ranking)]
    return preferences_from_judgments(judgments, source=source, weighting=weighting)


def read_prompts(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> list[Prompt]:
    """The different prompts of any file that has prompts, in order of first appearance."""
    kinds = (Prompt, Demonstration, Comparison, Preference, Judgment, Ranking, Rating, StepLabels, Verdict)
    files = _read_many(paths, kinds, format=format, skip_bad=skip_bad, split=split, as_chat=as_chat)
    return prompts_of([record for file in files for record in file.records])


def read_demonstrations(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> list[Demonstration]:
    """Demonstrations, file by file in order."""
    files = _read_many(
        paths, (Demonstration,), format=format, skip_bad=skip_bad, split=split, as_chat=as_chat
    )
    return _read_kind(Demonstration, files)


def read_judgments(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> list[Judgment]:
    """Judgments, one an annotator and comparison. Texts may be missing where the format says so."""
    files = _read_many(paths, (Judgment,), format=format, skip_bad=skip_bad, split=split, as_chat=as_chat)
    return _read_kind(Judgment, files)


def read_rankings(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> list[Ranking]:
    """Rankings, file by file in order."""
    files = _read_many(paths, (Ranking,), format=format, skip_bad=skip_bad, split=split, as_chat=as_chat)
    return _read_kind(Ranking, files)


def read_ratings(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> list[Rating]:
    """Ratings, file by file in order. Texts may be missing where the format says so."""
    files = _read_many(paths, (Rating,), format=format, skip_bad=skip_bad, split=split, as_chat=as_chat)
    return _read_kind(Rating, files)


def read_verdicts(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> list[Verdict]:
    """Verdicts, file by file in order."""
    files = _read_many(paths, (Verdict,), format=format, skip_bad=skip_bad, split=split, as_chat=as_chat)
    return _read_kind(Verdict, files)


def read_step_labels(
    paths: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    as_chat: bool = False,
) -> list[StepLabels]:
    """Answers in labeled steps, file by file in order."""
    files = _read_many(paths, (StepLabels,), format=format, skip_bad=skip_bad, split=split, as_chat=as_chat)
    return _read_kind(StepLabels, files)
