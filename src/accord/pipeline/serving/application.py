"""The application that serves models: who may ask, errors in one shape, headers; and how it is run.

Loopback needs no key; anything else does. Leaves out accounts: the server of judgments has them.
"""

import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import accord
from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import AccordError, ConfigError
from accord.domain.ids import TimeOrderedIds
from accord.feedback.app import create_app
from accord.feedback.security import HEADERS
from accord.pipeline.serving.answers import error_body
from accord.pipeline.serving.chat_page import SAMPLING, install_chat
from accord.pipeline.serving.chat_request import ApiError
from accord.pipeline.serving.completions import completion_routes
from accord.pipeline.serving.visitors import AccountEntrance, Entrance, KeyEntrance, LocalEntrance
from accord.pipeline.serving.votes import FileVotes, QueueVotes, Votes
from accord.pipeline.speakers import SpeakersHere
from accord.rollouts.engine import Answering
from accord.rollouts.sampler import SamplingConfig
from accord.store.database.accounts import Accounts
from accord.store.database.engine import Database

LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEY_VARIABLE = "ACCORD_SERVE_KEY"
"""Environment variable that holds the bearer token clients must send."""


class Door:
    """Lets in who may ask: with the key where there is one, else only who names this machine as the host.

    The host's name is looked at since a page from elsewhere can make its own name lead here.
    """

    def __init__(self, key: str = "", *, hosts: tuple[str, ...] = LOOPBACK):
        self._key, self._hosts = key, hosts

    def __call__(self, request: Request) -> None:
        """Raise `ApiError` for who may not ask."""
        if not self._key:
            if (request.url.hostname or "") not in self._hosts:
                raise ApiError(
                    403, f"the host {request.url.hostname!r} is not this server's", code="wrong_host"
                )
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._key.encode()):
            raise ApiError(401, "the bearer token is missing or wrong", code="invalid_api_key")


class SecureHeaders:
    """Puts the security headers on every answer, and lets streams through as they come."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS:
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def create_model_app(engine: Answering, *, door: Door | None = None, clock: Clock | None = None) -> FastAPI:
    """The application over an engine."""
    app = FastAPI(
        title="Accord models", version=accord.__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    install_api_errors(app)
    app.include_router(
        completion_routes(
            engine, clock if clock is not None else SystemClock(), door if door is not None else Door()
        )
    )

    @app.get("/healthz")
    def alive() -> dict[str, object]:
        return {
            "status": "ok",
            "n_waiting": engine.n_waiting,
            "n_running": engine.n_running,
            "n_drawn": engine.n_drawn,
        }

    app.add_middleware(SecureHeaders)
    return app


def create_site(
    engine: Answering,
    *,
    key: str = "",
    database: Database | None = None,
    votes: Path,
    clock: Clock | None = None,
    is_secure: bool = False,
    sampling: SamplingConfig = SAMPLING,
    live_hosts: Sequence[str] = (),
) -> FastAPI:
    """Models, the chat page, and, over a database, the server of judgments behind them.

    With a database who chats has an account there, and votes go through its queue; without one they are
    appended to the file `votes`, and the chat asks for `key` where there is one. Its projects may talk to
    these models, and to endpoints at `live_hosts`.
    """
    clock = SystemClock() if clock is None else clock
    app = create_model_app(engine, door=Door(key), clock=clock)
    if database is None:
        entrance: Entrance = KeyEntrance(key) if key else LocalEntrance(LOOPBACK)
        kept: Votes = FileVotes(votes, clock, TimeOrderedIds())
    else:
        queue_votes = QueueVotes(database)
        entrance, kept = AccountEntrance(Accounts.of(database), queue_votes.project_id), queue_votes
    if len(engine.models) > 1:
        has_static = database is not None
        install_chat(
            app, engine, kept, entrance, sampling=sampling, is_secure=is_secure, has_static=has_static
        )
    if database is not None:
        speakers = SpeakersHere(live_hosts, engine=engine)
        app.mount("/", create_app(database, is_secure=is_secure, speakers=speakers))
    return app


def install_api_errors(app: FastAPI) -> None:
    """Let every error leave in OpenAI's shape."""

    @app.exception_handler(ApiError)
    def _refused(request: Request, error: ApiError) -> JSONResponse:
        headers: dict[str, str] = {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if error.retry_s:
            headers["Retry-After"] = str(error.retry_s)
        body = error_body(error.status, str(error), param=error.param, code=error.code)
        return JSONResponse(body, status_code=error.status, headers=headers)

    @app.exception_handler(AccordError)
    def _ours(request: Request, error: AccordError) -> JSONResponse:
        return JSONResponse(error_body(400, str(error)), status_code=400)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        body = error_body(error.status_code, str(error.detail))
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)


def check_exposure(host: str, key: str) -> None:
    """Raise `ConfigError` where the server would answer other machines without a key."""
    if host not in LOOPBACK and not key:
        raise ConfigError(
            "--host",
            [f"{host} is open to other machines; set {KEY_VARIABLE} to the token that clients must send"],
        )


def key_of(environment: Mapping[str, str]) -> str:
    """The key; raises `ConfigError` for one that is short, since it is all that stands between."""
    key = environment.get(KEY_VARIABLE, "")
    if key and (len(key) < 16 or not key.isascii() or not key.isprintable() or " " in key):
        raise ConfigError(KEY_VARIABLE, ["expected 16 characters or more, without spaces"])
    return key


def run_app(app: FastAPI, *, host: str, port: int) -> None:
    """Serve until stopped."""
    uvicorn.run(app, host=host, port=port, log_level="warning", ws="none", timeout_graceful_shutdown=5)
