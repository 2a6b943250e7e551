import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from accord.domain import ConfigError, DataError, LabelColumns
from accord.quality.consensus import METHODS, fit_consensus, gold_index
from accord.quality.consensus.choice import ChoiceConfig, choose_model, published, smoothed
from accord.quality.consensus.held_out import SLOW_ABOVE, discounted, survey_models
from accord.quality.consensus.vote import vote_share
from accord.quality.labels import tabulate_labels
from accord.quality.simulation import CrowdConfig, simulate_labels

DATA = Path(__file__).parents[3].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout")


def read(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def real_set(name):
    """The table, and the class of each item, -1 where there is no gold."""
    rows = read(f"crowd_{name}/labels.jsonl.gz")
    columns = LabelColumns(
        items=[row["task"] for row in rows],
        annotators=[row["worker"] for row in rows],
        values=[row["label"] for row in rows],
    )
    table = tabulate_labels(columns, repeats="first")
    gold = {str(row["task"]): row["gold"] for row in read(f"crowd_{name}/gold.jsonl.gz")}
    place = {value: k for k, value in enumerate(table.classes)}
    index = np.array([place.get(gold.get(str(item)), -1) for item in table.items.tolist()])
    return table, index


def accuracy_of(probabilities, gold):
    """Share right on gold; tied classes share."""
    known = gold >= 0
    top = probabilities[known] >= probabilities[known].max(axis=1, keepdims=True) - 1e-9
    return float((top[np.arange(known.sum()), gold[known]] / top.sum(axis=1)).mean())


def log_loss_of(probabilities, gold):
    known = gold >= 0
    return float(-np.log(np.maximum(probabilities[known, gold[known]], 1e-12)).mean())


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(
    ("name", "at_least", "at_most", "seed"),
    [
        ("bluebirds", 0.8888, 0.325, 0),
        ("bluebirds", 0.8888, 0.325, 1),
        ("ducks", 0.6875, 0.477, 0),
        ("ducks", 0.6875, 0.477, 1),
        ("rte", 0.9275, 0.275, 0),
        ("sentiment1000", 0.713, 0.580, 0),
        ("webrating4", 0.769, 0.705, 0),
        ("hitspam", 0.66, 1.286, 0),
    ],
)
def test_auto_is_as_accurate_as_the_best_and_no_surer_than_the_vote_on_real_crowds(
    name, at_least, at_most, seed
):
    table, gold = real_set(name)
    fit = fit_consensus(table, seed=seed)
    assert accuracy_of(fit.consensus.probabilities, gold) >= at_least
    found = log_loss_of(fit.consensus.probabilities, gold)
    assert found <= at_most
    assert found <= log_loss_of(vote_share(table), gold) + 0.001
    assert fit.consensus.reason
    assert not any(row["calibrated"] for row in fit.consensus.rows())
    assert bool(fit.alarms) == (name == "ducks")
    if name != "ducks":
        assert log_loss_of(fit.raw.probabilities, gold) > found + 0.02


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("name", ["bluebirds", "rte", "sentiment1000"])
def test_dawid_skene_predicts_held_out_labels_far_better_than_votes(name):
    table, _ = real_set(name)
    found = fit_consensus(table).candidates
    assert found["dawid_skene"] > found["one_coin"] + 0.02
    assert found["dawid_skene"] > found["vote_share"] + 0.05


def test_auto_takes_the_simplest_model_that_holds():
    # Annotators who err alike on every class: one rate each is the truth.
    crowd = simulate_labels(CrowdConfig(n_items=1500, n_annotators=25, labels_per_item=5), 3)
    fit = fit_consensus(tabulate_labels(crowd.columns))
    assert fit.consensus.method == "one_coin"
    assert fit.alarms == ()
    # Annotators with leanings of their own: confusion matrices.
    leaning = CrowdConfig(n_items=1500, n_annotators=25, labels_per_item=5, class_spread=2.0)
    fit = fit_consensus(tabulate_labels(simulate_labels(leaning, 3).columns))
    assert fit.consensus.method in ("dawid_skene", "mace")


@pytest.mark.parametrize("seed", range(4))
def test_independent_errors_raise_no_alarm(seed):
    honest = CrowdConfig(n_items=300, n_annotators=30, labels_per_item=20, class_spread=seed / 2)
    assert fit_consensus(tabulate_labels(simulate_labels(honest, seed).columns)).alarms == ()


def leaning_crowd(n_items, seed=0):
    """Four kinds of items and two classes: kinds 0 and 2 are clear, kinds 1 and 3 are answered by a leaning
    of each annotator's own. Two classes cannot say that; kinds can."""
    generator = np.random.default_rng(seed)
    kinds = generator.integers(4, size=n_items)
    chance = np.stack(
        [
            np.full(25, 0.95),
            generator.uniform(0.2, 0.9, 25),
            np.full(25, 0.05),
            generator.uniform(0.1, 0.8, 25),
        ]
    )
    labels = (generator.random((n_items, 25)) >= chance[kinds]).astype(int)
    items, annotators = np.indices(labels.shape)
    columns = LabelColumns(items=items.ravel(), annotators=annotators.ravel(), values=labels.ravel())
    return tabulate_labels(columns)


def test_kinds_of_items_that_the_classes_do_not_show_raise_the_alarm():
    fit = fit_consensus(leaning_crowd(300))
    assert fit.consensus.method == "vote_share"
    assert "annotators share an error" in fit.alarms[0]


def test_the_limits_decide_what_is_made_of_the_same_held_out_labels():
    survey = survey_models(leaning_crowd(300))
    gain, error = survey.gain_of_kinds()
    assert choose_model(survey, ChoiceConfig(alarming_gain=0.9 * gain)).alarms
    assert not choose_model(survey, ChoiceConfig(alarming_gain=1.1 * gain)).alarms
    assert not choose_model(survey, ChoiceConfig(alarming_gain=0.0, sure_errors=1.1 * gain / error)).alarms
    means = {name: survey.means[name] for name in survey.candidates}
    plain = choose_model(survey, ChoiceConfig(alarming_gain=1.1 * gain, material_gain=0.0))
    assert plain.method == max(means, key=means.get)
    assert f"the best of {len(means)} models" in plain.reason
    lavish = ChoiceConfig(alarming_gain=1.1 * gain, material_gain=10.0)
    assert choose_model(survey, lavish).method == "vote_share"


def test_what_is_published_is_no_surer_than_the_largest_discount_allows(table_of):
    table = table_of([("i", who, "a") for who in "vwxy"], classes=("a", "b"))
    posterior = np.array([[0.99, 0.01]])
    for most in (0.1, 0.5):
        share = 99**most / (99**most + 1)
        found = published(table, posterior, 0.7, config=ChoiceConfig(most_discount=most))
        assert found[0, 0] == pytest.approx((4 * share + 0.5) / 5)


def test_limits_without_meaning_are_named_together():
    with pytest.raises(ConfigError) as caught:
        ChoiceConfig(material_gain=-1, alarming_gain=float("nan"), sure_errors=-2, most_discount=0)
    assert len(caught.value.problems) == 4


def test_the_alarm_is_raised_on_any_number_of_labels():
    table = leaning_crowd(SLOW_ABOVE // 25 + 200)
    assert table.n_labels > SLOW_ABOVE
    fit = fit_consensus(table)
    assert fit.consensus.method == "vote_share"
    assert "annotators share an error" in fit.alarms[0]


def test_independent_errors_raise_no_alarm_on_many_labels():
    honest = CrowdConfig(n_items=6000, n_annotators=60, labels_per_item=9, class_spread=1.0)
    table = tabulate_labels(simulate_labels(honest, 1).columns)
    assert table.n_labels > SLOW_ABOVE
    assert fit_consensus(table).alarms == ()


def test_the_published_consensus_is_never_surer_than_a_vote_without_dissent():
    crowd = simulate_labels(CrowdConfig(n_items=500, n_annotators=25, labels_per_item=5), 3)
    table = tabulate_labels(crowd.columns)
    fit = fit_consensus(table)
    assert fit.raw.probabilities.max() > 0.99
    # five labels of one class: 5.5 / 6
    assert fit.consensus.probabilities.max() <= 5.5 / 6
    assert (fit.consensus.probabilities.argmax(axis=1) == fit.raw.probabilities.argmax(axis=1)).all()
    # annotators are measured by the surer posterior
    assert fit.posterior.max() > 0.99


def test_smoothing_counts_the_labels_as_the_probabilities_say(table_of):
    table = table_of([("i", "w", "a"), ("i", "v", "b"), ("i", "u", "a")])
    # three labels, nine tenths of them a: (2.7 + 0.5) / 4
    assert smoothed(table, np.array([[0.9, 0.1]]))[0] == pytest.approx([0.8, 0.2])
    assert smoothed(table, np.array([[1.0, 0.0]])) == pytest.approx(np.array([[3.5 / 4, 0.5 / 4]]))


def test_more_classes_than_anybody_could_confuse_get_a_model_of_few_parameters():
    generator = np.random.default_rng(0)
    n_items, n_classes = 300, 90
    truth = generator.integers(n_classes, size=n_items)
    right = generator.random((n_items, 5)) < 0.7
    values = np.where(right, truth[:, None], generator.integers(n_classes, size=right.shape))
    items, annotators = np.indices(values.shape)
    columns = LabelColumns(items=items.ravel(), annotators=annotators.ravel(), values=values.ravel())
    table = tabulate_labels(columns)
    fit = fit_consensus(table)
    assert set(fit.candidates) == {"vote_share", "one_coin", "mace"}
    assert (np.array(fit.consensus.labels) == truth).mean() > 0.9
    # each is right on .7 and 1/90 of the rest
    for one in fit.annotators:
        assert 0.0 < one.accuracy_low < one.accuracy < one.accuracy_high < 1.0


def test_few_labels_get_the_default(table_of):
    fit = fit_consensus(table_of([("i", "w", "a"), ("i", "v", "b"), ("j", "w", "a")]))
    assert fit.consensus.method == "dawid_skene"
    assert "too few labels" in fit.consensus.reason


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_every_item_a_probability_of_every_class(table_of, random_rows, method):
    table = table_of(random_rows(0))
    fit = fit_consensus(table, method=method)
    assert fit.consensus.probabilities.shape == (table.n_items, 3)
    assert fit.consensus.probabilities.sum(axis=1) == pytest.approx(np.ones(table.n_items))
    assert len(fit.annotators) == table.n_annotators
    assert [one.n_labels for one in fit.annotators] == np.bincount(table.annotator_index).tolist()


def test_the_same_seed_gives_the_same(table_of, random_rows):
    table = table_of(random_rows(1))
    first, second = (fit_consensus(table, seed=5) for _ in range(2))
    assert np.array_equal(first.consensus.probabilities, second.consensus.probabilities)
    assert first.candidates == second.candidates


def test_gold_is_certain_in_the_result(table_of, random_rows):
    table = table_of(random_rows(2))
    gold = {"item 000": "c", "item 001": "a"}
    for method in METHODS:
        fit = fit_consensus(table, method=method, gold=gold)
        assert fit.consensus.labels[:2] == ["c", "a"], method
        assert fit.consensus.probabilities[:2].max(axis=1) == pytest.approx([1.0, 1.0]), method


def test_unknown_methods_items_and_classes_are_named(table_of):
    table = table_of([("i", "w", "a"), ("j", "w", "b")])
    with pytest.raises(DataError, match="method is 'best'; expected one of auto, majority"):
        fit_consensus(table, method="best")
    with pytest.raises(DataError, match="gold names item 'x', which has no labels"):
        fit_consensus(table, gold={"x": "a"})
    with pytest.raises(
        DataError, match="gold of item 'i' is 'z', a class that nobody gave; expected one of 'a'"
    ):
        gold_index(table, {"i": "z"})


def test_a_discount_softens_and_keeps_the_order_of_two_classes(table_of):
    table = table_of([("i", "w", "a"), ("j", "w", "b")])
    posterior = np.array([[0.9, 0.1], [0.2, 0.8]])
    soft = discounted(table, posterior, 0.5)
    # odds of 9 become 3
    assert soft[0] == pytest.approx([0.75, 0.25])
    assert (soft.argmax(axis=1) == posterior.argmax(axis=1)).all()
    assert discounted(table, posterior, 1.0) == pytest.approx(posterior)


def test_with_three_classes_the_vote_is_one_more_opinion(table_of):
    table = table_of([("i", "w", "a")], classes=("a", "b", "c"))
    # shares (1.5, 0.5, 0.5) / 2.5 times an undecided posterior
    soft = discounted(table, np.full((1, 3), 1 / 3), 1.0)
    assert soft[0] == pytest.approx([0.6, 0.2, 0.2])
