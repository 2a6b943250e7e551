"""Each kind of drift is planted alone and named alone, with what to do; too few rows give no verdict."""

import numpy as np
import pytest

from accord.domain import Choice, Comparison, Judgment, Prompt, Source
from accord.pipeline.rounds.monitors import MonitorConfig, Seen, watch_round
from accord.pipeline.rounds.staff import Stream, correctness_streams

CONFIG = MonitorConfig()
BILLS = ["my invoice is wrong", "why was I charged twice", "the refund did not come", "a fee I do not know"]
ROADS = ["is the bridge closed", "where can a truck park", "the map shows no exit", "which lane is for buses"]


def prompts(words, count=24, offset=0):
    generator = np.random.default_rng(offset)
    return [Prompt.from_text(f"{words[generator.integers(4)]} {i + offset}") for i in range(count)]


def answers(word, count=24):
    return {f"p{i:02d}": f"thank you, please {word} and write to us again {i % 3}" for i in range(count)}


def vote(key, who, first):
    """A judgment of a pair, the canonically first answer on the left."""
    prompt = Prompt.from_text(key[0])
    return Judgment(
        comparison=Comparison(prompt=prompt, left=key[1], right=key[2]),
        annotator_id=who,
        choice=Choice.LEFT if first else Choice.RIGHT,
        source=Source.SIMULATED,
    )


def anchors(seed, *, turned=0, count=16, voters="abcde"):
    """Votes on clear anchor pairs; the first `turned` go the other way."""
    generator = np.random.default_rng([seed, 5])
    made = {}
    for i in range(count):
        key = (f"anchor {i}", "a", "b")
        share = 0.1 if i < turned else 0.9
        made[key] = [vote(key, who, bool(generator.random() < share)) for who in voters]
    return made


def streams(seed, declining=None, count=60):
    generator = np.random.default_rng([seed, 6])
    made = []
    for name in "abcdefgh":
        right = (generator.random(count) < 0.85).astype(float)
        if name == declining:
            right[count // 2 :] = generator.random(count - count // 2) < 0.4
        made.append(Stream(name, right - 0.85, tuple([1] * (count // 2) + [2] * (count - count // 2))))
    return made


def seen(name, seed, *, words=BILLS, word="wait a day", turned=0):
    return Seen(
        name=name,
        prompts=prompts(words, offset=100 * seed),
        answers=answers(word),
        anchors=anchors(seed, turned=turned),
        votes=anchors(seed + 50, count=24),
    )


def moved(found):
    return {(row["kind"], row["against"]) for row in found.rows if row["state"] == "moved"}


@pytest.mark.parametrize(
    ("now", "people", "kind", "evidence", "action"),
    [
        ({"words": ROADS}, None, "covariate", "less 'invoice'", "collect prompts from current traffic"),
        ({"word": "call 555"}, None, "policy_induced", "held", "current policy's own answers"),
        ({"turned": 8}, None, "preference", "16 anchors", "label the anchors again"),
        ({}, "d", "annotator", "d -0.", "pause them"),
    ],
)
def test_what_moved_is_named_and_nothing_else(now, people, kind, evidence, action):
    found = watch_round(seen("round 2", 2, **now), [seen("round 1", 1)], streams(0, people), CONFIG, seed=1)
    assert moved(found) == {(kind, "round 1")}
    (row,) = [row for row in found.rows if row["state"] == "moved"]
    assert action in row["action"]
    if kind != "policy_induced":
        assert evidence in row["evidence"]
    else:
        assert "24 against 24 rows" in row["evidence"]
    named = {one.slice: one.estimate.value for one in found.measurements if one.metric == "drift_named"}
    assert named == {
        "covariate": float(kind == "covariate"),
        "policy_induced": float(kind == "policy_induced"),
        "preference": float(kind == "preference"),
        "annotator": float(kind == "annotator"),
        "all": 1.0,
    }
    assert found.lines == [f"{kind} since round 1: {row['evidence']}; {row['action']}"]


def test_nothing_planted_nothing_named_and_the_gates_get_the_numbers():
    found = watch_round(seen("round 2", 2), [seen("round 1", 1)], streams(0), CONFIG)
    assert moved(found) == set()
    assert found.lines == ["nothing moved in 4 tests"]
    by_name = {(one.metric, one.slice, one.versus): one.estimate for one in found.measurements}
    assert by_name["drift_named", "all", "nothing"].high == 0.0
    change = by_name["drift_preference_change", "anchors", "nothing"]
    assert change.low <= change.value <= change.high
    assert ("drift_mmd", "prompts", "nothing") in by_name
    assert by_name["annotator_agreement", "all", "incumbent"].has_interval


def test_the_first_round_is_held_against_too_and_the_rate_is_shared():
    then = [seen("round 2", 2, words=ROADS), seen("round 1", 1)]
    found = watch_round(seen("round 3", 3, words=ROADS), then, streams(0), CONFIG)
    assert moved(found) == {("covariate", "round 1")}
    # people are told once: their streams run over all rounds
    assert [row["against"] for row in found.rows if row["kind"] == "annotator"] == ["round 2"]


def test_too_few_rows_are_said_to_be():
    small = Seen(
        name="round 1", prompts=prompts(BILLS, 8), answers=answers("wait", 3), anchors=anchors(1, count=9)
    )
    found = watch_round(small, [small], [], CONFIG)
    assert {row["state"] for row in found.rows} == {"too few"}
    told = {row["kind"]: row["evidence"] for row in found.rows}
    assert told["covariate"] == "8 prompts, 10 are the fewest that tell anything"
    assert told["preference"] == "9 anchor pairs decided both times, 10 are the fewest that tell anything"
    assert told["annotator"] == "nobody has 20 decided comparisons yet"
    assert all(row["action"] == "" for row in found.rows)
    assert found.lines == ["nothing moved in 0 tests, 4 too few"]


def test_who_became_worse_does_not_make_a_change_of_taste():
    now = seen("round 2", 2)
    # c, d and e turn around; the anchors alone would call it taste
    turned = {
        key: [vote(key, one.annotator_id, one.choice is Choice.RIGHT if one.annotator_id in "cde"
                   else one.choice is Choice.LEFT) for one in votes]
        for key, votes in now.anchors.items()
    }  # fmt: skip
    now = Seen(name=now.name, prompts=now.prompts, answers=now.answers, anchors=turned, votes=now.votes)
    then = [seen("round 1", 1)]
    declining = [one for name in "cde" for one in streams(3, name) if one.annotator_id == name]
    rest = [one for one in streams(3) if one.annotator_id not in "cde"]
    assert ("preference", "round 1") in moved(watch_round(now, then, streams(0), CONFIG))
    assert moved(watch_round(now, then, [*rest, *declining], CONFIG)) == {("annotator", "round 1")}


def judged(seed, *, hard_from=None, worse=None, pairs=80):
    """Five judge pairs in two lots; in the later lot pairs may be harder, and one may become worse."""
    generator = np.random.default_rng(seed)
    made, lots = [], []
    for i in range(pairs):
        lot = 1 + (i >= pairs // 2)
        truth = generator.random() < 0.5
        for who in "abcde":
            right = 0.9 if hard_from is None or lot < hard_from else 0.68
            if who == worse and lot == 2:
                right = 0.3
            made.append(vote((f"pair {i}", "x", "y"), who, bool(truth == (generator.random() < right))))
            lots.append(lot)
    return made, lots


def test_a_harder_round_is_nobodys_decline_and_a_decline_is_found():
    def alarms(**planted):
        count = 0
        for seed in range(20):
            made = correctness_streams(*judged(seed, **planted))
            rows = watch_round(Seen(name="now"), [Seen(name="then")], made, CONFIG).rows
            count += any(row["kind"] == "annotator" and row["state"] == "moved" for row in rows)
        return count

    assert alarms(hard_from=2) <= 3  # 5 % of 20, and two more by chance
    assert alarms(worse="c") >= 19


def test_streams_keep_the_order_of_time_and_their_lots():
    made, lots = judged(0, pairs=20)
    found = correctness_streams(made, lots)
    assert [one.annotator_id for one in found] == list("abcde")
    assert all(one.lots == (1,) * 10 + (2,) * 10 for one in found)
    assert correctness_streams(made[:30], lots[:30]) == []
