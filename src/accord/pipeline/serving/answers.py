"""Answers in OpenAI's shapes: whole, in chunks, as errors, and the list of models."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accord.models.chat import ChatTokenizer
from accord.rollouts.engine import Piece, TokenReport
from accord.rollouts.text_stream import UNFINISHED

DONE = "data: [DONE]\n\n"
"""The last line of a stream."""
ERROR_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""The type of an error by its status; others are the request's or the server's."""


@dataclass
class Answer:
    """One of a request's answers as it grows."""

    text: str = ""
    n_tokens: int = 0
    tokens: list[TokenReport] = field(default_factory=list)
    finish: str | None = None

    def add(self, piece: Piece) -> None:
        """Take in what came."""
        self.text += piece.text
        self.n_tokens = piece.n_tokens
        self.tokens += piece.tokens
        self.finish = None if piece.finish is None else piece.finish.value


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What all parts of one answer have in common."""

    id: str
    model: str
    created: int
    """Seconds since 1970."""
    fingerprint: str
    """Of the weights: equal fingerprint and seed give equal draws."""
    tokenizer: ChatTokenizer
    has_logprobs: bool

    def whole(self, answers: Sequence[Answer], usage: Mapping[str, int]) -> dict[str, Any]:
        """The answer to a request that is not streamed."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "logprobs": self._logprobs(answer.tokens),
                "finish_reason": answer.finish,
            }
            for index, answer in enumerate(answers)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": dict(usage)}

    def first(self, index: int, *, has_usage: bool) -> str:
        """The chunk that opens an answer: who speaks."""
        return self._chunk(index, {"role": "assistant", "content": "", "refusal": None}, has_usage=has_usage)

    def part(self, piece: Piece, *, has_usage: bool) -> str:
        """Chunks of what came: text, then how it ended."""
        chunks = ""
        if piece.text or piece.tokens:
            logprobs = self._logprobs(piece.tokens)
            chunks = self._chunk(piece.index, {"content": piece.text}, logprobs=logprobs, has_usage=has_usage)
        if piece.finish is not None:
            chunks += self._chunk(piece.index, {}, finish=piece.finish.value, has_usage=has_usage)
        return chunks

    def usage(self, usage: Mapping[str, int]) -> str:
        """The chunk that counts; it has no choices."""
        return sse({**self._head("chat.completion.chunk"), "choices": [], "usage": dict(usage)})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def _chunk(
        self,
        index: int,
        delta: Mapping[str, Any],
        *,
        logprobs: Any = None,
        finish: str | None = None,
        has_usage: bool,
    ) -> str:
        choice = {"index": index, "delta": dict(delta), "logprobs": logprobs, "finish_reason": finish}
        counted = {"usage": None} if has_usage else {}
        return sse({**self._head("chat.completion.chunk"), "choices": [choice], **counted})

    def _logprobs(self, tokens: Sequence[TokenReport]) -> dict[str, Any] | None:
        if not self.has_logprobs:
            return None
        content = [
            {
                **self._token(one.token_id, one.logprob),
                "top_logprobs": [self._token(token, logprob) for token, logprob in one.likeliest],
            }
            for one in tokens
        ]
        return {"content": content, "refusal": None}

    def _token(self, token: int, logprob: float) -> dict[str, Any]:
        text = str(self.tokenizer.hf.decode([token], clean_up_tokenization_spaces=False))
        # A token that is part of a character has no text of its own, and its bytes are not told by all.
        content = None if UNFINISHED in text else list(text.encode())
        return {"token": text, "logprob": max(logprob, -9999.0), "bytes": content}


def usage_of(n_prompt_tokens: int, answers: Sequence[Answer]) -> dict[str, int]:
    """Tokens of prompt and answers; an answer's end counts as drawn."""
    drawn = sum(answer.n_tokens for answer in answers)
    return {
        "prompt_tokens": n_prompt_tokens,
        "completion_tokens": drawn,
        "total_tokens": n_prompt_tokens + drawn,
    }


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = ERROR_KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def sse(value: Mapping[str, Any]) -> str:
    """One event of a stream."""
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"
