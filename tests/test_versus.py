"""The comparison beside TRL: quiet runs are kept, ratios are of medians, allocators are alike."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from accord.models.export import save_model
from accord.models.tiny import tiny_model

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "versus.py"


@pytest.fixture(scope="module")
def versus():
    spec = importlib.util.spec_from_file_location("versus_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line(seconds, *, memory=1000, foreign=0.0, loss=(2.0, 1.0), **more):
    return {
        "task": "sft", "precision": "fp32", "threads": 1, "impl": "x", "variant": "tuned", "warmup_steps": 1,
        "median_step_s": seconds, "peak_rss_mb": memory, "foreign_cpu_cores": foreign, "loss": list(loss),
        "tokens_per_step": [999, 100, 300], **more,
    }  # fmt: skip


def scripted(tmp_path, lines):
    """A command whose n-th run prints the n-th line."""
    for index, each in enumerate(lines):
        (tmp_path / f"{index}.json").write_text(json.dumps(each))
    code = (
        "import pathlib; folder = pathlib.Path(__import__('sys').argv[1]);"
        "path = min(folder.glob('*.json')); print('noise'); print(path.read_text()); path.unlink()"
    )
    return [sys.executable, "-c", code, str(tmp_path)]


def test_a_disturbed_run_is_run_again(versus, tmp_path):
    command = scripted(tmp_path, [line(9.0, foreign=0.8), line(2.0, foreign=0.05), line(3.0)])
    kept, is_disturbed = versus.quiet_runs(command, {}, repeats=2, tries=3, foreign=0.1)
    assert [each["median_step_s"] for each in kept] == [2.0, 3.0]
    assert not is_disturbed


def test_where_no_run_is_quiet_the_calmest_is_kept_and_called_disturbed(versus, tmp_path):
    command = scripted(tmp_path, [line(9.0, foreign=0.8), line(2.0, foreign=0.3)])
    kept, is_disturbed = versus.quiet_runs(command, {}, repeats=1, tries=2, foreign=0.1)
    assert [each["median_step_s"] for each in kept] == [2.0]
    assert is_disturbed


def test_a_run_that_fails_shows_what_it_said(versus):
    with pytest.raises(SystemExit, match="no such model"):
        versus.run_once([sys.executable, "-c", "raise SystemExit('no such model')"], {})


def test_ratios_by_hand(versus):
    ours = [line(1.0, memory=600), line(3.0, memory=600), line(2.0, memory=600)]
    peer = [line(8.0, loss=(2.0, 1.01))]
    row = versus.compare(ours, peer, is_disturbed=True)
    # medians 8 and 2; 200 tokens a step after the first, which is not timed
    assert row["ratio"] == 4.0
    assert (row["own_tokens_per_s"], row["peer_tokens_per_s"]) == (100.0, 25.0)
    assert row["memory_ratio"] == 0.6
    assert row["largest_loss_distance"] == pytest.approx(0.01 / 1.01)
    text = versus.table([row])
    assert "| 4.0 (disturbed) |" in text
    assert len({text_line.count("|") for text_line in text.splitlines()}) == 1


def test_both_sides_have_the_same_allocator(versus, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/mine.so")
    tuned = versus.environment(keeps_memory=True, preload="")
    assert tuned["MALLOC_MMAP_MAX_"] == "0"
    assert "LD_PRELOAD" not in tuned
    stock = versus.environment(keeps_memory=False, preload="")
    assert "MALLOC_MMAP_MAX_" not in stock
    assert "LD_PRELOAD" not in stock
    both = versus.environment(keeps_memory=True, preload="/theirs.so")
    assert both["LD_PRELOAD"] == "/theirs.so"
    assert "MALLOC_MMAP_MAX_" not in both


def test_unknown_tasks_and_missing_rows_are_refused(versus, tmp_path, capsys):
    options = ["--peer-python", "python", "--data", str(tmp_path)]
    with pytest.raises(SystemExit):
        versus.parse(["orpo", *options])
    assert "unknown task orpo" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        versus.parse(options)
    assert "pairs.jsonl is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        versus.parse(["grpo", *options])
    assert "prompts.jsonl is missing" in capsys.readouterr().err


def test_ppo_wants_the_version_that_had_it_and_gets_it_first_on_the_path(
    versus, tmp_path, monkeypatch, capsys
):
    (tmp_path / "prompts.jsonl").write_text("")
    (tmp_path / "model").mkdir()
    options = ["--peer-python", str(tmp_path / "env" / "bin" / "python"), "--data", str(tmp_path)]
    with pytest.raises(SystemExit):
        versus.parse(["ppo", *options])
    assert "env/ppo holds no trl" in capsys.readouterr().err
    (tmp_path / "env" / "ppo" / "trl").mkdir(parents=True)
    ran = []

    def run_once(command, values):
        ran.append((Path(command[1]).name, command[2], values.get("PYTHONPATH")))
        return {**line(1.0), "task": command[2]}

    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(versus, "run_once", run_once)
    versus.main(["ppo", "grpo", *options, "--model", str(tmp_path / "model")])
    assert ran == [
        ("peer.py", "ppo", str(tmp_path / "env" / "ppo")),
        ("training.py", "ppo", None),
        ("peer.py", "grpo", None),
        ("training.py", "grpo", None),
    ]
    # samples of their own: the losses 2.0 and 1.0 of both sides say nothing
    assert capsys.readouterr().out.count("| own samples |") == 2


def test_the_sampling_benchmark_measures_all_sides(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("sampling_benchmark", SCRIPT.with_name("sampling.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    save_model(tiny_model(), tmp_path / "model")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "hello"}\n{"prompt": "a b"}\n')
    options = ["--model", str(tmp_path / "model"), "--data", str(tmp_path), "--prompts", "2"]
    threads = torch.get_num_threads()
    try:
        module.main([*options, "--group", "2", "--tokens", "3", "--repeats", "1"])
    finally:
        torch.set_num_threads(threads)
    said = json.loads(capsys.readouterr().out)
    assert set(said["ratio"]) == {"ours_by_torch", "generate_bf16", "generate_autocast", "generate_fp32"}
    assert all(value > 0 for value in said["cpu_s"].values())
    with pytest.raises(SystemExit, match="holds 2 prompts; 3 are needed"):
        module.main([*options[:-1], "3"])
