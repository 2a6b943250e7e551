"""What panels show beside plain measurements, by hand."""

import math

import pytest

from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison import ComparisonReport, comparison_to_html
from accord.evaluation.report.comparison.contents import RewardCurve
from accord.evaluation.report.comparison.panel_sources import _binned, agreement_panel, fitted_curve


def found(*rows):
    return {
        (metric, part, "nothing"): Measurement(metric=metric, slice=part, estimate=Estimate(value=value))
        for metric, part, value in rows
    }


CURVES = (RewardCurve(name="gold", kl=(0.0, 4.0), rewards=(Estimate(value=0.0), Estimate(value=1.0))),)


def test_gaos_forms_run_through_the_points_of_their_formulas():
    # at KL 4, d = 2: 2 (1 - .25 * 2) = 1, and 2 (1 - .25 ln 2)
    for form, value in (("best_of_n", 1.0), ("rl", 2 * (1 - 0.25 * math.log(2)))):
        rows = found(("gao_alpha", f"form={form}", 1.0), ("gao_beta", f"form={form}", 0.25))
        made = fitted_curve(rows, CURVES)
        assert (made.kl[0], made.values[0]) == (0.0, 0.0)
        assert made.kl[-1] == pytest.approx(4.0)
        assert made.values[-1] == pytest.approx(value)
        assert made.peak_kl.value == math.inf
    assert fitted_curve(found(("gao_alpha", "form=rl", 1.0)), CURVES) is None
    assert fitted_curve(rows, ()) is None


def test_accuracy_by_agreement_stands_beside_the_ceiling():
    rows = found(
        ("reward_accuracy", "agreement=all agree", 0.8),
        ("reward_accuracy", "all", 0.7),
        ("reward_ceiling", "all", 0.9),
    )
    made = agreement_panel(rows)
    assert [name for name, _ in made.rows] == ["all agree"]
    assert made.ceiling.value == 0.9
    assert agreement_panel(found(("reward_accuracy", "all", 0.7))) is None


def test_scores_are_averaged_in_bins_of_equal_count_by_length():
    sizes = [5, 1, 3, 2, 4, 10, 9, 8, 7, 6]
    scores = [float(one) for one in sizes]
    made = _binned("x", sizes, scores, "tokens")
    assert made.lengths == (3.0, 8.0)
    assert [one.value for one in made.rewards] == [3.0, 8.0]
    assert _binned("x", sizes[:9], scores[:9], "tokens") is None


def test_budget_candidate_and_form_are_on_the_page(comparison_report: ComparisonReport):
    page = comparison_to_html(comparison_report)
    assert comparison_report.kl_budget == 10.0
    assert ">budget 10.0<" in page
    assert ">candidate 0.40<" in page
    assert "By Gao&#39;s form gold is highest at a KL of 3.4 nats" in page or "By Gao's form gold" in page
    assert "reward-length-plot" in page
    assert "the tick is the human ceiling" in page
