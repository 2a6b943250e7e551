import re

import pytest

from accord.domain import ConfigError
from accord.quality.simulation import CrowdConfig


def test_all_problems_are_shown_together():
    with pytest.raises(ConfigError) as caught:
        CrowdConfig(
            n_items=0,
            n_annotators=4,
            labels_per_item=(3, 5),
            class_shares=(0.5, 0.6),
            trap_share=1.5,
            seconds_per_label=0.0,
            group_pulls=(0.1,),
        )
    text = str(caught.value)
    for name in (
        "n_items",
        "labels_per_item",
        "class_shares",
        "trap_share",
        "seconds_per_label",
        "group_pulls",
    ):
        assert re.search(rf"  - {name} ", text), name
    assert len(caught.value.problems) == 6


@pytest.mark.parametrize(
    "fault",
    [
        {"n_classes": 1},
        {"labels_per_item": 0},
        {"labels_per_item": (4, 2)},
        {"errors": "odd"},
        {"constant_share": 0.6, "random_share": 0.6},
        {"camp_shares": ()},
        {"camp_shares": (1.2, -0.2)},
        {"difficulty_spread": float("nan")},
        {"skill_alpha": 0.0},
        {"group_pulls": (1.2,), "group_shares": (1.0,)},
        {"ring_size": 1},
    ],
)
def test_a_value_out_of_range_is_named(fault):
    with pytest.raises(ConfigError, match=next(iter(fault))):
        CrowdConfig(**fault)


def test_even_classes_and_a_fixed_number_are_the_default():
    config = CrowdConfig(n_classes=4)
    assert config.class_probabilities.tolist() == [0.25] * 4
    assert config.label_range == (5, 5)
