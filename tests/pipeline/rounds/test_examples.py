"""The loops of `examples/` are read as they stand, and say what they will do."""

from pathlib import Path

import pytest

from accord.evaluation.gates.plan import GatePlan
from accord.pipeline.configuration import load_config, read_toml
from accord.pipeline.rounds.grading import Grading
from accord.pipeline.rounds.plan import LoopConfig
from accord.pipeline.rounds.planning import plan_rows

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[3] / "examples").glob("*.toml")
    if read_toml(path).get("type") == "loop"
)


def test_there_is_one_of_each_kind():
    assert {path.stem for path in EXAMPLES} == {"loop", "loop_model_judge", "loop_people", "loop_policy"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_read_and_planned(path):
    config = load_config(LoopConfig, path).beside(path)
    stages = [row["stage"] for row in plan_rows(config)]
    assert stages[0] == "tune"
    assert stages[-1] == f"r{config.rounds}-decide"
    assert ("r1-grades" in stages) == bool(config.policy_file)


def test_the_gates_of_the_policy_example_can_be_measured_by_its_loop(tmp_path):
    path = next(one for one in EXAMPLES if one.stem == "loop_policy")
    config = load_config(LoopConfig, path).beside(path)
    grading = Grading.read(config.policy_file, tmp_path)
    assert max(gate.min_n for gate in grading.gates(_empty()).gates) <= config.asking.examined_prompts


def _empty():
    return GatePlan(name="none", gates=())
