"""inspect_ai: logs as `.json` or `.eval` (a zip of JSON entries, deflated or packed with Zstandard).

Scores as words are numbers as inspect's own metrics take them: C 1, P 0.5, I and N 0, yes and true 1,
no and false 0. A sample that ended in an error has no score. Leaves out transcripts, and does not
resolve attachments.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accord.evaluation.imports.log_file import LogFile, ReadLimits
from accord.evaluation.imports.record import (
    ImportedItem,
    ImportedRun,
    as_score,
    content_hash,
    score_from_text,
)
from accord.evaluation.imports.zip_file import ZipEntries

TOOL = "inspect"
WANTED = "an object with eval and samples (.json), or a zip with header.json and samples/ (.eval)"
WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
TRUTHS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
HEADERS = ("header.json", "_journal/start.json", "start.json")
"""Of a finished log, of one that was interrupted, and of the first versions."""
SUMMARIES = ("summaries.json", "summary.json")


def is_inspect(log: LogFile) -> bool:
    """Whether it is a log of inspect_ai."""
    if log.kind == "zip":
        return True
    value = log.value
    spec = value.get("eval") if isinstance(value, Mapping) else None
    return isinstance(spec, Mapping) and "task" in spec and "model" in spec


def read_inspect(
    logs: Sequence[LogFile], cluster_field: str | None = None, limits: ReadLimits | None = None
) -> list[ImportedRun]:
    """One run a model, its tasks together. `cluster_field` is a field of a sample's metadata."""
    read = [_read_one(log, cluster_field, limits) for log in logs]
    runs = []
    for model in dict.fromkeys(run.name for run in read):
        own = [run for run in read if run.name == model]
        settings = {name: value for run in own for name, value in run.settings.items()}
        runs.append(
            ImportedRun(
                name=model,
                tool=TOOL,
                items=tuple(item for run in own for item in run.items),
                settings=settings,
                notes=tuple(note for run in own for note in run.notes),
                sources={path: digest for run in own for path, digest in run.sources.items()},
            )
        )
    return runs


def _read_one(log: LogFile, cluster_field: str | None, limits: ReadLimits | None) -> ImportedRun:
    header, samples, is_whole = _parts(log, limits)
    spec = header.get("eval")
    if not isinstance(spec, Mapping) or "task" not in spec or "model" not in spec:
        raise log.refuse(f"its header has no eval with task and model; expected {WANTED}")
    task, status = str(spec["task"]), str(header.get("status", "started"))
    items, failed, strange = [], 0, 0
    for number, sample in enumerate(samples, start=1):
        if not isinstance(sample, Mapping) or "id" not in sample or "epoch" not in sample:
            raise log.refuse(f"sample {number} has no id and epoch; expected {WANTED}")
        failed += sample.get("error") is not None
        scores, left_out = _scores(sample)
        strange += left_out
        name = str(sample["id"])
        cluster = name
        if cluster_field is not None:
            metadata = sample.get("metadata") or {}
            if cluster_field not in metadata:
                raise log.refuse(f"sample {name!r} has no metadata {cluster_field!r} to cluster by")
            cluster = str(metadata[cluster_field])
        items.append(
            ImportedItem(
                task=task,
                item=name,
                epoch=_epoch(sample["epoch"], name, log),
                prompt_hash=_prompt_hash(sample) if is_whole else None,
                cluster=cluster,
                scores=scores,
            )
        )
    if not items:
        raise log.refuse("holds no samples; was it written with --no-log-samples, or cut off?")
    return ImportedRun(
        name=str(spec["model"]),
        tool=TOOL,
        items=_without_gaps(items),
        settings={f"version of {task}": str(spec.get("task_version", 0))},
        notes=tuple(_notes(task, status, failed, strange, is_whole)),
        sources={log.path: log.digest},
    )


def _parts(log: LogFile, limits: ReadLimits | None) -> tuple[Mapping[str, Any], list[Any], bool]:
    """Header, samples, and whether the samples are whole or their summaries only."""
    if log.kind != "zip":
        return log.value, list(log.value.get("samples") or []), True
    entries = ZipEntries(log, limits)
    name = next((one for one in HEADERS if one in entries.names), None)
    if name is None:
        raise log.refuse(f"is a zip without {HEADERS[0]}; expected {WANTED}")
    header = entries.json(name)
    if not isinstance(header, Mapping):
        raise log.refuse(f"entry {name!r} is no object; expected {WANTED}")
    if name == "start.json" and "results.json" in entries.names:
        ended = entries.json("results.json")
        header = {**header, **(ended if isinstance(ended, Mapping) else {})}
    samples = list(entries.matching("samples/"))
    if samples:
        return header, samples, True
    return header, list(_summaries(entries)), False


def _summaries(entries: ZipEntries) -> Iterator[Any]:
    for name in SUMMARIES:
        if name in entries.names:
            yield from entries.json(name)
            return
    for part in entries.matching("_journal/summaries/"):
        yield from part if isinstance(part, list) else [part]


def _epoch(value: Any, name: str, log: LogFile) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise log.refuse(f"epoch of sample {name!r} is {value!r}; expected a whole number")
    return value


def _scores(sample: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """Metric to score, and how many values were no number."""
    scores: dict[str, float] = {}
    strange = 0
    found = sample.get("scores")
    if not isinstance(found, Mapping):
        found = {"score": sample["score"]} if "score" in sample else {}
    for scorer, score in found.items():
        value = score.get("value") if isinstance(score, Mapping) else None
        parts = {scorer: value}
        if isinstance(value, Mapping):
            parts = {f"{scorer}/{name}": part for name, part in value.items()}
        for name, part in parts.items():
            number = _number(part)
            strange += number is None
            scores[str(name)] = math.nan if number is None or sample.get("error") is not None else number
    return scores, strange


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        word = WORDS.get(value, TRUTHS.get(value.lower()))
        return score_from_text(value) if word is None else word
    return as_score(value)


def _prompt_hash(sample: Mapping[str, Any]) -> str:
    """Of the input, without the ids that are drawn anew in each run."""
    shown = sample.get("input")
    if isinstance(shown, list):
        shown = [
            {name: one.get(name) for name in ("role", "content")} if isinstance(one, Mapping) else one
            for one in shown
        ]
    return content_hash([shown, sample.get("choices")])


def _without_gaps(items: list[ImportedItem]) -> tuple[ImportedItem, ...]:
    """Every item with every metric, NaN where it has none: a sample that failed is missing, not absent."""
    names = {name for item in items for name in item.scores}
    return tuple(
        ImportedItem(
            task=item.task,
            item=item.item,
            epoch=item.epoch,
            prompt_hash=item.prompt_hash,
            cluster=item.cluster,
            scores={name: item.scores.get(name, math.nan) for name in sorted(names)},
        )
        for item in items
    )


def _notes(task: str, status: str, failed: int, strange: int, is_whole: bool) -> Iterator[str]:
    if status != "success":
        yield f"{task}: the log ended as {status!r}; samples may be missing"
    if failed:
        yield f"{task}: {failed} samples ended in an error and have no score"
    if strange:
        yield f"{task}: {strange} scores are no number and count as missing"
    if not is_whole:
        yield f"{task}: only summaries of the samples are there; prompts cannot be checked"
