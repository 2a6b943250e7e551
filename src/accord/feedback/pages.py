"""The pages around the work: signing in, what there is to do, and how somebody wants his pages.

They work without scripts. Everything on them is escaped by the templates.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from accord.domain.errors import DataError
from accord.feedback.catalog import LANGUAGES
from accord.feedback.conversing import Conversing
from accord.feedback.keys import ACTIONS, checked_keys
from accord.feedback.lead_pages import lead_pages
from accord.feedback.oidc import Provider
from accord.feedback.oidc_routes import oidc_routes
from accord.feedback.own_pages import own_pages
from accord.feedback.paging import Page, page_of, read_cursor
from accord.feedback.rooms import annotation_rooms
from accord.feedback.screen import LOOKS, Screen, field_of, read_form, wants_json
from accord.feedback.security import COOKIE, account_of
from accord.feedback.work import Work
from accord.store.database.accounts import Account
from accord.store.database.engine import Database
from accord.store.database.tables import project
from accord.store.database.tally import Kind, counts_of_all, slots_by_state

HERE = Path(__file__).parent
PROJECTS = 20
"""Projects of one page."""


def install_pages(
    app: FastAPI,
    screen: Screen,
    work: Work,
    conversing: Conversing,
    *,
    is_secure: bool,
    other: Provider | None = None,
) -> None:
    """Add the pages and what they load to the application; `other` is a service to sign in through."""
    if other is not None:
        app.include_router(oidc_routes(screen, other, is_secure=is_secure))
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    label = "" if other is None else other.config.label
    app.include_router(_entrance(screen, is_secure=is_secure, other=label))
    app.include_router(_hall(screen, work))
    app.include_router(annotation_rooms(screen, work, conversing))
    app.include_router(own_pages(screen, work))
    app.include_router(lead_pages(screen, work))


def _entrance(screen: Screen, *, is_secure: bool, other: str) -> APIRouter:
    router, accounts = APIRouter(include_in_schema=False), screen.accounts

    @router.get("/login")
    def ask(request: Request) -> Response:
        return screen.page("login.html", request, None, failed=False, given="", other=other)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = await read_form(request)
        given = field_of(form, "handle")
        made = await run_in_threadpool(accounts.log_in, given, field_of(form, "password"))
        if made is None:
            facts = {"failed": True, "given": given, "other": other}
            return screen.page("login.html", request, None, status=401, **facts)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(COOKIE, made.token, httponly=True, samesite="strict", secure=is_secure)
        return answer

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        form = await read_form(request)
        account_of(request, accounts, csrf=field_of(form, "csrf"))
        accounts.log_out(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    return router


def _hall(screen: Screen, work: Work) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def home(request: Request, after: Annotated[str, Query(max_length=1000)] = "") -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        found = projects_of(work.database, account, limit=PROJECTS, after=after or None)
        rooms = _rooms(work, account, found.rows)
        return screen.page(
            "home.html", request, account, projects=rooms, after=found.next, is_first=not after
        )

    @router.get("/settings")
    def ask(request: Request) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        return screen.page("settings.html", request, account, **_choices(), problem="", saved=False)

    @router.post("/settings")
    async def change(request: Request) -> Response:
        form = await read_form(request)
        account = account_of(request, screen.accounts, csrf=field_of(form, "csrf"))
        try:
            changes = changes_of(form)
            await run_in_threadpool(screen.settings.change, account.id, changes)
        except DataError as error:
            if wants_json(request):
                raise
            shown = {**_choices(), "problem": str(error), "saved": False}
            return screen.page("settings.html", request, account, status=422, **shown)
        if wants_json(request):
            return JSONResponse({"status": "ok"})
        return screen.page("settings.html", request, account, **_choices(), problem="", saved=True)

    return router


def changes_of(form: dict[str, list[str]]) -> dict[str, Any]:
    """What a form of settings changes; raises `DataError` for a wish nobody can fulfill or a key for two."""
    changes: dict[str, Any] = {}
    for name, choices in LOOKS.items():
        chosen = field_of(form, name)
        if not chosen:
            continue
        if chosen not in choices:
            raise DataError(f"{name} is {chosen!r}; expected one of {', '.join(choices)}")
        changes[name] = chosen
    keys = {action.name: given for action in ACTIONS if (given := field_of(form, f"key.{action.name}"))}
    if field_of(form, "keys"):
        try:
            keys = json.loads(field_of(form, "keys"))
        except ValueError as error:
            raise DataError(f"keys cannot be read: {error}") from error
        if not isinstance(keys, dict):
            raise DataError(f"keys are {type(keys).__name__}; expected an object, action to key")
    if keys or field_of(form, "keys"):
        changes["keys"] = {name: key for name, key in checked_keys(keys).items() if name in keys}
    return changes


def _choices() -> dict[str, Any]:
    return {"choices": LOOKS, "languages": LANGUAGES, "actions": ACTIONS}


def projects_of(database: Database, account: Account, *, limit: int, after: str | None) -> Page:
    """Projects somebody works in or may look at, by name."""
    allowed = ("annotate", "watch")
    query = select(project.c.id, project.c.name).order_by(project.c.name).limit(limit + 1)
    if not any(account.may(one) for one in allowed):
        own = [place for place in account.roles if any(account.may(one, place) for one in allowed)]
        query = query.where(project.c.id.in_(own))
    if after is not None:
        query = query.where(project.c.name > read_cursor(after, str)[0])
    with database.read() as connection:
        page = page_of(connection.execute(query).all(), limit, lambda row: (row.name,))
    return replace(page, rows=[{"id": row.id, "name": row.name} for row in page.rows])


def _rooms(work: Work, account: Account, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a page of projects shows of each, and what somebody may do in it; one query for all of them."""
    with work.database.read() as connection:
        counts = counts_of_all(connection, [row["id"] for row in rows], (Kind.SLOT, Kind.OPEN))
    return [_room(account, row, slots_by_state(counts[row["id"]])) for row in rows]


def _room(account: Account, row: Mapping[str, Any], slots: Mapping[str, int]) -> dict[str, Any]:
    place = row["id"]
    return {
        **row,
        "may_watch": account.may("watch", place),
        "may_annotate": account.may("annotate", place),
        "may_review": account.may("review", place),
        "may_manage": account.may("manage", place),
        "n_done": slots.get("filled", 0),
        "n_all": sum(slots.values()) - slots.get("cancelled", 0),
    }
