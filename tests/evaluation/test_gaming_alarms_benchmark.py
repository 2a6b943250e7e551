"""The benchmark of alarms runs, and planted changes are seen."""

import importlib.util
import json
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gaming_alarms.py"


def test_one_json_line_comes_out(capsys):
    spec = importlib.util.spec_from_file_location("gaming_alarms_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.main(["--runs", "10", "--moved", "2"])
    del sys.modules[spec.name]
    found = json.loads(capsys.readouterr().out)
    assert found["calm"]["any"] <= 0.2
    assert found["planted"]["each"]["kl_acceleration"] == 1.0
