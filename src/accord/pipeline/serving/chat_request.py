"""What a client may ask of `/v1/chat/completions`, read strictly: what cannot be done is refused."""

import json
import secrets
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accord.domain.errors import AccordError, ConfigError, DataError
from accord.domain.messages import Message, Prompt
from accord.rollouts.engine import Request
from accord.rollouts.sampler import SamplingConfig

MAX_BODY = 4_000_000
"""Bytes of a request that are read."""
SEED_BITS = 63


class ApiError(AccordError):
    """A request that is refused: status, message, the parameter at fault, and a code for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_s: int = 0,
    ):
        self.status, self.param, self.code, self.retry_s = status, param, code, retry_s
        super().__init__(message)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Part(_Strict):
    """A piece of a message; text alone is taken."""

    type: Literal["text"]
    text: str


class Turn(_Strict):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part]
    name: str | None = None

    def message(self) -> Message:
        """The record; a developer speaks as the system does."""
        text = self.content if isinstance(self.content, str) else "".join(one.text for one in self.content)
        return Message("system" if self.role == "developer" else self.role, text)


class StreamOptions(_Strict):
    """What a stream says beside the text."""

    include_usage: bool = False


class ResponseFormat(_Strict):
    """Only plain text is made."""

    type: Literal["text"]


class ChatBody(_Strict):
    """The body of a request. Beyond OpenAI's: `top_k` and `min_p`, as other servers take them."""

    model: str
    messages: list[Turn] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    stop: str | list[str] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    n: int | None = Field(default=None, ge=1, le=128)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    response_format: ResponseFormat | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None

    @property
    def has_usage(self) -> bool:
        """Whether a stream ends with a count of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def prompt(self) -> Prompt:
        """The conversation."""
        return Prompt(messages=tuple(turn.message() for turn in self.messages))

    def sampling(self, room: int) -> SamplingConfig:
        """How it is drawn; `room` is the length where none is asked for."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        wanted = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return SamplingConfig(
            max_tokens=wanted if wanted is not None else room,
            temperature=1.0 if self.temperature is None else float(self.temperature),
            top_p=1.0 if self.top_p is None else float(self.top_p),
            top_k=self.top_k or 0,
            min_p=self.min_p or 0.0,
            stop=tuple(stop),
        )

    def request(self, room: int) -> Request:
        """What the engine runs; without a seed a fresh one is drawn."""
        seed = secrets.randbits(SEED_BITS) if self.seed is None else self.seed % 2**SEED_BITS
        return Request(
            model=self.model,
            prompt=self.prompt(),
            n=self.n or 1,
            config=self.sampling(room),
            seed=seed,
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
        )


def parse_chat(content: bytes) -> ChatBody:
    """A request's body; raises `ApiError` 400 with the first parameter that does not fit."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(data, dict):
        raise ApiError(400, f"the body is a {type(data).__name__}; expected an object", code="invalid_json")
    try:
        body = ChatBody.model_validate_json(content)
    except ValidationError as error:
        raise _refusal(error) from error
    if body.top_logprobs and not body.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs to be true", param="top_logprobs")
    if body.stream_options is not None and not body.stream:
        raise ApiError(400, "stream_options needs stream to be true", param="stream_options")
    if isinstance(body.stop, list) and len(body.stop) > 16:
        raise ApiError(400, f"{len(body.stop)} stop strings; at most 16 are taken", param="stop")
    try:
        body.prompt()
        body.sampling(1)
    except ConfigError as error:
        raise ApiError(400, "; ".join(error.problems), param=error.problems[0].split()[0]) from error
    except DataError as error:
        raise ApiError(400, str(error), param="messages") from error
    return body


def _refusal(error: ValidationError) -> ApiError:
    first: Any = error.errors()[0]
    place = [str(part) for part in first["loc"] if not str(part).startswith(("list[", "function-"))]
    param = ".".join(place)
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"{param}: this server does not take it", param=param, code="unknown_parameter")
    seen = "" if first["type"] == "missing" else f", got {_short(first['input'])}"
    return ApiError(400, f"{param}: {first['msg']}{seen}", param=param, code="invalid_value")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
