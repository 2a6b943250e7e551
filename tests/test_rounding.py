"""The distance from fp64: in fp32 it is rounding, and a gradient that is off shows."""

import importlib.util
import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from accord.models.export import save_model
from accord.models.tiny import tiny_model

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "rounding.py"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "trl_losses.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rounding():
    spec = importlib.util.spec_from_file_location("rounding_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounding")
    save_model(tiny_model(), folder / "model")
    rows = "".join(json.dumps(row) + "\n" for row in GOLDEN["rows"])
    (folder / "pairs.jsonl").write_text(rows, encoding="utf-8")
    return folder


@pytest.mark.parametrize("task", ["sft", "reward", "dpo"])
def test_in_fp32_losses_and_first_gradient_are_those_of_fp64_to_the_rounding(rounding, place, task):
    settings = GOLDEN["settings"]
    sides = {}
    for side in ("ours", "reference"):
        options = Namespace(
            task=task,
            model=place / "model",
            data=place,
            precision="fp32",
            keep=place / f"{task}-{side}.safetensors",
        )
        threads = torch.get_num_threads()
        sides[side] = (getattr(rounding, side)(options, settings, settings[task]), options.keep)
        torch.set_num_threads(threads)
    (own, own_file), (exact, exact_file) = sides["ours"], sides["reference"]
    assert exact == pytest.approx(
        GOLDEN["loss"][task], abs=2e-5
    )  # the reference is what TRL computes as well
    assert max(rounding.loss_distance(own, exact)) < 1e-6
    distance = rounding.gradient_distance(own_file, exact_file)
    assert distance["all"] < 2e-6
    assert distance["worst_weight"] < 2e-5


def test_gradient_distance_by_hand_and_missing_weights_are_named(rounding, tmp_path):
    exact, given = tmp_path / "exact.safetensors", tmp_path / "given.safetensors"
    save_file({"a": torch.tensor([3.0, 4.0]).double(), "b": torch.tensor([12.0]).double()}, exact)
    save_file({"a": torch.tensor([3.0, 5.0]), "b": torch.tensor([12.0])}, given)
    # 1 of sqrt(25 + 144) in all, 1 of 5 in the worst
    assert rounding.gradient_distance(given, exact) == pytest.approx({"all": 1 / 13, "worst_weight": 0.2})
    save_file({"a": load_file(given)["a"]}, given)
    with pytest.raises(SystemExit, match="only one side has a gradient of b"):
        rounding.gradient_distance(given, exact)
