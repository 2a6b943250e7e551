"""A written policy: read strictly; what follows from it names its principle and is read back."""

import json
from pathlib import Path

import pytest

from accord.cli.main import run_command
from accord.domain import ConfigError, DataError, Prompt, Rating
from accord.evaluation.gates.plan import read_plan
from accord.feedback.markdown import render_markdown
from accord.feedback.project_file import read_project
from accord.pipeline.charter.collecting import guideline, project_file
from accord.pipeline.charter.principles import Charter, Example, Limit, Principle, read_charter
from accord.pipeline.charter.release import gate_file, gate_plan, measure_grades
from accord.pipeline.charter.training import reward_config, reward_heads
from accord.pipeline.configuration import load_config
from accord.pipeline.jobs import RewardJob

EXAMPLE = Path(__file__).parents[3] / "examples" / "policy.toml"
IDS = ["no_payment_data", "correct", "brief"]


@pytest.fixture(scope="module")
def charter() -> Charter:
    return read_charter(EXAMPLE)


def test_all_that_is_wrong_with_a_file_is_said_at_once(tmp_path):
    (tmp_path / "p.toml").write_text(
        'name = "x"\noverlap = "two"\n'
        '[[principles]]\nid = "Not so"\ntext = ""\nweight = -1\n'
        '[[principles]]\nid = "b"\ntext = "t"\nlow = 3\nhigh = 1\nwieght = 2\n'
        '[[limits]]\nid = "c"\ntext = "t"\nmax_rate = 0.0\n'
        '[[principles.examples]]\nprompt = "p"\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_charter(tmp_path / "p.toml")
    said = "\n".join(caught.value.problems)
    for part in ("overlap", "[0].id", "[0].text", "[0].weight", "[1].high", "wieght", "max_rate", "good"):
        assert part in said, part


def test_an_id_names_one_thing():
    one = Principle(id="a", text="t")
    with pytest.raises(ConfigError, match="'a' is there twice"):
        Charter(name="x", principles=(one,), limits=(Limit(id="a", text="t"),))
    with pytest.raises(ConfigError, match="there are none"):
        Charter(name="x", limits=(Limit(id="a", text="t"),))
    with pytest.raises(ConfigError, match="choose another id"):
        Charter(name="x", principles=(Principle(id="preference", text="t"),))


def test_parts_are_shares_of_the_weight(charter):
    assert charter.parts == {"correct": 0.75, "brief": 0.25}


def test_hash_is_of_what_is_said(charter):
    again = read_charter(EXAMPLE)
    other = Charter(name=charter.name, principles=charter.principles, limits=())
    assert charter.hash == again.hash != other.hash


def test_guideline_is_anchored_by_principle_and_shows_examples(charter):
    text = guideline(charter)
    page = str(render_markdown(text))
    for name in IDS:
        assert f"{{#{name}}}" in text
        assert f'<h3 dir="auto" id="guide-{name}">' in page
    assert "{#" not in page
    assert "Sure, returns are always free!" in page
    assert "Counts 75%." in text
    assert text.index("no_payment_data") < text.index("{#correct}")


def test_a_quoted_example_of_several_lines_stays_a_quote():
    lines = Example(prompt="one\ntwo", good="g")
    text = guideline(Charter(name="x", principles=(Principle(id="a", text="t", examples=(lines,)),)))
    assert "> **Asked:** one\n> two\n" in text


def test_the_project_file_makes_a_project_with_guideline_and_questions(charter, tmp_path, capsys):
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"prompt": "Why?", "candidates": ["a", "b"]}) + "\n")
    (tmp_path / "p.toml").write_text(project_file(charter, items="pairs.jsonl"))
    plan = read_project(tmp_path / "p.toml")
    assert plan.name == charter.name
    assert plan.guideline == guideline(charter)
    assert [question.id for question in plan.schema.questions] == ["preference", *IDS]
    store = str(tmp_path / "a.db")
    assert run_command(["project", "create", str(tmp_path / "p.toml"), "--store", store, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["id"] is not None
    assert made["n_items"] == 1
    assert made["overlap"] == 2
    assert made["questions"] == ["preference", *IDS]


def test_the_gate_file_loads_and_each_gate_names_its_principle(charter, tmp_path):
    (tmp_path / "g.toml").write_text(gate_file(charter))
    plan = read_plan(tmp_path / "g.toml")
    assert plan.hash == gate_plan(charter).hash
    assert [gate.id for gate in plan.gates] == [
        "no_payment_data.broken",
        "correct.kept",
        "correct.level",
        "brief.kept",
    ]
    for gate in plan.gates:
        name = gate.id.partition(".")[0]
        assert gate.slice == f"principle={name}"
        assert name in gate.about


def test_the_reward_config_loads_and_a_limit_has_no_part_in_the_score(charter, tmp_path):
    (tmp_path / "r.toml").write_text(reward_config(charter, "ratings.jsonl"))
    job = load_config(RewardJob, tmp_path / "r.toml")
    heads = reward_heads(charter)
    assert job.reward.objective.type == "ratings"
    assert job.reward.objective.dimensions == heads.dimensions == ("correct", "brief", "no_payment_data")
    # grades 1 to 5 have half a span of 2: .75 / 2 and .25 / 2
    assert job.reward.objective.score_weights == {"correct": 0.375, "brief": 0.125, "no_payment_data": 0.0}
    (constraint,) = heads.constraints
    assert (constraint.dimension, constraint.max_rate) == ("no_payment_data", 0.01)


def test_fewest_answers_are_those_by_which_none_broken_passes():
    # z^2 (1 - r) / r = 3.8415 * 99 = 380.3
    assert Limit(id="a", text="t", max_rate=0.01).min_n == 381


def graded(name: str, grades: list[float], prompts: int) -> list[Rating]:
    return [
        Rating(prompt=Prompt.from_text(f"q{k % prompts}"), completion=f"a{k}", value=grade, dimension=name)
        for k, grade in enumerate(grades)
    ]


def test_a_limit_is_measured_by_its_broken_share_and_passes_with_enough_answers(charter):
    (found,) = measure_grades(charter, graded("no_payment_data", [1] * 380 + [0] * 20, 400))
    assert (found.metric, found.slice) == ("limit_broken", "principle=no_payment_data")
    assert found.estimate.value == pytest.approx(20 / 400)
    (clean,) = measure_grades(charter, graded("no_payment_data", [1] * 381, 381))
    assert clean.estimate.high <= 0.01
    (short,) = measure_grades(charter, graded("no_payment_data", [1] * 380, 380))
    assert short.estimate.high > 0.01


def test_a_difference_is_over_prompts_that_both_answered(charter):
    own = graded("brief", [5, 4, 5], 3)
    before = graded("brief", [3, 3], 2)
    level, change = measure_grades(charter, own, before)
    assert level.estimate.value == pytest.approx(14 / 3)
    assert change.versus == "incumbent"
    # 5 - 3 and 4 - 3
    assert (change.estimate.value, change.estimate.n) == (1.5, 2)


def test_a_grade_off_the_scale_and_an_unknown_dimension(charter):
    assert measure_grades(charter, graded("other", [1], 1)) == []
    with pytest.raises(DataError, match="1 to 5"):
        measure_grades(charter, graded("brief", [6], 1))


def test_commands_print_what_they_promise_and_the_release_names_principles(tmp_path, capsys):
    for command in ("guideline", "rubric", "project", "heads", "gates", "check"):
        assert run_command(["policy", command, str(EXAMPLE)]) == 0
        assert "no_payment_data" in capsys.readouterr().out
    gates, ratings = tmp_path / "gates.toml", tmp_path / "ratings.jsonl"
    assert run_command(["policy", "gates", str(EXAMPLE), "--out", str(gates)]) == 0
    rows = [
        {"prompt": f"q{k}", "completion": "a", "rating": 0, "dimension": "no_payment_data"}
        for k in range(400)
    ]
    ratings.write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    assert run_command(["policy", "measure", str(EXAMPLE), str(ratings), "--json"]) == 0
    (tmp_path / "m.json").write_text(capsys.readouterr().out)
    assert run_command(["gate", str(gates), str(tmp_path / "m.json"), "--json"]) == 1
    verdicts = {row["id"]: row["verdict"] for row in json.loads(capsys.readouterr().out)["gates"]}
    assert verdicts["no_payment_data.broken"] == "fail"
    assert verdicts["correct.level"] == "not measured"


def test_a_broken_file_exits_with_usage(tmp_path, capsys):
    (tmp_path / "p.toml").write_text('name = ""\n')
    assert run_command(["policy", "check", str(tmp_path / "p.toml")]) == 2
    assert "principles: there are none" in capsys.readouterr().err
