"""Who labels answers, by name: a rule, a language model behind an endpoint, or a function. Needs no torch."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.domain.functions import load_function
from accord.evaluation.judges import ChatEndpoint, EndpointConfig
from accord.evaluation.judges.labels import (
    REFUSAL,
    UNCORRECTED,
    EndpointLabels,
    LabelJudge,
    PhraseLabels,
)

RULE = "rule"
"""Names the labels by phrases that need nothing."""
LANGUAGE_MODEL = "llm:"
"""Before MODEL@URL of an endpoint that labels."""
JUDGE_KEY = "ACCORD_JUDGE_KEY"
"""Environment variable that holds the endpoint's key."""


@dataclass(frozen=True)
class FunctionLabels:
    """A function of (prompt, answer)."""

    function: Callable[[str, str], Any]
    name: str

    @property
    def facts(self) -> dict[str, Any]:
        """Its name."""
        return {"labels": self.name, "labels_trust": UNCORRECTED}

    def label(self, rows: Sequence[tuple[str, str]]) -> list[Any]:
        """One answer at a time."""
        return [self.function(prompt, answer) for prompt, answer in rows]


def find_labeler(spec: str, column: str = REFUSAL, *, cache: Path | None = None) -> LabelJudge:
    """The judge that `spec` names: "rule", "llm:MODEL@URL", or a function of (prompt, answer).

    A file's code is run: name only files you trust.
    """
    if spec == RULE:
        return PhraseLabels(column=column)
    if spec.startswith(LANGUAGE_MODEL):
        model, found, url = spec.removeprefix(LANGUAGE_MODEL).partition("@")
        if not found:
            raise DataError(f"labels {spec!r} name no address; expected llm:MODEL@URL")
        config = EndpointConfig(model=model, url=url, key=os.environ.get(JUDGE_KEY, ""))
        return EndpointLabels(endpoint=ChatEndpoint(config), column=column, store=cache)
    if Path(spec).is_dir() or spec.startswith(("http://", "https://")):
        raise DataError(f"labels {spec!r} is a folder or an address; expected a function of (prompt, answer)")
    return FunctionLabels(load_function(spec), spec)
