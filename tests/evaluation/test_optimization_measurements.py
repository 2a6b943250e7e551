"""Runs and pools: gains by hand, the fall of gold, alarms that stay silent where nothing moved."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accord.domain.errors import DataError
from accord.evaluation.gaming_alarms import raise_alarms
from accord.evaluation.optimization_measurements import (
    OptimizationMeasurements,
    measure_pool,
    measure_run,
)
from accord.evaluation.scored_answers import (
    ScoredAnswer,
    ScoredPool,
    ScoredRun,
    read_scored_answers,
)


def build(steps: dict[int, tuple[float, float]], *, n: int = 60, seed: int = 0) -> ScoredRun:
    """step -> (proxy, gold) above each prompt's own level."""
    generator = np.random.default_rng(seed)
    level = generator.normal(0, 1, n)
    return ScoredRun(
        steps={
            step: tuple(
                ScoredAnswer(
                    prompt_id=f"q{i:03d}",
                    proxy=float(level[i] + proxy),
                    gold=float(level[i] + gold),
                    kl=step / 10,
                )
                for i in range(n)
            )
            for step, (proxy, gold) in steps.items()
        }
    )


def value(found: OptimizationMeasurements, metric: str, slice: str = "all") -> float:
    return next(
        one.estimate.value for one in found.measurements if (one.metric, one.slice) == (metric, slice)
    )


def test_gap_and_fall_by_hand():
    run = build({0: (0, 0), 50: (1, 1), 100: (3, 0.4)})
    found = measure_run(run)
    deviation = float(np.std([row.gold for row in run.steps[0]], ddof=1))
    assert value(found, "overoptimization_gap") == pytest.approx((3 - 0.4) / deviation)
    assert value(found, "gold_gain", "step=50") == pytest.approx(1 / deviation)
    # Every prompt falls by .6 from the peak, so the interval has no width.
    assert value(found, "gold_drop_from_peak") == pytest.approx(0.6)
    rising = measure_run(build({0: (0, 0), 50: (1, 1), 100: (2, 2)}))
    assert value(rising, "gold_drop_from_peak") == 0.0
    assert "3 distinct distances" in found.not_measured["gao_peak_kl"]


def test_the_fit_finds_the_form_that_made_the_points():
    # R(d) = d (2 - ln d), alpha 2, beta 1: peak at d = e^(2 - 1).
    steps = {}
    for kl in (0, 1, 4, 9, 16, 25):
        d = math.sqrt(kl)
        steps[kl * 10] = (0.0, d * (2 - math.log(d)) if d else 0.0)
    run = build({step: (float(step), gold) for step, (_, gold) in steps.items()})
    deviation = float(np.std([row.gold for row in run.steps[0]], ddof=1))
    found = measure_run(run)
    assert value(found, "gao_alpha", "form=rl") == pytest.approx(2 / deviation)
    assert value(found, "gao_beta", "form=rl") == pytest.approx(1 / deviation)
    assert value(found, "gao_peak_kl", "form=rl") == pytest.approx(math.e**2)
    assert [curve.name for curve in found.curves] == ["gold", "proxy"]


def test_best_of_n_starts_at_nothing_and_an_ensemble_leaves_out_one_members_error():
    generator = np.random.default_rng(1)
    pools = {}
    for i in range(30):
        gold = generator.normal(0, 1, 32)
        members = np.stack([gold + generator.normal(0, 0.5, 32) for _ in range(3)])
        fooled = generator.random(32) < 0.06
        members[0] += 6 * fooled
        gold = gold - 4 * fooled
        pools[f"q{i}"] = tuple(
            ScoredAnswer(
                prompt_id=f"q{i}",
                proxy=float(members[0, k]),
                gold=float(gold[k]),
                members=tuple(members[:, k].tolist()),
            )
            for k in range(32)
        )
    found = measure_pool(ScoredPool(pools=pools))
    assert value(found, "gold_gain", "n=1") == 0.0
    assert value(found, "gold_gain", "n=32,ensemble=worst_case") > value(found, "gold_gain", "n=32") + 1
    assert (
        value(found, "overoptimization_gap") > value(found, "overoptimization_gap", "ensemble=worst_case") + 1
    )


def with_members(run: ScoredRun, spread: float, *, seed: int) -> ScoredRun:
    generator = np.random.default_rng(seed)
    steps = {}
    for place, (step, rows) in enumerate(run.steps.items()):
        wide = spread if place else 1.0
        steps[step] = tuple(
            ScoredAnswer(
                prompt_id=row.prompt_id,
                proxy=row.proxy,
                gold=row.gold,
                length=20.0 + float(generator.normal()),
                entropy=2.0 + 0.1 * float(generator.normal()),
                members=tuple((row.proxy + wide * generator.normal(0, 1, 3)).tolist()),
            )
            for row in rows
        )
    return ScoredRun(steps=steps)


def test_alarms_are_raised_where_members_part_and_seldom_where_nothing_moved():
    parted = raise_alarms(with_members(build({0: (0, 0), 9: (0, 0)}), 6.0, seed=3))
    assert "disagreement" in [one.name for one in parted if one.is_raised]
    calm = [
        any(
            one.is_raised
            for one in raise_alarms(with_members(build({0: (0, 0), 9: (0, 0)}, n=24, seed=k), 1.0, seed=k))
        )
        for k in range(60)
    ]
    # At most 1 of 100 is promised; 4 or more of 60 would have a probability under .003.
    assert sum(calm) <= 3


def test_kl_that_grows_faster_at_the_end_is_an_alarm():
    generator = np.random.default_rng(0)
    steps = {
        step: tuple(
            ScoredAnswer(
                prompt_id=f"q{i}", proxy=0.0, gold=0.0, logprobs=(kl + float(generator.normal(0, 0.2)), 0.0)
            )
            for i in range(30)
        )
        for step, kl in ((0, 0.0), (50, 1.0), (100, 6.0))
    }
    (alarm,) = raise_alarms(ScoredRun(steps=steps))
    assert (alarm.name, alarm.is_raised) == ("kl_acceleration", True)
    assert alarm.change == pytest.approx(4 / 50, abs=0.01)


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"prompt_id": "a", "proxy": 1, "gold": "nan", "step": 0}], "finite"),
        ([{"prompt_id": "a", "proxy": 1, "gold": 1, "step": 0}], "one step"),
        ([{"prompt_id": "a", "proxy": 1, "gold": 1, "step": "x"}], "whole number"),
        (
            [
                {"prompt_id": "a", "proxy": 1, "gold": 1, "step": 0},
                {"prompt_id": "b", "proxy": 1, "gold": 1, "step": 1},
            ],
            "other prompts",
        ),
        ([{"prompt_id": "a", "proxy": 1}], "expected rows"),
        (
            [
                {"prompt_id": "a", "proxy": 1, "gold": 1, "members": [1]},
                {"prompt_id": "a", "proxy": 1, "gold": 1},
            ],
            "members",
        ),
    ],
)
def test_bad_runs_are_refused(tmp_path: Path, rows: list[dict], words: str):
    with pytest.raises(DataError, match=words):
        read_scored_answers(write(tmp_path / "r.jsonl", rows))


def test_rows_without_a_step_are_a_pool(tmp_path: Path):
    rows = [{"prompt_id": "a", "proxy": k, "gold": k} for k in range(4)]
    found = read_scored_answers(write(tmp_path / "p.jsonl", rows))
    assert isinstance(found, ScoredPool)
    assert len(found.pools["a"]) == 4


def retold(run: ScoredRun, step: int, count: int, text: str, entropy: float) -> ScoredRun:
    """`count` answers of a step say `text` at that entropy; all others a sentence of their own at 2 nats."""
    steps = {
        at: tuple(
            replace(
                row,
                text=text if at == step and i < count else f"answer {i} is word{i} and nothing else",
                entropy=entropy if at == step and i < count else 2.0,
            )
            for i, row in enumerate(rows)
        )
        for at, rows in run.steps.items()
    }
    return ScoredRun(steps=steps)


def test_degeneracy_since_the_start_by_hand():
    run = retold(build({0: (0, 0), 9: (1, 1)}), 9, 15, "I cannot help.\n- a\n- b", 0.5)
    found = measure_run(run)
    # 15 of 60 answers refuse, take the form of a list, and lose 1.5 nats
    assert value(found, "refusal_phrase_share", "run") == pytest.approx(0.25)
    assert value(found, "format_switch_share", "run") == pytest.approx(0.25)
    assert value(found, "language_switch_share", "run") == 0.0
    assert value(found, "token_entropy", "run") == pytest.approx(-0.375)
    assert "self_bleu" not in found.not_measured
    assert "answers have no text" in measure_run(build({0: (0, 0), 9: (1, 1)})).not_measured["self_bleu, run"]


def with_features(run: ScoredRun, shift: float, *, seed: int) -> ScoredRun:
    """Features of three numbers; a fifth of the last step's answers lie `shift` deviations away, together."""
    generator = np.random.default_rng(seed)
    last = max(run.steps)
    return ScoredRun(
        steps={
            step: tuple(
                replace(
                    row,
                    features=tuple(
                        (generator.normal(0, 1, 3) + shift * (step == last and i % 5 == 0)).tolist()
                    ),
                )
                for i, row in enumerate(rows)
            )
            for step, rows in run.steps.items()
        }
    )


def test_a_cluster_of_odd_features_is_an_alarm_and_noise_is_not():
    run = build({0: (0, 0), 9: (0, 0)})
    (far,) = raise_alarms(with_features(run, 8.0, seed=0))
    assert (far.name, far.is_raised) == ("feature_outliers", True)
    # The fifth that moved, and of the others the few beyond the edge, the largest of 60 held-out distances.
    assert 0.2 <= far.change <= 0.3
    calm = [raise_alarms(with_features(run, 0.0, seed=k))[0].is_raised for k in range(1, 41)]
    assert sum(calm) <= 2
    assert raise_alarms(with_features(build({0: (0, 0), 9: (0, 0)}, n=10), 8.0, seed=0)) == ()
