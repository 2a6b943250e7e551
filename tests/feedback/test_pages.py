"""The pages without scripts: a form is enough to judge; what people wrote is never markup."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from accord.feedback.live import LIVE_KINDS
from accord.feedback.schema import KINDS

PASSWORD = "correct horse battery"
ROW = {"prompt": "Which?", "candidates": ["First. And more.", "Second."], "passages": ["A passage."]}
ANSWERS = {
    "pairwise": {"q.preference": "2"},
    "ranking": {"q.order.0": "2", "q.order.1": "1"},
    "rating": {"q.helpfulness.0": "1", "q.helpfulness.1": "5"},
    "edit": {"q.preference": "7", "q.edit": "Better so."},
    "correction": {"q.edit": "Better so."},
    "demonstration": {"q.answer": "As I would say it."},
    "spans": {},
    "grounded": {},
    "safety": {"q.safety": "safe"},
}


def browser(site: Any, handle: str = "annotator") -> TestClient:
    client = TestClient(site.app)
    answer = client.post("/login", data={"handle": handle, "password": PASSWORD}, follow_redirects=False)
    assert answer.status_code == 303
    return client


def hidden(page: str) -> dict[str, str]:
    form = page[page.index('<form id="work"') :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(LIVE_KINDS)))
def test_every_kind_of_task_is_done_with_a_plain_form(site, kind):
    project_id = site.project([ROW], kind=kind)
    client = browser(site)
    page = client.get(f"/p/{project_id}/annotate").text
    sent = hidden(page) | ANSWERS[kind] | {"step": "submit"}
    if kind == "grounded":
        sent |= {name: "supported" for name in re.findall(r'name="(q\.support\.\d+\.\d+)"', page)}
    answer = client.post(f"/p/{project_id}/annotate", data=sent)
    assert answer.status_code == 200
    assert "Everything is judged" in answer.text
    (row,) = site.person("lead").get(f"/projects/{project_id}/judgments").text.splitlines()
    assert '"revision":1' in row


def test_what_is_shown_is_text_and_never_markup(site):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}"
    row = {"prompt": evil, "candidates": [evil, evil], "passages": [{"title": evil, "text": evil}]}
    project_id = site.project([row], title=evil, instructions=evil, kind="pairwise")
    page = browser(site).get(f"/p/{project_id}/annotate").text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("{{ 7*7 }}") >= 4


def test_a_judgment_that_does_not_fit_keeps_the_same_work_and_says_what_is_missing(site):
    project_id = site.project([ROW])
    client = browser(site)
    first = hidden(client.get(f"/p/{project_id}/annotate").text)
    answer = client.post(f"/p/{project_id}/annotate", data={**first, "step": "submit"})
    assert answer.status_code == 422
    assert "has no answer" in answer.text
    assert hidden(answer.text)["assignment"] == first["assignment"]


def test_reload_shows_the_same_work_and_a_skip_brings_the_next(site):
    project_id = site.project([ROW, {**ROW, "prompt": "Other?"}])
    client = browser(site)
    first = hidden(client.get(f"/p/{project_id}/annotate").text)
    again = hidden(client.get(f"/p/{project_id}/annotate").text)
    assert again["assignment"] == first["assignment"]
    client.post(f"/p/{project_id}/annotate", data={**first, "skip": "language"})
    assert hidden(client.get(f"/p/{project_id}/annotate").text)["assignment"] != first["assignment"]


def test_a_form_from_elsewhere_changes_nothing(site):
    project_id = site.project([ROW])
    client = browser(site)
    first = hidden(client.get(f"/p/{project_id}/annotate").text)
    sent = {**first, "csrf": "0" * 64, "q.preference": "1", "step": "submit"}
    assert client.post(f"/p/{project_id}/annotate", data=sent).status_code == 403
    assert client.post("/logout", data={}).status_code == 403


def test_strangers_are_sent_to_the_door(site):
    client = TestClient(site.app)
    for path in ("/", "/p/x", "/p/x/annotate"):
        answer = client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    refused = client.post("/login", data={"handle": "owner", "password": "wrong"})
    assert refused.status_code == 401
    assert "do not fit" in refused.text


def test_dashboard_counts_what_was_judged_and_is_not_for_annotators(site):
    project_id = site.project([ROW, {**ROW, "prompt": "Other?"}], overlap=2)
    for handle in ("annotator", "second"):
        client = browser(site, handle)
        for _ in range(2):
            sent = hidden(client.get(f"/p/{project_id}/annotate").text)
            client.post(f"/p/{project_id}/annotate", data={**sent, "q.preference": "1", "step": "submit"})
    page = browser(site, "lead").get(f"/p/{project_id}")
    assert page.status_code == 200
    assert "<dt>Judgments</dt><dd>4</dd>" in page.text
    assert '<td>left</td><td class="number">4</td>' in page.text
    assert browser(site).get(f"/p/{project_id}").status_code == 403
    assert "4 of 4 judgments" in browser(site).get("/").text
