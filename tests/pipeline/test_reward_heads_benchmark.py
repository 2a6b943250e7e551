"""The benchmark of reward heads runs on the tiny model and measures what it says."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reward_heads.py"


@pytest.mark.slow
def test_one_json_line_compares_heads_and_passes(capsys):
    spec = importlib.util.spec_from_file_location("reward_heads_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.main(["--fast"])
    del sys.modules[spec.name]
    found = json.loads(capsys.readouterr().out)
    rows = found["rows"]
    assert {(row["head"], row["passes"]) for row in rows} == {
        (head, passes) for head in ("random", "zero") for passes in (1.0, 2.0)
    }
    mean, most = found["answers"]["mean_taste"][0], found["answers"]["best_taste"][0]
    for row in rows:
        assert 0 <= row["right"][0] <= 1
        assert row["best_taste"][0] <= most
    assert mean < most
