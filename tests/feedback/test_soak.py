"""A short soak run on each database: workers die, clocks jump, and all invariants hold in the end."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from accord.feedback.invariants import NAMES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_lost_or_doubled_while_workers_die(kind, request, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    soak: Any = importlib.import_module("soak")
    place = str(tmp_path / "accord.db")
    if kind == "postgresql":
        place = request.getfixturevalue("postgres_url")
    options = ["--annotators", "6", "--items", "300", "--seconds", "8", "--check-every", "4", "--lease", "1"]
    workers = "2" if kind == "postgresql" else "1"
    is_broken = soak.main(
        ["--store", kind, "--place", place, "--workers", workers, "--kill-every", "3", *options]
    )
    (line,) = capsys.readouterr().out.splitlines()
    facts = json.loads(line)
    assert (is_broken, facts["n_broken"], facts["faults"]) == (0, 0, [])
    assert [one["name"] for one in facts["invariants"]] == list(NAMES)
    assert facts["n_judgments"] > 0
    assert facts["n_killed"] + facts["n_clock_jumps"] > 0
