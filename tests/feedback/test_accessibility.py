"""axe-core, a checker of accessibility rules, finds no serious violation on any page in any theme.

Fetched by `npm ci` into a folder that git ignores; `make test` does so where there is node.
"""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from accord.feedback.live import LIVE_KINDS
from accord.feedback.schema import KINDS
from accord.store.database import Projects
from accord.store.database.settings import Settings
from accord.store.database.workflow_tables import alert

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there (npm ci --prefix tests/feedback)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
ROW = {
    "prompt": "When was it?",
    "candidates": ["It was in **1815**.\n\n```python\nx = 1\n```\n\n$x^2$", "Nobody knows. Or so they say."],
    "passages": ["It was in 1815."],
}


def serious(page: Any) -> list[str]:
    """Rules that are broken gravely, each with where."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "async () => (await axe.run(document, {runOnly: "
        "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}))"
        ".violations.filter((one) => ['serious', 'critical'].includes(one.impact))"
        ".map((one) => one.id + ': ' + one.nodes"
        ".slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | '))"
    )
    return list(found)


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_the_annotation_page_with_all_it_opens(site, served, page, theme):
    project_id = site.project([ROW, {**ROW, "prompt": "Other?"}])
    Projects.of(site.database).add_definition(project_id, "guideline", {"markdown": "# Be kind\n\nAlways."})
    person = site.person("annotator").get("/me").json()["id"]
    Settings.of(site.database).change(person, {"theme": theme, "guidelines": {project_id: 1}})
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("2")
    assert serious(page) == []
    page.keyboard.press("d")
    page.keyboard.press("g")
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert serious(page) == []


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(LIVE_KINDS)))
def test_every_kind_of_task(site, served, page, kind):
    project_id = site.project([ROW], kind=kind)
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text("When was it?").wait_for()
    assert serious(page) == []


@pytest.mark.parametrize("kind", LIVE_KINDS)
def test_every_step_of_a_conversation(site, served, page, kind):
    models = [{"name": "a"}, {"name": "b"}]
    project_id = site.project([{"topic": "Cats"}], kind=kind, live={"models": models})
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.get_by_text("What to talk about").wait_for()
    assert serious(page) == []
    site.speakers.away = {"a", "b"}
    page.locator("textarea[name=text]").fill("Hello")
    page.keyboard.press("Control+Enter")
    page.get_by_text("nothing counts against you").wait_for()
    assert serious(page) == []
    site.speakers.away = set()
    page.keyboard.press("Enter")
    page.locator(".candidate").first.wait_for()
    assert serious(page) == []
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("Turn 2 of 8").wait_for()
    page.goto(f"{served.url}/p/{project_id}/annotate?step=close")
    page.get_by_text("The conversation ends here").wait_for()
    assert serious(page) == []


def test_the_pages_around_the_work(site, served, page):
    project_id = site.project([ROW])
    page.goto(f"{served.url}/p/{project_id}/annotate")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    page.get_by_text("Everything is judged").wait_for()
    assert serious(page) == []
    for path in ("/", "/settings", f"/p/{project_id}/history", f"/p/{project_id}/me"):
        page.goto(served.url + path)
        assert serious(page) == [], path
    page.context.clear_cookies()
    page.goto(f"{served.url}/login")
    assert serious(page) == []


def sign_in(page: Any, served: Any, handle: str) -> None:
    """Leave, and come in as somebody else."""
    page.context.clear_cookies()
    page.goto(f"{served.url}/login")
    page.get_by_label("Handle").fill(handle)
    page.get_by_label("Password").fill("correct horse battery")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/")


def judge_apart(site: Any, project_id: str) -> None:
    """Two people say the opposite of one item."""
    for handle, choice in (("annotator", 1), ("second", 7)):
        person = site.person(handle)
        (work,) = person.post(f"/projects/{project_id}/queue/next").json()["assignments"]
        left = work["shown"]["candidates"][0] == ROW["candidates"][0]
        answers = {"preference": {"choice": choice if left else 8 - choice}}
        sent = {"token": work["token"], "key": handle * 2, "answers": answers}
        assert person.post(f"/assignments/{work['id']}/submit", sent).status_code == 200


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
@pytest.mark.parametrize(("kind", "path"), [("review", "review"), ("adjudication", "adjudicate")])
def test_the_pages_of_who_reviews_and_decides(site, served, page, kind, path, theme):
    project_id = site.project([ROW], overlap=2)
    Projects.of(site.database).add_definition(project_id, "guideline", {"markdown": "# Be kind\n\nAlways."})
    stages = [{"stage": "label", "kind": "label", "overlap": 2}, {"stage": "second", "kind": kind}]
    site.person("owner").client.put(f"/api/v1/projects/{project_id}/workflow", json={"stages": stages})
    judge_apart(site, project_id)
    reviewer = site.person("reviewer").get("/me").json()["id"]
    Settings.of(site.database).change(reviewer, {"theme": theme})
    sign_in(page, served, "reviewer")
    page.goto(f"{served.url}/p/{project_id}/{path}")
    page.get_by_text("When was it?").first.wait_for()
    assert page.locator("form.card").count() >= 1
    assert serious(page) == []
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert serious(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert serious(page) == []


def test_the_pages_of_who_reviews_where_there_is_nothing_to_do(site, served, page):
    project_id = site.project([ROW])
    sign_in(page, served, "reviewer")
    for path in ("review", "adjudicate"):
        page.goto(f"{served.url}/p/{project_id}/{path}")
        assert serious(page) == [], path


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_the_page_of_people(site, served, page, theme):
    project_id = site.project([ROW], overlap=2)
    judge_apart(site, project_id)
    told = site.person("second").get("/me").json()["id"]
    with site.database.write() as connection:
        connection.execute(
            insert(alert).values(
                id="alert-1", project_id=project_id, user_id=told, kind="decline", is_private=False,
                evidence={"n": 30, "usual": 0.9}, at_ms=1, answer="I was ill.",
            )
        )  # fmt: skip
    lead = site.person("lead").get("/me").json()["id"]
    Settings.of(site.database).change(lead, {"theme": theme})
    sign_in(page, served, "lead")
    page.goto(f"{served.url}/p/{project_id}/people")
    page.get_by_text("I was ill.").wait_for()
    assert serious(page) == []
    page.locator("form:has([name=role]) button").first.click()
    page.get_by_text("/join/").first.wait_for()
    assert serious(page) == []
    link = page.locator("text=/join/").first.text_content()
    page.context.clear_cookies()
    page.goto(f"{served.url}/join/{link.split('/join/')[1].split()[0]}")
    assert serious(page) == []


def test_the_leads_pages(site, served, page):
    project_id = site.project([ROW], overlap=2)
    judge_apart(site, project_id)
    sign_in(page, served, "lead")
    page.goto(f"{served.url}/p/{project_id}")
    assert serious(page) == []
