"""Position and length on the real sets, as a second, separate program printed them."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from accord.quality.bias import EffectConfig, describe_answer, fit_effects, fit_varying_effect
from accord.quality.judgments import LEFT, RIGHT, TIE

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout"),
]
LENGTH_ONLY = EffectConfig(has_position=False, has_ties=False)


def read(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def length(text):
    return describe_answer(str(text))["log_characters"]


@pytest.fixture(scope="module")
def llmfao():
    """Answers, length differences, pairs, annotators and prompts of the votes."""
    rows = read("pref_llmfao/comparisons.jsonl.gz")
    pairs = {row["pair"]: row for row in read("pref_llmfao/pairs.jsonl.gz")}
    longer = {name: length(row["left"]) - length(row["right"]) for name, row in pairs.items()}
    return (
        np.array([{"left": LEFT, "right": RIGHT, "tie": TIE}[row["winner"]] for row in rows]),
        {"log_characters": np.array([longer[row["pair"]] for row in rows])},
        [row["pair"] for row in rows],
        [row["worker"] for row in rows],
        [row["prompt"] for row in rows],
    )


def test_the_left_side_is_favored_by_a_tenth_of_a_logit(llmfao):
    answer, _, pairs, _, _ = llmfao
    effect = fit_effects(answer, {}, clusters=pairs)["position"]
    assert round(effect.estimate, 2) == pytest.approx(0.10)
    assert effect.low > 0
    decided = answer[answer != TIE]
    assert round(float((decided == LEFT).mean()), 3) == pytest.approx(0.533)


def test_annotators_differ_in_their_habit_of_side(llmfao):
    answer, differences, pairs, workers, _ = llmfao
    fit = fit_effects(answer, differences, clusters=pairs)
    found = fit_varying_effect(fit, "position", workers)
    assert len(found.groups) == 124
    assert found.spread > 0.1
    assert found.p_value < 1e-6


def test_length_is_slightly_against_the_longer_answer_on_short_prompts(llmfao):
    answer, differences, _, _, _ = llmfao
    # as printed: decided votes, length alone, votes as if independent
    effect = fit_effects(answer, differences, clusters=range(len(answer)), config=LENGTH_ONLY)[
        "log_characters"
    ]
    assert round(effect.estimate, 3) == pytest.approx(-0.023)
    assert effect.standard_error == pytest.approx(0.009, abs=0.0005)


def test_length_varies_with_the_prompt(llmfao):
    answer, differences, pairs, _, prompts = llmfao
    fit = fit_effects(answer, differences, clusters=pairs)
    found = fit_varying_effect(fit, "log_characters", prompts)
    assert len(found.groups) == 13
    assert found.p_value < 1e-6
    assert min(one.high for one in found.groups) < 0 < max(one.low for one in found.groups)


def test_the_longer_answer_wins_on_pandalm():
    rows = read("pref_pandalm/pairs.jsonl.gz")
    votes = np.array([[row[f"annotator{number}"] for number in (1, 2, 3)] for row in rows])
    margin = (votes == 1).sum(axis=1) - (votes == 2).sum(axis=1)
    longer = np.array([length(row["response1"]) - length(row["response2"]) for row in rows])
    # as printed, .72 +- .075: one decided majority a pair
    majority = np.where(margin > 0, LEFT, np.where(margin < 0, RIGHT, TIE))
    effect = fit_effects(
        majority,
        {"log_characters": longer},
        clusters=range(len(rows)),
        config=EffectConfig(has_ties=False),
    )["log_characters"]
    assert effect.estimate == pytest.approx(0.72, abs=0.015)
    assert effect.standard_error == pytest.approx(0.075, abs=0.02)
    single = np.where(votes == 1, LEFT, np.where(votes == 2, RIGHT, TIE))
    decided = (single != TIE) & (longer[:, None] != 0)
    wins = (single == LEFT) == (longer[:, None] > 0)
    assert round(float(wins[decided].mean()), 2) == pytest.approx(0.67)
    # all three votes a pair, with ties and the pair as cluster: strongly positive as well
    pair = np.repeat(np.arange(len(rows)), 3)
    every = fit_effects(single.ravel(), {"log_characters": longer[pair]}, clusters=pair)["log_characters"]
    assert every.low > 0.45
