"""Runs ours and TRL in turn on the same fixed work and writes a table; disturbed runs are run again.

Both sides have the same model, rows, threads and allocator: glibc is told by the environment to keep freed
memory, or a library is preloaded for both. `--stock` leaves TRL as it comes in both respects (system
allocator, its own gradient checkpointing), which is what a user meets who installs it and runs it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TASKS = ("sft", "reward", "dpo", "kto", "grpo", "rloo", "ppo")
ONLINE = ("grpo", "rloo", "ppo")
"""Each side draws samples of its own, so that losses have nothing to compare."""
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2147483647"}
"""What ours does by mallopt, for a process that does not."""

Line = dict[str, Any]


def environment(*, keeps_memory: bool, preload: str) -> dict[str, str]:
    """The environment of a run: the allocator, and as many BLAS threads as the settings ask torch for."""
    values = {name: value for name, value in os.environ.items() if name not in (*KEPT_MEMORY, "LD_PRELOAD")}
    if preload:
        values["LD_PRELOAD"] = preload
    elif keeps_memory:
        values.update(KEPT_MEMORY)
    return values


def run_once(command: Sequence[str], values: Mapping[str, str]) -> Line:
    """The JSON line of one run; what it said otherwise is shown when it fails."""
    done = subprocess.run(command, env=dict(values), capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise SystemExit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stderr[-3000:]}")
    line: Line = json.loads(lines[-1])
    return line


def quiet_runs(
    command: Sequence[str], values: Mapping[str, str], *, repeats: int, tries: int, foreign: float
) -> tuple[list[Line], bool]:
    """`repeats` runs beside at most `foreign` busy cores; after `tries` the calmest, called disturbed."""
    seen: list[Line] = []
    for _ in range(max(tries, repeats)):
        seen.append(run_once(command, values))
        calm = [line for line in seen if line["foreign_cpu_cores"] <= foreign]
        if len(calm) >= repeats:
            return calm[:repeats], False
        print(f"{seen[-1]['impl']}: {seen[-1]['foreign_cpu_cores']} foreign cores", file=sys.stderr)
    return sorted(seen, key=lambda line: float(line["foreign_cpu_cores"]))[:repeats], True


def compare(ours: Sequence[Line], peer: Sequence[Line], *, is_disturbed: bool) -> Line:
    """One row: medians over runs, speed as a ratio of the medians of steps, losses side by side."""
    own_s, peer_s = (statistics.median(line["median_step_s"] for line in side) for side in (ours, peer))
    own_mb, peer_mb = (statistics.median(line["peak_rss_mb"] for line in side) for side in (ours, peer))
    tokens = statistics.mean(ours[0]["tokens_per_step"][ours[0]["warmup_steps"] :])
    losses = () if ours[0]["task"] in ONLINE else zip(ours[0]["loss"], peer[0]["loss"], strict=False)
    distances = [abs(own - other) / max(abs(other), 1e-9) for own, other in losses]
    return {
        "task": ours[0]["task"],
        "precision": ours[0]["precision"],
        "threads": ours[0]["threads"],
        "peer": f"{peer[0]['impl']}, {peer[0]['variant']}",
        "peer_step_s": round(peer_s, 2),
        "own_step_s": round(own_s, 2),
        "ratio": round(peer_s / own_s, 2),
        "own_tokens_per_s": round(tokens / own_s, 1),
        "peer_tokens_per_s": round(tokens / peer_s, 1),
        "memory_ratio": round(own_mb / peer_mb, 2),
        "own_gb": round(own_mb / 1000, 1),
        "peer_gb": round(peer_mb / 1000, 1),
        "largest_loss_distance": max(distances, default=None),
        "share_of_matrix_speed": ours[0].get("share_of_matrix_speed"),
        "foreign_cpu_cores": max(line["foreign_cpu_cores"] for line in (*ours, *peer)),
        "is_disturbed": is_disturbed,
    }


def table(rows: Sequence[Line]) -> str:
    """The rows in Markdown."""
    lines = [
        "| task, precision, threads | peer | its s a step | ours | ratio | tokens/s, its and ours "
        "| memory, ours / its | losses differ by at most | ours, of the matrix speed | foreign cores |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        mark = " (disturbed)" if row["is_disturbed"] else ""
        distance = row["largest_loss_distance"]
        losses = "own samples" if distance is None else f"{distance:.1e}"
        share = "-" if row["share_of_matrix_speed"] is None else row["share_of_matrix_speed"]
        lines.append(
            f"| {row['task']}, {row['precision']}, {row['threads']} | {row['peer']} | {row['peer_step_s']} "
            f"| {row['own_step_s']} | {row['ratio']}{mark} | {row['peer_tokens_per_s']}, "
            f"{row['own_tokens_per_s']} | {row['own_gb']} / {row['peer_gb']} GB = {row['memory_ratio']} "
            f"| {losses} | {share} | {row['foreign_cpu_cores']} |"
        )
    return "\n".join(lines) + "\n"


def make_model(folder: Path) -> Path:
    """The quickstart's model as a folder with fp32 weights, made once."""
    if not (folder / "config.json").exists():
        from accord.models.export import save_model
        from accord.models.loading import load_model

        save_model(load_model("smollm2"), folder)
    return folder


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="ours and TRL in turn on the same work")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)}; all by default")
    parser.add_argument("--peer-python", type=Path, required=True, help="interpreter that has TRL")
    parser.add_argument("--model", type=Path, help="default: the quickstart's model, made in .bench-venv")
    parser.add_argument("--data", type=Path, required=True, help="folder with pairs.jsonl, prompts.jsonl")
    parser.add_argument(
        "--ppo-library", type=Path, help="folder of the TRL that had PPO; default: ppo beside the peer's bin"
    )
    parser.add_argument("--settings", type=Path, default=HERE / "settings.json")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--threads", type=int, help="default: what the settings say")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=1, help="quiet runs of each side")
    parser.add_argument("--tries", type=int, default=3, help="runs until a side is called disturbed")
    parser.add_argument("--foreign", type=float, default=0.1, help="cores others may use in a quiet run")
    parser.add_argument("--preload", default="", help="allocator library for both sides (LD_PRELOAD)")
    parser.add_argument(
        "--stock", action="store_true", help="TRL as it comes: its allocator and checkpointing"
    )
    parser.add_argument("--out", type=Path, help="write the table here as well")
    options = parser.parse_args(arguments)
    unknown = set(options.tasks) - set(TASKS)
    if unknown:
        parser.error(f"unknown task {', '.join(sorted(unknown))}; expected {', '.join(TASKS)}")
    tasks = options.tasks or TASKS
    for name, needing in (("pairs.jsonl", set(TASKS) - set(ONLINE)), ("prompts.jsonl", set(ONLINE))):
        if needing & set(tasks) and not (options.data / name).is_file():
            parser.error(f"{options.data / name} is missing; benchmarks/README.md says what it holds")
    if options.ppo_library is None:
        options.ppo_library = options.peer_python.parents[1] / "ppo"
    if "ppo" in tasks and not (options.ppo_library / "trl").is_dir():
        parser.error(
            f"{options.ppo_library} holds no trl; install it by pip install --no-deps --target "
            f"{options.ppo_library} -r {HERE / 'peer-ppo-requirements.txt'}"
        )
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both sides for each task, one process at a time, and print the table."""
    options = parse(arguments)
    model = options.model or make_model(options.peer_python.parents[1] / "model")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        settings = json.loads(options.settings.read_text(encoding="utf-8"))
        settings["threads"] = options.threads or settings["threads"]
        file = Path(place) / "settings.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        common = ["--model", str(model), "--data", str(options.data), "--settings", str(file)]
        common += ["--precision", options.precision]
        common += ["--steps", str(options.steps)] if options.steps else []
        limits = {"repeats": options.repeats, "tries": options.tries, "foreign": options.foreign}
        for task in options.tasks or TASKS:
            own = [sys.executable, str(HERE / "training.py"), task, *common]
            peer = [str(options.peer_python), str(HERE / "peer.py"), task, *common]
            peer += ["--variant", "default"] if options.stock else []
            values = environment(keeps_memory=True, preload=options.preload)
            theirs = environment(
                keeps_memory=not options.stock, preload="" if options.stock else options.preload
            )
            if task == "ppo":
                theirs["PYTHONPATH"] = str(options.ppo_library)
            peer_lines, is_peer_disturbed = quiet_runs(peer, theirs, **limits)
            own_lines, is_own_disturbed = quiet_runs(own, values, **limits)
            rows.append(compare(own_lines, peer_lines, is_disturbed=is_own_disturbed or is_peer_disturbed))
            print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    if options.out:
        options.out.write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
