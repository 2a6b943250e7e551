"""`accord evaluate compare` as its user sees it."""

import json
from pathlib import Path

import pytest

from accord.cli.main import run_command

WORDS = ["one", "two", "three", "four", "five"]


def write(path: Path, good: int, *, n: int = 40, start: int = 0) -> str:
    rows = [
        {
            "prompt": f"Say {i}",
            "response": " ".join(WORDS[i % 4 :]) + (" good" if i < good else ""),
            "finish_reason": "stop",
        }
        for i in range(start, n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def judge(tmp_path: Path) -> str:
    place = tmp_path / "judge.py"
    place.write_text("def score(prompts, rows):\n    return [row.text.count('good') for row in rows]\n")
    return f"{place}:score"


def plan(path: Path, margin: float) -> str:
    path.write_text(
        f'name = "small"\n[[gates]]\nid = "G4"\nmetric = "win_rate"\ncomparator = "superiority"\n'
        f"margin = {margin}\n"
    )
    return str(path)


def test_exit_codes_are_those_of_the_gates(tmp_path: Path, judge: str, capsys: pytest.CaptureFixture[str]):
    new, old = write(tmp_path / "new.jsonl", 40), write(tmp_path / "old.jsonl", 0)
    words = ["evaluate", "compare", new, old, "--judge", judge, "--gates"]
    assert run_command([*words, plan(tmp_path / "a.toml", 0.5)]) == 0
    assert "release: pass" in capsys.readouterr().out
    back = ["evaluate", "compare", old, new, "--judge", judge, "--gates"]
    assert run_command([*back, plan(tmp_path / "a.toml", 0.5)]) == 1
    assert run_command([*words, plan(tmp_path / "b.toml", 0.99)]) == 2
    assert "undecided" in capsys.readouterr().out


def test_json_is_what_gate_reads(tmp_path: Path, judge: str, capsys: pytest.CaptureFixture[str]):
    new, old = write(tmp_path / "new.jsonl", 30), write(tmp_path / "old.jsonl", 0)
    small = plan(tmp_path / "a.toml", 0.5)
    args = [
        "evaluate",
        "compare",
        new,
        old,
        "--judge",
        judge,
        "--gates",
        small,
        "--out",
        str(tmp_path / "out"),
    ]
    assert run_command([*args, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] == "pass"
    assert printed["facts"]["prompts"] == 40
    assert "without the models" in printed["not_measured"]["kl_divergence"]
    rate = next(one for one in printed["measurements"] if one["metric"] == "win_rate")
    assert rate["estimate"]["value"] == pytest.approx((30 + 5) / 40)
    assert run_command(["gate", small, str(tmp_path / "out" / "measurements.json")]) == 0


def test_different_prompts_are_an_error_with_both_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    new, old = write(tmp_path / "new.jsonl", 3), write(tmp_path / "old.jsonl", 3, start=2)
    assert run_command(["evaluate", "compare", new, old]) == 1
    assert "2 only new.jsonl, 0 only old.jsonl" in capsys.readouterr().err


def test_without_a_judge_preferences_are_named_as_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    new, old = write(tmp_path / "new.jsonl", 3), write(tmp_path / "old.jsonl", 3)
    assert run_command(["evaluate", "compare", new, old]) == 2
    out = capsys.readouterr().out
    assert "not measured: win_rate: no judge was given" in out
    assert "G9" in out


def test_dry_run_says_what_so_many_prompts_can_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert (
        run_command(["evaluate", "compare", "smollm2", "tiny", "--dry-run", "--json", "--limit", "50"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["prompts"] == 50
    assert told["tokens at most"] == 2 * 50 * 48
    # 2.8016 * 0.5 / sqrt(50)
    assert told["win rate could show"] == pytest.approx(0.1981, abs=1e-4)
    gates = {one["id"]: one for one in told["gates"]}
    assert gates["G6.mean"]["is_measured"]
    assert gates["G6.mean"]["has_enough"]
    assert not gates["G4"]["has_enough"]
    assert not gates["G10"]["is_measured"]


def test_bad_evidence_is_told_before_anything_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "e.json").write_text('{"votes": 3}')
    args = ["evaluate", "compare", "smollm2", "tiny", "--evidence", str(tmp_path / "e.json")]
    assert run_command(args) == 1
    told = capsys.readouterr().err
    assert "evidence.votes must be an object" in told
    assert "loading" not in told


def test_out_holds_page_json_and_measurements(tmp_path: Path, judge: str):
    new, old = write(tmp_path / "new.jsonl", 30), write(tmp_path / "old.jsonl", 0)
    pages = []
    for _ in range(2):
        run_command(["evaluate", "compare", new, old, "--judge", judge, "--out", str(tmp_path / "out")])
        pages.append((tmp_path / "out" / "report.html").read_text())
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "measurements.json",
        "report.html",
        "report.json",
    ]
    assert "new.jsonl against old.jsonl" in pages[0]
    assert pages[0] == pages[1]


def test_numbers_of_other_commands_enter_gates_and_report(
    tmp_path: Path, judge: str, capsys: pytest.CaptureFixture[str]
):
    new, old = write(tmp_path / "new.jsonl", 30), write(tmp_path / "old.jsonl", 0)
    (tmp_path / "p.toml").write_text(
        '[[gates]]\nid = "calm"\nmetric = "reward_calibration_error"\ncomparator = "budget"\nmargin = 0.9\n'
        '[[gates]]\nid = "groups"\nmetric = "reward_accuracy_gap"\nslice = "worst_group"\n'
        'comparator = "budget"\nmargin = 0.1\n'
    )
    pairs = [
        {"id": i, "prompt_id": i, "chosen_reward": 1 + i % 3, "rejected_reward": i % 2, "p_chosen": 1}
        for i in range(60)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    assert run_command(["evaluate", "reward", str(tmp_path / "pairs.jsonl"), "--json"]) == 0
    (tmp_path / "reward.json").write_text(capsys.readouterr().out)
    rates = [
        {"metric": name, "slice": slice_name, "estimate": {"value": value, "low": 0.1, "high": 0.9, "n": 100}}
        for slice_name, value in (("all", 0.6), ("side=incumbent", 0.4))
        for name in ("harmful_refusal", "safe_refusal")
    ]
    (tmp_path / "safety.json").write_text(json.dumps({"measurements": rates}))
    words = ["evaluate", "compare", new, old, "--judge", judge, "--gates", str(tmp_path / "p.toml"), "--json"]
    for name in ("reward", "safety"):
        words += ["--results", str(tmp_path / f"{name}.json")]
    assert run_command([*words, "--out", str(tmp_path / "out")]) == 2
    gates = {row["id"]: row for row in json.loads(capsys.readouterr().out)["gates"]}
    assert gates["calm"]["verdict"] == "pass"
    assert "no pair names the group" in gates["groups"]["reason"]
    page = (tmp_path / "out" / "report.html").read_text()
    for section in ("reliability", "safety", "votes", "length"):
        assert f'id="{section}"' in page, section
    # What compare wrote is enough for the same chart in `accord gate`.
    measured = str(tmp_path / "out" / "measurements.json")
    other = tmp_path / "gate.html"
    assert run_command(["gate", str(tmp_path / "p.toml"), measured, "--report", str(other)]) == 2
    assert 'id="votes"' in other.read_text()
