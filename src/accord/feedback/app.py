"""The server: every route under /api/v1, health, and how they are put together.

`create_app` takes all it needs as arguments. Leaves out pages, and how the process is started.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

import accord
from accord.domain.clock import Clock
from accord.domain.errors import DataError, StoreError
from accord.domain.ids import IdSource
from accord.feedback.conversing import Conversing
from accord.feedback.export import export_lines
from accord.feedback.items import content_of
from accord.feedback.job_routes import job_routes
from accord.feedback.keyed import KeyedRoute
from accord.feedback.live import Speakers
from accord.feedback.live_routes import live_routes
from accord.feedback.oidc import Provider
from accord.feedback.pages import install_pages, projects_of
from accord.feedback.paging import MOST, After, Limit
from accord.feedback.people_routes import people_router
from accord.feedback.problems import install_problems, problem
from accord.feedback.rates import AddressLimit, Limiter, Rates
from accord.feedback.review_pages import install_review_pages
from accord.feedback.review_routes import review_router
from accord.feedback.reviewing import Reviewing
from accord.feedback.schema import parse_schema
from accord.feedback.screen import Screen
from accord.feedback.security import COOKIE, account_of, install_headers, need
from accord.feedback.telemetry import Figures, Telemetry, store_lines
from accord.feedback.work import HISTORY, Work
from accord.store.database.accounts import Account, Accounts, Role
from accord.store.database.engine import Database
from accord.store.database.people import People
from accord.store.database.projects import NewItem, Projects
from accord.store.database.queue import Receipt, WorkQueue
from accord.store.database.repeats import Repeats
from accord.store.database.settings import Settings
from accord.store.database.states import Purpose
from accord.store.database.tables import chain_head, project
from accord.store.database.terms import QueueConfig
from accord.store.database.vault import Vault

LINES_AT_A_TIME = 500
"""Rows of an import written in one transaction."""
MAX_ERRORS = 100
"""Rows refused that an import's answer names."""
Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]
Key = Annotated[str, Field(min_length=8, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Login(_Body):
    """Who wants in."""

    handle: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class NewUser(_Body):
    """An account to be made."""

    handle: str = Field(max_length=200)
    password: str | None = Field(default=None, max_length=1000)
    role: Role = Role.ANNOTATOR
    skills: list[str] = []


class NewToken(_Body):
    """A token to be made for oneself."""

    scopes: list[str]
    days: float = Field(default=90, gt=0, le=3650)


class NewProject(_Body):
    """A project to be made."""

    name: str = Field(min_length=1, max_length=200)
    task: dict[str, Any]
    guideline: str = ""


class Count(_Body):
    """How much work is wanted."""

    count: int = Field(default=1, ge=1, le=10)


class Held(_Body):
    """Proof of a lease."""

    token: str = Field(max_length=36)


class Beat(Held):
    """Proof of a lease and time worked."""

    active_ms: int = Field(default=0, ge=0, le=86_400_000)


class Skip(Held):
    """Proof of a lease and why it is given back."""

    reason: str = Field(min_length=1, max_length=200)


class Draft(Held):
    """Answers not yet submitted."""

    answers: dict[str, Any]


class Revision(_Body):
    """Answers, once more."""

    key: Key
    answers: dict[str, Any]


class Submission(Revision):
    """Answers, and how they came about."""

    token: str = Field(max_length=36)
    duration_ms: int | None = Field(default=None, ge=0, le=10**12)
    active_ms: int | None = Field(default=None, ge=0, le=10**12)
    ui: dict[str, Any] | None = None


def create_app(
    database: Database,
    *,
    is_secure: bool = False,
    key_file: Path | None = None,
    ids: IdSource | None = None,
    speakers: Speakers | None = None,
    other: Provider | None = None,
    clock: Clock | None = None,
    leases: QueueConfig | None = None,
    limiter: Limiter | None = None,
) -> FastAPI:
    """The application over an open database; `is_secure` marks cookies for HTTPS only.

    `key_file` opens what people say of themselves; by default it lies beside an SQLite database, and
    without one nothing of the kind is kept. `ids` names what the queue makes; left out, ids are ordered by
    time and cannot be guessed. `speakers` ask live models; without them conversations wait.
    `other` is a service that people may sign in through. `clock` is the queue's, the machine's if left out;
    `leases` says how long work stays in somebody's hands. `limiter` makes wait who asks too often.
    """
    app = FastAPI(title="Accord", version=accord.__version__, docs_url=None, redoc_url=None)
    accounts, queue = Accounts.of(database), WorkQueue.of(database, leases)
    if clock is not None:
        queue = replace(queue, clock=clock)
    if ids is not None:
        queue = replace(queue, ids=ids)
    projects, work = Projects.of(database), Work(database, queue)

    vault = Vault(accounts, key_file or database.key_file)

    limits = limiter or Limiter(Rates())

    def signed_in(request: Request) -> Account:
        account = account_of(request, accounts)
        limits.check_account(account.id)
        return account

    app.state.database, app.state.repeats = database, Repeats.of(database)
    figures = Figures()
    install_problems(app)
    app.add_middleware(AddressLimit, limiter=limits)
    install_headers(app)
    app.add_middleware(Telemetry, figures=figures)
    reviewing, people = Reviewing(work), People(accounts)
    conversing = Conversing(work, speakers)
    for router in (
        _doors(accounts, signed_in, is_secure=is_secure),
        _setting_out(database, projects, work, signed_in),
        live_routes(conversing, signed_in),
        _working(work, work.queue, signed_in, conversing),
        review_router(reviewing, signed_in),
        people_router(work, people, vault, signed_in),
        job_routes(work, projects, signed_in),
        _health(database, figures, signed_in),
    ):
        app.include_router(router)
    screen = Screen.of(accounts, Settings(database, work.queue.clock))
    install_pages(app, screen, work, conversing, is_secure=is_secure, other=other)
    install_review_pages(app, screen, reviewing, people)
    return app


def _doors(accounts: Accounts, signed_in: Any, *, is_secure: bool) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["people"], route_class=KeyedRoute)

    @router.post("/login")
    def log_in(body: Login, response: Response) -> Any:
        made = accounts.log_in(body.handle, body.password)
        if made is None:
            return problem(401, "handle and password do not fit, or too many tries; wait a minute")
        response.set_cookie(COOKIE, made.token, httponly=True, samesite="strict", secure=is_secure)
        return {"csrf": made.csrf, "expires_ms": made.expires_ms}

    @router.post("/logout")
    def log_out(
        request: Request, response: Response, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        accounts.log_out(request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE)
        return {"status": "out"}

    @router.get("/me")
    def me(account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        return {"id": account.id, "handle": account.handle, "roles": dict(account.roles)}

    @router.post("/users", status_code=201)
    def add_user(body: NewUser, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "people")
        return {"id": accounts.add(body.handle, body.password, body.role, skills=body.skills)}

    @router.post("/tokens", status_code=201)
    def add_token(body: NewToken, account: Annotated[Account, Depends(signed_in)]) -> Any:
        if account.scopes is not None:
            return problem(403, "a token makes no further tokens; sign in")
        return {"token": accounts.make_token(account.id, body.scopes, days=body.days)}

    return router


def _setting_out(database: Database, projects: Projects, work: Work, signed_in: Any) -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects", tags=["projects"], route_class=KeyedRoute)

    @router.get("")
    def list_projects(
        account: Annotated[Account, Depends(signed_in)], limit: Limit = MOST, after: After = None
    ) -> dict[str, Any]:
        return projects_of(database, account, limit=limit, after=after).told("projects")

    @router.post("", status_code=201)
    def add_project(body: NewProject, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "manage")
        parse_schema(body.task, "task")
        new_id = projects.add_project(body.name)
        projects.add_definition(new_id, "schema", body.task)
        if body.guideline:
            projects.add_definition(new_id, "guideline", {"markdown": body.guideline})
        return {"id": new_id}

    @router.post("/{project_id}/items")
    def add_items(
        project_id: Id,
        lines: Annotated[bytes, Depends(_body_of)],
        account: Annotated[Account, Depends(signed_in)],
        overlap: Annotated[int, Query(ge=1, le=100)] = 1,
    ) -> dict[str, Any]:
        need(account, "import", project_id)
        return _import(projects, project_id, lines.decode(errors="replace"), overlap)

    @router.get("/{project_id}/judgments")
    def judgments(
        project_id: Id,
        account: Annotated[Account, Depends(signed_in)],
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    ) -> StreamingResponse:
        need(account, "export", project_id)
        _check_project(database, project_id)
        return StreamingResponse(
            export_lines(work, project_id, "raw", after=after), media_type="application/x-ndjson"
        )

    @router.get("/{project_id}/progress")
    def progress(project_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "watch", project_id)
        _check_project(database, project_id)
        return work.progress(project_id)

    return router


def _working(work: Work, queue: WorkQueue, signed_in: Any, conversing: Conversing) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["work"], route_class=KeyedRoute)

    @router.post("/projects/{project_id}/queue/next")
    def next_work(
        project_id: Id, body: Count, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        need(account, "annotate", project_id)
        work.check_project(project_id)
        return work.next(project_id, account.id, body.count)

    @router.post("/assignments/{assignment_id}/{step}")
    def touch(
        assignment_id: Id, step: str, body: dict[str, Any], account: Annotated[Account, Depends(signed_in)]
    ) -> Any:
        row = work.owned(assignment_id, account.id)
        need(account, "annotate", row.project_id)
        if step == "submit":
            receipt = _receipt(work.submit(assignment_id, account.id, _fit(Submission, body), row=row))
            if row.purpose == Purpose.TRAINING:
                receipt["training"] = work.explain(assignment_id, account.id)
            return receipt
        if not _touched(queue, assignment_id, step, body):
            return problem(404, f"an assignment has no step {step!r}")
        if row.purpose == Purpose.TURN and step == "heartbeat":
            conversing.turns.keep_alive(assignment_id)
        return {"status": "ok"}

    @router.put("/assignments/{assignment_id}/draft")
    def keep_draft(
        assignment_id: Id, body: Draft, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, int]:
        need(account, "annotate", work.owned(assignment_id, account.id).project_id)
        return {"saved_ms": work.save_draft(assignment_id, account.id, body.token, body.answers)}

    @router.post("/judgments/{judgment_id}/revise")
    def revise(
        judgment_id: Id, body: Revision, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        need(account, "annotate", work.project_of(judgment_id, account.id))
        return _receipt(work.revise(judgment_id, account.id, body.model_dump()))

    @router.get("/me/history")
    def history(
        project: Annotated[str, Query(max_length=36)],
        account: Annotated[Account, Depends(signed_in)],
        limit: Limit = HISTORY,
        after: After = None,
    ) -> dict[str, Any]:
        need(account, "annotate", project)
        return work.history(project, account.id, limit=limit, after=after).told("judgments")

    return router


def _touched(queue: WorkQueue, assignment_id: str, step: str, body: dict[str, Any]) -> bool:
    """Do what a step says; false for one that there is not."""
    match step:
        case "open":
            queue.open(assignment_id, _fit(Held, body)["token"])
        case "release":
            queue.release(assignment_id, _fit(Held, body)["token"])
        case "heartbeat":
            beat = _fit(Beat, body)
            queue.extend(assignment_id, beat["token"], active_ms=beat["active_ms"])
        case "skip":
            skip = _fit(Skip, body)
            queue.skip(assignment_id, skip["token"], skip["reason"])
        case _:
            return False
    return True


def _health(database: Database, figures: Figures, signed_in: Any) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    def alive() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @router.get("/readyz")
    def ready() -> PlainTextResponse:
        with database.read() as connection:
            connection.execute(select(chain_head.c.number)).scalar_one()
        return PlainTextResponse("ready\n")

    @router.get("/metrics")
    def metrics(account: Annotated[Account, Depends(signed_in)]) -> PlainTextResponse:
        need(account, "watch")
        lines = [*figures.lines(), *store_lines(database)]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    return router


def _fit(model: type[_Body], body: dict[str, Any]) -> dict[str, Any]:
    try:
        return model.model_validate(body).model_dump()
    except ValueError as error:
        found: list[dict[str, Any]] = getattr(error, "errors", list)()
        text = "; ".join(".".join(map(str, one["loc"])) + ": " + str(one["msg"]) for one in found)
        raise DataError(text or str(error)) from error


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "judgment_id": receipt.judgment_id,
        "revision": receipt.revision,
        "is_late": receipt.is_late,
        "received_ms": receipt.received_ms,
    }


async def _body_of(request: Request) -> bytes:
    return await request.body()


def _check_project(database: Database, project_id: str) -> None:
    with database.read() as connection:
        found = connection.execute(select(project.c.id).where(project.c.id == project_id)).scalar()
    if found is None:
        raise StoreError(f"there is no project {project_id!r}")


def _import(projects: Projects, project_id: str, text: str, overlap: int) -> dict[str, Any]:
    _check_project(projects.database, project_id)
    batch: list[NewItem] = []
    errors: list[dict[str, Any]] = []
    n_items = n_refused = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise DataError(f"expected an object, got {type(row).__name__}")
            content = content_of(row)
        except (ValueError, RecursionError, DataError) as error:
            n_refused += 1
            if len(errors) < MAX_ERRORS:
                errors.append({"line": number, "detail": str(error)})
            continue
        n_candidates = max(len(content["candidates"]), 0)
        batch.append(NewItem(content=content, n_candidates=n_candidates, overlap=overlap))
        if len(batch) == LINES_AT_A_TIME:
            n_items += len(projects.add_items(project_id, batch))
            batch = []
    n_items += len(projects.add_items(project_id, batch)) if batch else 0
    return {"n_items": n_items, "n_refused": n_refused, "errors": errors}
