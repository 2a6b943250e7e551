"""vLLM on the work of `sampling.py`: the same prompts, samples and tokens of each; one JSON line out.

Runs in an environment of its own that has vLLM and not Accord. Nothing ends early. What the last run drew
goes to `--keep` with its log-probs, so that another implementation can score it.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine's CPU seconds are this process's

import torch
import vllm


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="vLLM's sampling on fixed work; one JSON line")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="JSON: token ids of each prompt")
    parser.add_argument("--group", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--mode", choices=["eager", "compiled"], default="eager")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--keep", type=Path, required=True, help="ids and log-probs of the last run")
    return parser.parse_args()


def main() -> None:
    """Start the engine, draw, and print the line."""
    options = parse()
    began = time.perf_counter()
    engine = vllm.LLM(
        model=str(options.model),
        dtype=options.precision,
        enforce_eager=options.mode == "eager",
        max_model_len=2048,
        kv_cache_memory_bytes=2 * 2**30,
        logprobs_mode="processed_logprobs",
        enable_prefix_caching=True,
    )
    start_s = time.perf_counter() - began
    prompts = json.loads(options.prompts.read_text(encoding="utf-8"))
    requests: list[Any] = [{"prompt_token_ids": ids} for ids in prompts for _ in range(options.group)]
    wall, cpu = [], []
    results: list[Any] = []
    for repeat in range(options.repeats + 1):
        engine.reset_prefix_cache()  # the weights have changed since, as they do between two rollouts
        parameters = [
            vllm.SamplingParams(
                temperature=1.0, max_tokens=options.tokens, ignore_eos=True, logprobs=0, seed=index + repeat
            )
            for index in range(len(requests))
        ]
        started, started_cpu = time.perf_counter(), time.process_time()
        results = engine.generate(requests, parameters, use_tqdm=False)
        if repeat:  # the first warms up
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - started_cpu)
    drawn = [result.outputs[0] for result in results]
    kept = [
        {
            "prompt": request["prompt_token_ids"],
            "ids": list(each.token_ids),
            "logprobs": [
                step[token].logprob for token, step in zip(each.token_ids, each.logprobs, strict=True)
            ],
        }
        for request, each in zip(requests, drawn, strict=True)
    ]
    options.keep.write_text(json.dumps(kept), encoding="utf-8")
    line = {
        "impl": f"vllm {vllm.__version__}",
        "mode": options.mode,
        "precision": options.precision,
        "threads": torch.get_num_threads(),
        "start_s": round(start_s, 1),
        "s": [round(each, 3) for each in wall],
        "cpu_s": [round(each, 3) for each in cpu],
        "tokens_per_s": round(sum(len(each["ids"]) for each in kept) / statistics.median(wall)),
        "tokens_per_cpu_s": round(sum(len(each["ids"]) for each in kept) / statistics.median(cpu)),
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
