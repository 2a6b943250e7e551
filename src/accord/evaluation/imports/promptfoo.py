"""promptfoo: output as JSON (`-o results.json`, versions 2 and 3 of the format) or JSON lines.

A run is a provider, and a prompt where there are several (numbered as they come in the file). Every row
gives `success` (all assertions held), `score` and its named scores. A row that ended in an error of the
provider has no score.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accord.evaluation.imports.log_file import LogFile
from accord.evaluation.imports.record import ImportedItem, ImportedRun, as_score, content_hash

TOOL = "promptfoo"
WANTED = "an object with results.results, or rows with provider, success and score"
FIELDS = ("provider", "success", "score")
BY_ERROR = 2
"""`failureReason` of a row whose provider failed; nothing was judged."""
Rows = list[tuple[int, Mapping[str, Any]]]


def is_promptfoo(log: LogFile) -> bool:
    """Whether it is output of promptfoo."""
    rows = _rows(log)
    return bool(rows) and all(name in rows[0][1] for name in FIELDS)


def read_promptfoo(logs: Sequence[LogFile], cluster_field: str | None = None) -> list[ImportedRun]:
    """One run for each provider and prompt. `cluster_field` is a variable of the test."""
    runs = []
    for log in logs:
        rows = _rows(log)
        prompts = {key: i for i, key in enumerate(dict.fromkeys(_prompt_key(row) for _, row in rows))}
        by_run: dict[str, Rows] = {}
        for number, row in rows:
            missing = [name for name in FIELDS if name not in row]
            if missing:
                raise log.refuse(f"result {number} lacks {missing[0]!r}; expected {WANTED}")
            name = _provider(row)
            if len(prompts) > 1:
                name = f"{name} | prompt {prompts[_prompt_key(row)]}"
            by_run.setdefault(name, []).append((number, row))
        for name, own in by_run.items():
            runs.append(_run(log, name, own, cluster_field))
    return runs


def _rows(log: LogFile) -> Rows:
    if log.kind == "rows":
        return list(log.rows)
    found = log.value
    if isinstance(found, Mapping) and isinstance(found.get("results"), Mapping):
        found = found["results"]
    found = found.get("results") if isinstance(found, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        return []
    return list(enumerate(found, start=1))


def _run(log: LogFile, name: str, rows: Rows, cluster_field: str | None) -> ImportedRun:
    items, failed = [], 0
    metrics = sorted({str(one) for _, row in rows for one in (row.get("namedScores") or {})})
    for place, (number, row) in enumerate(rows):
        is_error = row.get("failureReason") == BY_ERROR
        failed += is_error
        shown = row.get("vars") or {}
        named = row.get("namedScores") or {}
        values = {
            "success": row["success"],
            "score": row["score"],
            **{one: named.get(one) for one in metrics},
        }
        scores = {one: as_score(value) for one, value in values.items()}
        wrong = next((one for one, score in scores.items() if score is None), None)
        if wrong is not None:
            raise log.refuse(f"result {number}: {wrong} is {values[wrong]!r}; expected a number")
        cluster = content_hash(shown)
        if cluster_field is not None:
            if cluster_field not in shown:
                raise log.refuse(f"result {number} has no variable {cluster_field!r} to cluster by")
            cluster = str(shown[cluster_field])
        prompt = row.get("prompt")
        text = prompt.get("raw") if isinstance(prompt, Mapping) else prompt
        items.append(
            ImportedItem(
                task=_task(row),
                item=str(row.get("testIdx", place)),
                prompt_hash=content_hash([text, shown]),
                cluster=cluster,
                scores={
                    one: math.nan if is_error or score is None else score for one, score in scores.items()
                },
            )
        )
    notes = (f"{failed} results are errors of the provider and have no score",) if failed else ()
    return ImportedRun(name=name, tool=TOOL, items=tuple(items), notes=notes, sources={log.path: log.digest})


def _provider(row: Mapping[str, Any]) -> str:
    provider = row["provider"]
    if isinstance(provider, Mapping):
        return str(provider.get("label") or provider.get("id"))
    return str(provider)


def _prompt_key(row: Mapping[str, Any]) -> str:
    """What tells prompts apart: promptIdx numbers columns, so that each provider has another one."""
    prompt = row.get("prompt")
    label = prompt.get("label") if isinstance(prompt, Mapping) else None
    found = (one for one in (row.get("promptId"), label, row.get("promptIdx")) if one is not None)
    return str(next(found, ""))


def _task(row: Mapping[str, Any]) -> str:
    """The plugin of a red-team run, else one task for all."""
    case = row.get("testCase")
    for place in (row.get("metadata"), case.get("metadata") if isinstance(case, Mapping) else None):
        if isinstance(place, Mapping) and place.get("pluginId"):
            return str(place["pluginId"])
    return TOOL
