"""What somebody wants of his pages is kept with his account; what nobody can fulfill is refused."""

import json
from typing import Any

from starlette.testclient import TestClient

PASSWORD = "correct horse battery"


def visit(site: Any, handle: str = "annotator") -> tuple[TestClient, str]:
    client = TestClient(site.app)
    client.post("/login", data={"handle": handle, "password": PASSWORD})
    page = client.get("/settings").text
    return client, page.split('name="csrf-token" content="')[1].split('"')[0]


def test_looks_are_kept_with_the_account_on_every_device(site):
    client, csrf = visit(site)
    answer = client.post("/settings", data={"csrf": csrf, "theme": "dark", "language": "de", "size": "large"})
    assert answer.status_code == 200
    other, _ = visit(site)
    page = other.get("/").text
    assert '<html lang="de" data-theme="dark" data-font="plain" data-size="large">' in page
    assert "Projekte" in page
    assert 'data-theme="auto"' in visit(site, "second")[0].get("/").text


def test_a_wish_nobody_can_fulfill_changes_nothing(site):
    client, csrf = visit(site)
    assert client.post("/settings", data={"csrf": csrf, "theme": "pink"}).status_code == 422
    assert 'data-theme="auto"' in client.get("/").text


def test_keys_are_kept_and_a_conflict_is_refused(site):
    client, csrf = visit(site)
    headers = {"Accept": "application/json"}
    keys = {"csrf": csrf, "keys": json.dumps({"skip": "q"})}
    assert client.post("/settings", data=keys, headers=headers).json() == {"status": "ok"}
    refused = client.post("/settings", data={"csrf": csrf, "keys": '{"skip": "g"}'}, headers=headers)
    assert refused.status_code == 422
    assert "two things" in refused.json()["detail"]
    assert 'name="key.skip" value="q"' in client.get("/settings").text


def test_settings_need_the_session_and_its_csrf_text(site):
    client, _ = visit(site)
    assert client.post("/settings", data={"csrf": "0" * 64, "theme": "dark"}).status_code == 403
    stranger = TestClient(site.app)
    assert stranger.get("/settings", follow_redirects=False).status_code == 303


def test_a_browser_that_prefers_german_is_greeted_in_german(site):
    page = TestClient(site.app).get("/login", headers={"Accept-Language": "de-AT,en;q=0.5"}).text
    assert '<html lang="de"' in page
    assert "Anmelden" in page
