"""The board of rounds on the server: every loop of a workspace, and each as it runs, with its training
curves.

Reads the runs' files alone, so that it shows a loop of any process, and never disturbs one. Who may watch the
projects may look. The page loads itself anew while a loop runs. Leaves out starting and stopping loops.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import Field

from accord.domain import WorkspaceError
from accord.evaluation.report import browser
from accord.evaluation.report.contents import Curve
from accord.evaluation.report.markup import Markup, element, join
from accord.feedback.security import account_of, need
from accord.pipeline.rounds.page import loop_to_html, page_style
from accord.pipeline.rounds.reading import is_loop, is_simulated, round_samples
from accord.pipeline.rounds.releasing import read_ledger
from accord.pipeline.runs import Run
from accord.pipeline.workspace import Workspace
from accord.store.database.accounts import Accounts

REFRESH_S = 5
"""Between two looks at a loop that runs."""
CURVES = (
    ("sft/loss", "Fine-tuning", "loss"),
    ("reward/loss", "Reward model", "loss"),
    ("reward/accuracy", "Reward model", "accuracy"),
    ("reward/mean", "Policy", "reward"),
    ("kl/k1", "Policy", "KL, nats"),
    ("length/mean", "Policy", "tokens an answer"),
)
"""Logged metric, stage and what its axis says."""
Id = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def board_router(workspace: Workspace, accounts: Accounts) -> APIRouter:
    """Routes under `/rounds`."""
    router = APIRouter(prefix="/rounds", include_in_schema=False)

    def may_look(request: Request) -> bool:
        try:
            account = account_of(request, accounts)
        except HTTPException as error:
            if error.status_code == 401:
                return False
            raise
        need(account, "watch")
        return True

    @router.get("/board.css")
    def style() -> Response:
        return PlainTextResponse(page_style(), media_type="text/css")

    @router.get("/board.js")
    def script() -> Response:
        return PlainTextResponse(browser.script(), media_type="text/javascript")

    @router.get("")
    def listing(request: Request) -> Response:
        if not may_look(request):
            return RedirectResponse("/login", status_code=303)
        return HTMLResponse(_listing(workspace))

    @router.get("/{run_id}")
    def board(run_id: Id, request: Request) -> Response:
        if not may_look(request):
            return RedirectResponse("/login", status_code=303)
        return HTMLResponse(board_page(_loop(workspace, run_id)))

    @router.get("/{run_id}/rounds.json")
    def ledger(run_id: Id, request: Request) -> Response:
        if not may_look(request):
            raise HTTPException(401, "sign in first")
        run = _loop(workspace, run_id)
        return JSONResponse(json.loads((run.folder / "rounds.json").read_text(encoding="utf-8")))

    return router


def board_page(run: Run) -> str:
    """One loop as it stands, from its files."""
    rounds, state = read_ledger(run.folder)
    status = run.record.status
    is_running = status.value == "running"
    shown = {**state} if is_running or state.get("state") == "ended" else {**state, "state": str(status)}
    return loop_to_html(
        rounds,
        {**shown, "message": run.record.message},
        samples=round_samples(run.folder, len(rounds)),
        curves=live_curves(run.folder, str(state.get("stage", ""))) if is_running else (),
        is_simulated=is_simulated(run),
        refresh_s=REFRESH_S if is_running else None,
        beside=_links(run),
        assets="/rounds/board",
    )


def live_curves(folder: Path, stage: str) -> list[Curve]:
    """What the stage under way has logged so far; nothing where it logs nothing."""
    path = folder / "stages" / stage / "metrics.jsonl"
    if not stage or not path.is_file():
        return []
    rows: list[Mapping[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break  # the last line may be half written
    found = []
    for name, what, axis in CURVES:
        points = [(float(row["step"]), float(row["metrics"][name])) for row in rows if name in row["metrics"]]
        if len(points) > 1:
            steps, values = zip(*points, strict=True)
            found.append(Curve(stage=what, name=name, x=steps, y=values, y_label=axis))
    return found


def _loop(workspace: Workspace, run_id: str) -> Run:
    try:
        run = workspace.run(run_id)
    except WorkspaceError as error:
        raise HTTPException(404, str(error)) from error
    if not is_loop(run) or not (run.folder / "rounds.json").exists():
        raise HTTPException(404, f"run {run_id!r} is no loop of rounds")
    return run


def _links(run: Run) -> Markup:
    links = [("/rounds", "All loops"), ("/", "Projects"), (f"/rounds/{run.id}/rounds.json", "As JSON")]
    return element("nav", [element("a", text, href=place) for place, text in links], class_="board-links")


def _listing(workspace: Workspace) -> str:
    rows = []
    for run in workspace.runs():
        if not is_loop(run):
            continue
        rounds, state = read_ledger(run.folder)
        record = run.record
        released = sum(one.is_released for one in rounds)
        rows.append(
            element(
                "tr",
                element("th", element("a", run.id, href=f"/rounds/{run.id}"), scope="row"),
                element("td", str(state.get("title", ""))),
                element("td", str(record.status)),
                element("td", f"{len(rounds)} of {state.get('planned', '?')}"),
                element("td", str(released)),
                element("td", str(state.get("stage", "") or state.get("reason", ""))),
            )
        )
    names = ("Run", "Title", "Status", "Rounds", "Released", "Where")
    head = element("tr", [element("th", name, scope="col") for name in names])
    table = element("table", element("thead", head), element("tbody", rows))
    empty = element(
        "p", "No loop was run in this workspace yet: accord run examples/loop.toml", class_="lead"
    )
    body = element(
        "body",
        element(
            "header",
            element("p", element("b", "Accord"), element("span", "rounds", class_="quiet"), class_="brand"),
        ),
        element("main", element("h1", "Loops"), element("section", table if rows else empty)),
    )
    page_head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", "Loops · Accord"),
        element("link", rel="icon", href="data:,"),
        element("link", rel="stylesheet", href="/rounds/board.css"),
    )
    return "<!doctype html>\n" + join(element("html", page_head, body, lang="en")) + "\n"
