"""Opening the database: SQLite in the workspace by default, PostgreSQL by its URL.

SQLite runs in WAL mode and takes its write lock when a writing transaction begins, so that two writers wait
for each other instead of failing halfway. Leaves out what is in the tables.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from accord.domain.errors import MissingExtra, StoreError
from accord.store.database import live_tables, people_tables, upkeep_tables, workflow_tables
from accord.store.database.copying import FROM_ROWS, copy_rows
from accord.store.database.tables import FIRST_HASH, chain_head, guard_unchanging, metadata
from accord.store.database.tally import COUNTS, Counts, write_counts
from accord.store.database.versions import Upgrade, check_version, note_version, upgrade_tables, version_of

BUSY_TIMEOUT_MS = 30_000
"""How long SQLite waits for another process's write to end."""
WRITES = "accord_writes"
"""Execution option of a connection that will write."""
WAITING = "accord_waiting"
"""Execution option of a connection whose events wait for the end of a transaction around several."""
ROWS_AT_A_TIME = 500
"""Rows of one statement: with ten columns well below the parameters a database takes."""


TABLES = (workflow_tables, people_tables, live_tables, upkeep_tables)
"""Modules that add tables to the metadata."""


class Database:
    """Connections of one database, and its two kinds of transaction."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        # Threads of one process wait here, in order, and not in SQLite's polling.
        self._writer = threading.Lock() if self.is_sqlite else nullcontext()
        self._around = threading.local()

    @property
    def key_file(self) -> Path | None:
        """Where the key of what people say of themselves lies: beside an SQLite file; else nowhere."""
        name = self.engine.url.database
        return Path(name).with_suffix(".key") if self.is_sqlite and name else None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change rows: all of it or nothing."""
        outer: Connection | None = getattr(self._around, "connection", None)
        if outer is not None:
            with _part_of(outer):
                yield outer
            return
        with (
            self._writer,
            self.engine.connect() as connection,
            connection.execution_options(**{WRITES: True, COUNTS: Counts()}).begin(),
        ):
            yield connection
            write_counts(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        outer: Connection | None = getattr(self._around, "connection", None)
        if outer is not None:
            yield outer
            return
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def moment(self) -> Iterator[Connection]:
        """A transaction that only reads and sees the store as it is at one moment, while others write."""
        outer: Connection | None = getattr(self._around, "connection", None)
        if outer is not None:
            yield outer
            return
        with self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def attempt(self) -> Iterator[Connection]:
        """A writing transaction that is taken back whatever comes of it."""
        outer: Connection | None = getattr(self._around, "connection", None)
        if outer is not None:
            with outer.begin_nested() as inner:
                yield outer
                inner.rollback()
            return
        with (
            self._writer,
            self.engine.connect() as connection,
            connection.execution_options(**{WRITES: True}).begin() as begun,
        ):
            yield connection
            begun.rollback()

    @contextmanager
    def together(self) -> Iterator[Connection]:
        """One writing transaction around all that this thread reads and writes within: all of it or nothing.

        Events of the transactions within wait until `append_waiting`, which ends it: the end of the chain is
        locked last, whatever is done before.
        """
        with self.write() as connection:
            connection.execution_options(**{WAITING: []})
            self._around.connection = connection
            try:
                yield connection
            finally:
                self._around.connection = None

    def create(self) -> None:
        """Make all tables where there are none; raises `StoreError` for tables of another version."""
        with self.write() as connection:
            if version_of(connection) is not None:
                check_version(connection)
                return
            metadata.create_all(connection)
            guard_unchanging(connection)
            connection.execute(insert(chain_head).values(id=1, number=0, hash=FIRST_HASH))
            note_version(connection)

    def upgrade(self) -> Upgrade:
        """Bring the tables to the newest version; raises `StoreError` for a database of a newer Accord."""
        with self.write() as connection:
            return upgrade_tables(connection)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def _part_of(outer: Connection, *, is_kept: bool = True) -> Iterator[None]:
    """A part of a transaction; where it fails or is not kept it leaves no rows, counts or waiting events."""
    options = outer.get_execution_options()
    moved: Counts = options[COUNTS]
    waiting: list[Any] = options.get(WAITING, [])
    before, n_waiting = moved.copy(), len(waiting)
    part = outer.begin_nested()
    try:
        yield
    except BaseException:
        is_kept = False
        raise
    finally:
        if is_kept:
            part.commit()
        else:
            part.rollback()
            moved.clear()
            moved.update(before)
            del waiting[n_waiting:]


def taken_back(connection: Connection) -> AbstractContextManager[None]:
    """A part of a transaction that is done and leaves nothing."""
    return _part_of(connection, is_kept=False)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows, on PostgreSQL by few statements: its driver would send them row by row."""
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
        return
    if len(rows) >= FROM_ROWS:
        copy_rows(connection, table, rows)
        return
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        connection.execute(insert(table).values(rows[start : start + ROWS_AT_A_TIME]))


def open_database(place: str | Path) -> Database:
    """The database at a path (SQLite) or URL (`sqlite:///...`, `postgresql://...`)."""
    url = _url_of(place)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif url.get_backend_name() == "postgresql":
        engine = create_engine(_with_driver(url), pool_size=10, max_overflow=20, pool_pre_ping=True)
    else:
        raise StoreError(
            f"{url.get_backend_name()} databases are not supported; use a file path or postgresql://..."
        )
    try:
        with engine.connect():
            pass
    except OperationalError as error:
        raise StoreError(
            f"the database {url.render_as_string(hide_password=True)} cannot be opened: {error.orig}"
        ) from error
    return Database(engine)


def _url_of(place: str | Path) -> URL:
    if isinstance(place, str) and "://" in place:
        return make_url(place)
    return URL.create("sqlite", database=str(place))


def _with_driver(url: URL) -> URL:
    """psycopg where the user has installed it, else pg8000, which has the freer licence."""
    if "+" in url.drivername:
        return url
    driver = next((name for name in ("psycopg", "pg8000") if find_spec(name) is not None), None)
    if driver is None:
        raise MissingExtra("PostgreSQL", "server")
    url = url.set(drivername=f"postgresql+{driver}")
    socket = url.query.get("host")
    if driver == "pg8000" and isinstance(socket, str) and socket.startswith("/"):
        port = url.port or 5432
        return url.set(query={"unix_sock": f"{socket}/.s.PGSQL.{port}"}, host=None, port=None)
    return url


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # transactions begin where this module says so
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
