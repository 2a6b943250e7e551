"""What the server tells of itself: figures a scraper reads, log lines without secrets."""

import json
import logging
import re

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from accord.domain.errors import StoreError
from accord.feedback.telemetry import BOUNDS_S, LOGGER, Figures, JsonLines
from accord.store.database import open_database
from accord.store.database.tables import project

SAMPLE = re.compile(r'^[a-z_]+(\{[a-z]+="(?:[^"\\]|\\.)*"(,[a-z]+="(?:[^"\\]|\\.)*")*\})? [0-9.e+-]+$')


def test_the_text_of_figures_is_prometheus_format_and_classes_add_up():
    figures = Figures()
    for seconds in (0.001, 0.06, 99.0):
        figures.add("POST", "/a", 200, seconds)
    lines = list(figures.lines())
    assert all(line.startswith("# ") or SAMPLE.match(line) for line in lines)
    text = "\n".join(lines)
    # 1 ms is below every bound, 60 ms below all from 0.08 on, 99 s below none but infinity
    assert 'bucket{method="POST",route="/a",le="0.05"} 1' in text
    assert 'bucket{method="POST",route="/a",le="0.08"} 2' in text
    assert f'bucket{{method="POST",route="/a",le="{BOUNDS_S[-1]}"}} 2' in text
    assert 'bucket{method="POST",route="/a",le="+Inf"} 3' in text
    assert 'accord_requests_total{method="POST",route="/a",status="200"} 3' in text


def test_a_label_cannot_break_the_format():
    figures = Figures()
    figures.add("GET", 'a"b\\c\nd', 200, 0.1)
    assert all(line.startswith("# ") or SAMPLE.match(line) for line in figures.lines())


def test_metrics_count_routes_by_pattern_and_the_store_by_state(site):
    project_id = site.project([{"prompt": "Why?", "candidates": ["a", "b"]}], overlap=2)
    site.person("annotator").post(f"/projects/{project_id}/queue/next")
    text = site.person("lead").client.get("/metrics").text
    assert 'route="/api/v1/projects/{project_id}/queue/next",status="200"} 1' in text
    assert project_id not in text
    assert 'accord_slots{state="leased"} 1' in text
    assert 'accord_slots{state="open"} 1' in text
    assert "accord_leases 1" in text
    assert all(line.startswith("# ") or SAMPLE.match(line) for line in text.splitlines())


def test_metrics_are_for_those_who_watch(site):
    assert site.person("annotator").client.get("/metrics").status_code == 403
    stranger = site.person("annotator")
    stranger.client.cookies.clear()
    assert stranger.client.get("/metrics").status_code == 401


def test_log_lines_are_json_and_hold_no_secret(site, caplog):
    caplog.set_level(logging.INFO, logger=LOGGER)
    person = site.person("annotator")
    person.client.get("/api/v1/me/history?project=secret-in-the-query")
    person.client.get("/secret-in-the-path")
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name == LOGGER]
    text = json.dumps(lines)
    assert {line["route"] for line in lines} >= {"/api/v1/login", "/api/v1/me/history", "(none)"}
    assert all({"time", "level", "method", "route", "status", "ms"} <= set(line) for line in lines)
    assert "correct horse battery" not in text
    assert "secret-in" not in text
    assert person.client.headers["X-CSRF-Token"] not in text
    assert not any(value in text for value in person.client.cookies.values())


def test_health_is_open_and_says_nothing(site):
    stranger = site.person("annotator").client
    stranger.cookies.clear()
    assert stranger.get("/healthz").text == "ok\n"
    assert stranger.get("/readyz").text == "ready\n"


def logged(error: Exception) -> dict:
    record = logging.LogRecord("x", logging.ERROR, "", 1, "it failed", None, (type(error), error, None))
    return json.loads(JsonLines().format(record))


def test_a_failure_is_logged_with_its_place_and_without_its_words(site):
    with pytest.raises(StoreError) as caught:
        open_database("sqlite:////no/such/folder/secret.db")
    line = logged(caught.value)
    assert line["error"] == "StoreError"
    assert re.fullmatch(r"accord\.store\.database\.engine:\d+ open_database", line["at"][-1])
    assert "secret" not in json.dumps(line)


def test_a_failure_of_the_database_is_logged_with_the_drivers_kind(site):
    rows = [{"id": "p", "name": "secret words", "created_ms": 0}] * 2
    with pytest.raises(IntegrityError) as caught, site.database.write() as connection:
        connection.execute(insert(project), rows)
    line = logged(caught.value)
    assert line["error"] == "IntegrityError from IntegrityError"
    assert "secret" not in json.dumps(line)
