"""The evaluation and quality rooms at work where torch and its like cannot be imported."""

import json
import random
import subprocess
import sys

import pytest

BLOCKED = ("torch", "transformers", "tokenizers", "safetensors", "jaxtyping", "peft", "accelerate")
RUN = f"""
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from accord.cli.main import run_command
for line in json.loads(sys.argv[1]):
    code = run_command(line)
    assert code in (0, 2), (line, code)
    print("DONE", *line[:2])
"""
"""Finds nothing of these packages, as where they are not installed."""


@pytest.fixture
def lines(tmp_path):
    """Command lines on tiny files: exit codes 0, or 2 where a gate is undecided."""
    draw = random.Random(0)

    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    answers = [
        {
            "prompt": f"Please say the number {i} aloud",
            "response": " ".join(draw.choices(["one", "two", "three"], k=5 + i % 4)),
        }
        for i in range(30)
    ]
    other = [{**row, "response": row["response"] + " four"} for row in answers]
    (tmp_path / "judge.py").write_text(
        "def score(prompts, rows):\n    return [row.text.count('one') for row in rows]\n"
    )
    judge = f"{tmp_path / 'judge.py'}:score"
    sides = [write("new.jsonl", answers), write("old.jsonl", other)]
    pairs = [
        {"prompt_id": str(i), "chosen_reward": draw.gauss(1, 1), "rejected_reward": 0.0} for i in range(60)
    ]
    run = [
        {"prompt_id": str(i), "step": step, "proxy": step + draw.gauss(0, 1), "gold": draw.gauss(0, 1)}
        for step in (0, 10)
        for i in range(20)
    ]
    votes = [{"prompt_id": str(i), "votes_left": draw.randint(1, 3), "votes_right": 1} for i in range(20)]
    alpaca = [{"preference": 1 + i % 2, "len_baseline": 90 + i, "len_model": 100} for i in range(40)]
    labeled = [
        {"response": "I'm sorry, but I can't." if i % 2 else "Sure.", "people": "full" if i % 2 else "none"}
        for i in range(40)
    ]
    crowd = [
        {"item": str(i), "annotator": str(k), "label": draw.choice("ab")} for i in range(12) for k in range(3)
    ]
    measured = write(
        "m.json",
        [
            {
                "measurements": [
                    {"metric": "win_rate", "estimate": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 9}}
                ]
            }
        ],
    )
    asked = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    items = [{"key": i, "prompt": row["prompt"], **asked} for i, row in enumerate(answers)]
    prompts = write("ifeval.jsonl", items)
    history = str(tmp_path / "history.jsonl")
    return [
        ["evaluate", "compare", *sides, "--judge", judge, "--out", str(tmp_path / "out")],
        ["evaluate", "reward", write("pairs.jsonl", pairs)],
        ["evaluate", "optimization", write("run.jsonl", run)],
        ["evaluate", "drift", write("r.jsonl", votes), write("c.jsonl", votes)],
        ["evaluate", "overlap", sides[0], sides[1]],
        ["evaluate", "hygiene", sides[0], "--license", "MIT"],
        ["evaluate", "labels", write("labeled.jsonl", labeled)],
        ["evaluate", "lc-winrate", write("alpaca.jsonl", alpaca), "--resamples", "20"],
        ["evaluate", "ifeval", "--data", prompts, "--responses", sides[0]],
        ["evaluate", "suite", "ifeval", "--data", prompts, "--responses", sides[0]],
        ["evaluate", "power", "--n", "100"],
        ["gate", "default", measured, "--report", str(tmp_path / "r.html"), "--history", history,
         "--release", "1"],
        ["evaluate", "history", history],
        ["quality", "agreement", write("crowd.jsonl", crowd)],
        ["quality", "consensus", write("crowd.jsonl", crowd)],
    ]  # fmt: skip


def test_commands_on_files_need_no_torch(lines):
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("DONE ") == len(lines)


def test_a_command_that_needs_a_model_says_what_to_install(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "Say 1"}\n')
    line = ["evaluate", "compare", "tiny", "tiny", "--prompts", str(tmp_path / "p.jsonl")]
    code = RUN.replace("    assert code in (0, 2), (line, code)\n", "    assert code == 1, code\n")
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([line])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "accord[train]" in done.stderr
