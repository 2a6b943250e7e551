"""Items on their way: review, adjudication, holds; over the interface, on both databases."""

from typing import Any

import pytest
from sqlalchemy import func, select

from accord.store.database import Role, verify_chain
from accord.store.database.tables import gold, item, judgment, slot
from accord.store.database.workflow_tables import adjudication, mark, outbox, review, stage_run

PAIR = {"prompt": "Which?", "candidates": ["first", "second"], "meta": {"domain": "law"}}
LABEL = {"stage": "label", "kind": "label", "overlap": 2}
AGREE = {"stage": "agree", "kind": "consensus", "max_people": 2}
READ = {"stage": "read", "kind": "review"}
DECIDE = {"stage": "decide", "kind": "adjudication"}
PASSWORD = "correct horse battery"


def plan(site: Any, project_id: str, *stages: dict) -> None:
    body = {"stages": list(stages)}
    answer = site.person("owner").client.put(f"/api/v1/projects/{project_id}/workflow", json=body)
    assert answer.status_code == 200, answer.text


def judge(site: Any, project_id: str, handle: str, winner: int, key: str) -> dict:
    """Say that a candidate is better."""
    person = site.person(handle)
    (work,) = person.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["assignments"]
    is_left = work["shown"]["candidates"][0] == PAIR["candidates"][winner]
    sent = {"token": work["token"], "key": key, "answers": {"preference": {"choice": 1 if is_left else 7}}}
    answer = person.post(f"/assignments/{work['id']}/submit", sent)
    assert answer.status_code == 200, answer.text
    return {**answer.json(), "assignment": work["id"]}


def set_out(site: Any, *stages: dict, winners: tuple[int, ...] = (0, 0)) -> str:
    """A project with one item that the annotators have judged."""
    project_id = site.project([PAIR], overlap=len(winners))
    plan(site, project_id, *stages)
    for k, (handle, winner) in enumerate(zip(("annotator", "second"), winners, strict=False)):
        judge(site, project_id, handle, winner, f"key-{k:08d}")
    return project_id


def state(site: Any) -> tuple[str, str]:
    with site.database.read() as connection:
        row = connection.execute(select(item)).one()
    return row.state, row.stage


def count(site: Any, table: Any, *where: Any) -> int:
    with site.database.read() as connection:
        return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def take_review(site: Any, project_id: str, handle: str = "reviewer") -> tuple[Any, dict]:
    person = site.person(handle)
    page = person.post(f"/projects/{project_id}/review/next").json()["review"]
    assert page is not None
    return person, page


def say(person: Any, page: dict, card: int, verdict: str, **more: Any) -> Any:
    held = {"assignment": page["id"], "token": page["token"], "verdict": verdict}
    reasons = [] if verdict == "accept" else ["wrong"]
    path = f"/judgments/{page['cards'][card]['judgment_id']}/review"
    return person.post(path, {**held, "reasons": reasons, **more})


def test_what_is_agreed_on_is_read_and_complete_once_accepted(any_site):
    project_id = set_out(any_site, LABEL, AGREE, READ, DECIDE)
    assert state(any_site) == ("in_review", "read")
    person, page = take_review(any_site, project_id)
    assert say(person, page, 0, "accept").json()["n_left"] == 1
    assert state(any_site) == ("in_review", "read")
    assert say(person, page, 1, "accept").json()["n_left"] == 0
    assert state(any_site) == ("complete", "complete")
    assert say(person, page, 1, "accept").json()["n_left"] == 0  # once more is no more
    assert count(any_site, review) == 2
    verify_chain(any_site.database)


def test_a_reviewer_sees_cards_without_names_and_times_apart(any_site):
    project_id = set_out(any_site, LABEL, {**AGREE, "next": "read"}, READ, winners=(0, 1))
    _, page = take_review(any_site, project_id)
    assert "annotator" not in str(page["cards"])
    assert "second" not in str([card["name"] for card in page["cards"]])
    assert {"active_ms", "duration_ms", "is_late"} == set(page["cards"][0]["timing"])
    letter = "AB"[page["shown"]["candidates"].index("first")]
    words = {card["said"][0]["words"] for card in page["cards"]}
    assert f"{letter} better, 3 of 3" in words
    assert len(words) == 2


@pytest.mark.parametrize("handle", ["annotator", "second"])
def test_nobody_reviews_what_he_judged(any_site, handle):
    project_id = set_out(any_site, LABEL, AGREE, READ)
    person = any_site.person(handle)
    with any_site.database.read() as connection:
        from accord.store.database.tables import user

        user_id = connection.execute(select(user.c.id).where(user.c.handle == handle)).scalar_one()
    any_site.accounts.set_role(user_id, Role.REVIEWER)
    assert person.post(f"/projects/{project_id}/review/next").json() == {"review": None}


def test_a_fix_stands_in_place_of_what_it_mends(any_site):
    project_id = set_out(any_site, LABEL, AGREE, READ)
    person, page = take_review(any_site, project_id)
    place = page["shown"]["candidates"].index("second")
    answers = {"preference": {"choice": 1 if place == 0 else 7}}
    fixed = say(person, page, 0, "fix", key="fix-00000001", answers=answers)
    assert fixed.status_code == 200, fixed.text
    say(person, page, 1, "reject_drop")
    assert state(any_site) == ("complete", "complete")
    rows = any_site.person("lead").get(f"/projects/{project_id}/judgments").text.splitlines()
    assert sum('"status":"live"' in row for row in rows) == 1
    from accord.feedback.export import export_lines
    from accord.feedback.work import Work
    from accord.store.database import WorkQueue

    work = Work(any_site.database, WorkQueue.of(any_site.database))
    (line,) = export_lines(work, project_id, "preference")
    assert '"chosen":[{"role":"assistant","content":"second"}]' in line
    assert count(any_site, judgment) == 3


def test_a_rejected_judgment_is_asked_for_again_of_somebody_else(any_site):
    project_id = set_out(any_site, LABEL, AGREE, READ)
    person, page = take_review(any_site, project_id)
    say(person, page, 0, "reject_requeue")
    say(person, page, 1, "accept")
    assert state(any_site) == ("in_progress", "label")
    assert count(any_site, slot, slot.c.state == "open") == 1
    for handle in ("annotator", "second", "reviewer"):
        found = any_site.person(handle).post(f"/projects/{project_id}/queue/next", {"count": 1}).json()
        assert found["assignments"] == []
    any_site.accounts.add("third", PASSWORD, Role.ANNOTATOR)
    judge(any_site, project_id, "third", 0, "key-third-1")
    assert state(any_site) == ("in_review", "read")
    person, page = take_review(any_site, project_id)  # the same reviewer may read it again
    assert len(page["cards"]) == 2
    with any_site.database.read() as connection:
        attempts = connection.execute(select(stage_run.c.attempt).order_by(stage_run.c.number)).scalars()
        assert list(attempts) == [1, 1, 1, 2, 2, 2]


def test_what_all_drop_leaves_the_project(any_site):
    project_id = set_out(any_site, LABEL, AGREE, READ)
    person, page = take_review(any_site, project_id)
    for card in (0, 1):
        say(person, page, card, "reject_drop")
    assert state(any_site) == ("withdrawn", "drop")
    assert count(any_site, mark, mark.c.status == "void") == 2


def test_a_rejection_needs_a_reason_and_a_second_verdict_is_refused(any_site):
    project_id = set_out(any_site, LABEL, AGREE, READ)
    person, page = take_review(any_site, project_id)
    assert say(person, page, 0, "fix", reasons=[]).status_code == 422
    assert say(person, page, 0, "reject_drop", reasons=["mood"]).status_code == 422
    assert say(person, page, 0, "fix").status_code in (409, 422)  # without answers
    assert say(person, page, 0, "accept").status_code == 200
    assert say(person, page, 0, "reject_drop").status_code == 409


def test_what_is_being_reviewed_is_not_revised_any_more(any_site):
    project_id = any_site.project([PAIR], overlap=1)
    plan(any_site, project_id, {**LABEL, "overlap": 1}, READ)
    made = judge(any_site, project_id, "annotator", 0, "key-00000001")
    again = {"key": "key-00000002", "answers": {"preference": {"choice": 4}}}
    path = f"/judgments/{made['judgment_id']}/revise"
    assert any_site.person("annotator").post(path, again).status_code == 200
    take_review(any_site, project_id)
    again["key"] = "key-00000003"
    assert any_site.person("annotator").post(path, again).status_code == 409


def decide(site: Any, project_id: str, **more: Any) -> tuple[Any, dict]:
    person = site.person("lead")
    page = person.post(f"/projects/{project_id}/adjudication/next").json()["adjudication"]
    place = page["shown"]["candidates"].index("first")
    sent = {
        "assignment": page["id"], "token": page["token"], "key": "last-00000001", "cause": "guideline",
        "note": "The first one answers.", "rule": "Answers come before style.",
        "answers": {"preference": {"choice": 1 if place == 0 else 7}}, **more,
    }  # fmt: skip
    return person.post(f"/items/{page['item']}/adjudicate", sent), page


def test_a_dispute_is_decided_with_its_cause_and_may_become_a_known_item(any_site):
    project_id = set_out(any_site, LABEL, AGREE, READ, DECIDE, winners=(0, 1))
    assert state(any_site) == ("in_adjudication", "decide")
    answer, page = decide(any_site, project_id, make_gold=True)
    assert answer.status_code == 200, answer.text
    assert state(any_site) == ("complete", "complete")
    with any_site.database.read() as connection:
        word = connection.execute(select(adjudication)).one()
        known = connection.execute(select(gold)).one()
    assert (word.cause, word.rule) == ("guideline", "Answers come before style.")
    assert known.expected == {"preference": {"strength": 3, "both_bad": False}}
    assert any_site.person("lead").get(f"/items/{page['item']}/way").json()["way"][-1]["outcome"] == "decided"
    retired = any_site.person("lead").post(f"/items/{page['item']}/retire")
    assert retired.status_code == 200
    verify_chain(any_site.database)


def test_an_item_that_cannot_be_judged_is_dropped(any_site):
    project_id = set_out(any_site, LABEL, AGREE, DECIDE, winners=(0, 1))
    answer, _ = decide(any_site, project_id, answers=None, cause="unusable")
    assert answer.json() == {"judgment_id": None}
    assert state(any_site) == ("withdrawn", "drop")


def test_nobody_decides_what_he_judged(any_site):
    project_id = any_site.project([PAIR], overlap=2)
    plan(any_site, project_id, LABEL, AGREE, DECIDE)
    judge(any_site, project_id, "lead", 0, "key-00000001")
    judge(any_site, project_id, "second", 1, "key-00000002")
    found = any_site.person("lead").post(f"/projects/{project_id}/adjudication/next").json()
    assert found == {"adjudication": None}


def test_rules_read_the_item_and_a_hold_waits_for_a_lead(any_site):
    rules = [{"if": {"meta.domain": "law", "outcome": "agreed"}, "to": "wait"}, {"else": "complete"}]
    set_out(any_site, LABEL, {**AGREE, "next": rules}, {"stage": "wait", "kind": "hold"})
    assert state(any_site) == ("on_hold", "wait")
    with any_site.database.read() as connection:
        item_id = connection.execute(select(item.c.id)).scalar_one()
    assert any_site.person("lead").post(f"/items/{item_id}/release").status_code == 200
    assert state(any_site) == ("complete", "complete")
    assert any_site.person("lead").post(f"/items/{item_id}/release").status_code == 409


def test_experts_are_asked_by_a_rule_and_nobody_else_gets_the_slot(any_site):
    expert = {"stage": "experts", "kind": "label", "overlap": 1, "skill": "medicine:2", "next": "complete"}
    rules = [{"if": {"outcome": "disputed"}, "to": "experts"}, {"else": "complete"}]
    project_id = set_out(any_site, LABEL, {**AGREE, "next": rules}, expert, winners=(0, 1))
    assert state(any_site) == ("in_progress", "experts")
    for handle, skills in (("plain", ()), ("skilled", ("medicine:1", "medicine:2"))):
        any_site.accounts.add(handle, PASSWORD, Role.ANNOTATOR, skills=skills)
    found = any_site.person("plain").post(f"/projects/{project_id}/queue/next", {"count": 1}).json()
    assert found["empty"]["reason"] == "skill"
    judge(any_site, project_id, "skilled", 0, "key-expert-1")
    assert state(any_site) == ("complete", "complete")


def test_a_webhook_stage_leaves_a_message_and_waits_for_nobody(any_site):
    hook = {"stage": "tell", "kind": "webhook", "url": "https://hooks.example/x"}
    set_out(any_site, LABEL, AGREE, hook)
    assert state(any_site) == ("complete", "complete")
    with any_site.database.read() as connection:
        row = connection.execute(select(outbox)).one()
    assert (row.state, row.body["facts"]["answer"]) == ("pending", "first")


def test_rules_that_lead_in_a_circle_end_in_a_hold(any_site):
    first = {**AGREE, "next": "other"}
    second = {**AGREE, "stage": "other", "next": "agree"}
    set_out(any_site, LABEL, first, second)
    assert state(any_site)[0] == "on_hold"


def test_publishing_a_workflow_moves_what_was_judged_before(any_site):
    project_id = any_site.project([PAIR], overlap=1)
    judge(any_site, project_id, "annotator", 0, "key-00000001")
    assert state(any_site)[0] == "judged"
    body = {"stages": [{**LABEL, "overlap": 1}, READ]}
    path = f"/api/v1/projects/{project_id}/workflow"
    owner = any_site.person("owner")
    assert owner.client.put(path, json={**body, "dry_run": True}).json() == {"id": None, "n_moved": 0}
    assert owner.client.put(path, json={"stages": []}).status_code == 422
    assert owner.client.put(path, json=body).json()["n_moved"] == 1
    assert state(any_site) == ("in_review", "read")
    assert owner.get(f"/projects/{project_id}/workflow").json()["version"] == 1
