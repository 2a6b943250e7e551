"""Small tables of labels, given as rows of (item, annotator, value)."""

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.labels import LabelTable, tabulate_labels


def _table_of(rows, *, classes=None) -> LabelTable:
    items, annotators, values = zip(*rows, strict=True)
    columns = LabelColumns(items=items, annotators=annotators, values=values)
    return tabulate_labels(columns, classes=classes)


def _random_rows(seed=0, *, n_items=40, n_annotators=8, classes=("a", "b", "c"), share=0.6, skill=0.75):
    """Labels of annotators who are right with probability `skill`."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(len(classes), size=n_items)
    rows = []
    for i in range(n_items):
        for w in range(n_annotators):
            if generator.random() < share or w == i % n_annotators:
                is_right = generator.random() < skill
                value = truth[i] if is_right else generator.integers(len(classes))
                rows.append((f"item {i:03d}", f"person {w}", classes[value]))
    return rows


@pytest.fixture(scope="session")
def table_of():
    return _table_of


@pytest.fixture(scope="session")
def random_rows():
    return _random_rows
