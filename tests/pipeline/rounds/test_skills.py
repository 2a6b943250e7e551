"""Gains of annotators by a reward, and what they say of a panel whose truth is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from accord.domain import Choice, Comparison, Judgment, Prompt, Source
from accord.pipeline.rounds.page import loop_to_html
from accord.pipeline.rounds.panel import loop_panel
from accord.pipeline.rounds.releasing import SKILL_METRIC
from accord.pipeline.rounds.skills import (
    find_gains,
    fit_gains,
    measure_skills,
    rank_correlation,
    true_accuracies,
)
from accord.quality import AnswerView


def votes(gains, lean, count, seed=0):
    """`count` judgments of each annotator and the margins they saw, of root mean square 1 about."""
    draws = np.random.default_rng(seed)
    made, margins = [], []
    for who, gain in gains.items():
        for place in range(count):
            margin = draws.normal()
            is_left = draws.random() < expit(gain * margin + lean)
            pair = Comparison(prompt=Prompt.from_text(f"{who} {place}"), left="a", right="b")
            choice = Choice.LEFT if is_left else Choice.RIGHT
            made.append(Judgment(comparison=pair, annotator_id=who, choice=choice, source=Source.SIMULATED))
            margins.append(margin)
    return made, np.array(margins)


def test_gains_and_leanings_are_found_within_their_intervals():
    true = {"sharp": 3.0, "plain": 1.0, "coin": 0.0, "contrary": -1.0}
    found = {one.annotator: one for one in fit_gains(*votes(true, 0.7, 1500))}
    for name, gain in true.items():
        assert found[name].low < gain < found[name].high
        assert found[name].left_habit == pytest.approx(0.7, abs=0.25)
    assert found["sharp"].low > found["plain"].high > found["coin"].high > found["contrary"].high


def test_the_unit_of_the_reward_does_not_matter_and_no_reward_says_nothing():
    given, margins = votes({"w": 2.0, "v": 1.0}, 0.0, 80)
    assert fit_gains(given, 1000 * margins)[0].gain == pytest.approx(fit_gains(given, margins)[0].gain)
    for one in fit_gains(given, 0 * margins):
        assert (one.gain, one.high - one.low) == pytest.approx((1.0, 2 * 1.959964))  # the prior


def test_a_margin_is_that_of_the_reward_models_members_on_the_two_texts():
    given, margins = votes({"w": 2.0}, 0.0, 60)
    by_prompt = dict(zip([one.comparison.prompt.text for one in given], margins, strict=True))

    def scores(prompts, answers):
        mean = [by_prompt[p.text] * (a.text == "a") for p, a in zip(prompts, answers, strict=True)]
        return np.stack([np.array(mean) + 5, np.array(mean) - 5])

    (told,), (known,) = find_gains(given, scores), fit_gains(given, margins)
    assert (told.gain, told.low) == pytest.approx((known.gain, known.low))
    tied = [replace(one, choice=Choice.TIE) for one in given]
    assert find_gains(tied, scores) == []


def test_rank_correlation_by_hand():
    truth = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5}
    found = rank_correlation({"a": 5, "b": 3, "c": 4, "d": 2, "e": 1, "stranger": 9}, truth)
    # one neighboring swap: 1 - 6 * 2 / (5 * 24)
    assert found.value == pytest.approx(0.9)
    reach = 1.959964 * math.sqrt((1 + 0.81 / 2) / 2)
    assert found.low == pytest.approx(math.tanh(math.atanh(0.9) - reach), abs=1e-6)
    assert found.n == 5
    assert math.isnan(rank_correlation({"a": 1, "b": 2, "c": 3}, truth).value)
    assert math.isnan(rank_correlation(dict.fromkeys(truth, 1.0), truth).value)


def test_the_true_skill_of_the_panel_puts_the_spammer_last_and_tiredness_counts():
    pairs = [(AnswerView(total=0.6, words=30), AnswerView(total=0.4, words=30))]
    made = [
        Judgment(
            comparison=Comparison(prompt=Prompt.from_text(str(i)), left="a", right="b"),
            annotator_id=one.character.id,
            choice=Choice.LEFT,
            source=Source.SIMULATED,
            meta={"batch": "r1-judge"},
        )
        for one in loop_panel()
        for i in range(60)
    ]
    truth = true_accuracies(loop_panel(), pairs, made)
    assert min(truth, key=truth.__getitem__) == "sim-10"
    assert truth["sim-10"] == pytest.approx(0.5)
    # sim-02 and sim-08 begin with the same skill; one tires
    assert truth["sim-08"] < truth["sim-02"]
    assert set(true_accuracies(loop_panel(), pairs, made[:60])) == {"sim-01"}


def test_without_a_truth_there_are_gains_and_no_correlation():
    gains = fit_gains(*votes({"w": 2.0, "v": 1.0}, 0.0, 30))
    assert measure_skills(gains, {"w": 0.9, "v": 0.8}, {}).measurements == ()
    assert [row["annotator"] for row in measure_skills(gains, {}, {}).rows] == ["v", "w"]


def test_a_finished_loop_says_how_well_its_panel_was_recovered(finished_loop):
    _, records = finished_loop
    last = records[-1]
    assert {row["annotator"] for row in last.facts["gains"]} >= {"sim-01", "sim-10"}
    assert f"{SKILL_METRIC} [by=gain]" in last.numbers
    numbers = {f"{SKILL_METRIC} [by=gain]": 0.93, f"{SKILL_METRIC} [by=stated accuracy]": 0.83}
    rows = {
        name: {"value": value, "low": 0.7, "high": 0.98, "n": 10, "method": ""}
        for name, value in numbers.items()
    }
    words = [
        {"annotator": "sim-01", "judgments": 40, "accuracy": 0.8, "low": 0.7, "high": 0.9, "reasons": [],
         "verdict": "keep"}
    ]  # fmt: skip
    shown = replace(last, numbers={**last.numbers, **rows}, facts={**last.facts, "words": words})
    page = loop_to_html([records[0], shown], {"state": "ended", "planned": 2})
    assert "true skill: 0.93 [0.70, 0.98] by gain, 0.83 [0.70, 0.98] by stated accuracy" in page
    assert ">Gain<" in page
    old = replace(shown, facts={name: one for name, one in shown.facts.items() if name != "gains"})
    assert ">Gain<" in loop_to_html([records[0], old], {"state": "ended", "planned": 2})
