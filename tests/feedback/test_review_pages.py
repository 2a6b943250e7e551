"""The pages of reviewers, adjudicators and leads, as forms: they work without scripts, and show no names."""

import re
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from accord.feedback.live import LIVE_KINDS
from accord.feedback.schema import KINDS
from accord.store.database.tables import gold, item
from accord.store.database.workflow_tables import adjudication, review

PASSWORD = "correct horse battery"
PAIR = {"prompt": "Which <b>one</b>?", "candidates": ["first <i>x</i>", "second"]}
STAGES = [
    {"stage": "label", "kind": "label", "overlap": 2},
    {"stage": "agree", "kind": "consensus", "max_people": 2},
    {"stage": "read", "kind": "review"},
    {"stage": "decide", "kind": "adjudication"},
]


def browser(site: Any, handle: str) -> TestClient:
    client = TestClient(site.app)
    answer = client.post("/login", data={"handle": handle, "password": PASSWORD}, follow_redirects=False)
    assert answer.status_code == 303
    return client


def set_out(site: Any, winners: tuple[int, int]) -> str:
    project_id = site.project([PAIR], overlap=2)
    owner = site.person("owner")
    owner.client.put(f"/api/v1/projects/{project_id}/workflow", json={"stages": STAGES})
    for k, (handle, winner) in enumerate(zip(("annotator", "second"), winners, strict=True)):
        person = site.person(handle)
        (work,) = person.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["assignments"]
        is_left = work["shown"]["candidates"][0] == PAIR["candidates"][winner]
        answers = {"preference": {"choice": 1 if is_left else 7}}
        sent = {"token": work["token"], "key": f"key-{k:08d}", "answers": answers}
        assert person.post(f"/assignments/{work['id']}/submit", sent).status_code == 200
    return project_id


def forms_of(page: str) -> list[dict[str, str]]:
    """The hidden fields of each form about a judgment or a decision."""
    found = re.findall(r'<form class="card.*?</form>', page, flags=re.DOTALL)
    return [dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', one)) for one in found]


def state(site: Any) -> str:
    with site.database.read() as connection:
        return connection.execute(select(item.c.state)).scalar_one()


def rows(site: Any, table: Any) -> list[Any]:
    with site.database.read() as connection:
        return connection.execute(select(table)).all()


def test_a_review_is_done_with_plain_forms(site):
    project_id = set_out(site, (0, 0))
    client = browser(site, "reviewer")
    page = client.get(f"/p/{project_id}/review")
    assert page.status_code == 200
    assert "&lt;b&gt;one&lt;/b&gt;" in page.text
    assert "annotator" not in page.text
    assert ">Be kind</h1>" in page.text  # the rule beside what is measured by it
    german = client.get(f"/p/{project_id}/review", headers={"accept-language": "de"}).text
    assert "2 Urteile" in german
    assert "Annehmen" in german
    first, second = forms_of(page.text)
    answer = client.post(f"/p/{project_id}/review", data={**first, "verdict": "accept"})
    assert answer.text.count("Accept</p>") == 1
    answer = client.post(f"/p/{project_id}/review", data={**second, "verdict": "reject_drop"})
    assert answer.status_code == 422
    assert "needs a reason" in answer.text
    data = {**second, "verdict": "fix", "reason": "wrong", "q.preference": "4", "note": "It is a tie."}
    answer = client.post(f"/p/{project_id}/review", data=data)
    assert "Nothing to review" in answer.text
    assert state(site) == "complete"
    assert sorted(row.verdict for row in rows(site, review)) == ["accept", "fix"]


def test_a_decision_is_made_with_a_plain_form(site):
    project_id = set_out(site, (0, 1))
    client = browser(site, "lead")
    page = client.get(f"/p/{project_id}/adjudicate")
    assert "2 judgments, not agreed" in page.text
    (form,) = forms_of(page.text)
    data = {
        **form,
        "q.preference": "1",
        "cause": "style",
        "rule": "Be kind.",
        "make_gold": "1",
        "step": "decide",
    }
    answer = client.post(f"/p/{project_id}/adjudicate", data=data)
    assert "Nothing to decide" in answer.text
    assert state(site) == "complete"
    assert [row.rule for row in rows(site, adjudication)] == ["Be kind."]
    assert len(rows(site, gold)) == 1


def test_without_a_verdict_or_a_cause_the_page_says_so(site):
    project_id = set_out(site, (0, 1))
    client = browser(site, "lead")
    (form,) = forms_of(client.get(f"/p/{project_id}/adjudicate").text)
    answer = client.post(f"/p/{project_id}/adjudicate", data={**form, "q.preference": "1", "step": "decide"})
    assert (answer.status_code, "cause is" in answer.text) == (422, True)
    answer = client.post(f"/p/{project_id}/adjudicate", data={**form, "step": "drop"})
    assert answer.status_code == 200
    assert state(site) == "withdrawn"


@pytest.mark.parametrize("place", ["review", "adjudicate", "people"])
def test_annotators_do_not_come_in_and_nobody_else_without_the_csrf_text(site, place):
    project_id = set_out(site, (0, 0))
    assert browser(site, "annotator").get(f"/p/{project_id}/{place}").status_code == 403
    assert browser(site, "owner").post(f"/p/{project_id}/{place}", data={"csrf": "x"}).status_code == 403
    answer = TestClient(site.app).get(f"/p/{project_id}/{place}", follow_redirects=False)
    assert answer.headers["location"] == "/login"


def test_a_reviewer_cannot_make_a_known_item(site):
    project_id = set_out(site, (0, 1))
    client = browser(site, "reviewer")
    page = client.get(f"/p/{project_id}/adjudicate")
    assert "make_gold" not in page.text
    (form,) = forms_of(page.text)
    data = {**form, "q.preference": "1", "cause": "style", "make_gold": "1", "step": "decide"}
    assert client.post(f"/p/{project_id}/adjudicate", data=data).status_code == 403


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(LIVE_KINDS)))
def test_every_kind_of_task_can_be_reviewed(site, kind):
    row = {"prompt": "Which?", "candidates": ["One.", "Two."], "passages": ["A passage."]}
    project_id = site.project([row], kind=kind)
    stages = [STAGES[0] | {"overlap": 1}, STAGES[2]]
    site.person("owner").client.put(f"/api/v1/projects/{project_id}/workflow", json={"stages": stages})
    person = site.person("annotator")
    (work,) = person.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["assignments"]
    answers = {
        "pairwise": {"preference": {"choice": 1}},
        "ranking": {"order": {"groups": [[0], [1]]}},
        "rating": {"helpfulness": [1, 5]},
        "edit": {"preference": {"choice": 1}, "edit": "Better."},
        "correction": {"edit": "Better."},
        "demonstration": {"answer": "So."},
        "spans": {"faults": [{"place": 0, "start": 0, "end": 3, "label": "unsafe"}]},
        "grounded": {"support": {"0": ["supported"], "1": ["not_found"]}},
        "safety": {"safety": "safe"},
    }[kind]
    sent = {"token": work["token"], "key": "key-00000001", "answers": answers}
    assert person.post(f"/assignments/{work['id']}/submit", sent).status_code == 200
    page = browser(site, "reviewer").get(f"/p/{project_id}/review")
    assert page.status_code == 200
    assert "1 judgment" in page.text
    assert '<dl class="said"><div>' in page.text


def test_a_lead_invites_by_a_link_that_makes_one_account(site):
    project_id = site.project([PAIR])
    client = browser(site, "lead")
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get(f"/p/{project_id}/people").text)[1]
    page = client.post(f"/p/{project_id}/people", data={"csrf": csrf, "step": "invite", "role": "annotator"})
    path = re.search(r"http://testserver(/join/[\w-]+)", page.text)[1]
    guest = TestClient(site.app)
    assert "Welcome" in guest.get(path).text
    taken = guest.post(path, data={"handle": "lead", "password": PASSWORD})
    assert (taken.status_code, "is taken" in taken.text) == (409, True)
    made = guest.post(path, data={"handle": "guest", "password": PASSWORD}, follow_redirects=False)
    assert made.headers["location"] == "/login"
    assert guest.get(path).status_code == 410
    assert f"/p/{project_id}/annotate" in browser(site, "guest").get("/").text


def test_a_lead_sees_how_people_stand_and_changes_it(site):
    project_id = set_out(site, (0, 0))
    client = browser(site, "lead")
    page = client.get(f"/p/{project_id}/people").text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    (user_id, *_) = re.findall(r'name="user" value="([^"]+)"', page)
    data = {"csrf": csrf, "step": "state", "user": user_id, "state": "paused"}
    assert "paused" in client.post(f"/p/{project_id}/people", data=data).text
    assert client.post(f"/p/{project_id}/people", data={**data, "state": "failed"}).status_code == 409
