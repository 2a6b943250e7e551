"""The page `/chat`: ask two models at once, see both answer, vote. Works without scripts; streams with."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.concurrency import run_in_threadpool

from accord.domain.errors import AccordError, DataError
from accord.domain.messages import Prompt
from accord.feedback.catalog import words_of
from accord.feedback.keys import keys_of
from accord.feedback.markdown import render_markdown
from accord.feedback.pages import HERE as FEEDBACK
from accord.feedback.screen import LOOKS
from accord.pipeline.serving.answers import sse
from accord.pipeline.serving.battles import VERDICTS, Battle, Battles
from accord.pipeline.serving.chat_request import SEED_BITS
from accord.pipeline.serving.visitors import KEY_COOKIE, Entrance, KeyEntrance, Visitor
from accord.pipeline.serving.votes import Votes
from accord.rollouts.engine import Answering, Event, Piece, Ticket
from accord.rollouts.engine import Request as Asked
from accord.rollouts.sampler import SamplingConfig

HERE = Path(__file__).parent
MAX_FORM = 200_000
"""Bytes of a form that are read."""
ANSWER_TOKENS = 512
SETTLE_S = 5.0
SAMPLING = SamplingConfig(max_tokens=ANSWER_TOKENS, temperature=0.7, top_p=0.95)
"""How both sides are drawn."""


def install_chat(
    app: FastAPI,
    engine: Answering,
    votes: Votes,
    entrance: Entrance,
    *,
    sampling: SamplingConfig = SAMPLING,
    is_secure: bool = False,
    has_static: bool = False,
) -> None:
    """Add the page to an application; `has_static` where the style is served already."""
    app.mount("/chat/static", StaticFiles(directory=HERE / "static"), name="chat-static")
    if not has_static:
        app.mount("/static", StaticFiles(directory=FEEDBACK / "static"), name="static")
    app.include_router(ChatPage(engine, votes, entrance, sampling, is_secure=is_secure).router())


class ChatPage:
    """The routes of the page and what they share."""

    def __init__(
        self,
        engine: Answering,
        votes: Votes,
        entrance: Entrance,
        sampling: SamplingConfig,
        *,
        is_secure: bool,
    ):
        self.engine, self.votes, self.entrance, self.sampling = engine, votes, entrance, sampling
        self.is_secure = is_secure
        self.battles = Battles(list(engine.models))
        self.templates = Environment(
            loader=FileSystemLoader([HERE / "templates", FEEDBACK / "templates"]),
            autoescape=select_autoescape(default=True, default_for_string=True),
        )
        self.templates.filters["markdown"] = render_markdown

    def router(self) -> APIRouter:
        """All routes."""
        router = APIRouter(prefix="/chat", include_in_schema=False)
        router.add_api_route("", self.begin, methods=["GET"])
        router.add_api_route("/login", self.ask_key, methods=["GET"])
        router.add_api_route("/login", self.take_key, methods=["POST"])
        router.add_api_route("/{battle_id}", self.show, methods=["GET"])
        router.add_api_route("/{battle_id}", self.act, methods=["POST"])
        router.add_api_route("/{battle_id}/say", self.say, methods=["POST"])
        return router

    def begin(self, request: Request) -> Response:
        """A new conversation."""
        if self.entrance.visitor(request) is None:
            return RedirectResponse(self.entrance.login, status_code=303)
        return RedirectResponse(f"/chat/{self.battles.begin().id}", status_code=303)

    def ask_key(self) -> HTMLResponse:
        """The form that asks for the server's key."""
        return self._page("chat_login.html", failed=False)

    async def take_key(self, request: Request) -> Response:
        """Compare the key and remember that it was given."""
        form = await _form(request)
        if not isinstance(self.entrance, KeyEntrance) or not self.entrance.is_key(form.get("key", "")):
            return self._page("chat_login.html", 401, failed=True)
        answer = RedirectResponse("/chat", status_code=303)
        answer.set_cookie(
            KEY_COOKIE, self.entrance.cookie, httponly=True, samesite="strict", secure=self.is_secure
        )
        return answer

    def show(self, battle_id: str, request: Request) -> Response:
        """A conversation as it stands."""
        visitor = self.entrance.visitor(request)
        if visitor is None:
            return RedirectResponse(self.entrance.login, status_code=303)
        battle = self.battles.find(battle_id)
        if battle is None:
            return RedirectResponse("/chat", status_code=303)
        return self._battle(battle, visitor)

    async def act(self, battle_id: str, request: Request) -> Response:
        """What a form asks: a question, a verdict, or the names."""
        form = await _form(request)
        visitor, battle = self._allowed(battle_id, request, form.get("csrf", ""))
        try:
            if "verdict" in form:
                await _settled(battle)
                await run_in_threadpool(self._judge, battle, visitor, form["verdict"])
            elif "reveal" in form:
                battle.reveal()
            else:
                await self._answer_whole(battle, form.get("text", ""))
        except DataError as error:
            return self._battle(battle, visitor, status=422, error=str(error))
        except AccordError as error:
            battle.withdraw()
            return self._battle(battle, visitor, status=503, error=str(error))
        return RedirectResponse(f"/chat/{battle.id}", status_code=303)

    async def say(self, battle_id: str, request: Request) -> Response:
        """A question from the script: both answers in one stream, each event naming its side."""
        form = await _form(request)
        _, battle = self._allowed(battle_id, request, form.get("csrf", ""))
        try:
            prompt = battle.ask(form.get("text", ""))
        except DataError as error:
            raise HTTPException(422, str(error)) from error
        return StreamingResponse(self._stream(battle, prompt), media_type="text/event-stream")

    def _allowed(self, battle_id: str, request: Request, csrf: str) -> tuple[Visitor, Battle]:
        visitor = self.entrance.visitor(request, csrf=csrf)
        if visitor is None:
            raise HTTPException(401, "sign in first")
        battle = self.battles.find(battle_id)
        if battle is None:
            raise HTTPException(404, "this conversation is gone; begin a new one")
        return visitor, battle

    def _judge(self, battle: Battle, visitor: Visitor, given: str) -> None:
        choice = next((code for code, _ in VERDICTS if code == given), None)
        if choice is None:
            raise DataError(f"the verdict is {given!r}; expected one of {', '.join(dict(VERDICTS))}")
        vote = battle.judge(choice, visitor.handle)
        if choice != "none":
            self.votes.add(vote, visitor.user_id)

    async def _answer_whole(self, battle: Battle, text: str) -> None:
        async for _ in self._both(battle, battle.ask(text)):
            pass

    async def _stream(self, battle: Battle, prompt: Prompt) -> AsyncIterator[str]:
        try:
            async for side, piece in self._both(battle, prompt):
                finish = None if piece.finish is None else piece.finish.value
                yield sse({"side": side, "text": piece.text, "finish": finish})
            yield sse({"done": True})
        except AccordError as error:
            battle.withdraw()
            yield sse({"error": str(error)})

    async def _both(self, battle: Battle, prompt: Prompt) -> AsyncIterator[tuple[int, Piece]]:
        """Pieces of both answers as they come; kept in the battle even where the asker goes away."""
        events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        tickets: list[Ticket] = []

        def sink_of(side: int) -> Any:
            def sink(event: Event) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(events.put_nowait, (side, event))

            return sink

        try:
            for side, name in enumerate(battle.sides):
                asked = Asked(
                    model=name, prompt=prompt, config=self.sampling, seed=secrets.randbits(SEED_BITS)
                )
                tickets.append(self.engine.submit(asked, sink_of(side)))
            left = 2
            while left:
                side, event = await events.get()
                if isinstance(event, AccordError):
                    raise event
                battle.answers[side] += event.text
                left -= event.finish is not None
                yield side, event
        finally:
            battle.settle()
            for ticket in tickets:
                ticket.cancel()

    def _battle(
        self, battle: Battle, visitor: Visitor, *, status: int = 200, error: str = ""
    ) -> HTMLResponse:
        return self._page(
            "chat.html",
            status,
            battle=battle,
            verdicts=VERDICTS,
            error=error,
            csrf=visitor.csrf,
            handle=visitor.handle if visitor.csrf else "",
        )

    def _page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        looks = {name: choices[0] for name, choices in LOOKS.items()}
        screen = {
            "t": words_of("en"),
            "language": "en",
            "looks": looks,
            "keys": keys_of({}),
            "csrf": "",
            "handle": "",
        }
        return HTMLResponse(self.templates.get_template(name).render(screen | values), status_code=status)


async def _settled(battle: Battle) -> None:
    """Wait until a stopped stream has noticed that it was."""
    if battle.question is not None:
        try:
            await asyncio.wait_for(battle.settled.wait(), SETTLE_S)
        except TimeoutError:
            raise DataError("both are still writing; stop them first") from None


async def _form(request: Request) -> dict[str, str]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_FORM:
            raise HTTPException(413, f"the form has more than {MAX_FORM} bytes")
    text = content.decode(errors="replace")
    if request.headers.get("content-type", "").startswith("application/json"):
        data = json.loads(text)
        return {str(key): str(value) for key, value in data.items()} if isinstance(data, dict) else {}
    return {key: found[0] for key, found in parse_qs(text, keep_blank_values=True, max_num_fields=50).items()}
