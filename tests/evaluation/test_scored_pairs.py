"""Scored pairs from files: labels by hand, and everything that must not pass in silence."""

import json
from pathlib import Path

import pytest

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.scored_pairs import ScoredPair, match_pairs, read_scored_pairs

ROW = {"id": "a", "prompt_id": "q", "chosen_reward": 1.0, "rejected_reward": 0.25}


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_label_is_the_share_of_votes_or_as_given_or_certain(tmp_path: Path):
    rows = [
        {**ROW, "votes_chosen": 3, "votes_rejected": 1},
        {**ROW, "id": "b", "p_chosen": 0.2},
        {**ROW, "id": "c"},
        {**ROW, "id": "d", "is_labeled": False},
        {**ROW, "id": "e", "votes_chosen": 0, "votes_rejected": 0},
    ]
    found = read_scored_pairs(write(tmp_path / "p.jsonl", rows))
    assert [pair.p_chosen for pair in found.labeled] == [0.75, 0.2, 1.0, 0.5]
    assert found.labeled[0].margin == 0.75
    assert [pair.id for pair in found.unlabeled] == ["d"]


def test_csv_holds_the_same_as_json_lines(tmp_path: Path):
    (tmp_path / "p.csv").write_text(
        'id,prompt_id,chosen_reward,rejected_reward,p_chosen,members\na,q,1.5,0.5,1,"[[1, 0], [2, 1]]"\n'
    )
    (pair,) = read_scored_pairs(tmp_path / "p.csv").labeled
    assert pair.margin == 1.0
    assert pair.members == ((1.0, 0.0), (2.0, 1.0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chosen_reward": "nan"}, "finite"),
        ({"rejected_reward": ""}, "missing"),
        ({"p_chosen": 1.2}, "from 0 to 1"),
        ({"votes_chosen": 1.5, "votes_rejected": 0}, "whole"),
        ({"prompt_id": ""}, "no prompt_id"),
        ({"members": [[1]]}, "members"),
        ({"members": [[1, 2]]}, "as many in every row"),
        ({"id": "a"}, "already"),
        ({"changed": {"x": "y"}}, "changed"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path: Path, changes: dict, words: str):
    path = write(tmp_path / "p.jsonl", [ROW, {**ROW, "id": "b", **changes}])
    with pytest.raises(DataError, match=words):
        read_scored_pairs(path)


def test_a_file_of_something_else_or_without_labels_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="expected rows"):
        read_scored_pairs(write(tmp_path / "x.jsonl", [{"a": 1}, {"a": 2}]))
    with pytest.raises(DataError, match="no row has a label"):
        read_scored_pairs(
            write(tmp_path / "y.jsonl", [{**ROW, "is_labeled": "false"}, {**ROW, "id": "b", "is_labeled": 0}])
        )


def pair(name: str, **changes: object) -> ScoredPair:
    return ScoredPair(id=name, prompt_id="q", chosen_reward=1.0, rejected_reward=0.0, **changes)


def test_pairs_are_matched_by_id_whatever_their_order():
    assert [one.id for one in match_pairs([pair("a"), pair("b")], [pair("b"), pair("a")])] == ["a", "b"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([pair("a")], "not among"),
        ([pair("a"), pair("b"), pair("c")], "alone"),
        ([pair("a"), pair("b", p_chosen=0.4)], "label"),
    ],
)
def test_other_pairs_or_labels_are_no_comparison(other: list[ScoredPair], words: str):
    with pytest.raises(EvaluationError, match=words):
        match_pairs([pair("a"), pair("b")], other)
