"""Evaluation inside a real training run writes records that the gates read."""

import json
from pathlib import Path

import pytest
import torch

from accord.domain import ConfigError, Demonstration, Prompt, Streams
from accord.evaluation.comparison import ScoreJudge
from accord.evaluation.gates.results_file import read_measurements
from accord.models import frozen_copy, load_model
from accord.pipeline.training_probe import MeasurementProbe, ProbeConfig
from accord.rollouts import SamplingConfig
from accord.training import OptimizationConfig, RunStart, SftConfig, train_sft

PROMPTS = [Prompt.from_text(f"Count to {i}") for i in range(12)]
JUDGE = ScoreJudge(lambda prompts, rows: [float(len(row.text)) for row in rows], "length")


def make_probe(folder: Path, config: ProbeConfig, *, judge: ScoreJudge | None = JUDGE) -> MeasurementProbe:
    policy = load_model("tiny", device="cpu")
    return MeasurementProbe(policy, frozen_copy(policy), PROMPTS, folder=folder, config=config, judge=judge)


def test_a_run_writes_one_file_a_chosen_step(tmp_path: Path):
    config = ProbeConfig(every=2, steps=(3,), sampling=SamplingConfig(max_tokens=8))
    probe = make_probe(tmp_path / "probe", config)
    rows = [Demonstration(prompt=prompt, completion="one two three") for prompt in PROMPTS]
    settings = SftConfig(
        batch_size=4, optimization=OptimizationConfig(learning_rate=3e-3, steps=5, checkpoint_every=5)
    )
    train_sft(probe.policy, rows, settings, run_dir=tmp_path / "run", observers=[probe], streams=Streams(0))
    files = sorted((tmp_path / "probe").iterdir())
    assert [file.name for file in files] == [f"step-{step:06d}.json" for step in (2, 3, 4, 5)]
    first, last = (read_measurements(files[i]) for i in (0, -1))
    kl = {one.slice: one.estimate.value for one in first if one.metric == "kl_divergence"}
    later = {one.slice: one.estimate.value for one in last if one.metric == "kl_divergence"}
    assert later["all"] > kl["all"]
    assert {one.facts["step"] for one in last} == {5}
    assert any(one.metric == "win_rate" for one in last)


def test_the_start_against_itself_has_not_moved(tmp_path: Path):
    probe = make_probe(tmp_path, ProbeConfig(sampling=SamplingConfig(max_tokens=8)))
    found = probe.examine()
    rate, kl = found.find("win_rate"), found.find("kl_divergence")
    assert rate is not None
    assert kl is not None
    assert (rate.estimate.value, kl.estimate.value) == (0.5, 0.0)


def test_examining_changes_neither_weights_nor_draws(tmp_path: Path):
    probe = make_probe(tmp_path, ProbeConfig(sampling=SamplingConfig(max_tokens=8)), judge=None)
    before, state = probe.policy.version, torch.random.get_rng_state()
    assert "win_rate" in probe.examine().not_measured
    assert probe.policy.version == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path: Path):
    for step in (2, 4, 6):
        (tmp_path / f"step-{step:06d}.json").write_text("{}")
    probe = make_probe(tmp_path, ProbeConfig(every=2, sampling=SamplingConfig(max_tokens=4)))
    probe.on_start(RunStart(name="sft", steps=8, first_step=4))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["step-000002.json", "step-000004.json"]


def test_when_it_is_due():
    config = ProbeConfig(every=10, steps=(3,))
    assert [step for step in range(1, 26) if config.is_due(step, last=25)] == [3, 10, 20, 25]
    assert not any(ProbeConfig(at_end=False).is_due(step, last=5) for step in range(1, 6))
    with pytest.raises(ConfigError, match=r"every is -1.*\n.*steps are \[0\]"):
        ProbeConfig(every=-1, steps=(0,))


def test_numbers_without_an_interval_are_null(tmp_path: Path):
    config = ProbeConfig(steps=(1,), sampling=SamplingConfig(max_tokens=8))
    probe = make_probe(tmp_path, config)
    probe.prompts = (PROMPTS[0],)
    from accord.training import StepReport

    probe.on_step(StepReport(step=1, steps=9, metrics={}, tokens=1, seconds=0.1))
    text = (tmp_path / "step-000001.json").read_text()
    assert "NaN" not in text
    rows = json.loads(text)["measurements"]
    assert next(one for one in rows if one["metric"] == "kl_divergence")["estimate"]["low"] is None


def test_a_job_examines_its_policy_by_config(tmp_path: Path):
    from accord.pipeline.configuration import load_config
    from accord.pipeline.jobs import KINDS, start_job
    from accord.pipeline.workspace import Workspace

    (tmp_path / "demos.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Say {i}", "completion": "one two"}) + "\n" for i in range(8))
    )
    (tmp_path / "asked.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Count {i}"}) + "\n" for i in range(9))
    )
    (tmp_path / "judge.py").write_text(
        "def score(prompts, rows):\n    return [float(len(r.text)) for r in rows]\n"
    )
    overrides = [
        f'demonstrations=["{tmp_path}/demos.jsonl"]',
        'model.name="tiny"',
        "sft.batch_size=4",
        "sft.optimization.steps=4",
        f'probe.prompts=["{tmp_path}/asked.jsonl"]',
        f'probe.judge="{tmp_path}/judge.py:score"',
        "probe.every=2",
        "probe.limit=6",
        "probe.sampling.max_tokens=6",
    ]
    job = load_config(KINDS["sft"], None, overrides)
    run = start_job(Workspace(tmp_path / "work"), "sft", job)
    files = sorted((run.folder / "probe").glob("step-*.json"))
    assert [file.name for file in files] == ["step-000002.json", "step-000004.json"]
    found = json.loads(files[-1].read_text())
    metrics = {one["metric"] for one in found["measurements"]}
    assert {"win_rate", "kl_divergence", "repeated_4grams", "judge_score"} <= metrics
    assert len(found["evidence"]["votes"]["means"]) == 6
    plain = load_config(KINDS["sft"], None, overrides[:4])
    other = start_job(Workspace(tmp_path / "work"), "sft", plain)
    assert not (other.folder / "probe").exists()
