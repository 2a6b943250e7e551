"""Which version of the tables a database has, and bringing it to the one this Accord works with.

An empty database gets the newest tables at once; a test holds them equal to what the migrations make.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, inspect, select

from accord.domain.errors import StoreError
from accord.store.database.tables import chain_head

FOLDER = Path(__file__).parent / "migrations"
NEWEST = "0009"
"""The version this Accord works with."""
FIRST = "0001"
"""What databases have that were made before versions were noted."""
noted = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""One row: the version of the tables."""


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """What bringing a database up to date did."""

    before: str | None
    """Nothing where the database was empty."""
    after: str
    steps: tuple[str, ...]
    """Versions gone through, in order."""


def version_of(connection: Connection) -> str | None:
    """The version of the tables; nothing where there are none."""
    if not inspect(connection).has_table(chain_head.name):
        return None
    if not inspect(connection).has_table(noted.name):
        return FIRST
    return connection.execute(select(noted.c.version_num)).scalar() or FIRST


def check_version(connection: Connection) -> None:
    """Raise `StoreError` unless the tables are of the version this Accord works with."""
    found = version_of(connection)
    if found == NEWEST:
        return
    if found is None:
        raise StoreError("the database is empty; make its tables with: accord store upgrade")
    if found not in _script_versions():
        raise StoreError(
            f"the database has version {found}, this Accord knows versions up to {NEWEST}: it was made by a "
            f"newer Accord; install that one, or use another database"
        )
    raise StoreError(
        f"the database has version {found}, this Accord works with {NEWEST}; back it up, then run: "
        f"accord store upgrade"
    )


def note_version(connection: Connection, version: str = NEWEST) -> None:
    """Write down that the tables are of this version."""
    noted.create(connection, checkfirst=True)
    connection.execute(delete(noted))
    connection.execute(insert(noted).values(version_num=version))


def upgrade_tables(connection: Connection) -> Upgrade:
    """Go through all versions behind the present one; raises `StoreError` for a newer database."""
    before = version_of(connection)
    if before is not None and before not in _script_versions():
        check_version(connection)
    if before is not None:
        note_version(connection, before)
    scripts = _scripts()
    context = MigrationContext.configure(
        connection,
        opts={"fn": lambda found, _: scripts._upgrade_revs(NEWEST, found)},
    )
    with Operations.context(context):
        context.run_migrations()
    known = _script_versions()
    done = known if before is None else known[known.index(before) + 1 :]
    return Upgrade(before=before, after=NEWEST, steps=tuple(done))


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(FOLDER, version_locations=[FOLDER])


def _script_versions() -> Sequence[str]:
    """Oldest first."""
    return [one.revision for one in _scripts().walk_revisions()][::-1]
