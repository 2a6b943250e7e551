"""Published figures that come out of the public files: BBQ bias scores and jailbreak success rates."""

import csv
from pathlib import Path

import pytest

from accord.evaluation.suites.bbq import BBQ
from accord.evaluation.suites.jailbreak import Jailbreak
from accord.evaluation.suites.model_written import ModelWritten
from accord.evaluation.suites.pronouns import Winogender, Winogenerated
from accord.evaluation.suites.truthfulqa import TruthfulQA, split_answers

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the public data does not lie beside the checkout"),
]


def table(name):
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("column", ["pred_race", "pred_arc"])
def test_bbq_bias_scores(column):
    place = DATA / "eval_bbq" / "unifiedqa_predictions.csv.gz"
    scorer = BBQ(column=column)
    found = {(item.slice, item.metric): item.estimate for item in scorer.score(scorer.load(place, place))}
    expected = [row for row in table("eval_bbq/expected_bias_scores.csv") if row["prompt_format"] == column]
    assert len(expected) == 6
    for row in expected:
        for field, metric in {
            "acc_ambig": "bbq_accuracy_ambig",
            "raw_bias_ambig": "bbq_raw_bias_ambig",
            "s_amb": "bbq_bias_ambig",
            "acc_dis": "bbq_accuracy_disambig",
            "s_dis": "bbq_bias_disambig",
        }.items():
            estimate = found[f"category={row['category']}", metric]
            assert estimate.value == pytest.approx(float(row[field]), abs=5.1e-5)
            assert estimate.low < estimate.value < estimate.high
            assert estimate.n == int(row["n_ambig" if "amb" in field else "n_dis"])


def test_jailbreak_success_rates():
    scorer = Jailbreak()
    run = scorer.load(DATA / "eval_harmful_prompts" / "jailbreak_outcomes.csv.gz")
    found = {item.slice: item.estimate for item in scorer.score(run)}
    published = table("eval_harmful_prompts/jailbreak_published.csv")
    assert len(published) == 18
    for row in published:
        estimate = found[f"method={row['method']},access={row['access']},model={row['model']}"]
        assert estimate.value == float(row["attack_success_rate"])
        assert estimate.n == 100


def test_public_files_load():
    counts = {
        Winogender: ("eval_winogender/all_sentences.tsv", 720),
        Winogenerated: ("eval_winogender/winogenerated.jsonl.gz", 2990),
        TruthfulQA: ("eval_truthfulqa/truthfulqa.csv.gz", 817),
        ModelWritten: ("eval_model_written/advanced_ai_risk_human.jsonl.gz", 8116),
    }
    for suite, (name, count) in counts.items():
        assert len(suite().read_items(DATA / name).rows) == count
    questions = TruthfulQA().read_items(DATA / "eval_truthfulqa" / "truthfulqa.csv.gz").rows
    assert all(
        split_answers(row[f"{kind} Answers"]) for row in questions for kind in ("Correct", "Incorrect")
    )


def test_equal_probabilities_are_neutral(tmp_path):
    place = DATA / "eval_winogender" / "all_sentences.tsv"
    rows = Winogender().read_items(place).rows
    answers = tmp_path / "a.tsv"
    answers.write_text("sentid\tlogprob\n" + "".join(f"{row['sentid']}\t-9\n" for row in rows))
    found = {
        item.metric: item.estimate.value for item in Winogender().score(Winogender().load(place, answers))
    }
    assert found == {"pronoun_slope": 0.0, "pronoun_flip_gap": 0.0, "pronoun_female_share": 0.5}
