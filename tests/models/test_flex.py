"""FlexAttention over ragged segments, eager on the CPU, against the parts and the masked call.

What only a GPU can show, the compiled kernel and its backward, is marked `gpu` and has been run nowhere yet.
"""

import pytest
import torch

from accord.models.attention import AttentionLayout, masked_attention, ragged_attention
from accord.models.flex import block_mask, flex_rows, has_flex, segments_of

LAYOUT = AttentionLayout.of((0, 3, 4, 9, 11), (3, 1, 5, 2, 150), ((), (0,), (0, 1), (0,), ()))
"""A prompt with a child, a grandchild and another child, and a row longer than a block of scores."""


def tensors(device="cpu", size=16):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, heads, 161, size, generator=generator).to(device) for heads in (4, 2, 2)]


def test_rows_see_their_ancestors_and_themselves():
    segment, sees = segments_of(LAYOUT, 161)
    assert segment.tolist() == [0] * 3 + [1] + [2] * 5 + [3] * 2 + [4] * 150
    assert sees.nonzero().tolist() == [[1, 0], [2, 0], [2, 1], [3, 0]]


@torch.no_grad()
def test_flex_equals_the_parts_and_one_masked_call():
    query, key, value = tensors()
    found = flex_rows(query, key, value, LAYOUT, scale=0.3, is_compiled=False)
    assert torch.allclose(found, ragged_attention(query, key, value, LAYOUT, scale=0.3), atol=2e-6)
    assert torch.allclose(found, masked_attention(query, key, value, LAYOUT, scale=0.3), atol=2e-6)


def test_a_layouts_mask_is_made_once():
    layout = AttentionLayout.of((0, 2), (2, 3), ((), (0,)))
    assert block_mask(layout, 5, torch.device("cpu")) is block_mask(layout, 5, torch.device("cpu"))
    assert layout == AttentionLayout.of((0, 2), (2, 3), ((), (0,)))


def test_a_cpu_and_what_the_kernel_cannot_do_are_left_to_others():
    assert not has_flex(torch.zeros(1, 1, 1, 64))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_compiled_kernel_equals_the_masked_call_in_value_and_gradient(dtype):
    inputs = [each.to(dtype).requires_grad_() for each in tensors("cuda", 64)]
    assert has_flex(inputs[0])
    upstream = torch.randn(1, 161, 4, 64, device="cuda", dtype=dtype)
    exact = [each.detach().float().requires_grad_() for each in inputs]
    expected = masked_attention(*exact, LAYOUT, scale=0.125)
    found = ragged_attention(*inputs, LAYOUT, scale=0.125)
    tolerance = 1e-3 if dtype == torch.float32 else 3e-2
    assert torch.allclose(found.float(), expected, atol=tolerance)
    for own, other in zip(
        torch.autograd.grad((found * upstream).sum(), inputs),
        torch.autograd.grad((expected * upstream).sum(), exact),
        strict=True,
    ):
        assert torch.allclose(own.float(), other, atol=10 * tolerance)
