"""The record of a round that is over: what it made, what it rests on, and what its gates ask of the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accord.evaluation.gates.verdict import Release
from accord.pipeline.rounds.queues import queue_rows, queues_after
from accord.pipeline.rounds.releasing import STAGES, RoundRecord, gate_rows
from accord.pipeline.rounds.rewarding import named_habits
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.rounds.state import LoopState

FURTHER = ("grades", "evidence")
"""Stages of some rounds only."""


@dataclass(frozen=True, kw_only=True)
class Closing:
    """A round whose stages are done, but for the gates."""

    loop: LoopState
    number: int
    before: Sequence[RoundRecord]
    start: str
    """Version of the policy it began with."""
    snapshot: Snapshot
    paused: Mapping[str, str]
    """Annotators who got no more work, by any stage so far -> why."""
    anchors: int = 0
    """Pairs of the first round that were judged again."""

    def record(
        self, release: Release, numbers: Mapping[str, Any], gains: Sequence[Mapping[str, Any]] = ()
    ) -> RoundRecord:
        """The row of the ledger, queues as the gates leave them among its facts; `gains` are everybody's."""
        loop, journal = self.loop, self.loop.runner.journal
        found = {stage: journal.record(self._name(stage)) for stage in (*STAGES[:-1], *FURTHER)}
        records = {stage: one for stage, one in found.items() if one is not None}
        facts = {stage: dict(one.facts) for stage, one in records.items()}
        seconds = sum(one.seconds for one in records.values())
        gates = gate_rows(release)
        judgments = sum(int(facts[stage]["judgments"]) for stage in ("judge", "examine"))
        earlier = self.before[-1] if self.before else None
        record = RoundRecord(
            number=self.number,
            model=self._model("policy"),
            version=loop.newest.version,
            began_from=self.start,
            incumbent=loop.incumbent.version,
            snapshot=self.snapshot.hash,
            reward_model=self._model("reward"),
            reward_version=str(facts["reward"]["version"]),
            verdict=release.verdict.value,
            is_released=release.exit_code == 0,
            plan_hash=release.plan_hash,
            gates=gates,
            numbers=numbers,
            judgments=judgments + (earlier.judgments if earlier else 0),
            seconds=seconds + (earlier.seconds if earlier else 0.0),
            facts={
                "words": facts["agree"]["words"],
                "annotators": facts["agree"]["annotators"],
                "reward": self._reward(facts["reward"]),
                "gains": [dict(one) for one in gains],
                "paused": dict(self.paused),
                "left_out": dict(self.snapshot.left_out),
                "questions": facts["choose"]["questions"],
                "pairs": len(self.snapshot.preferences),
                "guard": facts["policy"]["guard"],
                "queue_pairs": facts["choose"]["queue_pairs"],
                "examined": facts["answer"]["prompts"],
                "anchors": self.anchors,
                "policy_kl": facts["agree"]["policy_kl"],
                "drift": facts["drift"]["rows"],
                **self._policy(facts, gates),
                "stages": {stage: one.seconds for stage, one in records.items()},
            },
        )
        queues = queues_after([*self.before, record], loop.config.queue)
        return replace(record, facts={**record.facts, "queues": queue_rows(queues)})

    def _reward(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What the reward model learned from, and the habits learnt beside it, by handle."""
        rows = facts.get("habits", ())
        names = {code: handle for handle, code in (self.loop.bench.pseudonyms() or {}).items()}
        return {"objective": facts.get("objective", "pairs"), "habits": named_habits(rows, names)}

    def _policy(
        self, facts: Mapping[str, Mapping[str, Any]], gates: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """What came of each principle of the written policy, where there is one."""
        grading = self.loop.grading
        if grading is None:
            return {}
        return {"policy": grading.facts(facts["grades"]["metrics"], facts["policy"]["metrics"], gates)}

    def _name(self, stage: str) -> str:
        return f"r{self.number}-{stage}"

    def _model(self, stage: str) -> str:
        """Folder of what a stage trained, below the run's."""
        folder = self.loop.runner.journal.path(self._name(stage)) / "model"
        return str(folder.relative_to(self.loop.folder))
