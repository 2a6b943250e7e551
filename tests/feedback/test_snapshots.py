"""A snapshot is a pure function of what was judged: rebuilt, it has the same hash, whatever came after."""

import hashlib
import json
from typing import Any

from accord.feedback.snapshots import build_snapshot, take_snapshot
from accord.feedback.work import Work
from accord.store.database import Role, WorkQueue
from accord.store.database.audit import append_events
from accord.store.database.reviews import make_gold
from accord.store.database.vault import Vault

ROWS = [{"prompt": f"Question {k}?", "candidates": ["a", "b"]} for k in range(3)]


def judge(site: Any, project_id: str, choice: int, *, handle: str = "annotator") -> str:
    person = site.person(handle)
    (work,) = person.post(f"/projects/{project_id}/queue/next").json()["assignments"]
    sent = {"token": work["token"], "key": work["id"], "answers": {"preference": {"choice": choice}}}
    return person.post(f"/assignments/{work['id']}/submit", sent).json()["judgment_id"]


def test_the_rows_rebuild_to_the_hash_and_later_judgments_change_nothing(site):
    project_id = site.project(ROWS)
    first = judge(site, project_id, 1)
    lead = site.person("lead")
    taken = lead.post(f"/projects/{project_id}/snapshots").json()
    assert taken["n_rows"] == 1
    path = f"/projects/{project_id}/snapshots/{taken['hash']}/rows"
    text = lead.get(path).text
    assert hashlib.sha256(b"accord snapshot 2\n" + text.encode()).hexdigest() == taken["hash"]
    judge(site, project_id, 7)
    revision = {"key": "another key", "answers": {"preference": {"choice": 7}}}
    site.person("annotator").post(f"/judgments/{first}/revise", revision)
    assert lead.get(path).text == text
    later = lead.post(f"/projects/{project_id}/snapshots").json()
    assert (later["n_rows"], later["hash"] == taken["hash"]) == (2, False)


def test_the_same_judgments_are_the_same_snapshot(site):
    project_id = site.project(ROWS)
    judge(site, project_id, 1)
    lead = site.person("lead")
    one = lead.post(f"/projects/{project_id}/snapshots").json()
    site.accounts.add("unrelated", None, Role.ANNOTATOR)
    two = lead.post(f"/projects/{project_id}/snapshots").json()
    assert one["hash"] == two["hash"]


def test_an_unknown_snapshot_and_a_strangers_question_are_refused(site):
    project_id = site.project(ROWS)
    lead = site.person("lead")
    assert lead.get(f"/projects/{project_id}/snapshots/{'0' * 64}/rows").status_code == 409
    assert site.person("annotator").post(f"/projects/{project_id}/snapshots").status_code == 403


STAGES = [
    {"stage": "label", "kind": "label", "overlap": 1},
    {"stage": "read", "kind": "review"},
    {"stage": "decide", "kind": "adjudication"},
]


def test_what_is_taken_back_or_becomes_known_or_forgotten_later_changes_nothing(site):
    project_id = site.project(ROWS)
    owner, reader = site.person("owner"), site.person("reviewer")
    put = owner.client.put(f"/api/v1/projects/{project_id}/workflow", json={"stages": STAGES})
    assert put.status_code == 200, put.text
    judge(site, project_id, 1)
    judge(site, project_id, 2)
    taken = owner.post(f"/projects/{project_id}/snapshots").json()
    path = f"/projects/{project_id}/snapshots/{taken['hash']}/rows"
    text = owner.get(path).text
    raw = owner.get(f"/projects/{project_id}/judgments").text.splitlines()
    assert len(raw) == 2
    page = reader.post(f"/projects/{project_id}/review/next").json()["review"]
    verdict = {
        "assignment": page["id"], "token": page["token"], "verdict": "reject_requeue", "reasons": ["wrong"],
    }  # fmt: skip
    given = reader.post(f"/judgments/{page['cards'][0]['judgment_id']}/review", verdict)
    assert given.status_code == 200, given.text
    made = reader.post(f"/projects/{project_id}/review/next").json()["review"]
    work = Work(site.database, WorkQueue.of(site.database))
    with site.database.write() as connection:
        known = {"preference": {"strength": 1, "both_bad": False}}
        terms = {"explanation": "", "tier": "hidden", "exposure_cap": None}
        events = make_gold(connection, made["item"], known, actor="lead", now=1, **terms)
        append_events(connection, events)
    who = site.person("annotator").get("/me").json()["id"]
    Vault(site.accounts, None).erase(who, by="owner")
    assert owner.get(path).text == text
    assert "annotator-" in text
    assert '"annotator":"annotator"' not in text
    assert build_snapshot(work, project_id, taken["upto"]).hash == taken["hash"]
    assert take_snapshot(work, project_id).n_rows == 0  # nothing of it counts from now on
    lines = owner.get(f"/projects/{project_id}/judgments").text.splitlines()
    assert sorted(json.loads(one)["status"] for one in lines) == ["live", "void"]  # each of them once
