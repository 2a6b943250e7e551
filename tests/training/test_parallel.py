"""Two ranks on this machine: the same weights as one, whoever writes, and what they agree on."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from accord.domain import ConfigError, Streams, TrainingError
from accord.models.tiny import tiny_model
from accord.training import LossPart, OptimizationConfig, SftConfig, train_sft
from accord.training.accumulation import Accumulated, accumulate
from accord.training.checkpoint import latest_checkpoint
from accord.training.parallel import Ranks, joined_ranks
from accord.training.sharding import ShardedLayers

WORKER = Path(__file__).parent / "parallel_worker.py"


def launch(tmp_path, what, *, world=2, name="run"):
    """Run the worker under torchrun; the finished process. Each launch meets at a free port of its own."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(world), "--log-dir", str(tmp_path / "logs"), str(WORKER)),
        *(what, str(tmp_path / name)),
    ]
    source = Path(__file__).parents[2] / "src"
    settings = {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False
    )
    return done


@pytest.fixture(scope="module")
def worker():
    """The worker's module, for the rows and settings it trains with."""
    spec = importlib.util.spec_from_file_location("parallel_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """SFT, reward and DPO by one rank and by two, all in one launch each: starting takes longest."""
    place = tmp_path_factory.mktemp("ranks")
    for world in (1, 2):
        done = launch(place, "all", world=world, name=f"by{world}")
        assert done.returncode == 0, done.stderr[-4000:]
    return place


@pytest.mark.parametrize("run", ["sft", "reward", "dpo", "sharded_sft", "sharded_reward", "sharded_dpo"])
def test_trap_17_two_ranks_equal_one_to_the_rounding(finished, run):
    stage = run.removeprefix("sharded_")
    one, two = (finished / f"by{world}" / run for world in (1, 2))
    rows = [
        [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        for place in (one, two)
    ]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
    # Split layers are not fused, so they round differently: a tie at the start may fall to either side, and
    # Adam makes of a gradient that is rounding alone up to a step of the rate, 1e-3.
    is_split = run.startswith("sharded")
    unsure, slack = ({"dpo/accuracy", "dpo/displaced"}, 1e-4) if is_split else (set(), 1e-6)
    for own, other in zip(*rows, strict=True):
        for name, value in own["metrics"].items():
            if name.startswith((f"{stage}/", "optim/")) and not (name in unsure and own["step"] == 1):
                assert other["metrics"][name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    for name, weight in weights_of(one).items():
        torch.testing.assert_close(weights_of(two)[name], weight, rtol=1e-4, atol=slack, msg=name)
    start = weights_of(finished / "by1" / "start")
    assert any(
        not torch.equal(weight, start[name]) for name, weight in weights_of(finished / "by1" / "sft").items()
    )


def test_trap_17_ppo_on_two_ranks_equals_one_controller_critic_and_all(finished):
    # two updates of minibatches an epoch; only rank 0 is asked for rewards, and counts are the rollout's
    one, two = (finished / f"by{world}" / "ppo" for world in (1, 2))
    rows = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (one, two)
    ]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]] == [1, 2, 3, 4, 5, 6]
    for own, other in zip(*rows, strict=True):
        assert own["metrics"].keys() == other["metrics"].keys()
        for name, value in own["metrics"].items():
            if not name.startswith(("throughput/", "time/", "memory/", "sampler/tokens")):
                assert other["metrics"][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    for name, weight in weights_of(one).items():
        torch.testing.assert_close(weights_of(two)[name], weight, rtol=1e-3, atol=1e-5, msg=name)


def test_sharded_ranks_learn_what_whole_ones_learn_and_leave_the_model_whole(finished):
    whole = weights_of(finished / "by1" / "sft")
    for run in ("sharded_sft", "sharded_sft_left"):
        for name, weight in weights_of(finished / "by2" / run).items():
            torch.testing.assert_close(weight, whole[name], rtol=1e-4, atol=1e-4, msg=name)


def test_trap_46_a_sharded_checkpoint_is_resumed_by_another_number_of_ranks(finished, worker):
    sft = SftConfig(batch_size=5, optimization=worker.OPTIMIZATION)
    model, place = tiny_model(), finished / "by2" / "moved"
    checkpoint = latest_checkpoint(place / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.name == "step-00000003"
    train_sft(model, worker.demonstrations(), sft, run_dir=place, resume=True, streams=Streams(5))
    for name, weight in weights_of(finished / "by1" / "sft").items():
        torch.testing.assert_close(model.network.state_dict()[name], weight, rtol=1e-4, atol=1e-4, msg=name)


def test_what_cannot_be_sharded_is_refused():
    with pytest.raises(ConfigError, match="splits it over the ranks already"):
        OptimizationConfig(parallel="shard", optimizer_state="int8")
    with pytest.raises(TrainingError, match="needs a language or reward model"):
        ShardedLayers(None)


def test_idle_ranks_run_as_many_rounds_as_the_busiest():
    for count in range(1, 8):
        rounds = [
            len(Ranks(i, 3).part(range(count))) + Ranks(i, 3).idle_rounds(range(count)) for i in range(3)
        ]
        assert rounds == [-(-count // 3)] * 3


def test_idle_micro_batches_leave_no_gradient_and_an_empty_one_is_refused(make_task):
    task = make_task()
    update = task.next_update(0)
    options = {"precision": "fp32", "device": torch.device("cpu")}
    accumulate(task, update, **options)
    expected = task.weight.grad.clone()
    task.weight.grad = None
    accumulate(task, update, idle=update.micro_batches, **options)
    assert torch.equal(task.weight.grad, expected)

    class Empty(type(task)):
        def loss(self, micro_batch):
            return LossPart(torch.zeros(()))

    with pytest.raises(TrainingError, match="nothing to learn from"):
        accumulate(Empty(task.data), update, runs_alike=True, **options)


def test_trap_46_two_ranks_stopped_and_resumed_equal_two_uninterrupted(finished):
    whole, parts = (weights_of(finished / "by2" / run) for run in ("sft", "resumed"))
    for name, weight in whole.items():
        assert torch.equal(parts[name], weight), name


def test_only_rank_0_writes_and_reports(finished):
    said = json.loads((finished / "by2" / "said.json").read_text())
    assert said == {"rank_0_steps": 4, "rank_1_steps": 0}
    lines = (finished / "by2" / "sft" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if json.loads(line)["kind"] == "step"]
    assert steps == [1, 2, 3, 4]


def test_what_rank_0_cannot_write_fails_on_all_and_nan_on_one_is_nan_on_all(finished):
    facts = json.loads((finished / "by2" / "facts.json").read_text())
    assert facts["error"] == "rank 0 could not write: no room"
    assert facts["loss_is_nan"]
    assert facts["metrics"] == {"a": 1.0, "b": 3.0}
    assert facts["gradients"] == [[3.0, 3.0], None, [2.0]]
    assert facts["any"] is True


def test_alone_nothing_is_sent():
    ranks = Ranks.current()
    assert (ranks.rank, ranks.world, ranks.is_first) == (0, 1, True)
    learned = Accumulated(1.0, {"a": 2.0})
    assert ranks.sum_numbers(learned) is learned
    assert ranks.part([1, 2, 3]) == [1, 2, 3]
    assert ranks.from_first("x") == "x"
    with pytest.raises(TrainingError, match="mine"), ranks.first_writes():
        raise TrainingError("mine")


def test_micro_batches_are_dealt_out_once_each():
    dealt = [list(Ranks(rank, 3).part(list(range(7)))) for rank in range(3)]
    assert sorted(each for part in dealt for each in part) == list(range(7))
    assert Ranks(2, 3).part([1, 2]) == []


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="RANK"), joined_ranks():
        pass


@pytest.mark.slow
def test_a_job_under_torchrun_has_one_record_and_says_so_once(tmp_path):
    rows = [{"prompt": f"q{i}", "completion": "a" * (1 + i)} for i in range(8)]
    path = tmp_path / "demos.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "accord", "train", "sft", "--workspace", str(tmp_path / "space"), "--json"),
        *("--set", f'demonstrations=["{path}"]', "--set", "model.name=tiny", "--set", "sft.batch_size=4"),
    ]
    settings = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout)["status"] == "done"
    assert len(list((tmp_path / "space").glob("**/metrics.jsonl"))) == 1
