"""Hears what an engine says to one request until all its answers have ended."""

from queue import SimpleQueue
from typing import Any

from accord.rollouts.engine import Piece

WAIT_S = 300
"""The longest silence; a real vLLM on a busy machine starts slowly."""


def collect(events: "SimpleQueue[Any]", n: int = 1) -> tuple[list[str], dict[int, Any], list[Any]]:
    """Texts of `n` answers, how each ended with its number of tokens, and all tokens reported."""
    texts, ends, reports = [""] * n, {}, []
    while len(ends) < n:
        event = events.get(timeout=WAIT_S)
        if not isinstance(event, Piece):
            raise event
        texts[event.index] += event.text
        reports += event.tokens
        if event.finish is not None:
            ends[event.index] = (event.finish, event.n_tokens)
    return texts, ends, reports
