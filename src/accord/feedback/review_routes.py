"""The interface of reviewers, adjudicators, and leads who steer items: routes under /api/v1."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from accord.feedback.keyed import KeyedRoute
from accord.feedback.reviewing import Reviewing
from accord.feedback.security import need
from accord.feedback.workflow import parse_workflow
from accord.store.database.accounts import Account
from accord.store.database.reviews import Verdict
from accord.store.database.states import Lane

Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]
Key = Annotated[str, Field(min_length=8, max_length=200)]
Note = Annotated[str, Field(max_length=10_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Held(_Body):
    assignment: str = Field(max_length=36)
    token: str = Field(max_length=36)


class ReviewBody(_Held):
    """A verdict on one judgment."""

    verdict: Verdict
    reasons: list[str] = Field(default=[], max_length=10)
    note: Note = ""
    key: Key | None = None
    answers: dict[str, Any] | None = None


class AdjudicationBody(_Held):
    """The last word; without answers the item cannot be judged."""

    cause: str = Field(max_length=32)
    note: Note = ""
    rule: Note = ""
    key: Key | None = None
    answers: dict[str, Any] | None = None
    make_gold: bool = False


class GoldBody(_Body):
    """How a decided item becomes a known one."""

    explanation: Note = ""
    tier: str = Field(default="hidden", pattern="^(hidden|training|test)$")
    exposure_cap: int | None = Field(default=None, ge=1, le=100_000)


class WorkflowBody(_Body):
    """A new version of a workflow."""

    stages: list[dict[str, Any]]
    dry_run: bool = False


def review_router(reviewing: Reviewing, signed_in: Any) -> APIRouter:
    """Review, adjudication, known items, holds, workflows."""
    router = APIRouter(prefix="/api/v1", tags=["review"])
    router.include_router(_reading(reviewing, signed_in))
    router.include_router(_steering(reviewing, signed_in))
    return router


def _reading(reviewing: Reviewing, signed_in: Any) -> APIRouter:
    router = APIRouter(route_class=KeyedRoute)

    @router.post("/projects/{project_id}/review/next")
    def next_review(project_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "review", project_id)
        return {"review": reviewing.next(project_id, account.id, Lane.REVIEW)}

    @router.post("/judgments/{judgment_id}/review")
    def review(
        judgment_id: Id, body: ReviewBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        need(account, "review", reviewing.work.owned(body.assignment, account.id).project_id)
        found = reviewing.review(judgment_id, account.id, body.model_dump())
        return {"n_left": found.n_left, "replacement_id": found.replacement_id}

    @router.post("/projects/{project_id}/adjudication/next")
    def next_adjudication(project_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "review", project_id)
        return {"adjudication": reviewing.next(project_id, account.id, Lane.ADJUDICATE)}

    @router.post("/items/{item_id}/adjudicate")
    def adjudicate(
        item_id: Id, body: AdjudicationBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        project_id = reviewing.work.owned(body.assignment, account.id).project_id
        need(account, "review", project_id)
        if body.make_gold:
            need(account, "manage", project_id)
        return {"judgment_id": reviewing.adjudicate(item_id, account.id, body.model_dump())}

    @router.get("/items/{item_id}/way")
    def way(item_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "watch", reviewing.project_of(item_id))
        return {"way": reviewing.way_of(item_id)}

    return router


def _steering(reviewing: Reviewing, signed_in: Any) -> APIRouter:
    router = APIRouter(route_class=KeyedRoute)

    @router.post("/items/{item_id}/gold", status_code=201)
    def make_gold(
        item_id: Id, body: GoldBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        need(account, "manage", reviewing.project_of(item_id))
        reviewing.make_gold(item_id, account.id, **body.model_dump())
        return {"status": "known"}

    @router.post("/items/{item_id}/retire")
    def retire(item_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "manage", reviewing.project_of(item_id))
        reviewing.retire_gold(item_id, account.id)
        return {"status": "retired"}

    @router.post("/items/{item_id}/release")
    def release(item_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "manage", reviewing.project_of(item_id))
        reviewing.release(item_id, account.id)
        return {"status": "released"}

    @router.get("/projects/{project_id}/workflow")
    def workflow(project_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "watch", project_id)
        return reviewing.work.workflow_of(project_id)

    @router.put("/projects/{project_id}/workflow")
    def publish(
        project_id: Id, body: WorkflowBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        need(account, "manage", project_id)
        data = {"stages": body.stages}
        parse_workflow(data, "workflow")
        if body.dry_run:
            return {"id": None, "n_moved": 0}
        return reviewing.work.publish_workflow(project_id, data)

    return router
