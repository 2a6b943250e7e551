"""RewardBench files: rewards as they stand or scored now, the same score either way."""

import json
from pathlib import Path

import pytest

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.rewardbench_file import bench_measurements, require_bench, score_bench_file


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_answers_that_are_scored_give_the_score_of_their_rewards(tmp_path: Path):
    given = [
        {"subset": "donotanswer", "chosen_reward": 3, "rejected_reward": 2},
        {"subset": "donotanswer", "chosen_reward": 1, "rejected_reward": 4},
    ]
    texts = [
        {"subset": "donotanswer", "prompt": "p", "chosen": "aaa", "rejected": "aa"},
        {"subset": "donotanswer", "prompt": "p", "chosen": "a", "rejected": "aaaa"},
    ]
    first, facts = score_bench_file(write(tmp_path / "a.jsonl", given), "rewardbench")
    again, _ = score_bench_file(
        write(tmp_path / "b.jsonl", texts), "rewardbench", lambda prompts, rows: [len(row) for row in rows]
    )
    assert first.subsets["donotanswer"].value == again.subsets["donotanswer"].value == 0.5
    assert facts["examples"] == 2
    assert "alpacaeval-easy" in first.missing
    rows = bench_measurements(first, "rewardbench", facts)
    assert not rows[0].estimate.has_interval
    assert rows[0].estimate.value != rows[0].estimate.value  # NaN: a section is missing


def test_ties_join_a_tied_question_to_its_reference(tmp_path: Path):
    rows = [
        {"id": "ref:1", "subset": "Ties", "rewards": [2.0, 0.0], "n_right": 1},
        {"id": "tied:1", "subset": "Ties", "rewards": [1.2, 1.0, 0.0], "n_right": 2},
        {"id": "7", "subset": "Math", "prompt": "p", "chosen": ["ab"], "rejected": ["a", "", "a"]},
    ]
    score, _ = score_bench_file(
        write(tmp_path / "a.jsonl", rows), "rewardbench2", lambda prompts, rows: [len(row) for row in rows]
    )
    assert score.sections["Math"] == 1.0
    # Both right, gap 1.0 above the spread .2 (and min(1, 2) too): .3 + .3 + .2 + .2 + .01 tanh(1 / .2 - 1).
    assert score.sections["Ties"] == pytest.approx(1.0 + 0.01 * 0.999329, abs=1e-6)


@pytest.mark.parametrize(
    ("row", "bench", "words"),
    [
        ({"subset": ""}, "rewardbench", "no subset"),
        ({"subset": "x", "chosen_reward": "nan", "rejected_reward": 1}, "rewardbench", "finite"),
        ({"subset": "x", "prompt": "p"}, "rewardbench", "no rewards"),
        ({"subset": "Ties", "id": "9", "rewards": [1, 0], "n_right": 1}, "rewardbench2", "ref:N or tied:N"),
        ({"subset": "Math", "id": "9", "rewards": [1, 0], "n_right": "x"}, "rewardbench2", "whole number"),
    ],
)
def test_bad_examples_are_refused(tmp_path: Path, row: dict, bench: str, words: str):
    with pytest.raises(DataError, match=words):
        score_bench_file(write(tmp_path / "a.jsonl", [row, row]), require_bench(bench))


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(EvaluationError, match="rewardbench or rewardbench2"):
        require_bench("other")
