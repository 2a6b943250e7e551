"""Two files of rows: what moved is named, what did not is not, what is missing is said."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.drift.measurements import DriftMeasurements, measure_drift
from accord.evaluation.drift.rows import DriftRows, read_anchors, read_drift_rows
from accord.evaluation.drift.text_features import text_features

ASKED = ["where is my order", "how do I reset the password", "can I get a refund", "what does shipping cost"]
SAID = ["please check the page", "use the link in the mail", "yes within thirty days", "it is five dollars"]


def rows(n: int = 60, *, seed: int = 0, topic: str = "", manner: str = "", right: float = 0.9) -> DriftRows:
    generator = np.random.default_rng(seed)
    filler = [" ".join(generator.choice(["now", "then", "soon", "later"], 4)) for _ in range(n)]
    left = generator.binomial(4, 0.9, n)
    return DriftRows(
        prompt_ids=tuple(f"q{i}" for i in range(n)),
        prompts=tuple(f"{ASKED[i % 4]} {filler[i]}{topic}" for i in range(n)),
        answers=tuple(f"{SAID[i % 4]} {filler[i]}{manner}" for i in range(n)),
        votes=tuple((int(one), 4 - int(one)) for one in left),
        hits=tuple(float(one) for one in generator.random(n) < right),
        facts={"rows": n, "sha256": "x"},
    )


def found_kinds(found: DriftMeasurements) -> list[str]:
    return [one.kind.value for one in found.findings if one.is_found]


def test_each_kind_is_named_by_its_own_evidence():
    calm = measure_drift(rows(seed=1), rows(seed=2))
    assert found_kinds(calm) == []
    asked = measure_drift(rows(seed=1), rows(seed=2, topic=" for my new car insurance"))
    assert found_kinds(asked) == ["covariate"]
    said = measure_drift(rows(seed=1), rows(seed=2, manner=" certainly I am so happy to help"))
    assert found_kinds(said) == ["policy_induced"]
    assert "current policy" in next(one.action for one in said.findings if one.is_found)
    assert "preference drift" in said.not_measured


def test_agreement_and_hits_fall_with_their_difference_and_alarm():
    old, new = rows(120, seed=1), rows(120, seed=2, right=0.5)
    found = measure_drift(old, new)
    values = {(one.metric, one.slice, one.versus): one.estimate for one in found.measurements}
    assert values["annotator_agreement", "all", "incumbent"].n == 120
    assert values["reward_hit_rate", "all", "nothing"].value < 0.65
    assert values["drift_alarms", "reward_hit_rate", "nothing"].value >= 1
    chart = next(one for one in found.charts if one.name.startswith("Reward model"))
    assert chart.batches[:2] == ("before 1", "before 2")
    assert min(row.value for row in chart.values) < chart.low


def test_agreement_by_hand():
    plain = {"prompt_ids": ("a", "b"), "facts": {}}
    # 3 : 1 -> (3 * 2) / (4 * 3) = .5; 4 : 0 -> 1.
    old = DriftRows(votes=((4, 0), (4, 0)), **plain)
    new = DriftRows(votes=((3, 1), (4, 0)), **plain)
    values = {
        (one.slice, one.versus): one.estimate.value
        for one in measure_drift(old, new).measurements
        if one.metric == "annotator_agreement"
    }
    assert values == {
        ("all", "nothing"): 0.75,
        ("side=incumbent", "nothing"): 1.0,
        ("all", "incumbent"): -0.25,
    }


def watched(old: Sequence[float], new: Sequence[float], name: str) -> DriftMeasurements:
    sides = [
        DriftRows(
            prompt_ids=tuple(f"{side} {i}" for i in range(len(values))), facts={}, **{name: tuple(values)}
        )
        for side, values in (("old", old), ("new", new))
    ]
    return measure_drift(sides[0], sides[1])


def test_a_judge_that_parts_from_people_is_an_alarm_and_one_that_does_not_is_none():
    generator = np.random.default_rng(0)
    old, same, worse = (
        (generator.random(n) < share).astype(float).tolist()
        for n, share in ((200, 0.8), (150, 0.8), (150, 0.3))
    )
    alarms = {}
    for name, new in (("same", same), ("worse", worse)):
        found = watched(old, new, "judge_hits")
        values = {(one.metric, one.slice): one for one in found.measurements}
        assert values["judge_hit_rate", "all"].estimate.value == pytest.approx(np.mean(new))
        assert values["judge_hit_rate", "side=incumbent"].estimate.value == pytest.approx(np.mean(old))
        alarms[name] = values["drift_alarms", "judge_hit_rate"]
    assert alarms["same"].estimate.value == 0
    assert alarms["same"].facts["adwin_changes_at"] == []
    assert alarms["worse"].estimate.value >= 1
    # ADWIN watches both in a row: the change lies after the 200 old ones, give or take what noise hides
    assert abs(alarms["worse"].facts["adwin_changes_at"][0] - 200) <= 30


def test_annotators_who_part_are_an_alarm():
    agreed, split = ((4, 0),) * 40, ((2, 2),) * 40
    found = watched(agreed, agreed, "votes")
    values = {(one.metric, one.slice): one.estimate.value for one in found.measurements}
    assert values["drift_alarms", "annotator_agreement"] == 0
    found = watched(agreed, split, "votes")
    (alarm,) = (one for one in found.measurements if one.metric == "drift_alarms")
    # each pair of a split four agrees with chance 1/3: .667 - .02 below the level of 1, an alarm at the first
    assert alarm.facts["alarms_at"][0] == 1
    few = watched(agreed[:10], agreed[:10], "votes")
    assert "20 reference values" in few.not_measured["drift_alarms of annotator_agreement"]


def test_surprise_of_prompts_by_hand():
    generator = np.random.default_rng(1)
    old = generator.normal(3.0, 0.2, 80)
    found = watched(old.tolist(), (old + 1.0).tolist(), "prompt_nll")
    values = {(one.metric, one.slice, one.versus): one for one in found.measurements}
    change = values["prompt_nll", "all", "incumbent"]
    assert change.estimate.value == pytest.approx(1.0)
    assert change.estimate.is_above(0.8)
    assert change.facts["p_value"] < 0.01
    level = values["prompt_nll", "side=incumbent", "nothing"]
    assert level.facts["perplexity"] == pytest.approx(np.exp(old.mean()))
    assert values["drift_stability_index", "prompt_nll", "nothing"].estimate.value > 1


def test_nothing_to_compare_is_named_and_never_no_drift():
    bare = DriftRows(prompt_ids=("a", "b"), facts={})
    found = measure_drift(bare, bare)
    assert found.measurements == ()
    assert len(found.not_measured) == 9
    assert all(one.evidence.startswith("not measured") for one in found.findings)


def test_features_of_texts_are_standardized_over_both_sides():
    found = text_features(["a cat sat", "a dog sat"], ["a cat ran", "two dogs ran?"])
    pooled = np.concatenate([found.reference, found.current])
    assert pooled.mean(axis=0) == pytest.approx(0)
    assert pooled.std(axis=0) == pytest.approx(1)
    assert "cat" in found.names
    with pytest.raises(EvaluationError, match="alike"):
        text_features(["same"], ["same"])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt_id": "a", "hit": 2}, "hit is 2"),
        ({"prompt_id": "a", "features": [1, "x"]}, "finite"),
        ({"prompt_id": "a", "features": [1]}, "first row"),
        ({"prompt_id": "a", "votes_left": 1.5, "votes_right": 1}, "whole"),
        ({"prompt_id": "", "hit": 1}, "no prompt_id"),
    ],
)
def test_bad_rows_are_refused(tmp_path: Path, row: dict, words: str):
    first = {"prompt_id": "z", "features": [1, 2], "hit": 1}
    (tmp_path / "r.jsonl").write_text(
        json.dumps(first) + "\n" + json.dumps(row | {"features": row.get("features", [1, 2])}) + "\n"
    )
    with pytest.raises(DataError, match=words):
        read_drift_rows(tmp_path / "r.jsonl")


def test_anchors_are_read(tmp_path: Path):
    (tmp_path / "a.csv").write_text("pair,old_left,old_right,new_left,new_right\n7,3,1,0,4\n")
    (anchor,) = read_anchors(tmp_path / "a.csv")
    assert (anchor.pair, anchor.old_left, anchor.new_right) == ("7", 3, 4)
    (tmp_path / "b.csv").write_text("pair,old_left,old_right,new_left,new_right\n7,3,1,,4\n")
    with pytest.raises(DataError, match="lacks"):
        read_anchors(tmp_path / "b.csv")
