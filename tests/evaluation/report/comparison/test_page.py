"""The page holds a section exactly where there are numbers, asks nothing of the network, never changes."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from accord.evaluation.report.comparison import ComparisonReport, Evidence, comparison_to_html
from accord.evaluation.report.comparison.contents import VoteChart
from accord.evaluation.report.contents import Report

SECTIONS = (
    "gates", "forest", "length", "reward-kl", "reliability", "safety", "bias", "drift", "votes", "history",
    "samples",
)  # fmt: skip
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Balanced(HTMLParser):
    """Fails where an end tag is not that of the innermost open element."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_section_is_there_once(comparison_report: ComparisonReport):
    page = comparison_to_html(comparison_report)
    for name in SECTIONS:
        assert page.count(f'<section id="{name}"') == 1, name
    order = [page.index(f'<section id="{name}"') for name in SECTIONS]
    assert order == sorted(order)


def test_markup_is_balanced_and_ids_are_unique(comparison_report: ComparisonReport):
    parser = Balanced()
    parser.feed(comparison_to_html(comparison_report))
    assert parser.open == []
    assert len(set(parser.ids)) == len(parser.ids)


def test_a_section_without_numbers_is_left_out(comparison_report: ComparisonReport):
    bare = ComparisonReport(base=Report(title="Nothing"), verdict="undecided")
    page = comparison_to_html(bare)
    assert "<section id=" not in page
    without = replace(comparison_report, evidence=Evidence(), agreement=None)
    page = comparison_to_html(without)
    for name in ("reward-kl", "reliability", "safety", "bias", "drift", "votes", "history"):
        assert f'<section id="{name}"' not in page
    assert '<section id="forest"' in page


def test_nothing_is_loaded_and_scripts_are_pinned(comparison_report: ComparisonReport):
    page = comparison_to_html(comparison_report)
    assert "default-src 'none'" in page
    assert "script-src 'sha256-" in page
    for word in ("http://", "https://", "@import", "url(", " src=", "<link"):
        assert word not in page, word


def test_equal_reports_are_equal_bytes(
    comparison_report: ComparisonReport, build_comparison: Callable[[], ComparisonReport]
):
    assert comparison_to_html(build_comparison()) == comparison_to_html(comparison_report)


def test_text_is_escaped(comparison_report: ComparisonReport):
    evil = "<script>alert(1)</script>"
    base = replace(comparison_report.base, title=evil, notes=(evil,))
    votes = VoteChart(name=evil, means=(0.5,), lows=(0.0,), highs=(1.0,))
    changed = replace(comparison_report, base=base, not_measured={evil: evil}, evidence=Evidence(votes=votes))
    assert evil not in comparison_to_html(changed)


def test_verdicts_are_said_in_words(comparison_report: ComparisonReport):
    page = comparison_to_html(comparison_report)
    for word in {tile.verdict for tile in comparison_report.gates if tile.estimate is not None}:
        assert f"<b>{word}</b>" in page
    assert "Not decided yet" in page or "Not ready" in page


def test_a_release_that_was_not_measured_leaves_a_gap_and_one_alone_no_section(
    comparison_report: ComparisonReport,
):
    page = comparison_to_html(comparison_report)
    assert "1.2 not measured" in page
    assert "against the incumbent of then" in page
    series = comparison_report.evidence.history[0]
    alone = replace(series, releases=("1.0",), verdicts=("pass",), values=series.values[:1])
    changed = replace(comparison_report, evidence=Evidence(history=(alone,)))
    assert '<section id="history"' not in comparison_to_html(changed)


def test_names_of_dots_in_one_place_stand_above_each_other():
    from accord.evaluation.intervals import wilson
    from accord.evaluation.report.comparison.contents import SafetyDot
    from accord.evaluation.report.comparison.panels import NAME_HEIGHT, _plane

    rate = wilson(0, 40)
    dots = [SafetyDot(name=name, harmful_refusal=rate, safe_refusal=rate) for name in ("before", "after")]
    found = [float(one) for one in re.findall(r'y="([\d.]+)" class="note strong"', str(_plane(dots)))]
    assert found[0] - found[1] == pytest.approx(NAME_HEIGHT)
