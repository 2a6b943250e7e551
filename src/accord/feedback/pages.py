"""The pages: signing in, what there is to do, judging, and how a project stands. They work without scripts.

Everything on them is escaped by the templates; guidelines are Markdown without HTML in it.
"""

import secrets
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import Field
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from accord.domain.errors import DataError, LeaseLost
from accord.feedback.forms import answers_of
from accord.feedback.markdown import render_markdown
from accord.feedback.progress import describe_project
from accord.feedback.security import COOKIE, account_of, need
from accord.feedback.work import Work, newest_definition
from accord.store.database.accounts import Account, Accounts
from accord.store.database.tables import project

HERE = Path(__file__).parent
MAX_FORM = 4_000_000
"""Bytes of a form that are read."""
SKIP_REASONS = (
    ("unclear", "The task or its text is unclear"),
    ("language", "In a language I do not read"),
    ("expertise", "Asks for knowledge I do not have"),
    ("harmful", "Upsetting; I do not want to read it"),
    ("broken", "Something is missing or broken"),
    ("other", "Another reason"),
)
"""Code and words; the order is that of the digits on the page."""
Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]


def install_pages(app: FastAPI, accounts: Accounts, work: Work, *, is_secure: bool) -> None:
    """Add the pages and what they load to the application."""
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.include_router(_entrance(accounts, work, is_secure=is_secure))
    app.include_router(_rooms(accounts, work))


class _Screen:
    """Renders templates; one for each router, without state beyond the templates read."""

    def __init__(self) -> None:
        self.environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters["markdown"] = render_markdown

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        return HTMLResponse(self.environment.get_template(name).render(values), status_code=status)


def _entrance(accounts: Accounts, work: Work, *, is_secure: bool) -> APIRouter:
    router, screen = APIRouter(include_in_schema=False), _Screen()

    @router.get("/login")
    def ask() -> HTMLResponse:
        return screen.page("login.html", failed=False, handle="")

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = await _form(request)
        handle = _field(form, "handle")
        # Off the event loop: a hash takes a tenth of a second, in which nobody else would be served.
        made = await run_in_threadpool(accounts.log_in, handle, _field(form, "password"))
        if made is None:
            return screen.page("login.html", status=401, failed=True, handle=handle)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(COOKIE, made.token, httponly=True, samesite="strict", secure=is_secure)
        return answer

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        form = await _form(request)
        await run_in_threadpool(account_of, request, accounts, csrf=_field(form, "csrf"))
        await run_in_threadpool(accounts.log_out, request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    @router.get("/")
    def home(request: Request) -> Response:
        account = _visitor(request, accounts)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        with work.database.read() as connection:
            rows = connection.execute(select(project.c.id, project.c.name).order_by(project.c.name)).all()
        rooms = [
            {
                "id": row.id,
                "name": row.name,
                "may_watch": account.may("watch", row.id),
                "may_review": account.may("review", row.id),
                "may_manage": account.may("manage", row.id),
                **_counts(work, row.id),
            }
            for row in rows
            if account.may("annotate", row.id) or account.may("watch", row.id)
        ]
        return screen.page("home.html", **_frame(request, accounts, account), projects=rooms)

    return router


def _rooms(accounts: Accounts, work: Work) -> APIRouter:
    router, screen = APIRouter(prefix="/p/{project_id}", include_in_schema=False), _Screen()

    @router.get("")
    def dashboard(project_id: Id, request: Request) -> Response:
        account = _visitor(request, accounts)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "watch", project_id)
        room = _project(work, project_id)
        facts = describe_project(work, project_id)
        return screen.page("project.html", **_frame(request, accounts, account), project=room, facts=facts)

    @router.get("/annotate")
    def annotate(project_id: Id, request: Request) -> Response:
        account = _visitor(request, accounts)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "annotate", project_id)
        return show(project_id, request, account)

    @router.post("/annotate")
    async def judge(project_id: Id, request: Request) -> Response:
        form = await _form(request)
        account = await run_in_threadpool(account_of, request, accounts, csrf=_field(form, "csrf"))
        need(account, "annotate", project_id)
        again = partial(show, project_id, request, account)
        try:
            await run_in_threadpool(_take, work, project_id, account, form)
        except DataError as error:
            held = _field(form, "assignment")
            return await run_in_threadpool(partial(again, error=str(error), status=422, held=held))
        except LeaseLost as error:
            return await run_in_threadpool(partial(again, error=str(error), status=410))
        return RedirectResponse(f"/p/{project_id}/annotate", status_code=303)

    def show(
        project_id: str,
        request: Request,
        account: Account,
        *,
        error: str = "",
        status: int = 200,
        held: str = "",
    ) -> Response:
        room = _project(work, project_id)
        given = work.page_of(held, account.id) if held else work.resume(project_id, account.id)
        values = {
            "project": room,
            "work": given,
            "empty": None if given else work.why_empty(project_id, account.id),
            "guideline": _guideline(work, project_id),
            "key": secrets.token_hex(16),
            "reasons": SKIP_REASONS,
            "error": error,
        }
        return screen.page("annotate.html", status, **_frame(request, accounts, account), **values)

    return router


def _take(work: Work, project_id: str, account: Account, form: dict[str, list[str]]) -> None:
    row = work.owned(_field(form, "assignment"), account.id)
    if row.project_id != project_id:
        raise LeaseLost(f"there is no assignment {row.id!r} of yours in this project")
    token = _field(form, "token")
    if reason := _field(form, "skip"):
        work.queue.skip(row.id, token, reason if reason in dict(SKIP_REASONS) else "other")
        return
    n_places = len(row.presentation["permutation"])
    answers = answers_of(work.schema(row.schema_id), form, n_places)
    sent: dict[str, Any] = {
        "token": token,
        "key": _field(form, "key"),
        "answers": answers,
        "ui": {"form": True},
    }
    for name in ("duration_ms", "active_ms"):
        given = _field(form, name)
        if given.isascii() and given.isdigit() and len(given) < 10:
            sent[name] = int(given)
    work.submit(row.id, account.id, sent)


def _visitor(request: Request, accounts: Accounts) -> Account | None:
    try:
        return account_of(request, accounts)
    except HTTPException:
        return None


def _frame(request: Request, accounts: Accounts, account: Account) -> dict[str, Any]:
    found = accounts.find(request.cookies.get(COOKIE, ""))
    return {"handle": account.handle, "csrf": "" if found is None else found[1]}


def _project(work: Work, project_id: str) -> dict[str, str]:
    with work.database.read() as connection:
        row = connection.execute(select(project).where(project.c.id == project_id)).first()
    if row is None:
        raise HTTPException(404, f"there is no project {project_id!r}")
    return {"id": row.id, "name": row.name}


def _guideline(work: Work, project_id: str) -> dict[str, Any] | None:
    with work.database.read() as connection:
        row = newest_definition(connection, project_id, "guideline")
    if row is None:
        return None
    return {"version": row.version, "html": render_markdown(row.body["markdown"])}


def _counts(work: Work, project_id: str) -> dict[str, int]:
    slots = work.progress(project_id)["slots"]
    return {"n_done": slots.get("filled", 0), "n_all": sum(slots.values())}


async def _form(request: Request) -> dict[str, list[str]]:
    body = await request.body()
    if len(body) > MAX_FORM:
        raise HTTPException(413, f"the form has {len(body)} bytes; at most {MAX_FORM} are read")
    text = body.decode(errors="replace")
    return parse_qs(text, keep_blank_values=True, max_num_fields=10_000)


def _field(form: dict[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
