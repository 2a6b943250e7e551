"""What the page offers beyond the form: the next item at once, undo, differences, guidelines, keys."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from accord.store.database import Projects
from accord.store.database.people import People
from accord.store.database.people_tables import acknowledgement
from accord.store.database.settings import Settings
from accord.store.database.tables import assignment, definition

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def rows(number: int, words: int = 2) -> list[dict]:
    return [
        {
            "prompt": f"Question {k}?",
            "candidates": [f"First {k} " + "a " * words, f"Second {k} " + "b " * words],
        }
        for k in range(number)
    ]


def judgments(site: Any, project_id: str) -> list[dict]:
    lines = site.person("lead").get(f"/projects/{project_id}/judgments").text.splitlines()
    return [json.loads(line) for line in lines]


def states(site: Any) -> list[str]:
    with site.database.read() as connection:
        return list(connection.execute(select(assignment.c.state).order_by(assignment.c.id)).scalars())


def settled(site: Any, page: Any, wanted: list[str]) -> list[str]:
    """The states of all assignments, once they are the wanted ones or it has taken too long."""
    for _ in range(400):
        if sorted(states(site)) == wanted:
            break
        page.wait_for_timeout(25)
    return sorted(states(site))


def ready(page: Any, number: int = 2) -> None:
    """The first item is on screen, and so many of the next are in the page, or all there are."""
    for _ in range(400):
        held = page.evaluate("import('/static/work.js').then((it) => it.queue.size)")
        if held >= number:
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"{held} of {number} items were fetched ahead")


def test_the_next_item_is_painted_without_asking_the_server(site, served, page):
    project_id = site.project(rows(4))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page)
    served.stop()
    for number in (1, 2):
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        page.get_by_text(f"Question {number}?").wait_for()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.get_by_text("Waiting for the server").wait_for()
    served.start()
    page.get_by_text("Question 3?").wait_for()
    found = judgments(site, project_id)
    assert [row["revision"] for row in found] == [1, 1, 1]
    assert len({row["item"] for row in found}) == 3


def test_the_time_of_work_fetched_ahead_begins_when_it_is_shown(site, served, page):
    project_id = site.project(rows(3))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page)
    assert sorted(states(site)) == ["leased", "leased", "opened"]
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("Saved ").wait_for()
    ready(page, 1)
    assert sorted(states(site)) == ["leased", "opened", "submitted"]


def test_work_fetched_ahead_goes_back_when_the_page_is_left(site, served, page):
    project_id = site.project(rows(3))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page)
    assert settled(site, page, ["leased", "leased", "opened"]) == ["leased", "leased", "opened"]
    page.goto(f"{served.url}/login")
    assert settled(site, page, ["opened", "released", "released"]) == ["opened", "released", "released"]


def test_undo_is_a_further_revision_with_the_answers_as_they_were(site, served, page):
    project_id = site.project(rows(2))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page, 1)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("Saved ").wait_for()
    page.get_by_text("Submitted.").wait_for()
    page.keyboard.press("u")
    page.get_by_text("You are changing a judgment").wait_for()
    assert page.locator(".verdict input:checked").get_attribute("value") == "1"
    page.keyboard.press("7")
    page.keyboard.press("Enter")
    page.get_by_text("Question 1?").wait_for()
    page.get_by_text("Saved ").wait_for()
    first, second = judgments(site, project_id)
    assert (first["revision"], second["revision"]) == (1, 2)
    assert first["values"]["preference"]["strength"] == -second["values"]["preference"]["strength"]


def test_my_last_judgments_are_listed_and_can_be_changed(site, served, page):
    project_id = site.project(rows(1))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    page.get_by_text("Everything is judged").wait_for()
    page.keyboard.press("h")
    page.get_by_role("link", name="Question 0?").click()
    page.get_by_text("You are changing a judgment").wait_for()
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    page.get_by_text("Saved ").wait_for()
    assert [row["values"]["preference"]["both_bad"] for row in judgments(site, project_id)] == [False, True]


def test_differences_are_marked_on_demand_and_their_use_is_noted(site, served, page):
    row = {"prompt": "When?", "candidates": ["It was in May 1815, I think.", "It was in June 1815, I think."]}
    project_id = site.project([row])
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text("These answers are much alike").wait_for()
    assert page.locator("mark").count() == 0
    page.keyboard.press("d")
    assert sorted(page.locator("mark").all_inner_texts()) == ["June", "May"]
    page.keyboard.press("d")
    assert page.locator(".diff").first.is_hidden()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    page.get_by_text("Everything is judged").wait_for()
    (found,) = judgments(site, project_id)
    assert found["ui"]["diff"] is True
    assert found["ui"]["suggested"] is True


def test_the_drawer_marks_what_changed_since_the_version_that_was_read(site, served, page):
    project_id = site.project(rows(1))
    second = Projects.of(site.database).add_definition(
        project_id, "guideline", {"markdown": "# Be kind\n\nNever promise what cannot be."}
    )
    person = site.person("annotator").get("/me").json()["id"]
    with site.database.read() as connection:
        first = connection.execute(
            select(definition.c.id).where(definition.c.kind == "guideline", definition.c.version == 1)
        ).scalar_one()
    People(site.accounts).acknowledge(person, first)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("g")
    page.get_by_text("Paragraphs changed since version 1, which you have read: 1.").wait_for()
    assert page.locator(".guide .changed").inner_text().endswith("Never promise what cannot be.")
    bar, drawer = page.locator(".bar").bounding_box(), page.locator(".drawer").bounding_box()
    assert drawer["y"] + drawer["height"] <= bar["y"] + 1
    page.get_by_role("button", name="I have read this version").click()
    page.get_by_role("button", name="I have read this version").wait_for(state="detached")
    page.keyboard.press("Escape")
    assert page.locator(".drawer").is_hidden()
    with site.database.read() as connection:
        read = connection.execute(select(acknowledgement.c.definition_id)).scalars().all()
    assert sorted(read) == sorted([first, second])


def test_a_key_can_be_changed_and_a_taken_one_is_refused(site, served, page):
    project_id = site.project(rows(1))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("?")
    page.get_by_role("button", name="Change the key of: Guidelines").click()
    page.keyboard.press("s")
    page.get_by_text("S is taken by: Skip").wait_for()
    page.get_by_role("button", name="Change the key of: Guidelines").click()
    with page.expect_response("**/settings"):
        page.keyboard.press("q")
    page.get_by_text("Changed.").wait_for()
    page.reload()
    page.keyboard.press("g")
    assert page.locator(".drawer").is_hidden()
    page.keyboard.press("q")
    page.get_by_text("Text of the guidelines").or_(page.locator(".drawer.open")).first.wait_for()


def test_linked_answers_scroll_together_by_share(site, served, page):
    project_id = site.project(rows(1, words=3000))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("y")
    page.get_by_text("scroll linked").wait_for()
    page.locator(".body").first.evaluate("(one) => { one.scrollTop = one.scrollHeight / 2; }")
    for _ in range(400):  # the page's policy forbids the eval that waiting for an expression needs
        if page.locator(".body").nth(1).evaluate("(one) => one.scrollTop") > 100:
            break
        page.wait_for_timeout(25)
    way = "one => one.scrollTop / (one.scrollHeight - one.clientHeight)"
    first, second = (page.locator(".body").nth(place).evaluate(way) for place in (0, 1))
    assert 0 < first < 1
    assert second == pytest.approx(first, abs=0.02)


def test_far_too_quick_is_asked_about_once_and_never_refused(site, served, page):
    project_id = site.project(rows(3, words=2000))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.get_by_text("That was quick").wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("Question 1?").wait_for()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.get_by_text("Question 2?").wait_for()
    page.get_by_text("Saved ").wait_for()
    found = judgments(site, project_id)
    assert [row["ui"].get("guard", False) for row in found] == [True, False]


def test_a_break_gives_back_what_was_fetched_ahead(site, served, page):
    project_id = site.project(rows(3))
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page)
    assert settled(site, page, ["leased", "leased", "opened"]) == ["leased", "leased", "opened"]
    page.keyboard.press("b")
    page.get_by_role("heading", name="A break").wait_for()
    assert settled(site, page, ["opened", "released", "released"]) == ["opened", "released", "released"]
    page.get_by_role("button", name="Go on").click()
    ready(page)


def test_nothing_moves_while_work_goes_on(site, served, page):
    project_id = site.project(rows(4, words=8))
    page.add_init_script(
        "globalThis.shifts = []; new PerformanceObserver((list) => { for (const one of list.getEntries()) "
        "if (one.value > 0 && !one.hadRecentInput) shifts.push(one.value); })"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page)
    for number in (1, 2):
        page.keyboard.press("5")
        page.keyboard.press("Enter")
        page.get_by_text(f"Question {number}?").wait_for()
    page.get_by_text("Saved ").wait_for()
    assert page.evaluate("shifts") == []


def test_reading_order_follows_the_order_on_screen(site, served, page):
    project_id = site.project(rows(6))
    seen = []
    page.goto(f"{served.url}/p/{project_id}/annotate")
    for _ in range(6):
        ready(page, min(2, 5 - len(seen)))
        seen.append(page.locator(".candidate .body").first.inner_text().split()[0])
        page.keyboard.press("4")
        page.keyboard.press("Enter")
        page.get_by_text("Saved ").wait_for()
    found = judgments(site, project_id)
    first = ["First" if row["permutation"][0] == 0 else "Second" for row in found]
    assert seen == first


def test_pages_speak_german_and_the_texts_keep_their_own_language_and_direction(site, served, page):
    row = {"prompt": "מה השעה?", "candidates": ["**שלום** 12:00", "`x = 1` ok"], "language": "he"}
    project_id = site.project([row])
    person = site.person("annotator").get("/me").json()["id"]
    Settings.of(site.database).change(person, {"language": "de"})
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_role("button", name="Absenden").wait_for()
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.locator(".candidates").get_attribute("lang") == "he"
    blocks = page.locator(".candidate .prose p")
    found = blocks.evaluate_all("(all) => all.map((one) => getComputedStyle(one).direction)")
    assert sorted(found) == ["ltr", "rtl"]


def test_two_hundred_percent_needs_no_sideways_scrolling(site, served, page):
    project_id = site.project(rows(1, words=80))
    page.set_viewport_size({"width": 640, "height": 400})
    page.goto(f"{served.url}/p/{project_id}/annotate")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    page.locator(".bar [value=submit]").scroll_into_view_if_needed()
    assert page.locator(".bar [value=submit]").is_visible()


def test_one_answer_at_a_time_on_a_phone(site, served, page):
    project_id = site.project(rows(1))
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{served.url}/p/{project_id}/annotate")
    assert [one.is_visible() for one in page.locator(".candidate").all()] == [True, False]
    page.get_by_role("button", name="B", exact=True).click()
    assert [one.is_visible() for one in page.locator(".candidate").all()] == [False, True]


def test_a_refused_judgment_comes_back_with_what_was_said_against_it(site, served, page):
    project_id = site.project(
        rows(2), questions=[{"kind": "text", "id": "why", "label": "Why?", "max_chars": 5}]
    )
    page.goto(f"{served.url}/p/{project_id}/annotate")
    ready(page, 1)
    page.get_by_label("Why?").fill("far too long")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.get_by_text("expected 0 to 5 characters").wait_for()
    page.get_by_text("Question 0?").wait_for()
    assert page.get_by_label("Why?").input_value() == "far too long"
    page.get_by_label("Why?").fill("short")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.get_by_text("Question 1?").wait_for()
    page.get_by_text("Saved ").wait_for()
    assert [row["answers"] for row in judgments(site, project_id)] == [{"why": "short"}]


def test_a_lease_that_ran_out_costs_nobody_his_judgment(site, served, page):
    project_id = site.project(rows(1))
    second = site.person("second")
    with page.expect_response("**/open"), page.expect_response("**/ahead"):  # both begin its lease anew
        page.goto(f"{served.url}/p/{project_id}/annotate")
    with site.database.write() as connection:
        connection.execute(update(assignment).values(lease_until_ms=1))
    assert second.post(f"/projects/{project_id}/queue/next").status_code == 200
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.get_by_text("Saved ").wait_for()
    (found,) = judgments(site, project_id)
    assert found["is_late"] is True
