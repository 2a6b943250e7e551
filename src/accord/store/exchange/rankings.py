"""Ranked lists: several answers to one prompt with ranks, with scores, or in order from best to worst."""

from typing import Any

from accord.domain import DataError, Ranking
from accord.store.exchange.cells import (
    read_completion,
    read_prompt,
    required,
    rest_of,
    shown,
    take_label,
    take_list,
    write_completion,
    write_prompt,
)
from accord.store.exchange.format import Cells, FileContext, Format

ANSWERS = ("completions", "responses", "ranked")
ANNOTATOR = ("annotator_id", "annotator", "worker", "judge")


def _read_row(cells: Cells, context: FileContext) -> list[Ranking]:
    answers = [read_completion(answer, context) for answer in take_list(cells, *ANSWERS)]
    return [
        Ranking(
            prompt=read_prompt(required(cells, "prompt"), context),
            completions=tuple(answers),
            ranks=_read_ranks(cells, len(answers)),
            annotator_id=take_label(cells, *ANNOTATOR),
            meta=rest_of(cells, "prompt", "ranks", "scores", *ANSWERS, *ANNOTATOR),
        )
    ]


def _read_ranks(cells: Cells, count: int) -> tuple[int, ...]:
    """Ranks as given; from scores, where the highest is best and equal scores tie; or the order itself."""
    if cells.get("ranks") is not None:
        ranks = take_list(cells, "ranks")
        for rank in ranks:
            if isinstance(rank, bool) or not isinstance(rank, int):
                raise DataError(f"ranks must be whole numbers from 1 (best), got {shown(rank)}")
        return tuple(ranks)
    if cells.get("scores") is not None:
        scores = take_list(cells, "scores")
        for score in scores:
            if isinstance(score, bool) or not isinstance(score, int | float):
                raise DataError(f"scores must be numbers, got {shown(score)}")
        return tuple(1 + sum(other > score for other in scores) for score in scores)
    return tuple(range(1, count + 1))


def _write_row(record: Ranking) -> dict[str, Any]:
    return {
        "prompt": write_prompt(record.prompt),
        "completions": [write_completion(record.prompt, answer) for answer in record.completions],
        "ranks": list(record.ranks),
        "annotator_id": record.annotator_id,
    }


def _has_order(cells: Cells) -> bool:
    return "ranked" in cells or "ranks" in cells or "scores" in cells


RANKINGS = Format(
    name="rankings",
    kind=Ranking,
    fields=("prompt", "|".join(ANSWERS)),
    summary="ranked lists: prompt, completions with ranks (1 best) or scores (high is best), or ranked",
    read_row=_read_row,
    write_row=_write_row,
    fits=_has_order,
)
