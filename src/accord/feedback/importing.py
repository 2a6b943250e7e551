"""Items from a file, read as a stream: bad rows are told by line and left out, and a broken import goes on.

How far an import has come is written down with the project after every batch, under the file's hash. A file
that comes again is taken up behind the last batch; of the batch in which it broke off, rows whose content is
there already are left out.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from accord.domain.errors import DataError
from accord.feedback.item_rows import usual_row
from accord.feedback.items import content_of
from accord.feedback.project_file import Row, write_items
from accord.feedback.work import newest_definition
from accord.store.database.engine import Database
from accord.store.database.projects import NewItem, Projects, hash_of
from accord.store.database.tables import item
from accord.store.rows import BadRow, iterate_rows

BATCH = 1000
"""Rows written between two notes of how far an import has come."""
MOST_ERRORS = 100
"""Bad rows that are told; all are counted."""
MOST_TEXT = 300
"""Characters of what is wrong with a row."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an import has come."""

    id: str
    """Names the import: the beginning of the file's hash."""
    n_rows: int = 0
    """Rows read."""
    n_items: int = 0
    """Rows that are items now."""
    n_refused: int = 0
    """Rows that are not."""
    errors: tuple[dict[str, Any], ...] = ()
    """`line` and `detail` of rows refused, the first hundred."""
    has_begun: bool = False
    """Whether rows were written, or may have been."""
    is_done: bool = False
    failure: str = ""
    """Why the file could not be read further."""


@dataclass
class _Batch:
    rows: list[Row] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    n_rows: int = 0


def import_id(path: Path) -> str:
    """What an import of this file is called: 24 hexadecimal digits of its content's hash."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()[:24]


def progress_of(database: Database, project_id: str, name: str) -> Progress | None:
    """How far an import had come when it was last written down; nothing where there was none."""
    with database.read() as connection:
        row = newest_definition(connection, project_id, f"import:{name}")
    if row is None:
        return None
    return Progress(id=name, **{**row.body, "errors": tuple(row.body["errors"])})


def begin_import(projects: Projects, project_id: str, name: str) -> Progress:
    """Write down that an import is wanted; how far it has come where it had begun before."""
    known = progress_of(projects.database, project_id, name)
    if known is None:
        _note(projects, project_id, Progress(id=name))
    return known or Progress(id=name)


def import_file(
    projects: Projects,
    project_id: str,
    path: Path,
    *,
    shape: str = "auto",
    overlap: int = 1,
    batch_rows: int = BATCH,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Take a file's rows as items, from where an earlier try ended; a file that is in is left as it is."""
    name = import_id(path)
    progress = replace(begin_import(projects, project_id, name), failure="")
    if progress.is_done:
        return progress
    may_be_in = progress.has_begun
    if not may_be_in:
        progress = replace(progress, has_begun=True)
        _note(projects, project_id, progress)
    try:
        for batch in _batches(path, shape, overlap, skip=progress.n_rows, size=batch_rows):
            # The first batch may be in already, whole or in part, from a try that broke off before its note.
            rows = _absent(projects, project_id, batch.rows) if may_be_in else batch.rows
            may_be_in = False
            write_items(projects, project_id, rows)
            progress = replace(
                progress,
                n_rows=progress.n_rows + batch.n_rows,
                n_items=progress.n_items + len(batch.rows),
                n_refused=progress.n_refused + len(batch.errors),
                errors=(*progress.errors, *batch.errors)[:MOST_ERRORS],
            )
            _note(projects, project_id, progress)
            tell(progress)
        progress = replace(progress, is_done=True)
    except DataError as error:
        progress = replace(progress, failure=str(error))
    _note(projects, project_id, progress)
    return progress


def _batches(path: Path, shape: str, overlap: int, *, skip: int, size: int) -> Iterator[_Batch]:
    batch, n_seen = _Batch(), 0
    for row in iterate_rows(path):
        n_seen += 1
        if n_seen <= skip:
            continue
        batch.n_rows += 1
        if isinstance(row, BadRow):
            batch.errors.append({"line": row.line, "detail": row.reason[:MOST_TEXT]})
        else:
            try:
                batch.rows.append(_row(row.cells, shape, overlap))
            except (DataError, ValueError, TypeError, KeyError, RecursionError) as error:
                batch.errors.append({"line": row.line, "detail": str(error)[:MOST_TEXT]})
        if batch.n_rows == size:
            yield batch
            batch = _Batch()
    if batch.n_rows:
        yield batch


def _row(cells: dict[str, Any], shape: str, overlap: int) -> Row:
    row = usual_row(cells, shape)
    content, known = content_of(row), row.get("gold")
    if known is not None and (not isinstance(known, dict) or not known):
        raise DataError(f"gold is {known!r}; expected answers by question")
    hash_of(content)  # what cannot be stored as JSON is refused here, by its line
    made = NewItem(content=content, n_candidates=len(content["candidates"]), overlap=overlap)
    return Row(item=made, gold=known, explanation=str(row.get("explanation", "")))


def _absent(projects: Projects, project_id: str, rows: list[Row]) -> list[Row]:
    hashes = {hash_of(row.item.content) for row in rows}
    with projects.database.read() as connection:
        found = connection.execute(
            select(item.c.content_hash).where(
                item.c.project_id == project_id, item.c.content_hash.in_(hashes)
            )
        ).scalars()
        present = set(found)
    return [row for row in rows if hash_of(row.item.content) not in present]


def _note(projects: Projects, project_id: str, progress: Progress) -> None:
    body = {
        "n_rows": progress.n_rows,
        "n_items": progress.n_items,
        "n_refused": progress.n_refused,
        "errors": list(progress.errors),
        "has_begun": progress.has_begun,
        "is_done": progress.is_done,
        "failure": progress.failure,
    }
    projects.add_definition(project_id, f"import:{progress.id}", body)
