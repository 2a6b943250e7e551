"""What the files of a loop's run say, read without anything that trains: for boards and lineage."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.evaluation.report.contents import Answer, Sample
from accord.pipeline.journal import Journal
from accord.pipeline.rounds.releasing import read_ledger
from accord.pipeline.runs import Run

SAMPLES = 24
"""Prompts shown with their answers."""


def is_loop(run: Run) -> bool:
    """Whether a run is one of a loop, whatever command made it."""
    return 'type = "loop"' in run.config_path.read_text(encoding="utf-8").splitlines()


def is_simulated(run: Run) -> bool:
    """Whether a loop's judges are simulated."""
    config: Mapping[str, Any] = tomllib.loads(run.config_path.read_text(encoding="utf-8"))
    return bool(config.get("judges", {}).get("type", "simulated") == "simulated")


def stage_seconds(runs: Sequence[Run], name: str) -> dict[str, float]:
    """What each stage took in the newest loop of this name with a finished round, by stage; {} for none.

    `runs` come newest first. Waiting for people is not counted.
    """
    for run in runs:
        if is_loop(run):
            records, state = read_ledger(run.folder)
            if records and state.get("name") == name:
                took = {
                    f"r{record.number}-{stage}": float(value)
                    for record in records
                    for stage, value in record.facts.get("stages", {}).items()
                }
                tuned = Journal(run.folder / "stages").record("tune")
                return took if tuned is None else {"tune": tuned.seconds, **took}
    return {}


def round_samples(folder: Path, number: int) -> list[Sample]:
    """What incumbent and candidate of a round answered, the first two dozen prompts; none before they did."""
    place = folder / "stages" / f"r{number}-answer"
    files = [place / f"{name}.jsonl" for name in ("incumbent", "candidate")]
    if not all(file.exists() for file in files):
        return []
    sides = [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
    names = ("incumbent", f"round {number}")
    return [
        Sample(
            prompt=rows[0]["messages"][-1][1],
            answers=tuple(_answer(name, row) for name, row in zip(names, rows, strict=True)),
            domain=str(rows[0]["meta"].get("domain", "")),
        )
        for rows in list(zip(*sides, strict=True))[:SAMPLES]
    ]


def _answer(name: str, row: Mapping[str, Any]) -> Answer:
    is_cut = row["finish_reason"] == "length"
    return Answer(model=name, text=row["response"], n_tokens=len(row["token_ids"]), is_cut_off=is_cut)
