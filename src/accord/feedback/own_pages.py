"""The page on which somebody sees how he stands in a project, and does what he is asked there.

He reads, agrees, answers what was noticed, and sees what was decided otherwise. It works without scripts.
Known items never show here.
"""

from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from accord.domain.errors import AccordError, DataError, LeaseLost
from accord.feedback.guidelines import Guidelines
from accord.feedback.own_work import answer_alert, feedback_of, standing_of, take_test_anew
from accord.feedback.rooms import project_of
from accord.feedback.screen import Screen, field_of, read_form
from accord.feedback.security import account_of, need
from accord.feedback.work import Work
from accord.store.database.accounts import Account
from accord.store.database.people import People

Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]
ASKED = MappingProxyType({"consent": "terms", "guideline": "guideline"})
"""What is asked first, to the kind of text it is about."""
STATES = MappingProxyType(
    {
        None: "You have not worked here yet.",
        "training": "You are in training: each answer is explained.",
        "testing": "You are taking the entry test.",
        "active": "You are at work here.",
        "probation": "You are at work here, on probation.",
        "paused": "Your work here is paused.",
        "failed": "The entry test was not passed.",
        "left": "You have left this project.",
    }
)
"""How somebody stands, in words."""


def own_pages(screen: Screen, work: Work) -> APIRouter:
    """Routes of somebody's own page in a project."""
    router = APIRouter(prefix="/p/{project_id}", include_in_schema=False)
    people, guidelines = People(screen.accounts), Guidelines(work)

    def show(
        project_id: str, request: Request, account: Account, *, error: str = "", status: int = 200
    ) -> Response:
        reason = work.why_empty(project_id, account.id)
        asked = ASKED.get(reason["reason"])
        told = standing_of(work, project_id, account.id)
        values = {
            "project": project_of(work, project_id),
            "error": error,
            "reason": reason,
            "asked": asked,
            "text": asked and guidelines.newest(project_id, account.id, asked),
            "standing": told,
            "state": STATES[told["state"]],
            "may_requalify": told["state"] == "paused" and told["reason"] == "decline",
            "feedback": feedback_of(work, project_id, account.id).rows,
        }
        return screen.page("me.html", request, account, status=status, **values)

    @router.get("/me")
    def look(project_id: Id, request: Request) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "annotate", project_id)
        return show(project_id, request, account)

    @router.post("/me")
    async def act(project_id: Id, request: Request) -> Response:
        form = await read_form(request)
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=field_of(form, "csrf"))
        need(account, "annotate", project_id)

        def do() -> Response:
            try:
                _act(work, people, guidelines, project_id, account.id, form)
            except AccordError as error:
                status = 422 if isinstance(error, DataError) else 410 if isinstance(error, LeaseLost) else 409
                return show(project_id, request, account, error=str(error), status=status)
            is_begun = field_of(form, "step") in ("agree", "read", "requalify")
            place = "annotate" if is_begun else "me"
            return RedirectResponse(f"/p/{project_id}/{place}", status_code=303)

        return await run_in_threadpool(do)

    return router


def _act(
    work: Work,
    people: People,
    guidelines: Guidelines,
    project_id: str,
    user_id: str,
    form: dict[str, list[str]],
) -> None:
    step, given = field_of(form, "step"), field_of(form, "id")
    if step in ("agree", "read") and guidelines.project_of(given) != project_id:
        raise DataError("that text is of another project")
    match step:
        case "agree":
            people.agree(user_id, given)
        case "read":
            people.acknowledge(user_id, given)
        case "requalify":
            take_test_anew(work, people, project_id, user_id)
        case "answer":
            said = field_of(form, "answer").strip()[:10_000]
            if not said:
                raise DataError("your word is empty; write what you want your lead to know")
            answer_alert(work, given, user_id, said)
        case _:
            raise DataError(f"there is no step {step!r} on this page")
