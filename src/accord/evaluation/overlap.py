"""Evaluation prompts that stand in training data: shared runs of 13 words, and canaries of suites.

    train_eval_overlap   share of evaluation prompts of which 13 words in a row (all of a shorter one) stand
                         in the training data; counted over whole files, so without sampling error

Case, punctuation and line breaks are ignored. Leaves out paraphrases: a rewritten prompt is not found.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.domain.errors import EvaluationError
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement

ORDER = 13
"""Words in a row that are hardly ever shared by chance (Brown et al. 2020)."""
SHORTEST = 5
"""Words below which a whole prompt is too common to count as copied."""
SHOWN = 20
WORD = re.compile(r"\w+")
CANARY = re.compile(r"accord-evaluation-canary-[0-9a-f-]{36}")


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What training data share with an evaluation."""

    prompts: int
    too_short: int
    """Prompts under five words, which are not looked for."""
    found: tuple[tuple[int, str], ...]
    """(place, shared words) of each prompt that was found."""
    canaries: tuple[str, ...]
    """Ids of suites that stand in the training data."""

    @property
    def share(self) -> float:
        """Of the prompts that were looked for."""
        return len(self.found) / (self.prompts - self.too_short)


def find_overlap(prompts: Sequence[str], training: Iterable[str], *, order: int = ORDER) -> Overlap:
    """Look for every prompt in the training texts, which are read once; no prompts of five words raise."""
    if not prompts:
        raise EvaluationError("there are no evaluation prompts to look for (n = 0)")
    wanted: dict[int, dict[tuple[str, ...], list[int]]] = {}
    too_short = 0
    for place, prompt in enumerate(prompts):
        words = _words(prompt)
        if len(words) < SHORTEST:
            too_short += 1
            continue
        size = min(order, len(words))
        table = wanted.setdefault(size, {})
        for i in range(len(words) - size + 1):
            table.setdefault(tuple(words[i : i + size]), []).append(place)
    if too_short == len(prompts):
        raise EvaluationError(
            f"all {too_short} evaluation prompts have fewer than {SHORTEST} words, too few to tell a copy by"
        )
    found: dict[int, str] = {}
    canaries: set[str] = set()
    for text in training:
        canaries.update(CANARY.findall(text))
        words = _words(text)
        for size, table in wanted.items():
            for i in range(len(words) - size + 1):
                for place in table.get(tuple(words[i : i + size]), ()):
                    found.setdefault(place, " ".join(words[i : i + size]))
    return Overlap(
        prompts=len(prompts),
        too_short=too_short,
        found=tuple(sorted(found.items())),
        canaries=tuple(sorted(canaries)),
    )


def overlap_measurements(overlap: Overlap, facts: Mapping[str, Any]) -> list[Measurement]:
    """Shares without sampling error, with the first places that were found."""
    count = overlap.prompts - overlap.too_short
    shown = {
        **facts,
        "too_short": overlap.too_short,
        "first_found": [{"prompt": place, "words": words} for place, words in overlap.found[:SHOWN]],
        "canaries": list(overlap.canaries),
    }
    number = float(len(overlap.canaries))
    return [
        Measurement(
            metric="train_eval_overlap",
            estimate=Estimate(
                value=overlap.share, low=overlap.share, high=overlap.share, n=count, method="counted"
            ),
            facts=shown,
        ),
        Measurement(
            metric="train_eval_canaries",
            estimate=Estimate(value=number, low=number, high=number, n=count, method="counted"),
            facts=dict(facts),
        ),
    ]


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]
