import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from accord.cli.main import app
from accord.domain import ConfigError
from accord.pipeline.journal import Journal
from accord.pipeline.rounds.budget import allow, examined_count, why_spent
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.plan import AskingConfig, LoopConfig, ModelJudgesConfig, StopConfig
from accord.pipeline.rounds.planning import plan_rows, plan_total
from accord.pipeline.rounds.pricing import question_tokens
from accord.rollouts import SamplingConfig


def budgeted(most, **asking):
    return LoopConfig(stop=StopConfig(max_judgments=most), asking=AskingConfig(**asking))


def test_a_round_asks_what_it_would_where_the_budget_pays_it():
    # 20 pairs by three, 4 anchors by three, 10 prompts by three: 102
    found = allow(budgeted(200), 98, pairs=20, anchors=4, prompts=10)
    assert (found.pairs, found.anchors, found.prompts, found.left) == (20, 4, 10, None)
    assert allow(LoopConfig(), 10**9, pairs=20, anchors=4, prompts=10).left is None
    assert found.lines == []


def test_a_round_that_the_budget_does_not_pay_gives_up_anchors_and_then_a_part_of_everything():
    without = allow(budgeted(200), 99, pairs=20, anchors=4, prompts=10)
    assert (without.pairs, without.anchors, without.prompts, without.left) == (20, 0, 10, 101)
    # of 45 left, 10 prompts in 30 pairs and prompts: 45 * 10 // 90 = 5 prompts, 15 judgments; 30 for 10 pairs
    cut = allow(budgeted(200), 155, pairs=20, anchors=4, prompts=10)
    assert (cut.pairs, cut.anchors, cut.prompts) == (10, 0, 5)
    assert cut.lines == [
        "cut to 10 pairs, no anchors again and 5 held-out prompts: stop.max_judgments leaves 45 judgments"
    ]


@pytest.mark.parametrize("each", [1, 2, 3, 5])
@pytest.mark.parametrize("examined", [1, 3, 4])
def test_no_round_passes_the_budget_whatever_is_left(each, examined):
    config = budgeted(1000, judgments_per_pair=each, judgments_per_examined=examined)
    # a quarter of 120 pairs and of 48 prompts
    least = 30 * each + 12 * examined
    for left in range(least, 400):
        assert not why_spent(config, 1000 - left)
        for pairs, prompts in ((30, 12), (1, 40), (60, 2)):
            got = allow(config, 1000 - left, pairs=pairs, anchors=16, prompts=prompts)
            assert (got.pairs + got.anchors) * each + got.prompts * examined <= left
            assert got.pairs >= 1
            assert got.prompts >= 2
    assert "the budget is 1000" in why_spent(config, 1000 - least + 1)


def test_prompts_are_compared_as_far_as_the_budget_goes_once_questions_took_less():
    config = budgeted(100, examined_prompts=20)
    allowed = allow(config, 0, pairs=30, anchors=0, prompts=20)
    # 100 * 20 // 150 = 13 prompts; pairs were to take 61 and took 50: 50 are left, 16 prompts by three
    assert (allowed.prompts, allowed.pairs) == (13, 20)
    assert examined_count(config, allowed, ["all"] * 40, [], spent=50) == 16
    # a guest gave more than was asked for: what the round was allowed stays
    assert examined_count(config, allowed, ["all"] * 40, [], spent=90) == 13


def test_a_loop_keeps_its_budget_of_judgments_within_its_last_round(tiny_loop, tmp_path):
    # a round asks 8 pairs by three and 8 prompts by two: 40 at most; the second would add 8 anchors
    config = tiny_loop(rounds=3, stop=StopConfig(max_judgments=52))
    records = run_loop(config, tmp_path)
    first, second = records[0].judgments, records[-1].judgments
    assert len(records) == 2
    assert first < second <= 52
    said = Journal(tmp_path / "stages").record("r2-choose").facts["lines"]
    assert f"stop.max_judgments leaves {52 - first} judgments" in said[-1]
    assert records[1].facts["anchors"] == 0
    reason = json.loads((tmp_path / "rounds.json").read_text())["reason"]
    assert f"{second} judgments were given, the budget is 52" in reason


def test_a_budget_that_pays_no_round_is_refused_before_anything_is_done(tiny_loop, tmp_path):
    config = tiny_loop(stop=StopConfig(max_judgments=6))
    told = r"max_judgments: 0 judgments were given, the budget is 6, and a round asks for 10 .* raise it"
    with pytest.raises(ConfigError, match=told):
        run_loop(config, tmp_path)
    with pytest.raises(ConfigError, match=told):
        plan_rows(config)
    assert not list(tmp_path.iterdir())


def test_the_plan_of_a_loop_keeps_its_budget(tiny_loop):
    rows = {row["stage"]: row for row in plan_rows(tiny_loop(rounds=3, stop=StopConfig(max_judgments=52)))}
    assert rows["r1-judge"]["amount"] == "up to 24 judgments"
    assert rows["r1-reward"]["amount"] == "1 pass"
    assert rows["r1-examine"]["amount"] == "up to 16 judgments"
    # 12 are left: 12 * 8 // 40 = 2 prompts by two, and 2 pairs by three; then 2, which pay no round; prompts
    # for open queues may take those
    assert rows["r2-judge"]["amount"] == "up to 6 judgments"
    assert rows["r2-examine"]["amount"] == "up to 6 judgments"
    assert rows["r3-judge"]["amount"] == "what earlier rounds leave of stop.max_judgments"


def priced(**prices):
    judges = ModelJudgesConfig(model="m", url="http://127.0.0.1:1/v1", **prices)
    return LoopConfig(judges=judges, rounds=1)


def test_the_plan_tells_what_a_model_judges_endpoint_will_be_asked_and_what_it_costs():
    config = priced(price_asked=2.0, price_answered=10.0)
    each = question_tokens(config, config.judges)
    # the instruction and a support prompt with its notes; a verdict is at most 400 tokens
    assert 150 < each.asked < 1000
    assert each.answered == 400
    rows = {row["stage"]: row for row in plan_rows(config)}
    # 120 pairs, each judged once
    assert rows["r1-judge"]["tokens"] == 120 * (each.asked + 400)
    assert rows["r1-judge"]["price"] == pytest.approx(120 * (each.asked * 2 + 400 * 10) / 1e6, abs=1e-4)
    assert rows["r1-sample"]["price"] is None
    total = plan_total(list(rows.values()))
    assert total["price"] == pytest.approx(rows["r1-judge"]["price"] + rows["r1-examine"]["price"])
    free = plan_total(plan_rows(priced(price_asked=0.0, price_answered=0.0)))
    assert free["price"] == 0
    assert "tokens" not in plan_total(plan_rows(LoopConfig()))


def test_answers_count_as_long_as_known_ones_and_no_longer_than_they_may_get():
    config = priced()
    short = replace(config, asking=AskingConfig(sampling=SamplingConfig(max_tokens=5)))
    long = replace(config, asking=AskingConfig(sampling=SamplingConfig(max_tokens=500)))
    sizes = [question_tokens(one, one.judges).asked for one in (short, long)]
    # two answers of 5 tokens against two of the demonstrations' length, which is some 20 to 60 tokens
    assert 30 < sizes[1] - sizes[0] < 120


def test_a_price_that_is_not_given_is_said_not_to_be_known(tmp_path):
    (tmp_path / "loop.toml").write_text(
        'type = "loop"\nrounds = 1\n[judges]\ntype = "model"\nmodel = "m"\nurl = "http://127.0.0.1:1/v1"\n'
    )
    command = ["run", str(tmp_path / "loop.toml"), "--dry-run", "--workspace", str(tmp_path / "space")]
    table = CliRunner().invoke(app, command).stdout
    # two stages that judge, and the sum
    assert table.count("not known") == 3
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert told["total"]["price"] is None
    assert told["total"]["tokens"] > 0
    with pytest.raises(ConfigError, match=r"price_asked is -1.0; expected a number, 0 or more, or none"):
        priced(price_asked=-1.0)
