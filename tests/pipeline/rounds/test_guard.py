import json

import numpy as np
import pytest

from accord.domain import ConfigError, Prompt, RewardError, Streams
from accord.pipeline.rounds.guard import Guard, mean_and_bound
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.plan import GuardConfig, LoopConfig, ModelJudgesConfig
from accord.pipeline.rounds.running import start_loop
from accord.pipeline.workspace import Workspace
from accord.rollouts import SamplingConfig
from accord.rollouts.rewards import FunctionReward
from accord.training import OnlineConfig, OptimizationConfig, StepReport, train_rloo

PROMPTS = [Prompt.from_text(f"question {i}") for i in range(8)]
SAMPLING = SamplingConfig(max_tokens=12)


def proxy(prompts, completions):
    """Rewards the letter e and, by a fault, every exclamation mark."""
    return [answer.text.count("e") / 4 + answer.text.count("!") for answer in completions]


def gold(prompts, completions):
    """What is really wanted: the letter e, and no exclamation marks."""
    return [answer.text.count("e") / 4 - answer.text.count("!") for answer in completions]


def optimize(tiny, *, every: int, folder=None):
    guard = Guard(
        policy=tiny,
        prompts=PROMPTS * 4,
        proxy=proxy,
        evidence=gold,
        config=GuardConfig(every=every, evidence="annotators"),
        sampling=SAMPLING,
        streams=Streams(0),
        folder=folder,
    )
    config = OnlineConfig(
        prompts_per_step=8,
        group_size=4,
        kl_coefficient=0.0,
        sampling=SAMPLING,
        optimization=OptimizationConfig(steps=30, learning_rate=1e-2, warmup_steps=0, schedule="constant"),
    )
    result = train_rloo(tiny, PROMPTS, FunctionReward(proxy), config, observers=[guard], streams=Streams(5))
    return guard, result


def test_a_planted_exploit_is_stopped_before_gold_falls_and_not_without_the_guard(tiny):
    from accord.models.tiny import tiny_model

    free, ended = optimize(tiny, every=0)
    assert ended.stopped_reason == "finished"
    start = free.looks[0]
    last = free._look(30)
    # without a guard the proxy rises and what is wanted falls
    assert last.proxy > start.proxy + 1
    assert last.evidence < start.evidence - 1

    guard, ended = optimize(tiny_model(), every=2)
    assert "held-out evidence fell" in ended.stopped_reason
    kept = guard._look(99)
    best = max(look.evidence for look in guard.looks[:-1])
    assert kept.evidence == pytest.approx(best)  # the weights of the best look, on the same draws
    assert kept.evidence >= start.evidence


def test_the_bound_is_students_by_hand():
    # mean -1, spread 1 over 4: error 1/2; t(0.9, 3) = 1.6377
    differences = np.array([-2.0, -1.0, 0.0, -1.0])
    mean, upper = mean_and_bound(differences, 0.9)
    assert mean == -1.0
    assert upper == pytest.approx(-1.0 + 1.6377 * np.sqrt(2 / 3) / 2, abs=1e-4)


def test_one_prompt_never_shows_a_fall():
    assert mean_and_bound(np.array([-5.0]), 0.9) == (-5.0, float("inf"))


def test_a_resumed_run_compares_with_the_best_look_before_its_checkpoint(tiny, tmp_path):
    guard, _ = optimize(tiny, every=2, folder=tmp_path)
    assert (tmp_path / "looks.jsonl").exists()
    # on_end of a finished run removes the weights; write one more look and take it up
    guard.verdict = ""
    guard._best_scores = None
    guard._look(10)
    again = Guard(
        policy=tiny,
        prompts=PROMPTS * 4,
        proxy=proxy,
        evidence=gold,
        config=GuardConfig(every=2),
        sampling=SAMPLING,
        streams=Streams(0),
        folder=tmp_path,
    )
    again._take_up(10)
    assert [look.step for look in again.looks] == [look.step for look in guard.looks if look.step <= 10]
    assert again._best.keys() == guard._best.keys()
    assert all((again._best[name] == guard._best[name]).all() for name in again._best)


def test_looks_come_only_when_due(tiny):
    guard, _ = optimize(tiny, every=0)
    guard.on_step(StepReport(step=4, steps=30, metrics={}, tokens=1, seconds=1.0))
    assert [look.step for look in guard.looks] == [0]


def test_a_function_is_evidence_where_a_model_judges_and_is_found_beside_the_config(tiny_loop, tmp_path):
    (tmp_path / "checks.py").write_text("def score(prompts, answers):\n    return [7.0] * len(answers)\n")
    guard = GuardConfig(every=1, evidence="function", function="checks.py:score", prompts=4)
    LoopConfig(judges=ModelJudgesConfig(model="m", url="http://x/v1"), guard=guard)
    config = tiny_loop(rounds=1, guard=guard).beside(tmp_path / "loop.toml")
    assert config.guard.function == f"{(tmp_path / 'checks.py').resolve()}:score"
    run = start_loop(Workspace(tmp_path / "space"), config, command=["accord"]).run
    looks = (run.folder / "stages/r1-policy/guard/looks.jsonl").read_text().splitlines()
    assert [json.loads(line)["evidence"] for line in looks] == [7.0] * len(looks)
    assert len(looks) == 4  # before the first of three steps, and after each
    assert str((tmp_path / "checks.py").resolve()) in run.record.provenance.data
    assert "r1-evidence" not in {path.name for path in (run.folder / "stages").iterdir()}


def test_a_function_that_is_not_there_is_refused_before_anybody_judges(tiny_loop, tmp_path):
    guard = GuardConfig(every=1, evidence="function", function="checks.py:score")
    with pytest.raises(ConfigError, match=r"guard\.function: there is no checks\.py in"):
        tiny_loop(guard=guard).beside(tmp_path / "loop.toml")
    (tmp_path / "checks.py").write_text("def other(prompts, answers):\n    return []\n")
    with pytest.raises(RewardError, match="has no function 'score'; it has other"):
        run_loop(tiny_loop(guard=guard).beside(tmp_path / "loop.toml"), tmp_path / "run")
    assert not (tmp_path / "run/stages").exists()
    for wrong in ({"evidence": "function"}, {"function": "checks.py:score"}):
        with pytest.raises(ConfigError, match="goes with the function's name"):
            GuardConfig(**wrong)
