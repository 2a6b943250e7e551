"""Items of two runs brought together, and everything that does not fit counted.

Leaves out what is made of the pairs (`comparison.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.imports.record import ImportedItem, ImportedRun, shown_keys

Mismatched = Literal["error", "drop", "keep"]
FEW = 0.05
"""Share of a run's items without a partner from which on a note warns of it."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The pairs of two runs."""

    candidate: ImportedRun
    incumbent: ImportedRun
    pairs: tuple[tuple[ImportedItem, ImportedItem], ...]
    """Candidate's and incumbent's item, sorted by task, item and epoch."""
    only_candidate: int
    """Items that the incumbent does not have."""
    only_incumbent: int
    mismatched: int
    """Pairs whose prompts differ; left out unless they were to be kept."""
    unchecked: int
    """Pairs of which a log does not tell the prompt."""
    notes: tuple[str, ...]
    """What to be careful about, in words."""


def match_runs(
    candidate: ImportedRun, incumbent: ImportedRun, *, mismatched: Mismatched = "error"
) -> Matched:
    """Pairs by task, item and epoch. Items of one run only are left out and counted; no pair at all raises.

    A pair whose prompts differ raises, or with `mismatched` "drop" is left out and counted, or with
    "keep" is compared all the same: that is for runs that differ in their prompts on purpose.
    """
    if mismatched not in get_args(Mismatched):
        raise ConfigError("mismatched", [f"is {mismatched!r}; expected {', '.join(get_args(Mismatched))}"])
    mine = {item.key: item for item in candidate.items}
    theirs = {item.key: item for item in incumbent.items}
    shared = sorted(set(mine) & set(theirs))
    if not shared:
        raise EvaluationError(
            f"{candidate.name!r} and {incumbent.name!r} share no item: tasks {_some(candidate.tasks)} and "
            f"{_some(incumbent.tasks)}. Compare runs of the same tasks"
        )
    differing = [key for key in shared if _differ(mine[key], theirs[key])]
    if differing and mismatched == "error":
        raise EvaluationError(
            f"{len(differing)} of {len(shared)} shared items were shown with different prompts: "
            f"{shown_keys(differing)}. Compare runs of the same prompts (shots, template, version), leave "
            "these items out with --mismatched drop, or keep them with --mismatched keep"
        )
    left_out = set(differing) if mismatched == "drop" else set()
    kept = [key for key in shared if key not in left_out]
    if not kept:
        raise EvaluationError(
            f"all {len(shared)} shared items were shown with different prompts; none is left"
        )
    return Matched(
        candidate=candidate,
        incumbent=incumbent,
        pairs=tuple((mine[key], theirs[key]) for key in kept),
        only_candidate=len(mine) - len(shared),
        only_incumbent=len(theirs) - len(shared),
        mismatched=len(differing),
        unchecked=sum(mine[key].prompt_hash is None or theirs[key].prompt_hash is None for key in kept),
        notes=tuple(_notes(candidate, incumbent, len(shared), len(differing), mismatched)),
    )


def pick_run(runs: Sequence[ImportedRun], name: str | None, *, source: str) -> ImportedRun:
    """The run of that name, or the only one there is."""
    if name is None and len(runs) == 1:
        return runs[0]
    found = [run for run in runs if run.name == name]
    if len(found) != 1:
        said = "holds several runs; name one of them" if name is None else f"holds no one run named {name!r}"
        raise EvaluationError(f"{source} {said}: {', '.join(run.name for run in runs)}")
    return found[0]


def _differ(one: ImportedItem, two: ImportedItem) -> bool:
    return None not in (one.prompt_hash, two.prompt_hash) and one.prompt_hash != two.prompt_hash


def _notes(
    candidate: ImportedRun, incumbent: ImportedRun, shared: int, differing: int, mismatched: Mismatched
) -> list[str]:
    notes = [f"{run.name}: {note}" for run in (candidate, incumbent) for note in run.notes]
    for run in (candidate, incumbent):
        alone = len(run.items) - shared
        if alone > FEW * len(run.items):
            notes.append(f"{alone} of {len(run.items)} items of {run.name} have no partner and are left out")
    if differing:
        done = "left out" if mismatched == "drop" else "compared all the same"
        notes.append(f"{differing} pairs were shown with different prompts and are {done}")
    for name in sorted(set(candidate.settings) & set(incumbent.settings)):
        if candidate.settings[name] != incumbent.settings[name]:
            notes.append(f"{name} differs: {candidate.settings[name]} and {incumbent.settings[name]}")
    if candidate.tool != incumbent.tool:
        notes.append(f"logs of two tools: {candidate.tool} and {incumbent.tool}")
    return notes


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
