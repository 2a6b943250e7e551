"""Loading, matching and the four accuracies, by hand and on the public prompts."""

import gzip
import json
from pathlib import Path

import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.ifeval import REQUIRED, IFEval, check_answer, loose_forms
from accord.evaluation.suites.ifeval_checks import CHECKS

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "eval_ifeval" / "prompts.jsonl.gz"
PROMPTS = [
    {"key": 1, "prompt": "a", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    {
        "key": 2,
        "prompt": "b",
        "instruction_id_list": ["startend:quotation", "length_constraints:number_words"],
        "kwargs": [{}, {"relation": "at least", "num_words": 2, "num_bullets": None}],
    },
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def load(folder, answers, prompts=PROMPTS):
    return IFEval().load(write(folder / "p.jsonl", prompts), write(folder / "r.jsonl", answers))


def values(measured, part="all"):
    return {item.metric: item.estimate.value for item in measured if item.slice == part}


def test_four_accuracies_by_hand(tmp_path):
    # 1: "Hi, you" breaks no_comma, but without its first line it does not -> loose only.
    # 2: quoted, one word -> quotation kept, words broken in both modes.
    run = load(tmp_path, [{"key": 2, "response": '"x"'}, {"key": 1, "response": "Hi, you\nbye"}])
    measured = IFEval().score(run)
    assert values(measured) == {
        "ifeval_prompt_strict": 0.0,
        "ifeval_instruction_strict": pytest.approx(1 / 3),
        "ifeval_prompt_loose": 0.5,
        "ifeval_instruction_loose": pytest.approx(2 / 3),
    }
    assert values(measured, "instruction=punctuation:no_comma")["ifeval_instruction_loose"] == 1.0
    assert all(item.estimate.has_interval for item in measured if item.slice == "all")


def test_measurements_say_where_they_come_from(tmp_path):
    run = load(tmp_path, [{"prompt": "a", "response": "x"}, {"prompt": "b", "response": "y"}])
    facts = IFEval().score(run)[0].facts
    assert facts["canary"] == IFEval().canary
    assert len(facts["data_sha256"]) == len(facts["answers_sha256"]) == 64


def test_loose_forms_by_hand():
    assert loose_forms("*a*\nb\nc") == ["*a*\nb\nc", "b\nc", "*a*\nb", "b", "a\nb\nc", "b\nc", "a\nb", "b"]


def test_blank_answer_follows_nothing():
    result = check_answer("1", ["punctuation:no_comma"], [{}], " \n")
    assert not any(result.strict)
    assert not any(result.loose)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([{"key": 1, "response": "x"}], "1 of 2 items have no answer"),
        ([{"key": 1, "response": "x"}, {"key": 1, "response": "y"}], "stands there twice"),
        ([{"key": key, "response": "x"} for key in (1, 2, 3)], "1 answers belong to no item"),
        ([{"prompt": "a", "response": "x"}, {"prompt": "other", "response": "x"}], "'other'"),
        ([{"key": 1, "response": "x"}, {"key": 2, "answer": "x"}], "lacks response"),
        ([{"key": 1, "response": "x"}, {"key": 2, "response": 3}], "is int, expected text"),
        ([{"line": 1, "response": "x"}], "names no item"),
        (
            [{"key": 1, "prompt": "b", "response": "x"}, {"key": 2, "prompt": "a", "response": "x"}],
            "has key '2'",
        ),
    ],
)
def test_answers_that_do_not_fit(tmp_path, answers, message):
    with pytest.raises(DataError, match=message):
        IFEval().score(load(tmp_path, answers))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instruction_id_list": ["no:such"]}, "unknown instruction 'no:such'"),
        ({"kwargs": []}, "1 instructions with 0 kwargs"),
        ({"instruction_id_list": ["language:response_language"]}, "lacks language"),
    ],
)
def test_prompts_that_do_not_fit(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        load(tmp_path, [{"key": 1, "response": "x"}], [{**PROMPTS[0], **change}])


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_file(), reason="the public prompts do not lie beside the checkout")
def test_public_prompts(tmp_path):
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        prompts = [json.loads(line) for line in file]
    answers = write(tmp_path / "r.jsonl", [{"prompt": row["prompt"], "response": "ok"} for row in prompts])
    run = IFEval().load(DATA, answers)
    results = IFEval().results(run)
    assert len(results) == 541
    assert sum(len(result.strict) for result in results) == 834
    assert {name for result in results for name in result.instruction_ids} == set(CHECKS)
    assert set(REQUIRED) <= set(CHECKS)
    # "ok" holds no comma and no upper case letter: those two kinds are followed wherever asked for
    for name in ("punctuation:no_comma", "change_case:english_lowercase"):
        flags = [f for r in results for i, f in zip(r.instruction_ids, r.strict, strict=True) if i == name]
        assert all(flags)
        assert len(flags) in (66, 39)
