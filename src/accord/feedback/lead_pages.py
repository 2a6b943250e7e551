"""The lead's pages: how a project stands."""

from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy import select
from starlette.exceptions import HTTPException

from accord.feedback.dashboard import build_dashboard
from accord.feedback.screen import Screen
from accord.feedback.security import need
from accord.feedback.work import Work
from accord.store.database.tables import project

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
        values = {"facts": facts, "states": STATES, "places": PLACES if may_review else {}}
        return screen.page("project.html", request, account, project=room, **values)

    return router


def _rate(given: str) -> float | None:
    """Pay an hour as somebody typed it; nothing for what is no amount."""
    try:
        rate = float(given.replace(",", "."))
    except ValueError:
        return None
    return rate if 0 <= rate < 1e6 else None
