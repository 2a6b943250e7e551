"""What was judged by a moment, fixed under a hash of its content: rebuilt, it is the same bytes.

A snapshot is a pure function of the judgments up to one number of the chain of events, and of the versions
they were made under; none of these ever changes. Known items and earlier revisions are left out.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from accord.domain.errors import StoreError
from accord.feedback.export import Row, last_rows, line_of
from accord.feedback.work import Work
from accord.store.database.projects import Projects
from accord.store.database.recall import pseudonym, pseudonyms
from accord.store.database.tables import chain_head, definition
from accord.store.database.vault import ERASED

RECIPE = 2
"""Which way of making rows; another way is another number, and hashes of the old one stay what they were. The
first one named annotators by their handles, which somebody who is forgotten loses; this one by pseudonyms."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A fixed set of judgments."""

    hash: str
    """SHA-256 over the recipe and all rows, 64 hexadecimal digits."""
    upto: int
    """The last number of the chain of events that counts."""
    n_rows: int


def take_snapshot(work: Work, project_id: str) -> Snapshot:
    """Fix what is judged by now; what is the same already has the same hash and is not written twice."""
    with work.database.read() as connection:
        upto = connection.execute(select(chain_head.c.number)).scalar_one()
    made = build_snapshot(work, project_id, upto)
    if _known(work, project_id, made.hash) is None:
        projects = Projects(work.database, work.queue.clock, work.queue.ids)
        body = {"hash": made.hash, "upto": made.upto, "n_rows": made.n_rows, "recipe": RECIPE}
        projects.add_definition(project_id, "snapshot", body)
    return made


def build_snapshot(work: Work, project_id: str, upto: int, *, recipe: int = RECIPE) -> Snapshot:
    """The snapshot of everything up to a number of the chain; computed, nothing is written."""
    digest, n_rows = hashlib.sha256(f"accord snapshot {recipe}\n".encode()), 0
    for row in _rows(work, project_id, upto, recipe):
        digest.update(line_of(row).encode())
        n_rows += 1
    return Snapshot(hash=digest.hexdigest(), upto=upto, n_rows=n_rows)


def snapshot_lines(work: Work, project_id: str, snapshot_hash: str) -> Iterator[str]:
    """Lines of a snapshot that was taken; raises `StoreError` for one that was not."""
    found = _known(work, project_id, snapshot_hash)
    if found is None:
        raise StoreError(f"there is no snapshot {snapshot_hash!r} of this project")
    return (line_of(row) for row in _rows(work, project_id, *found))


def _rows(work: Work, project_id: str, upto: int, recipe: int) -> Iterator[Row]:
    names = pseudonyms(work.database)
    for row in last_rows(work, project_id, upto=upto):
        if recipe == 1:
            yield row
            continue
        handle = row["annotator"]  # of somebody forgotten meanwhile, it says the id
        yield row | {"annotator": names.get(handle) or pseudonym(handle.removeprefix(ERASED))}


def _known(work: Work, project_id: str, snapshot_hash: str) -> tuple[int, int] | None:
    with work.database.read() as connection:
        bodies = connection.execute(
            select(definition.c.body).where(
                definition.c.project_id == project_id, definition.c.kind == "snapshot"
            )
        ).scalars()
        return next(
            ((int(one["upto"]), int(one["recipe"])) for one in bodies if one["hash"] == snapshot_hash), None
        )
