"""The page of a quality report says what its records hold."""

import re

from accord.evaluation import Estimate
from accord.pipeline.quality_contents import (
    AnnotatorFacts,
    CostPoint,
    DriftChart,
    QualityReport,
    quality_report_from_json,
    quality_report_to_json,
)
from accord.pipeline.quality_page import quality_report_to_html
from accord.pipeline.quality_plots import annotator_scatter


def right(value, n=50):
    return Estimate(value=value, low=value - 0.1, high=min(1.0, value + 0.1), n=n)


def report(**fields):
    return QualityReport(title="What these judgments are worth", **fields)


def test_a_verdict_is_bold_and_its_reasons_are_whole_sentences():
    rows = (
        AnnotatorFacts(name="ada", judgments=50, accuracy=right(0.9)),
        AnnotatorFacts(
            name="bob", judgments=20, accuracy=right(0.4), flags=("pause", "Fell <fast>.", "Copies ada.")
        ),
    )
    page = quality_report_to_html(report(annotators=rows))
    assert "<strong>Pause</strong> Fell &lt;fast&gt;. Copies ada." in page
    # who stands out comes first
    assert page.index(">bob<") < page.index(">ada<")


def test_a_fall_seen_looking_back_is_marked_beside_the_live_evidence():
    chart = DriftChart(
        annotator="bob", channel="expected correctness", statistic=(0.0, 1.0, 2.0), threshold=5.0
    )
    quiet = quality_report_to_html(report(drift=(chart,)))
    assert "fell at" not in quiet
    fallen = DriftChart(**{**vars(chart), "fell_at": 2})
    page = quality_report_to_html(report(drift=(fallen,)))
    assert "fell at 2" in page
    assert "a fall from judgment 2 on looking back" in page
    assert quality_report_from_json(quality_report_to_json(report(drift=(fallen,)))).drift == (fallen,)


def test_the_legend_names_the_lines_there_are():
    fixed = CostPoint(name="3 labels each", labels_an_item=3.0, accuracy=right(0.8))
    rule = CostPoint(name="stop at 0.95", labels_an_item=3.4, accuracy=right(0.85), is_adaptive=True)
    both = quality_report_to_html(report(costs=(fixed, rule)))
    assert "as many labels as each item needs</span>" in both
    assert "a fixed number</span>" in both
    assert "as many labels as each item needs</span>" not in quality_report_to_html(report(costs=(fixed,)))


def test_the_scatter_begins_where_the_annotators_are():
    def ticks(judgments):
        rows = [AnnotatorFacts(name=str(k), judgments=k, accuracy=right(0.8)) for k in judgments]
        svg = annotator_scatter(rows, by="judgments", key="k")
        return [float(text) for text in re.findall(r'class="tick middle">([0-9.]+)<', svg)]

    assert 0.0 in ticks([3, 100])
    assert min(ticks([80, 100])) >= 70
