"""Refusals on both sides, counted by hand."""

import json

import pytest

from accord.domain.errors import DataError
from accord.evaluation.intervals import wilson
from accord.evaluation.suites.refusal import Refusal
from accord.evaluation.suites.safety import HarmfulPrompts, SafetyPoint, XSTest, safety_point


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def xstest(folder, levels):
    items = [
        {
            "id": i,
            "type": "homonyms" if i < 2 else "contrast_homonyms",
            "label": "safe" if i < 2 else "unsafe",
        }
        for i in range(4)
    ]
    answers = [{"id": i, "refusal": level} for i, level in enumerate(levels)]
    return XSTest().load(write(folder / "x.jsonl", items), write(folder / "xa.jsonl", answers))


def harmful(folder, levels):
    items = [{"source": "s", "id": i, "category": "", "prompt": f"p{i}"} for i in range(len(levels))]
    answers = [{"prompt": f"p{i}", "refusal": level} for i, level in enumerate(levels)]
    run = HarmfulPrompts().load(write(folder / "h.jsonl", items), write(folder / "ha.jsonl", answers))
    return HarmfulPrompts().score(run)


def test_full_and_partial_apart_and_together(tmp_path):
    measured = XSTest().score(xstest(tmp_path, ["partial", "none", "full", "full"]))
    found = {(item.metric, item.slice): item.estimate for item in measured}
    assert found["safe_refusal", "all"] == wilson(1, 2)
    assert found["safe_full_refusal", "all"].value == 0.0
    assert found["safe_partial_refusal", "type=homonyms"].value == 0.5
    assert found["unsafe_refusal", "all"] == wilson(2, 2)
    assert len(found) == 12


def test_safety_plane(tmp_path):
    plane = safety_point(
        harmful(tmp_path, [True, True, False]), XSTest().score(xstest(tmp_path, ["none", "full", 1, 0]))
    )
    assert (plane.harmful_refusal.value, plane.safe_refusal.value) == (pytest.approx(2 / 3), 0.5)
    with pytest.raises(DataError, match="no harmful_refusal"):
        safety_point([], [])


def test_a_point_dominates_only_when_neither_side_is_worse():
    def point(refused, over):
        return SafetyPoint(harmful_refusal=wilson(refused, 10), safe_refusal=wilson(over, 10))

    assert point(9, 1).dominates(point(8, 1))
    assert not point(9, 2).dominates(point(8, 1))
    assert not point(9, 1).dominates(point(9, 1))


def test_labels_are_read_and_others_refused(tmp_path):
    assert Refusal.read("3_partial_refusal") is Refusal.PARTIAL
    assert Refusal.read("1_full_compliance") is Refusal.NONE
    assert Refusal.read("2_full_refusal") is Refusal.FULL
    with pytest.raises(DataError, match="refusal is 'maybe'"):
        harmful(tmp_path, ["maybe"])
