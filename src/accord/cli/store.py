"""`accord store`: look after the database of judgments."""

import typer

from accord.cli.quality_options import JsonOption
from accord.cli.render import print_json, print_text
from accord.cli.serve import STORE, StoreOption, opened

app = typer.Typer(
    help="Look after the database of judgments: verify its chain of events.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Look after the database of judgments: verify its chain of events."""


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
