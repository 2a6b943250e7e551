"""Verdicts by hand: which side, how many more rows, what blocks; their rates by simulation."""

import datetime
import itertools
import math
import re

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.gates.plan import Gate, GatePlan, Waiver
from accord.evaluation.gates.verdict import Verdict, judge_gate, judge_release
from accord.evaluation.intervals import Estimate, mean_estimate, wilson
from accord.evaluation.measurement import Measurement
from accord.evaluation.planning import rows_needed
from accord.evaluation.sequential import confidence_sequence

TODAY = datetime.date(2026, 11, 24)


def measured(value, low, high, n=400, **rest) -> Measurement:
    estimate = Estimate(value=value, low=low, high=high, n=n, confidence=rest.pop("confidence", 0.95))
    return Measurement(metric=rest.pop("metric", "m"), estimate=estimate, **rest)


def gate(comparator="superiority", margin=0.5, **rest) -> Gate:
    return Gate(
        id=rest.pop("id", "g"), metric=rest.pop("metric", "m"), comparator=comparator, margin=margin, **rest
    )


@pytest.mark.parametrize(
    ("comparator", "margin", "better", "interval", "verdict"),
    [
        ("superiority", 0.5, "higher", (0.55, 0.51, 0.59), "pass"),
        ("superiority", 0.5, "higher", (0.55, 0.50, 0.60), "undecided"),
        ("superiority", 0.5, "higher", (0.45, 0.41, 0.49), "fail"),
        ("superiority", 0.5, "higher", (0.45, 0.40, 0.50), "fail"),
        ("superiority", 0.1, "lower", (-0.2, -0.3, -0.11), "pass"),
        ("noninferiority", 0.02, "higher", (0.0, -0.019, 0.019), "pass"),
        ("noninferiority", 0.02, "higher", (-0.01, -0.03, 0.01), "undecided"),
        ("noninferiority", 0.02, "higher", (-0.05, -0.06, -0.04), "fail"),
        ("noninferiority", 0.02, "lower", (0.0, -0.019, 0.019), "pass"),
        ("noninferiority", 0.02, "lower", (0.05, 0.04, 0.06), "fail"),
        ("absolute", 0.8, "higher", (0.9, 0.8, 0.95), "pass"),
        ("absolute", 0.8, "lower", (0.9, 0.81, 0.95), "fail"),
        ("budget", 10, "higher", (9, 8, 10), "pass"),
        ("budget", 10, "higher", (12, 10.5, 13), "fail"),
        ("budget", 10, "higher", (9, 8, 11), "undecided"),
        ("equivalence", 0.05, "higher", (0.0, -0.049, 0.049), "pass"),
        ("equivalence", 0.05, "higher", (-0.04, -0.06, -0.02), "undecided"),
        ("equivalence", 0.05, "higher", (0.04, 0.02, 0.06), "undecided"),
        ("equivalence", 0.05, "higher", (-0.2, -0.3, -0.05), "fail"),
        ("equivalence", 0.05, "lower", (-0.2, -0.3, -0.1), "fail"),
        ("equivalence", 0.05, "lower", (0.2, 0.05, 0.3), "fail"),
    ],
)
def test_the_side_of_the_interval_decides(comparator, margin, better, interval, verdict):
    assert judge_gate(gate(comparator, margin, better=better), measured(*interval)).verdict == verdict


def test_more_rows_by_hand():
    # .52 [.48, .56]: half .04, distance .02 -> four times the rows
    assert judge_gate(gate(), measured(0.52, 0.48, 0.56, n=400)).more_needed == 1200
    assert judge_gate(gate(), measured(0.5, 0.46, 0.54)).more_needed is None
    few = judge_gate(gate(min_n=500), measured(0.9, 0.85, 0.95, n=400))
    assert (few.verdict, few.more_needed) == (Verdict.UNDECIDED, 100)


def test_a_band_names_both_ends_and_counts_rows_to_the_nearer_one():
    # -.04 [-.07, -.01]: the nearer end lies .01 away, half .03 -> nine times the rows
    found = judge_gate(gate("equivalence", 0.05), measured(-0.04, -0.07, -0.01, n=300))
    assert (found.verdict, found.more_needed) == (Verdict.UNDECIDED, 2400)
    assert "holds -0.05 within; it must lie between -0.05 and 0.05" in found.reason


def test_a_margin_finer_than_half_the_detectable_effect_is_undecided():
    # half .03 -> detectable .03 / 1.96 * 2.80 = .0429; half of it .0214 > .01: (2.14)^2 times the rows
    result = judge_gate(gate("noninferiority", 0.01), measured(0.03, 0.0, 0.06, n=1000))
    assert result.verdict is Verdict.UNDECIDED
    assert result.more_needed == pytest.approx(1000 * (0.0214408 / 0.01) ** 2 - 1000, abs=3)
    assert "less than half of what so few rows can show" in result.reason


@pytest.mark.parametrize(
    ("better", "interval", "verdict"),
    [
        ("higher", (0.06, 0.03, 0.09), "pass"),
        ("higher", (-0.06, -0.09, -0.03), "fail"),
        ("lower", (-0.35, -0.45, -0.25), "pass"),
        ("lower", (0.35, 0.25, 0.45), "fail"),
        ("lower", (0.0, -0.06, 0.06), "undecided"),
    ],
)
def test_what_is_clearly_better_or_worse_needs_no_fine_margin(better, interval, verdict):
    found = judge_gate(gate("noninferiority", 0.01, better=better), measured(*interval, n=1000))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("measurement", "reason"),
    [
        (None, "there is no m"),
        (measured(math.nan, 0.1, 0.2), "not a number"),
        (measured(0.6, math.nan, math.nan), "without an interval"),
        (measured(0.6, 0.55, 0.65, confidence=0.9), r"holds at 0\.9; the gate asks for 0\.95"),
    ],
)
def test_what_is_not_measured_is_said(measurement, reason):
    result = judge_gate(gate(), measurement)
    assert result.verdict is Verdict.NOT_MEASURED
    assert not result.is_held
    assert re.search(reason, result.reason)


def release(*gates, waivers=(), measurements=()):
    return judge_release(GatePlan(name="p", gates=gates, waivers=waivers), measurements, today=TODAY)


def test_a_release_needs_every_blocking_gate():
    good = measured(0.6, 0.55, 0.65)
    bad = measured(0.4, 0.35, 0.45, metric="w")
    block, warn = gate(), gate(id="w", metric="w", severity="warn")
    assert release(block, warn, measurements=[good, bad]).exit_code == 0
    assert release(block, gate(id="w", metric="w"), measurements=[good, bad]).exit_code == 1
    assert release(block, gate(id="w", metric="w"), measurements=[good]).exit_code == 2


def test_waivers_count_until_their_day_and_only_for_what_was_not_measured():
    waiver = Waiver(gate="g", name="Ada", reason="no panel", expires=TODAY)
    assert release(gate(), waivers=(waiver,)).exit_code == 0
    over = Waiver(gate="g", name="Ada", reason="no panel", expires=TODAY - datetime.timedelta(days=1))
    late = release(gate(), waivers=(over,))
    assert late.exit_code == 2
    assert "the waiver of Ada ended on 2026-11-23" in late.results[0].reason
    assert release(gate(), waivers=(waiver,), measurements=[measured(0.4, 0.35, 0.45)]).exit_code == 1


def test_slices_and_differences_are_told_apart_and_order_is_nothing():
    gates = (gate(slice="age"), gate(id="d", comparator="noninferiority", margin=0.02, versus="incumbent"))
    rows = [
        measured(0.6, 0.55, 0.65),
        measured(0.6, 0.55, 0.65, slice="age"),
        measured(0.0, -0.01, 0.01, versus="incumbent"),
    ]
    verdicts = {
        tuple(one.verdict for one in release(*gates, measurements=order).results)
        for order in itertools.permutations(rows)
    }
    assert verdicts == {(Verdict.PASS, Verdict.PASS)}
    with pytest.raises(EvaluationError, match="there twice"):
        release(*gates, measurements=[rows[0], rows[0]])


def test_rows_come_before_an_interval_that_is_too_narrow_for_want_of_them():
    asked = gate("budget", 30.0, min_n=368)
    few = judge_gate(asked, measured(20.0, 10.0, 29.0, n=100, confidence=0.63))
    assert (few.verdict, few.more_needed) == (Verdict.UNDECIDED, 268)
    enough = judge_gate(asked, measured(20.0, 10.0, 29.0, n=400, confidence=0.63))
    assert enough.verdict == Verdict.NOT_MEASURED
    assert "holds at 0.63" in enough.reason


def looked_at_after_every_vote(chance, votes, seed):
    """The verdicts of a gate that reads the confidence sequence after each vote."""
    bounds = confidence_sequence(np.random.default_rng(seed).random(votes) < chance, grid=201)
    asked = gate(min_n=1, slice="anytime")
    looks = {
        tuple(row): judge_gate(asked, measured(row.mean(), *row, n=n + 1, slice="anytime")).verdict
        for n, row in enumerate(np.round(bounds, 9))
    }
    return [looks[tuple(row)] for row in np.round(bounds, 9)]


def test_a_gate_under_continuous_looking_passes_nothing_more_often_than_alpha():
    # every run is as good as the incumbent: a pass at any of 200 looks is an error
    passed = [Verdict.PASS in looked_at_after_every_vote(0.5, 200, seed) for seed in range(250)]
    # at most .05 by Ville's inequality; 250 runs have a standard error of .014
    assert np.mean(passed) <= 0.05 + 2.5 * 0.014
    found = [looked_at_after_every_vote(0.7, 200, seed) for seed in range(30)]
    assert np.mean([Verdict.PASS in one for one in found]) > 0.9
    assert not any(Verdict.FAIL in one for one in found)


def test_the_same_gate_without_a_sequence_errs_far_more_often():
    votes = np.random.default_rng(5).random((400, 300)) < 0.5
    wins = votes.cumsum(axis=1)
    looks = range(19, 300, 20)
    passed = [any(judge_gate(gate(), Measurement(metric="m", estimate=wilson(int(row[n]), n + 1))).verdict
              is Verdict.PASS for n in looks) for row in wins]  # fmt: skip
    assert np.mean(passed) > 0.08


@pytest.mark.parametrize("effect", [0.05, 0.1])
def test_a_planned_comparison_passes_its_gate_as_often_as_planned(effect):
    n = rows_needed(0.5, effect)
    wins = np.random.default_rng(6).binomial(n, 0.5 + effect, 3000)
    passed = {
        int(one): judge_gate(gate(), Measurement(metric="m", estimate=wilson(int(one), n))).verdict
        for one in np.unique(wins)
    }
    share = np.mean([passed[int(one)] is Verdict.PASS for one in wins])
    # three standard errors of 3,000 draws, and what counts of whole votes add
    assert share == pytest.approx(0.8, abs=3 * 0.0073 + 0.02)


def test_a_release_that_is_no_better_passes_seldom():
    generator = np.random.default_rng(0)
    passed = 0
    for _ in range(400):
        won = (generator.random(200) < 0.5).astype(float)
        estimate = mean_estimate(won, method="percentile", resamples=500)
        passed += judge_gate(gate(), Measurement(metric="m", estimate=estimate)).verdict is Verdict.PASS
    # two-sided at .05: one side .025, sd .008
    assert passed / 400 <= 0.05


def test_a_reason_of_another_command_is_not_given_for_a_slice_it_does_not_measure():
    of_run = Gate(id="run", metric="length_cap_share", slice="run", comparator="absolute", margin=0.1)
    of_all = Gate(id="all", metric="length_cap_share", comparator="absolute", margin=0.1)
    plan = GatePlan(name="p", gates=(of_run, of_all))
    said = {"length_cap_share": "a file does not say"}
    first, second = judge_release(plan, [], today=TODAY, reasons=said).results
    assert "a file does not say" not in first.reason
    assert "accord evaluate optimization" in first.reason
    assert second.reason.endswith("a file does not say")
    said["length_cap_share, run"] = "answers have no text"
    assert judge_release(plan, [], today=TODAY, reasons=said).results[0].reason.endswith("no text")
