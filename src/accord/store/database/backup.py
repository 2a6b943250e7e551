"""The whole store in one file, and back; the same for SQLite and PostgreSQL, so that it moves between them.

Gzipped JSON lines: what it is, every row of every table in an order that foreign keys allow, and at the end
how many rows there were and their hash. It is read in one transaction, so that it is one moment; it holds
password hashes and everything people wrote, and is readable by its owner alone.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update

from accord.domain.errors import StoreError
from accord.domain.files import atomic_path
from accord.store.database.audit import list_streams, verify_chain
from accord.store.database.engine import Database, insert_rows
from accord.store.database.tables import chain_head, metadata
from accord.store.database.tally import recount
from accord.store.database.upkeep_tables import stream, tally

FORM = 1
ROWS_AT_A_TIME = 500


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a backup holds."""

    n_rows: int
    hash: str
    """SHA-256 over all rows' lines, 64 hexadecimal digits."""
    last_event: int
    """The end of its chain of events."""


def write_backup(database: Database, path: Path) -> Backup:
    """Write everything to a file that did not exist before; memory stays flat."""
    if path.exists():
        raise StoreError(f"{path} exists; a backup never writes over anything, name another file")
    digest, n_rows = hashlib.sha256(), 0
    with atomic_path(path) as place:
        place.touch(mode=0o600)
        os.chmod(place, 0o600)
        with gzip.open(place, "wt", encoding="utf-8", compresslevel=5) as out, database.moment() as at:
            out.write(json.dumps({"accord_backup": FORM, "tables": list(metadata.tables)}) + "\n")
            for line in _lines(at):
                digest.update(line.encode())
                out.write(line)
                n_rows += 1
            last_event = at.execute(select(chain_head.c.number)).scalar_one()
            end = {"n_rows": n_rows, "hash": digest.hexdigest(), "last_event": last_event}
            out.write(json.dumps(end) + "\n")
    return Backup(n_rows=n_rows, hash=digest.hexdigest(), last_event=last_event)


def restore_backup(database: Database, path: Path) -> Backup:
    """Fill an empty database from a backup, check its hash and its chain; raises `StoreError` otherwise.

    What does not check out is taken back whole. Columns a backup does not know yet take their defaults.
    """
    digest, n_rows, end = hashlib.sha256(), 0, None
    with database.write() as connection:
        _refuse_full(connection)
        batch: list[dict[str, Any]] = []
        name, seen = "", set[str]()
        for line, row in _read(path):
            if "table" not in row:
                end = row
                continue
            if end is not None:
                raise StoreError(f"{path}: there are rows behind its end")
            digest.update(line.encode())
            n_rows += 1
            seen.add(row["table"])
            if batch and (row["table"] != name or len(batch) == ROWS_AT_A_TIME):
                _put(connection, name, batch)
                batch = []
            name = row["table"]
            batch.append(row["row"])
        if batch:
            _put(connection, name, batch)
        if tally.name not in seen:
            recount(connection)
        if stream.name not in seen:
            list_streams(connection)
        if end is None or (end["n_rows"], end["hash"]) != (n_rows, digest.hexdigest()):
            raise StoreError(f"{path}: it breaks off or was changed; {n_rows} rows do not add up to its hash")
    report = verify_chain(database)
    return Backup(n_rows=n_rows, hash=digest.hexdigest(), last_event=report.n_events)


def _lines(connection: Connection) -> Iterator[str]:
    for table in metadata.sorted_tables:
        key = list(table.primary_key.columns)
        rows = connection.execution_options(stream_results=True, yield_per=ROWS_AT_A_TIME).execute(
            select(table).order_by(*key)
        )
        for row in rows.mappings():
            yield json.dumps({"table": table.name, "row": dict(row)}, ensure_ascii=False) + "\n"


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            head = json.loads(next(lines, "{}"))
            if head.get("accord_backup") != FORM:
                raise StoreError(f"{path} is no backup of this form; expected one that `store backup` wrote")
            for line in lines:
                yield line, json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise StoreError(f"{path} cannot be read as a backup: {error}") from error


def _refuse_full(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if table is chain_head:
            continue
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise StoreError(f"the database is not empty ({table.name}); restore into a new one")


def _put(connection: Connection, name: str, rows: list[dict[str, Any]]) -> None:
    table = metadata.tables.get(name)
    if table is None:
        raise StoreError(f"the backup has a table {name!r} that this version does not know; update accord")
    if table is chain_head:
        connection.execute(update(chain_head).values(rows[0]))
        return
    unknown = set(rows[0]) - set(table.columns.keys())
    if unknown:
        raise StoreError(f"table {name!r} of the backup has columns this version does not know: {unknown}")
    insert_rows(connection, table, rows)
