"""Every version is reached from the one before, and ends where the models are."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, inspect, text

from accord.domain.errors import StoreError
from accord.store.database import Database, Role, verify_chain
from accord.store.database.accounts import Accounts
from accord.store.database.tables import metadata
from accord.store.database.versions import FIRST, NEWEST, note_version, noted, version_of


def empty(database: Database) -> None:
    """Take all tables away."""
    with database.write() as connection:
        if database.is_sqlite:
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            for table in [*reversed(metadata.sorted_tables), noted]:
                connection.execute(text(f'DROP TABLE IF EXISTS "{table.name}"'))
        else:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))


def plain(found: object) -> object:
    """Without what only says which object it is."""
    if isinstance(found, dict):
        return sorted((str(name), str(plain(value))) for name, value in found.items())
    return sorted(map(str, map(plain, found))) if isinstance(found, list) else str(found)


def shape(database: Database) -> dict[str, object]:
    """Columns, keys, indexes and checks of every table, and the names of the triggers."""
    kind = (
        "sqlite_master WHERE type = 'trigger'" if database.is_sqlite else "pg_trigger WHERE NOT tgisinternal"
    )
    name = "name" if database.is_sqlite else "tgname"
    with database.read() as connection:
        look = inspect(connection)
        found: dict[str, object] = {
            table: (
                sorted((one["name"], str(one["type"]), one["nullable"]) for one in look.get_columns(table)),
                look.get_pk_constraint(table)["constrained_columns"],
                plain(look.get_foreign_keys(table)),
                plain(look.get_indexes(table)),
                plain(look.get_unique_constraints(table)),
                plain(look.get_check_constraints(table)),
            )
            for table in sorted(look.get_table_names())
        }
        found["triggers"] = sorted(connection.execute(text(f"SELECT {name} FROM {kind}")).scalars())
    return found


def test_the_migrations_make_what_the_models_say(database):
    made_at_once = shape(database)
    empty(database)
    done = database.upgrade()
    assert (done.before, done.after) == (None, NEWEST)
    assert done.steps[0] == FIRST
    assert done.steps[-1] == NEWEST
    assert shape(database) == made_at_once
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [step for step in compare_metadata(context, metadata) if step[0] != "remove_table"] == []
    Accounts.of(database).add("ann", None, Role.ANNOTATOR)
    assert verify_chain(database).n_events == 1


def test_upgrading_what_is_newest_does_nothing(database):
    assert database.upgrade().steps == ()
    database.create()


def test_a_database_of_a_newer_accord_is_refused_and_left_alone(database):
    with database.write() as connection:
        note_version(connection, "9999")
    for call in (database.create, database.upgrade):
        with pytest.raises(StoreError, match=r"version 9999.*newer Accord"):
            call()
    with database.read() as connection:
        assert version_of(connection) == "9999"


def test_a_database_without_a_version_counts_as_the_first(database):
    with database.write() as connection:
        connection.execute(delete(noted))
    with database.read() as connection:
        assert version_of(connection) == FIRST
