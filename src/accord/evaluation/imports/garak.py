"""garak: `*.report.jsonl`. Each detector on each output is a hit or not, by the threshold of the run.

A task is a probe, an item one of its prompts, an epoch one generation; hits are what an attacker wants,
so less is better. Leaves out the evaluation rows, which are counts of the same. The hit log is refused: what
did not hit is missing there.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.evaluation.imports.log_file import LogFile
from accord.evaluation.imports.record import ImportedItem, ImportedRun, as_score, content_hash

TOOL = "garak"
WANTED = "rows with entry_type, of which some are attempts with detector_results (*.report.jsonl)"
COMPLETE = 2
"""Status of an attempt that was evaluated; each attempt also stands there once before, with 1."""
THRESHOLD = 0.5
"""Scores from here on are hits, where the run does not say otherwise."""
TARGET = ("plugins.target_name", "plugins.model_name", "plugins.target_type", "plugins.model_type")
"""Fields of the setup that say what was attacked; those of the model are from before version 0.13.1."""
HIT_FIELDS = {"goal", "prompt", "detector", "attempt_id"}
HIT_LOG = "is a hit log of garak, where what did not hit is missing; give the *.report.jsonl beside it"
SETTINGS = ("run.eval_threshold", "run.generations", "run.seed", "run.system_prompt")


def is_garak(log: LogFile) -> bool:
    """Whether it is a report of garak."""
    return log.kind == "rows" and "entry_type" in log.rows[0][1]


def is_hit_log(log: LogFile) -> bool:
    """Whether it is the hit log that lies beside a report."""
    return log.kind == "rows" and set(log.rows[0][1]) >= HIT_FIELDS


def target_of(setup: Mapping[str, Any], path: str) -> str:
    """What was attacked: its name, or its kind where it has none, or the file's name."""
    return str(next((setup[name] for name in TARGET if setup.get(name)), Path(path).name))


def read_garak(logs: Sequence[LogFile], cluster_field: str | None = None) -> list[ImportedRun]:
    """One run a report."""
    if cluster_field is not None:
        raise logs[0].refuse(f"attempts have no field {cluster_field!r} to cluster by; leave --cluster out")
    return [_read_one(log) for log in logs]


def _read_one(log: LogFile) -> ImportedRun:
    setup: dict[str, Any] = {}
    attempts: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for line, row in log.rows:
        kind = str(row.get("entry_type", ""))
        if kind in ("start_run setup", "init"):
            setup |= dict(row)
        if kind == "attempt":
            for name in ("uuid", "probe_classname", "status"):
                if name not in row:
                    raise log.refuse(f"the attempt has no {name!r}", line)
            before = attempts.get(str(row["uuid"]))
            if before is None or row["status"] >= before[1]["status"]:
                attempts[str(row["uuid"])] = line, row
    done = [one for one in attempts.values() if one[1]["status"] == COMPLETE]
    if not done:
        raise log.refuse(f"has no evaluated attempt, only {len(attempts)} begun; did the run end?")
    threshold = as_score(setup.get("run.eval_threshold"))
    threshold = THRESHOLD if threshold is None or math.isnan(threshold) else threshold
    items = _items(log, done, threshold)
    notes = []
    if len(done) < len(attempts):
        notes.append(f"{len(attempts) - len(done)} attempts were begun and not evaluated; they are left out")
    settings = {name: str(setup[name]) for name in SETTINGS if name in setup}
    return ImportedRun(
        name=target_of(setup, log.path),
        tool=TOOL,
        items=tuple(items),
        lower_is_better=frozenset(name for item in items for name in item.scores),
        settings={**settings, "threshold": f"{threshold:g}"},
        notes=tuple(notes),
        sources={log.path: log.digest},
    )


def _items(
    log: LogFile, attempts: Sequence[tuple[int, Mapping[str, Any]]], threshold: float
) -> list[ImportedItem]:
    items = []
    seen: Counter[tuple[str, str]] = Counter()
    for line, row in attempts:
        results = row.get("detector_results")
        if not isinstance(results, Mapping):
            raise log.refuse("the attempt has no detector_results", line)
        task, name = str(row["probe_classname"]), str(row.get("seq", ""))
        # Buffs and turns make several attempts of one prompt number.
        seen[task, name] += 1
        name = name if seen[task, name] == 1 else f"{name}#{seen[task, name]}"
        prompt = content_hash(_texts(row.get("prompt")))
        generations = max((len(scores) for scores in results.values() if isinstance(scores, list)), default=0)
        for place in range(generations):
            hits = {str(one): _hit(log, line, scores, place, threshold) for one, scores in results.items()}
            items.append(
                ImportedItem(
                    task=task, item=name, epoch=place + 1, prompt_hash=prompt, cluster=prompt, scores=hits
                )
            )
    return items


def _hit(log: LogFile, line: int, scores: Any, place: int, threshold: float) -> float:
    if not isinstance(scores, list):
        raise log.refuse(f"detector results are {scores!r}; expected a list of scores", line)
    score = as_score(scores[place]) if place < len(scores) else math.nan
    if score is None:
        raise log.refuse(f"detector score is {scores[place]!r}; expected a number", line)
    return math.nan if math.isnan(score) else float(score >= threshold)


def _texts(prompt: Any) -> Any:
    """Roles and texts of a prompt, as text (older reports), as one message or as turns."""
    if not isinstance(prompt, Mapping):
        return prompt
    turns = prompt.get("turns")
    if not isinstance(turns, list):
        return prompt.get("text")
    return [[turn.get("role"), _texts(turn.get("content"))] for turn in turns if isinstance(turn, Mapping)]
