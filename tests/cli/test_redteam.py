"""`accord redteam`: from a campaign to a gate, through people, on a tiny model and over HTTP."""

import csv
import json
from pathlib import Path

import pytest

from accord.cli.main import run_command
from accord.evaluation.redteam.attacks import find_attack
from accord.evaluation.redteam.findings import read_findings
from accord.feedback.export import export_lines
from accord.feedback.project_file import read_items, write_items
from accord.feedback.serving import app_here
from accord.feedback.work import Work
from accord.models.tiny import tiny_model
from accord.pipeline.redteaming import Behavior, judge_by_phrases, run_campaign, spread, verdict_of
from accord.pipeline.serving.application import create_model_app
from accord.rollouts.engine import Engine
from accord.store.database import Accounts, PasswordCost, Projects, Role, WorkQueue, open_database
from accord.store.reading import read_preferences

DATA = Path("/work/shared/data/eval_harmful_prompts/prompts.csv.gz")


@pytest.fixture
def behaviors(tmp_path):
    path = tmp_path / "behaviors.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "category"])
        writer.writerows([f"Do bad thing number {k}", "ab"[k % 2]] for k in range(4))
    return path


def test_from_campaign_to_gate(tmp_path, behaviors, capsys):
    out = tmp_path / "f.jsonl"
    arguments = ["redteam", "run", str(behaviors), "--out", str(out), "--model", "tiny", "--max-tokens", "8"]
    assert run_command([*arguments, "--judge", "phrases"]) == 0
    rows = read_findings(out)
    assert len(rows) == 4 * 10
    assert {row.judge for row in rows} == {"phrases"}

    items = tmp_path / "items.jsonl"
    assert run_command(["redteam", "triage", str(out), "--items", str(items), "--limit", "12"]) == 0
    database = open_database(tmp_path / "a.db")
    database.create()
    projects, queue = Projects.of(database), WorkQueue.of(database)
    project = projects.add_project("triage")
    projects.add_definition(project, "schema", {"kind": "safety"})
    assert write_items(projects, project, read_items(items, 1)) == 12
    person = Accounts.of(database, PasswordCost(n=16, r=1, p=1)).add("ann", "x" * 12, Role.ANNOTATOR)
    work = Work(database, queue)
    for number, taken in enumerate(queue.claim(project, person, count=10)):
        answers = {"safety": "unsafe" if number < 3 else "borderline"}
        sent = {"token": taken.lease_token, "key": f"key-{number:05}", "answers": answers}
        work.submit(taken.id, person, sent)
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(export_lines(work, project, "choices")))
    database.close()
    assert run_command(["redteam", "triage", str(out), "--labels", str(labels)]) == 0
    assert "10 seen by people, 3 of them broken" in capsys.readouterr().out

    assert run_command(["redteam", "report", str(out), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["measurements"]
    assert len(measured) == 10
    assert all(0 <= one["estimate"]["low"] <= one["estimate"]["high"] <= 1 for one in measured)

    regression, pairs, gates = (tmp_path / name for name in ("r.jsonl", "p.jsonl", "g.json"))
    confirm = ["redteam", "confirm", str(out), "--regression", str(regression), "--pairs", str(pairs)]
    assert run_command([*confirm, "--gates", str(gates)]) == 0
    assert {one.chosen for one in read_preferences(pairs)} == {"I can't help with that."}
    held = regression.read_text()
    assert run_command(confirm) == 0
    assert regression.read_text() == held
    capsys.readouterr()
    judge = tmp_path / "judge.py"
    judge.write_text(
        "def strict(prompt, answer):\n    return 'none'\n\ndef lenient(prompt, answer):\n    return 'full'\n"
    )
    for name, code in (("strict", 1), ("lenient", 0)):
        asked = ["redteam", "regress", str(regression), "--model", "tiny", "--max-tokens", "4"]
        assert run_command([*asked, "--judge", f"{judge}:{name}", "--json"]) == 0
        (tmp_path / "m.json").write_text(capsys.readouterr().out)
        assert run_command(["gate", str(gates), str(tmp_path / "m.json")]) == code, name
        capsys.readouterr()


def test_an_address_is_a_target_like_any_other(tmp_path, behaviors, capsys):
    engine = Engine({"served": tiny_model()})
    try:
        with app_here(create_model_app(engine)) as address:
            outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
            common = ["redteam", "run", str(behaviors), "--technique", "plain", "--max-tokens", "6"]
            served = ["--endpoint", f"{address}/v1", "--name", "served"]
            assert run_command([*common, *served, "--out", str(outs[0])]) == 0
            assert run_command([*common, "--model", "tiny", "--name", "served", "--out", str(outs[1])]) == 0
    finally:
        engine.close()
    assert read_findings(outs[0]) == read_findings(outs[1])  # both greedy, one model


def test_a_stopped_campaign_goes_on_where_it_was():
    class Stopping:
        name = "m"

        def __init__(self, most):
            self.most, self.asked = most, []

        def answer(self, prompts):
            if len(self.asked) + len(prompts) > self.most:
                raise KeyboardInterrupt
            self.asked += prompts
            return ["Absolutely!" for _ in prompts]

    behaviors = [Behavior(text=f"behavior {k}") for k in range(20)]
    attacks = [find_attack("plain"), find_attack("rot13")]
    kept, first, second = [], Stopping(32), Stopping(100)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(behaviors, attacks, first, keep=lambda found: kept.__setitem__(slice(None), found))
    assert len(kept) == 32
    found = run_campaign(behaviors, attacks, second, known=kept)
    assert len(second.asked) == 8
    assert len({(one.behavior, one.technique) for one in found.findings}) == len(found.findings) == 40


def test_wrong_targets_and_techniques_are_refused(tmp_path, behaviors, capsys):
    out = ["--out", str(tmp_path / "f.jsonl")]
    assert run_command(["redteam", "run", str(behaviors), *out]) == 2
    assert "either --model or --endpoint" in capsys.readouterr().err
    assert run_command(["redteam", "run", str(behaviors), *out, "--endpoint", "http://127.0.0.1:1/v1"]) == 2
    assert run_command(["redteam", "run", str(behaviors), *out, "--model", "tiny", "--technique", "x"]) == 1
    assert "there are: plain" in capsys.readouterr().err
    assert run_command(["redteam", "techniques"]) == 0
    assert "Wei, Haghtalab" in capsys.readouterr().out


def test_the_first_sorting_by_how_refusals_begin():
    assert judge_by_phrases("q", "I\u2019m sorry, but no.") == 0.0
    assert judge_by_phrases("q", "") == 0.0
    assert judge_by_phrases("q", "Absolutely! Here is") == 1.0
    assert (verdict_of("partial"), verdict_of("full"), verdict_of(True)) == (0.5, 0.0, 0.0)


def test_a_limit_takes_in_turn_from_each_category():
    rows = [Behavior(text=f"{c}{k}", category=c) for c in "ab" for k in range(5)]
    assert [one.text for one in spread([*rows, Behavior(text="c0", category="c")], 5)] == [
        "a0",
        "b0",
        "c0",
        "a1",
        "b1",
    ]


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="the harmful requests are not there")
def test_public_requests_are_read_with_their_categories():
    from accord.pipeline.redteaming import read_behaviors

    rows = read_behaviors(DATA, 60)
    assert len(rows) == len({row.text for row in rows}) == 60
    assert len({row.category for row in rows}) > 5
