"""`accord store`: look after the database of judgments."""

from pathlib import Path

import typer

from accord.cli.quality_options import JsonOption
from accord.cli.render import print_json, print_text
from accord.cli.serve import STORE, StoreOption, opened

app = typer.Typer(
    help="Look after the database of judgments: its version, and its chain of events.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Look after the database of judgments: its version, and its chain of events."""


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
def upgrade(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Bring the tables of an older Accord to those of this one; an empty database gets them all.

    Stop the server and back the database up first. A database of a newer Accord is left as it is.

    \b
    Example:
      accord store upgrade --store accord-workspace/accord.db
    """
    from contextlib import closing

    from accord.store.database import open_database

    if "://" not in store:
        Path(store).parent.mkdir(parents=True, exist_ok=True)
    with closing(open_database(store)) as database:
        done = database.upgrade()
    if as_json:
        print_json(done)
    elif done.steps:
        print_text(f"from version {done.before or 'nothing'} to {done.after}: {', '.join(done.steps)}")
    else:
        print_text(f"the database has version {done.after}; nothing is to be done")
