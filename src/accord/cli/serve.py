"""`accord serve`: the server where people judge."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.render import print_text

StoreOption = Annotated[
    str, typer.Option("--store", help="The database: a file (SQLite) or a postgresql:// URL.")
]
STORE = "accord-workspace/accord.db"


def serve(
    store: StoreOption = STORE,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.", min=1, max=65535)] = 8300,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes; more than one needs PostgreSQL.", min=1)
    ] = 1,
    secure: Annotated[
        bool, typer.Option("--secure", help="Browsers come by HTTPS: mark cookies accordingly.")
    ] = False,
    json_logs: Annotated[
        bool, typer.Option("--json-logs", help="A line of JSON for each request, on standard error.")
    ] = False,
) -> None:
    """Start the server where people judge, in the browser and over HTTP.

    On an empty database an owner is made and his password printed once.

    \b
    Examples:
      accord serve
      accord serve --store postgresql://accord@db/accord --workers 4 --host 0.0.0.0 --secure
    """
    from accord.feedback.serving import first_owner, run_server

    with opened(store) as database:
        owner = first_owner(database)
    if owner is not None:
        print_text(f"owner made: handle {owner[0]}, password {owner[1]} (shown this once)")
    print_text(f"Accord listens on http://{host}:{port}; Ctrl-C ends it.")
    run_server(store, host=host, port=port, workers=workers, is_secure=secure, has_json_logs=json_logs)


def opened(store: str):  # type: ignore[no-untyped-def]
    """The database with its tables, closed at the end of a `with`."""
    from contextlib import closing

    from accord.store.database import open_database

    if "://" not in store:
        Path(store).parent.mkdir(parents=True, exist_ok=True)
    database = open_database(store)
    database.create()
    return closing(database)
