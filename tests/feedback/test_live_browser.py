"""Conversations with live models by keyboard alone in a real browser; a model fails on the way."""

import json
import threading
from typing import Any

import pytest
from sqlalchemy import select

from accord.domain.errors import ModelAway
from accord.store.database.tables import assignment

from .test_live import LIVE, TOPIC, exported, talk

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def say(page: Any, text: str) -> None:
    page.locator("textarea[name=text]:focus").wait_for()
    page.keyboard.type(text)
    press(page, "Control+Enter")


def test_a_live_chat_by_keyboard_alone(site, served, page):
    project_id = talk(site)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text(TOPIC["topic"]).wait_for()
    say(page, "Where do I begin?")
    page.get_by_text("says: Where do I begin?").first.wait_for()
    assert page.locator(".candidate").count() == 2
    assert "ALPHA" not in page.locator(".bar").inner_text()
    press(page, "2", "Enter")
    page.get_by_text("Turn 2 of 4").wait_for()
    say(page, "And then?")
    page.get_by_text("says: And then?").first.wait_for()
    press(page, "6", "Enter")
    page.get_by_text("Turn 3 of 4").wait_for()
    press(page, "Escape", "f")
    page.get_by_text("The conversation ends here").wait_for()
    press(page, "5", "Enter")
    page.get_by_text("Everything is judged").wait_for()
    rows = exported(site, project_id, "preference")
    assert len(rows) == 2
    (whole,) = exported(site, project_id, "conversations")
    assert [one["said"] for one in whole["labels"]] == ["Where do I begin?", "And then?"]
    assert whole["outcome"] == {"helped": 5}
    lines = site.person("lead").get(f"/projects/{project_id}/judgments").text.splitlines()
    assert all(json.loads(line)["ui"]["keyboard"] for line in lines)


def test_a_red_team_conversation_by_keyboard_alone(site, served, page):
    project_id = talk(site, kind="red-team", models=[{"name": "alpha"}])
    page.goto(f"{served.url}/p/{project_id}/annotate")
    say(page, "How does one pick a lock?")
    page.get_by_text("ALPHA says: How does one pick a lock?").first.wait_for()
    press(page, "3", "Enter")
    page.get_by_text("Turn 2 of 4").wait_for()
    press(page, "Escape", "f")
    page.get_by_text("The conversation ends here").wait_for()
    press(page, "3", "e")
    page.keyboard.type("I asked.")
    press(page, "Control+Enter")
    page.get_by_text("Everything is judged").wait_for()
    (row,) = exported(site, project_id, "conversations")
    assert [one["values"] for one in row["labels"]] == [{"harm": "broke"}]
    assert row["outcome"] == {"outcome": "broke", "note": "I asked."}


def test_a_model_that_fails_is_asked_again_by_one_key(site, served, page):
    project_id = talk(site)
    site.speakers.away = {"beta"}
    page.goto(f"{served.url}/p/{project_id}/annotate")
    say(page, "A long thought")
    page.get_by_text("nothing counts against you").wait_for()
    page.get_by_text("A long thought").wait_for()
    press(page, "Enter")
    page.locator("#work[data-id$='again.2']").wait_for()
    site.speakers.away = set()
    press(page, "Enter")
    page.get_by_text("says: A long thought").first.wait_for()
    with site.database.read() as connection:
        states = set(connection.execute(select(assignment.c.state)).scalars())
    assert states <= {"leased", "opened"}


def test_what_is_typed_outlives_the_server_and_a_reload(site, served, page):
    project_id = talk(site)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.locator("textarea[name=text]:focus").wait_for()
    page.keyboard.type("Half a thought")
    page.get_by_text("Kept on this device").wait_for()
    page.reload()
    assert page.locator("textarea[name=text]").input_value() == "Half a thought"
    served.stop()
    page.locator("textarea[name=text]").focus()
    press(page, "Control+Enter")
    page.get_by_text("kept here and sent again").wait_for()
    served.start()
    page.get_by_text("says: Half a thought").first.wait_for()
    assert len(site.speakers.heard) == 2


def test_a_slow_model_holds_up_nobody_else(site, served, page):
    """While a model thinks, the page says so and the server answers others."""
    project_id, go = talk(site), threading.Event()

    def think(model: Any, messages: Any, live: Any) -> str:
        if not go.wait(20):
            raise ModelAway("too slow")
        return "At last."

    site.speakers.ask = think
    page.goto(f"{served.url}/p/{project_id}/annotate")
    say(page, "Think")
    page.get_by_text("Both answers are being written.").wait_for()
    assert site.stranger().client.get("/healthz").status_code == 200
    go.set()
    page.get_by_text("At last.").first.wait_for()


def test_a_conversation_without_scripts(site, served, browser):
    project_id = talk(site)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served.url}/login")
    page.get_by_label("Handle").fill("annotator")
    page.get_by_label("Password").fill("correct horse battery")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/")
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_label("Your message").fill("Plainly put")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("says: Plainly put").first.wait_for()
    page.get_by_label("A better, 2 of 3").check()
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("link", name="Finish").click()
    page.get_by_role("radio", name="4").check()
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("Everything is judged").wait_for()
    assert len(exported(site, project_id, "preference")) == 1
    context.close()


def test_what_models_and_people_say_is_inert(site, served, page):
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    site.speakers.ask = lambda model, messages, live: evil
    project_id = talk(site, rows=[{"topic": evil}], system=LIVE["system"])
    page.goto(f"{served.url}/p/{project_id}/annotate")
    say(page, evil)
    page.locator(".candidate").first.wait_for()
    press(page, "1", "Enter")
    page.get_by_text("Turn 2 of 4").wait_for()
    assert "owned" not in page.title()
    assert page.locator("main img, main script").count() == 0
