"""Releases in a file: lines are only added, the last of a release counts, changes have their error."""

import datetime
import math

import pytest

from accord.domain.errors import DataError
from accord.evaluation.gates.history import (
    add_release,
    heldout_uses,
    history_series,
    read_history,
    record_release,
    worn_words,
)
from accord.evaluation.gates.plan import parse_plan
from accord.evaluation.gates.verdict import judge_release
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison import history_evidence

DAY = datetime.date(2026, 11, 30)
PLAN = parse_plan(
    {
        "name": "two gates",
        "gates": [
            {"id": "wins", "metric": "win_rate", "comparator": "superiority", "margin": 0.5},
            {
                "id": "harm",
                "metric": "harmful_refusal",
                "versus": "incumbent",
                "comparator": "noninferiority",
                "margin": 0.1,
            },
            {"id": "never", "metric": "other", "comparator": "budget", "margin": 1, "better": "lower"},
        ],
    },
    "plan",
)


def around(value, half=0.05, n=400):
    return Estimate(value=value, low=value - half, high=value + half, n=n, method="by hand")


def record(name, wins, harm, *, delta=0.0, safe=0.1):
    measured = [
        Measurement(metric="win_rate", estimate=around(wins)),
        Measurement(metric="harmful_refusal", estimate=around(harm)),
        Measurement(metric="harmful_refusal", versus="incumbent", estimate=around(delta)),
        Measurement(metric="safe_refusal", estimate=around(safe)),
    ]
    return record_release(name, judge_release(PLAN, measured, today=DAY), measured, day=DAY)


def test_a_line_is_added_and_read_back_to_the_digit(tmp_path):
    path = tmp_path / "releases.jsonl"
    first, second = record("1.0", 0.61, 1 / 3), record("1.1", 0.58, 0.7)
    assert add_release(path, first) == [first]
    assert add_release(path, second) == [first, second]
    assert read_history(path) == [first, second]


def test_the_same_verdict_is_not_added_twice_and_a_later_one_counts_without_losing_the_first(tmp_path):
    path = tmp_path / "releases.jsonl"
    add_release(path, record("1.0", 0.61, 0.6))
    add_release(path, record("1.0", 0.61, 0.6))
    assert len(path.read_text().splitlines()) == 1
    add_release(path, record("1.1", 0.5, 0.6))
    again = add_release(path, record("1.0", 0.7, 0.6))
    assert len(path.read_text().splitlines()) == 3
    assert [one.release for one in again] == ["1.0", "1.1"]
    assert again[0].find_level("win_rate").value == 0.7


def test_any_name_is_read_back(tmp_path):
    named = record("1.0\u2028of autumn\u0085", 0.6, 0.6)
    assert add_release(tmp_path / "releases.jsonl", named) == [named]


def test_a_change_is_told_with_the_errors_of_both_releases():
    series = history_series([record("1.0", 0.60, 0.6), record("1.1", 0.70, 0.62)])
    wins, harm, never = series
    # half-widths of .05 each: sqrt(.05^2 + .05^2) = .0707
    assert wins.change.value == pytest.approx(0.1)
    assert wins.change.high - wins.change.value == pytest.approx(0.05 * math.sqrt(2))
    assert wins.trend == "better"
    assert (harm.is_level, harm.trend, harm.threshold) == (True, "not told apart", None)
    assert (wins.threshold, wins.verdicts) == (0.5, ("pass", "pass"))
    assert never.values == (None, None)
    assert never.change is None
    assert never.trend == ""


def test_less_is_better_where_the_gate_has_a_ceiling_and_a_gap_in_the_middle_is_bridged():
    plan = parse_plan(
        {"gates": [{"id": "kl", "metric": "kl", "comparator": "budget", "margin": 3, "better": "lower"}]}, "p"
    )

    def one(name, value):
        measured = [] if value is None else [Measurement(metric="kl", estimate=around(value))]
        return record_release(name, judge_release(plan, measured, today=DAY), measured, day=DAY)

    (series,) = history_series([one("1", 2.0), one("2", None), one("3", 2.5)])
    assert series.trend == "worse"
    assert series.values[1] is None
    assert series.verdicts == ("pass", "not measured", "pass")
    (unmeasured,) = history_series([one("1", 2.0), one("2", None)])
    assert unmeasured.change is None


def test_the_report_gets_series_and_the_releases_of_the_safety_plane():
    made = history_evidence([record("1.0", 0.6, 0.6), record("1.1", 0.7, 0.8)])
    assert [one.id for one in made.history] == ["wins", "harm"]
    # safe_refusal has no gate in this plan and is therefore not kept
    assert made.safety == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no release"),
        ("{}\n", "is no release"),
        ("nonsense\n", "is no release"),
        (
            '{"release": "1", "day": "never", "plan": "p", "plan_hash": "h", "verdict": "pass"}\n',
            "is no release",
        ),
    ],
)
def test_other_files_are_refused_with_their_line(tmp_path, text, message):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_history(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_history(path)


def test_a_release_without_a_name_is_refused():
    with pytest.raises(DataError, match="no name"):
        record(" ", 0.6, 0.6)


def test_held_out_data_that_judged_too_often_are_told(tmp_path):
    path = tmp_path / "releases.jsonl"

    def judged(name, wins, pairs):
        facts = {
            "prompts_digest": "a" * 16,
            "pairs_digest": pairs,
            "data_sha256": "c" * 64,
            "suite": "xstest",
        }
        measured = [Measurement(metric="win_rate", estimate=around(wins), facts=facts)]
        return record_release(name, judge_release(PLAN, measured, today=DAY), measured, day=DAY)

    # five looks are borne: two releases, of which the second was judged four times
    add_release(path, judged("1.0", 0.6, "old"))
    for i in range(4):
        add_release(path, judged("1.1", 0.6 + i / 100, "new"))
    uses = heldout_uses(path)
    assert [(one.name, one.uses, one.releases) for one in uses] == [
        ("prompts " + "a" * 12, 5, ("1.0", "1.1")),
        ("suite xstest " + "c" * 12, 5, ("1.0", "1.1")),
        ("people's pairs new", 4, ("1.1",)),
    ]
    assert worn_words(uses) == []
    add_release(path, judged("1.2", 0.7, "new"))
    told = worn_words(heldout_uses(path))
    assert len(told) == 2
    assert told[0].startswith("held-out data prompts aaaaaaaaaaaa have judged 6 times, in 3 releases")
    # what an older version wrote names no data
    path.write_text(path.read_text().replace('"heldout"', '"held"'))
    assert heldout_uses(path) == []
