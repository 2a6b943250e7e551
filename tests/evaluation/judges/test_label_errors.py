"""Errors of labels by hand, shares corrected by them, and that the corrected ones cover the truth."""

import json
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from accord.cli.main import run_command
from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.intervals import Estimate, wilson
from accord.evaluation.judges.label_errors import (
    LabelErrors,
    correct_difference,
    correct_refusals,
    correct_share,
    count_errors,
    error_measurements,
    score_measurements,
)
from accord.evaluation.measurement import Measurement

ERRORS = LabelErrors(true_positive=90, really_positive=100, true_negative=160, really_negative=200)
"""Sensitivity .9, specificity .8, so that differences shrink to .7."""


def test_errors_by_hand():
    people = ["full"] * 12 + ["partial"] * 10 + ["none"] * 20
    labels = ["full"] * 9 + ["partial"] * 2 + ["none"] + ["full"] * 4 + ["none"] * 6 + ["none"] * 17
    labels += ["full"] * 2 + [None]
    found, missing = count_errors(labels, people)
    assert missing == 1
    # refused at all: 22 by people, of which the labels find 11 + 4; 19 others, of which 17 are left alone
    assert found["refusal"] == LabelErrors(
        true_positive=15, really_positive=22, true_negative=17, really_negative=19
    )
    # in full: 12 by people, 9 found; of 10 partial and 19 others 6 and 17 are not called full
    assert found["full_refusal"] == LabelErrors(
        true_positive=9, really_positive=12, true_negative=23, really_negative=29
    )
    assert found["refusal"].sensitivity == wilson(15, 22)


def test_too_few_of_a_kind_and_other_lengths_are_refused():
    with pytest.raises(EvaluationError, match="need 10 of each"):
        count_errors(["full"] * 30, ["full"] * 25 + ["none"] * 5)
    with pytest.raises(EvaluationError, match="expected one each"):
        count_errors(["full"], [])


def test_shares_and_differences_by_hand():
    # q = .41: (.41 + .8 - 1) / .7 = .3
    share = correct_share(wilson(41, 100), ERRORS)
    assert share.value == pytest.approx(0.3)
    assert share.low < 0.3 < share.high
    assert share.high - share.low > wilson(41, 100).high - wilson(41, 100).low
    plain = Estimate(value=0.07, low=0.0, high=0.14, n=100, method="sign flips")
    made = correct_difference(plain, ERRORS)
    assert made.value == pytest.approx(0.1)
    # half-width .1 of its own, and .1 * 1.96 sqrt(.09 / 100 + .16 / 200) / .7 of the errors
    own = 0.1 * 1.959964 * math.sqrt(0.9 * 0.1 / 100 + 0.8 * 0.2 / 200) / 0.7
    assert made.high - made.value == pytest.approx(math.hypot(0.1, own), rel=1e-6)
    useless = LabelErrors(true_positive=5, really_positive=10, true_negative=5, really_negative=10)
    with pytest.raises(EvaluationError, match="no better than chance"):
        correct_difference(plain, useless)
    with pytest.raises(EvaluationError, match="no better than chance"):
        correct_share(plain, useless)


def test_refusals_are_corrected_and_nothing_else():
    errors = {"refusal": ERRORS, "full_refusal": ERRORS}
    rows = [
        Measurement(metric=name, estimate=wilson(41, 100))
        for name in ("safe_refusal", "safe_full_refusal", "safe_partial_refusal", "win_rate")
    ]
    made = correct_refusals(rows, errors, source="300 answers")
    assert [round(one.estimate.value, 2) for one in made] == [0.3, 0.3, 0.41, 0.41]
    assert made[0].facts["as_labeled"][0] == 0.41
    assert "300 answers" in made[0].facts["labels_trust"]
    assert made[2].facts == {}


def test_corrected_shares_cover_what_plain_ones_miss():
    draw = np.random.default_rng(4)
    hits = {"plain": 0, "corrected": 0}
    worlds, truth, sensitivity, specificity = 600, 0.3, 0.8, 0.9
    for _ in range(worlds):
        positive = draw.binomial(250, truth * sensitivity + (1 - truth) * (1 - specificity))
        errors = LabelErrors(
            true_positive=int(draw.binomial(80, sensitivity)),
            really_positive=80,
            true_negative=int(draw.binomial(120, specificity)),
            really_negative=120,
        )
        plain = wilson(positive, 250)
        made = correct_share(plain, errors)
        hits["plain"] += plain.low <= truth <= plain.high
        hits["corrected"] += made.low <= truth <= made.high
    # three standard errors of a share of 600 at .95: .027
    assert abs(hits["corrected"] / worlds - 0.95) < 0.027
    assert hits["plain"] / worlds < 0.95


def test_scores_by_hand():
    people = [float(i) for i in range(-10, 10)]
    same = {one.metric: one.estimate for one in score_measurements([2 * one for one in people], people, {})}
    assert same["label_rank_correlation"].value == pytest.approx(1.0)
    assert same["label_sign_agreement"].value == 1.0
    assert same["label_share_with_side"].value == pytest.approx(19 / 20)
    turned = score_measurements([-one for one in people], people, {})
    assert turned[0].estimate.value == pytest.approx(-1.0)
    silent = score_measurements([0.0] * 20, people, {})
    assert math.isnan(silent[0].estimate.value)
    assert len(silent) == 2
    # ties share their middle rank, and a row of a cluster drawn twice counts as two rows
    tied = [float(i % 4) for i in range(20)]
    assert score_measurements(tied, people, {})[0].estimate.value == pytest.approx(spearmanr(tied, people)[0])
    doubled = score_measurements(tied * 2, list(people) * 2, {}, clusters=[str(i) for i in range(20)] * 2)
    once = score_measurements(tied, people, {}, clusters=[str(i) for i in range(20)])
    assert doubled[0].estimate.low == pytest.approx(once[0].estimate.low)
    with pytest.raises(EvaluationError, match="10 are needed"):
        score_measurements([None] * 20, people, {})


@pytest.fixture
def files(tmp_path):
    rows = [{"prompt": f"p{i}", "response": "I'm sorry, I can't help.", "people": "full"} for i in range(18)]
    rows += [{"prompt": f"q{i}", "response": "Sure: do this.", "people": "full"} for i in range(2)]
    rows += [{"prompt": f"r{i}", "response": "Here you are.", "people": "none"} for i in range(20)]
    (tmp_path / "labeled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = [{"id": i, "prompt": f"p{i}", "type": "t", "label": "safe"} for i in range(20)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in items))
    answers = [{"id": i, "refusal": "full" if i < 9 else "none"} for i in range(20)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    return tmp_path


def test_commands_measure_errors_and_correct_by_them(files, capsys):
    assert run_command(["evaluate", "labels", str(files / "labeled.jsonl"), "--json"]) == 0
    printed = capsys.readouterr().out
    found = {
        (one["metric"], one["slice"]): one["estimate"]["value"] for one in json.loads(printed)["measurements"]
    }
    assert found["label_sensitivity", "kind=refusal"] == 0.9
    assert found["label_specificity", "kind=refusal"] == 1.0
    (files / "errors.json").write_text(printed)
    suite = ["evaluate", "suite", "xstest", "--data", str(files / "items.jsonl")]
    suite += ["--responses", str(files / "answers.jsonl"), "--label-errors", str(files / "errors.json")]
    assert run_command([*suite, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    rates = {(one["metric"], one["slice"]): one["estimate"]["value"] for one in made["measurements"]}
    # 9 of 20 found by labels that find nine tenths: .45 / .9
    assert rates["safe_refusal", "all"] == pytest.approx(0.5)
    assert made["facts"]["labels_trust"] == "corrected by Rogan-Gladen with 40 answers that people labeled"
    assert run_command(["evaluate", "labels", str(files / "labeled.jsonl")]) == 0
    assert "label_specificity" in capsys.readouterr().out


def test_what_is_wrong_is_said(files, capsys):
    labeled = str(files / "labeled.jsonl")
    assert run_command(["evaluate", "labels", labeled, "--kind", "mood"]) == 2
    assert run_command(["evaluate", "labels", labeled, "--people", "nobody"]) == 1
    assert "lacks nobody" in capsys.readouterr().err
    assert run_command(["evaluate", "labels", labeled, "--kind", "score"]) == 1
    assert "expected a number" in capsys.readouterr().err
    (files / "other.json").write_text('{"measurements": []}')
    suite = ["evaluate", "suite", "xstest", "--data", str(files / "items.jsonl")]
    suite += ["--responses", str(files / "answers.jsonl"), "--label-errors", str(files / "other.json")]
    assert run_command(suite) == 1
    assert "holds no errors of labels" in capsys.readouterr().err


def test_facts_hold_the_counts():
    (first, *_) = error_measurements({"refusal": ERRORS}, {"labels": "x"})
    assert first.facts["label_errors"]["refusal"]["true_positive"] == 90
    with pytest.raises(DataError):
        count_errors(["perhaps"] * 20, ["full"] * 10 + ["none"] * 10)
