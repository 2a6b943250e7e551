"""`accord store`: look after the database of judgments."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.quality_options import JsonOption
from accord.cli.render import print_json, print_text
from accord.cli.serve import STORE, StoreOption, opened

app = typer.Typer(
    help="Look after the database of judgments: verify its chain of events, back it up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Look after the database of judgments: verify its chain of events, back it up."""


@app.command()
def verify(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Check every link of the chain of events; the first that does not hold is an error.

    Keep the last hash elsewhere: it shows if somebody rewrites the whole chain.

    \b
    Example:
      accord store verify --store accord-workspace/accord.db
    """
    from accord.store.database import verify_chain

    with opened(store) as database:
        report = verify_chain(database)
    if as_json:
        print_json(report)
    else:
        print_text(f"{report.n_events} events follow from each other; last hash {report.last_hash}")


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(help="File to write, such as accord.jsonl.gz; must not exist.")],
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Write the whole store to one file, while people work.

    The file holds password hashes and all that people wrote; it is readable by its owner alone.

    \b
    Example:
      accord store backup accord-2026-11-30.jsonl.gz
    """
    from accord.store.database.backup import write_backup

    with opened(store) as database:
        made = write_backup(database, out)
    if as_json:
        print_json(made)
    else:
        print_text(f"{made.n_rows} rows up to event {made.last_event} in {out}; hash {made.hash}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `accord store backup` wrote.")],
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Fill an empty database from a backup and check its hash and its chain of events.

    The file is the same for SQLite and PostgreSQL: a project that has outgrown one moves to the other.

    \b
    Example:
      accord store restore accord-2026-11-30.jsonl.gz --store postgresql://accord@db/accord
    """
    from accord.store.database.backup import restore_backup

    with opened(store) as database:
        made = restore_backup(database, file)
    if as_json:
        print_json(made)
    else:
        print_text(f"{made.n_rows} rows restored; the chain of {made.last_event} events holds")
