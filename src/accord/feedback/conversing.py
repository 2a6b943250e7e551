"""Conversations with live models, step by step: say something, see the answers, judge them, say more, finish.

Each turn's answers are an item of their own, judged like any other; what is said between is kept before a
model is asked. Models are asked outside any transaction and in threads of their own, so that a slow one
holds up nobody else. One that does not answer is noted, shown as what it is, and asked again on wish.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool

from accord.domain.errors import DataError, ModelAway
from accord.feedback.live import Live, LiveModel, Speakers
from accord.feedback.schema import TaskSchema
from accord.feedback.turns import after_turn, checked_text, kept_answer, may_finish, opening
from accord.feedback.work import Work, newest_definition
from accord.store.database.live import LiveTurns, Turn
from accord.store.database.projects import Projects, hash_of
from accord.store.database.tables import assignment, content, definition, item, judgment

ASKING = 64
"""Answers that are waited for at one time; others wait their turn."""
MOST_CHARS = 200_000
"""Of one answer that is taken."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What somebody in a conversation sees next."""

    id: str
    """Another one for each step."""
    step: str
    """say, again (the models did not answer), judge, or close."""
    work: dict[str, Any]
    """The piece of work, as the page shows it: the turn's in `judge`, else the conversation's."""
    text: str = ""
    """What was said and has no answer yet."""
    n_failures: int = 0
    """How often it was asked in vain."""
    n_turns: int = 0
    may_finish: bool = False


@dataclass(frozen=True)
class Conversing:
    """Leads conversations."""

    work: Work
    speakers: Speakers | None
    _turn_schemas: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Version of a task to the version of what is asked of its turns."""

    @cached_property
    def turns(self) -> LiveTurns:
        """What was said."""
        return LiveTurns(self.work.queue)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=ASKING, thread_name_prefix="live model")

    def is_live(self, project_id: str) -> bool:
        """Whether a project's work is conversations."""
        with self.work.database.read() as connection:
            newest = newest_definition(connection, project_id, "schema")
        return newest is not None and self.work.schema(newest.id).live is not None

    def view(self, page: Mapping[str, Any], user_id: str, *, is_closing: bool = False) -> View:
        """Where somebody stands in the conversation that a page of work is about."""
        row = self.work.owned(page["id"], user_id)
        live, said = self._live(row), self.turns.of(row.item_id, user_id)
        last = said[-1] if said else None
        ends = may_finish(live, said)
        facts: dict[str, Any] = {"n_turns": len(said), "may_finish": ends}
        if last is not None and last.is_answered and not last.is_settled:
            turn = self.work.page_of(str(last.assignment_id), user_id)
            turn["shown"] = {**turn["shown"], **_topic(row)}
            return View(id=turn["id"], step="judge", work=turn, **facts)
        messages = self._so_far(live, row, said)
        shown = {**page["shown"], "messages": messages}
        held = {**page, "shown": shown}
        if last is not None and not last.is_answered:
            place = f"{row.id}.{len(said)}.again.{last.n_failures}"
            return View(
                id=place, step="again", work=held, text=last.text, n_failures=last.n_failures, **facts
            )
        if ends and (is_closing or len(said) >= live.max_turns):
            return View(id=row.id, step="close", work=held, **facts)
        return View(id=f"{row.id}.{len(said) + 1}.say", step="say", work=held, **facts)

    def say(self, assignment_id: str, user_id: str, token: str, key: str, text: str) -> Turn:
        """Write down what somebody says next."""
        live = self._live(self.work.owned(assignment_id, user_id))
        return self.turns.say(assignment_id, token, key, checked_text(text), most=live.max_turns)

    def open_turn(self, assignment_id: str, user_id: str) -> Turn | None:
        """The turn that waits for its answers; nothing where none does."""
        row = self.work.owned(assignment_id, user_id)
        said = self.turns.of(row.item_id, user_id)
        return said[-1] if said and not said[-1].is_answered else None

    async def answer(self, assignment_id: str, turn: Turn) -> bool:
        """Have a turn answered; says whether it was. Answered once, it is never answered again."""
        if turn.is_answered:
            return True
        plan = await run_in_threadpool(self._plan, assignment_id, turn)
        loop = asyncio.get_running_loop()
        asked = [
            loop.run_in_executor(self._pool, self._ask, model, plan.messages, plan.live)
            for model in plan.models
        ]
        found = await asyncio.gather(*asked, return_exceptions=True)
        for one in found:
            if isinstance(one, ModelAway):
                await run_in_threadpool(self.turns.fail, turn.id, str(one))
                return False
            if isinstance(one, BaseException):
                raise one
        texts = [str(one) for one in found]
        await run_in_threadpool(self._keep, plan, turn, texts)
        return True

    def _plan(self, assignment_id: str, turn: Turn) -> "_Plan":
        row = self.work.owned(assignment_id, turn.user_id)
        live = self._live(row)
        before = [one for one in self.turns.of(row.item_id, turn.user_id) if one.number < turn.number]
        messages = [*self._so_far(live, row, before), {"role": "user", "content": turn.text}]
        return _Plan(
            row=row,
            live=live,
            messages=messages,
            models=_drawn(live),
            schema_id=self._turn_schema(row),
        )

    def _ask(self, model: LiveModel, messages: Sequence[Mapping[str, str]], live: Live) -> str:
        if self.speakers is None:
            raise ModelAway("this server asks no live models")
        text = self.speakers.ask(model, messages, live).replace("\x00", "").strip()
        text = text.encode(errors="replace").decode()  # half a letter, cut off at the limit, cannot be kept
        if not text or len(text) > MOST_CHARS:
            raise ModelAway(f"model {model.name!r}: an answer of {len(text)} characters")
        return text

    def _keep(self, plan: "_Plan", turn: Turn, texts: Sequence[str]) -> None:
        live = plan.live
        n_pairs = max(1, len(live.models) * (len(live.models) - 1) // 2)
        body = {
            "messages": plan.messages,
            "candidates": [
                {"text": text, "model": model.name} for text, model in zip(texts, plan.models, strict=True)
            ],
            "meta": {
                "live": {
                    "conversation": turn.conversation_id,
                    "turn": turn.number,
                    "max_tokens": live.max_tokens,
                    "temperature": live.temperature,
                    # Models are drawn evenly, so that shares of wins can be weighed back.
                    "probability": 1 / (n_pairs if live.answers == 2 else len(live.models)),
                }
            },
        }
        if language := plan.row.body.get("language"):
            body["language"] = language
        self.turns.answer(turn.id, body, schema_id=plan.schema_id, guideline_id=plan.row.guideline_id)

    def _so_far(self, live: Live, row: Row[Any], said: Sequence[Turn]) -> list[dict[str, str]]:
        """The conversation as it stands, as far as it is settled."""
        settled = [one for one in said if one.is_settled]
        if not settled:
            return opening(live, row.body)
        last = settled[-1]
        with self.work.database.read() as connection:
            body = connection.execute(
                select(content.c.body)
                .join(item, item.c.content_hash == content.c.hash)
                .where(item.c.id == last.item_id)
            ).scalar_one()
            found = connection.execute(
                select(assignment.c.schema_id, judgment.c.payload)
                .outerjoin(judgment, judgment.c.assignment_id == assignment.c.id)
                .where(assignment.c.id == last.assignment_id)
                .order_by(judgment.c.revision.desc())
                .limit(1)
            ).one()
        values = None if found.payload is None else found.payload["values"]
        schema = self.work.schema(found.schema_id)
        kept = kept_answer(schema, values, len(body["candidates"]), str(last.assignment_id))
        return after_turn(body, kept)

    def _live(self, row: Row[Any]) -> Live:
        live = self.work.schema(row.schema_id).live
        if live is None:
            raise DataError("this piece of work is no conversation with a live model")
        return live

    def _turn_schema(self, row: Row[Any]) -> str:
        """The version of what is asked of a turn; published where the task is new."""
        if row.schema_id in self._turn_schemas:
            return self._turn_schemas[row.schema_id]
        schema: TaskSchema = self.work.schema(row.schema_id)
        body = schema.turn_task()
        found = self._find_turn_schema(row.project_id, hash_of(body))
        if found is None:
            projects = Projects(self.work.database, self.work.queue.clock, self.work.queue.ids)
            try:
                found = projects.add_definition(row.project_id, "turn", body)
            except IntegrityError:  # another worker published it between our look and our write
                found = self._find_turn_schema(row.project_id, hash_of(body))
                if found is None:
                    raise
        self._turn_schemas[row.schema_id] = found
        return found

    def _find_turn_schema(self, project_id: str, body_hash: str) -> str | None:
        with self.work.database.read() as connection:
            found = connection.execute(
                select(definition.c.id)
                .where(
                    definition.c.project_id == project_id,
                    definition.c.kind == "turn",
                    definition.c.body_hash == body_hash,
                )
                .order_by(definition.c.version)
                .limit(1)
            ).scalar()
        return None if found is None else str(found)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is asked of whom."""

    row: Row[Any]
    live: Live
    messages: list[dict[str, str]]
    models: list[LiveModel]
    schema_id: str


def _drawn(live: Live) -> list[LiveModel]:
    """Who answers a turn, drawn evenly; the same twice where there is one."""
    draw = secrets.SystemRandom()
    if len(live.models) < live.answers:
        return [live.models[0]] * live.answers
    return draw.sample(live.models, live.answers)


def _topic(row: Row[Any]) -> dict[str, str]:
    return {"topic": row.body["topic"]} if row.body.get("topic") else {}
