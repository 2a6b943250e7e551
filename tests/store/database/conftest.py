"""One database of each kind, empty for each test; PostgreSQL on a private socket, from a wheel."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accord.domain.ids import CountingIds
from accord.store.database import Database, Projects, QueueConfig, WorkQueue, open_database


@dataclass
class HandClock:
    """Stands still until somebody moves it."""

    time: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Office:
    """A database with everything that works on it."""

    database: Database
    clock: HandClock
    projects: Projects
    queue: WorkQueue

    @classmethod
    def on(cls, database: Database) -> "Office":
        clock, ids = HandClock(), CountingIds()
        queue = WorkQueue(database, clock, ids, QueueConfig(lease_s=60))
        return cls(database, clock, Projects(database, clock, ids), queue)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = open_database(tmp_path / "accord.db")
    else:
        database = open_database(request.getfixturevalue("postgres_url"))
    database.create()
    yield database
    database.close()


@pytest.fixture
def office(database: Database) -> Office:
    return Office.on(database)
