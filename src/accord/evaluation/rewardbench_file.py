"""RewardBench examples from a file: rewards as they stand, or answers to be scored.

    1    {"subset": "donotanswer", "chosen_reward": 1.2, "rejected_reward": 0.4}
         {"subset": "donotanswer", "prompt": "...", "chosen": "...", "rejected": "..."}
    2    {"id": "ref:12", "subset": "Ties", "rewards": [2.0, 0.1, 0.0], "n_right": 1}
         {"id": "tied:12", "subset": "Ties", "prompt": "...", "chosen": ["..."], "rejected": ["...", "..."]}

Leaves out the scores (`rewardbench.py`) and the reward model (the caller hands a function of texts).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from accord.domain.errors import EvaluationError
from accord.evaluation.imports.log_file import LogFile, parse_json, read_log
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.rewardbench import (
    TIES,
    BenchScore,
    RankedExample,
    score_rewardbench,
    score_rewardbench2,
)

Bench = Literal["rewardbench", "rewardbench2"]
BENCHES: tuple[Bench, ...] = ("rewardbench", "rewardbench2")
Scorer = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""(prompt texts, answer texts) -> one reward an answer."""


def score_bench_file(
    path: Path, bench: Bench, scorer: Scorer | None = None
) -> tuple[BenchScore, dict[str, Any]]:
    """The score of a file and where it comes from; rows without rewards need `scorer`."""
    log = read_log(path)
    rows = log.records()
    if not rows:
        raise log.refuse("holds no examples; expected rows with subset and rewards or answers")
    facts = {"bench": bench, "bench_file": path.name, "bench_sha256": log.digest, "examples": len(rows)}
    examples = [_example(log, line, row, bench) for line, row in rows]
    rewards = _rewards(log, examples, scorer)
    if bench == "rewardbench":
        chosen, rejected = ([row[i] for row in rewards] for i in range(2))
        return score_rewardbench([one["subset"] for one in examples], chosen, rejected), facts
    ranked = [
        RankedExample(
            question=one["question"],
            subset=one["subset"],
            rewards=values,
            n_right=one["n_right"],
            is_reference=one["is_reference"],
        )
        for one, values in zip(examples, rewards, strict=True)
    ]
    return score_rewardbench2(ranked), facts


def bench_measurements(score: BenchScore, bench: Bench, facts: Mapping[str, Any]) -> list[Measurement]:
    """Overall, by section and by subset; sections are means of subsets and have no interval of their own."""
    named = {**facts, "missing": list(score.missing), "equal_best": score.n_equal}
    measured = [Measurement(metric=bench, estimate=Estimate(value=score.overall), facts=named)]
    measured += [
        Measurement(metric=bench, slice=f"section={name}", estimate=Estimate(value=value), facts=named)
        for name, value in score.sections.items()
    ]
    return measured + [
        Measurement(metric=bench, slice=f"subset={name}", estimate=estimate, facts=named)
        for name, estimate in score.subsets.items()
    ]


def _example(log: LogFile, line: int, row: Mapping[str, Any], bench: Bench) -> dict[str, Any]:
    subset = str(row.get("subset") or "")
    if not subset:
        raise log.refuse("an example has no subset", line)
    found: dict[str, Any] = {"subset": subset, "line": line, "prompt": row.get("prompt")}
    if bench == "rewardbench":
        found["n_right"] = 1
        pair = [row.get("chosen_reward"), row.get("rejected_reward")]
        found["rewards"] = pair if None not in pair and "" not in pair else None
        found["answers"] = [row.get("chosen"), row.get("rejected")]
        return found
    role, colon, question = str(row.get("id", "")).partition(":")
    right, wrong = (_listed(log, line, row.get(name)) for name in ("chosen", "rejected"))
    given = _listed(log, line, row.get("rewards"))
    count = row.get("n_right", row.get("num_correct", len(right)))
    if not str(count).isdigit():
        raise log.refuse(f"n_right is {count!r}; expected a whole number", line)
    if subset == TIES and (not colon or role not in ("ref", "tied")):
        raise log.refuse(f"a Ties example has id {row.get('id')!r}; expected ref:N or tied:N", line)
    found |= {"n_right": int(str(count)), "rewards": given or None, "answers": [*right, *wrong]}
    found |= {"question": question if subset == TIES else str(row.get("id", line))}
    return found | {"is_reference": subset == TIES and role == "ref"}


def _rewards(log: LogFile, examples: Sequence[dict[str, Any]], scorer: Scorer | None) -> list[list[float]]:
    """The rewards that stand there, and the scorer's for the rest, asked all at once."""
    unscored = [one for one in examples if one["rewards"] is None]
    for one in unscored:
        if scorer is None:
            raise log.refuse(
                "an example has no rewards; give them, or a reward model to score it", one["line"]
            )
        is_text = isinstance(one["prompt"], str) and all(isinstance(text, str) for text in one["answers"])
        if not is_text or len(one["answers"]) < 2:
            raise log.refuse("an example has neither rewards nor prompt, chosen and rejected", one["line"])
    if unscored and scorer is not None:
        texts = [(one["prompt"], text) for one in unscored for text in one["answers"]]
        values = iter(scorer([prompt for prompt, _ in texts], [text for _, text in texts]))
        for one in unscored:
            one["rewards"] = [next(values) for _ in one["answers"]]
    return [[_number(log, one["line"], value) for value in one["rewards"]] for one in examples]


def _listed(log: LogFile, line: int, value: Any) -> list[Any]:
    if isinstance(value, str) and value.strip().startswith("["):
        value = parse_json(value, log.path, line)
    return list(value) if isinstance(value, list) else []


def _number(log: LogFile, line: int, value: Any) -> float:
    try:
        found = float(str(value))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise log.refuse(f"a reward is {value!r}; expected a finite number", line)
    return found


def require_bench(name: str) -> Bench:
    """One of the benchmarks; anything else raises."""
    for known in BENCHES:
        if name == known:
            return known
    raise EvaluationError(f"benchmark {name!r} is not known; expected {' or '.join(BENCHES)}")
