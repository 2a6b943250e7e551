"""A real browser against the real server: a session by keyboard, an outage, and text that stays text."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from accord.store.database import Projects
from accord.store.database.tables import chain

PASSWORD = "correct horse battery"
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def stored(site: Any, project_id: str) -> list[dict]:
    lines = site.person("lead").get(f"/projects/{project_id}/judgments").text.splitlines()
    return [json.loads(line) for line in lines]


def rows(number: int) -> list[dict]:
    return [
        {"prompt": f"Question {k}?", "candidates": [f"First {k}.", f"Second {k}."]} for k in range(number)
    ]


def test_a_whole_session_by_keyboard_alone(site, served, page):
    project_id = site.project(rows(3))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    for number, key in enumerate(("2", "4", "0")):
        page.get_by_text(f"Question {number}?").wait_for()
        page.keyboard.press("?")
        page.get_by_role("heading", name="Keys").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press(key)
        page.keyboard.press("Enter")
    page.get_by_text("Everything is judged").wait_for()
    found = stored(site, project_id)
    assert [abs(row["values"]["preference"]["strength"]) for row in found] == [2, 0, 0]
    assert [row["values"]["preference"]["both_bad"] for row in found] == [False, False, True]
    (person,) = site.person("lead").get(f"/projects/{project_id}/progress").json()["annotators"]
    assert (person["n"], person["active_ms"] > 0) == (3, True)


def test_a_judgment_made_while_the_server_is_away_arrives_once(site, served, page):
    project_id = site.project(rows(1))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text("Question 0?").wait_for()
    served.stop()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("kept here and sent again").wait_for()
    served.start()
    page.get_by_text("Everything is judged").wait_for()
    assert [row["revision"] for row in stored(site, project_id)] == [1]


def test_what_people_wrote_is_inert_and_nothing_is_loaded_from_elsewhere(site, served, page):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    project_id = site.project([{"prompt": EVIL, "candidates": [EVIL, EVIL]}])
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text("onerror").first.wait_for()
    assert "owned" not in page.title()
    assert all(url.startswith(served.url) for url in asked)


def test_what_people_wrote_is_inert_on_every_other_page(site, served, page):
    row = {"prompt": EVIL, "candidates": [f"$\\text{{{EVIL}}}$ {EVIL}", f"```python\n{EVIL}\n```"]}
    project_id = site.project([{**row, "passages": [{"title": EVIL, "text": EVIL}]}])
    Projects.of(site.database).add_definition(project_id, "guideline", {"markdown": f"# {EVIL}\n\n{EVIL}"})
    page.goto(f"{served.url}/p/{project_id}/annotate")
    for key in ("g", "Escape", "d", "r", "2", "Enter"):
        page.keyboard.press(key)
    page.get_by_text("Everything is judged").wait_for()
    page.keyboard.press("u")
    page.get_by_text("You are changing a judgment").wait_for()
    page.goto(f"{served.url}/p/{project_id}/history")
    page.get_by_text("onerror").first.wait_for()
    page.context.clear_cookies()
    page.goto(f"{served.url}/login")
    page.get_by_label("Handle").fill("lead")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/")
    page.goto(f"{served.url}/p/{project_id}")
    assert "owned" not in page.title()
    assert page.locator("main img, main script:not([type='application/json'])").count() == 0


def test_words_are_marked_by_selecting_them(site, served, page):
    row = {"prompt": "Is it true?", "candidates": ["😀 It was in 1815."]}
    project_id = site.project([row], kind="spans")
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.evaluate(
        """() => {
        const node = document.querySelector('.candidate .text').firstChild;
        const range = document.createRange();
        const start = node.data.indexOf('1815');
        range.setStart(node, start); range.setEnd(node, start + 4);
        const selection = getSelection(); selection.removeAllRanges(); selection.addRange(range); }"""
    )
    page.get_by_role("button", name="Factual error").click()
    page.get_by_text("Factual error: “1815”").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("Everything is judged").wait_for()
    (found,) = stored(site, project_id)
    (mark,) = found["values"]["faults"]
    assert (mark["quote"], mark["label"]) == ("1815", "factual_error")


def test_verdict_bar_stays_in_view_on_a_phone(site, served, page):
    project_id = site.project([{"prompt": "Long?", "candidates": ["word " * 900, "word " * 900]}])
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{served.url}/p/{project_id}/annotate")
    bar = page.locator(".bar").bounding_box()
    assert bar["y"] + bar["height"] == pytest.approx(844, abs=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_answers_are_formatted_and_r_shows_them_as_written(site, served, page):
    row = {"prompt": "How?", "candidates": ["Press **Settings**.", "Press **Settings**."]}
    project_id = site.project([row])
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.locator(".candidate strong").first.wait_for()
    page.keyboard.press("r")
    page.get_by_text("Press **Settings**.").first.wait_for()
    assert page.locator(".candidate strong").first.is_hidden()


def test_keys_do_nothing_behind_the_dialog(site, served, page):
    project_id = site.project(rows(1))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    for key in ("2", "Enter", "s", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    assert page.locator(".verdict input:checked").count() == 0
    assert page.locator(".skip[open]").count() == 0
    assert stored(site, project_id) == []


def test_digits_and_arrows_on_another_scale_stay_on_it(site, served, page):
    questions = [
        {"kind": "comparison", "id": "preference", "label": "Which is better?"},
        {"kind": "rating", "id": "clarity", "label": "Clarity", "low": 1, "high": 5, "per_candidate": True},
    ]
    project_id = site.project(rows(1), questions=questions)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.locator('input[name="q.clarity.0"]').first.focus()
    page.keyboard.press("4")
    page.keyboard.press("ArrowRight")
    page.locator('input[name="q.clarity.1"]').first.focus()
    page.keyboard.press("2")
    assert page.locator(".verdict input:checked").count() == 0
    page.locator(".verdict input").first.focus()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("Everything is judged").wait_for()
    (found,) = stored(site, project_id)
    assert found["answers"]["clarity"] == [5, 2]


def test_pressing_submit_twice_sends_once(site, served, page):
    project_id = site.project(rows(2))
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("1")
    page.evaluate(
        """() => { const form = document.getElementById("work");
        const button = form.querySelector('[value="submit"]');
        form.requestSubmit(button); form.requestSubmit(button); }"""
    )
    page.get_by_text("Question 1?").wait_for()
    page.get_by_text("Saved ").wait_for()
    assert len([url for url in sent if url.endswith("/annotate")]) == 1
    (found,) = stored(site, project_id)
    assert 0 < found["duration_ms"] < 60_000
    assert 0 <= found["active_ms"] <= found["duration_ms"] + 50


def test_what_was_typed_outlives_a_reload_and_a_lost_session(site, served, page):
    questions = [{"kind": "text", "id": "why", "label": "Why?"}]
    project_id = site.project(rows(1), questions=questions)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_label("Why?").fill("because of the date")
    page.get_by_text("Kept on this device").wait_for()
    page.reload()
    page.get_by_text("Your answers from before are back").wait_for()
    assert page.get_by_label("Why?").input_value() == "because of the date"
    page.context.clear_cookies()
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("You are signed out").wait_for()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in").click()
    door = opened.value
    door.get_by_label("Handle").fill("annotator")
    door.get_by_label("Password").fill(PASSWORD)
    door.keyboard.press("Enter")
    door.wait_for_url(f"{served.url}/")
    page.get_by_role("button", name="Send again").click()
    page.get_by_text("Everything is judged").wait_for()
    assert [row["answers"] for row in stored(site, project_id)] == [{"why": "because of the date"}]
    names = page.evaluate("Object.keys(localStorage)")
    assert [name for name in names if not name.startswith("accord:pace:")] == []


def test_a_skip_has_a_reason_by_keyboard(site, served, page):
    project_id = site.project(rows(2))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text("Question 0?").wait_for()
    page.keyboard.press("s")
    page.get_by_role("button", name="Something is missing or broken").wait_for()
    page.keyboard.press("5")
    page.get_by_text("Question 1?").wait_for()
    page.get_by_text("Saved ").wait_for()
    with site.database.read() as connection:
        facts = (
            connection.execute(select(chain.c.facts).where(chain.c.entity == "assignment")).scalars().all()
        )
    assert any('"broken"' in one for one in facts)


def judge(page: Any) -> str | None:
    """Judge what is shown; the assignment that was judged."""
    id_ = page.locator("#work").get_attribute("data-id")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    return id_


@pytest.mark.slow
def test_after_fifty_items_a_break_is_suggested_and_work_goes_on_behind_it(site, served, page, monkeypatch):
    # so quick and even a hand may be taken for a tired one, which would be said first
    monkeypatch.setattr("accord.feedback.standing.signs_of", lambda *_: [])
    project_id = site.project(rows(60))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    for number in range(54):
        id_ = judge(page)
        if number == 49:  # the next item may not be here yet
            page.get_by_text("50 items since your last break").wait_for()
            page.locator("[data-pause=back]").click()
        page.locator(f"#work:not([data-id='{id_}'])").wait_for()
    assert len(stored(site, project_id)) >= 53  # the last is on its way


def test_a_break_before_the_next_item_is_here_hides_no_work(site, served, page):
    project_id = site.project(rows(2))
    held: list[Any] = []
    is_slow = True
    page.route("**/ahead", lambda route: held.append(route) if is_slow else route.continue_())
    page.goto(f"{served.url}/p/{project_id}/annotate")
    judge(page)
    page.get_by_text("Saved ").wait_for()
    page.keyboard.press("b")
    page.locator("#pause[open]").wait_for()
    is_slow = False
    with page.expect_response("**/back"):
        for route in held:
            route.continue_()
    page.get_by_text("Waiting for the server").wait_for()
    assert page.get_by_text("Nothing for you now").count() == 0
    page.locator("[data-pause=back]").click()
    page.get_by_text("Question 1?").wait_for()
