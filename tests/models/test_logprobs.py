import math

import pytest
import torch

from accord.domain.errors import ModelError
from accord.models import logprobs as module
from accord.models.logprobs import sequence_sum, token_logprobs


def problem(n_tokens, n_vocabulary, width=12, dtype=torch.float64, spread=1.0):
    generator = torch.Generator().manual_seed(n_tokens + n_vocabulary)
    hidden = torch.randn(n_tokens, width, generator=generator, dtype=torch.float64) * spread
    weight = torch.randn(n_vocabulary, width, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, n_vocabulary, (n_tokens,), generator=generator)
    return hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets


def dense(hidden, weight, targets, temperature=1.0):
    table = torch.log_softmax(hidden.double() @ weight.double().T / temperature, -1)
    return table.gather(1, targets[:, None]).squeeze(1), -(table.exp() * table).sum(-1)


def test_logprob_and_entropy_by_hand():
    # logits 0 and ln 3: probabilities 1/4 and 3/4, entropy ln 4 - 3/4 ln 3
    hidden, weight = torch.ones(2, 1), torch.tensor([[0.0], [math.log(3.0)]])
    result = token_logprobs(hidden, weight, torch.tensor([0, 1]), with_entropy=True)
    assert result.logprobs.tolist() == pytest.approx([math.log(1 / 4), math.log(3 / 4)], rel=1e-6)
    assert result.entropy.tolist() == pytest.approx([math.log(4) - 3 / 4 * math.log(3)] * 2, rel=1e-6)
    # at temperature 1/2 the logits are 0 and 2 ln 3: probabilities 1/10 and 9/10
    halved = token_logprobs(hidden, weight, torch.tensor([0, 1]), temperature=0.5).logprobs
    assert halved.tolist() == pytest.approx([math.log(1 / 10), math.log(9 / 10)], rel=1e-6)


@pytest.mark.parametrize("kept_bytes", [0, 2**30], ids=["made again", "kept"])
@pytest.mark.parametrize(
    ("n_tokens", "n_vocabulary", "tile"), [(1, 2, 1), (7, 13, 3), (17, 101, 8), (9, 5, 64)]
)
def test_value_and_gradient_equal_dense_log_softmax(monkeypatch, kept_bytes, n_tokens, n_vocabulary, tile):
    monkeypatch.setattr(module, "KEPT_BYTES", kept_bytes)
    hidden, weight, targets = problem(n_tokens, n_vocabulary)
    upstream = torch.linspace(-1, 2, n_tokens, dtype=torch.float64)
    ours = token_logprobs(hidden, weight, targets, temperature=0.7, tile=tile, with_entropy=True)
    expected, entropy = dense(hidden, weight, targets, temperature=0.7)
    assert torch.allclose(ours.logprobs, expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(ours.entropy, entropy, rtol=1e-12, atol=1e-12)
    own = torch.autograd.grad((ours.logprobs * upstream).sum(), [hidden, weight])
    plain = torch.autograd.grad((expected * upstream).sum(), [hidden, weight])
    for mine, theirs in zip(own, plain, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-11, atol=1e-12)


def test_gradient_equals_finite_differences():
    hidden, weight, targets = problem(5, 11, width=3)
    assert torch.autograd.gradcheck(
        lambda h, w: token_logprobs(h, w, targets, temperature=1.3, tile=2).logprobs, (hidden, weight)
    )


@pytest.mark.parametrize("frozen", ["hidden", "weight"])
def test_only_what_learns_gets_a_gradient(frozen):
    hidden, weight, targets = problem(6, 9)
    (hidden if frozen == "hidden" else weight).requires_grad_(False)
    learning = weight if frozen == "hidden" else hidden
    ours = torch.autograd.grad(token_logprobs(hidden, weight, targets).logprobs.sum(), learning)[0]
    plain = torch.autograd.grad(dense(hidden, weight, targets)[0].sum(), learning)[0]
    assert torch.allclose(ours, plain, rtol=1e-11, atol=1e-12)


def test_entropy_carries_no_gradient_and_changes_no_logprob():
    hidden, weight, targets = problem(6, 9, dtype=torch.float32)
    with_entropy = token_logprobs(hidden, weight, targets, with_entropy=True)
    assert not with_entropy.entropy.requires_grad
    without = token_logprobs(hidden, weight, targets)
    assert without.entropy is None
    assert torch.equal(with_entropy.logprobs, without.logprobs)


def test_one_batch_equals_its_parts_bit_for_bit_within_a_tile():
    hidden, weight, targets = problem(30, 50, dtype=torch.float32)
    whole = token_logprobs(hidden, weight, targets, tile=10).logprobs
    parts = [token_logprobs(hidden[i : i + 10], weight, targets[i : i + 10]).logprobs for i in (0, 10, 20)]
    assert torch.equal(whole, torch.cat(parts))


def test_trap_42_statistics_are_fp32_over_a_large_vocabulary():
    # trap 42: with bf16 products over 150,001 entries the log-probs are as near to fp64 as the bf16 inputs
    # and products allow (ours round log2(e) * x, another draw of the same size); a log-sum-exp in bf16
    # would be off by 2^-8 * 12 = 0.05 on top
    hidden, weight, targets = problem(64, 150_001, width=16, dtype=torch.float32, spread=0.25)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        ours = token_logprobs(hidden, weight, targets, with_entropy=True)
        logits = (hidden @ weight.T).double()
    table = torch.log_softmax(logits, -1)
    same_products = table.gather(1, targets[:, None]).squeeze(1)
    exact, entropy = dense(hidden.detach(), weight.detach(), targets)
    assert ours.logprobs.dtype == ours.entropy.dtype == torch.float32
    assert float((ours.logprobs - exact).norm()) <= 1.1 * float((same_products - exact).norm())
    same_entropy = -(table.exp() * table).sum(-1)
    assert float((ours.entropy - entropy).norm()) <= 1.5 * float((same_entropy - entropy).norm())


def test_trap_43_bf16_gradients_are_no_worse_than_one_bf16_product():
    # trap 43: nothing is summed in bf16 from vocabulary chunk to vocabulary chunk
    hidden, weight, targets = problem(40, 30_011, width=32, dtype=torch.float32, spread=0.3)
    exact = torch.autograd.grad(dense(hidden, weight, targets)[0].sum(), [hidden, weight])
    with torch.autocast("cpu", torch.bfloat16):
        ours = token_logprobs(hidden, weight, targets, tile=16).logprobs
        plain = torch.log_softmax((hidden @ weight.T).float(), -1).gather(1, targets[:, None])
    own = torch.autograd.grad(ours.sum(), [hidden, weight])
    single = torch.autograd.grad(plain.sum(), [hidden, weight])
    for mine, theirs, right in zip(own, single, exact, strict=True):
        assert float((mine - right).norm()) <= 1.1 * float((theirs - right).norm())


def test_extreme_logits_stay_finite():
    hidden = torch.tensor([[300.0], [-300.0]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0]], requires_grad=True)
    result = token_logprobs(hidden, weight, torch.tensor([1, 1]), with_entropy=True)
    assert result.logprobs.tolist() == [-600.0, 0.0]
    assert result.entropy.tolist() == [0.0, 0.0]
    result.logprobs.sum().backward()
    assert hidden.grad.tolist() == [[-2.0], [0.0]]
    assert weight.grad.tolist() == [[-300.0], [300.0]]


def test_no_label_gives_no_value_and_zero_gradient():
    hidden, weight, targets = problem(0, 9)
    result = token_logprobs(hidden, weight, targets)
    assert result.logprobs.shape == (0,)
    result.logprobs.sum().backward()
    assert not weight.grad.any()


def test_a_nan_row_spoils_only_itself():
    # it does reach the weight's gradient, whatever its factor: rows without a label are never passed in
    hidden, weight, targets = problem(4, 9, dtype=torch.float32)
    spoiled = hidden.detach().clone()
    spoiled[2] = math.nan
    clean, dirty = token_logprobs(hidden, weight, targets), token_logprobs(spoiled, weight, targets)
    kept = torch.tensor([0, 1, 3])
    assert torch.equal(clean.logprobs[kept], dirty.logprobs[kept])


@pytest.mark.parametrize(
    ("n_targets", "temperature", "match"), [(3, 1.0, "4 hidden"), (4, 0.0, "temperature is 0")]
)
def test_arguments_that_do_not_fit_are_refused(n_targets, temperature, match):
    hidden, weight, targets = problem(4, 9)
    with pytest.raises(ModelError, match=match):
        token_logprobs(hidden, weight, targets[:n_targets], temperature=temperature)


def test_sequence_sum_by_hand():
    sums = sequence_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 2]), 4)
    assert sums.tolist() == [1.0, 0.0, 6.0, 0.0]
