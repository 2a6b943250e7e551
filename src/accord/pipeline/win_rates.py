"""Length-controlled win rates of every model of an annotation file. Leaves out how they are shown."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.evaluation.length_control import LengthControlled, control_length, rewritings_of
from accord.evaluation.length_penalty import control_length_penalized
from accord.pipeline.annotation_files import (
    Annotations,
    Instructions,
    read_annotations,
    read_instructions,
)

BENCHMARK_LENGTHS = (805, 1649764.0)
"""Instructions of AlpacaEval 2 and the sum of its baseline's lengths: for this baseline the labels of its
rewritings are known, for another they are not."""


@dataclass(frozen=True, kw_only=True)
class ConstantOutput:
    """A run whose answers are all the same: what a measure gives for nothing."""

    name: str
    win_rate: float
    controlled: float


def win_rates(
    annotations: Path,
    instructions: Path | None = None,
    *,
    model: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    constant: str | None = None,
    has_penalty: bool = False,
) -> list[dict[str, Any]]:
    """One row a model, in the order of the file, with plain JSON values; bounds are None without interval.

    `constant` names a run that always gives the same answer, as a model of the file or a file of its own;
    without it a model of the file whose answers are all of one length is taken, and where there is none
    the constant output is not measured. `has_penalty` adds the rate under a penalty chosen by
    cross-validation. Raises `DataError` for files that do not fit each other, or a model that is not there.
    """
    found = read_annotations(annotations)
    known = None if instructions is None else read_instructions(instructions)
    if model is not None and model not in found:
        raise DataError(f"there is no model {model!r}; there are: {', '.join(found)}", path=str(annotations))
    wanted = found if model is None else {model: found[model]}
    floor = _constant_output(found, known, annotations, constant)
    rows = []
    for name, one in wanted.items():
        settings = _settings(one, known, annotations)
        lengths = (one.preferences, one.baseline_lengths, one.model_lengths)
        row = _row(name, one, control_length(*lengths, **settings, resamples=resamples, seed=seed), floor)
        if has_penalty:
            penalized = control_length_penalized(*lengths, **settings, seed=seed)
            row |= {"penalized_winrate": penalized.value, "penalty": penalized.penalty}
        rows.append(row)
    return rows


def _constant_output(
    found: dict[str, Annotations], known: Instructions | None, path: Path, constant: str | None
) -> ConstantOutput | None:
    name, one = constant, None if constant is None else found.get(constant)
    if constant is None:
        alike = [model for model, own in found.items() if len(set(own.model_lengths)) == 1]
        name = alike[0] if alike else None
        one = None if name is None else found[name]
    elif one is None:
        path = Path(constant)
        if not path.is_file():
            raise DataError(f"--constant is {constant!r}, neither a model of the annotations nor a file")
        several = read_annotations(path)
        if len(several) != 1:
            raise DataError(f"holds {len(several)} models; expected one", path=constant)
        ((name, one),) = several.items()
    if one is None or name is None:
        return None
    lengths = (one.preferences, one.baseline_lengths, one.model_lengths)
    result = control_length(*lengths, **_settings(one, known, path), resamples=0)
    return ConstantOutput(
        name=name or str(constant), win_rate=result.raw.value, controlled=result.controlled.value
    )


def _settings(one: Annotations, known: Instructions | None, path: Path) -> dict[str, Any]:
    """What is known of the instructions of one model's rows."""
    settings: dict[str, Any] = {}
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
    return settings


def _row(
    name: str, one: Annotations, result: LengthControlled, floor: ConstantOutput | None
) -> dict[str, Any]:
    controlled = result.controlled
    flags = list(result.flags)
    if floor is not None and floor.name != name and controlled.value <= floor.controlled:
        flags.append(
            f"does not beat the constant output of {floor.name} at equal length ({floor.controlled:.2f})"
        )
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
        "constant_output": None
        if floor is None
        else {
            "model": floor.name,
            "win_rate": floor.win_rate,
            "length_controlled_winrate": floor.controlled,
        },
        "flags": flags,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
