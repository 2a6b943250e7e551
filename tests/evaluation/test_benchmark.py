"""The over-optimization miniature finds what it plants and nothing where nothing is planted."""

import importlib.util
import json
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import norm

from accord.evaluation.overoptimization import Gaming

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "overoptimization.py"


@pytest.fixture(scope="module")
def miniature():
    spec = importlib.util.spec_from_file_location("overoptimization_miniature", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    yield spec.loader.exec_module(module) or module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def worlds(miniature):
    options = miniature.Miniature(prompts=60, pool=512, seed=1)
    return {world: miniature.run_world(world, options) for world in miniature.WORLDS}


def gold_rows(curves):
    """Mean over heads of gold at each n, shape [n, prompt]."""
    return np.mean([[point.gold_rows for point in curve.points] for curve in curves], axis=0)


def test_gold_turns_over_where_an_exploit_is_planted(worlds):
    for world in ("token", "length"):
        for curve in worlds[world]["single"]:
            assert curve.verdict.gaming is Gaming.STARTED
            assert 1 < curve.verdict.peak_step < 256
            assert curve.points[-1].gold.high < curve.verdict.peak.gold.low


def test_gold_does_not_turn_over_in_the_control(worlds):
    for curves in worlds["control"].values():
        for curve in curves:
            assert curve.verdict.gaming is Gaming.NOT_SEEN
            assert curve.verdict.peak_step == 256


def test_proxy_is_monotone_for_every_prompt(worlds):
    for world in worlds.values():
        for curve in (curve for curves in world.values() for curve in curves):
            assert all((b.proxy_rows >= a.proxy_rows - 1e-9).all() for a, b in pairwise(curve.points))
            assert curve.points[-1].proxy.low > curve.points[0].proxy.high


def test_gold_gain_at_one_is_zero_within_its_error(miniature):
    # pool and reference are drawn apart: z = gain / sem over 60 seeds has mean 0 and spread 1,
    # to within three standard errors, 3 / sqrt 60 and 3 / sqrt 120
    for world in miniature.WORLDS:
        scores = []
        for seed in range(60):
            generator = np.random.default_rng([seed, 7])
            taste = np.full(miniature.QUALITIES, miniature.QUALITIES**-0.5)
            pool, fresh = (
                miniature.score_gold(miniature.draw_answers(generator, world, 64 * 40), taste).reshape(40, 64)
                for _ in range(2)
            )
            point = miniature.measure_best_of_n(
                list(pool), list(pool), [1], reference_gold=fresh.mean(axis=1)
            )
            gains = point[0].gold_rows - fresh.mean(axis=1)
            scores.append(gains.mean() / (gains.std(ddof=1) / np.sqrt(len(gains))))
        assert abs(np.mean(scores)) < 0.39, world
        assert np.std(scores) == pytest.approx(1.0, abs=0.28), world


def test_the_gain_at_one_of_three_worlds_is_told_with_their_number(miniature, worlds):
    adjusted = miniature.holm_of_starts(worlds)
    points = [worlds[world]["single"][0].points[0].gold_gain for world in miniature.WORLDS]
    scores = [abs(one.value) / ((one.high - one.low) / 3.92) for one in points]
    # the largest score's p-value is counted three times over
    assert min(adjusted) == pytest.approx(min(1.0, 3 * 2 * norm.sf(max(scores))), abs=1e-3)
    assert min(adjusted) > 0.05


def test_intervals_of_the_gain_at_one_hold_zero_as_often_as_they_say(miniature):
    found = miniature.measure_starts(miniature.Miniature(prompts=100, pool=16, seed=3), 60)
    for world in miniature.WORLDS:
        # 60 seeds: .95 has a standard error of .028
        assert found[world]["holds_zero"] >= 0.95 - 3 * 0.028, world
        assert abs(found[world]["mean_score"]) < 0.39, world


def test_ensemble_helps_errors_that_are_each_heads_own(worlds):
    single, worst = worlds["token"]["single"], worlds["token"]["worst_case"]
    gain = gold_rows(worst)[-1] - gold_rows(single)[-1]
    assert gain.mean() > 3.0 * gain.std() / np.sqrt(len(gain))
    assert worst[0].verdict.gaming is Gaming.NOT_SEEN
    mean = gold_rows(worlds["token"]["mean"])[-1] - gold_rows(single)[-1]
    assert mean.mean() > 3.0 * mean.std() / np.sqrt(len(mean))


def test_ensemble_does_not_help_an_error_that_heads_share(worlds):
    single = gold_rows(worlds["length"]["single"]).mean(axis=1)
    loss = single.max() - single[-1]
    for rule in ("mean", "worst_case"):
        curve = worlds["length"][rule][0]
        assert curve.verdict.gaming is Gaming.STARTED
        assert (curve.points[-1].gold.value - single[-1]) / loss < 0.1


def test_one_json_line_and_a_picture_come_out(miniature, capsys, tmp_path):
    figure = tmp_path / "worlds.svg"
    small = ["--prompts", "12", "--pool", "64", "--members", "2", "--pairs", "100"]
    miniature.main([*small, "--figure", str(figure)])
    root = ElementTree.fromstring(figure.read_text())
    # three worlds of three lines, and the three lines of the legend
    assert len(root.findall(".//{*}path")) == 12
    printed = capsys.readouterr().out
    line = json.loads(printed)
    assert printed.count("\n") == 1
    assert set(line["worlds"]) == set(line["gold_gain_at_1_p_holm"]) == set(miniature.WORLDS)
    assert line["worlds"]["control"]["ns"] == [1, 2, 4, 8, 16, 32]
    assert len(line["worlds"]["control"]["gold_gain"]) == 6
