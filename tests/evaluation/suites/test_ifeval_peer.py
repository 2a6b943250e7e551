"""Verdicts of the published scorer on cases of our own, and the comparison that made them.

`tests/golden/ifeval_cases.jsonl` was made by

    NLTK_DATA=... python benchmarks/ifeval_peer.py --peer SITE_PACKAGES --prompts - --cases CASES

with lm_eval 0.4.13, nltk 3.10.4 (punkt_tab), langdetect 1.0.9 (seed 0). The texts are ours, the verdicts the
peer's.
"""

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from accord.evaluation.suites.ifeval import check_answer
from accord.evaluation.suites.ifeval_checks import CHECKS

GOLDEN = Path(__file__).parents[2] / "golden" / "ifeval_cases.jsonl"
SCRIPT = Path(__file__).parents[3] / "benchmarks" / "ifeval_peer.py"
SENTENCES = "length_constraints:number_sentences"
UPPER, LOWER = "change_case:english_capital", "change_case:english_lowercase"
DEPARTURES = {
    ("keywords:letter_frequency", "##"): "a sign as letter: the peer draws a letter at random",
    ("length_constraints:nth_paragraph_first_word", "a\n\nb\n\nc"): "a paragraph beyond the last: drawn too",
    (SENTENCES, "Yes!!! No... Maybe."): "an ellipsis before a word its word statistics do not know",
    (UPPER, "IT IS 5 O'CLOCK"): "too short for its detector of languages",
    (UPPER, "HELLO 123!"): "the same",
    (UPPER, "HELLO"): "the same",
    (LOWER, "hello 123!"): "the same",
    (LOWER, "hello"): "the same",
    (LOWER, "i"): "the same",
    (LOWER, "ok."): "the same",
}
"""(instruction, response) -> why the verdicts differ; see docs/suites.md."""


@pytest.fixture(scope="module")
def cases():
    return [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


def ours(case):
    found = check_answer("", [case["instruction"]], [case["arguments"]], case["response"])
    return found.strict[0], found.loose[0]


def test_verdicts_are_the_published_scorers_but_for_the_named_departures(cases):
    differ = {
        (case["instruction"], case["response"])
        for case in cases
        if ours(case) != (case["strict"], case["loose"])
    }
    assert differ == set(DEPARTURES)


def test_every_instruction_is_there_kept_and_broken(cases):
    kept = Counter(case["instruction"] for case in cases if case["strict"])
    broken = Counter(case["instruction"] for case in cases if not case["strict"])
    assert set(kept) == set(broken) == set(CHECKS)
    assert len(cases) >= 500


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("ifeval_peer", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    yield spec.loader.exec_module(module) or module
    del sys.modules[spec.name]


def test_the_comparison_finds_differences_and_their_place(script, cases):
    items = [
        {"prompt": str(i), "instruction_id_list": [case["instruction"]], "kwargs": [case["arguments"]]}
        for i, case in enumerate(cases[::7])
    ]
    texts = ["One two. Three four!", "* a\n* b\n\nA longer answer, with *stars* and [places]."]

    def same(item, text):
        found = check_answer("", item["instruction_id_list"], item["kwargs"], text)
        return found.strict, found.loose

    def turned(item, text):
        strict, loose = same(item, text)
        return tuple(not one for one in strict), loose

    rows = list(script.draw_answers(items, texts, each=4, seed=1))
    assert rows == list(script.draw_answers(items, texts, each=4, seed=1))
    assert len({text for _, text in rows}) > len(items)
    agreed = script.compare(iter(rows), same, shown=1)
    assert (agreed["strict_differs"], agreed["loose_differs"], agreed["differences"]) == (0, 0, {})
    # some bent answers follow their instruction: else agreement would say little
    assert 0.05 < agreed["prompt_strict_peer"] / agreed["answers"] < 0.95
    against = script.compare(iter(rows), turned, shown=1)
    assert against["strict_differs"] == against["verdicts"] == len(rows)
    assert against["loose_differs"] == 0
