"""The routes `/v1/models` and `/v1/chat/completions` over an engine, whole or streamed."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from accord.domain.clock import Clock
from accord.domain.errors import AccordError, ConfigError, DataError, ModelError
from accord.pipeline.serving.answers import DONE, Answer, Shape, error_body, sse, usage_of
from accord.pipeline.serving.chat_request import MAX_BODY, ApiError, ChatBody, parse_chat
from accord.rollouts.engine import Answering, Event, LineFull, Piece, Ticket

DEFAULT_TOKENS = 512
"""Length of an answer where none is asked for, as far as the context has room."""
RETRY_S = 1
Guard = Callable[[Request], None]


class Conversation:
    """One request under way: its events come from the engine's thread into this loop."""

    def __init__(self, engine: Answering, body: ChatBody):
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def sink(event: Event) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        model = engine.models.get(body.model)
        if model is None:
            known = ", ".join(engine.models)
            raise ApiError(
                404,
                f"the model {body.model!r} does not exist; there are: {known}",
                param="model",
                code="model_not_found",
            )
        n_prompt = len(model.tokenizer.prompt_ids(body.prompt()))
        room = max(1, min(DEFAULT_TOKENS, model.context_tokens - n_prompt))
        try:
            self.ticket: Ticket = engine.submit(body.request(room), sink)
        except LineFull as error:
            raise ApiError(429, str(error), code="queue_full", retry_s=RETRY_S) from error
        except DataError as error:
            raise ApiError(400, str(error), param="messages", code="context_length_exceeded") from error
        except ConfigError as error:
            raise ApiError(400, "; ".join(error.problems), param="n") from error
        self.answers = [Answer() for _ in range(body.n or 1)]

    async def pieces(self) -> AsyncIterator[Piece]:
        """What comes, until all answers have ended; raises what went wrong."""
        left = len(self.answers)
        while left:
            event = await self._events.get()
            if isinstance(event, AccordError):
                raise event
            self.answers[event.index].add(event)
            left -= event.finish is not None
            yield event

    def usage(self) -> dict[str, int]:
        """Tokens so far."""
        return usage_of(self.ticket.n_prompt_tokens, self.answers)


def completion_routes(engine: Answering, clock: Clock, guard: Guard) -> APIRouter:
    """The two routes; `guard` raises for who may not ask."""
    router = APIRouter(prefix="/v1", tags=["models"])
    started = int(clock.now().timestamp())
    fingerprints = {name: f"fp_{model.version[:12]}" for name, model in engine.models.items()}

    @router.get("/models")
    def list_models(request: Request) -> dict[str, Any]:
        guard(request)
        return {"object": "list", "data": [_model(name, started) for name in engine.models]}

    @router.get("/models/{name:path}")
    def show_model(name: str, request: Request) -> dict[str, Any]:
        guard(request)
        if name not in engine.models:
            raise ApiError(404, f"the model {name!r} does not exist", param="model", code="model_not_found")
        return _model(name, started)

    @router.post("/chat/completions")
    async def complete(request: Request) -> Response:
        guard(request)
        body = parse_chat(await read_body(request))
        conversation = Conversation(engine, body)
        shape = Shape(
            id=f"chatcmpl-{secrets.token_hex(12)}",
            model=body.model,
            created=int(clock.now().timestamp()),
            fingerprint=fingerprints[body.model],
            tokenizer=engine.models[body.model].tokenizer,
            has_logprobs=bool(body.logprobs),
        )
        if body.stream:
            lines = _stream(conversation, shape, has_usage=body.has_usage)
            headers = {"X-Accel-Buffering": "no"}
            return StreamingResponse(lines, media_type="text/event-stream", headers=headers)
        return await _whole(conversation, shape, request)

    return router


async def read_body(request: Request) -> bytes:
    """The body of a JSON request; another type is refused, so that no foreign page can send one unasked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415, f"content type {kind!r}; expected application/json", code="unsupported_media_type"
        )
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise ApiError(413, f"the body has more than {MAX_BODY} bytes", code="request_too_large")
    return content


async def _whole(conversation: Conversation, shape: Shape, request: Request) -> Response:
    async def collect() -> None:
        async for _ in conversation.pieces():
            pass

    work = asyncio.create_task(collect())
    leaving = asyncio.create_task(_gone(request.receive))
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return Response(status_code=499)
        work.result()
    except ModelError as error:
        raise ApiError(500, str(error), code="model_failed") from error
    finally:
        conversation.ticket.cancel()
        work.cancel()
        leaving.cancel()
    return JSONResponse(shape.whole(conversation.answers, conversation.usage()))


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(conversation: Conversation, shape: Shape, *, has_usage: bool) -> AsyncIterator[str]:
    """Events; ended early (the client went away) the request is given up."""
    try:
        for index in range(len(conversation.answers)):
            yield shape.first(index, has_usage=has_usage)
        async for piece in conversation.pieces():
            if chunks := shape.part(piece, has_usage=has_usage):
                yield chunks
        if has_usage:
            yield shape.usage(conversation.usage())
        yield DONE
    except ModelError as error:
        yield sse(error_body(500, str(error), code="model_failed"))
    finally:
        conversation.ticket.cancel()


def _model(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "accord"}
