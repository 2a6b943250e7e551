"""The benchmark of weights runs, and weights help where something moved or is unlike."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "loop_weights.py"


@pytest.fixture
def weights(monkeypatch):
    """The benchmark as a module; it reads its neighbors."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("loop_weights_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_group_weights_serve_the_small_panel_and_age_the_new_taste(weights):
    panels = weights.compare_panels(3, 400, 0.15)
    for mode in ("balanced", "worst"):
        value, low, _ = panels["less_none"][mode]["worst_panel"]
        assert low > 0
        assert value > 0.05
        assert panels["less_none"][mode]["as_pairs_come"][0] < 0  # what the large panel pays
    moved = weights.compare_ages(6, "taste")
    assert moved["less_alike"]["half-life 1"][1] > 0
    assert moved["less_alike"]["half-drift 1"] == [0, 0, 0]  # no answer moved
    steady = weights.compare_ages(6, "nothing")
    assert steady["less_alike"]["half-life 1"][0] < 0
