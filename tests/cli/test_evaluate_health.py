"""`accord evaluate optimization|drift|overlap` as their user sees them."""

import json
import random
from pathlib import Path

import pytest

from accord.cli.main import run_command


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run_rows(end: float) -> list[dict]:
    draw = random.Random(0)
    level = [draw.gauss(0, 1) for _ in range(20)]
    return [
        {
            "prompt_id": str(i),
            "step": step,
            "kl": step / 10,
            "proxy": level[i] + step / 50,
            "gold": level[i] + gold,
        }
        | {"length": 20 + step * (end < 0) + draw.random()}
        for step, gold in ((0, 0.0), (50, 1.0), (100, end))
        for i in range(20)
    ]


def test_a_run_whose_gold_falls_is_told_and_alarmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path / "run.jsonl", run_rows(-0.5))
    assert run_command(["evaluate", "optimization", path]) == 0
    shown = capsys.readouterr().out
    assert "gold_drop_from_peak" in shown
    assert "an alarm is raised: have people label" in shown
    assert "not measured: kl_divergence" in shown
    (tmp_path / "plan.toml").write_text(
        '[[gates]]\nid = "G7"\nmetric = "gold_drop_from_peak"\ncomparator = "budget"\n'
        'margin = 0.0\nbetter = "lower"\n'
    )
    for name, end, code in (("falls", -0.5, 1), ("rises", 2.0, 0)):
        rows = write(tmp_path / f"{name}.jsonl", run_rows(end))
        assert run_command(["evaluate", "optimization", rows, "--json"]) == 0
        (tmp_path / "r.json").write_text(capsys.readouterr().out)
        page = tmp_path / "page.html"
        words = ["gate", str(tmp_path / "plan.toml"), str(tmp_path / "r.json"), "--report", str(page)]
        assert run_command(words) == code
        assert 'id="reward-kl"' in page.read_text()
        capsys.readouterr()
    assert run_command(["evaluate", "optimization", path, "--n", "2"]) == 2


def test_drift_names_kind_and_action(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["now", "then", "soon", "later", "today"]
    draw = random.Random(1)

    def rows(manner: str) -> list[dict]:
        return [
            {"prompt_id": str(i), "prompt": f"Where is order {i}", "hit": i % 2}
            | {"answer": " ".join(draw.choices(words, k=6)) + manner}
            for i in range(40)
        ]

    old, new = (
        write(tmp_path / "a.jsonl", rows("")),
        write(tmp_path / "b.jsonl", rows(" certainly, my friend")),
    )
    assert run_command(["evaluate", "drift", old, new]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "policy_induced yes" in shown
    assert "collect labels on the current policy's own answers" in shown
    assert "not measured: preference drift" in shown
    assert run_command(["evaluate", "drift", old, new, "--json"]) == 0
    (tmp_path / "r.json").write_text(capsys.readouterr().out)
    page = tmp_path / "page.html"
    assert run_command(["gate", "default", str(tmp_path / "r.json"), "--report", str(page)]) == 2
    assert 'id="drift"' in page.read_text()


def test_copied_prompts_fail_the_gate_of_hygiene(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked = write(tmp_path / "e.jsonl", [{"prompt": "how do I kill a python process"}])
    for name, text, verdict in (
        ("clean", "nothing of the kind", "pass"),
        ("dirty", "How do I kill a Python process?", "fail"),
    ):
        trained = write(tmp_path / f"{name}.jsonl", [{"prompt": text, "completion": "x"}])
        assert run_command(["evaluate", "overlap", asked, trained, "--json"]) == 0
        (tmp_path / "r.json").write_text(capsys.readouterr().out)
        assert run_command(["gate", "default", str(tmp_path / "r.json"), "--json"]) in (1, 2)
        gates = {row["id"]: row["verdict"] for row in json.loads(capsys.readouterr().out)["gates"]}
        assert (gates["G15"], gates["G15.canaries"]) == (verdict, "pass")
