"""The training benchmark: its line is whole, and its first losses are those of a plain forward."""

import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn.functional import logsigmoid
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from accord.domain import DataError
from accord.models.export import save_model
from accord.models.loading import load_model
from accord.models.tiny import END, tiny_model
from accord.training import loop

GOLDEN = Path(__file__).parent / "golden" / "trl_losses.json"
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "training.py"
KEYS = {
    *("task", "impl", "variant", "precision", "lora", "threads", "versions", "steps", "warmup_steps"),
    *("median_step_s", "tokens_per_s", "samples_per_s", "peak_rss_mb", "foreign_cpu_cores", "loss"),
    *("step_s", "tokens_per_step", "allocator", "preloaded"),
}
CEILING_KEYS = {"operations_per_token", "matrix_gflops", "share_of_matrix_speed"}
ROWS = [
    {"prompt": f"<|user|>{question}{END}<|assistant|>", "chosen": good + END, "rejected": bad + END}
    for question, good, bad in (
        ("Where is my parcel?", "On its way.", "No idea, look yourself."),
        ("Can I pay later?", "Yes, within thirty days.", "Pay now."),
        ("Help", "Tell me what is wrong.", "No."),
        ("It broke", "I am sorry. We replace it.", "Then buy another one."),
    )
]
WORK = {"lr": 1e-3, "batch": 2, "steps": 6, "max_length": 128}


@pytest.fixture(scope="module")
def benchmark_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    save_model(tiny_model(), folder / "model")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    settings = json.loads(SCRIPT.with_name("settings.json").read_text(encoding="utf-8"))
    settings.update(threads=1, sft=WORK, reward=WORK, dpo={**settings["dpo"], **WORK})
    settings.update(kto={**settings["kto"], **WORK, "batch": 4})
    for name in ("grpo", "rloo", "ppo"):
        settings[name].update(prompts_per_step=2, completion_tokens=6)
    (folder / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in ROWS), encoding="utf-8"
    )
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture
def measure(
    benchmark_module: ModuleType,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., dict]]:
    def run(task: str, *more: str) -> dict:
        options = ["--model", place / "model", "--data", place, "--settings", place / "settings.json"]
        benchmark_module.main([task, *map(str, options), "--precision", "fp32", "--steps", "2", *more])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 1
        return json.loads(lines[0])

    threads = torch.get_num_threads()
    monkeypatch.setattr(loop, "keep_freed_memory", loop.keep_freed_memory)  # put back what a run replaces
    yield run
    torch.set_num_threads(threads)


def ids_of(place: Path, row: dict[str, str], side: str) -> tuple[list[int], list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(place / "model")
    prompt, completion = (
        tokenizer(row[name], add_special_tokens=False)["input_ids"] for name in ("prompt", side)
    )
    assert completion[-1] == tokenizer.eos_token_id
    return prompt, completion


@pytest.mark.parametrize("task", ["sft", "reward", "dpo", "kto"])
def test_the_line_has_all_keys_and_finite_figures(task: str, measure: Callable[..., dict]):
    line = measure(task)
    assert set(line) == KEYS | CEILING_KEYS
    speed = line["operations_per_token"] * line["tokens_per_s"] / (line["matrix_gflops"] * 1e9)
    assert line["share_of_matrix_speed"] == pytest.approx(speed, abs=0.002)
    assert line["steps"] == len(line["loss"]) == len(line["step_s"]) == len(line["tokens_per_step"]) == 2
    assert all(math.isfinite(loss) for loss in line["loss"])
    assert line["median_step_s"] > 0
    assert line["tokens_per_s"] > 0
    assert line["allocator"] == "tuned"


def test_the_first_sft_loss_is_that_of_a_plain_forward(measure: Callable[..., dict], place: Path):
    network = AutoModelForCausalLM.from_pretrained(place / "model")
    total, count, tokens = 0.0, 0, 0
    for row in ROWS[:2]:
        prompt, completion = ids_of(place, row, "chosen")
        with torch.no_grad():
            logits = network(torch.tensor([prompt + completion])).logits[0]
        predicted = logits[len(prompt) - 1 : -1].log_softmax(dim=-1)
        total -= float(predicted.gather(1, torch.tensor(completion)[:, None]).sum())
        count += len(completion)
        tokens += len(prompt) + len(completion)
    line = measure("sft")
    assert line["loss"][0] == pytest.approx(total / count, abs=2e-5)
    assert line["tokens_per_step"][0] == tokens
    # forward and twice as much backward, two operations a weight; the head at completion tokens only
    body = sum(weight.numel() for weight in network.model.layers.parameters() if weight.ndim == 2)
    operations = 6 * (body * tokens + network.lm_head.weight.numel() * count)
    # attention, and that the lowest layer's input wants no gradient, are left out of the sum
    assert line["operations_per_token"] * tokens == pytest.approx(operations, rel=0.2)


def test_the_first_reward_loss_is_that_of_a_plain_forward_of_each_side(
    measure: Callable[..., dict], place: Path
):
    body = AutoModel.from_pretrained(place / "model")
    head = torch.randn((1, body.config.hidden_size), generator=torch.Generator().manual_seed(0)) * 0.02
    losses, tokens = [], 0
    for row in ROWS[:2]:
        scores = []
        for side in ("chosen", "rejected"):
            prompt, completion = ids_of(place, row, side)
            with torch.no_grad():
                last = body(torch.tensor([prompt + completion])).last_hidden_state[0, -1]
            scores.append(head[0] @ last)
            tokens += len(prompt) + len(completion)
        losses.append(float(-logsigmoid(scores[0] - scores[1])))
    line = measure("reward")
    assert line["loss"][0] == pytest.approx(sum(losses) / 2, abs=2e-5)
    assert line["tokens_per_step"][0] == tokens


@pytest.mark.parametrize("task", ["sft", "reward", "dpo", "kto"])
def test_losses_of_every_step_equal_those_of_trl(
    task: str, benchmark_module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    save_model(tiny_model(), tmp_path / "model")
    rows = "".join(json.dumps(row) + "\n" for row in golden["rows"])
    (tmp_path / "pairs.jsonl").write_text(rows, encoding="utf-8")
    (tmp_path / "settings.json").write_text(json.dumps(golden["settings"]), encoding="utf-8")
    threads = torch.get_num_threads()
    options = ["--model", tmp_path / "model", "--data", tmp_path, "--settings", tmp_path / "settings.json"]
    benchmark_module.main([task, *map(str, options), "--precision", "fp32"])
    torch.set_num_threads(threads)
    found = json.loads(capsys.readouterr().out)["loss"]
    assert len(set(found)) == len(found) > 2  # the weights moved
    assert found == pytest.approx(golden["loss"][task], rel=1e-4)


def test_the_allocator_can_be_left_as_it_comes(measure: Callable[..., dict], monkeypatch: pytest.MonkeyPatch):
    calls: list[bool] = []
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: calls.append(True))
    measure("sft")
    assert calls == [True]
    line = measure("sft", "--allocator", "system")
    assert calls == [True]
    assert line["allocator"] == "system"


def test_too_few_rows_are_refused(measure: Callable[..., dict]):
    with pytest.raises(DataError, match="4 rows; 6 are needed"):
        measure("sft", "--steps", "3")


@pytest.mark.parametrize("task", ["grpo", "rloo", "ppo"])
def test_an_online_line_has_the_peers_keys_and_samples_of_full_length(
    task: str, measure: Callable[..., dict], place: Path
):
    line = measure(task)
    assert set(line) == KEYS | CEILING_KEYS | {"breakdown", "generated_tokens_per_s", "mean_reward", "kl"}
    assert len(line["loss"]) == len(line["mean_reward"]) == len(line["kl"]) == 2
    assert sum(line["breakdown"].values()) == pytest.approx(1.0, abs=0.002)
    assert line["kl"][0] == 0.0
    tokenizer = AutoTokenizer.from_pretrained(place / "model")
    prompts = [len(tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]) for row in ROWS[:2]]
    group = 1 if task == "ppo" else 8
    assert line["tokens_per_step"][0] == group * sum(length + 6 for length in prompts)


def test_the_operations_of_an_online_step_are_those_of_sampler_reference_and_learner(
    measure: Callable[..., dict], place: Path
):
    line = measure("grpo")
    model = load_model(str(place / "model"))
    linears = sum(
        weight.numel() for name, weight in model.network.named_parameters() if name.endswith("proj.weight")
    )
    head = model.head_weight.numel()
    prompts = [
        len(model.tokenizer.hf(row["prompt"], add_special_tokens=False)["input_ids"]) for row in ROWS[:2]
    ]
    drawn = 2 * 8 * 6
    # the last token drawn goes through no layer of the sampler; what all prompts begin with runs once there
    sampled = sum(prompts) + drawn - 2 * 8
    learned = 4 * linears * (sum(prompts) + drawn) + 4 * head * drawn  # reference 1, forward and backward 3
    least = 2 * (linears * sampled + head * (drawn - 2 * 8)) + 2 * learned
    counted = line["operations_per_token"] * line["tokens_per_step"][0]
    assert 0.95 * least < counted < 1.2 * least  # attention's own products besides


def test_several_updates_a_rollout_are_not_timed_as_steps(measure: Callable[..., dict], place: Path):
    settings = json.loads((place / "settings.json").read_text(encoding="utf-8"))
    settings["ppo"]["ppo_epochs"] = 2
    other = place / "twice.json"
    other.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(SystemExit, match="each has to draw its own"):
        measure("ppo", "--settings", str(other))


def test_the_frontier_miniature_measures_what_its_optimum_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    spec = importlib.util.spec_from_file_location("frontier", SCRIPT.with_name("frontier.py"))
    assert spec is not None
    assert spec.loader is not None
    frontier = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(frontier)
    # odds 1/3 at the start, times e at beta 1: share e / (3 + e) of twelve tokens
    share = math.e / (3 + math.e)
    gold, kl = frontier.optimum(0.25, 1.0)
    assert gold == pytest.approx(12 * share)
    assert kl == pytest.approx(
        12 * (share * math.log(share / 0.25) + (1 - share) * math.log((1 - share) / 0.75))
    )
    threads = torch.get_num_threads()
    figure = tmp_path / "frontier.svg"
    few = ["--rollouts", "1", "--seeds", "1", "--samples", "2", "--figure", str(figure)]
    frontier.BETAS = (1.0,)
    frontier.main(few)
    torch.set_num_threads(threads)
    line = json.loads(capsys.readouterr().out)
    assert [point["algorithm"] for point in line["points"]] == ["DPO", "PPO", "RLOO", "GRPO"]
    assert all(point["kl"] > 0 for point in line["points"])
    assert figure.read_text(encoding="utf-8").count("<circle") == 8  # a dot a run and the legend's
