"""The pages of reviewers, adjudicators and leads: review, decide, people, and the door for the invited.

They are forms that work without scripts; a small script adds the keys.
"""

import secrets
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from accord.domain.errors import AccordError, DataError, LeaseLost, StoreError
from accord.feedback.forms import answers_of
from accord.feedback.guidelines import Guidelines
from accord.feedback.own_work import alerts_of
from accord.feedback.reviewing import Reviewing
from accord.feedback.rooms import project_of
from accord.feedback.screen import Screen, field_of, read_form
from accord.feedback.security import account_of, need
from accord.feedback.workflow import CAUSES, REASONS
from accord.store.database.accounts import Account, Role
from accord.store.database.people import People
from accord.store.database.states import PERSON_STEPS, Lane, PersonState
from accord.store.database.tables import user
from accord.store.database.workflow_tables import standing

Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]
VERDICTS = MappingProxyType(
    {
        "accept": ("Accept", "1"),
        "fix": ("Fix", "2"),
        "reject_requeue": ("Ask again", "3"),
        "reject_drop": ("Drop", "4"),
    }
)
"""Verdict to words and key."""
STANDS = MappingProxyType(
    {
        "training": "in training",
        "testing": "takes the test",
        "active": "at work",
        "probation": "on probation",
        "paused": "paused",
        "failed": "failed the test",
        "left": "has left",
    }
)
"""How somebody stands, in a word or two."""
KINDS = MappingProxyType({"decline": "worse on known items", "fatigue": "several signs of tiredness"})
"""What a lead is told of, in words."""


def install_review_pages(app: FastAPI, screen: Screen, reviewing: Reviewing, people: People) -> None:
    """Add the pages to the application."""
    app.include_router(_reading(screen, reviewing))
    app.include_router(_leading(screen, reviewing, people))
    app.include_router(_door(screen, people))


def _reading(screen: Screen, reviewing: Reviewing) -> APIRouter:
    router = APIRouter(prefix="/p/{project_id}", include_in_schema=False)
    lanes = {"review": Lane.REVIEW, "adjudicate": Lane.ADJUDICATE}

    def show(
        place: str, project_id: str, request: Request, account: Account, error: str = "", status: int = 200
    ) -> Response:
        need(account, "review", project_id)
        page = reviewing.next(project_id, account.id, lanes[place])
        labels = {} if page is None else {one["id"]: one["label"] for one in page["task"]["questions"]}
        values = {
            "project": project_of(reviewing.work, project_id),
            "page": page,
            "labels": labels,
            "verdicts": VERDICTS,
            "reasons": REASONS,
            "causes": CAUSES,
            "guideline": Guidelines(reviewing.work).newest(project_id, account.id),
            "may_manage": account.may("manage", project_id),
            "key": secrets.token_hex(16),
            "error": error,
        }
        return screen.page(f"{place}.html", request, account, status=status, **values)

    def look(place: str, project_id: str, request: Request) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        return show(place, project_id, request, account)

    async def take(place: str, project_id: str, request: Request) -> Response:
        form = await read_form(request)
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=field_of(form, "csrf"))
        need(account, "review", project_id)
        act = _review if place == "review" else _adjudicate
        try:
            await run_in_threadpool(act, reviewing, project_id, account, form)
        except (DataError, LeaseLost, StoreError) as error:
            status = 422 if isinstance(error, DataError) else 410 if isinstance(error, LeaseLost) else 409
            again = partial(show, place, project_id, request, account, str(error), status)
            return await run_in_threadpool(again)
        return RedirectResponse(f"/p/{project_id}/{place}", status_code=303)

    @router.get("/review")
    def review(project_id: Id, request: Request) -> Response:
        return look("review", project_id, request)

    @router.post("/review")
    async def take_review(project_id: Id, request: Request) -> Response:
        return await take("review", project_id, request)

    @router.get("/adjudicate")
    def adjudicate(project_id: Id, request: Request) -> Response:
        return look("adjudicate", project_id, request)

    @router.post("/adjudicate")
    async def take_adjudication(project_id: Id, request: Request) -> Response:
        return await take("adjudicate", project_id, request)

    return router


def _leading(screen: Screen, reviewing: Reviewing, people: People) -> APIRouter:
    router = APIRouter(prefix="/p/{project_id}", include_in_schema=False)

    def show(
        project_id: str, request: Request, account: Account, *, error: str = "", link: str = ""
    ) -> Response:
        values = {
            "project": project_of(reviewing.work, project_id),
            "people": _people_of(reviewing, project_id),
            "alerts": alerts_of(reviewing.work, project_id).rows,
            "words": STANDS,
            "kinds": KINDS,
            "error": error,
            "link": link,
        }
        status = 409 if error else 200
        return screen.page("people.html", request, account, status=status, **values)

    @router.get("/people")
    def look(project_id: Id, request: Request) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "manage", project_id)
        return show(project_id, request, account)

    @router.post("/people")
    async def change(project_id: Id, request: Request) -> Response:
        form = await read_form(request)
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=field_of(form, "csrf"))
        need(account, "manage", project_id)

        def act() -> Response:
            try:
                link = _change_people(people, project_id, account, form, str(request.base_url))
            except AccordError as error:
                return show(project_id, request, account, error=str(error))
            return show(project_id, request, account, link=link)

        return await run_in_threadpool(act)

    return router


def _door(screen: Screen, people: People) -> APIRouter:
    router = APIRouter(prefix="/join", include_in_schema=False)

    def show(
        token: str, request: Request, *, error: str = "", handle: str = "", status: int = 200
    ) -> Response:
        is_open = people.is_open(token)
        values = {"is_open": is_open, "error": error, "handle_given": handle}
        return screen.page("join.html", request, None, status=status if is_open else 410, **values)

    @router.get("/{token}")
    def ask(token: str, request: Request) -> Response:
        return show(token, request)

    @router.post("/{token}")
    async def join(token: str, request: Request) -> Response:
        form = await read_form(request)
        handle = field_of(form, "handle")
        try:
            await run_in_threadpool(people.accept, token, handle, field_of(form, "password"))
        except StoreError as error:
            again = partial(show, token, request, error=str(error), handle=handle, status=409)
            return await run_in_threadpool(again)
        return RedirectResponse("/login", status_code=303)

    return router


def _review(reviewing: Reviewing, project_id: str, account: Account, form: dict[str, list[str]]) -> None:
    row = _own(reviewing, project_id, account, form)
    verdict = field_of(form, "verdict")
    if verdict not in VERDICTS:
        raise DataError("choose a verdict")
    sent: dict[str, Any] = {
        **_held(form),
        "verdict": verdict,
        "reasons": form.get("reason", []),
        "note": field_of(form, "note")[:10_000],
        "key": field_of(form, "key"),
    }
    if verdict == "fix":
        sent["answers"] = _answers(reviewing, row, form)
    reviewing.review(field_of(form, "judgment"), account.id, sent)


def _adjudicate(reviewing: Reviewing, project_id: str, account: Account, form: dict[str, list[str]]) -> None:
    row = _own(reviewing, project_id, account, form)
    is_dropped = field_of(form, "step") == "drop"
    wants_gold = bool(field_of(form, "make_gold"))
    if wants_gold:
        need(account, "manage", project_id)
    sent = {
        **_held(form),
        "cause": "unusable" if is_dropped else field_of(form, "cause"),
        "note": field_of(form, "note")[:10_000],
        "rule": field_of(form, "rule")[:10_000],
        "key": field_of(form, "key"),
        "answers": None if is_dropped else _answers(reviewing, row, form),
        "make_gold": wants_gold and not is_dropped,
    }
    reviewing.adjudicate(field_of(form, "item"), account.id, sent)


def _change_people(
    people: People, project_id: str, account: Account, form: dict[str, list[str]], base: str
) -> str:
    """Do what the form asks; the link of an invitation, nothing otherwise."""
    if field_of(form, "step") == "invite":
        role = Role(field_of(form, "role"))
        if role not in (Role.ANNOTATOR, Role.REVIEWER):
            raise DataError("from here annotators and reviewers are invited")
        skills = [one.strip() for one in field_of(form, "skills").split(",") if one.strip()]
        token = people.invite(role, account.id, project_id=project_id, skills=skills)
        return f"{base}join/{token}"
    state = PersonState(field_of(form, "state"))
    people.set_state(field_of(form, "user"), project_id, state, by=account.id, reason="by a lead")
    return ""


def _people_of(reviewing: Reviewing, project_id: str) -> list[dict[str, Any]]:
    with reviewing.work.database.read() as connection:
        rows = connection.execute(
            select(standing, user.c.handle)
            .join(user, user.c.id == standing.c.user_id)
            .where(standing.c.project_id == project_id)
            .order_by(user.c.handle)
            .limit(1000)
        ).all()
    return [{**row._mapping, "steps": sorted(PERSON_STEPS[PersonState(row.state)])} for row in rows]


def _own(reviewing: Reviewing, project_id: str, account: Account, form: dict[str, list[str]]) -> Any:
    row = reviewing.work.owned(field_of(form, "assignment"), account.id)
    if row.project_id != project_id:
        raise LeaseLost(f"there is no assignment {row.id!r} of yours in this project")
    return row


def _held(form: dict[str, list[str]]) -> dict[str, str]:
    return {name: field_of(form, name) for name in ("assignment", "token")}


def _answers(reviewing: Reviewing, row: Any, form: dict[str, list[str]]) -> dict[str, Any]:
    questions = reviewing.work.schema(row.schema_id).shown()["questions"]
    return answers_of(questions, form, len(row.presentation["permutation"]))
