"""KTO by hand, against numpy, and its gradient against finite differences in fp64."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from accord.domain import TrainingError
from accord.training.objectives.unpaired import kto, reference_point


def test_kto_by_hand():
    # beta 0.5, z = 1: gains ln 3 and -ln 3 -> s(-ln 3) = 1/4 wanted, s(-ln 3) = 1/4 unwanted
    ratios = tensor([1 + 2 * math.log(3), 1 - 2 * math.log(3)])
    losses = kto(
        ratios, tensor([1.0, 0.0]), reference=tensor(1.0), beta=0.5, desirable_weight=2, undesirable_weight=3
    )
    assert losses.tolist() == pytest.approx([2 / 4, 3 / 4], rel=1e-6)


def test_at_the_reference_point_every_row_costs_half_its_weight():
    losses = kto(tensor([0.7, 0.7]), tensor([1.0, 0.0]), reference=tensor(0.7), beta=0.1)
    assert losses.tolist() == [0.5, 0.5]


def test_kto_equals_its_numpy_twin():
    generator = np.random.default_rng(0)
    ratios, labels = generator.normal(0, 20, 33), generator.uniform(0, 1, 33)
    mismatched = generator.normal(2, 5, 33)
    point = max(0.0, mismatched.mean())
    gains = 0.3 * (ratios - point)
    value = labels * 1.5 / (1 + np.exp(gains)) + (1 - labels) * 0.5 / (1 + np.exp(-gains))
    losses = kto(
        torch.from_numpy(ratios),
        torch.from_numpy(labels),
        reference=reference_point(torch.from_numpy(mismatched)),
        beta=0.3,
        desirable_weight=1.5,
        undesirable_weight=0.5,
    )
    np.testing.assert_allclose(losses.numpy(), value, rtol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    ratios = torch.randn(7, dtype=torch.float64, generator=generator, requires_grad=True)
    labels = torch.rand(7, dtype=torch.float64, generator=generator)

    def loss(values):
        return kto(values, labels, reference=tensor(0.2).double(), beta=0.4, undesirable_weight=2.0)

    assert torch.autograd.gradcheck(loss, (ratios,))


def test_the_reference_point_is_a_mean_without_gradient_and_never_negative():
    ratios = tensor([3.0, -1.0], requires_grad=True)
    assert reference_point(ratios).item() == 1.0  # (3 - 1) / 2
    assert not reference_point(ratios).requires_grad
    assert reference_point(tensor([-3.0, 1.0])).item() == 0.0
    assert reference_point(tensor([])).item() == 0.0


def test_naming_the_label_otherwise_mirrors_the_gain():
    one = kto(tensor([2.0]), tensor([0.3]), reference=tensor(0.0), beta=1.0)
    other = kto(tensor([-2.0]), tensor([0.7]), reference=tensor(0.0), beta=1.0)
    torch.testing.assert_close(one, other)


def test_huge_ratios_stay_finite():
    losses = kto(tensor([1e4, -1e4]), tensor([1.0, 1.0]), reference=tensor(0.0), beta=1.0)
    assert losses.tolist() == [0.0, 1.0]


def test_a_negative_weight_is_refused():
    with pytest.raises(TrainingError, match="undesirable_weight is -1"):
        kto(tensor([0.0]), tensor([1.0]), reference=tensor(0.0), beta=1.0, undesirable_weight=-1)
