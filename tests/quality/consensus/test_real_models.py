import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.consensus.dawid_skene import DawidSkeneConfig
from accord.quality.consensus.evidence import gather_evidence
from accord.quality.consensus.glad import GladConfig, GladObjective, fit_glad
from accord.quality.consensus.models import fit_model
from accord.quality.labels import tabulate_labels

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout"),
]


def rows_of(name):
    with gzip.open(DATA / f"crowd_{name}" / "labels.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def table_of_rows(rows):
    columns = LabelColumns(
        items=[row["task"] for row in rows],
        annotators=[row["worker"] for row in rows],
        values=[row["label"] for row in rows],
    )
    return tabulate_labels(columns, repeats="first")


def crowd(name):
    return table_of_rows(rows_of(name))


def test_glad_climbs_on_until_the_gradient_is_flat():
    # two steps are where a tolerance on the mean of the objective has been seen to stop
    table = crowd("rte")
    early = fit_glad(table, GladConfig(max_iterations=2))
    fit = fit_glad(table)
    assert fit.has_converged
    assert not early.has_converged
    assert len(fit.objectives) > 10
    assert fit.objectives[-1] > early.objectives[-1] + 10
    point = np.concatenate([fit.ability, fit.log_ease, fit.log_classes])
    _, gradient = GladObjective(table, GladConfig(), None).value_and_gradient(point)
    assert np.abs(gradient).max() < 0.05


def test_a_class_with_a_thousandth_of_the_labels_does_not_gather_items():
    with gzip.open(DATA / "crowd_google_facts" / "labels.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = LabelColumns(
        items=np.array([int(row["task"]) for row in rows]),
        annotators=np.array([int(row["worker"][1:]) for row in rows]),
        values=[row["label"] for row in rows],
    )
    table = tabulate_labels(columns, repeats="first")
    given = np.bincount(table.class_index)
    rare = int(given.argmin())
    assert given[rare] < 400
    model = fit_model(table, "dawid_skene", evidence=gather_evidence(table))
    taken = int((model.posterior.argmax(axis=1) == rare).sum())
    assert taken <= given[rare]


NEARLY_NO_PRIOR = DawidSkeneConfig(right_count=0.01, wrong_count=0.01, start="vote")
PUBLISHED = {
    # nats a held-out label of a known annotator, one draw of a tenth of the labels of each set
    "bluebirds": (0.445, 0.442, 0.573, 0.446, 0.593),
    "rte": (0.464, 0.429, 0.506, 0.432, 0.611),
    "sentiment1000": (0.374, 0.372, 0.468, 0.370, 0.434),
}
MODELS = (
    ("dawid_skene", NEARLY_NO_PRIOR),
    ("dawid_skene", DawidSkeneConfig(start="vote")),
    ("one_coin", None),
    ("hierarchical", None),
    ("vote_share", None),
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_loss_of_held_out_labels_is_the_published_one_up_to_the_draw(name):
    table = crowd(name)
    losses = []
    for draw in range(12):
        is_kept = np.random.default_rng(draw).random(table.n_labels) >= 0.1
        rest = table.select(is_kept)
        place = np.full(table.n_items, -1)
        place[np.unique(table.item_index[is_kept])] = np.arange(rest.n_items)
        is_known = np.bincount(rest.annotator_index, minlength=table.n_annotators) > 0
        held = ~is_kept & (place[table.item_index] >= 0) & is_known[table.annotator_index]
        pairs = place[table.item_index[held]], table.annotator_index[held]
        rows = np.arange(held.sum())
        fits = [fit_model(rest, method, config=config) for method, config in MODELS]
        found = [fit.predict(*pairs)[rows, table.class_index[held]] for fit in fits]
        losses.append([-np.log(np.maximum(chances, 1e-6)).mean() for chances in found])
    mean, spread = np.mean(losses, axis=0), np.std(losses, axis=0, ddof=1)
    # five models on three sets: all within two standard deviations of a draw
    assert (np.abs(mean - PUBLISHED[name]) < 2 * spread).all(), (mean, spread)
    no_prior, prior, one_coin, pooled, vote = mean
    assert min(prior, pooled) < no_prior < one_coin
    assert max(prior, pooled) < vote - 0.05
    assert abs(prior - pooled) < 0.01


@pytest.mark.parametrize(("name", "tolerances"), [
    ("bluebirds", (0.001, 0.001, 0.001, 0.001, 0.001)),
    ("sentiment1000", (0.0025, 0.0025, 0.05, 0.0025, 0.001)),
])  # fmt: skip
def test_the_published_draw_gives_the_published_losses(name, tolerances):
    # a tenth by default_rng(0), rows in the file's order
    rows = rows_of(name)
    is_held = np.random.default_rng(0).random(len(rows)) < 0.1
    rest = table_of_rows([row for row, held in zip(rows, is_held, strict=True) if not held])
    item = {value: i for i, value in enumerate(rest.items.tolist())}
    annotator = {value: i for i, value in enumerate(rest.annotators.tolist())}
    place = {value: k for k, value in enumerate(rest.classes)}
    held = [
        (item[row["task"]], annotator[row["worker"]], place[row["label"]])
        for row, is_out in zip(rows, is_held, strict=True)
        if is_out and row["task"] in item and row["worker"] in annotator
    ]
    items, annotators, classes = np.array(held).T
    found = [
        -np.log(
            fit_model(rest, method, config=config).predict(items, annotators)[np.arange(len(held)), classes]
        ).mean()
        for method, config in MODELS
    ]
    assert (np.abs(np.array(found) - PUBLISHED[name]) <= tolerances).all(), found
    # where the printed figure was not met (one-coin on sentiment1000) ours is the lower loss
    assert found[2] <= PUBLISHED[name][2] + 0.001
