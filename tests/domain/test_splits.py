"""Splits go by the hash of the prompt: the same on every machine, and never through a prompt."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.domain import DataError, Demonstration, Prompt, hash_fraction, split_by_prompt


def test_a_hash_fraction_is_the_first_eight_bytes_over_two_to_the_64():
    digest = hashlib.sha256(b"3:key").digest()
    assert hash_fraction("key", seed=3) == int.from_bytes(digest[:8], "big") / 2**64


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.text(max_size=2), st.text(max_size=2)), max_size=20), st.floats(0.01, 0.99))
def test_no_prompt_is_on_both_sides_and_nothing_is_lost(rows, test_share):
    records = [Demonstration(prompt=Prompt.from_text(text), completion=answer) for text, answer in rows]
    sides = split_by_prompt(records, test_share=test_share)
    assert not {one.prompt for one in sides.train} & {one.prompt for one in sides.test}
    assert sorted(map(repr, sides.train + sides.test)) == sorted(map(repr, records))


def test_a_larger_share_holds_out_the_same_prompts_and_more():
    records = [Demonstration(prompt=Prompt.from_text(str(number)), completion="") for number in range(200)]
    small = split_by_prompt(records, test_share=0.1).test
    large = split_by_prompt(records, test_share=0.3).test
    assert small
    assert set(small) < set(large)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_outside_zero_and_one_is_refused(share):
    with pytest.raises(DataError, match="test_share must be between 0 and 1"):
        split_by_prompt([], test_share=share)
