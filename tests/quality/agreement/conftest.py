"""Tables from a matrix with one row an item and one column an annotator."""

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.labels import tabulate_labels


def _table_of(matrix, *, classes=None):
    cells = [
        (i, j, value)
        for i, row in enumerate(matrix)
        for j, value in enumerate(row)
        if value is not None and value == value
    ]
    items, annotators, values = zip(*cells, strict=True)
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    return tabulate_labels(LabelColumns(items=items, annotators=annotators, values=values), classes=classes)


@pytest.fixture(scope="session")
def table_of():
    """None and NaN are missing ratings."""
    return _table_of
