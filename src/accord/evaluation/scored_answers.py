"""Answers scored by a proxy and by gold, along a run or as a pool of samples, from a file.

    run     {"prompt_id": "7", "step": 200, "kl": 4.1, "proxy": 1.3, "gold": 0.2, "length": 80, "text": "..."}
    pool    {"prompt_id": "7", "proxy": 1.3, "gold": 0.2, "members": [1.1, 1.5]}

A run has the same prompts at every step; the lowest step is the start. `kl` is of the step, or
`logprob` and `reference_logprob` are of the answer; `entropy`, `members` and `features` may stand there.
Leaves out what is made of them.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.evaluation.imports.log_file import LogFile, read_log

LEAST_STEPS = 2
LISTS = ("members", "features")
"""Columns that hold a list of numbers, equally many in every row."""


@dataclass(frozen=True, kw_only=True)
class ScoredAnswer:
    """One answer and its rewards."""

    prompt_id: str
    proxy: float
    gold: float
    length: float | None = None
    text: str | None = None
    is_complete: bool = True
    kl: float | None = None
    logprobs: tuple[float, float] | None = None
    """Natural logs under the policy and under the reference."""
    entropy: float | None = None
    """Mean over its tokens, nats."""
    members: tuple[float, ...] = ()
    features: tuple[float, ...] = ()
    """The reward model's own of the answer, e.g. its last hidden state."""


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """The same prompts answered at several steps."""

    steps: Mapping[int, tuple[ScoredAnswer, ...]]
    """By step, ascending; rows of one prompt stand in one place at every step."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt_ids(self) -> list[str]:
        """[row] as at every step."""
        return [row.prompt_id for row in next(iter(self.steps.values()))]


@dataclass(frozen=True, kw_only=True)
class ScoredPool:
    """Several samples of one policy for every prompt."""

    pools: Mapping[str, tuple[ScoredAnswer, ...]]
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_scored_answers(path: Path) -> ScoredRun | ScoredPool:
    """A run where rows have a step, else a pool; JSON lines, a JSON list or CSV (also .gz).

    A reward that is no finite number, other prompts at another step and a run of one step raise `DataError`.
    """
    log = read_log(path)
    rows = log.records()
    if not rows or not {"prompt_id", "proxy", "gold"} <= set(rows[0][1]):
        raise log.refuse("expected rows with prompt_id, proxy, gold and (for a run) step")
    facts = {"answers_file": path.name, "answers_sha256": log.digest, "answers": len(rows)}
    answers = [_answer(log, line, row) for line, row in rows]
    for name in LISTS:
        sizes = {len(getattr(row, name)) for row in answers}
        if len(sizes) > 1:
            raise log.refuse(f"rows have {sorted(sizes)} {name}; expected as many in every row")
    if "step" not in rows[0][1]:
        pools: dict[str, list[ScoredAnswer]] = defaultdict(list)
        for row in answers:
            pools[row.prompt_id].append(row)
        return ScoredPool(pools={name: tuple(pool) for name, pool in sorted(pools.items())}, facts=facts)
    by_step: dict[int, list[ScoredAnswer]] = defaultdict(list)
    for (line, source), answer in zip(rows, answers, strict=True):
        step = source.get("step")
        try:
            by_step[int(str(step))].append(answer)
        except ValueError as error:
            raise log.refuse(f"step is {step!r}; expected a whole number", line) from error
    return ScoredRun(steps=_aligned(log, by_step), facts=facts)


def _aligned(
    log: LogFile, by_step: Mapping[int, Sequence[ScoredAnswer]]
) -> dict[int, tuple[ScoredAnswer, ...]]:
    if len(by_step) < LEAST_STEPS:
        raise log.refuse(f"there is one step, {min(by_step)}; a run has a start and a later step or more")
    wanted: list[str] | None = None
    found = {}
    for step in sorted(by_step):
        rows = sorted(by_step[step], key=lambda row: row.prompt_id)
        names = [row.prompt_id for row in rows]
        if wanted is not None and names != wanted:
            differing = sorted(set(names) ^ set(wanted)) or ["the number of answers to a prompt"]
            raise log.refuse(
                f"step {step} answers other prompts than the start: {', '.join(differing[:3])}; give every "
                "step the same prompts"
            )
        wanted = names
        found[step] = tuple(rows)
    return found


def _answer(log: LogFile, line: int, row: Mapping[str, Any]) -> ScoredAnswer:
    def number(name: str) -> float | None:
        value = row.get(name)
        if value in (None, ""):
            return None
        try:
            found = float(str(value))
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise log.refuse(f"{name} is {value!r}; expected a finite number", line)
        return found

    proxy, gold = number("proxy"), number("gold")
    if proxy is None or gold is None or row.get("prompt_id") in (None, ""):
        raise log.refuse("a row needs prompt_id, proxy and gold", line)
    own, reference = number("logprob"), number("reference_logprob")
    text, reason = row.get("text"), row.get("finish_reason")
    return ScoredAnswer(
        prompt_id=str(row["prompt_id"]),
        proxy=proxy,
        gold=gold,
        length=number("length") if number("length") is not None else _words(text),
        text=text if isinstance(text, str) else None,
        is_complete=reason != "length",
        kl=number("kl"),
        logprobs=None if own is None or reference is None else (own, reference),
        entropy=number("entropy"),
        **{name: log.numbers(line, row, name) for name in LISTS},
    )


def _words(text: Any) -> float | None:
    return float(len(text.split())) if isinstance(text, str) else None


def require_run(found: ScoredRun | ScoredPool, path: Path) -> ScoredRun:
    """A run; a pool raises."""
    if isinstance(found, ScoredRun):
        return found
    raise DataError("has no step, so it is a pool of samples and no run", path=str(path))
