"""A snapshot is a pure function of what was judged: rebuilt, it has the same hash, whatever came after."""

import hashlib
from typing import Any

from accord.store.database import Role

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
    assert hashlib.sha256(b"accord snapshot 1\n" + text.encode()).hexdigest() == taken["hash"]
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
