import math

import numpy as np
import pytest

from accord.domain import Choice, Comparison, DataError, Prompt, Source, Streams
from accord.quality import AnswerView, Panel, SimulatedAnnotator, preferences_from_judgments, support_panel

GOOD, BAD = AnswerView(total=0.9, words=15), AnswerView(total=0.4, words=40)


def comparison(i=0, *, left="good", right="bad"):
    return Comparison(prompt=Prompt.from_text(f"question {i}"), left=left, right=right)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def test_choice_probabilities_by_hand():
    annotator = SimulatedAnnotator(id="a", skill=4.0, left_habit=0.5, tie_width=0.2, carelessness=0.1)
    # d = 4 * (0.9 - 0.4) + 0.5 = 2.5
    chances = annotator.choice_probabilities(GOOD, BAD)
    assert chances.left == pytest.approx(0.9 * sigmoid(2.3) + 0.05)
    assert chances.right == pytest.approx(0.9 * sigmoid(-2.7) + 0.05)
    assert chances.left + chances.right + chances.tie == pytest.approx(1.0)


def test_tilts_and_length_liking_change_what_an_answer_is_worth():
    annotator = SimulatedAnnotator(id="a", tilts={"polite": 0.5, "answers": -0.2}, length_liking=0.1)
    view = AnswerView(total=0.6, parts={"polite": 0.4, "answers": 1.0}, words=30)
    assert annotator.utility(view) == pytest.approx(0.6 + 0.5 * 0.4 - 0.2 + 0.1 * 3)


def test_judgments_are_simulated_distinctly_judged_and_repeatable():
    judgments = support_panel(Streams(1)).judge(comparison(), GOOD, BAD)
    assert len({judgment.annotator_id for judgment in judgments}) == 3
    assert {judgment.source for judgment in judgments} == {Source.SIMULATED}
    assert judgments == support_panel(Streams(1)).judge(comparison(), GOOD, BAD)


def test_a_swapped_question_gets_the_same_judgments():
    panel = support_panel(Streams(3))
    for i in range(20):
        asked = panel.judge(comparison(i), GOOD, BAD)
        assert asked == panel.judge(comparison(i, left="bad", right="good"), BAD, GOOD)


def test_sides_are_random_and_work_is_spread():
    panel = support_panel(Streams(0))
    judgments = [judgment for i in range(400) for judgment in panel.judge(comparison(i), GOOD, BAD)]
    on_left = np.mean([judgment.comparison.left == "good" for judgment in judgments])
    assert on_left == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(1200))
    _, counts = np.unique([judgment.annotator_id for judgment in judgments], return_counts=True)
    # 1200 / 7 = 171 each, standard deviation sqrt(400 * 3/7 * 4/7) = 9.9
    assert counts.min() > 171 - 45
    assert counts.max() < 171 + 45


def test_other_seeds_give_other_judgments():
    def judge_all(seed):
        panel = support_panel(Streams(seed))
        return [judgment for i in range(30) for judgment in panel.judge(comparison(i), GOOD, BAD)]

    assert judge_all(0) != judge_all(1)


def test_a_tie_of_two_bad_answers_is_called_both_bad():
    annotator = SimulatedAnnotator(id="a", skill=0.0, tie_width=50.0)
    panel = Panel(annotators=(annotator,), streams=Streams(0), judgments_per_pair=1)
    poor, worse = AnswerView(total=0.1), AnswerView(total=0.05)
    assert panel.judge(comparison(), poor, worse)[0].choice is Choice.BOTH_BAD
    assert panel.judge(comparison(), GOOD, worse)[0].choice is Choice.TIE


def test_known_accuracy_by_hand():
    sharp = SimulatedAnnotator(id="sharp", skill=6.0, tie_width=0.0)
    coin = SimulatedAnnotator(id="coin", carelessness=1.0)
    habit = SimulatedAnnotator(id="habit", skill=0.0, left_habit=3.0, tie_width=0.0)
    panel = Panel(annotators=(sharp, coin, habit), streams=Streams(0))
    known = panel.known_accuracy([(GOOD, BAD), (BAD, GOOD), (GOOD, GOOD)])
    assert known["sharp"] == pytest.approx(sigmoid(6 * 0.5))
    assert known["coin"] == pytest.approx(0.5)
    assert known["habit"] == pytest.approx(0.5)
    assert math.isnan(panel.known_accuracy([(GOOD, GOOD)])["sharp"])


def test_the_consensus_ranks_the_panel_as_its_known_accuracy_does():
    panel, generator = support_panel(Streams(5)), np.random.default_rng(5)
    judgments, pairs = [], []
    for i in range(1000):
        sides = [
            AnswerView(total=total, words=int(words))
            for total, words in zip(generator.random(2), generator.integers(5, 45, 2), strict=True)
        ]
        pairs.append((sides[0], sides[1]))
        judgments += panel.judge(comparison(i), *sides)
    known = panel.known_accuracy(pairs)
    estimated = {a.annotator_id: a.accuracy for a in preferences_from_judgments(judgments).annotators}
    assert min(estimated, key=estimated.get) == min(known, key=known.get) == "sim-07"
    for annotator_id, accuracy in known.items():
        assert estimated[annotator_id] == pytest.approx(accuracy, abs=0.08)
    ids = sorted(known)
    assert np.corrcoef([known[i] for i in ids], [estimated[i] for i in ids])[0, 1] > 0.8


def test_a_panel_refuses_twins_and_more_judgments_than_annotators():
    twin = SimulatedAnnotator(id="a")
    with pytest.raises(DataError, match="different ids"):
        Panel(annotators=(twin, twin), streams=Streams(0))
    with pytest.raises(DataError, match="expected 1 to 1"):
        Panel(annotators=(twin,), streams=Streams(0))
