"""Length-controlled win rates of every model of an annotation file. Leaves out how they are shown."""

import math
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.evaluation.length_control import LengthControlled, control_length, rewritings_of
from accord.pipeline.annotation_files import (
    Annotations,
    Instructions,
    read_annotations,
    read_instructions,
)

BENCHMARK_LENGTHS = (805, 1649764.0)
"""Instructions of AlpacaEval 2 and the sum of its baseline's lengths: for this baseline the labels of its
rewritings are known, for another they are not."""


def win_rates(
    annotations: Path,
    instructions: Path | None = None,
    *,
    model: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """One row a model, in the order of the file, with plain JSON values; bounds are None without interval.

    Raises `DataError` for files that do not fit each other, or a model that is not there.
    """
    found = read_annotations(annotations)
    known = None if instructions is None else read_instructions(instructions)
    if model is not None and model not in found:
        raise DataError(f"there is no model {model!r}; there are: {', '.join(found)}", path=str(annotations))
    wanted = found if model is None else {model: found[model]}
    return [
        _row(name, one, _controlled(one, known, annotations, resamples=resamples, seed=seed))
        for name, one in wanted.items()
    ]


def _controlled(
    one: Annotations, known: Instructions | None, path: Path, *, resamples: int, seed: int
) -> LengthControlled:
    settings: dict[str, Any] = {"resamples": resamples, "seed": seed}
    if known is not None:
        count = len(known.baseline_lengths)
        wrong = [row for row in one.rows if row >= count]
        if wrong:
            raise DataError(
                f"row {wrong[0]} has no instruction; the instructions have rows 0 to {count - 1}",
                path=str(path),
            )
        if known.difficulty is not None:
            settings["difficulty"] = [known.difficulty[row] for row in one.rows]
            settings["all_difficulty"] = known.difficulty
            is_benchmark = (count, sum(known.baseline_lengths)) == BENCHMARK_LENGTHS
            if known.rewritten_lengths and is_benchmark:
                settings["rewritings"] = rewritings_of(
                    known.baseline_lengths, known.rewritten_lengths, known.difficulty
                )
    return control_length(one.preferences, one.baseline_lengths, one.model_lengths, **settings)


def _row(name: str, one: Annotations, result: LengthControlled) -> dict[str, Any]:
    controlled = result.controlled
    return {
        "model": name,
        "win_rate": result.raw.value,
        "win_rate_low": _number(result.raw.low),
        "win_rate_high": _number(result.raw.high),
        "standard_error": result.raw_standard_error,
        "length_controlled_winrate": controlled.value,
        "low": _number(controlled.low),
        "high": _number(controlled.high),
        "n": controlled.n,
        "n_missing": one.n_missing,
        "length_weight": result.length_weight,
        "difficulty_weight": result.difficulty_weight,
        "model_weight": result.model_weight,
        "is_regularized": result.is_regularized,
        "flags": list(result.flags),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
