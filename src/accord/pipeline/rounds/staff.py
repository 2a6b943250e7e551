"""A word on everybody who judged so far, and who may go on: comparisons through the quality engine.

Each decided comparison is a label of its pair, which of the two answers in canonical order; ties say
nothing of skill. Also how right each was as time went on, against the others. Leaves out how a pause is
carried out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import Choice, Judgment, LabelColumns
from accord.quality import assess_annotators, fit_dawid_skene, tabulate_judgments, tabulate_labels
from accord.quality.labels import LabelTable
from accord.quality.people import probabilities_without_own
from accord.quality.people.assessment import AssessmentConfig, LabelEvidence, Verdict

SIDES = {Choice.LEFT: 0, Choice.RIGHT: 1}
MIN_JUDGMENTS = 40
"""Decided comparisons in all below which nobody is judged."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """What is said of one annotator."""

    annotator_id: str
    verdict: Verdict
    reasons: tuple[str, ...]
    judgments: int
    """Decided comparisons it rests on."""
    accuracy: float
    low: float
    high: float

    @property
    def row(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "annotator": self.annotator_id,
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "judgments": self.judgments,
            "accuracy": self.accuracy,
            "low": self.low,
            "high": self.high,
        }


def assess_staff(
    judgments: Sequence[Judgment], known: Sequence[Judgment] = (), *, seed: int = 0
) -> list[Word]:
    """One word an annotator, by name; none while there are too few decided comparisons.

    `known` are judgments of pairs whose better answer is known (`meta["better"]`): only they can show that
    somebody's word is worth nothing. Whoever tied everything gets no word. The order of the judgments is
    their order in time.
    """
    decided = [one for one in (*judgments, *known) if one.choice.is_decided]
    people = {one.annotator_id for one in decided}
    if len(decided) < MIN_JUDGMENTS or len(people) < 3:
        return []
    table, posterior = _consensus(decided)
    sides = np.array([SIDES[one.choice] for one in decided], dtype=np.int64)[table.rows]
    assessment = assess_annotators(
        table,
        posterior,
        gold=_truth(known, {str(item) for item in table.items}),
        evidence=LabelEvidence(sides=sides),
        config=AssessmentConfig(),
        seed=seed,
    )
    return [
        Word(
            annotator_id=str(row.annotator),
            verdict=row.verdict,
            reasons=row.reasons,
            judgments=row.n_labels,
            accuracy=_number(row.agreement.value),
            low=_number(row.agreement.low),
            high=_number(row.agreement.high),
        )
        for row in assessment.rows
    ]


@dataclass(frozen=True, eq=False)
class Stream:
    """One annotator's decided comparisons in the order of time."""

    annotator_id: str
    correctness: NDArray[np.float64]
    """[judgment] Chance that he was right, as the others see it, less the mean of all others' in that lot."""
    lots: tuple[int, ...]
    """[judgment] Such as rounds."""


def correctness_streams(judgments: Sequence[Judgment], lots: Sequence[int]) -> list[Stream]:
    """How right everybody was as time went on, against the others in the same lot; by name.

    `judgments` are in the order of time, `lots` say in which round each was asked for. What is harder for all
    in a later round is nobody's decline: only what sets one apart from the others is left.
    """
    places = [i for i, one in enumerate(judgments) if one.choice.is_decided]
    decided = [judgments[i] for i in places]
    if len(decided) < MIN_JUDGMENTS or len({one.annotator_id for one in decided}) < 3:
        return []
    table, posterior = _consensus(decided)
    right = probabilities_without_own(table, posterior)[np.arange(table.n_labels), table.class_index]
    order = np.argsort(table.rows, kind="stable")
    right, who = right[order], table.annotator_index[order]
    lot = np.array([lots[places[row]] for row in table.rows[order].tolist()])
    _, cell = np.unique(lot, return_inverse=True)
    shape = (cell.max() + 1, table.n_annotators)
    total = np.bincount(cell, right)[cell]
    count = np.bincount(cell)[cell]
    flat = cell * shape[1] + who
    own = np.bincount(flat, right, shape[0] * shape[1])[flat]
    own_count = np.bincount(flat, minlength=shape[0] * shape[1])[flat]
    others = np.maximum(count - own_count, 1)
    relative = right - (total - own) / others
    return [
        Stream(
            annotator_id=str(name),
            correctness=relative[who == number],
            lots=tuple(lot[who == number].tolist()),
        )
        for number, name in enumerate(table.annotators.tolist())
    ]


def other_annotators(judgments: Sequence[Judgment], share: float) -> frozenset[str]:
    """About a share of the annotators, evenly spread over their sorted names: those the evidence rests on."""
    names = sorted({one.annotator_id for one in judgments})
    return frozenset(name for i, name in enumerate(names) if int((i + 1) * share) > int(i * share))


def _consensus(decided: Sequence[Judgment]) -> tuple[LabelTable, NDArray[np.float64]]:
    """Decided comparisons as a table of labels, and what the consensus says of each item [item, class]."""
    table = tabulate_labels(_columns(decided), repeats="first", classes=(0, 1))
    pairs = tabulate_judgments(decided, repeats="first")
    p_first = fit_dawid_skene(pairs).p_first
    by_item = {
        _item(pair.prompt.id, pair.first, pair.second): p
        for pair, p in zip(pairs.pairs, p_first, strict=True)
    }
    share = np.array([by_item[str(item)] for item in table.items])
    return table, np.stack([share, 1 - share], axis=1)


def _truth(known: Sequence[Judgment], items: set[str]) -> dict[str, int]:
    """Class of the better answer of each known pair that is among the items."""
    truth = {}
    for one in known:
        first, second = sorted((one.comparison.left, one.comparison.right))
        item = _item(one.comparison.prompt.id, first, second)
        if item in items:
            truth[item] = 0 if one.meta["better"] == first else 1
    return truth


def _columns(decided: Sequence[Judgment]) -> LabelColumns:
    items, values = [], []
    for one in decided:
        first, second = sorted((one.comparison.left, one.comparison.right))
        chosen = one.comparison.left if one.choice is Choice.LEFT else one.comparison.right
        items.append(_item(one.comparison.prompt.id, first, second))
        values.append(0 if chosen == first else 1)
    return LabelColumns(items=items, annotators=[one.annotator_id for one in decided], values=values)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _item(prompt_id: str, first: str, second: str) -> str:
    return "\x1f".join((prompt_id, first, second))
