"""Somebody's own page: what he is asked first, how he stands, what was noticed and decided; and lessons."""

import re
from typing import Any

import pytest
from sqlalchemy import insert, select
from starlette.testclient import TestClient

from accord.feedback.items import content_of
from accord.store.database import NewItem, Projects
from accord.store.database.people_tables import acknowledgement, consent
from accord.store.database.tables import judgment, user
from accord.store.database.workflow_tables import adjudication, alert, standing

PASSWORD = "correct horse battery"
ROWS = [{"prompt": f"Which {k}?", "candidates": ["first", "second"]} for k in range(3)]
RIGHT = {"preference": {"strength": 1, "both_bad": False}}


class Reader:
    """Somebody with a browser that runs no scripts."""

    def __init__(self, site: Any, project_id: str, handle: str = "annotator"):
        self.client, self.room = TestClient(site.app), f"/p/{project_id}"
        answer = self.client.post("/login", data={"handle": handle, "password": PASSWORD})
        assert answer.status_code == 200

    def see(self, place: str = "me") -> str:
        answer = self.client.get(f"{self.room}/{place}")
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def press(self, step: str, **more: str) -> Any:
        """Send the form of the page that holds this button."""
        page = self.see()
        (form,) = [one for one in re.findall(r"<form.*?</form>", page, re.S) if f'value="{step}"' in one]
        sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
        return self.client.post(f"{self.room}/me", data={**sent, "step": step, **more})

    def judge(self, choice: str, *, is_json: bool = False) -> Any:
        page = self.see("annotate")
        form = page[page.index('<form id="work"') :]
        sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
        headers = {"accept": "application/json"} if is_json else {}
        sent |= {"q.preference": choice, "step": "submit"}
        return self.client.post(f"{self.room}/annotate", data=sent, headers=headers)


def publish(site: Any, project_id: str, what: str, body: Any) -> None:
    client, path = site.person("owner").client, f"/api/v1/projects/{project_id}/{what}"
    answer = client.put(path, json=body) if what == "policy" else client.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text


def test_who_must_agree_first_does_so_on_his_page_and_works(any_site):
    project_id = any_site.project(ROWS)
    publish(any_site, project_id, "policy", {"needs_consent": True})
    publish(any_site, project_id, "terms", {"markdown": "# Terms\n\nYour answers are **kept**."})
    reader = Reader(any_site, project_id)
    page = reader.see("annotate")
    assert 'data-reason="consent"' in page
    assert f'href="/p/{project_id}/me"' in page
    assert "Your answers are <strong>kept</strong>." in reader.see()
    answer = reader.press("agree")
    assert str(answer.url).endswith(f"/p/{project_id}/annotate")
    assert '<form id="work"' in answer.text
    assert "I agree" not in reader.see()
    with any_site.database.read() as connection:
        assert len(connection.execute(select(consent)).all()) == 1


@pytest.mark.parametrize("place", ["me", "annotate"])
def test_a_guideline_that_must_be_read_is_read_on_either_page_and_work_goes_on(site, place):
    project_id = site.project(ROWS)
    publish(site, project_id, "guideline", {"markdown": "# Be kinder"})
    reader = Reader(site, project_id)
    page = reader.see("annotate")
    assert 'data-reason="guideline"' in page
    if place == "me":
        answer = reader.press("read")
    else:
        form = re.search(r'<form method="post" action="([^"]+guideline-read)".*?</form>', page, re.S)
        sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form[0]))
        answer = reader.client.post(form[1], data=sent)
    assert '<form id="work"' in answer.text
    assert "I have read this version" not in answer.text
    with site.database.read() as connection:
        assert len(connection.execute(select(acknowledgement)).all()) == 1


def test_what_is_of_another_project_or_no_step_changes_nothing(site):
    project_id, other = site.project(ROWS), site.project(ROWS)
    publish(site, project_id, "policy", {"needs_consent": True})
    publish(site, project_id, "terms", {"markdown": "Terms"})
    reader, elsewhere = Reader(site, project_id), Reader(site, other)
    page = reader.see()
    csrf, text = (re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("csrf", "id"))
    for room, body, status in (
        (reader.room, {"id": text, "step": "agree"}, 403),
        (elsewhere.room, {"csrf": csrf, "id": text, "step": "agree"}, 422),
        (reader.room, {"csrf": csrf, "id": text, "step": "nonsense"}, 422),
        (reader.room, {"csrf": csrf, "id": "none", "step": "agree"}, 409),
        (reader.room, {"csrf": csrf, "step": "requalify"}, 409),
    ):
        assert reader.client.post(f"{room}/me", data=body).status_code == status
    with site.database.read() as connection:
        assert connection.execute(select(consent)).all() == []
    assert TestClient(site.app).get(f"{reader.room}/me").url.path == "/login"


def test_what_was_noticed_is_told_to_him_and_his_word_to_the_lead(site):
    project_id = site.project(ROWS)
    reader, other = Reader(site, project_id), Reader(site, project_id, "second")
    reader.see("annotate")
    with site.database.write() as connection:
        user_id = connection.execute(select(user.c.id).where(user.c.handle == "annotator")).scalar_one()
        for name, kind, is_private in (("a-1", "pace", True), ("a-2", "decline", False)):
            connection.execute(
                insert(alert).values(
                    id=name, project_id=project_id, user_id=user_id, kind=kind, is_private=is_private,
                    evidence={"what": "for-others"}, at_ms=1,
                )
            )  # fmt: skip
    page = reader.see()
    assert "You answer faster than one can read" in page
    assert "Your lead was asked to look at your latest work." in page
    assert "for-others" not in page
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    sent = {"csrf": csrf, "step": "answer", "id": "a-2", "answer": "I was <b>ill</b>."}
    answer = reader.client.post(f"{reader.room}/me", data=sent)
    assert "I was &lt;b&gt;ill&lt;/b&gt;." in answer.text
    assert "faster than one" not in other.see()
    (told,) = site.person("lead").get(f"/projects/{project_id}/alerts").json()["alerts"]
    assert told["answer"] == "I was <b>ill</b>."


def test_what_was_decided_otherwise_is_shown_with_the_rule(site):
    project_id = site.project(ROWS, overlap=2)
    reader, other = Reader(site, project_id), Reader(site, project_id, "second")
    reader.judge("1")
    other.judge("4")
    with site.database.write() as connection:
        given = connection.execute(select(judgment).join(user).where(user.c.handle == "second")).one()
        connection.execute(
            insert(adjudication).values(
                id="adjudication", item_id=given.item_id, assignment_id=given.assignment_id,
                judgment_id=given.id, adjudicator_id=given.user_id, cause="error", note="",
                rule="A wrong fact outweighs <style>.", at_ms=1000,
            )
        )  # fmt: skip
    page = reader.see()
    assert "Which 0?" in page
    assert "A better, 3 of 3" in page
    assert '<blockquote dir="auto">A wrong fact outweighs &lt;style&gt;.</blockquote>' in page
    assert "Nobody has decided otherwise" in other.see()


def test_who_was_paused_for_a_decline_takes_the_test_anew_from_his_page(site):
    project_id = site.project(ROWS)
    known = NewItem(content=content_of({"prompt": "Test?", "candidates": ["right", "wrong"]}), n_candidates=2)
    reader = Reader(site, project_id)
    reader.judge("1")
    Projects.of(site.database).add_gold(project_id, known, RIGHT, tier="test")
    assert "Take the test anew" not in reader.see()
    with site.database.write() as connection:
        connection.execute(standing.update().values(state="paused", reason="decline"))
    assert "Your work here is paused." in reader.see()
    reader.press("requalify")
    assert "You are taking the entry test." in reader.see()


@pytest.mark.parametrize("is_json", [False, True])
def test_a_training_item_is_explained_on_the_page_and_no_other_work(site, is_json):
    project_id = site.project(ROWS)
    known = NewItem(
        content=content_of({"prompt": "Learn?", "candidates": ["right", "wrong"]}), n_candidates=2
    )
    Projects.of(site.database).add_gold(
        project_id, known, RIGHT, tier="training", explanation="Because it is <i>so</i>."
    )
    publish(site, project_id, "policy", {"entry": "training"})
    reader = Reader(site, project_id)
    answer = reader.judge("4", is_json=is_json)  # a tie: not what was expected
    if is_json:
        lesson = answer.json()["training"]
        assert (lesson["is_right"], lesson["explanation"]) == (False, "Because it is <i>so</i>.")
        assert [part["label"] for part in lesson["expected"]] == ["Which answer is better?"]
        assert "better" in lesson["expected"][0]["words"]
    else:
        assert "That was expected otherwise." in answer.text
        assert "Because it is &lt;i&gt;so&lt;/i&gt;." in answer.text
        assert "Which 0?" in answer.text
    other = reader.judge("1", is_json=is_json)
    assert "training" not in other.json() if is_json else "expected otherwise" not in other.text
    taught = re.search(r"lesson=([\w-]+)", str(answer.url))
    if taught:  # a lesson is his own, and of training alone
        stranger = Reader(site, project_id, "second").see(f"annotate?lesson={taught[1]}")
        assert "expected otherwise" not in stranger
