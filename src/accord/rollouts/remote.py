"""Rewards from a service: batches are posted concurrently, each with a timeout and a bounded number of tries.

    POST {"prompts": [[{"role": "user", "content": "..."}, ...], ...], "completions": ["...", ...]}
    200  {"rewards": [0.3, ...]}

A batch that fails after its last try raises RewardError, which ends the step; the run's finished steps
are saved and can be resumed. Redirects are not followed and answers are bounded, since a service is no
part of this program. Leaves out batching over steps and caching.
"""

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from accord.domain.errors import ConfigError, RewardError
from accord.domain.messages import Completion, Prompt
from accord.rollouts.rewards import RewardScores, check_values

MOST_BYTES = 16_000_000
"""Longest answer that is read."""
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers that another try may change."""


@dataclass(frozen=True, kw_only=True)
class RemoteRewardConfig:
    """Where a service is and how patiently it is asked."""

    url: str
    """http or https address that takes the posts."""
    key_variable: str = "ACCORD_REWARD_KEY"
    """Environment variable that holds a bearer token; none is sent where it is not set. Never logged."""
    timeout_s: float = 60.0
    """Seconds one try may take."""
    tries: int = 3
    """Tries for each batch."""
    pause_s: float = 1.0
    """Pause before the second try; it doubles with each."""
    batch_size: int = 32
    """Completions in one post."""
    concurrency: int = 8
    """Posts on their way at one time."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        problems = []
        if parts.scheme not in ("http", "https") or not parts.netloc:
            problems.append(f"url begins {self.url[:8]!r}; expected an http or https address")
        if "@" in parts.netloc:
            problems.append(f"url holds a name or password; put a token in {self.key_variable}")
        if not self.timeout_s > 0 or self.pause_s < 0:
            problems.append("timeout_s must be above 0 and pause_s 0 or more")
        if min(self.tries, self.batch_size, self.concurrency) < 1:
            problems.append("tries, batch_size and concurrency must be 1 or more")
        if problems:
            raise ConfigError("remote reward", problems)


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect would carry texts and token to somebody else."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


class RemoteReward:
    """Scores by a service; safe to use from several threads."""

    def __init__(self, config: RemoteRewardConfig, *, sleep: Callable[[float], None] = time.sleep):
        self.config = config
        self.name = urlsplit(config.url).netloc
        self._sleep = sleep
        self._opener = urllib.request.build_opener(_StayHere)

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """Ask for all batches, `concurrency` at a time; values in the order of the completions."""
        size = self.config.batch_size
        starts = list(range(0, len(completions), size))
        found: dict[int, list[float]] = {}
        errors: dict[int, Exception] = {}
        todo = iter(starts)
        lock = threading.Lock()

        def work() -> None:
            while not errors:
                with lock:
                    start = next(todo, None)
                if start is None:
                    return
                rows = slice(start, start + size)
                try:
                    found[start] = self._ask(prompts[rows], completions[rows])
                except Exception as error:
                    errors[start] = error

        threads = [
            threading.Thread(target=work, name=f"reward {self.name}", daemon=True)
            for _ in range(min(self.config.concurrency, len(starts)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[min(errors)]
        return RewardScores([value for start in starts for value in found[start]])

    def _ask(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        body = {
            "prompts": [
                [{"role": message.role, "content": message.content} for message in prompt.messages]
                for prompt in prompts
            ],
            "completions": [completion.text for completion in completions],
        }
        reason = ""
        for number in range(1, self.config.tries + 1):
            try:
                answer = self._post(body)
                rewards = answer.get("rewards") if isinstance(answer, dict) else None
                return check_values(rewards, prompts, completions, name=self.name)
            except urllib.error.HTTPError as error:
                error.close()
                reason = f"it answered {error.code}"
                if error.code not in BUSY:
                    break
            except (OSError, http.client.HTTPException, ValueError) as error:
                is_late = isinstance(error, TimeoutError) or isinstance(
                    getattr(error, "reason", None), TimeoutError
                )
                reason = f"no answer within {self.config.timeout_s:g} s" if is_late else _said(error)
            if number < self.config.tries:
                self._sleep(self.config.pause_s * 2 ** (number - 1))
        raise RewardError(
            f"reward service {self.name}: {reason}, after {number} of {self.config.tries} tries, on "
            f"{len(completions)} completions. See to the service and resume the run"
        )

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.config.key_variable, "") if self.config.key_variable else ""
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.config.url, json.dumps(body).encode(), headers)
        with self._opener.open(request, timeout=self.config.timeout_s) as answer:
            data = answer.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES} bytes")
        return json.loads(data)


def _said(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "an answer that is not JSON"
    return str(getattr(error, "reason", "") or error) or type(error).__name__
