"""A preference holds a probability, a weight and a margin that can be used."""

import pytest

from accord.domain import DataError, Preference, Prompt, Provenance

HI = Prompt.from_text("Hi")
NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p_chosen", -0.1),
        ("p_chosen", 1.1),
        ("p_chosen", NAN),
        ("weight", -1.0),
        ("weight", INFINITY),
        ("weight", NAN),
        ("margin", INFINITY),
        ("margin", NAN),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(field, value):
    with pytest.raises(DataError, match=f"{field} must be"):
        Preference(prompt=HI, chosen="a", rejected="b", **{field: value})


def test_equal_pairs_are_equal_wherever_they_came_from():
    preference = Preference(prompt=HI, chosen="a", rejected="b")
    other = Preference(prompt=HI, chosen="a", rejected="b", provenance=Provenance(source="x"), meta={"k": 1})
    assert preference == other
    assert preference.id == other.id
    assert Preference(prompt=HI, chosen="b", rejected="a").id != preference.id


def test_one_half_is_a_tie():
    assert Preference(prompt=HI, chosen="a", rejected="b", p_chosen=0.5).is_tie
    assert not Preference(prompt=HI, chosen="a", rejected="b", p_chosen=0.75).is_tie
