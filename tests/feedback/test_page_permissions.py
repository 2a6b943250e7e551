"""Pages and what their scripts ask: nobody reaches another's work, nothing is changed by a forged form."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

PASSWORD = "correct horse battery"
ROWS = [{"prompt": f"Question {k}?", "candidates": ["a", "b"]} for k in range(3)]


def enter(site: Any, handle: str) -> tuple[TestClient, str]:
    client = TestClient(site.app, headers={"Accept": "application/json"})
    client.post("/login", data={"handle": handle, "password": PASSWORD})
    page = client.get("/settings").text
    return client, re.findall(r'name="csrf-token" content="(\w+)"', page)[0]


def judged(site: Any, project_id: str, handle: str = "annotator") -> str:
    person = site.person(handle)
    (work,) = person.post(f"/projects/{project_id}/queue/next").json()["assignments"]
    sent = {"token": work["token"], "key": work["id"], "answers": {"preference": {"choice": 1}}}
    return person.post(f"/assignments/{work['id']}/submit", sent).json()["judgment_id"]


@pytest.mark.parametrize("path", ["annotate", "ahead", "back", "guideline-read", "judgments/x"])
def test_a_form_without_the_sessions_text_changes_nothing(site, path):
    project_id = site.project(ROWS)
    client, _ = enter(site, "annotator")
    for csrf in ("", "0" * 64):
        assert client.post(f"/p/{project_id}/{path}", data={"csrf": csrf}).status_code == 403


@pytest.mark.parametrize("path", ["annotate", "ahead", "back", "guideline-read"])
def test_who_may_not_annotate_gets_no_work(site, path):
    project_id = site.project(ROWS)
    client, csrf = enter(site, "auditor")
    assert client.post(f"/p/{project_id}/{path}", data={"csrf": csrf}).status_code == 403
    assert client.get(f"/p/{project_id}/history").status_code == 403


def test_anothers_judgment_is_not_there_to_be_seen_or_changed(site):
    project_id = site.project(ROWS)
    judgment_id = judged(site, project_id)
    client, csrf = enter(site, "second")
    path = f"/p/{project_id}/judgments/{judgment_id}"
    assert client.get(path).status_code == 404
    sent = {"csrf": csrf, "key": "another key", "q.preference": "7"}
    assert client.post(path, data=sent).status_code == 404
    owner, _ = enter(site, "annotator")
    assert owner.get(path).status_code == 200


def test_the_page_tells_nothing_of_models_gold_or_others(site):
    known = {"text": "a", "model": "secret-model"}
    project_id = site.project([{"prompt": "Why?", "candidates": [known, "b"], "meta": {"x": "secret-meta"}}])
    client, csrf = enter(site, "annotator")
    (work,) = client.post(f"/p/{project_id}/ahead", data={"csrf": csrf, "count": "1"}).json()["works"]
    assert "secret" not in work["html"]
    assert "gold" not in work["html"]


def test_a_refusal_to_a_script_has_the_one_shape(site):
    project_id = site.project(ROWS)
    client, csrf = enter(site, "annotator")
    for path in ("annotate", "guideline-read"):
        answer = client.post(f"/p/{project_id}/{path}", data={"csrf": csrf, "assignment": "none"})
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail"}


def test_odd_fields_are_no_servers_fault(site):
    project_id = site.project(ROWS)
    client, csrf = enter(site, "annotator")
    for field, value in (("count", "99999"), ("have", "\x00"), ("apart", "'"), ("id", "../x"), ("ui", "[1")):
        for path in ("ahead", "back", "annotate"):
            answer = client.post(f"/p/{project_id}/{path}", data={"csrf": csrf, field: value})
            assert answer.status_code < 500
    many = "&".join(f"a{k}=1" for k in range(10_001))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(f"/p/{project_id}/ahead", content=many, headers=headers).status_code == 422
