"""Which samples are kept, by hand."""

import pytest
from beartype import beartype
from jaxtyping import jaxtyped
from torch import tensor

from accord.training.objectives import selection

select_completions = jaxtyped(typechecker=beartype)(selection.select_completions)
TOTALS = tensor([[1.0, 3.0, 3.0, 0.0], [5.0, -1.0, 2.0, 4.0]])


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"keep": "best"}, [[0, 1], [1, 0]]),  # the first of the two threes
        ({"keep": "top", "share": 0.25}, [[1, 0], [1, 3]]),  # 5 and 4 of eight
        ({"keep": "top", "share": 0.01}, [[1, 0]]),  # at least one
        ({"keep": "above", "threshold": 3.0}, [[0, 1], [0, 2], [1, 0], [1, 3]]),
        ({"keep": "above", "threshold": 9.0}, []),
    ],
)
def test_what_is_kept_by_hand(rule, kept):
    assert sorted(select_completions(TOTALS, **rule).nonzero().tolist()) == sorted(kept)
