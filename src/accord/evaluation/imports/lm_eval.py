"""lm-evaluation-harness: `samples_TASK_DATE.jsonl` of --log_samples, and beside them `results_DATE.json`.

The results file names the model, tells which way is better and is held against the samples; without it
the model is the folder's name. Leaves out metrics that are no number of each document (perplexities).
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.evaluation.imports.log_file import LogFile
from accord.evaluation.imports.record import ImportedItem, ImportedRun, ItemKey, as_score, content_hash

TOOL = "lm-eval"
WANTED = "rows with doc_id and filtered_resps (samples_*.jsonl), or an object with results and configs"
FILE_NAME = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d{2}-\d{2}T[\d.\-]+)?\.jsonl(\.gz)?")
NO_FILTER = "none"
NO_METRIC = {
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"),
    *("doc_hash", "prompt_hash", "target_hash"),
}
MEANS = ("acc", "acc_norm", "exact_match")
"""Metrics whose reported value is the mean over documents."""
AGREEMENT = 1e-6
"""Largest difference of a reported number from the mean of its samples that is rounding."""


def is_lm_eval(log: LogFile) -> bool:
    """Whether it is a file of samples or of results."""
    if log.kind == "rows":
        return {"doc_id", "filtered_resps"} <= set(log.rows[0][1])
    return _is_results(log)


def read_lm_eval(logs: Sequence[LogFile], cluster_field: str | None = None) -> list[ImportedRun]:
    """One run: the samples of all files, one file a task. `cluster_field` is a field of the document."""
    samples = [log for log in logs if log.kind == "rows"]
    results = [log for log in logs if log.kind == "json"]
    if not samples:
        raise logs[0].refuse("is a file of results only; give the samples_*.jsonl of --log_samples too")
    found: dict[ItemKey, ImportedItem] = {}
    skipped: Counter[str] = Counter()
    for log in samples:
        for line, row in log.rows:
            _add(found, log, line, row, skipped, cluster_field)
    report = results[0].value if results else {}
    run = ImportedRun(
        name=str(report.get("model_name") or Path(samples[0].path).resolve().parent.name),
        tool=TOOL,
        items=tuple(found.values()),
        lower_is_better=_lower(report, found.values()),
        settings=_settings(report),
        notes=(*_skipped(skipped), *_disagreements(report, tuple(found.values()))),
        sources={log.path: log.digest for log in logs},
    )
    return [run]


def _is_results(log: LogFile) -> bool:
    value = log.value
    return isinstance(value, Mapping) and isinstance(value.get("results"), Mapping) and "configs" in value


def _add(
    found: dict[ItemKey, ImportedItem],
    log: LogFile,
    line: int,
    row: Mapping[str, Any],
    skipped: Counter[str],
    cluster_field: str | None,
) -> None:
    """Take one row in; rows of one document differ in the filter, and their metrics are joined."""
    if "doc_id" not in row:
        raise log.refuse(f"there is no 'doc_id'; expected {WANTED}", line)
    name = FILE_NAME.fullmatch(Path(log.path).name)
    task = name["task"] if name else Path(log.path).name.partition(".")[0]
    key = (task, str(row["doc_id"]), 1)
    doc = row.get("doc")
    prompt = row.get("prompt_hash") or content_hash(row.get("arguments", doc))
    scores = _scores(row, skipped)
    before = found.get(key)
    if before is not None:
        again = sorted(set(before.scores) & set(scores))
        if again or before.prompt_hash != prompt:
            what = f"metric {again[0]!r} of" if again else "another prompt of"
            raise log.refuse(f"{what} document {row['doc_id']} is there twice; keep one", line)
        scores = {**before.scores, **scores}
    cluster = key[1]
    if cluster_field is not None:
        if not isinstance(doc, Mapping) or cluster_field not in doc:
            raise log.refuse(f"the document has no field {cluster_field!r} to cluster by", line)
        cluster = str(doc[cluster_field])
    found[key] = ImportedItem(task=task, item=key[1], prompt_hash=prompt, cluster=cluster, scores=scores)


def _scores(row: Mapping[str, Any], skipped: Counter[str]) -> dict[str, float]:
    listed = row.get("metrics")
    names = listed if isinstance(listed, list) else [name for name in row if name not in NO_METRIC]
    chosen = str(row.get("filter") or NO_FILTER)
    scores = {}
    for name in names:
        value = as_score(row.get(name))
        if value is None:
            skipped[str(name)] += 1
            continue
        scores[str(name) if chosen == NO_FILTER else f"{name},{chosen}"] = value
    return scores


def _skipped(skipped: Counter[str]) -> list[str]:
    return [
        f"metric {name!r} is no number in {count} documents and is left out there"
        for name, count in sorted(skipped.items())
    ]


def _lower(report: Mapping[str, Any], items: Any) -> frozenset[str]:
    directions: dict[str, bool] = {}
    for metrics in (report.get("higher_is_better") or {}).values():
        directions |= {name: bool(value) for name, value in (metrics or {}).items() if value is not None}
    names = {name for item in items for name in item.scores}
    return frozenset(name for name in names if directions.get(name.partition(",")[0]) is False)


def _settings(report: Mapping[str, Any]) -> dict[str, str]:
    shots, versions = report.get("n-shot") or {}, report.get("versions") or {}
    found = {f"shots of {task}": str(value) for task, value in shots.items()}
    found |= {f"version of {task}": str(value) for task, value in versions.items()}
    names = ("chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn")
    return found | {name: str(report[name]) for name in names if report.get(name) is not None}


def _disagreements(report: Mapping[str, Any], items: tuple[ImportedItem, ...]) -> list[str]:
    """Where the results say another count or mean than the samples: of two runs, or cut off."""
    notes = []
    for task, metrics in (report.get("results") or {}).items():
        mine = [item for item in items if item.task == task]
        if not mine:
            continue
        count = ((report.get("n-samples") or {}).get(task) or {}).get("effective")
        if count is not None and count != len(mine):
            notes.append(f"{task}: the results speak of {count} documents, the samples hold {len(mine)}")
        for name, value in (metrics or {}).items():
            metric = name.removesuffix(f",{NO_FILTER}")
            values = [item.scores[metric] for item in mine if metric in item.scores]
            if not values or not isinstance(value, int | float):
                continue
            mean = math.fsum(values) / len(values)
            if (
                metric.partition(",")[0] in ("acc", "acc_norm", "exact_match")
                and abs(mean - value) > AGREEMENT
            ):
                notes.append(f"{task}: the results say {metric} {value:.6g}, its samples' mean is {mean:.6g}")
    return notes
