"""What a release must show: gates that name their principle, and their measurements from people's grades."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from accord.domain.errors import DataError
from accord.domain.judgments import Rating
from accord.domain.messages import content_hash
from accord.evaluation.gates.plan import GatePlan, parse_plan
from accord.evaluation.intervals import mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement
from accord.pipeline.charter.principles import Charter, Limit, Principle
from accord.pipeline.configuration import dump_table

GRADE = "principle_grade"
"""Metric: mean of people's grades of an answer on a principle, in grades."""
BROKEN_SHARE = "limit_broken"
"""Metric: share of answers that people found to break a limit."""


def gate_plan(charter: Charter) -> GatePlan:
    """The plan as `accord gate` reads it; a gate's id begins with its principle's, `about` quotes it."""
    return parse_plan(_plan(charter), f"charter {charter.name}")


def gate_file(charter: Charter) -> str:
    """The plan as TOML."""
    return f"# Made from the charter {charter.hash}; change that rather than this.\n" + dump_table(
        _plan(charter)
    )


def slice_of(principle_id: str) -> str:
    """The slice on which a principle's number is reported."""
    return f"principle={principle_id}"


def _plan(charter: Charter) -> dict[str, Any]:
    gates = [gate for one in charter.principles for gate in _grade_gates(one)]
    return {"name": charter.name, "gates": [*map(_limit_gate, charter.limits), *gates]}


def _limit_gate(one: Limit) -> dict[str, Any]:
    return {
        "id": f"{one.id}.broken",
        "metric": BROKEN_SHARE,
        "slice": slice_of(one.id),
        "comparator": "budget",
        "margin": one.max_rate,
        "better": "lower",
        "alpha": one.alpha,
        "min_n": one.min_n,
        "about": _about(one),
    }


def _grade_gates(one: Principle) -> list[dict[str, Any]]:
    shared = {
        "metric": GRADE,
        "slice": slice_of(one.id),
        "min_n": one.min_n,
        "about": _about(one),
    }
    kept = {
        "id": f"{one.id}.kept",
        "versus": "incumbent",
        "comparator": "noninferiority",
        "margin": one.tolerance,
    }
    gates = [{**kept, **shared}]
    if one.floor is not None:
        gates.append(
            {"id": f"{one.id}.level", "comparator": "absolute", "margin": float(one.floor), **shared}
        )
    return gates


def _about(one: Principle | Limit) -> str:
    kind = "Limit" if isinstance(one, Limit) else "Principle"
    return f"{kind} {one.id}: {' '.join(one.text.split())}"


def measure_grades(
    charter: Charter,
    ratings: Iterable[Rating],
    incumbent: Iterable[Rating] = (),
    *,
    alike: Sequence[str] = (),
) -> list[Measurement]:
    """Each principle's number from ratings of a model's answers, and its difference from the incumbent's.

    Grades of one answer by several people are averaged first; intervals are clustered by prompt. A
    difference is over the prompts both models answered; `alike` are ids of prompts with the same answer of
    both, no difference without anybody's grade. What nobody graded is left out, not zero.
    """
    own, other = _by_prompt(charter, ratings), _by_prompt(charter, incumbent)
    found: list[Measurement] = []
    for one in charter.entries:
        prompts = own.get(one.id, {})
        if not prompts:
            continue
        facts = {"principle": one.id, "charter": charter.hash}
        where = slice_of(one.id)
        if isinstance(one, Limit):
            keys = [key for key, answers in prompts.items() for _ in answers]
            broken = [1.0 - grade for answers in prompts.values() for grade in answers]
            estimate = share_estimate(broken, keys, confidence=1 - one.alpha)
            found.append(Measurement(metric=BROKEN_SHARE, slice=where, estimate=estimate, facts=facts))
            continue
        values = _means(prompts)
        level = mean_estimate(list(values.values()), list(values))
        found.append(Measurement(metric=GRADE, slice=where, estimate=level, facts=facts))
        shared = [key for key in values if key in other.get(one.id, {})]
        if shared:
            before = _means(other[one.id])
            gains = [values[key] - before[key] for key in shared] + [0.0] * len(alike)
            change = mean_estimate(gains, [*shared, *alike])
            found.append(
                Measurement(metric=GRADE, slice=where, versus="incumbent", estimate=change, facts=facts)
            )
    return found


def _by_prompt(charter: Charter, ratings: Iterable[Rating]) -> dict[str, dict[str, list[float]]]:
    """Dimension to prompt to one mean grade for each answer."""
    limits: Mapping[str, tuple[float, float]] = {
        **{one.id: (float(one.low), float(one.high)) for one in charter.principles},
        **{one.id: (0.0, 1.0) for one in charter.limits},
    }
    cells: dict[tuple[str, str, str], list[float]] = {}
    for rating in ratings:
        if rating.dimension not in limits:
            continue
        low, high = limits[rating.dimension]
        if not low <= rating.value <= high:
            raise DataError(
                f"a grade on {rating.dimension!r} is {rating.value:g}; the charter has {low:g} to {high:g}"
            )
        key = (rating.dimension, rating.prompt.id, content_hash(rating.completion))
        cells.setdefault(key, []).append(rating.value)
    found: dict[str, dict[str, list[float]]] = {}
    for (dimension, prompt, _), grades in cells.items():
        found.setdefault(dimension, {}).setdefault(prompt, []).append(sum(grades) / len(grades))
    return found


def _means(prompts: Mapping[str, list[float]]) -> dict[str, float]:
    return {key: float(np.mean(answers)) for key, answers in prompts.items()}
