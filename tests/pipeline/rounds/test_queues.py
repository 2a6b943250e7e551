"""A gate that is not passed asks for what it lacks, and stops asking when it passes."""

import datetime
from dataclasses import replace

import numpy as np
import pytest

from accord.domain import Completion, ConfigError, Prompt
from accord.evaluation.gates.plan import parse_plan
from accord.evaluation.intervals import share_estimate
from accord.evaluation.measurement import Measurement
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.rounds.choosing import choose_questions, domain_of, pool_of, raise_scores
from accord.pipeline.rounds.plan import AskingConfig
from accord.pipeline.rounds.queues import (
    Queue,
    QueueConfig,
    Quota,
    heldout_count,
    queue_pairs,
    queue_rows,
    queues_after,
    quotas_of,
)
from accord.pipeline.rounds.releasing import RoundRecord, decide, gate_rows, number_rows
from accord.quality.deciding.inclusion import weighted_mean

CONFIG = QueueConfig()


def record(number, *rows, pairs=None):
    """A round with these gates: (id, verdict, more needed, slice)."""
    gates = tuple(
        {
            "id": name, "metric": "win_rate", "slice": part, "verdict": verdict, "severity": "warn",
            "reason": "0.4", "more_needed": more, "about": "",
        }
        for name, verdict, more, part in rows
    )  # fmt: skip
    return RoundRecord(
        number=number, model="m", version="v", began_from="", incumbent="", snapshot="", reward_model="",
        reward_version="", verdict="undecided", is_released=False, plan_hash="", gates=gates, numbers={},
        judgments=0, seconds=0.0, facts={"queue_pairs": pairs or {}},
    )  # fmt: skip


def test_a_queue_opens_grows_with_what_is_asked_and_closes_when_its_gate_passes():
    first = record(1, ("roads", "undecided", 9, "domain=roads"), ("all", "pass", None, "all"))
    second = record(2, ("roads", "fail", None, "domain=roads"), pairs={"roads": 7})
    third = record(3, ("roads", "pass", None, "domain=roads"), pairs={"roads": 12})
    (opened,) = queues_after([first], CONFIG)
    assert (opened.gate, opened.slice, opened.wanted, opened.opened) == ("roads", "domain=roads", 9, 1)
    assert opened.is_open
    assert opened.is_undecided
    (grown,) = queues_after([first, second], CONFIG)
    # a failure names no number: the config's size
    assert (grown.asked, grown.wanted, grown.is_undecided) == (7, CONFIG.size, False)
    (closed,) = queues_after([first, second, third], CONFIG)
    assert (closed.asked, closed.closed, closed.how) == (19, 3, "pass: 0.4")
    assert queue_rows([closed])[0]["closed"] == 3


def test_what_was_not_measured_neither_opens_nor_closes():
    opened = record(1, ("roads", "fail", None, "domain=roads"))
    unmeasured = record(
        2, ("roads", "not measured", None, "domain=roads"), ("x", "not measured", None, "all")
    )
    (queue,) = queues_after([opened, unmeasured], CONFIG)
    assert queue.is_open


def test_a_gate_that_fails_again_later_opens_another_queue():
    verdicts = ["fail", "pass", "fail"]
    rounds = [record(i + 1, ("g", verdict, None, "domain=x")) for i, verdict in enumerate(verdicts)]
    assert [(one.opened, one.closed) for one in queues_after(rounds, CONFIG)] == [(1, 2), (3, None)]


def test_only_numbers_of_judges_ask_for_judgments_on_everything():
    row = dict(record(1, ("kl", "fail", None, "all")).gates[0])
    kl = replace(record(1), gates=({**row, "metric": "kl_from_tuned"},))
    assert queues_after([kl], CONFIG) == []
    assert len(queues_after([replace(record(1), gates=(row,))], CONFIG)) == 1


@pytest.mark.parametrize(
    ("metric", "part"),
    [("win_rate", "panel=agents"), ("principle_grade", "principle=a"), ("limit_broken", "principle=no")],
)
def test_gates_of_panels_and_principles_ask_for_prompts_of_every_domain(metric, part):
    row = {**record(1, ("g", "undecided", 3, part)).gates[0], "metric": metric}
    (opened,) = queues_after([replace(record(1), gates=(row,))], CONFIG)
    assert opened.is_everything
    assert quotas_of([opened], CONFIG, 20) == []
    assert heldout_count(["x"] * 20, 8, [opened], CONFIG) == 11


def test_without_a_share_there_are_no_queues():
    assert queues_after([record(1, ("g", "fail", None, "domain=x"))], QueueConfig(share=0)) == []


def queue(part, wanted, *, is_undecided=True):
    return Queue(
        gate=part, metric="win_rate", slice=part, why="", is_undecided=is_undecided, wanted=wanted, opened=1
    )


def test_queues_share_what_the_budget_allows():
    queues = [queue("domain=a", 30), queue("domain=b", 10), queue("all", 50)]
    assert quotas_of(queues, CONFIG, 100) == [
        Quota(gate="domain=a", domain="a", size=30),
        Quota(gate="domain=b", domain="b", size=10),
    ]
    # half of 20 pairs: 10 of the 40 wanted, in proportion, rounded down
    assert [one.size for one in quotas_of(queues, CONFIG, 20)] == [7, 2]


def test_undecided_gates_take_more_held_out_prompts_from_the_front_for_everybody():
    domains = ["a", "b"] * 10
    assert heldout_count(domains, 8, [], CONFIG) == 8
    assert heldout_count(domains, 8, [queue("all", 3)], CONFIG) == 11
    # two more of b lie within the next four prompts
    assert heldout_count(domains, 8, [queue("domain=b", 2)], CONFIG) == 12
    assert heldout_count(domains, 8, [queue("all", 99)], CONFIG) == 12  # half of 8 more at most
    assert heldout_count(domains, 8, [queue("all", 99)], CONFIG, room=1) == 9
    assert heldout_count(domains, 8, [queue("all", 99)], CONFIG, room=-5) == 8
    assert heldout_count(domains, 8, [queue("all", 3, is_undecided=False)], CONFIG) == 8
    assert heldout_count(domains[:6], 8, [queue("all", 3)], CONFIG) == 6


def test_raised_scores_give_the_slice_its_quota_on_average():
    domains = ["a"] * 5 + ["b"] * 45
    scores = np.ones(50)
    made = raise_scores(scores, domains, [Quota(gate="g", domain="a", size=4)], 10)
    # 10 draws: 4 of a on average, 6 of b
    assert made[:5].sum() / made.sum() * 10 == pytest.approx(4)
    assert (made > 0).all()
    # what is drawn often enough already is left alone
    assert raise_scores(scores, domains, [Quota(gate="g", domain="b", size=4)], 10) is scores


def groups(seed):
    """Sixty prompts, a tenth of them about roads."""
    generator = np.random.default_rng(seed)
    made = []
    for i in range(60):
        domain = "roads" if i % 10 == 0 else "bills"
        prompt = Prompt.from_text(f"{seed} question {i}", meta={"domain": domain})
        answers = tuple(Completion(text=f"{value:.6f}") for value in generator.normal(size=3))
        made.append(AnswerGroup(prompt, answers))
    return made


def test_means_over_the_pool_stay_right_when_a_queue_takes_its_share():
    pool = pool_of(groups(0))
    is_road = np.array([domain_of(one) == "roads" for one in pool.prompts], dtype=float)
    config = AskingConfig(comparisons=40, random_share=0.3)
    quota = [Quota(gate="g", domain="roads", size=14)]
    taken, means = [], []
    for seed in range(200):
        chosen = choose_questions(pool, config, generator=np.random.default_rng(seed), quotas=quota)
        roads = np.array([domain_of(one.prompt) == "roads" for one in chosen], dtype=float)
        taken.append(roads.sum())
        means.append(weighted_mean(roads, [one.inclusion for one in chosen]).value)
    # 14 of the active 28 on average, and a tenth of the 12 random ones that the active stream did not take
    assert 14 < np.mean(taken) < 15.5
    # although a third of what was asked is of roads, the estimate of their share in the pool is right
    assert np.mean(means) == pytest.approx(is_road.mean(), abs=3 * np.std(means) / 200**0.5)


PLAN = parse_plan(
    {
        "name": "by slice",
        "gates": [
            {
                "id": "roads", "metric": "win_rate", "slice": "domain=roads", "comparator": "superiority",
                "margin": 0.5, "min_n": 16, "severity": "warn",
            },
            {"id": "all", "metric": "win_rate", "comparator": "superiority", "margin": 0.5},
        ],
    },
    "test",
)  # fmt: skip


def test_a_slice_that_fails_gets_its_labels_passes_and_its_queue_closes():
    """A loop without a language model: answers are numbers, and roads want the opposite of bills.

    The policy takes the answer it believes better; what it believes of a domain is the mean sign of that
    domain's labels, with a prior from all domains together. Roads, a tenth of the prompts, begin wrong.
    """
    config = AskingConfig(comparisons=20, random_share=0.3)
    learned = {"roads": [], "bills": []}
    records: list[RoundRecord] = []
    by_round = []
    for number in range(1, 7):
        quotas = quotas_of(queues_after(records, CONFIG), CONFIG, config.comparisons)
        pool = pool_of(groups(number))
        chosen = choose_questions(pool, config, generator=np.random.default_rng(number), quotas=quotas)
        domains = [domain_of(one.prompt) for one in chosen]
        by_round.append(domains.count("roads"))
        for domain in domains:  # a vote: does the larger number win?
            learned[domain].append(1.0 if domain == "bills" else -1.0)
        prior = np.mean([one for votes in learned.values() for one in votes])
        taste = {name: (8 * prior + sum(votes)) / (8 + len(votes)) for name, votes in learned.items()}
        wins = [_win(number * 100 + i, "roads", taste["roads"]) for i in range(30)]
        others = [_win(number * 100 + i, "bills", taste["bills"]) for i in range(30)]
        measured = [
            Measurement(metric="win_rate", slice="domain=roads", estimate=share_estimate(np.array(wins))),
            Measurement(metric="win_rate", estimate=share_estimate(np.array(wins + others))),
        ]
        release = decide(PLAN, measured, today=datetime.date(2026, 1, 1))
        pairs = queue_pairs(queues_after(records, CONFIG), domains)
        made = replace(record(number, pairs=pairs), gates=gate_rows(release), numbers=number_rows(measured))
        records.append(made)
    (closed,) = [one for one in queues_after(records, CONFIG) if one.gate == "roads"]
    assert (closed.opened, closed.is_open) == (1, False)
    assert closed.why.startswith("fail")
    assert closed.how.startswith("pass")
    open_rounds = by_round[1 : closed.closed]
    # while it was open half of 20 pairs went to roads, but for rounding and the random stream; else a tenth
    assert min(open_rounds) >= 8
    assert closed.asked == sum(open_rounds)
    assert max(by_round[closed.closed :], default=0) <= 6
    assert by_round[0] <= 4


def _win(seed, domain, taste):
    """1 where the policy's choice of two answers beats one at random, 1/2 where it is the same."""
    generator = np.random.default_rng([seed, domain == "roads"])
    answers = generator.normal(size=2)
    sign = -1.0 if domain == "roads" else 1.0
    mine = answers[int(np.argmax(taste * answers))]
    other = answers[generator.integers(2)]
    return float((np.sign(sign * (mine - other)) + 1) / 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda: QueueConfig(share=1.0), "share is 1.0"), (lambda: QueueConfig(size=0), "size is 0")],
)
def test_settings_that_make_no_sense_are_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
