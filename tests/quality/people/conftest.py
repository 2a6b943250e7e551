"""A small synthetic crowd for this folder, and the real sets where they lie beside the checkout."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special

from accord.domain import LabelColumns
from accord.quality import tabulate_labels

DATA = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.fixture
def make_crowd():
    """make_crowd(seed, ...): table, truth, own-view posterior; items differ in difficulty and annotators in
    skill and in leniency by class. `spammers` are the last annotators, `minority` the first hold another
    view of `split` of the items, `copies` pairs (0, 1), (2, 3), ... take over each other's labels."""

    def make(
        seed,
        *,
        n_items=200,
        n_annotators=24,
        per_item=8,
        n_classes=2,
        hard=1.0,
        leniency=0.4,
        spammers=0,
        minority=0,
        split=0.35,
        copies=0,
        copy_rate=0.9,
    ):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, n_classes, n_items)
        hardness = rng.normal(0, hard, n_items)
        skill = rng.normal(1.8, 0.5, n_annotators)
        lean = rng.normal(0, leniency, (n_annotators, n_classes))
        item = np.repeat(np.arange(n_items), per_item)
        who = np.argsort(rng.random((n_items, n_annotators)), axis=1)[:, :per_item].ravel()
        other = (truth + 1) % n_classes
        is_split = rng.random(n_items) < split
        view = np.where((who < minority) & is_split[item], other[item], truth[item])
        is_right = rng.random(len(item)) < special.expit(skill[who] - hardness[item] + lean[who, view])
        wrong = (view + 1 + rng.integers(0, max(n_classes - 1, 1), len(item))) % n_classes
        given = np.where(is_right, view, wrong)
        is_spam = who >= n_annotators - spammers
        given[is_spam] = rng.integers(0, n_classes, is_spam.sum())
        place = np.full((n_items, n_annotators), -1)
        place[item, who] = np.arange(len(item))
        for pair in range(copies):
            both = (
                (place[:, 2 * pair] >= 0) & (place[:, 2 * pair + 1] >= 0) & (rng.random(n_items) < copy_rate)
            )
            given[place[both, 2 * pair + 1]] = given[place[both, 2 * pair]]
        columns = LabelColumns(items=item, annotators=who, values=given)
        table = tabulate_labels(columns, classes=tuple(range(n_classes)))
        return SimpleNamespace(table=table, truth=truth, columns=columns, place=place)

    return make


def vote_shares(table):
    smoothed = table.counts + 0.5
    return smoothed / smoothed.sum(axis=1, keepdims=True)


def fit_confusions(table, *, iterations=50):
    """A plain Dawid-Skene posterior, as the consensus the audit is handed."""
    posterior = vote_shares(table)
    rows = np.arange(table.n_classes)
    for _ in range(iterations):
        counts = np.ones((table.n_annotators, table.n_classes, table.n_classes))
        counts[:, rows, rows] += 1
        for k in range(table.n_classes):
            np.add.at(
                counts[:, k], (table.annotator_index, table.class_index), posterior[table.item_index, k]
            )
        confusion = np.log(counts / counts.sum(axis=2, keepdims=True))
        evidence = np.log(posterior.mean(axis=0)) + np.zeros_like(posterior)
        np.add.at(evidence, table.item_index, confusion[table.annotator_index, :, table.class_index])
        posterior = special.softmax(evidence, axis=1)
    return posterior


@pytest.fixture
def consensus():
    """consensus.vote(table) and consensus.dawid_skene(table): posteriors [item, class]."""
    return SimpleNamespace(vote=vote_shares, dawid_skene=fit_confusions)


def read_rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture
def read_crowd():
    """read_crowd(name): table and gold of a real set."""

    def read(name):
        if not DATA.is_dir():
            pytest.skip("the human data does not lie beside the checkout")
        labels = read_rows(DATA / name / "labels.jsonl.gz")
        columns = LabelColumns(
            items=[row["task"] for row in labels],
            annotators=[row["worker"] for row in labels],
            values=[row["label"] for row in labels],
        )
        gold = {row["task"]: row["gold"] for row in read_rows(DATA / name / "gold.jsonl.gz")}
        return SimpleNamespace(table=tabulate_labels(columns, repeats="first"), gold=gold, columns=columns)

    return read


@pytest.fixture
def read_ratings():
    """read_ratings(path): rows of a real file of ratings."""

    def read(path):
        if not DATA.is_dir():
            pytest.skip("the human data does not lie beside the checkout")
        return read_rows(DATA / path)

    return read
