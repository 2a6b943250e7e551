"""Judged pairs from a file: one row for each time a judge saw a pair in one order.

    {"prompt_id": "7", "first": "new", "second": "old", "winner": "first"}

`winner` is first, second, tie or a model's name; or `share` (0 to 1) is that of the first. `judge` and
`repeat` tell rows of one pair apart. Leaves out what is made of them (`judged_pairs.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.evaluation.imports.log_file import LogFile, read_log
from accord.evaluation.judged_pairs import JudgedPair

SHARES = {"first": 1.0, "second": 0.0, "tie": 0.5}


def read_judged_pairs(path: Path, candidate: str | None = None) -> tuple[tuple[str, str], list[JudgedPair]]:
    """(candidate, incumbent) and their pairs, from JSON lines, a JSON list or CSV (also .gz).

    `candidate` may be left out where the first row's first model is meant. A row of other models, an
    order of one pair judged twice, and a winner that is none raise `DataError` with the line; a row without
    winner is an order without judgment.
    """
    log = read_log(path)
    rows = log.records()
    if not rows or not {"first", "second", "prompt_id"} <= set(rows[0][1]):
        raise log.refuse("expected rows with prompt_id, first, second and winner or share")
    models = {str(rows[0][1][side]) for side in ("first", "second")}
    name = str(rows[0][1]["first"]) if candidate is None else candidate
    if len(models) != 2 or name not in models:
        raise log.refuse(f"the models are {', '.join(sorted(models))}; expected two, one of them {name!r}")
    shares: dict[tuple[str, str, str], dict[bool, float | None]] = {}
    for line, row in rows:
        if {str(row.get("first")), str(row.get("second"))} != models:
            raise log.refuse(f"the models are not {' and '.join(sorted(models))}", line)
        if row.get("prompt_id") in (None, ""):
            raise log.refuse("there is no prompt_id", line)
        is_first = str(row["first"]) == name
        pair = shares.setdefault(
            (str(row["prompt_id"]), str(row.get("judge", "")), str(row.get("repeat", ""))), {}
        )
        if is_first in pair:
            raise log.refuse(
                f"prompt {row['prompt_id']!r} was judged before in this order; tell the rows apart by judge "
                "or repeat, or keep one",
                line,
            )
        share = _share(log, line, row)
        pair[is_first] = share if is_first or share is None else 1 - share
    (incumbent,) = models - {name}
    pairs = [
        JudgedPair(prompt_id=key[0], candidate_first=orders.get(True), candidate_second=orders.get(False))
        for key, orders in shares.items()
    ]
    return (name, incumbent), pairs


def _share(log: LogFile, line: int, row: Mapping[str, Any]) -> float | None:
    """What the first place got."""
    winner, share = row.get("winner"), row.get("share")
    if winner in (None, "") and share in (None, ""):
        return None
    if winner not in (None, ""):
        names = {str(row["first"]): 1.0, str(row["second"]): 0.0}
        found = SHARES.get(str(winner).lower(), names.get(str(winner)))
        if found is None:
            raise log.refuse(f"winner is {winner!r}; expected first, second, tie or a model's name", line)
        return found
    try:
        value = float(str(share))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise log.refuse(f"share is {share!r}; expected a number from 0 to 1", line)
    return value
