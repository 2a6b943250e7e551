"""AlpacaEval: `annotations.json` of a model against a baseline; CSV and JSON lines of the same columns too.

`preference` is the probability that the model's answer is better (1 won, 0.5 a tie), `win` the same
rounded. The baseline is part of the task's name: models judged against two baselines are not compared.
Leaves out length control (`accord evaluate lc-winrate`).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.evaluation.imports.log_file import LogFile
from accord.evaluation.imports.record import (
    ImportedItem,
    ImportedRun,
    as_score,
    content_hash,
    score_from_text,
)

TOOL = "alpaca-eval"
WANTED = "a list of objects with preference and instruction (or row)"
Rows = list[tuple[int, Mapping[str, Any]]]


def is_alpaca_eval(log: LogFile) -> bool:
    """Whether it is a file of annotations."""
    rows = _rows(log)
    return bool(rows) and "preference" in rows[0][1] and bool({"instruction", "row"} & set(rows[0][1]))


def read_alpaca_eval(logs: Sequence[LogFile], cluster_field: str | None = None) -> list[ImportedRun]:
    """One run a model, the second of each pair of answers. `cluster_field` is a column."""
    runs = []
    for log in logs:
        by_model: dict[str, Rows] = {}
        for number, row in _rows(log):
            if "preference" not in row:
                raise log.refuse("there is no 'preference'", number if log.kind == "rows" else None)
            model = row.get("generator_2") or row.get("model") or row.get("generator")
            by_model.setdefault(str(model or Path(log.path).parent.name), []).append((number, row))
        runs += [_run(log, model, rows, cluster_field) for model, rows in by_model.items()]
    return runs


def _rows(log: LogFile) -> Rows:
    if log.kind == "rows":
        return list(log.rows)
    if not isinstance(log.value, list) or not all(isinstance(row, Mapping) for row in log.value):
        return []
    return list(enumerate(log.value, start=1))


def _run(log: LogFile, model: str, rows: Rows, cluster_field: str | None) -> ImportedRun:
    items, missing = [], 0
    seen: Counter[str] = Counter()
    judges = sorted({str(row["annotator"]) for _, row in rows if row.get("annotator")})
    for number, row in rows:
        share = _share(log, number, row.get("preference"))
        missing += math.isnan(share)
        text = row.get("instruction")
        if text is None and row.get("row") in (None, ""):
            raise log.refuse(f"entry {number} has neither instruction nor row; expected {WANTED}")
        prompt = None if text is None else content_hash(text)
        name = str(row["row"]) if prompt is None else prompt[:16]
        if prompt is not None:
            # A few instructions stand twice in the benchmark itself.
            seen[name] += 1
            name = name if seen[name] == 1 else f"{name}#{seen[name]}"
        if cluster_field is not None and cluster_field not in row:
            raise log.refuse(f"entry {number} has no column {cluster_field!r} to cluster by")
        baseline = row.get("generator_1")
        items.append(
            ImportedItem(
                task="alpaca_eval" if baseline is None else f"alpaca_eval vs {baseline}",
                item=name,
                prompt_hash=prompt,
                cluster=str(row[cluster_field]) if cluster_field is not None else prompt or name,
                scores={"preference": share, "win": _rounded(share)},
            )
        )
    return ImportedRun(
        name=model,
        tool=TOOL,
        items=tuple(items),
        settings={"annotator": ", ".join(judges)} if judges else {},
        notes=(f"{missing} annotations have no preference",) if missing else (),
        sources={log.path: log.digest},
    )


def _share(log: LogFile, number: int, value: Any) -> float:
    """1 (the baseline's answer is better) to 2, as 0 to 1; 0 is a tie, null and nothing no preference."""
    if value in (None, ""):
        return math.nan
    preference = score_from_text(value) if isinstance(value, str) else as_score(value)
    if preference == 0:
        return 0.5  # as AlpacaEval wrote ties before they were 1.5, and still reads them
    if preference is None or not (math.isnan(preference) or 1 <= preference <= 2):
        raise log.refuse(f"entry {number}: preference is {value!r}; expected 1 (baseline wins) to 2")
    return preference - 1


def _rounded(share: float) -> float:
    return share if math.isnan(share) else 0.5 + 0.5 * float((share > 0.5) - (share < 0.5))
