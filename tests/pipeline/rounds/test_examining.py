import datetime
import math
from dataclasses import replace

import pytest

from accord.domain import Choice, Comparison, Completion, DataError, Judgment, Prompt, Source
from accord.pipeline.rounds.agreeing import agree
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.rounds.choosing import Question
from accord.pipeline.rounds.examining import Examined, VotedPairs, believed, examine, responses_of
from accord.pipeline.rounds.plan import AgreeingConfig, StopConfig
from accord.pipeline.rounds.releasing import RoundRecord, decide, gate_rows, number_rows, plan_of, why_stop


def vote(prompt, left, right, choice, who="ann", number=0):
    return Judgment(
        comparison=Comparison(prompt=Prompt.from_text(prompt), left=left, right=right),
        annotator_id=who,
        choice=choice,
        source=Source.SIMULATED,
        meta={"judgment_id": f"{who}-{prompt}-{number}"},
    )


def question(prompt, first="one", second="two"):
    return Question(
        prompt=Prompt.from_text(prompt), first=first, second=second, inclusion=1.0, score=1.0, is_random=True
    )


def answers(text, n=20, tokens=3):
    return [
        AnswerGroup(
            Prompt.from_text(f"q{i}"),
            (Completion(text=text, token_ids=tuple(range(tokens)), logprobs=(-0.5,) * tokens),),
        )
        for i in range(n)
    ]


def test_votes_are_shares_whichever_way_the_pair_stood():
    votes = [
        vote("q", "a", "b", Choice.LEFT),
        vote("q", "b", "a", Choice.LEFT, "bob"),
        vote("q", "b", "a", Choice.TIE, "cy"),
    ]
    judge = VotedPairs(votes)
    prompts = [Prompt.from_text("q")] * 2
    left, right = [Completion(text="a"), Completion(text="b")], [Completion(text="b"), Completion(text="a")]
    # for a: 1, 0, 1/2
    assert judge.prefer(prompts, left, right) == [0.5, 0.5]
    assert judge.prefer(prompts[:1], left[:1], left[:1]) == [0.5]  # equal texts are a tie, unasked
    assert math.isnan(judge.prefer([Prompt.from_text("other")], left[:1], right[:1])[0])


def test_the_reward_models_belief_is_set_against_the_votes():
    # 20 prompts: those who judge prefer the candidate in 5, the reward model in all
    votes = [vote(f"q{i}", "new", "old", Choice.LEFT if i < 5 else Choice.RIGHT) for i in range(20)]
    found = examine(
        Examined(
            candidate=responses_of("new", answers("new"), {}),
            incumbent=responses_of("old", answers("old"), {}),
            votes=votes,
            candidate_rewards=[1.0] * 20,
            incumbent_rewards=[0.0] * 20,
            logprobs=None,
            tuned_logprobs=[-2.0] * 20,
        ),
        seed=0,
    )
    rows = number_rows(found.measurements)
    assert rows["win_rate"]["value"] == 0.25
    assert rows["proxy_win_rate"]["value"] == 1.0
    assert rows["proxy_gap"]["value"] == 0.75
    assert rows["reward_accuracy"]["value"] == 0.25
    # own log-prob -1.5, the fine-tuned model's -2: half a nat an answer
    assert rows["kl_from_tuned"]["value"] == 0.5
    verdicts = {
        row["id"]: row["verdict"]
        for row in gate_rows(decide(plan_of("loop"), found.measurements, today=datetime.date(2026, 1, 1)))
    }
    assert (verdicts["better"], verdicts["belief"], verdicts["kl"]) == ("fail", "fail", "pass")


def test_beside_the_reward_models_accuracy_stands_what_an_annotator_would_reach():
    # three votes on each of 20 prompts: 3 to 0 on ten, 2 to 1 on ten. Against the others' majority: 3 of 3,
    # and 1/2 + 1/2 + 0 of 3 (a split majority is half): (10 * 3 + 10 * 1) / 60
    votes = [
        vote(f"q{i}", "new", "old", Choice.RIGHT if i < 10 and who == "cy" else Choice.LEFT, who)
        for i in range(20)
        for who in ("ann", "bob", "cy")
    ]
    found = Examined(
        candidate=responses_of("new", answers("new"), {}),
        incumbent=responses_of("old", answers("old"), {}),
        votes=votes,
        candidate_rewards=[1.0] * 20,
        incumbent_rewards=[0.0] * 20,
        logprobs=None,
        tuned_logprobs=[-2.0] * 20,
    )
    rows = number_rows(examine(found, seed=0).measurements)
    assert rows["reward_accuracy"]["value"] == 1.0
    assert rows["reward_annotator_agreement"]["value"] == pytest.approx(40 / 60)
    assert rows["reward_annotator_agreement"]["value"] < rows["reward_ceiling [of=majority]"]["value"] < 1
    single = number_rows(examine(replace(found, votes=votes[::3]), seed=0).measurements)
    assert "reward_annotator_agreement" not in single


def test_belief_counts_equal_rewards_half():
    assert believed([1.0, 2.0, 0.0], [0.0, 2.0, 1.0]).tolist() == [1.0, 0.5, 0.0]


def test_older_rounds_weigh_less_and_voided_judgments_are_gone():
    asked = {1: [question("a")], 2: [question("b")]}
    votes = [
        vote("a", "one", "two", Choice.LEFT),
        vote("a", "two", "one", Choice.LEFT, "bob"),
        vote("b", "one", "two", Choice.RIGHT),
        vote("nobody asked", "one", "two", Choice.RIGHT),
    ]
    config = AgreeingConfig(method="vote_share", half_life=1.0)
    made = agree(votes, asked, config, round_number=2, project="p").snapshot
    by_prompt = {pair.prompt.text: pair for pair in made.preferences}
    assert set(by_prompt) == {"a", "b"}
    assert (by_prompt["a"].p_chosen, by_prompt["a"].weight) == (0.5, 0.5)  # one round old: 2^-1
    assert by_prompt["b"].chosen == "two"
    assert by_prompt["b"].provenance.judgment_ids == ("ann-b-0",)
    without = agree(votes, asked, config, round_number=2, project="p", voided=frozenset({"bob-a-0"})).snapshot
    assert next(p for p in without.preferences if p.prompt.text == "a").p_chosen == 1.0
    assert without.voided == ("bob-a-0",)
    assert without.hash != made.hash


def test_order_of_rows_does_not_change_a_snapshots_pairs():
    asked = {1: [question(f"q{i}") for i in range(6)]}
    sides = (Choice.RIGHT, Choice.LEFT)
    votes = [vote(f"q{i}", "one", "two", sides[i % 2], who) for i in range(6) for who in "abc"]
    config = AgreeingConfig()
    one = agree(votes, asked, config, round_number=1, project="p").snapshot
    other = agree(votes[::-1], asked, config, round_number=1, project="p").snapshot
    shares = [{pair.id: round(pair.p_chosen, 9) for pair in made.preferences} for made in (one, other)]
    assert shares[0] == shares[1]


def test_a_round_without_judgments_that_count_says_so():
    with pytest.raises(DataError, match="no judgments that count"):
        agree([], {1: [question("a")]}, AgreeingConfig(), round_number=1, project="p")


def record(number, **changes):
    row = dict(
        number=number, model="m", version=f"v{number}", began_from="v0", incumbent="v0", snapshot="s",
        reward_model="r", reward_version="rv", verdict="pass", is_released=True, plan_hash="h", gates=(),
        numbers={"kl_from_tuned": {"value": 2.0}}, judgments=100 * number, seconds=1800.0 * number, facts={},
    )  # fmt: skip
    return RoundRecord(**{**row, **changes})


@pytest.mark.parametrize(
    ("stop", "records", "reason"),
    [
        (StopConfig(), [], ""),
        (StopConfig(), [record(1)], ""),
        (StopConfig(max_judgments=200), [record(1), record(2)], "the budget is 200"),
        (StopConfig(max_hours=0.5), [record(1)], "0.5 hours were used"),
        (StopConfig(max_kl=1.5), [record(1)], "2.0 nats from the fine-tuned model"),
        (StopConfig(patience=2), [record(1, is_released=False)], ""),
        (
            StopConfig(patience=2),
            [record(1, is_released=False), record(2, is_released=False)],
            "2 rounds in a row",
        ),
        (
            StopConfig(),
            [record(1, verdict="fail", gates=({"id": "kl", "verdict": "fail", "severity": "block"},))],
            "gate kl failed in round 1",
        ),
        (StopConfig(on_fail=False), [record(1, verdict="fail")], ""),
    ],
)
def test_rules_that_end_a_loop(stop, records, reason):
    said = why_stop(stop, records)
    assert reason in said
    assert bool(said) == bool(reason)
