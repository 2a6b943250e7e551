"""Gold decides between the model's posterior and named kinds of items."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.consensus.dawid_skene import fit_dawid_skene
from accord.quality.consensus.evidence import UNKNOWN, gather_evidence
from accord.quality.consensus.gold_stack import fit_gold_stack, named_posteriors
from accord.quality.consensus.result import Consensus
from accord.quality.labels import tabulate_labels

DATA = Path(__file__).parents[3].parent / "shared" / "data"


def crowd(shares, truths, n_items=200, n_annotators=15, seed=0):
    """Items of several kinds, each with a share of annotators who say 1, and a true class."""
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, len(shares), n_items)
    values = generator.random((n_items, n_annotators)) < np.array(shares)[kind, None]
    items = np.repeat(np.arange(n_items), n_annotators)
    annotators = np.tile(np.arange(n_annotators), n_items)
    table = tabulate_labels(
        LabelColumns(items=items, annotators=annotators, values=values.ravel().astype(int))
    )
    return table, np.array(truths)[kind]


def model_of(table):
    evidence = gather_evidence(table)
    parameters = fit_dawid_skene(evidence).parameters
    posterior = evidence.posterior(parameters.log_rates, parameters.log_classes)
    return Consensus("dawid_skene", table.items, table.classes, posterior, table.labels_per_item)


def some_gold(truth, count, seed=0):
    picked = np.random.default_rng(seed).choice(len(truth), count, replace=False)
    return {int(item): int(truth[item]) for item in picked}


def test_kind_that_misleads_most_is_renamed_by_gold():
    # the third kind is 0, and more say 1 of it than of the second, which is 1
    table, truth = crowd([0.1, 0.6, 0.95], [0, 1, 0])
    stack = fit_gold_stack(model_of(table), table, some_gold(truth, 40))
    assert stack.source == "kinds"
    assert stack.consensus.method == "kinds"
    assert stack.consensus.is_calibrated
    assert (stack.consensus.probabilities.argmax(axis=1) == truth).mean() > 0.85
    assert (model_of(table).probabilities.argmax(axis=1) == truth).mean() < 0.75
    assert "share an error on some kinds" in stack.alarms[0]


def test_plain_crowd_keeps_the_model():
    table, truth = crowd([0.2, 0.8], [0, 1])
    stack = fit_gold_stack(model_of(table), table, some_gold(truth, 40))
    assert stack.source == "model"
    assert stack.consensus.method == "dawid_skene"
    assert set(stack.log_losses) == {"model", "kinds"}


def test_without_gold_nothing_is_called_calibrated():
    table, _ = crowd([0.2, 0.8], [0, 1], n_items=20)
    stack = fit_gold_stack(model_of(table), table, {})
    assert not stack.consensus.is_calibrated
    assert stack.log_losses == {}
    assert stack.alarms == ()


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_gold_items_are_enough_for_a_result(count):
    table, truth = crowd([0.2, 0.8], [0, 1], n_items=20)
    stack = fit_gold_stack(model_of(table), table, some_gold(truth, count))
    assert stack.consensus.probabilities.sum(axis=1) == pytest.approx(np.ones(20))


def test_no_gold_item_names_its_own_kind():
    table, truth = crowd([0.1, 0.95, 0.75], [0, 1, 0], n_items=60)
    gold = np.full(60, UNKNOWN)
    gold[:10] = truth[:10]
    plain = named_posteriors(table, gold)
    for item in range(3):
        changed = gold.copy()
        changed[item] = 1 - changed[item]
        assert named_posteriors(table, changed)[item].tolist() == plain[item].tolist()


def read(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout")
@pytest.mark.parametrize(
    ("name", "most", "least_accuracy"),
    # 2 % above the best published log-loss with 30 gold items, mean of draws
    [
        ("bluebirds", 1.02 * 0.329, 0.88),
        ("ducks", 1.02 * 0.382, 0.83),
        ("rte", 1.02 * 0.211, 0.92),
        ("sentiment1000", 1.02 * 0.570, 0.715),
    ],
)
def test_thirty_gold_items_reach_the_best_published_log_loss(name, most, least_accuracy):
    rows = read(f"crowd_{name}/labels.jsonl.gz")
    columns = LabelColumns(
        items=[row["task"] for row in rows],
        annotators=[row["worker"] for row in rows],
        values=[row["label"] for row in rows],
    )
    table = tabulate_labels(columns, repeats="first")
    gold = {row["task"]: row["gold"] for row in read(f"crowd_{name}/gold.jsonl.gz")}
    truth = np.array([gold[item] for item in table.items.tolist()])
    model = model_of(table)
    losses, rights = [], []
    for draw in range(20):
        used = np.random.default_rng(draw).choice(len(truth), 30, replace=False)
        stack = fit_gold_stack(model, table, {table.items[i]: int(truth[i]) for i in used})
        rest = np.setdiff1d(np.arange(len(truth)), used)
        chances = stack.consensus.probabilities[rest]
        losses.append(-np.log(chances[np.arange(len(rest)), truth[rest]]).mean())
        rights.append((chances.argmax(axis=1) == truth[rest]).mean())
    assert np.mean(losses) < most
    assert np.mean(rights) > least_accuracy
