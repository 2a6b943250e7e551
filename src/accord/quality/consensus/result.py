"""What the labels of a table say together: a probability of each class for each item.

Leaves out how it was found (`choice.py`) and whether the probabilities can be trusted (`calibration.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import Value

TIE = -1
"""Marks an item whose most probable classes are equally probable."""
TIE_TOLERANCE = 1e-9
"""Probabilities that differ by less are equal: rounding must not decide."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """Probabilities of the classes, item by item."""

    method: str
    items: NDArray[Any]
    """[item] Ids."""
    classes: tuple[Value, ...]
    probabilities: NDArray[np.float64]
    """[item, class] Rows sum to 1."""
    n_labels: NDArray[np.int64]
    """[item] Labels behind each row."""
    is_calibrated: bool = False
    """True where the probabilities were fitted to known answers."""
    reason: str = ""
    """Why this method, where it was chosen; else empty."""

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return len(self.items)

    @property
    def label_index(self) -> NDArray[np.int64]:
        """[item] The most probable class, `TIE` where two are equally probable."""
        ordered = np.sort(self.probabilities, axis=1)
        best = np.asarray(self.probabilities.argmax(axis=1))
        if self.probabilities.shape[1] < 2:
            return best
        return np.asarray(np.where(ordered[:, -1] - ordered[:, -2] < TIE_TOLERANCE, TIE, best))

    @property
    def labels(self) -> list[Value | None]:
        """[item] The most probable class, None where two are equally probable."""
        return [None if index == TIE else self.classes[index] for index in self.label_index]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One record an item: `item`, `label`, `probs` by class, `n` labels, `calibrated`."""
        names = [str(value) for value in self.classes]
        for item, label, row, n in zip(
            self.items.tolist(), self.labels, self.probabilities.tolist(), self.n_labels.tolist(), strict=True
        ):
            yield {
                "item": item,
                "label": label,
                "probs": dict(zip(names, row, strict=True)),
                "n": n,
                "calibrated": self.is_calibrated,
            }
