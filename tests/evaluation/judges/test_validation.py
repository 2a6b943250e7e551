"""A judge against people: by hand, in simulation, and where both have judged."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.judges import validate_judge

LLMFAO = Path(__file__).parents[3].parent / "shared" / "data" / "pref_llmfao"


def test_kappa_by_hand():
    # judge l l r r; people ll, lr, rr, lr: shares that agree 1, 1/2, 1, 1/2 -> .75; chance: judge 1/2 each,
    # people 1/2 each -> .5, kappa .5. People: pairs agree 1, 0, 1, 0 -> .5, chance .5, kappa 0.
    verdicts = {1: "l", 2: "l", 3: "r", 4: "r"}
    people = {1: ["l", "l"], 2: ["l", "r"], 3: ["r", "r"], 4: ["r", "l"]}
    found = validate_judge(verdicts, people)
    assert found.agreement.value == pytest.approx(0.75)
    assert found.kappa.value == pytest.approx(0.5)
    assert found.human_kappa.value == pytest.approx(0.0)
    assert found.gap.value == pytest.approx(0.5)
    # two items are even: the majority is that of the other two
    assert (found.plurality.value, found.plurality.n) == (1.0, 2)


def test_verdicts_that_did_not_come_are_counted_apart():
    found = validate_judge({1: "l", 2: None, 5: "r"}, {1: ["l"], 2: ["r"], 3: ["r"], 4: [], 5: ["r"]})
    assert (found.n_items, found.n_missing, found.human_kappa, found.gap) == (2, 2, None, None)
    with pytest.raises(EvaluationError, match="compare the ids"):
        validate_judge({"x": "l"}, {1: ["l"]})


def test_the_gap_of_a_judge_who_is_one_of_the_people_covers_zero():
    hits = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        votes = rng.random((120, 4)) < rng.beta(0.7, 0.7, 120)[:, None]
        names = np.where(votes, "l", "r").tolist()
        found = validate_judge(
            {i: row[0] for i, row in enumerate(names)}, {i: row[1:] for i, row in enumerate(names)}, seed=seed
        )
        hits += found.gap.low <= 0 <= found.gap.high
    # three binomial standard errors of 150 runs
    assert hits / 150 == pytest.approx(0.95, abs=0.053)


def read(name):
    with gzip.open(LLMFAO / name, "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.data
@pytest.mark.skipif(not LLMFAO.is_dir(), reason="the data are not beside the checkout")
@pytest.mark.parametrize(("name", "published"), [("judge_gpt4", 0.446), ("judge_gpt3", 0.377)])
def test_language_models_on_real_comparisons_agree_less_than_people(name, published):
    people = defaultdict(list)
    for row in read("comparisons.jsonl.gz"):
        people[row["pair"]].append(row["winner"])
    verdicts = {row["pair"]: row["winner"] for row in read(f"{name}.jsonl.gz")}
    found = validate_judge(verdicts, people)
    assert found.plurality.n == 1831
    assert found.plurality.value == pytest.approx(published, abs=0.0005)
    assert found.gap.high < 0
