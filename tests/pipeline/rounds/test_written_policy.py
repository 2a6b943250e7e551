"""The written policy in a loop: dimension, judgment, head, weight or constraint, gate, report, lineage."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accord.cli.main import run_command
from accord.domain import Completion, ConfigError, Prompt, Rating
from accord.models import load_model, reward_model_from
from accord.pipeline.charter.principles import Charter, Limit, Principle, read_charter
from accord.pipeline.journal import Journal
from accord.pipeline.lineage import rebuild, trace_model
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.rounds.grading import Grading, WrittenReward
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.plan import LoopConfig, ModelJudgesConfig, PeopleJudgesConfig
from accord.pipeline.rounds.releasing import STAGES, read_ledger
from accord.pipeline.rounds.running import start_loop
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.workspace import Workspace
from accord.rollouts import FunctionReward

POLICY = """
name = "tiny policy"
preference = 0.5

[[principles]]
id = "answers"
text = "Says what was asked for."
weight = 3
floor = 1.5
min_n = 4

[[principles]]
id = "brief"
text = "Holds nothing that could be left out."
min_n = 4

[[limits]]
id = "polite"
text = "Is never rude."
max_rate = 0.4
alpha = 0.2
"""
DIMENSIONS = ("polite", "answers", "brief")


@pytest.fixture(scope="module")
def policy_space(tmp_path_factory, tiny_loop):
    """A loop of one round under a written policy, run to its end."""
    root = tmp_path_factory.mktemp("policy")
    (root / "policy.toml").write_text(POLICY)
    space = Workspace(root / "space")
    config = tiny_loop(rounds=1, policy_file=str(root / "policy.toml"))
    start_loop(space, config, name="first", command=["accord", "run", "tiny.toml"])
    return space


@pytest.fixture(scope="module")
def run(policy_space):
    return policy_space.run("first")


@pytest.fixture(scope="module")
def record(run):
    return read_ledger(run.folder)[0][0]


def test_a_dimension_goes_all_the_way(run, record):
    snapshot = Snapshot.read(run.folder / "stages/r1-agree")
    # judgment: every judgment behind the snapshot graded both answers on each dimension
    assert {one.dimension for one in snapshot.ratings} == set(DIMENSIONS)
    assert len(snapshot.ratings) == 2 * len(DIMENSIONS) * snapshot.facts["judgments"]
    journal = Journal(run.folder / "stages")
    # head
    heads = json.loads((run.folder / "stages/r1-grades/model/accord_reward.json").read_text())
    assert tuple(heads["dimensions"]) == DIMENSIONS
    # weight or constraint: every part was in the reward, and the limit had a multiplier that moved
    metrics = journal.record("r1-policy").facts["metrics"]
    assert {f"reward/part/{name}" for name in ("preference", *DIMENSIONS)} <= set(metrics)
    assert metrics["constraint/multiplier/polite"] != 1.0
    # gate, and the number it rests on
    gates = {row["id"]: row for row in record.gates}
    assert {"answers.kept", "answers.level", "brief.kept", "polite.broken", "better"} <= set(gates)
    assert gates["answers.level"]["about"] == "Principle answers: Says what was asked for."
    assert record.numbers["principle_grade [principle=answers]"]["n"] > 0
    assert record.numbers["limit_broken [principle=polite]"]["value"] is not None
    # report: each row names its principle
    rows = {row["id"]: row for row in record.facts["policy"]["principles"]}
    assert rows["answers"]["part"] == 0.75
    assert rows["polite"]["gates"] == ["polite.broken"]
    page = (run.folder / "report.html").read_text()
    assert all(f'id="principle-{name}"' in page for name in DIMENSIONS)


def test_the_panel_grades_each_dimension_by_a_taste_of_its_own(run):
    ratings = Snapshot.read(run.folder / "stages/r1-agree").ratings
    means = {
        name: np.mean([one.value for one in ratings if one.dimension == name])
        for name in ("answers", "brief")
    }
    # a tiny model's noise answers nothing, and some of it is short
    assert means["brief"] > means["answers"] + 0.3


def test_the_trace_names_the_version_and_the_run_keeps_its_words(policy_space, run, record, capsys):
    charter = read_charter(run.folder / record.facts["policy"]["file"])
    assert charter.hash == record.facts["policy"]["hash"]
    assert run_command(["trace", "first/1", "--workspace", str(policy_space.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["policy_file"] == charter.hash
    assert trace_model(policy_space, "first/1").judgment_ids


def test_the_snapshot_with_grades_follows_from_the_store(run):
    assert rebuild(run, 1).hash == Snapshot.read(run.folder / "stages/r1-agree").hash


CHANGES = {
    "floor = 1.5": ("floor = 2.5", "decide"),
    "max_rate = 0.4": ("max_rate = 0.2", "policy"),
    'text = "Says what was asked for."': ('text = "Says what was asked."', "judge"),
    "weight = 3": ("weight = 2", "judge"),
    "preference = 0.5": ("preference = 2.0", "policy"),
}


@pytest.mark.parametrize("old", CHANGES)
def test_a_change_of_the_policy_touches_the_stages_that_depend_on_it_and_no_others(
    old, policy_space, tmp_path, tiny_loop
):
    new, first = CHANGES[old]
    folder = tmp_path / "run"
    shutil.copytree(policy_space.run("first").folder, folder)
    (tmp_path / "policy.toml").write_text(POLICY.replace(old, new))
    before = _fingerprints(folder)
    run_loop(tiny_loop(rounds=1, policy_file=str(tmp_path / "policy.toml")), folder)
    after = _fingerprints(folder)
    order = ["tune", *(f"r1-{stage}" for stage in (*STAGES[:5], "grades", *STAGES[5:]))]
    start = order.index(f"r1-{first}")
    touched = [name for name in order if before[name] != after[name]]
    # everything from the first that depends on it; the reward model of comparisons does not build on heads
    assert touched == order[start:]
    assert len(list((folder / "policies").iterdir())) == 2


def _fingerprints(folder: Path) -> dict[str, str]:
    return {
        path.name: json.loads((path / "stage.json").read_text())["fingerprint"]
        for path in (folder / "stages").iterdir()
    }


def charter() -> Charter:
    return Charter(
        name="c",
        preference=2.0,
        principles=(Principle(id="a", text="t", weight=3), Principle(id="b", text="t", low=0, high=10)),
        limits=(Limit(id="no", text="t", max_rate=0.1),),
    )


def test_grades_are_learnt_in_half_spans_around_the_middle():
    prompt = Prompt.from_text("p")
    rows = [("a", 4.0), ("b", 0.0), ("no", 1.0), ("no", 0.0), ("else", 3.0)]
    ratings = [Rating(prompt=prompt, completion="c", value=value, dimension=name) for name, value in rows]
    # a: (4 - 3) / 2; b: (0 - 5) / 5; kept 1, broken -1; what the policy does not name is left out
    assert [one.value for one in Grading(charter()).placed(ratings)] == [0.5, -1.0, 1.0, -1.0]


def test_the_reward_is_the_comparison_and_the_principles_and_no_limit():
    heads = reward_model_from(load_model("tiny"), dimensions=("no", "a", "b"), seed=3).eval()
    prompts = [Prompt.from_text("one"), Prompt.from_text("two")]
    answers = [Completion(text="yes"), Completion(text="no, never")]
    compared = FunctionReward(lambda p, c: [0.25] * len(c))
    found = WrittenReward(compared, heads, charter()).score(prompts, answers)
    told = heads.dimension_texts(prompts, [one.text for one in answers]).double().tolist()
    for value, row in zip(found.values, told, strict=True):
        # preference 2 x 0.25, parts 3/4 and 1/4
        assert value == pytest.approx(0.5 + 0.75 * row[1] + 0.25 * row[2])
    assert found.parts["no"] == [float(row[0] >= 0) for row in told]
    assert found.parts["preference"] == [0.25, 0.25]


def test_equal_answers_are_no_difference_and_nobodys_grade():
    def groups(texts):
        return [AnswerGroup(Prompt.from_text(str(i)), (Completion(text=one),)) for i, one in enumerate(texts)]

    mine, its = groups(["x", "same"]), groups(["y", "same"])
    ratings = [
        Rating(prompt=mine[0].prompt, completion=text, value=value, dimension="a")
        for text, value in (("x", 5.0), ("y", 3.0))
    ]
    measured = {
        (one.metric, one.versus): one.estimate for one in Grading(charter()).measure(ratings, mine, its)
    }
    assert measured["principle_grade", "nothing"].value == 5.0
    # (5 - 3) on one prompt, 0 on the other
    assert measured["principle_grade", "incumbent"].value == 1.0
    assert measured["principle_grade", "incumbent"].n == 2


def test_what_cannot_go_together_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="a model judge only compares"):
        LoopConfig(policy_file="p.toml", judges=ModelJudgesConfig(model="m", url="http://x/v1"))
    with pytest.raises(ConfigError, match="both give a guideline"):
        LoopConfig(policy_file="p.toml", judges=PeopleJudgesConfig(guideline="Be brief."))
    with pytest.raises(ConfigError, match=r"there is no p.toml in .*; name the written policy"):
        replace(LoopConfig(), policy_file="p.toml").beside(tmp_path / "loop.toml")


def test_a_policy_file_is_found_beside_the_config(tmp_path):
    (tmp_path / "p.toml").write_text(POLICY)
    found = LoopConfig(policy_file="p.toml").beside(tmp_path / "loop.toml")
    assert found.policy_file == str((tmp_path / "p.toml").resolve())
