"""What a model is asked and what it answered: messages, prompts, completions, demonstrations."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from accord.domain.errors import DataError

ROLES = ("system", "user", "assistant", "tool")


def content_hash(value: Any, *, length: int = 16) -> str:
    """SHA-256 of the canonical JSON of `value`, as the first `length` hex digits."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:length]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    """One of `ROLES`."""
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise DataError(f"message role {self.role!r} is unknown; expected one of {', '.join(ROLES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a model is asked: a conversation that ends before the assistant's turn."""

    messages: tuple[Message, ...]
    is_raw: bool = False
    """True for plain text that is given to the model as it stands, without a chat template."""
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)
    """Whatever came with it (domain, source, split); never part of its identity."""

    def __post_init__(self) -> None:
        if not self.messages:
            raise DataError("a prompt needs at least one message, got none")
        if self.messages[-1].role == "assistant":
            raise DataError("a prompt ends before the assistant's turn, got an assistant message last")

    @classmethod
    def from_text(
        cls, text: str, *, system: str | None = None, meta: Mapping[str, Any] | None = None
    ) -> "Prompt":
        """A single user turn, with an optional system message before it."""
        head = () if system is None else (Message("system", system),)
        return cls(messages=(*head, Message("user", text)), meta=meta or {})

    @classmethod
    def from_raw(cls, text: str, *, meta: Mapping[str, Any] | None = None) -> "Prompt":
        """Plain text to be continued as it stands, without a chat template."""
        return cls(messages=(Message("user", text),), is_raw=True, meta=meta or {})

    @property
    def id(self) -> str:
        """Content hash of the messages: equal prompts have equal ids in every file and run."""
        turns = [[message.role, message.content] for message in self.messages]
        return content_hash(["raw", turns] if self.is_raw else turns)

    @property
    def text(self) -> str:
        """The last user turn, for people to read."""
        return self.messages[-1].content


class FinishReason(StrEnum):
    """Why sampling of a completion ended."""

    STOP = "stop"
    """The model ended its turn (EOS or a stop string)."""
    LENGTH = "length"
    """The token budget ran out; the answer may be cut off."""

    @property
    def is_complete(self) -> bool:
        """True when the model itself ended the answer."""
        return self is FinishReason.STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled answer, with the ids and log-probs it was drawn under."""

    text: str
    """The answer without the EOS token or stop string."""
    token_ids: tuple[int, ...] = ()
    """The sampled ids as sampled, EOS included where the model ended. Never re-tokenized."""
    logprobs: tuple[float, ...] = ()
    """Natural log-probability of each id under the sampling distribution, one per id."""
    finish_reason: FinishReason = FinishReason.STOP
    policy_version: str = ""
    """Which weights drew it."""

    def __post_init__(self) -> None:
        if self.logprobs and len(self.logprobs) != len(self.token_ids):
            raise DataError(
                f"{len(self.logprobs)} logprobs for {len(self.token_ids)} token ids; expected one each"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """An answer somebody wrote for a prompt: what supervised fine-tuning imitates."""

    prompt: Prompt
    completion: str
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)
