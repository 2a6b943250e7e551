"""Routes that take an `Idempotency-Key`: a POST that is sent again under one key is done once.

The header follows draft-ietf-httpapi-idempotency-key-header, with or without a structured field's quotes.
Leaves out errors: what was refused wrote nothing, and its key is free. Bodies' own keys (`submit`, `revise`,
`turns`) stand beside it and never end.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import Response
from fastapi.routing import APIRoute

from accord.domain.errors import AccordError
from accord.feedback.security import COOKIE
from accord.store.database.repeats import Asked, Repeats

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=8, max_length=200, pattern="^[!-~]*$")
]
ACCOUNT, ASKED, REPEATS = "account", "asked", "repeats"


class _RefusedError(AccordError):
    """An endpoint answered with a refusal instead of raising it: nothing of it is kept."""

    def __init__(self, answer: Response):
        self.answer = answer


async def asked_of(request: Request, key: IdempotencyKey = None) -> Asked | None:
    """The request as one that may come again; nothing where it carries no key."""
    return None if key is None else asked_for(request, key, await request.body())


def asked_for(request: Request, key: str, body: bytes) -> Asked:
    """The same for a body that was read already, or what stands for it."""
    route = f"{request.method} {request.url.path}"
    digest = hashlib.sha256(f"{route}?{request.url.query}\n".encode())
    digest.update(body)
    secret = request.headers.get("authorization") or request.cookies.get(COOKIE, "")
    return Asked(key=key.strip('"'), route=route, fingerprint=digest.hexdigest(), secret=secret)


def repeats_of(request: Request) -> Repeats:
    """What does requests once; of the application that the route belongs to."""
    found: Repeats = request.app.state.repeats
    return found


class KeyedRoute(APIRoute):
    """A route whose POST is done once for each key: for endpoints that know whose `account` asks.

    Endpoints that are coroutines, or take `asked` themselves, see to it on their own.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], *, methods: Any = None, **rest: Any):
        if "POST" in (methods or ()) and is_open(endpoint):
            endpoint = keyed(endpoint)
        super().__init__(path, endpoint, methods=methods, **rest)


def is_open(endpoint: Callable[..., Any]) -> bool:
    """Whether an endpoint is yet to be wrapped."""
    names = inspect.signature(endpoint).parameters
    return not inspect.iscoroutinefunction(endpoint) and ACCOUNT in names and ASKED not in names


def keyed(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint, done once for each key."""

    @functools.wraps(endpoint)
    def call(**given: Any) -> Any:
        asked, repeats = given.pop(ASKED), given.pop(REPEATS)
        if asked is None:
            return endpoint(**given)

        def act() -> Any:
            answer = endpoint(**given)
            if isinstance(answer, Response):
                raise _RefusedError(answer)
            return jsonable_encoder(answer)

        try:
            return repeats.once(given[ACCOUNT].id, asked, act)
        except _RefusedError as refused:
            return refused.answer

    seen = inspect.signature(endpoint)
    more = [
        inspect.Parameter(
            ASKED, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Asked | None, Depends(asked_of)]
        ),
        inspect.Parameter(
            REPEATS, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Repeats, Depends(repeats_of)]
        ),
    ]
    call.__signature__ = seen.replace(parameters=[*seen.parameters.values(), *more])  # type: ignore[attr-defined]
    return call
