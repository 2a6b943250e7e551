"""Text out of tokens as they come: no half characters, and nothing of a stop string before it is certain."""

from collections.abc import Sequence

from accord.models.chat import ChatTokenizer

UNFINISHED = "\ufffd"
"""What bytes decode to that are no character, or no whole one yet."""


class TextStream:
    """The text of one answer; the parts it gives out, joined, are the decoded answer."""

    def __init__(self, tokenizer: ChatTokenizer, stop: Sequence[str] = ()):
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._ids: list[int] = []
        self._text = ""
        self._n_sent = 0

    @property
    def n_tokens(self) -> int:
        """Tokens so far, the one that ended the turn included."""
        return len(self._ids)

    def push(self, token: int) -> tuple[str, bool]:
        """What is certain after one more token, and whether it ended the answer (turn's end, stop string)."""
        self._ids.append(token)
        if token in self._tokenizer.stop_ids:
            return "", True
        self._text = self._tokenizer.decode(self._ids)
        places = [place for place in map(self._text.find, self._stop) if place >= 0]
        if places:
            self._text = self._text[: min(places)]
            return "", True
        return self._send(len(self._text) - self._n_held()), False

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        return self._send(len(self._text))

    def _send(self, end: int) -> str:
        part = self._text[self._n_sent : end]
        self._n_sent = max(self._n_sent, end)
        return part

    def _n_held(self) -> int:
        """Characters at the end that may still change, or be the beginning of a stop string."""
        unfinished = len(self._text) - len(self._text.rstrip(UNFINISHED))
        begun = [
            size
            for stop in self._stop
            for size in range(1, min(len(stop), len(self._text) + 1))
            if self._text.endswith(stop[:size])
        ]
        return max([unfinished, *begun])
