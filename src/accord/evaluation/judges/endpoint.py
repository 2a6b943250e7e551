"""One question to a model behind an OpenAI-compatible endpoint, asked again when it is worth it.

Uses the standard library alone. Waits as long as the server asks (Retry-After) or twice as long each time,
keeps under a rate, and counts tokens. Leaves out streaming and what the question is about.
"""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from accord.domain.errors import ConfigError, EvaluationError

BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be taken."""
MOST_BYTES = 4_000_000
"""Of an answer that are read."""
LONGEST_WAIT_S = 60.0


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is for this server alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """Where the model is and how it is asked."""

    model: str
    """Its name at the endpoint."""
    url: str
    """Base address, e.g. "http://127.0.0.1:8000/v1"; "/chat/completions" is added."""
    key: str = field(default="", repr=False)
    """Sent as a bearer token where there is one; never written anywhere."""
    max_tokens: int = 400
    """Of an answer."""
    temperature: float = 0.0
    """Of an answer."""
    timeout_s: float = 60.0
    """Of one try."""
    tries: int = 5
    """Before a question counts as not answered."""
    pause_s: float = 1.0
    """Before the second try; doubled each time, up to a minute."""
    requests_per_minute: float = 0.0
    """At most, tries included; 0 is as fast as it goes."""

    def __post_init__(self) -> None:
        problems = []
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            problems.append(f"url is {self.url!r}; expected http://HOST:PORT/v1 or https://HOST/v1")
        if parts.username or parts.password:
            problems.append("url holds a password; give it as the key")
        if not self.model:
            problems.append("model is empty; expected its name at the endpoint")
        if not (self.key.isascii() and (not self.key or self.key.isprintable())):
            problems.append("key has characters that no header takes")
        for name, least in (("max_tokens", 1), ("tries", 1), ("timeout_s", 0.001), ("pause_s", 0)):
            if not getattr(self, name) >= least:
                problems.append(f"{name} is {getattr(self, name)}; expected at least {least}")
        if problems:
            raise ConfigError("judge", problems)


@dataclass(frozen=True, kw_only=True)
class ChatAnswer:
    """What came back."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    """Of the try that was answered."""
    tries: int


class ChatEndpoint:
    """Asks; safe to use from several threads, which share the rate."""

    def __init__(
        self,
        config: EndpointConfig,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ):
        self.config = config
        self._sleep, self._now = sleep, now
        self._opener = urllib.request.build_opener(_StayHere)
        self._lock, self._free_at = threading.Lock(), 0.0

    def ask(self, messages: Sequence[Mapping[str, str]]) -> ChatAnswer:
        """The model's answer; `EvaluationError` with the last reason after all tries, or at once where the
        endpoint says that the question or the key is wrong."""
        body = {
            "model": self.config.model,
            "messages": [dict(one) for one in messages],
            "temperature": self.config.temperature,
            "max_tokens": self.config.max_tokens,
        }
        reason = ""
        for number in range(1, self.config.tries + 1):
            self._wait_for_turn()
            begun = self._now()
            wait = min(self.config.pause_s * 2 ** (number - 1), LONGEST_WAIT_S)
            try:
                found = self._post(body)
                return _read(found, latency_s=self._now() - begun, tries=number)
            except urllib.error.HTTPError as error:
                error.close()
                reason = f"it answered {error.code}"
                if error.code not in BUSY:
                    raise EvaluationError(f"{self._name}: {reason}; {_hint(error.code)}") from None
                wait = max(wait, _retry_after(error.headers.get("Retry-After")))
            except (OSError, http.client.HTTPException) as error:
                kind = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
                reason = kind if not isinstance(error, urllib.error.URLError) else f"{error.reason}"
            except _Garbage as error:
                reason = str(error)
            if number < self.config.tries:
                self._sleep(wait)
        raise EvaluationError(f"{self._name}: {reason}, {self.config.tries} times")

    @property
    def _name(self) -> str:
        return f"model {self.config.model!r} at {urlsplit(self.config.url).netloc}"

    def _wait_for_turn(self) -> None:
        if not self.config.requests_per_minute:
            return
        with self._lock:
            wait = self._free_at - self._now()
            self._free_at = max(self._free_at, self._now()) + 60 / self.config.requests_per_minute
        if wait > 0:
            self._sleep(wait)

    def _post(self, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.config.key:
            headers["Authorization"] = f"Bearer {self.config.key}"
        address = self.config.url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with self._opener.open(request, timeout=self.config.timeout_s) as answer:
            data = answer.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _Garbage(f"an answer of more than {MOST_BYTES} bytes")
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _Garbage("an answer that is not JSON") from None


class _Garbage(EvaluationError):
    """An answer that cannot be read; worth another try."""


def _read(found: Any, *, latency_s: float, tries: int) -> ChatAnswer:
    try:
        text = found["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise _Garbage("an answer without choices[0].message.content") from None
    if not isinstance(text, str):
        raise _Garbage("an answer without text")
    usage = found.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    spent = [counts.get(name) for name in ("prompt_tokens", "completion_tokens")]
    asked, answered = (one if isinstance(one, int) and one >= 0 else 0 for one in spent)
    return ChatAnswer(
        text=text, prompt_tokens=asked, completion_tokens=answered, latency_s=latency_s, tries=tries
    )


def _retry_after(given: str | None) -> float:
    """Seconds of a Retry-After header; a date or nonsense counts as none."""
    try:
        return min(max(float(given or 0), 0.0), LONGEST_WAIT_S)
    except ValueError:
        return 0.0


def _hint(code: int) -> str:
    if code in (401, 403):
        return "check the key"
    return "check the address" if code in (301, 302, 307, 308, 404, 405) else "check model and settings"
