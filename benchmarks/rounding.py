"""How far ours and TRL in bf16 are from the same training in fp64: losses of all steps, first gradient.

The reference is written out here with nothing of ours: transformers' model in fp64, each row alone, the whole
softmax, each loss by its equation, AdamW in fp64. (transformers' norms and rotary tables are fp32 whatever
the weights are; that is some 1e-7.) A gradient is the one the optimizer gets, so clipped. Each side runs in a
process of its own on the rows of `training.py`; nothing is timed.
"""

import argparse
import importlib.util
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
TASKS = ("sft", "reward", "dpo")
HEAD = ("head.weight", "score.weight")
"""What ours and TRL call the reward head."""

Line = dict[str, Any]


def beside(name: str) -> ModuleType:
    """A module of this folder, however this one was started."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain_name(name: str) -> str:
    """A weight's name without what each implementation puts before it."""
    return "head" if name in HEAD else name.removeprefix("body.").removeprefix("model.")


def keep_first_gradient(named: Sequence[tuple[str, nn.Parameter]], file: Path) -> None:
    """Write the gradients that the next optimizer's first step gets, by plain names."""

    def write(*_: object) -> None:
        handle.remove()
        save_file(
            {plain_name(name): weight.grad.clone() for name, weight in named if weight.grad is not None}, file
        )

    handle = register_optimizer_step_pre_hook(write)


def ours(options: argparse.Namespace, settings: Mapping[str, Any], work: Mapping[str, Any]) -> list[float]:
    """Losses of the product's own training, through `training.py`."""
    training = beside("training")
    optimization = training.optimization_from(settings, work, options.precision)
    rows = training.read_rows(options.data, work["steps"] * work["batch"])
    model = training.load_plain(options.model)
    if options.task == "reward":
        model = training.seeded_reward_model(model, settings["seed"])
        named = list(model.named_parameters())
    else:
        named = model.trainable_parameters()
    task = getattr(training, f"{options.task}_task")(model, rows, work, optimization)
    clock = training.StepClock(f"{options.task}/loss")
    keep_first_gradient(named, options.keep)
    training.loop.optimize(task, optimization, streams=training.Streams(settings["seed"]), observers=[clock])
    return list(clock.losses)


def sequence_logprobs(network: nn.Module, prompt: Sequence[int], completion: Sequence[int]) -> Tensor:
    """Log-probs [T] of a completion's tokens, by one forward of the row alone."""
    ids = torch.tensor([[*prompt, *completion]])
    logits = network(ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None]).squeeze(1)


class Reference:
    """The model in fp64 with the losses of one task, a row or pair at a time."""

    def __init__(self, task: str, model: Path, *, beta: float, seed: int):
        self.beta = beta
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64).eval()
        self.named = list(self.network.named_parameters())
        if task == "reward":
            self.head = beside("training").HEAD_STD * torch.randn(
                1, self.network.config.hidden_size, generator=torch.Generator().manual_seed(seed)
            )
            self.head = nn.Parameter(self.head.double())
            self.named += [("score.weight", self.head)]
        self.row_loss: Callable[[Mapping[str, str]], Tensor] = getattr(self, task)
        self.start: dict[tuple[str, str], Tensor] = {}

    def ids(self, row: Mapping[str, str], side: str) -> tuple[list[int], list[int]]:
        """Prompt and completion, tokenized apart."""
        prompt, completion = (
            self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (row["prompt"], row[side])
        )
        return prompt, completion

    def sft(self, row: Mapping[str, str]) -> Tensor:
        """Negative log-likelihood, SUMMED: the mean is over the tokens of the update."""
        return -sequence_logprobs(self.network, *self.ids(row, "chosen")).sum()

    def reward(self, row: Mapping[str, str]) -> Tensor:
        """Bradley-Terry on the scores of the last tokens."""
        scores = []
        for side in ("chosen", "rejected"):
            prompt, completion = self.ids(row, side)
            body = self.network.get_decoder()
            last = body(torch.tensor([[*prompt, *completion]]), use_cache=False).last_hidden_state[0, -1]
            scores.append(self.head[0] @ last)
        return softplus(scores[1] - scores[0])

    def dpo(self, row: Mapping[str, str]) -> Tensor:
        """DPO against the start, whose log-probs are kept by `remember`."""
        ratios = []
        for side in ("chosen", "rejected"):
            logprob = sequence_logprobs(self.network, *self.ids(row, side)).sum()
            ratios.append(logprob - self.start[row["prompt"], row[side]])
        return softplus(-self.beta * (ratios[0] - ratios[1]))

    @torch.no_grad()
    def remember(self, rows: Sequence[Mapping[str, str]]) -> None:
        """The start's log-probs of both answers of each row."""
        for row in rows:
            for side in ("chosen", "rejected"):
                logprob = sequence_logprobs(self.network, *self.ids(row, side)).sum()
                self.start[row["prompt"], row[side]] = logprob


def reference(
    options: argparse.Namespace, settings: Mapping[str, Any], work: Mapping[str, Any]
) -> list[float]:
    """Losses of the same training in fp64."""
    rows = beside("training").read_rows(options.data, work["steps"] * work["batch"])
    model = Reference(options.task, options.model, beta=work.get("beta", 0.0), seed=settings["seed"])
    if options.task == "dpo":
        model.remember(rows)
    keep_first_gradient(model.named, options.keep)
    weights = [weight for _, weight in model.named]
    optimizer = settings["optimizer"]
    adam = torch.optim.AdamW(
        weights,
        lr=work["lr"],
        betas=tuple(optimizer["betas"]),
        eps=optimizer["eps"],
        weight_decay=optimizer["weight_decay"],
    )
    losses = []
    for step in range(work["steps"]):
        batch = rows[step * work["batch"] : (step + 1) * work["batch"]]
        count = len(batch)
        if options.task == "sft":
            count = sum(len(model.ids(row, "chosen")[1]) for row in batch)
        total = 0.0
        for row in batch:
            loss = model.row_loss(row) / count
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(weights, optimizer["max_grad_norm"])
        adam.step()
        adam.zero_grad()
        losses.append(total)
    return losses


def gradient_distance(file: Path, reference_file: Path) -> dict[str, float]:
    """Norm of the difference over that of the reference: of all weights together, and of the worst one."""
    squares, differences, worst = 0.0, 0.0, 0.0
    with safe_open(file, "pt") as given, safe_open(reference_file, "pt") as exact:
        missing = set(exact.keys()) ^ set(given.keys())
        if missing:
            raise SystemExit(f"only one side has a gradient of {', '.join(sorted(missing)[:5])}")
        for name in exact.keys():  # noqa: SIM118 - a handle, not a dict
            true = exact.get_tensor(name)
            square = true.square().sum().item()
            difference = (given.get_tensor(name).double() - true).square().sum().item()
            squares, differences = squares + square, differences + difference
            worst = max(worst, math.sqrt(difference / square))
    return {"all": math.sqrt(differences / squares), "worst_weight": worst}


def loss_distance(losses: Sequence[float], exact: Sequence[float]) -> list[float]:
    """Relative distances of each step."""
    return [abs(loss - true) / abs(true) for loss, true in zip(losses, exact, strict=True)]


def measure(options: argparse.Namespace, task: str) -> Line:
    """All sides of one task, one process at a time."""
    versus = beside("versus")
    values = versus.environment(keeps_memory=True, preload="")
    common = ["--model", str(options.model), "--data", str(options.data)]
    common += ["--settings", str(options.settings)] + (
        ["--steps", str(options.steps)] if options.steps else []
    )
    with tempfile.TemporaryDirectory(prefix="rounding-") as place:
        files = {side: Path(place) / f"{side}.safetensors" for side in ("reference", "ours", "trl")}
        own = [sys.executable, str(Path(__file__).resolve()), task, *common]
        commands = {
            side: [*own, "--side", side, "--precision", options.precision, "--keep", str(files[side])]
            for side in ("reference", "ours")
        }
        if options.peer_python:
            peer = [str(options.peer_python), str(HERE / "peer.py"), task, *common]
            commands["trl"] = [*peer, "--precision", options.precision, "--keep", str(files["trl"])]
        lines = {side: versus.run_once(command, values) for side, command in commands.items()}
        exact = lines.pop("reference")["loss"]
        sides = {
            lines[side]["impl"]: {
                "loss_distance": [float(f"{one:.2g}") for one in loss_distance(lines[side]["loss"], exact)],
                "first_gradient": {
                    name: float(f"{one:.3g}")
                    for name, one in gradient_distance(files[side], files["reference"]).items()
                },
            }
            for side in lines
        }
    return {"task": task, "precision": options.precision, "loss_fp64": exact, **sides}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="distance from the training in fp64; one JSON line a task")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)}; all by default")
    parser.add_argument("--model", type=Path, required=True, help="folder with fp32 weights")
    parser.add_argument("--data", type=Path, required=True, help="folder with pairs.jsonl")
    parser.add_argument("--peer-python", type=Path, help="interpreter that has TRL; without it ours alone")
    parser.add_argument("--settings", type=Path, default=HERE / "settings.json")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--steps", type=int, help="default: what the settings say")
    parser.add_argument("--side", choices=["ours", "reference"], help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = set(options.tasks) - set(TASKS)
    if unknown:
        parser.error(f"unknown task {', '.join(sorted(unknown))}; expected {', '.join(TASKS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one side, or all of them for each task."""
    options = parse(arguments)
    if options.side is None:
        for task in options.tasks or TASKS:
            print(json.dumps(measure(options, task)), flush=True)
        return
    (options.task,) = options.tasks
    settings = json.loads(options.settings.read_text(encoding="utf-8"))
    work = dict(settings[options.task])
    work["steps"] = options.steps or work["steps"]
    torch.set_num_threads(settings["threads"])
    losses = {"ours": ours, "reference": reference}[options.side](options, settings, work)
    print(json.dumps({"impl": f"accord {beside('training').accord.__version__}", "loss": losses}), flush=True)


if __name__ == "__main__":
    main()
