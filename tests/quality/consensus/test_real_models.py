import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.consensus.evidence import gather_evidence
from accord.quality.consensus.glad import GladConfig, GladObjective, fit_glad
from accord.quality.consensus.models import fit_model
from accord.quality.labels import tabulate_labels

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout"),
]


def crowd(name):
    with gzip.open(DATA / f"crowd_{name}" / "labels.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    columns = LabelColumns(
        items=[row["task"] for row in rows],
        annotators=[row["worker"] for row in rows],
        values=[row["label"] for row in rows],
    )
    return tabulate_labels(columns, repeats="first")


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
