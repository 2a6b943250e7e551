"""Imported runs as JSON lines: a line for each run, then a line for each of its items.

    {"record": "run", "run": "gpt2", "tool": "lm-eval", "lower_is_better": [], "settings": {}, ...}
    {"record": "item", "run": "gpt2", "task": "boolq", "item": "0", "epoch": 1, "prompt_hash": "9f..",
     "cluster": "0", "scores": {"acc": 1.0}}

A score that is not there is null.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.domain.files import write_text_atomic
from accord.evaluation.imports.log_file import LogFile
from accord.evaluation.imports.record import ImportedItem, ImportedRun, as_score


def is_run_file(log: LogFile) -> bool:
    """Whether it was written by `write_run_file`."""
    return log.kind == "rows" and log.rows[0][1].get("record") == "run"


def write_run_file(path: Path, runs: Sequence[ImportedRun]) -> None:
    """Write all runs; the same runs give the same bytes. Two runs of one name raise."""
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"run {twice!r} is there twice; import one of them with --run NAME, or one file")
    lines = []
    for run in runs:
        lines.append(
            {
                "record": "run",
                "run": run.name,
                "tool": run.tool,
                "lower_is_better": sorted(run.lower_is_better),
                "settings": dict(run.settings),
                "notes": list(run.notes),
                "sources": dict(run.sources),
            }
        )
        lines += [_item_row(run.name, item) for item in run.items]
    text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    write_text_atomic(path, text)


def read_run_file(log: LogFile) -> list[ImportedRun]:
    """All runs; raises `DataError` with the line of what is missing or of the wrong kind."""
    heads: dict[str, Mapping[str, Any]] = {}
    items: dict[str, list[ImportedItem]] = {}
    for line, row in log.rows:
        name = row.get("run")
        if not isinstance(name, str):
            raise log.refuse(f"run is {name!r}; expected a text", line)
        if row.get("record") == "run":
            if name in heads:
                raise log.refuse(f"run {name!r} is there twice", line)
            heads[name] = row
        elif name not in heads:
            raise log.refuse(f"the line of run {name!r} must stand before its items", line)
        else:
            items.setdefault(name, []).append(_item(log, line, row))
    return [
        ImportedRun(
            name=name,
            tool=str(head.get("tool", "")),
            items=tuple(items.get(name, ())),
            lower_is_better=frozenset(map(str, head.get("lower_is_better", ()))),
            settings={str(key): str(value) for key, value in dict(head.get("settings", {})).items()},
            notes=tuple(map(str, head.get("notes", ()))),
            sources={log.path: log.digest},
        )
        for name, head in heads.items()
    ]


def _item_row(run: str, item: ImportedItem) -> dict[str, Any]:
    scores = {name: None if math.isnan(value) else value for name, value in sorted(item.scores.items())}
    return {
        "record": "item",
        "run": run,
        "task": item.task,
        "item": item.item,
        "epoch": item.epoch,
        "prompt_hash": item.prompt_hash,
        "cluster": item.cluster,
        "scores": scores,
    }


def _item(log: LogFile, line: int, row: Mapping[str, Any]) -> ImportedItem:
    for name in ("task", "item"):
        if not isinstance(row.get(name), str):
            raise log.refuse(f"{name} is {row.get(name)!r}; expected a text", line)
    epoch, prompt, scores = row.get("epoch", 1), row.get("prompt_hash"), row.get("scores")
    if not isinstance(epoch, int) or not isinstance(scores, Mapping):
        raise log.refuse(f"epoch is {epoch!r} and scores {scores!r}; expected a number and an object", line)
    values = {str(name): as_score(value) for name, value in scores.items()}
    wrong = next((name for name, value in values.items() if value is None), None)
    if wrong is not None:
        raise log.refuse(f"score {wrong!r} is {scores[wrong]!r}; expected a number or null", line)
    return ImportedItem(
        task=row["task"],
        item=row["item"],
        epoch=epoch,
        prompt_hash=None if prompt is None else str(prompt),
        cluster=str(row.get("cluster") or row["item"]),
        scores={name: value for name, value in values.items() if value is not None},
    )
