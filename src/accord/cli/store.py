"""`accord store`: look after the database of judgments."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.quality_options import JsonOption
from accord.cli.render import print_json, print_text
from accord.cli.serve import STORE, StoreOption, opened

if TYPE_CHECKING:
    from accord.store.database import Database

app = typer.Typer(
    help="Look after the database of judgments: its version, its chain of events, its copies.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Look after the database of judgments: its version, its chain of events, its copies."""


@app.command()
def verify(
    store: StoreOption = STORE,
    full: Annotated[
        bool, typer.Option("--full", help="Check all rows too: the fifteen invariants of the store.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every link of the chain of events; the first that does not hold is an error.

    Keep the last hash elsewhere: it shows if somebody rewrites the whole chain. People may go on working.

    \b
    Example:
      accord store verify --store accord-workspace/accord.db --full
    """
    from accord.store.database import verify_chain

    with opened(store) as database:
        if full:
            _verify_rows(database, as_json)
            return
        report = verify_chain(database)
    if as_json:
        print_json(report)
    else:
        print_text(f"{report.n_events} events follow from each other; last hash {report.last_hash}")


def _verify_rows(database: "Database", as_json: bool) -> None:
    """Tell of each invariant how much was looked at; what is broken is an error."""
    from accord.domain.errors import StoreError
    from accord.feedback.invariants import check_store
    from accord.feedback.work import Work
    from accord.store.database import WorkQueue

    found = check_store(Work(database, WorkQueue.of(database)))
    if as_json:
        print_json(found)
    else:
        for one in found:
            print_text(f"{one.number:2} {one.name}: {one.n_checked} looked at, {one.n_broken} broken")
    told = [f"{one.name}: {text}" for one in found for text in one.told]
    if told:
        n_broken = sum(one.n_broken for one in found)
        raise StoreError(
            f"{n_broken} things do not hold; keep a copy of the database and find out how it was written to. "
            f"First: {'; '.join(told[:5])}"
        )


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


@app.command()
def deliver(
    allow: Annotated[
        list[str], typer.Option("--allow", help="A server that may be told, HOST or HOST:PORT; repeatable.")
    ],
    store: StoreOption = STORE,
    once: Annotated[bool, typer.Option("--once", help="Try what is due now and end.")] = False,
    pause: Annotated[float, typer.Option("--pause", help="Seconds between two looks.", min=0.1)] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Send what workflows have to tell other servers, until stopped. Run it beside the server.

    Messages are signed with the key in the environment variable their stage names. Where a server does not
    take one it is tried again, later each time, for about two days.

    \b
    Example:
      ACCORD_WEBHOOK_SECRET=... accord store deliver --allow hooks.example
    """
    import os
    import time

    from accord.domain.clock import SystemClock
    from accord.feedback.delivery import Postman, hosts_of, send_by_http

    with opened(store) as database:
        postman = Postman(database, SystemClock(), hosts_of(allow), os.environ, send_by_http)
        while True:
            done = postman.deliver()
            if as_json:
                print_json(done)
            elif any(done.values()):
                print_text(f"{done['sent']} sent, {done['later']} later, {done['failed']} given up")
            if once:
                return
            time.sleep(pause)


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
