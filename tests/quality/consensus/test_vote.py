import numpy as np
import pytest

from accord.domain import ConfigError
from accord.quality.consensus.vote import majority, vote_share

ROWS = [
    *[("clear", w, value) for w, value in zip("stu", "aab", strict=True)],
    *[("tied", w, value) for w, value in zip("st", "ab", strict=True)],
]


def test_shares_by_hand(table_of):
    # clear: (2.5, 1.5) of 4; tied: (1.5, 1.5) of 3
    assert vote_share(table_of(ROWS)) == pytest.approx(np.array([[2.5 / 4, 1.5 / 4], [0.5, 0.5]]))


def test_ties_are_settled_by_a_named_policy(table_of):
    table = table_of(ROWS, classes=("a", "b", "c"))
    assert majority(table, ties="split") == pytest.approx(np.array([[1, 0, 0], [0.5, 0.5, 0]]))
    assert majority(table, ties="abstain") == pytest.approx(np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))
    drawn = [majority(table, ties="random", seed=seed)[1].argmax() for seed in range(40)]
    assert set(drawn) == {0, 1}
    with pytest.raises(ConfigError, match="expected one of abstain, random, split"):
        majority(table, ties="first")
