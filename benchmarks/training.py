"""Times training on fixed work and prints one JSON line: the same rows and steps for any implementation.

Rows are read as they stand, in file order: step i takes rows i * batch to (i + 1) * batch. Prompt and
completion are tokenized apart without adding special tokens; a completion ends in the text of EOS. Everything
after the ids is the product's own code: `SftTask`, `RewardTask`, `DpoTask`, `KtoTask` and `optimize`. The
online tasks draw their own samples, see `online_work.py`.
"""

import argparse
import importlib.util
import json
import math
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoTokenizer

import accord
from accord.domain import DataError, Streams
from accord.models.chat import ChatTokenizer, TokenizedExample
from accord.models.language_model import LanguageModel
from accord.models.reward import RewardModel
from accord.models.silence import without_progress_bars
from accord.training import loop
from accord.training.dpo import DpoConfig, DpoTask
from accord.training.group_weights import GroupWeights
from accord.training.kto import JudgedRow, KtoConfig, KtoTask
from accord.training.observers import Recorder
from accord.training.optimizer import OptimizationConfig
from accord.training.order import DataOrder
from accord.training.pairs import PairRow, group_pairs
from accord.training.reports import EvalReport, RunStart, StepReport
from accord.training.reward import RewardTask, RewardTrainingConfig
from accord.training.sft import SftConfig, SftTask
from accord.training.trunk_cache import TrunkCache

HEAD_STD = 0.02
"""Of the reward head's first weights, drawn from a generator with the settings' seed."""
CEILING_SIDE = 2048
"""Of a square matrix product whose speed stands for the machine's."""


ONLINE = ("grpo", "rloo", "ppo")
"""Tasks that draw their own samples."""


def packed_product(
    rows: torch.Size, second: torch.Size, third: torch.Size | None, *others: Any, **options: Any
) -> int:
    """Operations of a sampler's product [n, in] @ [out, in].T; a factor comes before the weight."""
    weight = third if third is not None and len(third) == 2 else second
    return 2 * math.prod(rows) * weight[0]


def added_product(total: torch.Size, left: torch.Size, right: torch.Size, **options: Any) -> int:
    """Operations of total += left @ right."""
    return 2 * math.prod(left) * right[1]


def uncounted_products() -> dict[Any, Any]:
    """Formulas for operators that torch's counter does not know, by operator."""
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    known = {torch.ops.aten.addmm_: added_product}
    return known if linear is None else {**known, linear: packed_product}


class FixedSft(SftTask):
    """Supervised fine-tuning on ids that are given, in the order given."""

    def __init__(self, model: LanguageModel, rows: Sequence[TokenizedExample], config: SftConfig):
        self.model = model
        self.config = config
        self.streams = Streams(0)
        self.rows = list(rows)
        self.eval_rows = []
        self.order = DataOrder(len(self.rows), config.batch_size, self.streams, is_shuffled=False)


class FixedReward(RewardTask):
    """Reward training on ids that are given, in the order given."""

    def __init__(self, model: RewardModel, rows: Sequence[PairRow], config: RewardTrainingConfig):
        self.model = model
        self.config = config
        self.streams = Streams(0)
        self.warnings = []
        self.rows = list(rows)
        self.eval_rows = []
        self.normalization_demonstrations = ()
        self.groups = group_pairs(self.rows, max_pairs=1)
        self.group_weights = GroupWeights(
            config.group_weights, [row.group for row in self.rows], [row.weight for row in self.rows]
        )
        self.order = DataOrder(len(self.groups), config.batch_size, self.streams, is_shuffled=False)
        self.cache = TrunkCache(model, config.trunk_cache_gb)


class FixedKto(KtoTask):
    """KTO on ids that are given, in the order given, its reference point read off the rows TRL reads it off.

    Rows of one prompt are neighbors here; TRL takes them for mismatched, so ours does the same work.
    """

    def mismatched(self, rows: Sequence[JudgedRow]) -> list[JudgedRow]:
        """Each prompt with the answer of the row before it, whatever its prompt."""
        before = [rows[-1], *rows[:-1]]
        return [
            JudgedRow(row.prompt_ids, other.completion_ids) for row, other in zip(rows, before, strict=True)
        ]


class StepClock:
    """Seconds and loss of each step, everything between two steps included, and what other processes used.

    With `counts`, the operations of the first step's matrix products as well, which slows that one.
    """

    def __init__(self, loss_name: str, *, counts: bool = False):
        self.loss_name = loss_name
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self.operations = 0
        counter = FlopCounterMode(display=False, custom_mapping=uncounted_products())
        self._counter = counter if counts else None

    def on_start(self, start: RunStart) -> None:
        if self._counter is not None:
            self._counter.__enter__()
        self._own, self._all = own_cpu_s(), machine_cpu_s()
        self._began = self._last = time.perf_counter()

    def on_step(self, report: StepReport) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self.operations = self._counter.get_total_flops()
            self._counter = None
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self.losses.append(report.metrics[self.loss_name])
        self._last = now

    def on_eval(self, report: EvalReport) -> None:
        raise DataError("nothing is held out here, so nothing can be evaluated")

    def on_end(self, reason: str) -> None:
        busy = machine_cpu_s() - self._all - (own_cpu_s() - self._own)
        self.foreign_cpu_cores = max(0.0, busy) / (time.perf_counter() - self._began)


def own_cpu_s() -> float:
    """CPU seconds of this process."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine_cpu_s() -> float:
    """CPU seconds of all processes since the machine started; this process's own where /proc is missing."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return own_cpu_s()
    ticks = [int(value) for value in stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def matrix_speed(precision: str) -> float:
    """Operations a second of a large product on all threads; the best of seven."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = torch.randn(2, CEILING_SIDE, CEILING_SIDE).to(dtype).unbind()
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - began)
    return 2 * CEILING_SIDE**3 / min(seconds)


def ceiling_figures(precision: str, operations_per_token: float, tokens_per_s: float) -> dict[str, float]:
    """The share of the machine's matrix speed that the timed steps reached: near 1 it is what bounds them."""
    speed = matrix_speed(precision)
    return {
        "operations_per_token": round(operations_per_token),
        "matrix_gflops": round(speed / 1e9, 1),
        "share_of_matrix_speed": round(operations_per_token * tokens_per_s / speed, 3),
    }


def read_rows(data: Path, count: int) -> list[dict[str, str]]:
    """The first `count` rows of pairs.jsonl."""
    with (data / "pairs.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
    if len(rows) < count:
        raise DataError(f"{data / 'pairs.jsonl'} holds {len(rows)} rows; {count} are needed (steps * batch)")
    return rows


def id_reader(tokenizer: ChatTokenizer, max_tokens: int) -> Callable[[str, str], TokenizedExample]:
    """A function from prompt and completion text to ids; a row that would have to be cut is refused."""

    def read(prompt: str, completion: str) -> TokenizedExample:
        prompt_ids, completion_ids = (
            tokenizer.hf(text, add_special_tokens=False)["input_ids"] for text in (prompt, completion)
        )
        if len(prompt_ids) + len(completion_ids) > max_tokens:
            raise DataError(
                f"a row has {len(prompt_ids) + len(completion_ids)} tokens, max_length is {max_tokens}"
            )
        if completion_ids[-1] != tokenizer.hf.eos_token_id:
            raise DataError(f"a completion ends in {completion[-20:]!r}, not in {tokenizer.hf.eos_token!r}")
        return TokenizedExample(prompt_ids, completion_ids, is_truncated=False)

    return read


def load_plain(folder: Path) -> LanguageModel:
    """The model as transformers loads it.

    `load_model` would also give the pad row of the embedding its gradient; where the pad token is EOS
    that is a gradient that a plain `from_pretrained` drops, and the losses would part after the first step.
    """
    with without_progress_bars():
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(folder), name=folder.name)
    return LanguageModel(network=network, tokenizer=tokenizer, name=folder.name)


def seeded_reward_model(model: LanguageModel, seed: int) -> RewardModel:
    """The body of `model` under a head that any implementation can draw."""
    head = nn.Linear(model.head_weight.shape[1], 1, bias=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * HEAD_STD)
    return RewardModel(model.causal_lm.get_decoder(), head, model.tokenizer)


def optimization_from(
    settings: Mapping[str, Any], work: Mapping[str, Any], precision: Any
) -> OptimizationConfig:
    """The settings file's optimizer in our words."""
    optimizer = settings["optimizer"]
    return OptimizationConfig(
        steps=work["steps"],
        learning_rate=work["lr"],
        schedule=optimizer["lr_schedule"],
        betas=tuple(optimizer["betas"]),
        eps=optimizer["eps"],
        weight_decay=optimizer["weight_decay"],
        max_grad_norm=optimizer["max_grad_norm"],
        precision=precision,
    )


def sft_task(
    model: LanguageModel,
    rows: Sequence[dict[str, str]],
    work: Mapping[str, Any],
    optimization: OptimizationConfig,
) -> FixedSft:
    """Loss on the chosen completions."""
    read = id_reader(model.tokenizer, work["max_length"])
    config = SftConfig(
        batch_size=work["batch"], max_tokens=work["max_length"], is_shuffled=False, optimization=optimization
    )
    return FixedSft(model, [read(row["prompt"], row["chosen"]) for row in rows], config)


def reward_task(
    model: RewardModel,
    rows: Sequence[dict[str, str]],
    work: Mapping[str, Any],
    optimization: OptimizationConfig,
) -> FixedReward:
    """Bradley-Terry on pairs; each prompt runs once for both answers."""
    config = RewardTrainingConfig(
        batch_size=work["batch"],
        max_tokens=work["max_length"],
        eval_share=0.0,
        is_shuffled=False,
        optimization=optimization,
    )
    return FixedReward(model, pair_rows(model.tokenizer, rows, work["max_length"]), config)


def dpo_task(
    model: LanguageModel,
    rows: Sequence[dict[str, str]],
    work: Mapping[str, Any],
    optimization: OptimizationConfig,
) -> DpoTask:
    """DPO against the model as it comes; each prompt runs once for both answers."""
    config = DpoConfig(
        beta=work["beta"],
        loss=work["loss"],
        batch_size=work["batch"],
        max_tokens=work["max_length"],
        eval_share=0.0,
        is_shuffled=False,
        optimization=optimization,
    )
    return DpoTask.of_rows(model, pair_rows(model.tokenizer, rows, work["max_length"]), config)


def kto_task(
    model: LanguageModel,
    rows: Sequence[dict[str, str]],
    work: Mapping[str, Any],
    optimization: OptimizationConfig,
) -> FixedKto:
    """KTO on both answers of each pair in turn, the chosen one wanted and the rejected one not."""
    read = id_reader(model.tokenizer, work["max_length"])
    judged = []
    for row in rows:
        for side, p_desirable in (("chosen", 1.0), ("rejected", 0.0)):
            ids = read(row["prompt"], row[side])
            judged.append(JudgedRow(ids.prompt_ids, ids.completion_ids, p_desirable))
    config = KtoConfig(
        beta=work["beta"],
        batch_size=work["batch"],
        max_tokens=work["max_length"],
        eval_share=0.0,
        is_shuffled=False,
        optimization=optimization,
    )
    return FixedKto(model, judged[: work["steps"] * work["batch"]], config, streams=Streams(0))


def pair_rows(tokenizer: ChatTokenizer, rows: Sequence[dict[str, str]], max_tokens: int) -> list[PairRow]:
    """Pairs as ids."""
    read = id_reader(tokenizer, max_tokens)
    pairs = []
    for row in rows:
        chosen, rejected = (read(row["prompt"], row[side]) for side in ("chosen", "rejected"))
        pairs.append(PairRow(chosen.prompt_ids, chosen.completion_ids, rejected.completion_ids))
    return pairs


def tokens_of(task: FixedSft | FixedReward | DpoTask | FixedKto, steps: int) -> list[int]:
    """Plain tokens of each step, without running the reference for them."""
    if isinstance(task, DpoTask | FixedReward):
        return [sum(task.groups[i].n_plain_tokens for i in task.order.batch(step)) for step in range(steps)]
    if isinstance(task, FixedKto):
        return [sum(task.rows[i].n_tokens for i in task.order.batch(step)) for step in range(steps)]
    return [task.next_update(step).tokens for step in range(steps)]


def report(
    options: argparse.Namespace,
    settings: Mapping[str, Any],
    work: Mapping[str, Any],
    clock: StepClock,
    tokens: list[int],
) -> dict[str, Any]:
    """What was measured; the first `warmup_steps` steps are left out of the speed."""
    warmup = settings["warmup_steps"]
    timed = clock.seconds[warmup:]
    total = sum(timed)
    return {
        "task": options.task,
        "impl": f"accord {accord.__version__}",
        "variant": "default",
        "precision": options.precision,
        "lora": 0,
        "threads": torch.get_num_threads(),
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": sys.version.split()[0],
        },
        "steps": len(clock.seconds),
        "warmup_steps": warmup,
        "median_step_s": round(statistics.median(timed), 3),
        "tokens_per_s": round(sum(tokens[warmup:]) / total, 1),
        "samples_per_s": round(work["batch"] * len(timed) / total, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "foreign_cpu_cores": round(clock.foreign_cpu_cores, 3),
        "loss": [round(loss, 5) for loss in clock.losses],
        "step_s": [round(seconds, 2) for seconds in clock.seconds],
        "tokens_per_step": tokens,  # a prompt counts once for each completion, shared or not
        "allocator": options.allocator,
        "preloaded": os.environ.get("LD_PRELOAD", ""),
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="time training on fixed work; one JSON line")
    parser.add_argument("task", choices=["sft", "reward", "dpo", "kto", *ONLINE])
    parser.add_argument(
        "--model", type=Path, required=True, help="folder of a causal LM in Hugging Face form"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with pairs.jsonl or prompts.jsonl")
    parser.add_argument("--settings", type=Path, default=Path(__file__).with_name("settings.json"))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--steps", type=int, help="default: what the settings say")
    parser.add_argument(
        "--allocator",
        choices=["tuned", "system"],
        default="tuned",
        help="tuned: glibc keeps freed memory, as every training of ours asks it to; system: as it comes",
    )
    return parser.parse_args(arguments)


def measure_online(
    options: argparse.Namespace,
    settings: Mapping[str, Any],
    work: dict[str, Any],
    optimization: OptimizationConfig,
) -> None:
    """Sample, score and learn `steps` rollouts, and print the line."""
    online = online_work()
    updates = work.get("ppo_epochs", work.get("num_iterations", 1)) * work.get("mini_batches", 1)
    if updates > 1:
        raise SystemExit(
            f"{updates} updates a rollout: steps are timed one by one, so each has to draw its own"
        )
    task = online.online_task(options.task, load_plain(options.model), options.data, work, optimization)
    clock, recorder = StepClock("policy/loss", counts=settings["warmup_steps"] > 0), Recorder()
    loop.optimize(task, optimization, streams=Streams(settings["seed"]), observers=[clock, recorder])
    work["batch"] = work["prompts_per_step"] * work.get("group", 1)
    tokens = [each.tokens for each in recorder.steps]
    line = report(options, settings, work, clock, tokens)
    if clock.operations:
        line |= ceiling_figures(options.precision, clock.operations / tokens[0], line["tokens_per_s"])
    print(json.dumps({**line, **online.online_figures(recorder, work, settings["warmup_steps"])}), flush=True)


def online_work() -> ModuleType:
    """The module beside this one, however this one was started."""
    spec = importlib.util.spec_from_file_location("online_work", Path(__file__).with_name("online_work.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the work and print its line."""
    options = parse(arguments)
    settings = json.loads(options.settings.read_text(encoding="utf-8"))
    work = dict(settings[options.task])
    work["steps"] = options.steps or work["steps"]
    if work["steps"] <= settings["warmup_steps"]:
        raise SystemExit(
            f"--steps {work['steps']}: the {settings['warmup_steps']} warm-up steps are not timed"
        )
    torch.set_num_threads(settings["threads"])
    if options.allocator == "system":
        # optimize() tunes the allocator itself; this is the one thing here that a user cannot do
        loop.keep_freed_memory = lambda: False
    optimization = optimization_from(settings, work, options.precision)
    if options.task in ONLINE:
        measure_online(options, settings, work, optimization)
        return
    answers_each = 2 if options.task == "kto" else 1
    rows = read_rows(options.data, -(-work["steps"] * work["batch"] // answers_each))
    model = load_plain(options.model)
    task: FixedSft | FixedReward | DpoTask | FixedKto
    if options.task == "reward":
        task = reward_task(seeded_reward_model(model, settings["seed"]), rows, work, optimization)
    elif options.task == "sft":
        task = sft_task(model, rows, work, optimization)
    elif options.task == "dpo":
        task = dpo_task(model, rows, work, optimization)
    else:
        task = kto_task(model, rows, work, optimization)
    tokens = tokens_of(task, work["steps"])
    clock = StepClock(f"{options.task}/loss", counts=settings["warmup_steps"] > 0)
    loop.optimize(task, optimization, streams=Streams(settings["seed"]), observers=[clock])
    line = report(options, settings, work, clock, tokens)
    if clock.operations:
        line |= ceiling_figures(options.precision, clock.operations / tokens[0], line["tokens_per_s"])
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
