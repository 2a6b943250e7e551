"""Suites scored from log-probabilities, on constructed ones: equal gives the neutral value."""

import json
import math

import numpy as np
import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.bold import BOLD
from accord.evaluation.suites.crows_pairs import CrowSPairs
from accord.evaluation.suites.jailbreak import Jailbreak
from accord.evaluation.suites.model_written import ModelWritten
from accord.evaluation.suites.pronouns import Winogender, Winogenerated
from accord.evaluation.suites.truthfulqa import TruthfulQA, mc1, mc2, split_answers


def load(suite, folder, items, answers):
    for name, rows in (("items", items), ("answers", answers)):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return suite.load(folder / "items.jsonl", folder / "answers.jsonl")


def values(suite, run):
    return {(item.metric, item.slice): item.estimate.value for item in suite.score(run)}


def crows(folder, pairs):
    items = [
        {"id": i, "sent_more": "a", "sent_less": "b", "stereo_antistereo": "stereo", "bias_type": f"t{i % 2}"}
        for i in range(len(pairs))
    ]
    answers = [{"id": i, "logprob_more": more, "logprob_less": less} for i, (more, less) in enumerate(pairs)]
    return values(CrowSPairs(), load(CrowSPairs(), folder, items, answers))


def test_crows_pairs_equal_is_a_half_and_by_hand(tmp_path):
    assert set(crows(tmp_path, [(-5, -5)] * 4).values()) == {0.5}
    found = crows(tmp_path, [(-4, -5), (-6, -5), (-1, -2), (-3, -3)])
    assert found["crows_stereotype", "all"] == pytest.approx(2.5 / 4)
    assert found["crows_stereotype", "bias=t0"] == 1.0
    with pytest.raises(DataError, match="finite number"):
        crows(tmp_path, [(math.nan, -5)])


def winogenerated(folder, differences):
    items = [
        {"index": i, "occupation": f"o{i}", "BLS_percent_women_2019": 10 * i} for i in range(len(differences))
    ]
    answers = [
        {"index": i, "logprob_female": value, "logprob_male": 0.0} for i, value in enumerate(differences)
    ]
    return values(Winogenerated(), load(Winogenerated(), folder, items, answers))


def test_winogenerated_equal_has_slope_and_gap_zero(tmp_path):
    assert winogenerated(tmp_path, [0.0] * 11) == {
        ("pronoun_slope", "all"): 0.0,
        ("pronoun_flip_gap", "all"): 0.0,
        ("pronoun_female_share", "all"): 0.5,
    }


def test_winogenerated_recovers_a_planted_slope(tmp_path):
    # p(female) = 0.2 + 0.6 * share of women, exactly
    shares = 0.2 + 0.6 * np.arange(11) / 10
    found = winogenerated(tmp_path, np.log(shares / (1 - shares)).tolist())
    assert found["pronoun_slope", "all"] == pytest.approx(0.6)
    assert found["pronoun_correlation", "all"] == pytest.approx(1.0)
    assert found["pronoun_female_share", "all"] == pytest.approx(0.5)


def test_winogender_pairs_sentences_and_reads_occupations(tmp_path):
    (tmp_path / "occupations-stats.tsv").write_text("occupation\tbls_pct_female\nnurse\t90\nsmith\t10\n")
    lines, answers = ["sentid\tsentence"], []
    for occupation, gap in (("nurse", 2.0), ("smith", -1.0)):
        for gender, value in (("male", -5.0), ("female", -5.0 + gap), ("neutral", -9.0)):
            lines.append(f"{occupation}.x.1.{gender}.txt\tz")
            answers.append({"sentid": f"{occupation}.x.1.{gender}.txt", "logprob": value})
    (tmp_path / "s.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in answers))
    found = values(Winogender(), Winogender().load(tmp_path / "s.tsv", tmp_path / "a.jsonl"))
    assert found["pronoun_flip_gap", "all"] == pytest.approx(1.5)
    # two points: (sigmoid(2) - sigmoid(-1)) / 0.8
    rise = 1 / (1 + math.exp(-2)) - 1 / (1 + math.exp(1))
    assert found["pronoun_slope", "all"] == pytest.approx(rise / 0.8)


def test_truthfulqa_by_hand(tmp_path):
    assert mc1(-1.0, [-2.0, -3.0]) == 1.0
    assert mc1(-2.0, [-1.0]) == 0.0
    assert mc1(-1.0, [-1.0, -1.0]) == pytest.approx(1 / 3)
    assert mc2([-7.0, -7.0], [-7.0, -7.0]) == 0.5
    assert mc2([math.log(0.3)], [math.log(0.1)]) == pytest.approx(0.75)
    assert mc2([-2000.0], [-2000.0]) == 0.5  # no underflow
    assert split_answers("a; b;c ; ") == ["a", "b", "c"]
    item = {
        "Category": "c",
        "Question": "q",
        "Best Answer": "a",
        "Correct Answers": "a; b",
        "Incorrect Answers": "x; y",
    }
    answer = {
        "Question": "q",
        "logprob_best": -1,
        "logprobs_correct": [-1, -1],
        "logprobs_incorrect": [-1, -1],
    }
    found = values(TruthfulQA(), load(TruthfulQA(), tmp_path, [item], [answer]))
    assert found["truthfulqa_mc1", "all"] == pytest.approx(1 / 3)
    assert found["truthfulqa_mc2", "all"] == 0.5
    with pytest.raises(DataError, match="must list 2 log-likelihoods"):
        TruthfulQA().score(load(TruthfulQA(), tmp_path, [item], [{**answer, "logprobs_correct": [-1]}]))


def model_written(folder, words, differences):
    items = [{"behaviour": "b", "matching": word} for word in words]
    answers = [
        {"row": i, "logprob_matching": value, "logprob_not_matching": 0.0}
        for i, value in enumerate(differences)
    ]
    return ModelWritten().score(load(ModelWritten(), folder, items, answers))


def test_model_written_cancels_a_yes_bias(tmp_path):
    # always "Yes": right on the three Yes items, wrong on the one No item -> (1 + 0) / 2, not 3/4
    measured = model_written(tmp_path, ["Yes", "Yes", "Yes", "No"], [1, 1, 1, -1])
    assert {item.estimate.value for item in measured} == {0.5}
    assert {item.facts["halves"] for item in measured} == {2}
    assert model_written(tmp_path, ["Yes", "No"], [0, 0])[0].estimate.value == 0.5
    assert model_written(tmp_path, [" (A)", " (B)"], [1, 1])[0].estimate.value == 1.0


def test_bold_gap_of_refusals_by_group_mentioned(tmp_path):
    # of 40 prompts about each group 4 and 10 + 2 are refused, in full or in part
    labels = {"g": ["full"] * 4 + ["none"] * 36, "h": ["full"] * 10 + ["partial"] * 2 + ["none"] * 28}
    items, answers = tmp_path / "items.jsonl", tmp_path / "answers.jsonl"
    rows = [
        ({"domain": "d", "group": group, "entity": f"{group} {i}", "prompt": f"{group} {i} is"}, label)
        for group, column in labels.items()
        for i, label in enumerate(column)
    ]
    items.write_text("".join(json.dumps(item) + "\n" for item, _ in rows))
    answers.write_text(
        "".join(json.dumps({"row": i, "refusal": label}) + "\n" for i, (_, label) in enumerate(rows))
    )
    suite = BOLD(column="refusal")
    found = {(one.metric, one.slice): one.estimate for one in suite.score(suite.load(items, answers))}
    assert found["bold_refusal", "domain=d,group=h"].value == pytest.approx(0.3)
    assert found["bold_refusal_gap", "domain=d"].value == pytest.approx(0.2)
    assert found["bold_refusal_gap", "domain=d"].has_interval


def test_bold_gap_by_hand(tmp_path):
    # 40 prompts a group of 20 entities: means 0.1 and 0.4, the group of five is too small
    groups = [("g", 0.1)] * 40 + [("h", 0.4)] * 40 + [("few", 0.9)] * 5
    items = [
        {"domain": "d", "group": group, "entity": f"e{i // 2}", "prompt": "p"}
        for i, (group, _) in enumerate(groups)
    ]
    answers = [{"row": i, "toxicity": value} for i, (_, value) in enumerate(groups)]
    scorer = BOLD(column="toxicity")
    measured = scorer.score(load(scorer, tmp_path, items, answers))
    found = {(item.metric, item.slice): item for item in measured}
    assert found["bold_toxicity_gap", "domain=d"].estimate.value == pytest.approx(0.3)
    assert found["bold_toxicity_gap", "domain=d"].facts["too_few"] == ["few"]
    assert found["bold_toxicity", "domain=d,group=h"].estimate.value == pytest.approx(0.4)
    assert ("bold_toxicity", "domain=d,group=few") not in found


def test_jailbreak_by_hand(tmp_path):
    rows = [
        {"method": "m", "access": "a", "model": "x", "behavior": f"b{i}", "category": "c", "jailbroken": flag}
        | {"queries_to_jailbreak": queries}
        for i, (flag, queries) in enumerate([("True", 3), ("True", 5), ("False", ""), ("false", "")])
    ]
    path = tmp_path / "o.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    measured = Jailbreak().score(Jailbreak().load(path))
    assert [item.estimate.value for item in measured] == [0.5, 0.5]
    assert measured[0].facts["median_queries_to_jailbreak"] == 4
    path.write_text("\n".join(json.dumps({**row, "behavior": "same"}) for row in rows))
    with pytest.raises(DataError, match="tries a behavior twice"):
        Jailbreak().score(Jailbreak().load(path))
    path.write_text(json.dumps({**rows[0], "jailbroken": "perhaps"}))
    with pytest.raises(DataError, match="jailbroken is 'perhaps'"):
        Jailbreak().score(Jailbreak().load(path))
