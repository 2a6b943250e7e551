"""Starting the server: one process on SQLite, several workers on PostgreSQL."""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select

from accord.domain.errors import ConfigError, StoreError
from accord.domain.ids import IdSource
from accord.feedback.app import create_app
from accord.feedback.live import Speakers
from accord.feedback.oidc import Provider
from accord.feedback.oidc_config import read_oidc
from accord.feedback.rates import Limiter, Rates, shared_file
from accord.feedback.telemetry import log_as_json
from accord.store.database.accounts import Accounts, Role
from accord.store.database.engine import Database, open_database
from accord.store.database.tables import user

PLACE = "ACCORD_STORE"
"""Environment variable in which workers find the database."""
LOGS = "ACCORD_LOGS"
"""Set to json where each log line is to be an object."""
OIDC = "ACCORD_OIDC"
"""Environment variable in which workers find the file that says through whom people may sign in."""
KEY_FILE = "ACCORD_KEY_FILE"
"""Environment variable in which workers find the file of the key to what people say of themselves."""
RATES = "ACCORD_RATES"
"""Environment variable in which workers find how often one may ask, and where that is counted."""
HEALTH_S = 60
"""A worker that says nothing for so long is replaced; on a busy machine one takes that long to start."""
SECURE = "ACCORD_SECURE"
"""Set to 1 where browsers come by HTTPS."""


def first_owner(database: Database) -> tuple[str, str] | None:
    """Make the owner of an empty database: handle and password, shown this once; nothing if it has users."""
    with database.read() as connection:
        n_users = connection.execute(select(func.count()).select_from(user)).scalar_one()
    if n_users:
        return None
    password = secrets.token_urlsafe(12)
    Accounts.of(database).add("owner", password, Role.OWNER)
    return "owner", password


def run_server(
    place: str,
    *,
    host: str,
    port: int,
    workers: int,
    is_secure: bool,
    has_json_logs: bool = False,
    oidc: Path | None = None,
    key_file: Path | None = None,
    rates: Rates | None = None,
    factory: str = "accord.feedback.serving:app_of_environment",
) -> None:
    """Serve until stopped; `factory` names what makes each worker's application from the environment.

    Raises `ConfigError` for several workers on SQLite.
    """
    if workers > 1 and "://" not in place:
        raise ConfigError(
            "--workers", [f"{workers} workers need PostgreSQL; give its URL by --store, or use 1 worker"]
        )
    os.environ[PLACE] = place
    os.environ[SECURE] = "1" if is_secure else "0"
    os.environ[OIDC] = "" if oidc is None else str(oidc)
    os.environ[KEY_FILE] = "" if key_file is None else str(key_file)
    os.environ[LOGS] = "json" if has_json_logs else ""
    config: dict[str, Any] = {"log_config": None} if has_json_logs else {}
    with _shared_rates(rates or Rates(), workers) as told:
        os.environ[RATES] = told
        uvicorn.run(
            factory,
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_level="warning",
            access_log=False,
            timeout_worker_healthcheck=HEALTH_S,
            **config,
        )


@contextlib.contextmanager
def _shared_rates(rates: Rates, workers: int) -> Iterator[str]:
    """What workers are told of rates; with several they count in one file, which goes at the end."""
    file = shared_file() if workers > 1 and rates.is_limited else None
    try:
        yield json.dumps([rates.account, rates.address, None if file is None else str(file)])
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def limiter_of(told: str) -> Limiter:
    """The limiter that a worker was told of."""
    account, address, file = json.loads(told or "[null, null, null]")
    return Limiter(Rates(account=account, address=address), file=Path(file) if file else None)


def serving_here(
    database: Database, *, ids: IdSource | None = None
) -> contextlib.AbstractContextManager[str]:
    """The server in a thread of this process, on a free loopback port; its address."""
    return app_here(create_app(database, ids=ids))


@contextlib.contextmanager
def app_here(app: FastAPI, *, port: int = 0) -> Iterator[str]:
    """Any application in a thread of this process, on a loopback port; its address.

    Port 0 takes a free one, and so does one that is taken.
    """
    listening = socket.socket()
    try:
        listening.bind(("127.0.0.1", port))
    except OSError:
        listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise StoreError("the server did not start; see the error above")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()


def app_of_environment(
    environment: Mapping[str, str] = os.environ, *, speakers: Speakers | None = None
) -> FastAPI:
    """The application of one worker; `speakers` ask live models."""
    if environment.get(LOGS) == "json":
        log_as_json()
    is_secure = environment.get(SECURE) == "1"
    oidc, key_file = environment.get(OIDC), environment.get(KEY_FILE)
    return create_app(
        open_database(environment[PLACE]),
        is_secure=is_secure,
        key_file=Path(key_file) if key_file else None,
        speakers=speakers,
        other=Provider(read_oidc(Path(oidc))) if oidc else None,
        limiter=limiter_of(environment.get(RATES, "")),
    )
