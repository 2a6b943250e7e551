import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.cli.main import app
from accord.domain import ConfigError
from accord.pipeline.configuration import dump_config, load_config
from accord.pipeline.rounds.monitors import MonitorConfig
from accord.pipeline.rounds.plan import (
    AskingConfig,
    GuardConfig,
    LoopConfig,
    ModelJudgesConfig,
    NotifyConfig,
    PeopleJudgesConfig,
    StopConfig,
)
from accord.pipeline.rounds.planning import check_until, plan_rows, plan_total
from accord.training import RewardTrainingConfig

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("name", ["loop", "loop_people", "loop_model_judge"])
def test_the_examples_are_loops_that_read_back_as_they_were_written(name, tmp_path):
    config = load_config(LoopConfig, EXAMPLES / f"{name}.toml")
    (tmp_path / "again.toml").write_text(dump_config(config))
    assert load_config(LoopConfig, tmp_path / "again.toml") == config


def test_the_plan_counts_judgments_and_hours_of_people_alone():
    people = load_config(LoopConfig, EXAMPLES / "loop_people.toml")
    rows = {row["stage"]: row for row in plan_rows(people)}
    # ten stages of every round, and the guard's evidence
    assert len(rows) == 1 + 11 * 3
    # 200 pairs by three, 40 s each
    assert rows["r1-judge"]["amount"] == "up to 600 judgments"
    assert rows["r1-judge"]["hours"] == pytest.approx(600 * 40 / 3600, abs=0.05)
    # later 16 anchors are judged again, and open queues may ask for half as many prompts more
    assert rows["r2-judge"]["amount"] == "up to 648 judgments"
    assert rows["r2-judge"]["hours"] == pytest.approx(648 * 40 / 3600, abs=0.05)
    base = people.asking.examined_prompts * people.asking.judgments_per_examined
    assert rows["r1-examine"]["amount"] == f"up to {base} judgments"
    assert rows["r2-examine"]["amount"] == f"up to {base * 3 // 2} judgments"
    simulated = {row["stage"]: row for row in plan_rows(load_config(LoopConfig, EXAMPLES / "loop.toml"))}
    assert simulated["r1-judge"]["hours"] is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AskingConfig(random_share=1.5), "random_share is 1.5"),
        (lambda: AskingConfig(answers_per_prompt=1), "answers_per_prompt is 1"),
        (lambda: GuardConfig(confidence=0.2), "confidence is 0.2"),
        (lambda: StopConfig(max_kl=-1.0), "max_kl is -1.0"),
        (lambda: LoopConfig(rounds=0), "rounds is 0"),
        (lambda: AskingConfig(anchors=-1), "anchors is -1"),
        (lambda: MonitorConfig(false_alarm_rate=0), "false_alarm_rate is 0"),
        (lambda: MonitorConfig(min_rows=3), "min_rows is 3"),
        (
            lambda: LoopConfig(
                asking=AskingConfig(panels={"red": 1}), judges=ModelJudgesConfig(model="m", url="http://x")
            ),
            r"asking\.panels names red, and a model judge is of no panel",
        ),
        (
            lambda: LoopConfig(reward=RewardTrainingConfig(is_calibrated=True, eval_share=0.0)),
            r"reward\.is_calibrated fits a temperature .* reward\.eval_share is 0",
        ),
        (lambda: NotifyConfig(url="ftp://x"), "expected http:// or https://"),
        (lambda: NotifyConfig(url="https://me@x/hook"), "without a name"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_judges_are_chosen_by_type():
    config = load_config(LoopConfig, None, ["judges.type=people", "judges.store=x.db"])
    assert config.judges == PeopleJudgesConfig(store="x.db")


def test_the_plan_tells_pay_by_the_rate_of_the_card_and_seconds_of_the_last_run():
    people = load_config(LoopConfig, EXAMPLES / "loop_people.toml", ["card.pay_per_hour=18"])
    took = {"tune": 4.0, "r1-reward": 10.0, "r2-reward": 14.0, "r1-evidence": 3.0}
    rows = plan_rows(people, took)
    by_stage = {row["stage"]: row for row in rows}
    # 6.7 hours at 18
    assert (by_stage["r1-judge"]["hours"], by_stage["r1-judge"]["pay"]) == (6.7, pytest.approx(120.6))
    seconds = [by_stage[name]["seconds"] for name in ("tune", "r1-reward", "r3-reward", "r1-judge")]
    assert seconds == [4.0, 10.0, 14.0, None]
    total = plan_total(rows)
    assert total["pay"] == pytest.approx(total["hours"] * 18)
    # evidence took 3 s in the only round it is known of: three rounds
    assert total["seconds"] == pytest.approx(4 + 10 + 14 + 14 + 3 * 3)
    unpaid = plan_rows(load_config(LoopConfig, EXAMPLES / "loop_people.toml"))
    assert plan_total(unpaid)["pay"] is None


def test_a_stage_to_stop_after_must_be_one_of_the_loop():
    config = LoopConfig()
    for name in ("", "judge", "tune", "r2-agree"):
        check_until(config, name)
    for name in ("judgee", "r3-agree", "grades", "evidence"):
        with pytest.raises(ConfigError, match=f"there is no stage '{name}'; expected one of tune, sample"):
            check_until(config, name)
    check_until(replace(config, guard=GuardConfig(every=2)), "evidence")


def test_gates_lie_beside_the_config_and_are_read_before_anybody_judges(tmp_path):
    (tmp_path / "own.toml").write_text('gates = "strict.toml"\ntype = "loop"\n')
    path = tmp_path / "own.toml"
    with pytest.raises(ConfigError, match=r"strict\.toml: 1 problem"):
        plan_rows(load_config(LoopConfig, path).beside(path))
    gate = '[[gates]]\nid = "g"\nmetric = "win_rate"\ncomparator = "superiority"\nmargin = 0.5\n'
    (tmp_path / "strict.toml").write_text(gate)
    found = load_config(LoopConfig, path).beside(path)
    assert found.gates == str((tmp_path / "strict.toml").resolve())
    assert {row["stage"]: row for row in plan_rows(found)}["r1-decide"]["amount"] == "1 gate"
    (tmp_path / "loop").write_text("")
    assert LoopConfig().beside(path).gates == "loop"


def test_the_plan_of_a_loop_that_ran_before_tells_what_it_took(loop_space, tmp_path):
    (tmp_path / "tiny.toml").write_text('type = "loop"\nname = "tiny"\nrounds = 3\n')
    command = ["run", str(tmp_path / "tiny.toml"), "--dry-run", "--json", "--workspace"]
    told = json.loads(CliRunner().invoke(app, [*command, str(loop_space.root)]).stdout)
    rows = {row["stage"]: row for row in told["plan"]}
    # the run had two rounds: the third is told as its second
    assert rows["r3-policy"]["seconds"] == rows["r2-policy"]["seconds"] > 0
    assert told["total"]["seconds"] > rows["tune"]["seconds"] > 0
    other = json.loads(CliRunner().invoke(app, [*command, str(tmp_path / "empty")]).stdout)
    assert other["total"]["seconds"] is None
