"""Log-probs of given continuations against a plain forward pass."""

import pytest
import torch

from accord.models import load_model
from accord.pipeline.continuations import continuation_logprobs


@pytest.fixture(scope="module")
def model():
    return load_model("tiny", device="cpu")


def test_every_token_against_a_plain_forward_pass(model):
    rows = [([5, 6, 7], [8, 9]), ([4], [10, 11, 12, 13]), ([20, 21], [22])]
    found = continuation_logprobs(model, rows)
    assert [len(row) for row in found] == [2, 4, 1]
    for (prompt, continuation), values in zip(rows, found, strict=True):
        ids = torch.tensor([[*prompt, *continuation]])
        with torch.no_grad():
            logs = model.causal_lm(input_ids=ids).logits[0].float().log_softmax(-1)
        wanted = [logs[len(prompt) - 1 + i, token].item() for i, token in enumerate(continuation)]
        assert values == pytest.approx(wanted, abs=1e-4)


def test_the_order_of_rows_does_not_matter(model):
    rows = [([5, 6, 7], [8, 9]), ([4], [10, 11, 12, 13])]
    there, back = continuation_logprobs(model, rows), continuation_logprobs(model, rows[::-1])
    for one, other in zip(there, back[::-1], strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_temperature_flattens(model):
    rows = [([5, 6, 7], [8, 9])]
    hot = continuation_logprobs(model, rows, temperature=1e6)[0]
    size = model.head_weight.shape[0]
    assert hot == pytest.approx([-torch.tensor(float(size)).log().item()] * 2, abs=1e-2)
