"""The interface over HTTP: work goes out blinded and comes back as judgments; who may do what."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from accord.store.database import verify_chain

PAIR = {
    "prompt": "Where is my parcel?",
    "candidates": [{"text": "Good one.", "model": "secret-a"}, {"text": "Bad one.", "model": "secret-b"}],
}


def take(person: Any, project_id: str) -> dict:
    answer = person.post(f"/projects/{project_id}/queue/next", {"count": 1})
    assert answer.status_code == 200, answer.text
    (work,) = answer.json()["assignments"]
    return work


def submission(work: dict, choice: int = 1, key: str = "key-00000001") -> dict:
    return {"token": work["token"], "key": key, "answers": {"preference": {"choice": choice}}}


def exported(site: Any, project_id: str, after: int = 0) -> list[dict]:
    answer = site.person("lead").get(f"/projects/{project_id}/judgments?after={after}")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_judgment_goes_from_the_queue_to_the_export_in_terms_of_candidates(site):
    project_id = site.project([PAIR])
    annotator = site.person("annotator")
    work = take(annotator, project_id)
    good_place = work["shown"]["candidates"].index("Good one.")
    choice = 1 if good_place == 0 else 7
    receipt = annotator.post(f"/assignments/{work['id']}/submit", submission(work, choice)).json()
    (row,) = exported(site, project_id)
    assert row["id"] == receipt["judgment_id"]
    assert row["values"] == {"preference": {"strength": 3, "both_bad": False}}
    assert row["annotator"] == "annotator"
    assert sorted(row["permutation"]) == [0, 1]
    assert exported(site, project_id, after=row["seq"]) == []
    verify_chain(site.database)


def test_annotators_never_see_who_wrote_a_candidate(site):
    project_id = site.project([PAIR])
    answer = site.person("annotator").post(f"/projects/{project_id}/queue/next", {"count": 1})
    assert "secret" not in answer.text
    assert "purpose" not in answer.text


def test_repeated_submission_is_the_same_judgment(site):
    project_id = site.project([PAIR])
    annotator = site.person("annotator")
    work = take(annotator, project_id)
    first = annotator.post(f"/assignments/{work['id']}/submit", submission(work)).json()
    second = annotator.post(f"/assignments/{work['id']}/submit", submission(work)).json()
    assert first == second
    assert len(exported(site, project_id)) == 1


def test_a_key_of_another_piece_of_work_is_refused_and_nothing_is_lost(site):
    project_id = site.project([PAIR, {**PAIR, "prompt": "Another?"}])
    annotator = site.person("annotator")
    first = take(annotator, project_id)
    assert annotator.post(f"/assignments/{first['id']}/submit", submission(first)).status_code == 200
    second = take(annotator, project_id)
    refused = annotator.post(f"/assignments/{second['id']}/submit", submission(second))
    assert refused.status_code == 409
    assert "used for another piece of work" in refused.json()["detail"]
    answer = annotator.post(f"/assignments/{second['id']}/submit", submission(second, key="key-00000002"))
    assert answer.status_code == 200
    assert len(exported(site, project_id)) == 2


def test_answers_that_do_not_fit_leave_the_work_in_hand(site):
    project_id = site.project([PAIR])
    annotator = site.person("annotator")
    work = take(annotator, project_id)
    refused = annotator.post(f"/assignments/{work['id']}/submit", submission(work, choice=9))
    assert refused.status_code == 422
    assert "question 'preference'" in refused.json()["detail"]
    assert annotator.post(f"/assignments/{work['id']}/submit", submission(work)).status_code == 200


def test_revision_is_a_further_row_and_history_shows_the_last(site):
    project_id = site.project([PAIR])
    annotator = site.person("annotator")
    work = take(annotator, project_id)
    made = annotator.post(f"/assignments/{work['id']}/submit", submission(work)).json()
    body = {"key": "key-00000002", "answers": {"preference": {"choice": 4}}}
    revised = annotator.post(f"/judgments/{made['judgment_id']}/revise", body).json()
    assert revised["revision"] == 2
    (last,) = annotator.get(f"/me/history?project={project_id}").json()["judgments"]
    assert last["answers"] == body["answers"]
    assert last["shown"]["candidates"] == work["shown"]["candidates"]
    assert [row["revision"] for row in exported(site, project_id)] == [1, 2]


def test_another_persons_work_looks_as_if_it_were_not_there(site):
    project_id = site.project([PAIR], overlap=2)
    annotator, other = site.person("annotator"), site.person("second")
    work = take(annotator, project_id)
    made = annotator.post(f"/assignments/{work['id']}/submit", submission(work)).json()
    body = {"key": "key-00000009", "answers": {"preference": {"choice": 4}}}
    for path, sent in (
        (f"/assignments/{work['id']}/submit", submission(work)),
        (f"/assignments/{work['id']}/open", {"token": work["token"]}),
        (f"/judgments/{made['judgment_id']}/revise", body),
    ):
        assert other.post(path, sent).status_code == 410
    assert other.get(f"/me/history?project={project_id}").json() == {"judgments": [], "next": None}


def test_empty_queue_says_why(site):
    project_id = site.project([PAIR], overlap=2)
    annotator, other = site.person("annotator"), site.person("second")
    work = take(annotator, project_id)

    def reason(person):
        return person.post(f"/projects/{project_id}/queue/next").json()["empty"]["reason"]

    assert reason(annotator) == "done"
    take(other, project_id)
    assert reason(site.person("reviewer")) == "leased"
    annotator.post(f"/assignments/{work['id']}/submit", submission(work))
    assert reason(annotator) == "leased"


def test_draft_skip_heartbeat_and_release(site):
    project_id = site.project([PAIR, {**PAIR, "prompt": "Another?"}])
    annotator = site.person("annotator")
    work = take(annotator, project_id)
    held = {"token": work["token"]}
    assert annotator.post(f"/assignments/{work['id']}/open", held).status_code == 200
    assert annotator.post(f"/assignments/{work['id']}/heartbeat", {**held, "active_ms": 5}).status_code == 200
    kept = annotator.client.put(f"/api/v1/assignments/{work['id']}/draft", json={**held, "answers": {"a": 1}})
    assert kept.status_code == 200
    skipped = annotator.post(f"/assignments/{work['id']}/skip", {**held, "reason": "not my field"})
    assert skipped.status_code == 200
    assert take(annotator, project_id)["shown"]["messages"] != work["shown"]["messages"]
    assert annotator.post(f"/assignments/{work['id']}/dance", held).status_code == 404


def test_import_names_the_lines_it_refuses_and_keeps_the_rest(site):
    project_id = site.project([PAIR])
    lines = ["{", json.dumps(PAIR), "[]", json.dumps({"candidates": ["a"]}), ""]
    path = f"/api/v1/projects/{project_id}/items"
    answer = site.person("lead").client.post(path, content="\n".join(lines)).json()
    assert (answer["n_items"], answer["n_refused"]) == (1, 3)
    assert [error["line"] for error in answer["errors"]] == [1, 3, 4]


ROUTES = (
    ("POST", "/users", "people", {"handle": "x", "role": "annotator"}),
    ("POST", "/projects", "manage", {"name": "x", "task": {"kind": "pairwise"}}),
    ("POST", "/projects/{id}/items", "import", {}),
    ("GET", "/projects/{id}/judgments", "export", None),
    ("GET", "/projects/{id}/progress", "watch", None),
    ("POST", "/projects/{id}/queue/next", "annotate", {"count": 1}),
)
MAY = {
    "owner": {"people", "manage", "import", "export", "watch", "annotate"},
    "lead": {"manage", "import", "export", "watch", "annotate"},
    "reviewer": {"annotate"},
    "annotator": {"annotate"},
    "auditor": {"watch"},
    "service": {"annotate", "import", "export", "watch"},
}


@pytest.mark.parametrize("role", MAY)
def test_permission_matrix(site, role):
    project_id = site.project([PAIR])
    person = site.person(role)
    for method, path, permission, body in ROUTES:
        answer = person.client.request(method, "/api/v1" + path.replace("{id}", project_id), json=body)
        assert (answer.status_code == 403) == (permission not in MAY[role]), (path, answer.text)


def test_every_route_but_the_open_ones_wants_somebody_signed_in(site):
    from starlette.testclient import TestClient

    client = TestClient(site.app)
    open_paths = {"/api/v1/login", "/healthz", "/readyz"}
    for path, methods in site.app.openapi()["paths"].items():
        for method in methods:
            answer = client.request(method.upper(), path.replace("{", "").replace("}", ""), json={})
            assert (answer.status_code == 401) == (path not in open_paths) or answer.status_code == 422, path


def test_every_error_has_the_one_shape(site):
    person = site.person("annotator")
    for answer in (
        person.get("/nowhere"),
        person.post("/projects", {"name": "x", "task": {}}),
        person.post("/login", {"handle": 3}),
        person.post("/projects/none/queue/next"),
        person.client.get("/api/v1/me/history"),
    ):
        assert answer.status_code >= 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail"}


def test_a_fault_of_the_server_has_the_shape_too_and_tells_nothing_of_itself(site):
    @site.app.get("/api/v1/broken")
    def broken() -> None:
        raise RuntimeError("password of the database")

    client = TestClient(site.app, raise_server_exceptions=False)
    answer = client.get("/api/v1/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail"}
    assert "password" not in answer.text


def test_a_session_without_its_csrf_text_changes_nothing(site):
    person = site.person("owner")
    person.client.headers.pop("X-CSRF-Token")
    assert person.post("/projects", {"name": "x", "task": {"kind": "pairwise"}}).status_code == 403
    assert person.get("/me").status_code == 200


def test_a_token_does_what_its_scopes_say_and_no_more(site):
    project_id = site.project([PAIR])
    token = site.person("owner").post("/tokens", {"scopes": ["watch"]}).json()["token"]
    program = type(site.person("owner"))(site.app, token=token)
    assert program.get(f"/projects/{project_id}/progress").status_code == 200
    assert program.get(f"/projects/{project_id}/judgments").status_code == 403
    assert program.post("/tokens", {"scopes": ["people"]}).status_code == 403
    assert site.person("owner").post("/tokens", {"scopes": ["everything"]}).status_code == 409


def test_headers_forbid_scripts_from_elsewhere(site):
    answer = site.person("owner").get("/me")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_ready_only_with_its_database(site):
    client = site.person("owner").client
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ready\n"
