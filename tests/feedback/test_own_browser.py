"""Lessons and private notes reach whoever works at the page, by keyboard, in a real browser."""

import time
from typing import Any

import pytest
from sqlalchemy import insert

from accord.feedback.items import content_of
from accord.store.database import NewItem, Projects
from accord.store.database.tables import user
from accord.store.database.workflow_tables import alert

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]
ROWS = [{"prompt": f"Which {k}?", "candidates": ["first", "second"]} for k in range(4)]


def test_a_training_item_is_explained_over_the_next_one_until_it_is_read(site, served, page):
    project_id = site.project(ROWS)
    for k in range(2):
        content = content_of({"prompt": f"Learn {k}?", "candidates": ["right", "wrong"]})
        Projects.of(site.database).add_gold(
            project_id,
            NewItem(content=content, n_candidates=2),
            {"preference": {"strength": 1, "both_bad": False}},
            tier="training",
            explanation="Because of the date.",
        )
    owner = site.person("owner").client
    assert owner.put(f"/api/v1/projects/{project_id}/policy", json={"entry": "training"}).status_code == 200
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text("Learn").first.wait_for()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    lesson = page.get_by_role("dialog", name="That was expected otherwise.")
    lesson.wait_for()
    assert "Which answer is better?" in lesson.inner_text()
    assert "Because of the date." in lesson.inner_text()
    page.keyboard.press("Enter")
    lesson.wait_for(state="hidden")
    page.get_by_text("Learn").first.wait_for()
    is_left = page.locator(".candidate").first.inner_text().find("right") >= 0
    page.keyboard.press("1" if is_left else "7")
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="That was right.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Which 0?").wait_for()


def note(site: Any, project_id: str) -> None:
    """The server noticed something about the annotator just now."""
    with site.database.write() as connection:
        user_id = connection.execute(user.select().where(user.c.handle == "annotator")).one().id
        connection.execute(
            insert(alert).values(
                id="alert-1", project_id=project_id, user_id=user_id, kind="pace", is_private=True,
                evidence={}, at_ms=int(time.time() * 1000),
            )
        )  # fmt: skip


def test_what_was_noticed_is_said_once_and_can_be_put_off(site, served, page):
    project_id = site.project(ROWS)
    note(site, project_id)
    with page.expect_response("**/ahead"):
        page.goto(f"{served.url}/p/{project_id}/annotate")
    told = page.get_by_text("You answer faster than one can read. Take five minutes?")
    for number in range(len(ROWS)):
        page.locator("#work").wait_for()
        assert told.is_hidden()  # nobody is interrupted within an item
        page.keyboard.press("4")
        page.keyboard.press("Enter")
        if number == 0:
            told.wait_for()
            page.get_by_role("button", name="Later").click()
            told.wait_for(state="hidden")
    page.get_by_text("Everything is judged").wait_for()
    assert told.is_hidden()
    page.reload()
    page.get_by_text("Everything is judged").wait_for()
    page.wait_for_timeout(300)
    assert told.is_hidden()
    page.get_by_role("link", name="Where I stand").click()
    page.get_by_role("heading", name="Where I stand").wait_for()
    told.wait_for()


def test_no_page_is_wider_than_a_phone(site, served, browser):
    project_id = site.project(ROWS, overlap=2)
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{served.url}/login")
    page.get_by_label("Handle").fill("lead")
    page.get_by_label("Password").fill("correct horse battery")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/")
    room = f"/p/{project_id}"
    page.goto(f"{served.url}{room}/annotate")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.get_by_text("Saved").wait_for()
    for place in (
        "/",
        room,
        f"{room}/people",
        f"{room}/me",
        f"{room}/annotate",
        f"{room}/review",
        "/settings",
    ):
        page.goto(served.url + place)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, (place, width)
    context.close()
