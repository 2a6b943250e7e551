"""A report survives JSON exactly; anything that is not one is refused with the place named."""

import json
import math
from dataclasses import replace

import pytest

from accord.domain import EvaluationError
from accord.evaluation import Card, Curve, Estimate, Gaming, Report, report_from_json, report_to_json


def test_full_report_comes_back_equal(full_report):
    text = report_to_json(full_report)
    back = report_from_json(text)
    assert report_to_json(back) == text
    assert back.cards == full_report.cards
    assert back.stages[1].versus_start == full_report.stages[1].versus_start
    assert back.frontier.gaming is Gaming.STARTED
    assert back.frontier == full_report.frontier
    assert back.reward_health == full_report.reward_health
    assert back.samples == full_report.samples


def test_json_is_the_same_for_the_same_report(full_report):
    assert report_to_json(full_report) == report_to_json(replace(full_report))


def test_numbers_that_json_lacks_survive():
    values = Report(title="t", curves=(Curve(stage="s", name="n", x=(1.0, 2.0), y=(math.nan, math.inf)),))
    text = report_to_json(values)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    first, second = report_from_json(text).curves[0].y
    assert math.isnan(first)
    assert second == math.inf


def test_missing_interval_survives():
    back = report_from_json(
        report_to_json(Report(title="t", cards=(Card(label="c", estimate=Estimate(value=1.0)),)))
    )
    assert not back.cards[0].estimate.has_interval


def test_text_of_any_script_survives():
    title = "Grüße, 你好, 🙂, \ud83d, </script>"
    assert report_from_json(report_to_json(Report(title=title))).title == title


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a report"),
        ("[]", "schema 1"),
        ('{"schema": 9, "title": "t"}', "schema 1"),
        ('{"schema": 1}', "report is incomplete.*title"),
        ('{"schema": 1, "title": "t", "tilte": 1}', "unknown keys tilte"),
        ('{"schema": 1, "title": 3}', "report.title must be a str, got 3"),
        ('{"schema": 1, "title": "t", "is_simulated": 1}', "report.is_simulated must be a bool"),
        ('{"schema": 1, "title": "t", "notes": "x"}', "report.notes must be a list"),
        (
            '{"schema": 1, "title": "t", "cards": [{"label": "a", "estimate": {"value": "x"}}]}',
            r"cards\[0\].estimate.value",
        ),
        (
            '{"schema": 1, "title": "t", "cards": [{"label": "", "style": "b", "estimate": {"value": 1}}]}',
            "percent or number or nats",
        ),
    ],
)
def test_what_is_not_a_report_is_refused(text, message):
    with pytest.raises(EvaluationError, match=message):
        report_from_json(text)


def test_objects_are_not_written():
    with pytest.raises(EvaluationError, match="plain numbers and text, got set"):
        report_to_json(Report(title="t", extra={"a": {1}}))


def test_curve_needs_one_y_per_x():
    with pytest.raises(EvaluationError, match="2 x and 1 y"):
        Curve(stage="s", name="n", x=(1.0, 2.0), y=(1.0,))
