"""Plans which rows run together: micro-batches within a token budget, balanced in length.

Only indices are planned; a group (a prompt with its completions) is one row here, so that a
shared prefix is never torn apart.
"""

from collections.abc import Sequence

from accord.domain.errors import DataError


def plan_micro_batches(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Indices of rows for each micro-batch: as few batches as the budget allows, of even size.

    A row longer than the budget runs alone. Rows keep their order inside a micro-batch, and
    micro-batches are ordered by their first row. No row gives no batch.
    """
    if budget_tokens < 1:
        raise DataError(f"budget_tokens is {budget_tokens}; expected at least 1")
    if any(length < 1 for length in lengths):
        raise DataError(f"a row has {min(lengths)} tokens; expected at least 1")
    by_length = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    n_batches = max(1, -(-sum(lengths) // budget_tokens))
    while True:
        plan = _spread(lengths, by_length, n_batches)
        too_big = [
            rows for rows in plan if len(rows) > 1 and sum(lengths[row] for row in rows) > budget_tokens
        ]
        if not too_big:
            return sorted((sorted(rows) for rows in plan if rows), key=lambda rows: rows[0])
        n_batches += 1


def _spread(lengths: Sequence[int], by_length: Sequence[int], n_batches: int) -> list[list[int]]:
    """Longest row first into the emptiest batch."""
    plan: list[list[int]] = [[] for _ in range(n_batches)]
    totals = [0] * n_batches
    for row in by_length:
        emptiest = min(range(n_batches), key=lambda batch: (totals[batch], batch))
        plan[emptiest].append(row)
        totals[emptiest] += lengths[row]
    return plan
