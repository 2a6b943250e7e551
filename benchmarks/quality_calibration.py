"""Log-loss with 30 known answers, ours beside the published forms on the same draws, one JSON line.

The forms stack log posterior of Dawid-Skene and log vote share: temperature alone (a); both free (a, b); both
not negative; the last two with class intercepts. Their ridge was not published, so that each has, with
hindsight, the best of `RIDGES` on each set: a bar as high as it can be. Ours is what
`accord quality consensus --gold-fit 30` does. `ratio` is ours over the best form, means over all draws.

    python benchmarks/quality_calibration.py --data DATA [--draws 60] [--gold 30]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from accord.quality.consensus import fit_consensus, fit_gold_stack
from accord.quality.consensus.calibration import log_posterior, log_share
from accord.quality.consensus.models import fit_model
from quality_choice import read_labels

CROWDS = ("bluebirds", "ducks", "rte", "sentiment1000")
RIDGES = (0.001, 0.01, 0.1, 1.0)
FORMS = {
    "temperature": (False, False, False),
    "a, b": (True, False, False),
    "a, b >= 0": (True, True, False),
    "a, b >= 0, intercepts": (True, True, True),
    "a, b, intercepts": (True, False, True),
}
"""Has the vote share, is not negative, has intercepts."""
CENTER = (0.2, 1.0)


def fit_form(
    form: tuple[bool, bool, bool], ridge: float, inputs: NDArray[np.float64], truth: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[parameter] a, b, intercepts; inputs [item, class, 2] are the log posterior and the log vote share."""
    has_share, is_positive, has_intercepts = form
    size = inputs.shape[1]
    start = np.array([CENTER[0], CENTER[1] if has_share else 0.0, *np.zeros(size)])

    def loss(values: NDArray[np.float64]) -> float:
        logs = log_softmax(inputs @ values[:2] + values[2:], axis=1)
        return float(-logs[np.arange(len(truth)), truth].sum() + ridge * ((values - start) ** 2).sum())

    bounds: list[tuple[float | None, float | None]] = [(0.0, None) if is_positive else (None, None)] * 2
    bounds += [(None, None) if has_intercepts else (0.0, 0.0)] * size
    if not has_share:
        bounds[1] = (0.0, 0.0)
    return np.asarray(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)


def measure(data: Path, name: str, draws: range, n_gold: int) -> dict[str, Any]:
    """Mean log-loss of ours and of every form on one set, and ours by lots of 20 draws."""
    table, gold = read_labels(data, name)
    known = np.flatnonzero(gold >= 0)
    raw = fit_consensus(table).raw
    posterior = fit_model(table, "dawid_skene").posterior
    inputs = np.stack([log_posterior(posterior), log_share(table.counts)], axis=2)
    ours: list[float] = []
    right: list[float] = []
    losses: dict[tuple[str, float], list[float]] = {}
    for draw in draws:
        used = np.random.default_rng(draw).choice(known, n_gold, replace=False)
        rest = np.setdiff1d(known, used)
        cells = np.arange(len(rest)), gold[rest]
        answers = {table.items[i]: table.classes[gold[i]] for i in used}
        chances = fit_gold_stack(raw, table, answers).consensus.probabilities[rest]
        ours.append(float(-np.log(np.maximum(chances[cells], 1e-12)).mean()))
        right.append(float((chances.argmax(axis=1) == gold[rest]).mean()))
        for form, kind in FORMS.items():
            for ridge in RIDGES:
                values = fit_form(kind, ridge, inputs[used], gold[used])
                logs = log_softmax(inputs[rest] @ values[:2] + values[2:], axis=1)
                losses.setdefault((form, ridge), []).append(float(-logs[cells].mean()))
    forms = {form: min(float(np.mean(losses[form, ridge])) for ridge in RIDGES) for form in FORMS}
    best = min(forms, key=lambda form: forms[form])
    lots = [round(float(np.mean(ours[i : i + 20])), 4) for i in range(0, len(ours), 20)]
    return {
        "ours": round(float(np.mean(ours)), 4),
        "spread": round(float(np.std(ours, ddof=1)), 4),
        "accuracy": round(float(np.mean(right)), 4),
        "lots_of_20": lots,
        "forms": {form: round(value, 4) for form, value in forms.items()},
        "vote": round(float(-inputs[known, gold[known], 1].mean()), 4),
        "best": best,
        "ratio": round(float(np.mean(ours)) / forms[best], 4),
    }


def main() -> None:
    """Measure every set and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the crowd_* sets")
    parser.add_argument("--draws", type=int, default=60, help="of the known answers")
    parser.add_argument("--gold", type=int, default=30, help="known answers")
    parser.add_argument("--only", nargs="*", choices=CROWDS, default=list(CROWDS))
    args = parser.parse_args()
    found = {name: measure(args.data, name, range(args.draws), args.gold) for name in args.only}
    print(json.dumps({"draws": args.draws, "gold": args.gold, "sets": found}))


if __name__ == "__main__":
    main()
