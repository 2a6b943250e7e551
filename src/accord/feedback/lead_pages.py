"""The lead's pages: how a project stands."""

from contextlib import suppress
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from accord.domain.errors import DataError, StoreError
from accord.feedback.dashboard import build_dashboard
from accord.feedback.reviewing import Reviewing
from accord.feedback.screen import Screen, field_of, read_form
from accord.feedback.security import account_of, need
from accord.feedback.work import Work, first_words
from accord.store.database.states import ItemState
from accord.store.database.tables import content, item, project

STATES = MappingProxyType(
    {
        "queued": "Not begun",
        "in_progress": "Being judged",
        "in_review": "In review",
        "in_adjudication": "To be decided",
        "on_hold": "On hold",
        "judged": "Judged",
        "complete": "Complete",
        "withdrawn": "Dropped",
    }
)
"""States of items to words, in the order of their way."""
PLACES = MappingProxyType({"in_review": "review", "in_adjudication": "adjudicate"})
"""Where somebody who may goes on with items of a state."""
HELD = 20
"""Items on hold that are listed; all are counted."""
Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]


def lead_pages(screen: Screen, work: Work) -> APIRouter:
    """Routes of one project's leads."""
    router = APIRouter(prefix="/p/{project_id}", include_in_schema=False)

    @router.get("")
    def dashboard(
        project_id: Id, request: Request, rate: Annotated[str, Query(max_length=12)] = ""
    ) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "watch", project_id)
        with work.database.read() as connection:
            row = connection.execute(select(project).where(project.c.id == project_id)).first()
        if row is None:
            raise HTTPException(404, f"there is no project {project_id!r}")
        facts = build_dashboard(work, project_id, rate=_rate(rate))
        room = {"id": row.id, "name": row.name}
        may_review = account.may("review", project_id)
        values: dict[str, Any] = {"facts": facts, "states": STATES, "places": PLACES if may_review else {}}
        values["may_manage"] = may_manage = account.may("manage", project_id)
        is_held = may_manage and facts["items"].get(ItemState.ON_HOLD)
        values["held"] = held_items(work, project_id) if is_held else []
        return screen.page("project.html", request, account, project=room, **values)

    @router.post("/release")
    async def release(project_id: Id, request: Request) -> Response:
        form = await read_form(request)
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=field_of(form, "csrf"))
        need(account, "manage", project_id)

        def do() -> None:
            reviewing, item_id = Reviewing(work), field_of(form, "item")
            if reviewing.project_of(item_id) != project_id:
                raise DataError("that item is of another project")
            with suppress(StoreError):  # of two leads at once the second finds it done
                reviewing.release(item_id, account.id)

        await run_in_threadpool(do)
        return RedirectResponse(f"/p/{project_id}", status_code=303)

    return router


def held_items(work: Work, project_id: str) -> list[dict[str, str]]:
    """The first items on hold, each with the beginning of what was asked."""
    with work.database.read() as connection:
        rows = connection.execute(
            select(item.c.id, item.c.stage, content.c.body)
            .join(content, content.c.hash == item.c.content_hash)
            .where(item.c.project_id == project_id, item.c.state == ItemState.ON_HOLD.value)
            .order_by(item.c.id)
            .limit(HELD)
        ).all()
    return [{"id": row.id, "stage": row.stage, "label": first_words(row.body)} for row in rows]


def _rate(given: str) -> float | None:
    """Pay an hour as somebody typed it; nothing for what is no amount."""
    try:
        rate = float(given.replace(",", "."))
    except ValueError:
        return None
    return rate if 0 <= rate < 1e6 else None
