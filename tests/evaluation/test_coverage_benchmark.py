"""The coverage benchmark runs, holds what it says, and its control does not."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    yield spec.loader.exec_module(module) or module
    del sys.modules[spec.name], sys.modules["coverage_rewards"], sys.modules["coverage_joined"]
    sys.path.remove(str(SCRIPT.parent))


def test_one_json_line_comes_out(benchmark, capsys):
    names = ["win_rate_ties", "judge_corrected", "reward_shift", "common_opening", "judge_errors_known"]
    names += ["rank_correlation_of_labels", "agreement_of_batches", "gap_of_a_pool", "gap_of_worst_group"]
    benchmark.main(["--draws", "2", "--only", *names])
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    found = json.loads(printed)["scenarios"]
    assert sorted(found) == sorted(names)
    assert all(0 <= one["coverage"] <= 1 for one in found.values())


def test_shares_are_covered(benchmark):
    # 1,500 draws: .95 has a standard error of .0056
    for scenario in (benchmark.win_rate_of_single_votes, benchmark.difference_of_shares):
        assert benchmark.measure(scenario, 1500, 7)["coverage"] == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
def test_every_scenario_runs(benchmark, capsys):
    benchmark.main(["--draws", "2"])
    found = json.loads(capsys.readouterr().out)["scenarios"]
    assert len(found) == 23 + len(benchmark.SCENARIOS) + len(benchmark.JOINED)
    assert all(0 <= one["coverage"] <= 1 for one in found.values())


@pytest.mark.slow
def test_clustered_intervals_cover_and_the_control_does_not(benchmark):
    # 200 draws: .95 has a standard error of .015
    for scenario in (benchmark.win_rate_with_ties, benchmark.difference_by_cluster):
        found = benchmark.measure(scenario, 200, 8)
        assert found["coverage"] == pytest.approx(0.95, abs=0.04)
        assert found["without_clusters"] < 0.92
