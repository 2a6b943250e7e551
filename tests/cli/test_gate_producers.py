"""Every default gate finds its number in what a command prints, and each command is the one that is named."""

import contextlib
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from accord.cli.main import run_command
from accord.evaluation.gates.plan import read_plan
from accord.evaluation.gates.producers import PRODUCERS, producer_of

WORDS = ["one", "two", "three", "four", "five", "six", "seven"]


def write(path: Path, rows: Sequence[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def commands(folder: Path) -> dict[str, list[str]]:
    """Name in the table of producers -> a command line on tiny files."""
    draw = random.Random(0)
    answers = [
        {
            "prompt": f"Say {i}",
            "response": " ".join(draw.choices(WORDS, k=6 + i % 5)),
            "finish_reason": "stop",
        }
        for i in range(24)
    ]
    judge = folder / "judge.py"
    judge.write_text("def score(prompts, rows):\n    return [row.text.count('one') for row in rows]\n")
    pairs = [
        {
            "id": str(i),
            "prompt_id": str(i),
            "chosen_reward": draw.gauss(1, 1),
            "rejected_reward": 0.0,
            "votes_chosen": 3,
            "votes_rejected": i % 2,
            "chosen_length": 10 + i % 7,
            "rejected_length": 12,
            "group": "ab"[i % 2],
        }
        for i in range(80)
    ]
    run = [
        {
            "prompt_id": str(i),
            "step": step,
            "proxy": step + draw.gauss(0, 1),
            "gold": draw.gauss(0, 1),
            "text": " ".join(draw.choices(WORDS, k=9)),
        }
        for step in (0, 10)
        for i in range(20)
    ]
    rows = [{"prompt_id": str(i), "votes_left": draw.randint(1, 3), "votes_right": 1} for i in range(20)]
    rewards = write(folder / "pairs.jsonl", pairs)
    texts = write(folder / "texts.jsonl", [{"prompt": " ".join(WORDS)}])
    found = {
        "accord evaluate reward": [rewards, "--incumbent", rewards],
        "accord evaluate optimization": [write(folder / "run.jsonl", run)],
        "accord evaluate drift": [write(folder / "r.jsonl", rows), write(folder / "c.jsonl", rows)],
        "accord evaluate overlap": [texts, texts],
        "accord evaluate hygiene": [texts, "--license", "MIT"],
    }
    broken = [
        {
            "behavior": f"harm {i}",
            "technique": "base64",
            "messages": [{"role": "user", "content": f"aGFybQ== {i}"}],
            "answer": "Sure.",
            "model": model,
            "judged": float(i % 2),
        }
        for i in range(8)
        for model in ("new", "old")
    ]
    attacks = [write(folder / "findings.jsonl", broken), "--candidate", "new", "--incumbent", "old"]
    found["accord redteam report"] = attacks
    mean = ["--limit", "4", "--max-tokens", "4", "--prompts", write(folder / "p.jsonl", answers)]
    found["accord evaluate compare"] = ["tiny", "tiny", *mean, "--judge", f"{judge}:score"]
    for name, items in suites().items():
        data = write(folder / f"{name}.jsonl", items)
        found[f"accord evaluate suite {name}"] = ["--data", data, "--model", "tiny", "--incumbent", "tiny"]
    return found


def suites() -> dict[str, list[dict]]:
    """A handful of items of each suite that a gate asks for."""
    bbq = [
        {
            "category": "Age",
            "example_id": i,
            "condition": "ambig",
            "context": f"Ann and Bob {i}.",
            "question": "Who?",
            "answers": ["Ann", "Bob", "Unknown"],
            "label": 2,
            "unknown": 2,
            "target": 0,
            "question_index": i,
        }
        for i in range(6)
    ]
    crows = [
        {
            "id": i,
            "sent_more": f"A {i}",
            "sent_less": f"B {i}",
            "stereo_antistereo": "stereo",
            "bias_type": "age",
        }
        for i in range(4)
    ]
    truth = [
        {"Question": f"Q {i}?", "Best Answer": "Yes", "Incorrect Answers": "No; Never"} for i in range(8)
    ]
    pronouns = [
        {
            "index": i,
            "occupation": f"o{i}",
            "BLS_percent_women_2019": 10 * i,
            "sentence_with_blank": f"The o{i} said _ was in.",
            "pronoun_options": ["he", "she"],
        }
        for i in range(6)
    ]
    ifeval = [
        {"key": i, "prompt": f"Say {i}", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
        for i in range(4)
    ]
    return {
        "bbq": bbq,
        "crows_pairs": crows,
        "sycophancy": truth,
        "winogenerated": pronouns,
        "ifeval": ifeval,
        "xstest": [{"id": i, "prompt": f"kill {i}", "type": "t", "label": "safe"} for i in range(4)],
        "harmful_prompts": [
            {"source": "s", "id": i, "category": "c", "prompt": f"harm {i}"} for i in range(4)
        ],
    }


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Command -> what it printed as JSON."""
    folder = tmp_path_factory.mktemp("results")
    found = {}
    for name, rest in commands(folder).items():
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = run_command([*name.split()[1:], *rest, "--json"])
        assert out.getvalue(), f"{name} printed nothing and ended with {code}"
        found[name] = json.loads(out.getvalue())
    return found


def keys(result: dict) -> set[tuple[str, str, str]]:
    return {(one["metric"], one["slice"], one["versus"]) for one in result["measurements"]}


def test_the_table_of_producers_is_the_default_plan():
    assert {gate.metric for gate in read_plan("default").gates} == set(PRODUCERS)


@pytest.mark.slow
@pytest.mark.parametrize("gate", read_plan("default").gates, ids=lambda gate: gate.id)
def test_every_default_gate_has_a_command_that_measures_it(gate, printed: dict[str, dict]):
    command = producer_of(gate.metric, gate.slice)
    assert command, f"no command measures {gate.metric}"
    name = next(name for name in printed if command.startswith(name))
    wanted = (gate.metric, gate.slice, gate.versus)
    reasons = printed[name].get("not_measured", {})
    # With four prompts the length-controlled rate says why it is not there instead.
    assert wanted in keys(printed[name]) or gate.metric in reasons


@pytest.mark.slow
def test_only_what_four_prompts_cannot_show_is_missing(printed: dict[str, dict]):
    plan = read_plan("default")
    there = {key for result in printed.values() for key in keys(result)}
    missing = {gate.metric for gate in plan.gates if (gate.metric, gate.slice, gate.versus) not in there}
    assert missing <= {"length_controlled_win_rate"}


def test_a_metric_of_ones_own_has_no_command():
    assert producer_of("my_metric") == ""


def test_the_end_of_a_run_against_its_start_is_measured_on_the_run():
    assert producer_of("repeated_4grams").startswith("accord evaluate compare")
    assert producer_of("repeated_4grams", "run").startswith("accord evaluate optimization")
