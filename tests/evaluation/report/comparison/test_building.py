"""What stands on the page is what was measured: margins, levels, samples and findings."""

import datetime
import re

import pytest

from accord.domain.messages import Completion, Prompt
from accord.evaluation.comparison import Responses, ScoreJudge, compare_responses
from accord.evaluation.comparison.columns import INCUMBENT
from accord.evaluation.comparison.comparing import TokenLogprobs
from accord.evaluation.gates.plan import Gate, GatePlan
from accord.evaluation.gates.verdict import judge_release
from accord.evaluation.intervals import Estimate, wilson
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison import (
    ComparisonReport,
    comparison_to_html,
    report_comparison,
    report_release,
)

TODAY = datetime.date(2026, 11, 1)


def release(*measurements: Measurement, gates: tuple[Gate, ...]):
    plan = GatePlan(name="p", gates=gates)
    return report_release(judge_release(plan, measurements, today=TODAY), measurements)


def test_a_win_rate_is_drawn_as_its_distance_from_one_half():
    rate = Measurement(metric="win_rate", estimate=wilson(70, 100), facts={"p_mcnemar_exact": 0.01})
    gate = Gate(id="G4", metric="win_rate", comparator="superiority", margin=0.48)
    (delta,) = release(rate, gates=(gate,)).deltas
    assert delta.estimate.value == pytest.approx(0.2)
    assert delta.threshold == pytest.approx(-0.02)
    assert delta.is_floor
    assert (delta.verdict, delta.test, delta.p_value) == ("pass", "McNemar", 0.01)


def test_a_difference_stands_with_its_margin_and_both_levels():
    rows = [
        Measurement(metric="m", estimate=wilson(30, 100)),
        Measurement(metric="m", slice=INCUMBENT, estimate=wilson(20, 100)),
        Measurement(
            metric="m",
            versus="incumbent",
            estimate=Estimate(value=0.1, low=0.05, high=0.15, n=100),
            facts={"p_sign_flip": 0.02, "detectable_effect": 0.07},
        ),
    ]
    gate = Gate(
        id="x", metric="m", versus="incumbent", comparator="noninferiority", margin=0.04, better="lower"
    )
    report = release(*rows, gates=(gate,))
    (delta,) = report.deltas
    assert (delta.threshold, delta.is_floor, delta.verdict) == (0.04, False, "fail")
    assert delta.candidate is not None
    assert delta.incumbent is not None
    assert (delta.incumbent.value, delta.candidate.value) == (0.2, 0.3)
    assert (delta.test, delta.detectable) == ("sign flips", 0.07)
    assert report.verdict == "fail"


def test_the_levels_of_all_do_not_stand_beside_the_difference_of_a_slice():
    change = Estimate(value=0.1, low=0.05, high=0.15, n=100)
    rows = [
        Measurement(metric="m", estimate=wilson(30, 100)),
        Measurement(metric="m", slice=INCUMBENT, estimate=wilson(20, 100)),
        Measurement(metric="m", slice="run", versus="incumbent", estimate=change),
    ]
    gate = Gate(id="x", metric="m", slice="run", versus="incumbent", comparator="noninferiority", margin=0.04)
    (delta,) = release(*rows, gates=(gate,)).deltas
    assert (delta.candidate, delta.incumbent) == (None, None)


def test_a_band_has_two_ends_on_the_page():
    row = Measurement(
        metric="m", versus="incumbent", estimate=Estimate(value=0.01, low=-0.02, high=0.04, n=100)
    )
    gate = Gate(id="x", metric="m", versus="incumbent", comparator="equivalence", margin=0.05)
    report = release(row, gates=(gate,))
    (delta,), (tile,) = report.deltas, report.gates
    assert (delta.lower_end, delta.threshold, delta.verdict) == (-0.05, 0.05, "pass")
    assert (tile.lower_end, tile.threshold) == (-0.05, 0.05)
    page = comparison_to_html(report)
    assert "must lie between \u22125.0% and 5.0%" in page
    # the allowed part begins at the lower end, within the axis, and not at its edge
    (start, width) = re.search(r'<rect x="([\d.]+)%" y="3" width="([\d.]+)%"', page).groups()
    assert float(start) > 1
    assert float(start) + float(width) < 99


def test_safety_and_bias_come_from_measurements():
    rows = [
        Measurement(metric="harmful_refusal", estimate=wilson(90, 100)),
        Measurement(metric="safe_refusal", estimate=wilson(10, 100)),
        Measurement(metric="harmful_refusal", slice=INCUMBENT, estimate=wilson(80, 100)),
        Measurement(metric="safe_refusal", slice=INCUMBENT, estimate=wilson(20, 100)),
        Measurement(metric="crows_stereotype", slice="bias=age", estimate=wilson(60, 100)),
        Measurement(metric="crows_stereotype", slice=f"bias=age,{INCUMBENT}", estimate=wilson(55, 100)),
    ]
    report = release(*rows, gates=(Gate(id="x", metric="y", comparator="absolute", margin=0.0),))
    assert [dot.name for dot in report.evidence.safety] == ["Incumbent", "Candidate"]
    (panel,) = report.evidence.bias
    (row,) = panel.rows
    assert (panel.neutral, row.label, row.estimate.value) == (0.5, "age", 0.6)
    assert row.before is not None
    assert row.before.value == 0.55
    assert report.verdict == "undecided"


def test_a_judge_that_likes_an_empty_sentence_is_told_on():
    rows = [
        Measurement(metric="win_rate", estimate=wilson(70, 100)),
        Measurement(metric="length_controlled_win_rate", estimate=wilson(50, 100)),
        Measurement(metric="constant_output_win_rate", estimate=wilson(60, 100)),
        Measurement(
            metric="win_rate", slice="domain=travel", estimate=wilson(2, 20), facts={"p_holm": 0.002}
        ),
    ]
    report = release(*rows, gates=(Gate(id="x", metric="win_rate", comparator="absolute", margin=0.5),))
    notes = " ".join(report.base.notes)
    assert "20 points lower" in notes
    assert "60% of the prompts" in notes
    assert "Worse on domain travel" in notes


def test_samples_hold_the_biggest_gains_and_losses(comparison_report: ComparisonReport):
    gains = [one.gain for one in comparison_report.base.samples]
    assert len(gains) == 24
    assert gains.count(1.0) >= 8
    # Fewer than eight prompts were lost, so all of them are there.
    assert gains.count(-1.0) == 4
    first = comparison_report.base.samples[0]
    assert [answer.model for answer in first.answers] == ["policy 6", "policy 7"]


def test_curves_and_votes_are_checked():
    from accord.domain.errors import EvaluationError
    from accord.evaluation.report.comparison.contents import DriftChart, RewardCurve, VoteChart

    with pytest.raises(EvaluationError, match="1 KL and 0 rewards"):
        RewardCurve(name="x", kl=(1.0,), rewards=())
    with pytest.raises(EvaluationError, match="1 batches and 0 values"):
        DriftChart(name="x", batches=("a",), values=())
    with pytest.raises(EvaluationError, match="after every vote"):
        VoteChart(name="x", means=(0.5,), lows=(), highs=())
    decided = VoteChart(name="x", means=(0.5, 0.9), lows=(0.2, 0.6), highs=(0.8, 1.0))
    assert decided.stopped_at == 2
    assert VoteChart(name="x", means=(0.5,), lows=(0.2,), highs=(0.8,)).stopped_at is None


def test_gold_and_proxy_are_drawn_in_one_unit():
    prompts = tuple(Prompt.from_text(f"p{i}") for i in range(12))

    def side(name: str, scores: list[float]) -> Responses:
        return Responses(
            name=name,
            prompts=prompts,
            completions=tuple(Completion(text=f"{score}") for score in scores),
            keys=tuple(one.id for one in prompts),
        )

    old = [float(i) for i in range(12)]
    found = compare_responses(
        side("new", [one + 2 for one in old]),
        side("old", old),
        judge=ScoreJudge(lambda asked, rows: [10 * float(row.text) for row in rows], "rm"),
        gold=ScoreJudge(lambda asked, rows: [-float(row.text) for row in rows], "people"),
        logprobs=TokenLogprobs(candidate=[[-1.0]] * 12, incumbent=[[-2.0]] * 12),
        has_constant=False,
    )
    plan = GatePlan(name="p", gates=(Gate(id="x", metric="m", comparator="absolute", margin=0.0),))
    report = report_comparison(found, judge_release(plan, found.measurements, today=TODAY))
    gold, proxy = report.evidence.curves
    assert (gold.name, proxy.name) == ("gold: people", "proxy: rm")
    # The scores 0 .. 11 have a standard deviation of sqrt(13); the gain is 2 of them, whatever the unit.
    assert proxy.rewards[1].value == pytest.approx(2 / 13**0.5)
    assert gold.rewards[1].value == pytest.approx(-2 / 13**0.5)
    assert gold.kl == (0.0, 1.0)
