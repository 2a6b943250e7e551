import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord import __version__
from accord.domain import Choice, Comparison, DataError, Judgment, Preference, Prompt
from accord.quality import METHODS, preferences_from_judgments
from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.simulation.comparisons import ComparisonConfig, simulate_comparisons

CHOICES = st.sampled_from(list(Choice))


def judgment(annotator, choice, *, question="q", left="apple", right="pear"):
    comparison = Comparison(prompt=Prompt.from_text(question), left=left, right=right)
    return Judgment(comparison=comparison, annotator_id=annotator, choice=choice)


def votes(*choices):
    return [judgment(f"ann-{k}", choice) for k, choice in enumerate(choices)]


def coin_judgments(seed, accuracies, *, pairs=400, per_pair=4, tie_share=0.05, left_pull=0.0):
    """Annotators of constant accuracy; `left_pull` is the chance of saying left whatever was thought."""
    generator = np.random.default_rng(seed)
    judgments, truth = [], {}
    for i in range(pairs):
        prompt = Prompt.from_text(f"question {i}")
        truth[prompt.id] = better = f"a{i}" if generator.random() < 0.5 else f"b{i}"
        for k in generator.permutation(len(accuracies))[:per_pair]:
            left, right = (f"a{i}", f"b{i}") if generator.random() < 0.5 else (f"b{i}", f"a{i}")
            is_right = generator.random() < accuracies[k]
            choice = Choice.LEFT if (left == better) == is_right else Choice.RIGHT
            if generator.random() < left_pull:
                choice = Choice.LEFT
            if generator.random() < tie_share:
                choice = Choice.TIE
            comparison = Comparison(prompt=prompt, left=left, right=right)
            judgments.append(Judgment(comparison=comparison, annotator_id=f"w{k}", choice=choice))
    return judgments, truth


def log_loss(preferences, truth, *, smoothing=0.0):
    """Mean -log of the probability given to the true side; `smoothing` imaginary votes for each side."""
    losses = []
    for preference in preferences:
        count = preference.provenance.votes
        p_chosen = (preference.p_chosen * count + smoothing) / (count + 2 * smoothing)
        is_right = preference.chosen == truth[preference.prompt.id]
        losses.append(-math.log(p_chosen if is_right else 1 - p_chosen))
    return sum(losses) / len(losses)


def test_majority_and_vote_share_by_hand():
    judgments = votes(Choice.RIGHT, Choice.RIGHT, Choice.LEFT, Choice.TIE)
    [by_majority] = preferences_from_judgments(judgments, method="majority").preferences
    [by_share] = preferences_from_judgments(judgments, method="vote_share").preferences
    assert (by_majority.chosen, by_majority.rejected, by_majority.p_chosen) == ("pear", "apple", 1.0)
    assert (by_share.chosen, by_share.p_chosen) == ("pear", 2.5 / 4)
    assert by_share.provenance.method == "vote_share"
    assert by_share.provenance.votes == 4
    assert by_share.provenance.source == f"judgments, accord {__version__}"
    assert by_share.weight == 1.0
    assert by_share.provenance.judgment_ids == tuple(judgment.id for judgment in judgments)


@pytest.mark.parametrize("method", METHODS)
def test_an_exact_tie_is_kept_at_one_half_or_dropped_and_counted(method):
    judgments = votes(Choice.LEFT, Choice.RIGHT)
    kept = preferences_from_judgments(judgments, method=method)
    assert kept.preferences[0].p_chosen == pytest.approx(0.5)
    if method != "dawid_skene":
        dropped = preferences_from_judgments(judgments, method=method, tie_policy="drop")
        assert dropped.preferences == []
        assert dropped.dropped_ties == 1


@pytest.mark.parametrize("method", METHODS)
def test_all_ties_and_a_single_judgment_give_numbers(method):
    result = preferences_from_judgments(votes(Choice.TIE, Choice.BOTH_BAD), method=method)
    assert result.preferences[0].p_chosen == pytest.approx(0.5)
    assert result.annotators[0].tie_share == 1.0
    assert result.annotators[0].accuracy_low < 0.5 < result.annotators[0].accuracy_high
    [single] = preferences_from_judgments(votes(Choice.RIGHT), method=method).preferences
    assert single.chosen == "pear"
    assert single.p_chosen > 0.5


def test_unknown_method_and_equal_answers_are_refused():
    with pytest.raises(DataError, match="dawid_skene, majority, vote_share"):
        preferences_from_judgments(votes(Choice.LEFT), method="median")
    with pytest.raises(DataError, match="same text"):
        preferences_from_judgments([judgment("ann", Choice.LEFT, left="x", right="x")])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), CHOICES), min_size=1, max_size=20), st.randoms()
)
def test_neither_row_order_nor_side_shown_nor_answer_name_matters(rows, shuffler):
    def outcome(judgments, *, renamed=False):
        back = {"zebra": "apple", "apple": "pear"} if renamed else {"apple": "apple", "pear": "pear"}
        result = preferences_from_judgments(judgments, repeats="first")
        return {
            preference.prompt.text: preference.p_chosen
            if back[preference.chosen] == "apple"
            else 1 - preference.p_chosen
            for preference in result.preferences
        }

    unique = {(pair, annotator): choice for pair, annotator, choice in rows}
    swapped_choice = {Choice.LEFT: Choice.RIGHT, Choice.RIGHT: Choice.LEFT}
    judged = [judgment(f"w{a}", choice, question=f"q{pair}") for (pair, a), choice in unique.items()]
    mirrored = [
        judgment(f"w{a}", swapped_choice.get(choice, choice), question=f"q{pair}", left="pear", right="apple")
        for (pair, a), choice in unique.items()
    ]
    renamed = [
        judgment(f"w{a}", choice, question=f"q{pair}", left="zebra", right="apple")
        for (pair, a), choice in unique.items()
    ]
    expected = outcome(judged)
    shuffler.shuffle(judged)
    assert outcome(judged) == pytest.approx(expected)
    assert outcome(renamed, renamed=True) == pytest.approx(expected)
    assert outcome(mirrored) == pytest.approx(expected)


def test_known_accuracies_are_recovered_and_most_intervals_cover_them():
    accuracies = (0.95, 0.9, 0.85, 0.8, 0.75, 0.65, 0.55)
    estimated, covered = [], []
    for seed in range(10):
        judgments, _ = coin_judgments(seed, accuracies)
        annotators = {a.annotator_id: a for a in preferences_from_judgments(judgments).annotators}
        estimated.append([annotators[f"w{k}"].accuracy for k in range(7)])
        covered += [
            annotators[f"w{k}"].accuracy_low <= known <= annotators[f"w{k}"].accuracy_high
            for k, known in enumerate(accuracies)
        ]
    assert np.mean(estimated, axis=0) == pytest.approx(accuracies, abs=0.035)
    # Expected counts hide that the truth is inferred: nominal 95 % intervals cover about 90 %.
    assert np.mean(covered) > 0.8


def test_dawid_skene_beats_majority_and_smoothed_vote_share_in_log_loss_on_the_known_truth():
    for seed in range(5):
        judgments, truth = coin_judgments(seed, (0.95, 0.9, 0.75, 0.65, 0.55, 0.5), per_pair=3)
        weighed = log_loss(preferences_from_judgments(judgments).preferences, truth)
        for method in ("majority", "vote_share"):
            counted = preferences_from_judgments(judgments, method=method).preferences
            best = min(log_loss(counted, truth, smoothing=smoothing) for smoothing in (0.25, 0.5, 1.0, 2.0))
            assert weighed < 0.9 * best


def test_a_habit_of_the_left_side_is_found_and_does_not_move_the_outcome():
    honest, truth = coin_judgments(0, (0.9, 0.9, 0.9), per_pair=3)
    pulled, _ = coin_judgments(0, (0.9, 0.9, 0.9), per_pair=3, left_pull=0.4)
    habit = {
        name: np.mean([a.left_habit for a in preferences_from_judgments(judgments).annotators])
        for name, judgments in (("honest", honest), ("pulled", pulled))
    }
    # Left better: 0.94 left, 0.06 right; right better: 0.46 left, 0.54 right.
    # Habit = (ln(0.94 / 0.06) + ln(0.46 / 0.54)) / 2 = 1.30, shrunk by the prior.
    assert habit["honest"] == pytest.approx(0.0, abs=0.15)
    assert habit["pulled"] == pytest.approx(1.30, abs=0.3)
    # The best anyone can do is the posterior under the true probabilities of saying left.
    said_left = {"better": 0.4 + 0.6 * 0.9, "worse": 0.4 + 0.6 * 0.1}
    evidence = dict.fromkeys(truth, 0.0)
    for judgment in pulled:
        if judgment.choice.is_decided:
            left_better, left_worse = (
                (chance if judgment.choice is Choice.LEFT else 1 - chance) for chance in said_left.values()
            )
            sign = 1 if judgment.comparison.left == truth[judgment.comparison.prompt.id] else -1
            evidence[judgment.comparison.prompt.id] += sign * math.log(left_better / left_worse)
    best = float(np.mean([math.log1p(math.exp(-log_odds)) for log_odds in evidence.values()]))
    weighed = log_loss(preferences_from_judgments(pulled).preferences, truth)
    shares = preferences_from_judgments(pulled, method="vote_share").preferences
    assert best <= weighed < 1.1 * best
    assert weighed < log_loss(shares, truth, smoothing=0.5)


def test_an_adversary_is_found_out_and_used():
    judgments, truth = coin_judgments(1, (0.9, 0.9, 0.85, 0.1), pairs=300)
    result = preferences_from_judgments(judgments)
    adversary = next(a for a in result.annotators if a.annotator_id == "w3")
    assert adversary.accuracy_high < 0.3
    assert log_loss(result.preferences, truth) < 0.2


def simulated(seed, **settings):
    """Judgments of a simulated crowd, and the probability that each pair's first answer is better."""
    config = ComparisonConfig(n_items=30, n_annotators=15, n_pairs=200, judgments_per_pair=3, **settings)
    crowd = simulate_comparisons(config, seed)
    prompt = Prompt.from_text("one question")
    choice = {LEFT: Choice.LEFT, RIGHT: Choice.RIGHT, TIE: Choice.TIE}
    judgments = [
        Judgment(
            comparison=Comparison(prompt=prompt, left=f"{left:02}", right=f"{right:02}"),
            annotator_id=f"w{annotator:02}",
            choice=choice[answer],
        )
        for left, right, annotator, answer in zip(
            crowd.left.tolist(),
            crowd.right.tolist(),
            crowd.annotator_index.tolist(),
            crowd.answer.tolist(),
            strict=True,
        )
    ]
    return judgments, crowd


def cross_entropy(preferences, scores):
    """Mean log-loss against an annotator of gain 1 without habits."""
    chosen = np.array([scores[int(one.chosen)] for one in preferences])
    rejected = np.array([scores[int(one.rejected)] for one in preferences])
    truth = 1 / (1 + np.exp(rejected - chosen))
    found = np.array([one.p_chosen for one in preferences]).clip(1e-6, 1 - 1e-6)
    return float(-(truth * np.log(found) + (1 - truth) * np.log(1 - found)).mean())


def test_scores_of_answers_pay_where_answers_meet_several_others():
    settings = {"gain_spread": 0.5, "reversed_share": 0.1, "position_spread": 0.5, "tie_threshold": 0.4}
    for seed in range(3):
        judgments, crowd = simulated(seed, **settings)
        by_method = {
            method: cross_entropy(
                preferences_from_judgments(judgments, method=method).preferences, crowd.scores
            )
            for method in ("annotator_aware", "dawid_skene", "vote_share")
        }
        assert by_method["annotator_aware"] < min(by_method["dawid_skene"], by_method["vote_share"])


def test_a_reversed_annotator_is_found_by_scores_too():
    judgments, crowd = simulated(5, reversed_share=0.1, score_spread=2.5)
    estimates = preferences_from_judgments(judgments, method="annotator_aware").annotators
    by_annotator = {one.annotator_id: one.accuracy for one in estimates}
    accuracy = np.array([by_annotator[f"w{k:02}"] for k in range(len(crowd.gains))])
    assert (accuracy[crowd.gains < 0] < 0.5).all()
    assert (accuracy[crowd.gains > 0] > 0.5).all()


def test_information_weighs_a_pair_by_what_its_probability_tells():
    judgments = [
        *votes(Choice.LEFT, Choice.LEFT, Choice.LEFT, Choice.RIGHT),
        judgment("ann", Choice.TIE, question="r"),
    ]
    result = preferences_from_judgments(judgments, method="vote_share", weighting="information")
    weights = {one.prompt.text: one.weight for one in result.preferences}
    # 3 of 4: 1 - (3/4 log2(4/3) + 1/4 log2(4)) bits; a tie tells nothing
    assert weights["q"] == pytest.approx(1 - (0.75 * math.log2(4 / 3) + 0.25 * 2))
    assert weights["r"] == 0.0
    with pytest.raises(DataError, match="weighting 'entropy' is unknown; expected one of one, information"):
        preferences_from_judgments(judgments, weighting="entropy")


def test_only_known_answers_make_preferences_calibrated():
    judgments, truth = coin_judgments(2, (0.9, 0.8, 0.7, 0.6), pairs=200, per_pair=2)
    prompts = {one.comparison.prompt.id: one.comparison.prompt for one in judgments}
    gold = [
        Preference(
            prompt=prompts[key], chosen=better, rejected=("b" if better[0] == "a" else "a") + better[1:]
        )
        for key, better in truth.items()
    ]
    raw = preferences_from_judgments(judgments, method="majority")
    calibrated = preferences_from_judgments(judgments, method="majority", gold=gold[:40])
    assert (raw.is_calibrated, calibrated.is_calibrated) == (False, True)
    assert calibrated.calibration.n_gold == 40
    assert calibrated.preferences[0].provenance.method == "majority, calibrated"
    held_out = {key: better for key, better in list(truth.items())[40:]}
    rest = [
        one for one in calibrated.preferences if one.prompt.id in held_out and one.p_chosen not in (0.5, 1.0)
    ]
    # 160 pairs held out; a pair of one vote each way stays a tie, and no pair is certain any more
    assert 90 <= len(rest) < 160
    assert log_loss(rest, truth) < 0.6
