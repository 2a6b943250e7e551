"""Importance weights by hand, and the expectation they restore by enumeration."""

import math

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from torch import tensor

from accord.training.objectives import correction

importance_weights = jaxtyped(typechecker=beartype)(correction.importance_weights)
INDEX = tensor([0, 0, 1])
LEARNER = tensor([-1.0, -1.0, -2.0], dtype=torch.float64)
SAMPLER = LEARNER - tensor([2.0, 1.5, 0.1], dtype=torch.float64).log()  # weights 2, 1.5, 0.1


@pytest.mark.parametrize(
    ("mode", "level", "expected"),
    [
        ("truncate", "token", [1.8, 1.5, 0.1]),
        ("mask", "token", [0.0, 1.5, 0.0]),
        ("truncate", "sequence", [1.8, 1.8, 0.1]),  # 2 * 1.5 = 3 is over the cap
        ("mask", "sequence", [0.0, 0.0, 0.0]),
    ],
)
def test_weights_by_hand(mode, level, expected):
    found = importance_weights(LEARNER, SAMPLER, INDEX, mode=mode, level=level, cap=1.8)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_under_the_cap_sequence_weights_are_those_of_the_whole_completion():
    found = importance_weights(LEARNER, SAMPLER, INDEX, mode="mask", level="sequence", cap=20.0)
    assert found.tolist() == pytest.approx([3.0, 3.0, 0.1], rel=1e-12)


def test_equal_samplers_weigh_one_and_no_tokens_none():
    assert (
        importance_weights(LEARNER, LEARNER, INDEX, mode="truncate", level="token", cap=1.0).tolist()
        == [1] * 3
    )
    empty = torch.zeros(0)
    none = importance_weights(empty, empty, INDEX[:0], mode="mask", level="sequence", cap=2.0)
    assert none.shape == (0,)


def test_extreme_differences_are_finite():
    far = tensor([1e4, -1e4, 0.0])
    found = importance_weights(far, torch.zeros(3), INDEX, mode="truncate", level="token", cap=math.inf)
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_sequence_weights_restore_the_expectation_under_the_learner_and_token_weights_do_not(level):
    # two tokens of two letters, all four sequences enumerated; f pays 1 for "bb"
    learner = tensor([[0.3, 0.7], [0.8, 0.2], [0.4, 0.6]], dtype=torch.float64).log()
    sampler = tensor([[0.5, 0.5], [0.6, 0.4], [0.7, 0.3]], dtype=torch.float64).log()
    truth, found = 0.7 * 0.6, 0.0
    for first in range(2):
        for second in range(2):
            of = [tensor([each[0, first], each[1 + first, second]]) for each in (learner, sampler)]
            weights = importance_weights(
                of[0].double(), of[1].double(), tensor([0, 0]), mode="truncate", level=level, cap=100.0
            )
            reward = float(first == 1 and second == 1)
            found += float(of[1].sum().exp()) * reward * float(weights[1])
    if level == "sequence":
        assert found == pytest.approx(truth, rel=1e-6)
    else:
        assert found == pytest.approx(
            0.5 * 0.6, rel=1e-6
        )  # the first token's probability stays the sampler's
