"""Matching of answers to items, and numbers that are none."""

import json

import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.catalog import SUITE_NAMES, find_suite
from accord.evaluation.suites.suite import read_number


def test_every_suite_is_found_and_has_its_own_canary():
    suites = [find_suite(name) for name in SUITE_NAMES]
    assert [suite.name for suite in suites] == list(SUITE_NAMES)
    assert len({suite.canary for suite in suites}) == len(SUITE_NAMES) == 12
    # the id must never change: data sets elsewhere are searched for it
    assert find_suite("bbq").canary == "accord-evaluation-canary-e6c3cff0-7dd7-5a17-b573-ed734b4f1a70"


def test_unknown_suite_and_needless_column():
    with pytest.raises(DataError, match="unknown suite 'bqq'"):
        find_suite("bqq")
    with pytest.raises(DataError, match="fixed columns"):
        find_suite("crows_pairs", column="x")
    assert find_suite("bbq", column="pred_race").answer_fields == ("pred_race",)
    assert find_suite("xstest", column="final_label").answer_fields == ("final_label",)


@pytest.mark.parametrize("value", ["nan", "x", None, "inf", 5, -1])
def test_read_number_refuses(value):
    with pytest.raises(DataError, match="a finite number from 0 to 1"):
        read_number({"p": value}, "p", low=0, high=1)
    assert read_number({"p": "0.5"}, "p", low=0, high=1) == 0.5


def test_answers_may_come_in_another_order(tmp_path):
    data, answers = tmp_path / "d.csv", tmp_path / "a.jsonl"
    data.write_text(
        "id,sent_more,sent_less,stereo_antistereo,bias_type\n7,a,b,stereo,age\n8,c,d,stereo,age\n"
    )
    rows = [{"id": name, "logprob_more": -name, "logprob_less": 0} for name in (8, 7)]
    answers.write_text("\n".join(json.dumps(row) for row in rows))
    run = find_suite("crows_pairs").load(data, answers)
    assert [answer["logprob_more"] for answer in run.answers] == [-7, -8]
    with pytest.raises(DataError, match="needs a file of answers"):
        find_suite("crows_pairs").load(data)
    with pytest.raises(DataError, match="no file of answers"):
        find_suite("jailbreak").load(_outcomes(tmp_path), answers)


def _outcomes(folder):
    path = folder / "o.csv"
    path.write_text("method,access,model,behavior,category,jailbroken\na,b,c,d,e,True\n")
    return path
