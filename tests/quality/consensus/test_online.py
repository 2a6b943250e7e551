"""Online Dawid-Skene: one judgment by hand, exact replay, and the batch fit after settling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

from accord.domain import ConfigError, DataError, LabelColumns
from accord.quality.consensus.dawid_skene import DawidSkeneConfig, fit_dawid_skene
from accord.quality.consensus.em import EMConfig
from accord.quality.consensus.evidence import UNKNOWN, gather_evidence
from accord.quality.consensus.online import LabelEvent, OnlineConfig, OnlineConsensus
from accord.quality.labels import tabulate_labels

TOLERANCE = 1e-5
"""That of the module's docstring."""


def crowd(seed, n_items=60, n_annotators=9, n_classes=2):
    """(item, annotator, value) in random order: annotators label 2 of 3 items, 60 to 95 % right."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, n_classes, n_items)
    skill = generator.uniform(0.6, 0.95, n_annotators)
    rows = []
    for i in range(n_items):
        for j in np.flatnonzero(generator.random(n_annotators) < 0.67).tolist():
            wrong = (truth[i] + generator.integers(1, n_classes)) % n_classes
            rows.append((i, j, int(truth[i] if generator.random() < skill[j] else wrong)))
    return [rows[i] for i in generator.permutation(len(rows))]


def run(rows, config=None, gold=None, n_classes=2):
    state = OnlineConsensus(tuple(range(n_classes)), config, gold=gold)
    for row in rows:
        state.add(*row)
    return state


def batch(rows, n_classes=2, gold=None):
    """Items and posteriors of the batch fit run until rounding stops it."""
    items, annotators, values = zip(*rows, strict=True)
    columns = LabelColumns(items=items, annotators=annotators, values=values)
    table = tabulate_labels(columns, classes=range(n_classes))
    evidence = gather_evidence(table)
    em = EMConfig(tolerance=0.0, max_iterations=5000)
    known = None
    if gold is not None:
        known = np.array([gold.get(item, UNKNOWN) for item in table.items.tolist()])
    fit = fit_dawid_skene(evidence, DawidSkeneConfig(estimate="averaged", em=em), gold=known)
    found = evidence.posterior(fit.parameters.log_rates, fit.parameters.log_classes, gold=known)
    return table.items.tolist(), found


def expected_counts(state, rows, kept=1.0, imagined=((2.0, 1.0), (1.0, 2.0))):
    """[annotator, true, given] By definition: each label weighs its item's posterior, faded by its age."""
    last = {}
    for item, annotator, value in rows:
        last.setdefault(annotator, {})[item] = value
    out = {}
    for annotator, labels in last.items():
        out[annotator] = np.array(imagined)
        for age, (item, value) in enumerate(reversed(labels.items())):
            out[annotator][:, value] += kept**age * state.posterior(item)
    return out


def test_first_judgment_by_hand():
    # imagined 2 right, 1 wrong: expected log rates are digamma(2) - digamma(3) = -1/2 and
    # digamma(1) - digamma(3) = -3/2, so that log odds are 1; both classes equally frequent
    state = OnlineConsensus(("no", "yes"))
    found = state.add("item", "ann", "yes")
    share = 1 / (1 + np.exp(-1))
    assert found == pytest.approx([1 - share, share])
    assert state.counts("ann") == pytest.approx(np.array([[2, 1 + 1 - share], [1, 2 + share]]))
    assert state.rates("ann").sum(axis=1) == pytest.approx([1, 1])


def test_second_judgment_uses_what_is_known_of_each_annotator():
    state = OnlineConsensus((0, 1))
    first = state.add("item", "a", 1)
    counts = state.counts("a")
    classes = 1 + first
    log_joint = digamma(counts[:, 1]) - digamma(counts.sum(axis=1)) + digamma(classes)
    log_joint += digamma([2, 1]) - digamma(3)
    odds = np.exp(log_joint[1] - log_joint[0])
    assert state.add("item", "b", 0)[1] == pytest.approx(odds / (1 + odds))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_settled_state_is_the_batch_fit(seed, n_classes):
    rows = crowd(seed, n_classes=n_classes)
    state = run(rows, n_classes=n_classes)
    assert state.settle() < 5000
    items, expected = batch(rows, n_classes)
    found = np.array([state.posterior(item) for item in items])
    assert np.abs(found - expected).max() < TOLERANCE


def test_settled_state_is_the_batch_fit_with_gold():
    rows = crowd(5)
    gold = {0: 0, 7: 1, 9: 0, 1000: 1}
    state = run(rows, gold=gold)
    state.settle()
    items, expected = batch(rows, gold=gold)
    assert np.abs(np.array([state.posterior(item) for item in items]) - expected).max() < TOLERANCE
    assert state.posterior(7).tolist() == [0, 1]
    assert state.posterior(1000).tolist() == [0, 1]


def test_live_posteriors_come_close_to_the_batch_fit():
    rows = crowd(2, n_items=200)
    state = run(rows)
    items, expected = batch(rows)
    live = np.array([state.posterior(item) for item in items])
    assert np.abs(live - expected).mean() < 0.03


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_settled_state_does_not_depend_on_the_order(random):
    rows = crowd(1, n_items=12, n_annotators=4)
    shuffled = random.sample(rows, len(rows))
    first, second = run(rows), run(shuffled)
    first.settle()
    second.settle()
    for item in first.items:
        assert second.posterior(item) == pytest.approx(first.posterior(item), abs=1e-9)


EVENTS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from([0, 1, None])), min_size=1, max_size=40
)


def possible(events):
    """The events without retractions of what is not there."""
    alive, kept = set(), []
    for item, annotator, value in events:
        if value is None and (item, annotator) not in alive:
            continue
        (alive.discard if value is None else alive.add)((item, annotator))
        kept.append(LabelEvent(item, annotator, value))
    return kept


@settings(deadline=None, max_examples=50)
@given(EVENTS, st.sampled_from([None, 3.0]))
def test_replay_is_exact(events, half_life):
    config = OnlineConfig(half_life_judgments=half_life)
    events = possible(events)
    live = OnlineConsensus((0, 1), config)
    for event in events:
        if event.value is None:
            live.retract(event.item, event.annotator)
        else:
            live.add(event.item, event.annotator, event.value)
    again = OnlineConsensus.replay((0, 1), events, config)
    assert again.items == live.items
    assert again.probabilities.tolist() == live.probabilities.tolist()
    assert [again.counts(name).tolist() for name in again.annotators] == [
        live.counts(name).tolist() for name in live.annotators
    ]


@settings(deadline=None, max_examples=50)
@given(EVENTS)
def test_counts_are_those_of_the_labels_that_stand(events):
    events = possible(events)
    state = OnlineConsensus.replay((0, 1), events)
    standing = {}
    for event in events:
        standing[event.item, event.annotator] = event.value
    rows = [(*pair, value) for pair, value in standing.items() if value is not None]
    for annotator, counts in expected_counts(state, rows).items():
        assert state.counts(annotator) == pytest.approx(counts, abs=1e-9)
    assert set(state.items) == {item for item, _, _ in rows}
    assert state.probabilities.sum(axis=1) == pytest.approx(np.ones(len(state.items)))


def test_retracting_the_only_judgment_leaves_nothing():
    state = OnlineConsensus((0, 1))
    state.add("x", "a", 1)
    assert state.retract("x", "a").tolist() == pytest.approx([0.5, 0.5])
    assert state.items == ()
    assert state.counts("a") == pytest.approx(np.array([[2, 1], [1, 2]]))
    assert state.probabilities.shape == (0, 2)
    assert state.settle() == 0


def test_correction_is_as_if_the_last_answer_had_been_the_first():
    state = OnlineConsensus((0, 1))
    state.add("x", "a", 0)
    corrected = state.add("x", "a", 1)
    plain = OnlineConsensus((0, 1))
    once = plain.add("x", "a", 1)
    state.settle()
    plain.settle()
    assert state.posterior("x") == pytest.approx(plain.posterior("x"), abs=1e-8)
    assert corrected[1] > 0.5 < once[1]


def test_forgetting_weighs_each_label_by_its_age():
    rows = crowd(3, n_items=30, n_annotators=4)
    state = run(rows, OnlineConfig(half_life_judgments=5.0))
    for annotator, counts in expected_counts(state, rows, kept=2 ** (-1 / 5)).items():
        assert state.counts(annotator) == pytest.approx(counts, abs=1e-9)
    state.settle()
    for annotator, counts in expected_counts(state, rows, kept=2 ** (-1 / 5)).items():
        assert state.counts(annotator) == pytest.approx(counts, abs=1e-9)


def test_forgetting_follows_an_annotator_who_turns_bad():
    generator = np.random.default_rng(0)
    accuracy = {}
    for half_life in (None, 20.0):
        state = OnlineConsensus((0, 1), OnlineConfig(half_life_judgments=half_life))
        for item in range(300):
            truth = item % 2
            for name in ("b", "c", "d", "e"):
                state.add(item, name, truth)
            is_right = item < 200 or generator.random() < 0.5
            state.add(item, "turncoat", truth if is_right else 1 - truth)
        accuracy[half_life] = np.diag(state.rates("turncoat")).mean()
    assert accuracy[20.0] < 0.65 < 0.75 < accuracy[None]


def test_more_annotators_than_there_is_room_for_at_first():
    state = OnlineConsensus((0, 1))
    for number in range(50):
        state.add("x", number, 1)
    assert len(state.annotators) == 50
    rows = [("x", number, 1) for number in range(50)]
    for annotator, counts in expected_counts(state, rows).items():
        assert state.counts(annotator) == pytest.approx(counts, abs=1e-9)


def test_one_class_is_certain():
    state = OnlineConsensus(("only",))
    assert state.add("x", "a", "only").tolist() == [1]
    state.settle()
    assert state.posterior("x").tolist() == [1]
    assert state.posterior("unseen").tolist() == [1]


def test_stranger_has_the_prior():
    state = OnlineConsensus((0, 1), OnlineConfig(right_count=3.0, wrong_count=0.5))
    assert state.counts("nobody").tolist() == [[3, 0.5], [0.5, 3]]
    assert state.posterior("nothing").tolist() == [0.5, 0.5]


def test_bad_input_is_named():
    with pytest.raises(DataError, match="each once"):
        OnlineConsensus((1, 1))
    state = OnlineConsensus((0, 1))
    with pytest.raises(DataError, match="value is 7, expected one of 0, 1"):
        state.add("x", "a", 7)
    assert state.items == ()
    assert state.annotators == ()
    with pytest.raises(DataError, match="to retract"):
        state.retract("x", "a")
    with pytest.raises(ConfigError, match="half_life_judgments is 0"):
        OnlineConfig(half_life_judgments=0.0)
