"""Times the quality engine on simulated judgments, beside crowd-kit on the same data; prints one JSON line.

Each side runs in its own process with one thread, reads the same arrays and times itself. The other side
runs under `--peer-python`, an interpreter that has crowd-kit; without it only ours is timed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ITERATIONS = 10
"""Of EM, on both sides."""
LABELS_AN_ITEM = 5
ONLINE_LABELS = 20
REPLICATES = 1000
SIZES = {
    "dawid_skene": {"items": 1_000_000, "annotators": 5_000},
    "alpha": {"items": 100_000, "annotators": 1_000},
    "noisy_bt": {"rows": 100_000, "items": 200, "annotators": 1_000},
    "online": {"items": 500, "annotators": 200},
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(SIZES))
    parser.add_argument("--peer-python", help="an interpreter that has crowd-kit")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data as a share of the task's")
    parser.add_argument("--repeats", type=int, default=5, help="runs of ours; the median counts")
    parser.add_argument("--peer-repeats", type=int, default=1, help="runs of the other side")
    parser.add_argument("--side", choices=["ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--arrays", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        sides = OURS if options.side == "ours" else PEERS
        with np.load(options.arrays) as arrays:
            found = sides[options.task](dict(arrays), options.repeats)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, **simulate(options.task, options.scale))
        own, machine, began = own_cpu_s(), machine_cpu_s(), time.perf_counter()
        line = {"task": options.task, "scale": options.scale, "threads": 1}
        line["ours"] = run_side("ours", sys.executable, options.task, path, options.repeats)
        if options.peer_python and options.task in PEERS:
            line["peer"] = run_side("peer", options.peer_python, options.task, path, options.peer_repeats)
            line["ratio"] = ratios(line["ours"], line["peer"])
        foreign = machine_cpu_s() - machine - (own_cpu_s() - own)
        line["foreign_cpu_cores"] = max(0.0, foreign) / (time.perf_counter() - began)
    print(json.dumps(line))


def run_side(side: str, python: str, task: str, arrays: Path, repeats: int) -> dict[str, Any]:
    """What one side says of itself; its last line is JSON."""
    command = [python, __file__, task, "--side", side, "--arrays", str(arrays), "--repeats", str(repeats)]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def ratios(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> dict[str, float]:
    """Of the other side to ours, for what both measured in seconds or megabytes."""
    both = [name for name in ours if name in peer and name.endswith(("_s", "_mb"))]
    return {name: peer[name] / ours[name] for name in both if ours[name] > 0}


def simulate(task: str, scale: float) -> dict[str, np.ndarray]:
    """The arrays of a task; annotators err by themselves, each at a rate of his own."""
    generator = np.random.default_rng(0)
    size = {name: max(2, round(count * scale)) for name, count in SIZES[task].items()}
    if task == "noisy_bt":
        return simulate_pairs(generator, **{**size, "annotators": max(5, size["annotators"])})
    labels = ONLINE_LABELS if task == "online" else LABELS_AN_ITEM
    return simulate_labels(generator, size["items"], max(size["annotators"], 2 * labels), labels)


def simulate_labels(
    generator: np.random.Generator, items: int, annotators: int, labels: int
) -> dict[str, np.ndarray]:
    """Two classes; no annotator labels an item twice."""
    truth = generator.integers(0, 2, items)
    skill = generator.beta(6, 2.5, annotators)
    steps = np.cumsum(generator.integers(1, annotators // labels + 1, (items, labels)), axis=1)
    who = (generator.integers(0, annotators, items)[:, None] + steps) % annotators
    is_right = generator.random((items, labels)) < skill[who]
    value = np.where(is_right, truth[:, None], 1 - truth[:, None])
    order = generator.permutation(items * labels)
    item = np.repeat(np.arange(items), labels)
    return {"item": item[order], "who": who.ravel()[order], "value": value.ravel()[order], "truth": truth}


def simulate_pairs(
    generator: np.random.Generator, rows: int, items: int, annotators: int
) -> dict[str, np.ndarray]:
    """A fifth of the annotators follow a habit of one side in four of five answers."""
    score = generator.normal(0, 1.5, items)
    left = generator.integers(0, items, rows)
    right = (left + generator.integers(1, items, rows)) % items
    who = generator.integers(0, annotators, rows)
    compares = np.where(generator.random(annotators) < 0.2, 0.2, 0.9)[who]
    habit = generator.uniform(0.1, 0.9, annotators)[who]
    p_left = compares / (1 + np.exp(score[right] - score[left])) + (1 - compares) * habit
    return {
        "left": left,
        "right": right,
        "who": who,
        "score": score,
        "is_left": generator.random(rows) < p_left,
    }


def clock(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds, and the last result."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


def peak_mb(work: Callable[[], Any]) -> float:
    """Most memory held while working, less what was held before; -1 where the kernel does not tell."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        work()
        return -1.0
    clear.write_text("5", encoding="ascii")
    before = memory_mb("VmRSS")
    work()
    return memory_mb("VmHWM") - before


def memory_mb(field: str) -> float:
    """One line of /proc/self/status, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def own_cpu_s() -> float:
    """CPU seconds of this process and its children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine_cpu_s() -> float:
    """CPU seconds of all processes since the machine started; this process's own where /proc is missing."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return own_cpu_s()
    ticks = [int(value) for value in stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def our_table(arrays: Mapping[str, np.ndarray]) -> Any:
    from accord.domain import LabelColumns
    from accord.quality.labels import tabulate_labels

    columns = LabelColumns(items=arrays["item"], annotators=arrays["who"], values=arrays["value"])
    return tabulate_labels(columns)


def our_dawid_skene(arrays: Mapping[str, np.ndarray], repeats: int) -> dict[str, float]:
    from accord.quality.consensus.dawid_skene import DawidSkeneConfig, fit_dawid_skene
    from accord.quality.consensus.em import EMConfig
    from accord.quality.consensus.evidence import gather_evidence

    em = EMConfig(max_iterations=ITERATIONS, tolerance=0.0)
    config = DawidSkeneConfig(start="vote", em=em)
    table_s, table = clock(lambda: our_table(arrays), 1)

    def fit() -> Any:
        evidence = gather_evidence(table)
        parameters = fit_dawid_skene(evidence, config).parameters
        return evidence.posterior(parameters.log_rates, parameters.log_classes)

    extra_mb = peak_mb(fit)
    fit_s, posterior = clock(fit, repeats)
    columns = (table.item_index, table.annotator_index, table.class_index)
    read_s, _ = clock(lambda: [column.max() for _ in range(ITERATIONS) for column in columns], repeats)
    return {
        "fit_s": fit_s,
        "table_s": table_s,
        "with_table_s": fit_s + table_s,
        "extra_mb": extra_mb,
        "read_labels_10_times_s": read_s,
        "accuracy": float((posterior.argmax(axis=1) == arrays["truth"][table.items]).mean()),
    }


def our_alpha(arrays: Mapping[str, np.ndarray], repeats: int) -> dict[str, float]:
    from accord.quality.agreement import BootstrapConfig, krippendorff_alpha

    table = our_table(arrays)
    config = BootstrapConfig(replicates=REPLICATES)
    bootstrap_s, found = clock(lambda: krippendorff_alpha(table, config=config), repeats)
    point_s, _ = clock(lambda: krippendorff_alpha(table, config=BootstrapConfig(replicates=0)), repeats)
    return {"bootstrap_s": bootstrap_s, "point_s": point_s, "alpha": found.value}


def our_noisy_bt(arrays: Mapping[str, np.ndarray], repeats: int) -> dict[str, float]:
    from accord.quality.preferences.noisy_bt import fit_noisy_bradley_terry
    from accord.quality.preferences.scored_pairs import tabulate_pairs

    left, right, who = (arrays[name].tolist() for name in ("left", "right", "who"))
    outcomes = np.where(arrays["is_left"], "left", "right").tolist()
    pairs = tabulate_pairs(left, right, outcomes, who)
    fit_s, fit = clock(lambda: fit_noisy_bradley_terry(pairs), repeats)
    scores = fit.scores.scores
    return {"fit_s": fit_s, "rank_correlation": rank_correlation(scores, arrays["score"][list(fit.items)])}


def our_online(arrays: Mapping[str, np.ndarray], repeats: int) -> dict[str, float]:
    from accord.quality.consensus.online import OnlineConsensus

    rows = sorted(zip(*(arrays[name].tolist() for name in ("item", "who", "value")), strict=True))
    last: list[float] = []
    for _ in range(repeats):
        state = OnlineConsensus((0, 1))
        for number, row in enumerate(rows):
            began = time.perf_counter()
            state.add(*row)
            if number % ONLINE_LABELS == ONLINE_LABELS - 1:
                last.append(time.perf_counter() - began)
    return {"update_s": statistics.median(last), "update_p99_s": float(np.quantile(last, 0.99))}


def peer_frame(arrays: Mapping[str, np.ndarray]) -> Any:
    import pandas

    return pandas.DataFrame({"task": arrays["item"], "worker": arrays["who"], "label": arrays["value"]})


def peer_dawid_skene(arrays: Mapping[str, np.ndarray], repeats: int) -> dict[str, float]:
    from crowdkit.aggregation import DawidSkene

    frame = peer_frame(arrays)
    seconds: list[float] = []

    def fit() -> None:
        fit_s, fitted[0] = clock(lambda: DawidSkene(n_iter=ITERATIONS, tol=0.0).fit_predict(frame), repeats)
        seconds.append(fit_s)

    fitted: list[Any] = [None]
    extra_mb = peak_mb(fit)
    labels = fitted[0]
    return {
        "fit_s": seconds[0],
        "with_table_s": seconds[0],
        "extra_mb": extra_mb,
        "accuracy": float((labels.to_numpy() == arrays["truth"][labels.index.to_numpy()]).mean()),
    }


def peer_alpha(arrays: Mapping[str, np.ndarray], repeats: int) -> dict[str, float]:
    from crowdkit.metrics.data import alpha_krippendorff

    frame = peer_frame(arrays)
    point_s, alpha = clock(lambda: alpha_krippendorff(frame), repeats)
    return {"point_s": point_s, "alpha": float(alpha)}


def peer_noisy_bt(arrays: Mapping[str, np.ndarray], repeats: int) -> dict[str, float]:
    import pandas
    from crowdkit.aggregation import NoisyBradleyTerry

    winner = np.where(arrays["is_left"], arrays["left"], arrays["right"])
    columns = {"worker": arrays["who"], "left": arrays["left"], "right": arrays["right"], "label": winner}
    frame = pandas.DataFrame(columns)
    fit_s, scores = clock(lambda: NoisyBradleyTerry().fit_predict(frame), repeats)
    truth = arrays["score"][scores.index.to_numpy()]
    return {"fit_s": fit_s, "rank_correlation": rank_correlation(scores.to_numpy(), truth)}


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, of values without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


OURS = {"dawid_skene": our_dawid_skene, "alpha": our_alpha, "noisy_bt": our_noisy_bt, "online": our_online}
PEERS = {"dawid_skene": peer_dawid_skene, "alpha": peer_alpha, "noisy_bt": peer_noisy_bt}

if __name__ == "__main__":
    main()
