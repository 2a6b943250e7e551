"""Answers that switch to another language, script or form than was expected of them.

Leaves out whether a switch was asked for: compare shares, not single answers.
"""

import json
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters
from accord.evaluation.intervals import Estimate, share_estimate
from accord.evaluation.leaderboard.style import HEADER, LIST
from accord.evaluation.suites.languages import UNKNOWN, detect_language, main_script

LEAST_WORDS = 12
"""Of both texts before languages of one script are told apart: everyday words need a sentence or two."""
JAPANESE = frozenset({"CJK", "HIRAGANA", "KATAKANA"})
"""Scripts that one language mixes."""
TABLE = re.compile(r"^\s*\|?(\s*:?-{3,}:?\s*\|)+", re.MULTILINE)
PERMUTATIONS = 2_000


@dataclass(frozen=True, kw_only=True)
class FormSwitches:
    """Two models' answers to the same prompts, by their form."""

    switched: Estimate
    """Share of answers whose form is another than the other model's; positive by chance alone."""
    p_value: float
    """That both use forms equally often, exchanging the two answers of whole prompts."""
    forms: dict[str, tuple[int, int]]
    """Form -> answers of the one and of the other model."""


def is_other_language(source: str, text: str) -> bool:
    """Whether `text` is written in another script than `source`, or in another language of one script.

    Languages of one script count from `LEAST_WORDS` words in both. A text without letters, or in a language
    that is not recognized, switches nothing.
    """
    scripts = [main_script(one) for one in (source, text)]
    if None in scripts:
        return False
    if scripts[0] != scripts[1] and not set(scripts) <= JAPANESE:
        return True
    if min(len(source.split()), len(text.split())) < LEAST_WORDS:
        return False
    languages = [detect_language(one) for one in (source, text)]
    return UNKNOWN not in languages and languages[0] != languages[1]


def form_of(text: str) -> str:
    """code, json, table, headers, list or prose: the first that is there."""
    stripped = text.strip()
    if "```" in stripped:
        return "code"
    if stripped[:1] in ("{", "[") and _is_json(stripped):
        return "json"
    if TABLE.search(stripped):
        return "table"
    if HEADER.search(stripped):
        return "headers"
    return "list" if len(LIST.findall(stripped)) > 1 else "prose"


def measure_form_switches(
    candidate: Sequence[str], incumbent: Sequence[str], prompt_ids: Sequence[Hashable], *, seed: int = 0
) -> FormSwitches:
    """How often the form differs, row by row, and whether one model uses forms more often. n = 0 raises."""
    if not candidate or not len(candidate) == len(incumbent) == len(prompt_ids):
        raise EvaluationError(
            f"{len(candidate)} answers against {len(incumbent)} of {len(prompt_ids)} prompts; rows must pair "
            f"up and there must be one"
        )
    new, old = ([form_of(text) for text in side] for side in (candidate, incumbent))
    counts = [Counter(side) for side in (new, old)]
    names = sorted(set(new) | set(old))
    clusters = Clusters.of(prompt_ids, rows=len(new))
    pairs = list(zip(new, old, strict=True))
    columns = [np.array([float(a == name) - float(b == name) for a, b in pairs]) for name in names]
    gaps = np.stack([clusters.sums(column) for column in columns], axis=1)
    signs = np.random.default_rng(seed).integers(0, 2, size=(PERMUTATIONS, len(gaps))) * 2 - 1
    seen = float((gaps.sum(axis=0) ** 2).sum())
    extreme = int((((signs @ gaps) ** 2).sum(axis=1) >= seen - 1e-9).sum())
    return FormSwitches(
        switched=share_estimate([float(a != b) for a, b in pairs], prompt_ids, seed=seed),
        p_value=(1 + extreme) / (1 + PERMUTATIONS),
        forms={name: (counts[0][name], counts[1][name]) for name in names},
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
