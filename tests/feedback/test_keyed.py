"""A POST under an `Idempotency-Key` is done once, however often it comes, on each kind of database."""

import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from accord.store.database import Projects, verify_chain
from accord.store.database.repeats import KEPT_MS, Asked, Repeats
from accord.store.database.tables import assignment, definition, item, project, session
from accord.store.database.upkeep_tables import answered

PAIR = {"prompt": "Why?", "candidates": ["One.", "Two."]}
NEW = {"name": "parcels", "task": {"kind": "pairwise"}}
KEY = "order-0001"


@dataclass
class Clock:
    time: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


def send(person: Any, path: str, body: Any = None, *, key: str = KEY) -> Any:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    content = body if isinstance(body, str) else json.dumps(body or {})
    return person.client.post(f"/api/v1{path}", content=content, headers=headers)


def count(site: Any, table: Any) -> int:
    with site.database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def asked(key: str = KEY, fingerprint: str = "0" * 64) -> Asked:
    return Asked(key=key, route="POST /x", fingerprint=fingerprint, secret="s")


def test_a_repeat_gets_the_first_answer_and_does_nothing(any_site):
    owner = any_site.person("owner")
    first = send(owner, "/projects", NEW)
    assert first.status_code == 201, first.text
    again = send(owner, "/projects", NEW)
    assert (again.status_code, again.content) == (201, first.content)
    assert send(owner, "/projects", NEW, key=f'"{KEY}"').content == first.content  # a structured field
    project_id = first.json()["id"]
    lines = "\n".join(json.dumps({**PAIR, "prompt": str(k)}) for k in range(3))
    for _ in range(2):
        added = send(owner, f"/projects/{project_id}/items?overlap=2", lines, key="items-0001")
        assert added.json() == {"n_items": 3, "n_refused": 0, "errors": []}
    annotator = any_site.person("annotator")
    taken = [send(annotator, f"/projects/{project_id}/queue/next", {"count": 2}) for _ in range(2)]
    assert taken[0].content == taken[1].content
    work = taken[0].json()["assignments"][0]
    body = {"token": work["token"], "key": "key-00000001", "answers": {"preference": {"choice": 1}}}
    made = [send(annotator, f"/assignments/{work['id']}/submit", body, key="submit-01") for _ in range(2)]
    assert made[0].json()["revision"] == 1
    assert made[0].content == made[1].content
    assert (count(any_site, project), count(any_site, item), count(any_site, assignment)) == (1, 3, 2)
    verify_chain(any_site.database)


def test_another_request_under_the_same_key_is_refused_in_the_one_shape(any_site):
    owner = any_site.person("owner")
    assert send(owner, "/projects", NEW).status_code == 201
    for path, body in (("/projects", {**NEW, "name": "other"}), ("/users", {"handle": "ann"})):
        answer = send(owner, path, body)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail"}
        assert "was used for another request (POST /api/v1/projects)" in answer.json()["detail"]
    assert count(any_site, project) == 1
    lead = any_site.person("lead")
    assert send(lead, "/projects", {**NEW, "name": "other"}).status_code == 201  # his own key


def test_what_was_refused_leaves_its_key_free(site):
    owner = site.person("owner")
    assert send(owner, "/projects", {**NEW, "task": {}}).status_code == 422
    assert send(owner, "/projects", NEW).status_code == 201
    project_id = site.project([PAIR])
    work = site.person("annotator").post(f"/projects/{project_id}/queue/next").json()["assignments"][0]
    annotator = site.person("annotator")
    assert send(annotator, f"/assignments/{work['id']}/dance", {"token": work["token"]}).status_code == 404
    assert send(annotator, f"/assignments/{work['id']}/open", {"token": work["token"]}).status_code == 200


@pytest.mark.parametrize("bad", ["short", "x" * 201, "with a space"])
def test_a_key_that_is_none_is_refused(site, bad):
    answer = send(site.person("owner"), "/projects", NEW, key=bad)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]
    assert count(site, project) == 0


def test_what_breaks_off_leaves_neither_its_work_nor_its_key(any_site):
    projects, repeats = Projects.of(any_site.database), Repeats.of(any_site.database)
    user_id = any_site.person("owner").get("/me").json()["id"]

    def breaks() -> None:
        made = projects.add_project("p")
        projects.add_definition(made, "schema", {"kind": "pairwise"})
        assert count(any_site, definition) == 1  # it sees its own writes
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repeats.once(user_id, asked(), breaks)
    assert [count(any_site, one) for one in (project, definition, answered)] == [0, 0, 0]
    before = verify_chain(any_site.database).n_events
    assert repeats.once(user_id, asked(), lambda: {"id": projects.add_project("p")}).keys() == {"id"}
    assert verify_chain(any_site.database).n_events == before + 1


def test_an_empty_answer_is_an_answer_too(site):
    repeats, done = Repeats.of(site.database), []
    user_id = site.person("owner").get("/me").json()["id"]
    for _ in range(2):
        assert repeats.once(user_id, asked(), lambda: done.append("once")) is None
    assert done == ["once"]


def test_two_who_come_at_once_are_one(any_site):
    owner = any_site.person("owner")
    user_id = owner.get("/me").json()["id"]
    projects, repeats = Projects.of(any_site.database), Repeats.of(any_site.database)
    begun, answers = threading.Event(), []

    def act() -> dict[str, str]:
        begun.set()
        return {"id": projects.add_project("p")}

    def come() -> None:
        answers.append(repeats.once(user_id, asked(), act))

    threads = [threading.Thread(target=come) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert begun.is_set()
    assert len(answers) == 4
    assert all(one == answers[0] for one in answers)
    assert count(any_site, project) == 1


def test_a_key_is_kept_for_a_day_and_then_swept(any_site):
    user_id = any_site.person("owner").get("/me").json()["id"]
    clock = Clock()
    repeats = Repeats(any_site.database, clock)
    assert repeats.once(user_id, asked(), lambda: {"n": 1}) == {"n": 1}
    clock.time += timedelta(milliseconds=KEPT_MS - 1)
    assert repeats.once(user_id, asked(), lambda: {"n": 2}) == {"n": 1}
    assert repeats.sweep() == 0
    clock.time += timedelta(milliseconds=1)
    assert repeats.once(user_id, asked(fingerprint="1" * 64), lambda: {"n": 3}) == {"n": 3}
    assert count(any_site, answered) == 1
    clock.time += timedelta(days=2)
    # What is over goes without anybody's doing: a sixteenth of all keys sweeps.
    for k in range(100):
        repeats.once(user_id, asked(f"key-{k:08}"), lambda: {})
    assert count(any_site, answered) == 100
    clock.time += timedelta(days=2)
    for k in range(100):
        repeats.once(user_id, asked(f"new-{k:08}"), lambda: {})
    assert count(any_site, answered) == 100


def test_a_copy_of_the_database_tells_no_token(site):
    owner = site.person("owner")
    made = send(owner, "/tokens", {"scopes": ["watch"]})
    assert made.status_code == 201
    assert send(owner, "/tokens", {"scopes": ["watch"]}).content == made.content
    with site.database.read() as connection:
        (kept,) = connection.execute(select(answered)).all()
    assert made.json()["token"] not in str(kept)
    before = count(site, session)
    other = site.person("owner")  # another session of the same account
    refused = send(other, "/tokens", {"scopes": ["watch"]})
    assert refused.status_code == 409
    assert "was done already" in refused.json()["detail"]
    assert count(site, session) == before + 1  # the other session, and no second token


def test_imports_and_snapshots_take_a_key_too(site):
    project_id = site.project([PAIR])
    lead = site.person("lead")
    rows = json.dumps({**PAIR, "prompt": "Other?"})
    path = f"/projects/{project_id}/imports?name=a.jsonl"
    first = send(lead, path, rows)
    assert first.json()["is_done"] is False
    assert send(lead, path, rows).content == first.content
    assert send(lead, path, rows + "\n" + json.dumps(PAIR)).status_code == 422
    assert count(site, item) == 2
    taken = send(lead, f"/projects/{project_id}/snapshots", key="snap-0001")
    annotator = site.person("annotator")
    work = annotator.post(f"/projects/{project_id}/queue/next").json()["assignments"][0]
    body = {"token": work["token"], "key": "key-00000001", "answers": {"preference": {"choice": 1}}}
    annotator.post(f"/assignments/{work['id']}/submit", body)
    assert send(lead, f"/projects/{project_id}/snapshots", key="snap-0001").content == taken.content
    assert send(lead, f"/projects/{project_id}/snapshots", key="snap-0002").json()["n_rows"] == 1


def test_every_post_of_somebody_takes_a_key(site):
    without = {"/api/v1/login", "/api/v1/invitations/accept", "/api/v1/assignments/{assignment_id}/turns"}
    for path, methods in site.app.openapi()["paths"].items():
        if "post" in methods:
            names = {one["name"] for one in methods["post"].get("parameters", [])}
            assert ("Idempotency-Key" in names) == (path not in without), path
