"""Who may do what: every route of the interface against every role, and what does not belong to the asker.

The routes are read from the application, so that a new one without a row here fails.
"""

import json
import re
from typing import Any

import pytest
from sqlalchemy import select

from accord.feedback.security import HEADERS
from accord.store.database import Role
from accord.store.database.tables import item

PAIR = {"prompt": "Why?", "candidates": [{"text": "One.", "model": "secret-a"}, "Two."]}
ALL = frozenset(Role)
NOBODY = "signed out"
LEADS = frozenset({Role.OWNER, Role.LEAD})
READERS = LEADS | {Role.REVIEWER}
TABLE: dict[tuple[str, str], frozenset[Role]] = {
    ("POST", "/logout"): ALL,
    ("GET", "/me"): ALL,
    ("POST", "/users"): frozenset({Role.OWNER}),
    ("POST", "/tokens"): ALL,
    ("GET", "/projects"): ALL,
    ("POST", "/projects"): frozenset({Role.OWNER, Role.LEAD}),
    ("POST", "/projects/{project_id}/items"): frozenset({Role.OWNER, Role.LEAD, Role.SERVICE}),
    ("GET", "/projects/{project_id}/judgments"): frozenset({Role.OWNER, Role.LEAD, Role.SERVICE}),
    ("GET", "/projects/{project_id}/progress"): ALL - {Role.REVIEWER, Role.ANNOTATOR},
    ("POST", "/projects/{project_id}/queue/next"): ALL - {Role.AUDITOR},
    ("GET", "/me/history"): ALL - {Role.AUDITOR},
    ("POST", "/projects/{project_id}/review/next"): READERS,
    ("POST", "/projects/{project_id}/adjudication/next"): READERS,
    ("GET", "/projects/{project_id}/workflow"): ALL - {Role.REVIEWER, Role.ANNOTATOR},
    ("PUT", "/projects/{project_id}/workflow"): LEADS,
    ("GET", "/items/{item_id}/way"): ALL - {Role.REVIEWER, Role.ANNOTATOR},
    ("POST", "/items/{item_id}/retire"): LEADS,
    ("POST", "/invitations"): frozenset({Role.OWNER}),
    ("POST", "/users/{user_id}/skills"): frozenset({Role.OWNER}),
    ("POST", "/me/skills"): ALL,
    ("GET", "/me/skills"): ALL,
    ("GET", "/me/standing"): ALL - {Role.AUDITOR},
    ("GET", "/me/feedback"): ALL - {Role.AUDITOR},
    ("GET", "/projects/{project_id}/guideline"): ALL - {Role.AUDITOR},
    ("GET", "/projects/{project_id}/terms"): ALL - {Role.AUDITOR},
    ("DELETE", "/projects/{project_id}/consent"): ALL - {Role.AUDITOR},
    ("POST", "/projects/{project_id}/guideline"): LEADS,
    ("POST", "/projects/{project_id}/terms"): LEADS,
    ("PUT", "/projects/{project_id}/policy"): LEADS,
    ("GET", "/projects/{project_id}/alerts"): LEADS,
    ("GET", "/projects/{project_id}/attributes/{name}"): LEADS,
    ("GET", "/me/attributes"): ALL,
    ("PUT", "/me/attributes"): ALL,
    ("POST", "/projects/{project_id}/imports"): frozenset({Role.OWNER, Role.LEAD, Role.SERVICE}),
    ("GET", "/projects/{project_id}/imports/{import_name}"): frozenset({Role.OWNER, Role.LEAD, Role.SERVICE}),
    ("POST", "/projects/{project_id}/snapshots"): frozenset({Role.OWNER, Role.LEAD, Role.SERVICE}),
    ("GET", "/projects/{project_id}/snapshots/{snapshot_hash}/rows"): frozenset(
        {Role.OWNER, Role.LEAD, Role.SERVICE}
    ),
}
"""Route to the roles it is open to."""
OWN = {
    ("POST", "/assignments/{assignment_id}/{step}"),
    ("PUT", "/assignments/{assignment_id}/draft"),
    ("GET", "/assignments/{assignment_id}/turns"),
    ("POST", "/assignments/{assignment_id}/turns"),
    ("POST", "/judgments/{judgment_id}/revise"),
    ("POST", "/judgments/{judgment_id}/review"),
    ("POST", "/items/{item_id}/adjudicate"),
    ("POST", "/alerts/{alert_id}/answer"),
}
"""Routes to what is the asker's own: for another it is not there, whatever his role."""
OPEN = {("POST", "/login"), ("POST", "/invitations/accept")}
STATEFUL: dict[tuple[str, str], frozenset[Role]] = {
    ("POST", "/items/{item_id}/gold"): LEADS,
    ("POST", "/items/{item_id}/release"): LEADS,
    ("POST", "/projects/{project_id}/people/{user_id}/state"): LEADS,
    ("POST", "/projects/{project_id}/calibrations"): LEADS,
    ("POST", "/guidelines/{definition_id}/ack"): ALL,
    ("POST", "/terms/{definition_id}/agree"): ALL,
    ("GET", "/calibrations/{round_id}"): ALL,
    ("POST", "/calibrations/{round_id}/close"): ALL,
    ("POST", "/me/requalify"): ALL - {Role.AUDITOR},
    ("DELETE", "/users/{user_id}"): frozenset({Role.OWNER}),
}
"""Routes that refuse what is in the wrong state or not there: 409 for those who may, 403 for the others."""
BODIES: dict[str, Any] = {
    "/users": {"handle": "one-more"},
    "/tokens": {"scopes": ["annotate"]},
    "/projects": {"name": "one more", "task": {"kind": "pairwise"}},
    "/projects/{project_id}/queue/next": {"count": 1},
    "/invitations": {"role": "annotator"},
    "/users/{user_id}/skills": {"skill": "law"},
    "/me/skills": {"skill": "law"},
    "/projects/{project_id}/guideline": {"markdown": "Be kind.", "requires_ack": False},
    "/projects/{project_id}/terms": {"markdown": "You may leave."},
    "/projects/{project_id}/policy": {"gold": 0.1},
    "/projects/{project_id}/people/{user_id}/state": {"state": "left"},
    "/projects/{project_id}/calibrations": {"name": "r", "items": ["x"], "people": ["a", "b"]},
    "/me/attributes": {"values": {"age": "30"}},
    "/projects/{project_id}/workflow": {"stages": [{"stage": "label", "kind": "label"}]},
}


def routes(site: Any) -> set[tuple[str, str]]:
    found = set()
    for path, methods in site.app.openapi()["paths"].items():
        if path.startswith("/api/v1"):
            found |= {(method.upper(), path.removeprefix("/api/v1")) for method in methods}
    return found


def ask(person: Any, method: str, path: str, project_id: str, item_id: str = "") -> Any:
    place = "/api/v1" + path.replace("{project_id}", project_id).replace("{item_id}", item_id)
    place = place.replace("{import_name}", "0" * 24).replace("{snapshot_hash}", "0" * 64)
    user_id = person.get("/me").json().get("id", "nobody") if path.endswith("skills") else "nobody"
    place = re.sub(r"\{\w+\}", "nothing", place.replace("{user_id}", user_id))
    asks = ("/me/history", "/me/standing", "/me/feedback", "/me/requalify")
    place += f"?project={project_id}" if path in asks else ""
    body = json.dumps(BODIES.get(path, PAIR if path.endswith("/items") else {}))
    sent = None if method == "GET" else body
    return person.client.request(method, place, content=sent, headers={"Content-Type": "application/json"})


def only_item(site: Any) -> str:
    with site.database.read() as connection:
        return connection.execute(select(item.c.id)).scalar_one()


def is_problem(answer: Any) -> bool:
    fields = {"type", "title", "status", "detail"}
    is_typed = answer.headers["content-type"] == "application/problem+json"
    return is_typed and set(answer.json()) == fields and answer.json()["status"] == answer.status_code


def test_every_route_has_a_row(site):
    assert routes(site) == set(TABLE) | set(STATEFUL) | OWN | OPEN


@pytest.mark.parametrize("role", [*Role, NOBODY])
def test_a_route_opens_to_its_roles_alone(site, role):
    project_id = site.project([PAIR])
    item_id = only_item(site)
    for (method, path), allowed in (TABLE | STATEFUL).items():
        person = site.person(role if role in ALL else "annotator")
        if role == NOBODY:
            person.client.cookies.clear()
        answer = ask(person, method, path, project_id, item_id)
        is_unknown = "{import_name}" in path or "{snapshot_hash}" in path
        if role in allowed and (is_unknown or (method, path) in STATEFUL):
            assert answer.status_code == 409, (role, path, answer.text)
        elif role in allowed:
            assert answer.status_code < 300, (role, path, answer.text)
        else:
            assert answer.status_code == (401 if role == NOBODY else 403), (role, path, answer.text)
            assert is_problem(answer), path
        assert all(answer.headers[name] == value for name, value in HEADERS), path


@pytest.mark.parametrize("scope", ["annotate", "import", "export", "watch", "manage", "people"])
def test_a_token_does_nothing_beyond_its_scope(site, scope):
    project_id = site.project([PAIR])
    needed = {
        "/users": "people",
        "/projects": "manage",
        "/projects/{project_id}/items": "import",
        "/projects/{project_id}/judgments": "export",
        "/projects/{project_id}/progress": "watch",
        "/projects/{project_id}/queue/next": "annotate",
    }
    owner = site.person("owner").get("/me").json()["id"]
    person = site.program(owner, scope)
    for path, permission in needed.items():
        method = "GET" if path.endswith(("/judgments", "/progress")) else "POST"
        is_allowed = ask(person, method, path, project_id).status_code < 300
        assert is_allowed == (permission == scope), (scope, path)
    assert ask(person, "POST", "/tokens", project_id).status_code == 403


@pytest.mark.parametrize("role", sorted(ALL - {Role.AUDITOR}))
def test_what_belongs_to_another_is_not_there(site, role):
    project_id = site.project([PAIR], overlap=2)
    second, other = site.person("second"), site.person(role)
    (work,) = second.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["assignments"]
    held = {"token": work["token"]}
    answers = {"key": "key-00000001", "answers": {"preference": {"choice": 1}}}
    for step in ("open", "heartbeat", "release"):
        assert other.post(f"/assignments/{work['id']}/{step}", held).status_code == 410
    assert other.post(f"/assignments/{work['id']}/skip", {**held, "reason": "x"}).status_code == 410
    assert other.post(f"/assignments/{work['id']}/submit", {**held, **answers}).status_code == 410
    draft = other.client.put(f"/api/v1/assignments/{work['id']}/draft", json={**held, "answers": {}})
    assert draft.status_code == 410
    made = second.post(f"/assignments/{work['id']}/submit", {**held, **answers}).json()
    assert other.post(f"/judgments/{made['judgment_id']}/revise", answers).status_code == 410
    assert other.get(f"/me/history?project={project_id}").json() == {"judgments": [], "next": None}


def test_a_token_without_the_scope_to_judge_touches_no_judgment_of_its_owner(site):
    project_id = site.project([PAIR], overlap=2)
    person = site.person("second")
    (work,) = person.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["assignments"]
    program = site.program(person.get("/me").json()["id"], "watch")
    held = {"token": work["token"], "answers": {}}
    assert program.client.put(f"/api/v1/assignments/{work['id']}/draft", json=held).status_code == 403
    sent = {"token": work["token"], "key": "key-00000001", "answers": {"preference": {"choice": 1}}}
    made = person.post(f"/assignments/{work['id']}/submit", sent).json()["judgment_id"]
    again = {"key": "key-00000002", "answers": {"preference": {"choice": 7}}}
    assert program.post(f"/judgments/{made}/revise", again).status_code == 403
    assert program.get(f"/me/history?project={project_id}").status_code == 403
    assert person.post(f"/judgments/{made}/revise", again).status_code == 200


def test_a_form_of_one_project_takes_no_work_of_another(site):
    first, second = site.project([PAIR]), site.project([{**PAIR, "prompt": "Other?"}])
    person = site.person("annotator")
    (work,) = person.post(f"/projects/{first}/queue/next", {"count": 1}).json()["assignments"]
    form = {
        "csrf": person.client.headers["X-CSRF-Token"], "assignment": work["id"], "token": work["token"],
        "key": "key-00000001", "q.preference": "1",
    }  # fmt: skip
    assert person.client.post(f"/p/{second}/annotate", data=form).status_code == 410
    assert site.person("owner").get(f"/projects/{first}/progress").json()["slots"] == {"leased": 1}
    answer = person.client.post(f"/p/{first}/annotate", data=form, follow_redirects=False)
    assert answer.status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_without_the_csrf_text_nothing_is_changed(site, method):
    project_id = site.project([PAIR])
    person = site.person("owner")
    for wrong in (None, "", "0" * 64, "é"):
        person.client.headers.pop("X-CSRF-Token", None)
        headers = {} if wrong is None else {"X-CSRF-Token": wrong.encode()}
        for found, path in sorted(set(TABLE) | set(STATEFUL) | OWN):
            if found != method:
                continue
            place = re.sub(r"\{\w+\}", project_id, path)
            answer = person.client.request(method, f"/api/v1{place}", json={}, headers=headers)
            assert answer.status_code in (403, 422), (path, answer.text)
    assert site.person("owner").get(f"/projects/{project_id}/progress").json()["items"] == {"queued": 1}


HOSTILE = ("' OR 1=1 --", "../../etc/passwd", "%2e%2e%2f", "1; DROP TABLE user", "\x00", "x" * 5000, "💥")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_are_refused_and_nothing_breaks(site, text):
    from urllib.parse import quote

    owner = site.person("owner")
    for path in ("/projects/{}/progress", "/projects/{}/judgments", "/me/history?project={}"):
        answer = owner.get(path.format(quote(text, safe="")))
        is_empty = answer.status_code == 200 and answer.json() == {"judgments": [], "next": None}
        assert is_empty or (400 <= answer.status_code < 500 and is_problem(answer)), (path, answer.text)
    for path in ("/assignments/{}/submit", "/judgments/{}/revise", "/projects/{}/queue/next"):
        answer = owner.post(path.format(quote(text, safe="")), {"count": 1})
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert is_problem(answer), path
    assert site.person("owner").get("/me").status_code == 200
