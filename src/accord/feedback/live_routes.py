"""Conversations with live models over the interface: what was said so far, and saying more."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from accord.feedback.conversing import Conversing
from accord.feedback.security import need
from accord.store.database.accounts import Account

Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]


class Said(BaseModel):
    """What is said next in a conversation."""

    model_config = ConfigDict(extra="forbid")
    token: str = Field(max_length=36)
    key: str = Field(min_length=8, max_length=200)
    text: str = Field(max_length=100_000)


def live_routes(conversing: Conversing, signed_in: Any) -> APIRouter:
    """Routes of conversations."""
    router = APIRouter(prefix="/api/v1/assignments/{assignment_id}", tags=["work"])
    work = conversing.work

    @router.get("/turns")
    def so_far(assignment_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "annotate", work.owned(assignment_id, account.id).project_id)
        return _shown(conversing, assignment_id, account.id)

    @router.post("/turns")
    async def say(
        assignment_id: Id, body: Said, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        row = await run_in_threadpool(work.owned, assignment_id, account.id)
        need(account, "annotate", row.project_id)
        turn = await run_in_threadpool(
            conversing.say, assignment_id, account.id, body.token, body.key, body.text
        )
        await conversing.answer(assignment_id, turn)
        return await run_in_threadpool(_shown, conversing, assignment_id, account.id)

    return router


def _shown(conversing: Conversing, assignment_id: str, user_id: str) -> dict[str, Any]:
    """The step somebody stands at; `turn` is the piece of work to judge, nothing while there is none.

    With the step `again` the models did not answer: the same text under the same key asks them once more.
    """
    view = conversing.view(conversing.work.page_of(assignment_id, user_id), user_id)
    is_turn = view.step == "judge"
    return {
        "step": view.step,
        "n_turns": view.n_turns,
        "may_finish": view.may_finish,
        "text": view.text,
        "turn": view.work if is_turn else None,
        "messages": view.work["shown"]["messages"],
    }
