"""The row of the ledger that a round ends with, from its stages' records."""

from collections.abc import Mapping
from typing import Any

from accord.evaluation.gates.verdict import Release
from accord.pipeline.rounds.releasing import STAGES, RoundRecord, gate_rows
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.rounds.state import LoopState

FURTHER = ("evidence", "grades")
"""Stages of some rounds only."""


def record_of(
    loop: LoopState,
    number: int,
    release: Release,
    *,
    began_from: str,
    snapshot: Snapshot,
    numbers: Mapping[str, Mapping[str, Any]],
    paused: Mapping[str, str],
    earlier: RoundRecord | None,
) -> RoundRecord:
    """What came of a round whose last stage has just decided; `earlier` is the round before."""
    journal = loop.runner.journal
    found = {stage: journal.record(f"r{number}-{stage}") for stage in (*STAGES[:-1], *FURTHER)}
    records = {stage: one for stage, one in found.items() if one is not None}
    facts = {stage: dict(one.facts) for stage, one in records.items()}
    gates = gate_rows(release)
    policy: dict[str, Any] = {}
    if loop.grading is not None:
        policy = {"policy": loop.grading.facts(facts["grades"]["metrics"], facts["policy"]["metrics"], gates)}
    judgments = sum(int(facts[stage]["judgments"]) for stage in ("judge", "examine"))
    return RoundRecord(
        number=number,
        model=str((journal.path(f"r{number}-policy") / "model").relative_to(loop.folder)),
        version=loop.newest.version,
        began_from=began_from,
        incumbent=loop.incumbent.version,
        snapshot=snapshot.hash,
        reward_model=str((journal.path(f"r{number}-reward") / "model").relative_to(loop.folder)),
        reward_version=str(facts["reward"]["version"]),
        verdict=release.verdict.value,
        is_released=release.exit_code == 0,
        plan_hash=release.plan_hash,
        gates=gates,
        numbers=numbers,
        judgments=judgments + (earlier.judgments if earlier else 0),
        seconds=sum(one.seconds for one in records.values()) + (earlier.seconds if earlier else 0.0),
        facts={
            "words": facts["agree"]["words"],
            "annotators": facts["agree"]["annotators"],
            "paused": dict(paused),
            "left_out": dict(snapshot.left_out),
            "questions": facts["choose"]["questions"],
            "pairs": len(snapshot.preferences),
            "guard": facts["policy"]["guard"],
            "drift": facts["agree"]["drift"],
            **policy,
            "stages": {stage: one.seconds for stage, one in records.items()},
        },
    )
