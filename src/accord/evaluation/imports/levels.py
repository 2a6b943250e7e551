"""How well each imported run did, by metric and task: means with intervals, and what is missing.

Leaves out comparing two runs.
"""

import math
from collections.abc import Sequence

import numpy as np

from accord.evaluation.imports.record import ImportedItem, ImportedRun
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement


def run_levels(run: ImportedRun, *, seed: int = 0) -> list[Measurement]:
    """One measurement a metric over all tasks, and with several tasks one more for each.

    Items without a score are left out and counted in the facts; a metric without any is not measured.
    """
    found = []
    for metric in run.metrics:
        items = [item for item in run.items if metric in item.scores]
        found.append(_level(run, metric, "all", items, seed))
        if len(run.tasks) > 1:
            for task in run.tasks:
                own = [item for item in items if item.task == task]
                if own:
                    found.append(_level(run, metric, f"task={task}", own, seed))
    return found


def _level(run: ImportedRun, metric: str, name: str, items: Sequence[ImportedItem], seed: int) -> Measurement:
    kept = [item for item in items if math.isfinite(item.scores[metric])]
    estimate = Estimate(value=math.nan, n=0, method="not measured")
    if kept:
        values = np.array([item.scores[metric] for item in kept])
        labels = [f"{item.task}\n{item.cluster}" for item in kept]
        is_binary = bool(np.isin(values, (0.0, 1.0)).all())
        estimate = (share_estimate if is_binary else mean_estimate)(values, labels, seed=seed)
    better = "lower" if metric in run.lower_is_better else "higher"
    facts = {"run": run.name, "tool": run.tool, "missing": len(items) - len(kept), "better": better}
    return Measurement(metric=metric, slice=name, estimate=estimate, facts=facts)
