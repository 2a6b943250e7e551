"""`accord serve`: the server where people judge, and the one that models answer from."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from accord.cli.render import print_text, progress_note
from accord.cli.runs import WorkspaceOption
from accord.domain.errors import ConfigError

StoreOption = Annotated[
    str, typer.Option("--store", help="The database: a file (SQLite) or a postgresql:// URL.")
]
STORE = "accord-workspace/accord.db"
VOTES = Path("accord-workspace/chat-votes.jsonl")


PlaceOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help=f"The database: a file (SQLite) or a postgresql:// URL; {STORE} unless models are served.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="[NAME=]DIR",
        help="Serve a model under /v1 and on the chat page; may be repeated.",
        show_default=False,
    ),
]
VotesOption = Annotated[
    Path, typer.Option("--votes", help="JSONL file of the chat page's votes, where no store is given.")
]
HostOption = Annotated[str, typer.Option("--host", help="Address to listen on.")]
PortOption = Annotated[int, typer.Option("--port", help="Port to listen on.", min=1, max=65535)]
WorkersOption = Annotated[
    int, typer.Option("--workers", help="Processes; more than one needs PostgreSQL.", min=1)
]
WaitingOption = Annotated[
    int, typer.Option("--max-waiting", help="Requests to models in line; more are refused.", min=1)
]
RowsOption = Annotated[int, typer.Option("--max-rows", help="Answers that models write at one time.", min=1)]
LiveHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--live-host",
        metavar="HOST[:PORT]",
        help="Let projects talk to models at this host; may be repeated.",
        show_default=False,
    ),
]
OidcOption = Annotated[
    Path | None,
    typer.Option("--oidc", help="TOML file of a service that people may sign in through."),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="Key to what people say of themselves; beside an SQLite file if left out.",
        show_default=False,
    ),
]
SecureOption = Annotated[
    bool, typer.Option("--secure", help="Browsers come by HTTPS: mark cookies accordingly.")
]
AccountRateOption = Annotated[
    int | None,
    typer.Option(
        "--account-rate",
        help="Requests a minute that an account may make of the interface; no limit if left out.",
        min=1,
        show_default=False,
    ),
]
AddressRateOption = Annotated[
    int | None,
    typer.Option(
        "--address-rate",
        help="Requests a minute that an address may make of the interface; no limit if left out.",
        min=1,
        show_default=False,
    ),
]
LogsOption = Annotated[
    bool, typer.Option("--json-logs", help="A line of JSON for each request, on standard error.")
]


class Backend(StrEnum):
    """What runs served models."""

    NATIVE = "native"
    VLLM = "vllm"


BackendOption = Annotated[
    Backend, typer.Option("--backend", help="What runs a model: Accord's own engine, or vLLM (one model).")
]


def serve(
    store: PlaceOption = None,
    model: ModelOption = None,
    workspace: WorkspaceOption = None,
    votes: VotesOption = VOTES,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8300,
    workers: WorkersOption = 1,
    max_waiting: WaitingOption = 64,
    max_rows: RowsOption = 64,
    backend: BackendOption = Backend.NATIVE,
    live_host: LiveHostOption = None,
    oidc: OidcOption = None,
    key_file: KeyFileOption = None,
    secure: SecureOption = False,
    account_rate: AccountRateOption = None,
    address_rate: AddressRateOption = None,
    json_logs: LogsOption = False,
) -> None:
    """Start the server where people judge, in the browser and over HTTP; or serve models.

    On an empty database an owner is made and his password printed once. The board of the workspace's rounds
    is at /rounds. Models are served to this machine alone, unless ACCORD_SERVE_KEY holds the bearer token
    that clients must send.

    \b
    Examples:
      accord serve
      accord serve --store postgresql://accord@db/accord --workers 4 --host 0.0.0.0 --secure
      accord serve --model smollm2 --model tuned=runs/1/policy
      accord serve --model new=runs/2/policy --model old=runs/1/policy --store accord-workspace/accord.db
    """
    from accord.pipeline.speakers import VARIABLE as LIVE_HOSTS
    from accord.pipeline.speakers import checked_hosts

    hosts = checked_hosts(live_host or ())
    if model:
        if workers > 1:
            raise ConfigError("--workers", ["models run in one process; leave it at 1"])
        if account_rate or address_rate:
            raise ConfigError(
                "--account-rate, --address-rate", ["models keep a line of their own, see --max-waiting"]
            )
        _serve_models(model, backend, store, votes, host, port, max_waiting, max_rows, secure, hosts.split())
        return
    import os

    from accord.feedback.oidc_config import read_oidc
    from accord.feedback.rates import Rates
    from accord.feedback.serving import run_server
    from accord.pipeline.site import FACTORY
    from accord.pipeline.workspace import VARIABLE

    if oidc is not None:
        read_oidc(oidc)
    place = STORE if store is None else store
    if workspace is not None:
        os.environ[VARIABLE] = str(workspace)
    os.environ[LIVE_HOSTS] = hosts
    _greet_owner(place)
    print_text(f"Accord listens on http://{host}:{port}; Ctrl-C ends it.")
    run_server(
        place,
        host=host,
        port=port,
        workers=workers,
        is_secure=secure,
        has_json_logs=json_logs,
        oidc=oidc,
        key_file=key_file,
        rates=Rates(account=account_rate, address=address_rate),
        factory=FACTORY,
    )


def _greet_owner(store: str) -> None:
    from accord.feedback.serving import first_owner

    with opened(store) as database:
        owner = first_owner(database)
    if owner is not None:
        print_text(f"owner made: handle {owner[0]}, password {owner[1]} (shown this once)")


def _serve_models(
    specs: list[str],
    backend: Backend,
    store: str | None,
    votes: Path,
    host: str,
    port: int,
    max_waiting: int,
    max_rows: int,
    is_secure: bool,
    live_hosts: list[str],
) -> None:
    import os
    from contextlib import ExitStack

    from accord.pipeline.serving.application import check_exposure, create_site, key_of, run_app
    from accord.pipeline.serving.model_names import load_models
    from accord.rollouts.engine import Answering, Engine, EngineConfig

    key = key_of(os.environ)
    check_exposure(host, key)
    models = load_models(specs, tell=progress_note)
    config = EngineConfig(max_waiting=max_waiting, max_rows=max_rows)
    engine: Answering
    if backend is Backend.VLLM:
        from accord.rollouts.vllm_engine import VllmEngine

        engine = VllmEngine(models, config)
    else:
        engine = Engine(models, config)
    with ExitStack() as open_things:
        open_things.callback(engine.close)
        database = None
        if store is not None:
            _greet_owner(store)
            database = open_things.enter_context(opened(store))
        app = create_site(
            engine, key=key, database=database, votes=votes, is_secure=is_secure, live_hosts=live_hosts
        )
        page = f", side by side at http://{host}:{port}/chat" if len(models) > 1 else ""
        print_text(f"{', '.join(models)} at http://{host}:{port}/v1{page}; Ctrl-C ends it.")
        run_app(app, host=host, port=port)


def opened(store: str):  # type: ignore[no-untyped-def]
    """The database with its tables, closed at the end of a `with`."""
    from contextlib import closing

    from accord.store.database import open_database

    if "://" not in store:
        Path(store).parent.mkdir(parents=True, exist_ok=True)
    database = open_database(store)
    database.create()
    return closing(database)
