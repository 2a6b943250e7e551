"""The benchmark of the quality engine: its line is whole, and what it times is right."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "quality.py"


@pytest.fixture(scope="module")
def benchmark_module():
    spec = importlib.util.spec_from_file_location("quality_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
