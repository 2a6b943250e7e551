"""A whole session by keyboard alone, for every kind of task, in a real browser."""

import json
from typing import Any

import pytest

from accord.feedback.live import LIVE_KINDS
from accord.feedback.schema import KINDS

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]
ROWS = [
    {"prompt": f"Question {k}?", "candidates": ["It was in 1815. So they say.", "Nobody knows."]}
    for k in range(2)
]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def mark_a_word(page: Any) -> None:
    press(page, "e", "Home", *["Shift+ArrowRight"] * 6, "1")
    page.locator(".found li").first.wait_for()
    press(page, "Escape")


def write(text: str) -> Any:
    def do(page: Any) -> None:
        press(page, "e", "Control+End")
        page.keyboard.type(text)
        press(page, "Escape")

    return do


def support(page: Any) -> None:
    press(page, "1", "Tab", "3", "Tab", "2")


def two_grades(page: Any) -> None:
    press(page, "4", "Tab", "2")


SESSIONS = {
    "pairwise": (lambda page: press(page, "6"), lambda v: abs(v["preference"]["strength"]) == 2),
    "ranking": (lambda page: press(page, "2", "Tab", "1"), lambda v: sorted(map(len, v["order"])) == [1, 1]),
    "rating": (two_grades, lambda v: sorted(v["helpfulness"]) == [2, 4]),
    "edit": (
        lambda page: (press(page, "1"), write(" And more.")(page)),
        lambda v: v["edit"].endswith(" And more.") and len(v["edit"]) > 12,
    ),
    "correction": (write(" Mended."), lambda v: v["edit"].endswith(" Mended.")),
    "demonstration": (write("As I would."), lambda v: v["answer"] == "As I would."),
    "spans": (mark_a_word, lambda v: v["faults"][0]["label"] == "factual_error"),
    "grounded": (
        support,
        lambda v: (
            sorted(one for found in v["support"] for one in found)
            == ["contradicted", "not_found", "supported"]
        ),
    ),
    "safety": (lambda page: press(page, "2"), lambda v: v["safety"] == "borderline"),
}


def test_every_kind_has_a_session():
    """Conversations have theirs in test_live_browser."""
    assert set(SESSIONS) == set(KINDS) - set(LIVE_KINDS)


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_session_by_keyboard_alone(site, served, page, kind):
    rows = [{**row, "passages": ["It was in 1815."]} for row in ROWS] if kind == "grounded" else ROWS
    if kind == "demonstration":
        rows = [{"prompt": row["prompt"]} for row in ROWS]
    do, is_right = SESSIONS[kind]
    project_id = site.project(rows, kind=kind)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    for number in range(len(rows)):
        page.get_by_text(f"Question {number}?").wait_for()
        do(page)
        press(page, "Enter")
    page.get_by_text("Everything is judged").wait_for()
    lines = site.person("lead").get(f"/projects/{project_id}/judgments").text.splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) == len(rows)
    assert all(is_right(row["values"]) for row in found), [row["values"] for row in found]
    assert all(row["ui"]["keyboard"] for row in found)
