"""The miniature of failing reward models shows what the literature says, in one JSON line."""

import importlib.util
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reward_failures.py"


@pytest.fixture(scope="module")
def module():
    sys.path.insert(0, str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("reward_failures_miniature", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name], sys.modules["overoptimization"]
    sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def found(module):
    options = module.Options(prompts=60, pool=256, seeds=2, heads=8)
    return {
        "data": module.sweep_data(options),
        "length": module.plant_length(options),
        "averages": module.average_heads(options),
        "spread": module.spread_heads(options),
    }


def test_it_is_plain_json(found):
    assert json.loads(json.dumps(found)) == found


def test_more_pairs_move_gold_up_and_its_peak_right(found):
    rows = found["data"]
    assert [row["pairs"] for row in rows] == [500, 4_000, 16_000, 64_000]
    for few, many in pairwise(rows):
        assert many["gold_gain_at_largest_n"][0] > few["gold_gain_at_largest_n"][0]
        assert many["gap_at_largest_n"][0] < few["gap_at_largest_n"][0]
        assert many["peak_n"] >= few["peak_n"]
    assert rows[0]["peak_n"] < rows[0]["ns"][-1] == rows[-1]["peak_n"]
    assert rows[0]["fit"]["peak_distance"][2] < rows[-1]["fit"]["peak_distance"][1]


def test_what_holds_at_every_size(found):
    for row in found["data"]:
        assert row["proxy_is_monotone"]
        assert row["gold_gain"][0] == 0.0
        assert row["fit"]["r_squared"] > 0.96
        for n, (_, low, _) in zip(row["ns"], row["wins"], strict=True):
            # 36 bounds are looked at, each missed in 2.5 % of cases: by no more than a hundredth
            assert low <= n / (n + 1) + 0.01


def test_length_is_much_of_the_gain_until_it_has_a_head_of_its_own(found):
    rows = found["length"]
    assert rows["longer_wins"] == pytest.approx(0.65, abs=0.01)
    assert rows["plain"]["non_length_gain"][2] < 0.65
    # of a linear reward the part beyond length is one less the square of its correlation with it
    square = rows["plain"]["length_correlation"][0] ** 2
    assert rows["plain"]["non_length_gain"][0] == pytest.approx(1 - square, abs=0.06)
    assert rows["length_alone"]["share_of_plain_gain"] > 0.5
    assert abs(rows["two_heads"]["length_correlation"][0]) < 0.1
    assert rows["two_heads"]["non_length_gain"][0] > 0.95
    assert rows["two_heads"]["gold_gain"] > rows["plain"]["gold_gain"] + 0.3
    assert rows["two_heads"]["accuracy_on_gold"] > rows["plain"]["accuracy_on_gold"] + 0.1


def test_averaged_weights_are_righter_and_keep_fewer_flipped_labels(found):
    assert found["averages"]["accuracy"]["difference"][1] > 0
    assert found["averages"]["memorized"]["difference"][2] < 0


def test_equal_accuracy_is_not_equal_gold(found):
    low, high = found["spread"]["accuracy"]
    assert high - low < 0.03
    assert found["spread"]["gold_spread"] > 2 * found["spread"]["standard_error"]


@pytest.mark.slow
def test_shifted_answers_cost_more_than_shifted_prompts(module):
    rows = module.shift_pairs(module.Options(seeds=2))
    assert json.loads(json.dumps(rows)) == rows
    assert rows["none"]["accuracy_lost"] == [0.0, 0.0, 0.0]
    assert rows["prompts"]["accuracy_lost"][1] > 0
    assert rows["accuracy_worse_by_answers_than_prompts"][1] > 0
    assert rows["calibration_error_worse_by_answers_than_prompts"][1] > 0
    assert rows["both"]["accuracy_lost"][0] > rows["answers"]["accuracy_lost"][0]


def test_features_tell_shifted_pairs_and_margins_do_not(module):
    rows = module.measure_shifts(np.random.default_rng(0))
    assert rows["none"]["auroc_by_distance"] == 0.5
    assert rows["answers"]["auroc_by_distance"] > 0.65
    assert rows["both"]["auroc_by_distance"] > rows["prompts"]["auroc_by_distance"] + 0.05
    assert abs(rows["answers"]["auroc_by_margin"] - 0.5) < 0.1
    assert rows["both"]["accuracy"] < rows["none"]["accuracy"] < 1.0
