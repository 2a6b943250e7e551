"""The page where one item is judged, what is fetched ahead for it, and one's own last judgments.

The same form works without scripts; with them the page asks for the next form as a fragment and hands
answers in behind the annotator's back. Leaves out what answers mean.
"""

import json
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import Field
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from accord.domain.errors import DataError, LeaseLost, StoreError
from accord.feedback.changes import paragraphs_of
from accord.feedback.conversing import Conversing, View
from accord.feedback.forms import answers_of, fields_of
from accord.feedback.keys import ACTIONS
from accord.feedback.own_work import lesson_of, newest_note
from accord.feedback.prefetch import fetch_ahead, give_back
from accord.feedback.reading import expected_reading_ms
from accord.feedback.screen import Screen, field_of, read_form, wants_json
from accord.feedback.security import account_of, need
from accord.feedback.work import Work, newest_definition
from accord.store.database.accounts import Account
from accord.store.database.people import People
from accord.store.database.people_tables import acknowledgement
from accord.store.database.queue import Receipt
from accord.store.database.states import AssignmentState, Purpose
from accord.store.database.tables import assignment, definition, project

SKIP_REASONS = (
    ("unclear", "The task or its text is unclear"),
    ("language", "In a language I do not read"),
    ("expertise", "Asks for knowledge I do not have"),
    ("harmful", "Upsetting; I do not want to read it"),
    ("broken", "Something is missing or broken"),
    ("other", "Another reason"),
)
"""Code and words; the order is that of the digits on the page."""
NOTED = frozenset({"diff", "raw", "scroll", "guard", "ahead", "guidelines", "width", "keyboard", "suggested"})
"""What a page may tell of how a judgment came about."""
DAY_MS = 86_400_000
Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]


def annotation_rooms(screen: Screen, work: Work, conversing: Conversing) -> APIRouter:
    """Routes of one project's annotators."""
    router = APIRouter(prefix="/p/{project_id}", include_in_schema=False)
    _judging(router, screen, work, conversing)
    _talking(router, screen, work, conversing)
    _looking_back(router, screen, work)
    _ahead(router, screen, work, conversing)
    return router


def _judging(router: APIRouter, screen: Screen, work: Work, conversing: Conversing) -> None:
    @router.get("/annotate")
    def annotate(project_id: Id, request: Request) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "annotate", project_id)
        return show(project_id, request, account)

    @router.post("/annotate")
    async def judge(project_id: Id, request: Request) -> Response:
        form = await read_form(request)
        csrf = field_of(form, "csrf")
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=csrf)
        need(account, "annotate", project_id)
        try:
            receipt, lesson = await run_in_threadpool(_take, work, project_id, account, form)
        except (DataError, LeaseLost) as error:
            if wants_json(request):
                raise
            is_unfit = isinstance(error, DataError)
            held = field_of(form, "assignment") if is_unfit else ""
            given = form if is_unfit else {}
            status = 422 if is_unfit else 410
            return show(project_id, request, account, error=str(error), status=status, held=held, given=given)
        if wants_json(request):
            return JSONResponse(_told(receipt) | ({} if lesson is None else {"training": lesson}))
        taught = "" if lesson is None else f"?lesson={field_of(form, 'assignment')}"
        return RedirectResponse(f"/p/{project_id}/annotate{taught}", status_code=303)

    def show(
        project_id: str,
        request: Request,
        account: Account,
        *,
        error: str = "",
        status: int = 200,
        held: str = "",
        given: dict[str, list[str]] | None = None,
    ) -> Response:
        room = project_of(work, project_id)
        found = work.page_of(held, account.id) if held else work.resume(project_id, account.id)
        view = None
        if found is not None and "live" in found["task"]:
            is_closing = bool(held) or request.query_params.get("step") == "close"
            view = conversing.view(found, account.id, is_closing=is_closing)
        values = {
            **(_form_of(found, given) if view is None else _form_of_view(view, given)),
            "project": room,
            "empty": None if found else work.why_empty(project_id, account.id),
            "guideline": _guideline(work, project_id, account.id),
            "actions": ACTIONS,
            "today": _today(work, account.id),
            "error": error,
            "lesson": _lesson(work, request.query_params.get("lesson", ""), account.id),
        }
        return screen.page("annotate.html", request, account, status=status, **values)


def _talking(router: APIRouter, screen: Screen, work: Work, conversing: Conversing) -> None:
    @router.post("/live/{assignment_id}/{step}")
    async def talk(project_id: Id, assignment_id: Id, step: str, request: Request) -> Response:
        form = await read_form(request)
        csrf = field_of(form, "csrf")
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=csrf)
        need(account, "annotate", project_id)
        row = await run_in_threadpool(work.owned, assignment_id, account.id)
        if row.project_id != project_id or step not in ("say", "again"):
            raise HTTPException(404, f"a conversation has no step {step!r} here")
        token = field_of(form, "token")
        is_answered = True
        if reason := field_of(form, "skip"):
            known = reason if reason in dict(SKIP_REASONS) else "other"
            await run_in_threadpool(work.queue.skip, row.id, token, known)
        else:
            is_answered = await _talk(conversing, row.id, account.id, form if step == "say" else None)
        if wants_json(request):
            return JSONResponse({"judgment_id": None, "received_ms": None, "is_answered": is_answered})
        return RedirectResponse(f"/p/{project_id}/annotate", status_code=303)


async def _talk(
    conversing: Conversing, assignment_id: str, user_id: str, form: dict[str, list[str]] | None
) -> bool:
    """Say what a form holds, or, without one, ask again what was said; whether it was answered."""
    if form is None:
        turn = await run_in_threadpool(conversing.open_turn, assignment_id, user_id)
        if turn is None:
            return True
    else:
        said = [field_of(form, name) for name in ("token", "key", "text")]
        turn = await run_in_threadpool(conversing.say, assignment_id, user_id, *said)
    return await conversing.answer(assignment_id, turn)


def _looking_back(router: APIRouter, screen: Screen, work: Work) -> None:
    @router.get("/history")
    def history(project_id: Id, request: Request) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "annotate", project_id)
        room = project_of(work, project_id)
        found = work.history(project_id, account.id).rows
        return screen.page("history.html", request, account, project=room, judgments=found)

    @router.get("/judgments/{judgment_id}")
    def look(project_id: Id, judgment_id: Id, request: Request) -> Response:
        account = screen.visitor(request)
        if account is None:
            return RedirectResponse("/login", status_code=303)
        need(account, "annotate", project_id)
        values = _revised(work, project_id, judgment_id, account)
        if wants_json(request):
            return JSONResponse({"html": screen.render("work.html", request, account, **values)})
        return screen.page("annotate.html", request, account, **values)

    @router.post("/judgments/{judgment_id}")
    async def revise(project_id: Id, judgment_id: Id, request: Request) -> Response:
        form = await read_form(request)
        csrf = field_of(form, "csrf")
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=csrf)
        need(account, "annotate", project_id)
        try:
            receipt = await run_in_threadpool(_revise, work, project_id, judgment_id, account, form)
        except DataError as error:
            if wants_json(request):
                raise
            values = {**_revised(work, project_id, judgment_id, account), "error": str(error), "given": form}
            return screen.page("annotate.html", request, account, status=422, **values)
        if wants_json(request):
            return JSONResponse(_told(receipt))
        return RedirectResponse(f"/p/{project_id}/history", status_code=303)

    def _revised(work: Work, project_id: str, judgment_id: str, account: Account) -> dict[str, Any]:
        old = _own(work, project_id, judgment_id, account)
        given = fields_of(old["answers"], old["task"]["questions"])
        return {
            **_form_of(old, given),
            "revises": judgment_id,
            "project": project_of(work, project_id),
            "guideline": _guideline(work, project_id, account.id),
            "actions": ACTIONS,
            "today": _today(work, account.id),
            "error": "",
        }


def _ahead(router: APIRouter, screen: Screen, work: Work, conversing: Conversing) -> None:
    @router.post("/ahead")
    async def ahead(project_id: Id, request: Request) -> Response:
        form = await read_form(request)
        csrf = field_of(form, "csrf")
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=csrf)
        need(account, "annotate", project_id)
        room = await run_in_threadpool(project_of, work, project_id)
        given = field_of(form, "count")
        count = int(given) if given in ("0", "1", "2", "3", "4") else 2
        have = form.get("have", [])[:20]
        apart = form.get("apart", [])[:100]
        if await run_in_threadpool(conversing.is_live, project_id):
            values = await run_in_threadpool(_next_view, conversing, project_id, account.id, apart, have)
            return JSONResponse(_told_view(screen, request, account, {**values, "project": room}))
        found = await run_in_threadpool(
            fetch_ahead, work, project_id, account.id, have=have, count=count, apart=apart
        )
        made = [
            {
                "id": one["id"],
                "html": screen.render("work.html", request, account, project=room, **_form_of(one, None)),
            }
            for one in found.fetched
        ]
        empty = None if made or len(have) > len(found.gone) else work.why_empty(project_id, account.id)
        if empty is not None:
            empty = {**empty, "text": screen.words(request, account)(empty["text"])}
        note = await run_in_threadpool(newest_note, work, project_id, account.id)
        if note is not None:
            note = {**note, "text": screen.words(request, account)(note["text"])}
        return JSONResponse({"works": made, "gone": found.gone, "empty": empty, "note": note})

    @router.post("/back")
    async def back(project_id: Id, request: Request) -> Response:
        form = await read_form(request)
        csrf = field_of(form, "csrf")
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=csrf)
        need(account, "annotate", project_id)
        await run_in_threadpool(give_back, work, account.id, form.get("id", [])[:20])
        return JSONResponse({"status": "ok"})

    @router.post("/guideline-read")
    async def read(project_id: Id, request: Request) -> Response:
        form = await read_form(request)
        csrf = field_of(form, "csrf")
        account = await run_in_threadpool(account_of, request, screen.accounts, csrf=csrf)
        need(account, "annotate", project_id)
        room = await run_in_threadpool(project_of, work, project_id)
        given = field_of(form, "version")
        if not (given.isascii() and given.isdigit() and len(given) < 10):
            raise DataError(f"version is {given!r}; expected a number")
        definition_id = await run_in_threadpool(_version_of, work, room["id"], int(given))
        await run_in_threadpool(People(screen.accounts).acknowledge, account.id, definition_id)
        if wants_json(request):
            return JSONResponse({"status": "ok"})
        return RedirectResponse(f"/p/{project_id}/annotate", status_code=303)


def _next_view(
    conversing: Conversing, project_id: str, user_id: str, apart: list[str], have: list[str]
) -> dict[str, Any]:
    """The step of a conversation that the page does not have yet: never more than one."""
    work = conversing.work
    page = work.resume(project_id, user_id)
    if page is None:
        return {"view": None, "gone": have, "empty": work.why_empty(project_id, user_id)}
    view = conversing.view(page, user_id)
    is_there = view.id in have
    # What is on the desk or on its way, and the end of the conversation itself, come before any other step.
    is_apart = view.id in apart or page["id"] in apart
    gone = [one for one in have if one != view.id]
    return {"view": None if is_apart or is_there else view, "gone": gone, "empty": None}


def _told_view(screen: Screen, request: Request, account: Account, values: dict[str, Any]) -> dict[str, Any]:
    view, works, empty = values["view"], [], values["empty"]
    if view is not None:
        form = {**_form_of_view(view, None), "project": values["project"]}
        name = "live.html" if view.step in ("say", "again") else "work.html"
        works.append({"id": view.id, "html": screen.render(name, request, account, **form)})
    if empty is not None:
        empty = {**empty, "text": screen.words(request, account)(empty["text"])}
    return {"works": works, "gone": values["gone"], "empty": empty}


def _form_of_view(view: View, given: dict[str, list[str]] | None) -> dict[str, Any]:
    return {**_form_of(view.work, given), "view": view}


def _form_of(found: dict[str, Any] | None, given: dict[str, list[str]] | None) -> dict[str, Any]:
    """What the fragment of one item needs; `given` are the fields it starts with."""
    texts = [] if found is None else [*found["shown"]["candidates"]]
    if found is not None:
        texts += [one["content"] for one in found["shown"]["messages"]]
        texts += [one["text"] for one in found["shown"]["passages"]]
    return {
        "work": found,
        "given": given or {},
        "key": secrets.token_hex(16),
        "reasons": SKIP_REASONS,
        "expected_ms": expected_reading_ms(texts),
    }


def _take(
    work: Work, project_id: str, account: Account, form: dict[str, list[str]]
) -> tuple[Receipt | None, dict[str, Any] | None]:
    """What became of a form, and what a training item teaches."""
    row = work.owned(field_of(form, "assignment"), account.id)
    if row.project_id != project_id:
        raise LeaseLost(f"there is no assignment {row.id!r} of yours in this project")
    token = field_of(form, "token")
    if reason := field_of(form, "skip"):
        work.queue.skip(row.id, token, reason if reason in dict(SKIP_REASONS) else "other")
        return None, None
    n_places = len(row.presentation["permutation"])
    answers = answers_of(work.schema(row.schema_id).shown()["questions"], form, n_places)
    sent = {"token": token, "answers": answers, **_circumstances(form)}
    receipt = work.submit(row.id, account.id, sent)
    return receipt, lesson_of(work, row.id, account.id) if row.purpose == Purpose.TRAINING else None


def _lesson(work: Work, assignment_id: str, user_id: str) -> dict[str, Any] | None:
    """What a training item that was just answered teaches; nothing of any other work."""
    try:
        return lesson_of(work, assignment_id, user_id) if assignment_id else None
    except LeaseLost:
        return None


def _revise(
    work: Work, project_id: str, judgment_id: str, account: Account, form: dict[str, list[str]]
) -> Receipt:
    old = _own(work, project_id, judgment_id, account)
    answers = answers_of(old["task"]["questions"], form, len(old["shown"]["candidates"]))
    return work.revise(judgment_id, account.id, {"answers": answers, **_circumstances(form)})


def _own(work: Work, project_id: str, judgment_id: str, account: Account) -> dict[str, Any]:
    found = work.history(project_id, account.id).rows
    one = next((one for one in found if one["judgment_id"] == judgment_id), None)
    if one is None:
        raise HTTPException(404, f"there is no judgment {judgment_id!r} among your last {len(found)}")
    return {**one, "id": "", "token": ""}


def _circumstances(form: dict[str, list[str]]) -> dict[str, Any]:
    sent: dict[str, Any] = {"key": field_of(form, "key"), "ui": {"form": True}}
    for name in ("duration_ms", "active_ms"):
        given = field_of(form, name)
        if given.isascii() and given.isdigit() and len(given) < 10:
            sent[name] = int(given)
    try:
        told = json.loads(field_of(form, "ui") or "{}")
    except ValueError:
        told = {}
    if isinstance(told, dict):
        sent["ui"] |= {name: value for name, value in told.items() if name in NOTED and _is_brief(value)}
    return sent


def _is_brief(value: Any) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, str) and len(value) < 40)


def _told(receipt: Receipt | None) -> dict[str, Any]:
    if receipt is None:
        return {"judgment_id": None, "received_ms": None}
    return {
        "judgment_id": receipt.judgment_id,
        "revision": receipt.revision,
        "is_late": receipt.is_late,
        "received_ms": receipt.received_ms,
    }


def project_of(work: Work, project_id: str) -> dict[str, str]:
    """Id and name of a project; 404 where there is none."""
    with work.database.read() as connection:
        row = connection.execute(select(project).where(project.c.id == project_id)).first()
    if row is None:
        raise HTTPException(404, f"there is no project {project_id!r}")
    return {"id": row.id, "name": row.name}


def _guideline(work: Work, project_id: str, user_id: str) -> dict[str, Any] | None:
    """The newest guideline, its paragraphs marked against the version this annotator has read."""
    with work.database.read() as connection:
        read = connection.execute(
            select(func.max(definition.c.version))
            .join(acknowledgement, acknowledgement.c.definition_id == definition.c.id)
            .where(
                acknowledgement.c.user_id == user_id,
                definition.c.project_id == project_id,
                definition.c.kind == "guideline",
            )
        ).scalar()
        row = newest_definition(connection, project_id, "guideline")
        if row is None:
            return None
        earlier = None
        if read is not None and read < row.version:
            earlier = connection.execute(
                select(definition.c.body).where(
                    definition.c.project_id == project_id,
                    definition.c.kind == "guideline",
                    definition.c.version == read,
                )
            ).scalar()
    paragraphs = paragraphs_of(row.body["markdown"], earlier["markdown"] if earlier else None)
    return {
        "version": row.version,
        "read": read,
        "paragraphs": paragraphs,
        "n_changed": sum(one.is_changed for one in paragraphs),
    }


def _version_of(work: Work, project_id: str, version: int) -> str:
    """The id of a version of the guideline; raises `StoreError` for one that is not there."""
    with work.database.read() as connection:
        found = connection.execute(
            select(definition.c.id).where(
                definition.c.project_id == project_id,
                definition.c.kind == "guideline",
                definition.c.version == version,
            )
        ).scalar()
    if found is None:
        raise StoreError(f"the guideline has no version {version}")
    return str(found)


def _today(work: Work, user_id: str) -> dict[str, int]:
    """Judgments and active minutes of the last 24 hours."""
    now = int(work.queue.clock.now().timestamp() * 1000)
    done = [one.value for one in AssignmentState if one.has_judgment]
    with work.database.read() as connection:
        n_judged, active_ms = connection.execute(
            select(func.count(), func.sum(assignment.c.active_ms)).where(
                assignment.c.user_id == user_id,
                assignment.c.state.in_(done),
                assignment.c.closed_ms > now - DAY_MS,
            )
        ).one()
    return {"n_judged": n_judged, "active_ms": int(active_ms or 0)}
