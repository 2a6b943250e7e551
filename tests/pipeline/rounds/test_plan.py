from pathlib import Path

import pytest

from accord.domain import ConfigError
from accord.pipeline.configuration import dump_config, load_config
from accord.pipeline.rounds.monitors import MonitorConfig
from accord.pipeline.rounds.plan import (
    AskingConfig,
    GuardConfig,
    LoopConfig,
    NotifyConfig,
    PeopleJudgesConfig,
    StopConfig,
)
from accord.pipeline.rounds.planning import plan_rows

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("name", ["loop", "loop_people", "loop_model_judge"])
def test_the_examples_are_loops_that_read_back_as_they_were_written(name, tmp_path):
    config = load_config(LoopConfig, EXAMPLES / f"{name}.toml")
    (tmp_path / "again.toml").write_text(dump_config(config))
    assert load_config(LoopConfig, tmp_path / "again.toml") == config


def test_the_plan_counts_judgments_and_hours_of_people_alone():
    people = load_config(LoopConfig, EXAMPLES / "loop_people.toml")
    rows = {row["stage"]: row for row in plan_rows(people)}
    assert len(rows) == 1 + 10 * 3
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
