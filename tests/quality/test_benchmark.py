"""The benchmark of the quality engine: its line is whole, and what it times is right."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark_module():
    return load("quality")


@pytest.mark.parametrize(
    ("task", "keys"),
    [
        (
            "dawid_skene",
            {"fit_s", "table_s", "with_table_s", "extra_mb", "read_labels_10_times_s", "accuracy"},
        ),
        ("alpha", {"bootstrap_s", "point_s", "alpha"}),
        ("noisy_bt", {"fit_s", "rank_correlation"}),
        ("online", {"update_s", "update_p99_s"}),
    ],
)
def test_line_is_whole(benchmark_module, capsys, task, keys):
    benchmark_module.main([task, "--scale", "0.002", "--repeats", "1"])
    line = json.loads(capsys.readouterr().out)
    assert line["task"] == task
    assert set(line["ours"]) == keys


def test_no_annotator_labels_an_item_twice(benchmark_module):
    arrays = benchmark_module.simulate("dawid_skene", 0.002)
    assert len(set(zip(arrays["item"].tolist(), arrays["who"].tolist(), strict=True))) == len(arrays["item"])


def test_ratio_is_of_the_other_side_to_ours(benchmark_module):
    ours = {"fit_s": 2.0, "extra_mb": 4.0, "accuracy": 0.9, "table_s": 1.0}
    assert benchmark_module.ratios(ours, {"fit_s": 5.0, "extra_mb": 40.0, "accuracy": 0.9}) == {
        "fit_s": 2.5,
        "extra_mb": 10.0,
    }


def test_false_alarms_are_counted_against_their_promise():
    module = load("quality_alarms")
    module.STUDIES["loud"] = lambda seed: {"loud": (True, 1, 0.05), "quiet": (seed == 0, 1, 0.05)}
    found = module.measure("loud", range(20))
    assert (found["loud"]["alarms"], found["loud"]["chances"], found["loud"]["within"]) == (20, 20, False)
    assert (found["quiet"]["rate"], found["quiet"]["within"]) == (0.05, True)


@pytest.mark.parametrize("study", ["drift", "channels", "honest-crowd", "camps", "leaks", "groups"])
def test_every_study_of_alarms_counts_chances(study):
    for row in load("quality_alarms").measure(study, range(1)).values():
        assert row["chances"] >= row["alarms"] >= 0
        assert 0 < row["promised"] <= 0.05


def test_limits_are_chosen_on_the_other_crowds_and_the_most_cautious_of_those_that_are_level():
    module = load("quality_choice")
    crowds = [SimpleNamespace(name=name) for name in "ab"]
    careful, bold, best = (
        module.ChoiceConfig(alarming_gain=alarm, most_discount=most)
        for alarm, most in ((0.02, 0.1), (0.05, 0.1), (0.05, 0.2))
    )
    losses = {"a": (0.501, 0.501, 0.5), "b": (0.9, 0.3, 0.3)}
    tried = {
        (name, limits): {"log_loss": loss}
        for name, row in losses.items()
        for limits, loss in zip((careful, bold, best), row, strict=True)
    }
    # on a all three are level within .002; on both the first is far off
    assert module.choose_limits(crowds[:1], tried) == careful
    assert module.choose_limits(crowds, tried) == bold
