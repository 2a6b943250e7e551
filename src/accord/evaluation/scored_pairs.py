"""Pairs that a reward model has scored, from a file: the margin, the label, and what the pair is like.

    {"id": "a1", "prompt_id": "7", "chosen_reward": 1.2, "rejected_reward": 0.3, "votes_chosen": 4,
     "votes_rejected": 1, "chosen_length": 80, "rejected_length": 60, "domain": "billing", "group": "nurses",
     "members": [[1.1, 0.2], [1.3, 0.5]]}

`p_chosen` (1 where it is missing) may stand for the votes; everything after the rewards may be left out.
`chosen_reward`, `rejected_reward` and `is_labeled` false make a pair of the label-free estimate. Leaves out
what is made of them (`reward_measurements.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.domain.errors import EvaluationError
from accord.domain.messages import content_hash
from accord.evaluation.imports.log_file import LogFile, parse_json, read_log

NUMBERS = ("chosen_length", "rejected_length")
COUNTS = ("votes_chosen", "votes_rejected")
FALSE = {"false", "0", "no"}


@dataclass(frozen=True, kw_only=True)
class ScoredPair:
    """One pair as a reward model scored it and people judged it."""

    id: str
    prompt_id: str
    chosen_reward: float
    rejected_reward: float
    p_chosen: float | None = 1.0
    """Probability that people prefer chosen; None where nobody was asked."""
    votes: tuple[int, int] | None = None
    """Decided votes for chosen and for rejected, where they are known."""
    lengths: tuple[float, float] | None = None
    domain: str = ""
    group: str = ""
    """Of the annotators whose label this is."""
    members: tuple[tuple[float, float], ...] = ()
    """(chosen, rejected) of each reward model of an ensemble."""
    changed: Mapping[str, float] = field(default_factory=dict)
    """Kind of change that should not matter -> reward of the changed chosen answer."""

    @property
    def margin(self) -> float:
        """Reward of chosen less that of rejected."""
        return self.chosen_reward - self.rejected_reward


@dataclass(frozen=True, kw_only=True)
class ScoredPairs:
    """Pairs of one reward model, labeled and not."""

    labeled: tuple[ScoredPair, ...]
    unlabeled: tuple[ScoredPair, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.labeled:
            raise EvaluationError("no pair has a label, so nothing can be said of the reward model")


def read_scored_pairs(path: Path) -> ScoredPairs:
    """Pairs from JSON lines, a JSON list or CSV (also .gz).

    A reward that is no finite number, a label outside [0, 1], an id that stands there twice for the same
    group and members that differ in number raise `DataError` with the line.
    """
    log = read_log(path)
    rows = log.records()
    if not rows or not {"chosen_reward", "rejected_reward"} <= set(rows[0][1]):
        raise log.refuse("expected rows with prompt_id, chosen_reward, rejected_reward and a label")
    pairs, seen = [], dict[tuple[str, str], int]()
    for line, row in rows:
        pair = _pair(log, line, row)
        key = (pair.id, pair.group)
        if key in seen:
            raise log.refuse(f"pair {pair.id!r} stood in line {seen[key]} already; keep one of them", line)
        seen[key] = line
        pairs.append(pair)
    sizes = {len(pair.members) for pair in pairs}
    if len(sizes) > 1:
        raise log.refuse(f"pairs have {sorted(sizes)} members; expected as many in every row")
    labeled = tuple(pair for pair in pairs if pair.p_chosen is not None)
    if not labeled:
        raise log.refuse("no row has a label (votes_chosen and votes_rejected, or p_chosen)")
    return ScoredPairs(
        labeled=labeled,
        unlabeled=tuple(pair for pair in pairs if pair.p_chosen is None),
        facts={
            "pairs_file": Path(path).name,
            "pairs_sha256": log.digest,
            "pairs_digest": content_hash(sorted([one.id, one.group, str(one.p_chosen)] for one in labeled)),
        },
    )


def match_pairs(candidate: Sequence[ScoredPair], incumbent: Sequence[ScoredPair]) -> list[ScoredPair]:
    """The incumbent's pairs in the candidate's order; other pairs or other labels raise `EvaluationError`."""
    found = {(pair.id, pair.group): pair for pair in incumbent}
    matched = []
    for pair in candidate:
        other = found.pop((pair.id, pair.group), None)
        if other is None:
            raise EvaluationError(
                f"pair {pair.id!r} of the candidate is not among the incumbent's; score the same pairs with "
                "both reward models"
            )
        if other.p_chosen != pair.p_chosen or other.prompt_id != pair.prompt_id:
            raise EvaluationError(
                f"pair {pair.id!r} has label {pair.p_chosen} on prompt {pair.prompt_id!r} in one file and "
                f"{other.p_chosen} on {other.prompt_id!r} in the other; both must tell of the same pairs"
            )
        matched.append(other)
    if found:
        name = min(key[0] for key in found)
        raise EvaluationError(
            f"{len(found)} pairs are the incumbent's alone, e.g. {name!r}; score the same pairs with both "
            "reward models"
        )
    return matched


def _pair(log: LogFile, line: int, row: Mapping[str, Any]) -> ScoredPair:
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

    rewards = [number(name) for name in ("chosen_reward", "rejected_reward")]
    if rewards[0] is None or rewards[1] is None:
        raise log.refuse("a reward is missing; expected chosen_reward and rejected_reward", line)
    lengths = [number(name) for name in NUMBERS]
    votes = _votes(log, line, [number(name) for name in COUNTS])
    prompt_id = str(row["prompt_id"]) if row.get("prompt_id") not in (None, "") else ""
    if not prompt_id:
        raise log.refuse("there is no prompt_id", line)
    return ScoredPair(
        id=str(row["id"]) if row.get("id") not in (None, "") else f"row {line}",
        prompt_id=prompt_id,
        chosen_reward=rewards[0],
        rejected_reward=rewards[1],
        p_chosen=_label(log, line, row, votes, number("p_chosen")),
        votes=votes,
        lengths=None if lengths[0] is None or lengths[1] is None else (lengths[0], lengths[1]),
        domain=str(row.get("domain") or ""),
        group=str(row.get("group") or ""),
        members=_members(log, line, row.get("members")),
        changed=_changed(log, line, row.get("changed")),
    )


def _votes(log: LogFile, line: int, counts: list[float | None]) -> tuple[int, int] | None:
    if counts[0] is None or counts[1] is None:
        return None
    if any(count < 0 or count != int(count) for count in counts if count is not None):
        raise log.refuse(f"votes are {counts[0]:g} and {counts[1]:g}; expected whole numbers from 0", line)
    return int(counts[0]), int(counts[1])


def _label(
    log: LogFile, line: int, row: Mapping[str, Any], votes: tuple[int, int] | None, given: float | None
) -> float | None:
    """The given probability, else the share of votes, else certainty; None where nobody was asked."""
    if str(row.get("is_labeled", "")).lower() in FALSE:
        return None
    if given is not None:
        if not 0 <= given <= 1:
            raise log.refuse(f"p_chosen is {given:g}; expected a number from 0 to 1", line)
        return given
    if votes is not None:
        return votes[0] / sum(votes) if sum(votes) else 0.5
    return 1.0


def _members(log: LogFile, line: int, value: Any) -> tuple[tuple[float, float], ...]:
    """[[chosen, rejected], ...]; a text of JSON where the file is CSV."""
    found = parse_json(value, log.path, line) if isinstance(value, str) and value.strip() else value
    if not found:
        return ()
    is_right = isinstance(found, list) and all(
        isinstance(one, list) and len(one) == 2 and all(_is_finite(number) for number in one) for one in found
    )
    if not is_right:
        raise log.refuse("members is no list of [chosen, rejected] rewards", line)
    return tuple((float(one[0]), float(one[1])) for one in found)


def _changed(log: LogFile, line: int, value: Any) -> dict[str, float]:
    found = parse_json(value, log.path, line) if isinstance(value, str) and value.strip() else value
    if not found:
        return {}
    if not isinstance(found, Mapping) or not all(_is_finite(one) for one in found.values()):
        raise log.refuse("changed is no object of kind of change and reward", line)
    return {str(name): float(one) for name, one in found.items()}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
