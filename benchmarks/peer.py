"""TRL on the same fixed work as `training.py`: the same rows, order, optimizer and steps, one JSON line out.

Runs in an environment of its own that has TRL and not Accord; PPO needs a folder with TRL 1.12 first on
PYTHONPATH. The online tasks are in `peer_online.py`. Gradient checkpointing is off unless
`--variant default`; everything else that `settings.json` does not name is left as TRL has it.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import datasets
import safetensors.torch
import torch
import transformers
import trl
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

HEAD_STD = 0.02
"""Of the reward head's first weights, as in `training.py`."""
ONLINE = ("grpo", "rloo", "ppo")

Row = dict[str, Any]


class StepTimes(TrainerCallback):
    """Seconds of each step, from the end of the one before, and what other processes used meanwhile."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._own, self._all = _own_cpu_s(), _machine_cpu_s()
        self._began = self._last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now

    def foreign_cpu_cores(self) -> float:
        """Cores that other processes kept busy on average."""
        busy = _machine_cpu_s() - self._all - (_own_cpu_s() - self._own)
        return max(0.0, busy) / (time.perf_counter() - self._began)


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _machine_cpu_s() -> float:
    ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def pair_rows(task: str, pairs: list[Row], count: int) -> list[Row]:
    """Rows in the columns that TRL's trainer of this task reads."""
    match task:
        case "sft":
            rows = [{"prompt": pair["prompt"], "completion": pair["chosen"]} for pair in pairs]
        case "reward":
            rows = [{side: pair["prompt"] + pair[side] for side in ("chosen", "rejected")} for pair in pairs]
        case "dpo":
            rows = [{name: pair[name] for name in ("prompt", "chosen", "rejected")} for pair in pairs]
        case _:
            rows = [
                {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
                for pair in pairs
                for side in ("chosen", "rejected")
            ]
    return rows[:count]


def common_arguments(options: argparse.Namespace, settings: Row, work: Row) -> Row:
    """The settings file's optimizer, and nothing but the work, in the words of every trainer."""
    optimizer = settings["optimizer"]
    arguments = {
        "output_dir": tempfile.mkdtemp(prefix="peer-"),
        "max_steps": work["steps"],
        "learning_rate": work["lr"],
        "lr_scheduler_type": optimizer["lr_schedule"],
        "adam_beta1": optimizer["betas"][0],
        "adam_beta2": optimizer["betas"][1],
        "adam_epsilon": optimizer["eps"],
        "weight_decay": optimizer["weight_decay"],
        "max_grad_norm": optimizer["max_grad_norm"],
        "bf16": options.precision == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "seed": settings["seed"],
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }
    if options.variant == "tuned":
        arguments["gradient_checkpointing"] = False
    return arguments


def trainer_for(
    options: argparse.Namespace, settings: Row, work: Row, rows: list[Row], clock: StepTimes
) -> Any:
    """TRL's own trainer under the settings file's optimizer."""
    arguments = common_arguments(options, settings, work)
    arguments["per_device_train_batch_size"] = work["batch"]
    arguments["max_length"] = work["max_length"]
    arguments["train_sampling_strategy"] = "sequential"
    if options.task in ("dpo", "kto"):
        arguments["beta"] = work["beta"]
    if options.task == "sft":
        arguments["completion_only_loss"] = True
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model: Any = str(options.model)
    if options.task == "reward":
        model = seeded_reward_model(options.model, tokenizer, settings["seed"])
    else:
        arguments["model_init_kwargs"] = {"dtype": "float32"}
    name = {"sft": "SFT", "reward": "Reward", "dpo": "DPO", "kto": "KTO"}[options.task]
    return getattr(trl, f"{name}Trainer")(
        model=model,
        args=getattr(trl, f"{name}Config")(**arguments),
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list(rows),
        callbacks=[clock],
    )


def seeded_reward_model(folder: Path, tokenizer: Any, seed: int) -> Any:
    """A scalar head drawn as ours is. It reads the last token that is no padding, which must be EOS."""
    tokenizer.pad_token = next(
        token for token in tokenizer.all_special_tokens if token != tokenizer.eos_token
    )
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.score.weight.copy_(torch.randn(model.score.weight.shape, generator=generator) * HEAD_STD)
    return model


def online_trainer(options: argparse.Namespace, settings: Row, work: Row, clock: StepTimes) -> Any:
    """The trainer of a task that draws its own completions."""
    online = importlib.import_module("peer_online")
    arguments = common_arguments(options, settings, work)
    if options.task == "ppo":
        return online.ppo_trainer(arguments, options.model, options.data, work, clock)
    return online.group_trainer(options.task, arguments, options.model, options.data, work, clock)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="TRL on fixed work; one JSON line")
    parser.add_argument("task", choices=["sft", "reward", "dpo", "kto", *ONLINE])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--settings", type=Path, default=Path(__file__).with_name("settings.json"))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--variant", choices=["tuned", "default"], default="tuned")
    parser.add_argument("--steps", type=int)
    parser.add_argument(
        "--keep", type=Path, help="write the gradients that the first step gets (safetensors)"
    )
    return parser.parse_args()


def keep_first_gradient(model: Any, file: Path) -> None:
    """Write the gradients that the first step gets, by names without what the model puts before them."""

    def write(*_: Any) -> None:
        handle.remove()
        gradients = {
            "head" if name == "score.weight" else name.removeprefix("model."): weight.grad.clone()
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }
        safetensors.torch.save_file(gradients, file)

    handle = register_optimizer_step_pre_hook(write)


def main() -> None:
    """Run the work and print its line."""
    options = parse()
    settings = json.loads(options.settings.read_text(encoding="utf-8"))
    work = dict(settings[options.task])
    work["steps"] = options.steps or work["steps"]
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    clock = StepTimes()
    if options.task in ONLINE:
        trainer = online_trainer(options, settings, work, clock)
    else:
        count = work["steps"] * work["batch"]
        lines = (options.data / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
        rows = pair_rows(options.task, [json.loads(line) for line in lines[:count]], count)
        trainer = trainer_for(options, settings, work, rows, clock)
    if options.keep is not None:
        keep_first_gradient(trainer.model, options.keep)
    trainer.train()
    warmup = settings["warmup_steps"]
    timed = clock.seconds[warmup:]
    name = "loss/policy_avg" if options.task == "ppo" else "loss"
    line = {
        "task": options.task,
        "impl": f"trl {trl.__version__}",
        "variant": options.variant,
        "precision": options.precision,
        "threads": torch.get_num_threads(),
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": sys.version.split()[0],
        },
        "steps": len(clock.seconds),
        "median_step_s": round(statistics.median(timed), 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "foreign_cpu_cores": round(clock.foreign_cpu_cores(), 3),
        "loss": [round(row[name], 5) for row in trainer.state.log_history if name in row],
        "step_s": [round(seconds, 2) for seconds in clock.seconds],
        "preloaded": os.environ.get("LD_PRELOAD", ""),
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
