import math

import numpy as np
import pytest

from accord.domain import Completion, ConfigError, Prompt
from accord.pipeline.rounds.answers import AnswerGroup, read_groups, write_groups
from accord.pipeline.rounds.choosing import (
    BY_NAME,
    Pool,
    choose_anchors,
    choose_questions,
    pool_of,
    read_questions,
    write_questions,
)
from accord.pipeline.rounds.plan import AskingConfig
from accord.pipeline.rounds.queues import Quota

LN3 = math.log(3)


def group(text, *answers, domain="all"):
    prompt = Prompt.from_text(text, meta={"domain": domain})
    return AnswerGroup(prompt, tuple(Completion(text=answer) for answer in answers))


def pool(margins=None, **rest):
    """Three pairs; margins [member, pair]."""
    groups = [group(f"question {i}", "one", "two") for i in range(3)]
    found = pool_of(groups, **rest)
    return Pool(prompts=found.prompts, pairs=found.pairs, margins=margins, asked=found.asked)


def test_every_pair_of_different_answers_is_in_the_pool_once():
    found = pool_of([group("a", "x", "y", "z"), group("b", "x", "x"), group("c", "x", "y", "x")])
    assert [(one.text, other.text) for one, other in found.pairs] == [
        ("x", "y"),
        ("x", "z"),
        ("y", "z"),
        ("x", "y"),
    ]


def test_margins_are_rewards_of_first_less_second():
    found = pool_of([group("a", "x", "yy", "zzz")], scores=lambda prompts, answers: np.array(
        [[float(len(one.text)) for one in answers], [0.0 for _ in answers]]
    ))  # fmt: skip
    assert found.margins is not None
    assert found.margins.tolist() == [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0]]


def test_disagreement_is_the_spread_of_margins():
    scores = BY_NAME["disagreement"].score(pool(np.array([[1.0, 0.0, 2.0], [-1.0, 0.0, 2.0]])))
    assert scores.tolist() == [1.0, 0.0, 0.0]


def test_information_by_hand():
    # members at 3/4 and 1/4: mean 1/2, one bit, less H(1/4) = 2 - 3/4 log2 3; agreeing members tell nothing
    scores = BY_NAME["information"].score(pool(np.array([[LN3, LN3, 0.0], [-LN3, LN3, 0.0]])))
    assert scores == pytest.approx([1 - (2 - 0.75 * math.log2(3)), 0.0, 0.0], abs=1e-12)


def test_margin_prefers_the_undecided():
    scores = BY_NAME["margin"].score(pool(np.array([[0.0, LN3, -LN3]])))
    assert scores == pytest.approx([1 / 4, 3 / 16, 3 / 16])


def test_coverage_prefers_domains_asked_about_least():
    groups = [group("a", "x", "y", domain="bills"), group("b", "x", "y", domain="roads")]
    assert BY_NAME["coverage"].score(pool_of(groups, asked={"bills": 3})).tolist() == [1 / 4, 1.0]


def test_chosen_pairs_keep_their_chance_score_and_stream(tmp_path):
    groups = [group(f"question {i}", "one", "two") for i in range(40)]
    margins = np.linspace(0, 4, 40)[None, :]
    found = Pool(prompts=pool_of(groups).prompts, pairs=pool_of(groups).pairs, margins=margins)
    config = AskingConfig(comparisons=10, strategy="margin", random_share=0.3)
    chosen = choose_questions(found, config, generator=np.random.default_rng(0), facts={"round": 2})
    assert 8 <= len(chosen) <= 10
    assert sum(one.is_random for one in chosen) == 3
    # the random stream alone gives 3 of 40 a chance; the active one adds to it
    assert all(one.inclusion > 3 / 40 for one in chosen)
    by_score = {round(one.score, 9): one.inclusion for one in chosen}
    assert by_score[max(by_score)] == max(by_score.values())
    write_questions(tmp_path / "questions.jsonl", chosen)
    assert read_questions(tmp_path / "questions.jsonl") == chosen


def test_a_failed_gates_slice_is_asked_about_more_and_says_for_whom():
    groups = [group(f"question {i}", "one", "two", domain="roads" if i < 4 else "bills") for i in range(40)]
    config = AskingConfig(comparisons=8, random_share=0.0)
    quotas = [Quota(gate="better-roads", domain="roads", size=3)]
    counts = []
    for seed in range(100):
        draws = np.random.default_rng(seed)
        chosen = choose_questions(pool_of(groups), config, generator=draws, quotas=quotas)
        roads = [one for one in chosen if one.prompt.meta["domain"] == "roads"]
        others = [one for one in chosen if one.prompt.meta["domain"] != "roads"]
        # 3 of 8 draws fall on 4 of 40 pairs: each has a chance of 3/4, each other one 5/36
        assert [one.inclusion for one in roads] == pytest.approx([3 / 4] * len(roads))
        assert [one.inclusion for one in others] == pytest.approx([5 / 36] * len(others))
        assert all(one.facts["queue"] == "better-roads" for one in roads)
        assert all("queue" not in one.facts for one in others)
        counts.append(len(roads))
    assert np.mean(counts) == pytest.approx(3, abs=0.3)


def test_anchors_come_from_the_random_stream_first():
    groups = [group(f"question {i}", "one", "two") for i in range(40)]
    config = AskingConfig(comparisons=12, random_share=0.5)
    chosen = choose_questions(pool_of(groups), config, generator=np.random.default_rng(0))
    anchors = choose_anchors(chosen, 4, generator=np.random.default_rng(1))
    assert len(anchors) == 4
    assert all(one.is_random and one in chosen for one in anchors)
    assert len(choose_anchors(chosen, 99, generator=np.random.default_rng(1))) == len(chosen)
    assert choose_anchors(chosen, 0, generator=np.random.default_rng(1)) == []


def test_a_strategy_without_its_reward_model_draws_at_random_and_says_so():
    chosen = choose_questions(
        pool(), AskingConfig(comparisons=2, strategy="information"), generator=np.random.default_rng(0)
    )
    assert {one.facts["strategy"] for one in chosen} == {"random (information has no reward model yet)"}


def test_one_reward_model_cannot_disagree_with_itself():
    with pytest.raises(ConfigError, match="needs 2 reward models to disagree, and there is 1"):
        choose_questions(
            pool(np.zeros((1, 3))),
            AskingConfig(comparisons=2, strategy="disagreement"),
            generator=np.random.default_rng(0),
        )


def test_answers_come_back_as_they_were_written(tmp_path):
    answer = Completion(text='é\n"x"', token_ids=(1, 2), logprobs=(-0.5, -0.25), policy_version="v")
    groups = [AnswerGroup(Prompt.from_text("q", system="s", meta={"domain": "d"}), (answer, answer))]
    write_groups(tmp_path / "answers.jsonl", groups)
    (back,) = read_groups(tmp_path / "answers.jsonl")
    assert back.answers == groups[0].answers
    assert (back.prompt, back.prompt.meta) == (groups[0].prompt, {"domain": "d"})
