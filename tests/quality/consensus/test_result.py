import numpy as np

from accord.quality.consensus import TIE, Consensus


def consensus(probabilities, classes=("a", "b")):
    rows = np.array(probabilities, dtype=float)
    return Consensus(
        method="vote_share",
        items=np.array([f"item {i}" for i in range(len(rows))]),
        classes=classes,
        probabilities=rows,
        n_labels=np.full(len(rows), 3),
    )


def test_a_tie_has_no_label():
    found = consensus([[0.9, 0.1], [0.5, 0.5], [0.5 + 1e-12, 0.5 - 1e-12]])
    assert found.label_index.tolist() == [0, TIE, TIE]
    assert found.labels == ["a", None, None]


def test_one_class_is_its_own_label():
    assert consensus([[1.0]], classes=("only",)).labels == ["only"]


def test_rows_are_what_the_file_holds():
    (row,) = consensus([[0.25, 0.75]], classes=(0, 1)).rows()
    assert row == {
        "item": "item 0", "label": 1, "probs": {"0": 0.25, "1": 0.75}, "n": 3, "calibrated": False,
    }  # fmt: skip
