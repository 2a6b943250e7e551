import math

import numpy as np
import pytest

from accord.domain import Choice, Comparison, DataError, Judgment, Preference, Prompt
from accord.quality.judgments import tabulate_judgments
from accord.quality.preferences.consensus import majority, vote_share
from accord.quality.preferences.soft_labels import (
    RIDGE,
    PairCalibration,
    apply_pair_calibration,
    fit_pair_calibration,
    information_weight,
    match_gold,
)


def table_of(seed, *, pairs=60, per_pair=3, accuracy=0.8):
    """Pairs "a" against "b" whose better answer is known, as a table and as gold."""
    generator = np.random.default_rng(seed)
    judgments, gold = [], []
    for i in range(pairs):
        prompt = Prompt.from_text(f"question {i}")
        better, worse = ("a", "b") if generator.random() < 0.5 else ("b", "a")
        gold.append(Preference(prompt=prompt, chosen=better, rejected=worse))
        for k in range(per_pair):
            is_right = generator.random() < accuracy
            choice = Choice.LEFT if (better == "a") == is_right else Choice.RIGHT
            comparison = Comparison(prompt=prompt, left="a", right="b")
            judgments.append(Judgment(comparison=comparison, annotator_id=f"w{k}", choice=choice))
    return tabulate_judgments(judgments), gold


def test_information_by_hand():
    # entropy of 1/4: 1/4 log2(4) + 3/4 log2(4/3) = 0.8113 bits
    weights = information_weight(np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert weights == pytest.approx([1.0, 0.188722, 0.0, 0.188722, 1.0], abs=1e-6)


def test_calibration_by_hand():
    table, _ = table_of(0, pairs=1)
    # a logit(4/5) + b logit((votes + 1/2) / 4)
    votes = float(table.first_votes[0])
    expected = 0.5 * math.log(4) + 2.0 * math.log((votes + 0.5) / (3.5 - votes))
    found = apply_pair_calibration(
        PairCalibration(of_model=0.5, of_votes=2.0, n_gold=10), table, np.array([0.8])
    )
    assert found[0] == pytest.approx(1 / (1 + math.exp(-expected)), rel=1e-12)


def test_the_fit_stands_where_its_gradient_vanishes():
    table, gold = table_of(1)
    p_first = 0.9 * vote_share(table) + 0.05
    found = fit_pair_calibration(table, p_first, gold)
    index, target = match_gold(table, gold)
    assert found.n_gold == len(index) == 60

    def objective(of_model, of_votes):
        calibration = PairCalibration(of_model=of_model, of_votes=of_votes, n_gold=60)
        p = apply_pair_calibration(calibration, table, p_first)[index]
        loss = -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum()
        return loss + 0.5 * RIDGE * ((of_model - 0.2) ** 2 + (of_votes - 1.0) ** 2)

    best = objective(found.of_model, found.of_votes)
    for on_model, on_votes in ((0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)):
        moved = found.of_model + on_model, found.of_votes + on_votes
        if min(moved) >= 0:
            assert objective(*moved) > best


def test_certainty_of_the_majority_is_brought_down_to_how_often_it_is_right():
    table, gold = table_of(2, pairs=600, per_pair=1, accuracy=0.8)
    calibration = fit_pair_calibration(table, majority(table), gold[:300])
    found = apply_pair_calibration(calibration, table, majority(table))
    index, target = match_gold(table, gold[300:])
    # One vote that is right in 80 % of 300 held-out pairs: 0.8 +- 0.023 each for fit and check.
    assert np.maximum(found, 1 - found) == pytest.approx(np.full(600, 0.8), abs=0.07)
    loss = -(target * np.log(found[index]) + (1 - target) * np.log(1 - found[index])).mean()
    best = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert loss == pytest.approx(best, abs=0.1)


def test_a_tie_of_model_and_votes_stays_one_and_exchanged_answers_exchange_the_probability():
    table, gold = table_of(3, per_pair=2)
    calibration = fit_pair_calibration(table, vote_share(table), gold)
    found = apply_pair_calibration(calibration, table, vote_share(table))
    share = vote_share(table)
    assert found[share == 0.5] == pytest.approx(0.5, abs=1e-12)
    assert found[share == 1].max() == pytest.approx(1 - found[share == 0].min(), abs=1e-9)


def test_gold_given_twice_counts_once_and_contradictions_are_refused():
    table, gold = table_of(4)
    index, _ = match_gold(table, [*gold, *gold])
    assert len(index) == 60
    contrary = Preference(prompt=gold[0].prompt, chosen=gold[0].rejected, rejected=gold[0].chosen)
    with pytest.raises(DataError, match=r"gold contradicts itself on 'question 0'.*keep one"):
        match_gold(table, [*gold, contrary])


def test_too_little_gold_is_refused():
    table, gold = table_of(5)
    elsewhere = Preference(prompt=Prompt.from_text("never asked"), chosen="a", rejected="b")
    with pytest.raises(DataError, match="9 of 10 gold preferences are of judged pairs, expected 10 or more"):
        fit_pair_calibration(table, vote_share(table), [*gold[:9], elsewhere])
