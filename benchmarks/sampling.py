"""Times our decode loop and transformers' `generate()` on the same prompts in turn; one JSON line.

Both draw `--group` samples of exactly `--tokens` tokens for each prompt, at temperature 1 without filters,
nothing ends early. Ours runs with the compiled kernel where it can be built, and with torch alone.
`generate()` runs as one left-padded batch, in three ways: weights in fp32, weights in bf16, and fp32 weights
under bf16 autocast (how trainers that keep fp32 weights sample). Runs alternate, and the ratio is the median
of those of neighbors, so that what else the machine does falls on both sides. Seconds are CPU seconds of the
one thread: on a shared machine they move less than the clock's.

With `--peer-python`, an interpreter that has vLLM, that draws the same afterwards by `sampling_peer.py` on
one thread, eager and compiled, and what it drew is scored here: `mismatch` is how far its log-probs are
from ours.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from accord.models.allocator import keep_freed_memory
from accord.models.chat import ChatTokenizer
from accord.models.language_model import LanguageModel
from accord.models.ragged import prompt_completion_batch
from accord.models.silence import without_progress_bars
from accord.rollouts.llama import LlamaDecoder
from accord.rollouts.native import decode_rows
from accord.rollouts.packing import has_fast_bf16
from accord.rollouts.sampler import SamplingConfig
from accord.training.precision import autocast
from accord.training.reference import score_completions

CEILING_SHAPE = (1024, 1024, 1024)
"""A matrix product whose speed stands for the machine's."""


class Endless:
    """A tokenizer in whose eyes nothing ends."""

    stop_ids: frozenset[int] = frozenset()

    def decode(self, ids: Sequence[int]) -> str:
        """No text is asked for."""
        return ""


def read_prompts(data: Path, tokenizer: Any, count: int) -> list[list[int]]:
    """Ids of the first `count` prompts of prompts.jsonl."""
    lines = (data / "prompts.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    if len(lines) < count:
        raise SystemExit(f"{data / 'prompts.jsonl'} holds {len(lines)} prompts; {count} are needed")
    return [tokenizer(json.loads(line)["prompt"], add_special_tokens=False)["input_ids"] for line in lines]


def ours(decoder: LlamaDecoder, prompts: list[list[int]], group: int, tokens: int) -> None:
    """One batch through the decode loop, weights looked over first as the sampler does."""
    decoder.refresh()
    uniforms = torch.rand(len(prompts) * group, tokens, dtype=torch.float64)
    tokenizer: Any = Endless()
    decode_rows(decoder, prompts, uniforms, config=SamplingConfig(max_tokens=tokens), tokenizer=tokenizer)


def theirs(network: Any, prompts: list[list[int]], group: int, tokens: int, *, is_autocast: bool) -> None:
    """One left-padded batch through generate()."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
        network.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            num_return_sequences=group,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=0,
        )


def cpu_seconds(run: Callable[[], None]) -> float:
    """CPU time of this thread in `run`."""
    began = time.thread_time()
    run()
    return time.thread_time() - began


def matrix_speed(dtype: torch.dtype) -> float:
    """Operations a second of a large product; the best of seven."""
    rows, inner, columns = CEILING_SHAPE
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    return 2 * rows * inner * columns / min(cpu_seconds(lambda: left @ right) for _ in range(7))


def mismatch(model: LanguageModel, drawn: Sequence[dict[str, Any]], *, precision: Any) -> dict[str, float]:
    """Sampler's log-probs less our scorer's, at the tokens drawn: mean, mean size, largest."""
    distances = []
    for each in drawn:
        packed = prompt_completion_batch([(each["prompt"], [each["ids"]])])
        with torch.no_grad(), autocast(precision, torch.device("cpu")):
            own = score_completions(model, packed).logprobs
        distances.append(torch.tensor(each["logprobs"]) - own.float())
    every = torch.cat(distances)
    return {
        "mean": round(every.mean().item(), 5),
        "mean_size": round(every.abs().mean().item(), 5),
        "largest": round(every.abs().max().item(), 4),
    }


def peer(options: argparse.Namespace, model: LanguageModel, prompts: list[list[int]]) -> dict[str, Any]:
    """vLLM's line for each mode, with the mismatch to our scorer."""
    lines = {}
    with tempfile.TemporaryDirectory(prefix="sampling-") as place:
        asked, kept = Path(place) / "prompts.json", Path(place) / "drawn.json"
        asked.write_text(json.dumps(prompts), encoding="utf-8")
        for mode in options.peer_modes:
            command = [str(options.peer_python), str(Path(__file__).with_name("sampling_peer.py"))]
            command += ["--model", str(options.model), "--prompts", str(asked), "--keep", str(kept)]
            command += ["--group", str(options.group), "--tokens", str(options.tokens)]
            command += [
                "--repeats",
                str(options.repeats),
                "--mode",
                mode,
                "--precision",
                options.peer_precision,
            ]
            done = subprocess.run(
                command,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            found = [line for line in done.stdout.splitlines() if line.startswith('{"impl"')]
            if done.returncode or not found:
                raise SystemExit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stderr[-3000:]}")
            drawn = json.loads(kept.read_text(encoding="utf-8"))
            lines[mode] = {
                **json.loads(found[-1]),
                "mismatch": {
                    precision: mismatch(model, drawn, precision=precision) for precision in ("fp32", "bf16")
                },
            }
    return lines


@torch.no_grad()
def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The line."""
    torch.set_num_threads(1)
    keep_freed_memory()
    with without_progress_bars():
        network = AutoModelForCausalLM.from_pretrained(
            options.model, dtype=torch.float32, use_safetensors=True
        )
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = LanguageModel(network.eval(), ChatTokenizer(tokenizer, name="benchmark"), "benchmark")
    prompts = read_prompts(options.data, tokenizer, options.prompts)
    work = (prompts, options.group, options.tokens)
    low = torch.bfloat16 if has_fast_bf16(torch.device("cpu")) else torch.float32
    decoder, rounded = LlamaDecoder(model, dtype=low), copy.deepcopy(network).to(torch.bfloat16)
    plain = LlamaDecoder(model, dtype=low, is_compiled=False)
    runs: dict[str, Callable[[], None]] = {
        "ours": lambda: ours(decoder, *work),
        "ours_by_torch": lambda: ours(plain, *work),
        "generate_bf16": lambda: theirs(rounded, *work, is_autocast=False),
        "generate_autocast": lambda: theirs(network, *work, is_autocast=True),
        "generate_fp32": lambda: theirs(network, *work, is_autocast=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(options.repeats + 1):
        for name, run in runs.items():
            spent = cpu_seconds(run)
            if repeat:  # the first of each makes kernels and pages
                seconds[name].append(spent)
    n_new = options.prompts * options.group * options.tokens
    body = sum(weight.numel() for weight in model.body.layers.parameters() if weight.ndim == 2)
    n_run = n_new - options.prompts * options.group + sum(map(len, prompts))
    peers = {} if options.peer_python is None else {"peer": peer(options, model, prompts)}
    operations = 2 * (body * n_run + model.head_weight.numel() * n_new)
    return {
        "is_compiled": decoder.kernel is not None,
        "precision": str(low).removeprefix("torch."),
        "cpu_s": {name: round(statistics.median(each), 3) for name, each in seconds.items()},
        "tokens_per_cpu_s": {name: round(n_new / statistics.median(each)) for name, each in seconds.items()},
        "ratio": {
            name: round(statistics.median(b / a for a, b in zip(seconds["ours"], each, strict=True)), 2)
            for name, each in seconds.items()
            if name != "ours"
        },
        "share_of_matrix_speed": round(operations / matrix_speed(low) / min(seconds["ours"]), 2),
        **peers,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="our decode loop beside generate(); one JSON line")
    parser.add_argument("--model", type=Path, required=True, help="a llama-kind model with fp32 weights")
    parser.add_argument("--data", type=Path, required=True, help="folder with prompts.jsonl")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-python", type=Path, help="interpreter that has vLLM; without it none is run")
    parser.add_argument(
        "--peer-modes", nargs="+", choices=["eager", "compiled"], default=["eager", "compiled"]
    )
    parser.add_argument("--peer-precision", choices=["float32", "bfloat16"], default="bfloat16")
    print(json.dumps(measure(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
