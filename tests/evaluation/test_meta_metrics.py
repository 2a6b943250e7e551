"""Benchmarks measured as benchmarks: by hand, and the published figures."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.intervals import Estimate
from accord.evaluation.meta_metrics import pairwise_agreement, separability

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "eval_arena_stats"


def test_touching_intervals_overlap():
    scores = {
        name: Estimate(value=low, low=low, high=low + 1) for name, low in (("a", 0), ("b", 1), ("c", 3))
    }
    assert separability(scores) == pytest.approx(2 / 3)  # a-b touch


def test_a_tie_is_no_agreement():
    assert pairwise_agreement({"a": 1, "b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}) == pytest.approx(2 / 3)


def test_strays_raise():
    with pytest.raises(EvaluationError, match="one side only"):
        pairwise_agreement({"a": 1, "b": 2}, {"a": 1, "c": 2})


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the data does not lie beside the checkout")
def test_published_meta_metrics():
    found = {}
    with gzip.open(DATA / "bootstrap.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            estimate = Estimate(value=row["score"], low=row["lower"], high=row["upper"])
            found.setdefault(row["benchmark"], {})[row["model"].lower()] = estimate
    names = json.loads((DATA / "model_names.json").read_text(encoding="utf-8"))
    with open(DATA / "arena_elo_20240329.csv", encoding="utf-8") as file:
        arena = {row["index"]: float(row["rating"]) for row in csv.DictReader(file)}
    of_arena = {there: here for here, there in names["alpaca_to_arena"].items()}
    shared = {
        "alpaca": of_arena,
        "alpaca_LC": of_arena,
        "arena_hard": names["arena_to_arena_hard"],
        "mt_bench": names["arena_to_mt_bench"],
    }
    reference = {name: arena[name] for name in of_arena}
    expected = {
        "alpaca": (71.05, 0.8105),
        "alpaca_LC": (87.89, 0.8526),
        "arena_hard": (84.21, 0.9158),
        "mt_bench": (36.32, 0.8684),
    }
    for benchmark, mapping in shared.items():
        scores = {name: found[benchmark][mapping[name].lower()] for name in of_arena}
        values = {name: score.value for name, score in scores.items()}
        separated, agreed = expected[benchmark]
        assert round(100 * separability(scores), 2) == separated, benchmark
        assert round(pairwise_agreement(values, reference), 4) == agreed, benchmark
    assert round(100 * separability(found["20k_votes"]), 2) == 68.95
