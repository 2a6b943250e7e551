"""People: how they come in, are tested, warned, paused, taught and forgotten; on both databases."""

import json
import threading
from typing import Any

import pytest
from sqlalchemy import event, func, select

from accord.domain.errors import StoreError
from accord.feedback.app import create_app
from accord.feedback.guidelines import mark_changes, paragraphs_of
from accord.feedback.items import content_of
from accord.feedback.standing import WATCHED, Watch, gold_config
from accord.feedback.work import Work
from accord.quality.people import assign_gold_shares, beta_variance
from accord.store.database import NewItem, Projects, QueueConfig, Role, WorkQueue, verify_chain
from accord.store.database.engine import insert_rows
from accord.store.database.people import People
from accord.store.database.tables import assignment, judgment, user
from accord.store.database.vault import Vault, _make_key, hide_few
from accord.store.database.workflow_tables import alert, gold_result, standing

PASSWORD = "correct horse battery"
PAIR = {"prompt": "Which?", "candidates": ["first", "second"]}
KNOWN = {"preference": {"strength": 1, "both_bad": False}}


def pairs(count: int) -> list[dict]:
    return [{**PAIR, "prompt": f"Which {k}?"} for k in range(count)]


def know(site: Any, project_id: str, count: int, tier: str) -> None:
    """Known items of which candidate 0 is the better."""
    projects = Projects.of(site.database)
    for k in range(count):
        item = NewItem(content=content_of({**PAIR, "prompt": f"{tier} {k}"}), n_candidates=2)
        projects.add_gold(project_id, item, KNOWN, tier=tier, explanation=f"because {tier}")


def set_policy(site: Any, project_id: str, **policy: Any) -> None:
    answer = site.person("owner").client.put(f"/api/v1/projects/{project_id}/policy", json=policy)
    assert answer.status_code == 200, answer.text


def judge(person: Any, project_id: str, winner: int, key: str) -> tuple[dict, dict] | None:
    """What was shown and what came back; nothing where there was no work."""
    found = person.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()
    if not found["assignments"]:
        return None
    (work,) = found["assignments"]
    is_left = work["shown"]["candidates"][0] == PAIR["candidates"][winner]
    sent = {"token": work["token"], "key": key, "answers": {"preference": {"choice": 1 if is_left else 7}}}
    answer = person.post(f"/assignments/{work['id']}/submit", sent)
    assert answer.status_code == 200, answer.text
    return work, answer.json()


def state_of(site: Any, project_id: str, person: Any) -> str:
    return person.get(f"/me/standing?project={project_id}").json()["state"]


def id_of(person: Any) -> str:
    return person.get("/me").json()["id"]


def test_an_invitation_makes_one_account_once(any_site):
    project_id = any_site.project([PAIR])
    owner = any_site.person("owner")
    made = owner.post("/invitations", {"project": project_id, "skills": ["law"]}).json()
    sent = {"token": made["token"], "handle": "newcomer", "password": PASSWORD}
    stranger = any_site.stranger()
    assert stranger.post("/invitations/accept", {**sent, "password": "short"}).status_code == 409
    assert stranger.post("/invitations/accept", sent).status_code == 201
    again = stranger.post("/invitations/accept", {**sent, "handle": "another"})
    assert (again.status_code, "used, over or unknown" in again.json()["detail"]) == (409, True)
    newcomer = any_site.person("newcomer")
    assert newcomer.get("/me").json()["roles"] == {project_id: "annotator"}
    assert judge(newcomer, project_id, 0, "key-00000001") is not None
    verify_chain(any_site.database)


def test_a_lead_invites_into_his_project_and_nobody_above_himself(any_site):
    project_id = any_site.project([PAIR])
    lead = any_site.person("lead")
    assert lead.post("/invitations", {"project": project_id, "role": "reviewer"}).status_code == 201
    assert lead.post("/invitations", {"project": project_id, "role": "owner"}).status_code == 403
    assert lead.post("/invitations", {"role": "annotator"}).status_code == 403


def test_a_skill_opens_the_levels_up_to_the_one_proven_and_ones_own_word_only_itself(any_site):
    people = People(any_site.accounts)
    ann = id_of(any_site.person("annotator"))
    people.grant_skill(ann, "law", 3, source="self", by=ann)
    people.grant_skill(ann, "medicine", 2, source="test", by="quality")

    def words() -> list[str]:
        with any_site.database.read() as connection:
            return connection.execute(select(user.c.skills).where(user.c.id == ann)).scalar_one()

    assert words() == ["law:self", "medicine", "medicine:1", "medicine:2", "medicine:self"]
    with pytest.raises(StoreError, match="1 to 5"):
        people.grant_skill(ann, "law", 9, source="admin", by="x")


def test_training_explains_then_the_test_ends_when_it_is_sure_and_gives_the_skill(any_site):
    project_id = any_site.project(pairs(3))
    know(any_site, project_id, 2, "training")
    know(any_site, project_id, 30, "test")
    set_policy(any_site, project_id, entry="training", test_skill="pairs:2", gold=0, repeats=0)
    ann = any_site.person("annotator")
    _, first = judge(ann, project_id, 1, "key-00000000")
    assert first["training"]["is_right"] is False
    assert first["training"]["explanation"] == "because training"
    judge(ann, project_id, 0, "key-00000001")
    assert state_of(any_site, project_id, ann) == "testing"
    n_test = 0
    while state_of(any_site, project_id, ann) == "testing":
        _, answer = judge(ann, project_id, 0, f"test-{n_test:08d}")
        assert "training" not in answer
        n_test += 1
    # log(0.95 / 0.05) / log(0.8 / 0.6) = 2.944 / 0.2877 = 10.2: sure after the eleventh right answer
    assert (n_test, state_of(any_site, project_id, ann)) == (11, "active")
    assert ann.get("/me/skills").json()["skills"][0]["level"] == 2
    shown, _ = judge(ann, project_id, 0, "work-00000001")
    assert shown["shown"]["messages"][0]["content"].startswith("Which")


@pytest.mark.parametrize("count", [2, 3])
def test_training_and_test_items_fetched_ahead_are_all_taken(any_site, count):
    project_id = any_site.project(pairs(3))
    know(any_site, project_id, count, "training")
    know(any_site, project_id, 30, "test")
    set_policy(any_site, project_id, entry="training", gold=0, repeats=0)
    ann = any_site.person("annotator")

    def judge_all(winner: int) -> list[dict]:
        told = []
        for work in ann.post(f"/projects/{project_id}/queue/next", {"count": count}).json()["assignments"]:
            is_left = work["shown"]["candidates"][0] == PAIR["candidates"][winner]
            answers = {"preference": {"choice": 1 if is_left else 7}}
            sent = {"token": work["token"], "key": f"key-{work['id']}", "answers": answers}
            answer = ann.post(f"/assignments/{work['id']}/submit", sent)
            assert answer.status_code == 200, answer.text
            told.append({**answer.json(), "state": state_of(any_site, project_id, ann)})
        return told

    taught = judge_all(0)
    assert [one["training"]["is_right"] for one in taught] == [True] * count
    # While one is still in his hands he is in training; behind the last comes the test.
    assert [one["state"] for one in taught] == ["training"] * (count - 1) + ["testing"]
    states: list[str] = []
    while found := judge_all(1):
        states += [one["state"] for one in found]
    # Sure after the fifth wrong answer; what was in his hands then is taken too, and he gets no more.
    assert states[:5] == ["testing"] * 4 + ["failed"]
    assert len(states) == -(-5 // count) * count
    verify_chain(any_site.database)


def test_whoever_fails_the_test_gets_no_work_until_a_lead_lets_him(any_site):
    project_id = any_site.project(pairs(3))
    know(any_site, project_id, 30, "test")
    set_policy(any_site, project_id, entry="test")
    ann, lead = any_site.person("annotator"), any_site.person("lead")
    k = 0
    while judge(ann, project_id, 1, f"test-{k:08d}") is not None:
        k += 1
    # log(0.05 / 0.95) / log(0.2 / 0.4) = -2.944 / -0.693 = 4.2: sure after the fifth wrong answer
    assert (k, state_of(any_site, project_id, ann)) == (5, "failed")
    found = ann.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()
    assert found["empty"]["reason"] == "failed"
    path = f"/projects/{project_id}/people/{id_of(ann)}/state"
    assert lead.post(path, {"state": "paused"}).status_code == 409
    assert lead.post(path, {"state": "active", "reason": "spoke with him"}).status_code == 200
    assert judge(ann, project_id, 0, "work-00000001") is not None


def test_gold_goes_where_least_is_known_and_the_mean_share_is_kept():
    # everybody answered 0, 10 and 200 known items, all right but one in ten
    shares = assign_gold_shares(beta_variance([0, 9, 180], [0, 10, 200]), config=gold_config(0.1))
    assert shares[0] > shares[1] >= shares[2] >= 0.06
    assert shares.mean() == pytest.approx(0.1, abs=1e-6)


def test_a_decline_on_known_items_pauses_and_the_test_brings_back(any_site):
    project_id = any_site.project(pairs(80))
    know(any_site, project_id, 60, "hidden")
    know(any_site, project_id, 20, "test")
    set_policy(any_site, project_id, gold=0.9, repeats=0)
    ann, lead = any_site.person("annotator"), any_site.person("lead")

    def count_known() -> int:
        with any_site.database.read() as connection:
            return connection.execute(select(func.count()).select_from(gold_result)).scalar_one()

    direct = Work(any_site.database, WorkQueue.of(any_site.database, QueueConfig(daily_gold_cap=1000)))
    ann_id, k = id_of(ann), 0
    while count_known() < 20 and k < 60:
        answer_as(direct, project_id, ann_id, 0, f"good-{k:08d}")
        k += 1
    while answer_as(direct, project_id, ann_id, 1, f"bad-{k:09d}") and k < 120:
        k += 1
    assert state_of(any_site, project_id, ann) == "paused"
    (found,) = lead.get(f"/projects/{project_id}/alerts").json()["alerts"]
    assert (found["kind"], found["handle"]) == ("decline", "annotator")
    assert found["evidence"]["since"] <= 1
    note = {"answer": "I was ill."}
    assert ann.post(f"/alerts/{found['id']}/answer", note).status_code == 200
    assert any_site.person("second").post(f"/alerts/{found['id']}/answer", note).status_code == 410
    assert lead.get(f"/projects/{project_id}/alerts").json()["alerts"][0]["answer"] == "I was ill."
    assert ann.post(f"/me/requalify?project={project_id}").status_code == 200
    for n in range(11):
        assert judge(ann, project_id, 0, f"again-{n:07d}") is not None
    assert state_of(any_site, project_id, ann) == "active"
    assert ann.post(f"/me/requalify?project={project_id}").status_code == 409


def test_after_very_many_known_items_a_decline_is_found_among_the_newest(site):
    project_id, ann = site.project(pairs(60)), site.person("annotator")
    know(site, project_id, 60, "hidden")
    set_policy(site, project_id, gold=0.9, repeats=0)
    assert judge(ann, project_id, 0, "first-of-all") is not None
    site.fill(project_id, 2 * WATCHED, 0)
    ann_id = id_of(ann)
    with site.database.write() as connection:
        since = connection.execute(select(standing.c.since_ms).where(standing.c.user_id == ann_id)).scalar()
        given = connection.execute(
            select(judgment.c.id, judgment.c.item_id).where(judgment.c.key.like("k%"))
        ).all()
        shared = {"user_id": ann_id, "project_id": project_id, "purpose": "gold", "is_right": True}
        rows = [{"judgment_id": row.id, "item_id": row.item_id, "at_ms": since, **shared} for row in given]
        insert_rows(connection, gold_result, rows)
    asked: list[str] = []

    def keep(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    event.listen(site.database.engine, "before_cursor_execute", keep)
    direct = Work(site.database, WorkQueue.of(site.database, QueueConfig(daily_gold_cap=1000)))
    n = sum(answer_as(direct, project_id, ann_id, 1, f"bad-{k:09d}") for k in range(40))
    assert n < 40
    assert state_of(site, project_id, ann) == "paused"
    (found,) = site.person("lead").get(f"/projects/{project_id}/alerts").json()["alerts"]
    assert (found["kind"], found["evidence"]["n"]) == ("decline", WATCHED)
    assert WATCHED - 40 <= found["evidence"]["since"] < WATCHED
    read = [one for one in asked if "FROM gold_result" in one]
    assert read
    assert all("LIMIT" in one for one in read)


def answer_as(work: Work, project_id: str, user_id: str, winner: int, key: str) -> bool:
    """The same as `judge` without HTTP between; False where there was no work."""
    found = work.next(project_id, user_id, 1)["assignments"]
    for page in found:
        is_left = page["shown"]["candidates"][0] == PAIR["candidates"][winner]
        answers = {"preference": {"choice": 1 if is_left else 7}}
        work.submit(page["id"], user_id, {"token": page["token"], "key": key, "answers": answers})
    return bool(found)


def test_signs_of_tiredness_go_to_himself_first_and_a_second_one_to_the_lead(any_site):
    project_id = any_site.project(pairs(60))
    work = Work(any_site.database, WorkQueue.of(any_site.database, QueueConfig(repeat_rate=0.0)))
    ann, lead = any_site.person("annotator"), any_site.person("lead")
    ann_id = id_of(ann)
    watch = Watch(work.queue, work.definitions.policy)
    for k in range(50):  # always the left side, at a pace one can read at
        (page,) = work.next(project_id, ann_id, 1)["assignments"]
        sent = {"token": page["token"], "key": f"key-{k:08d}", "duration_ms": 20_000}
        choice = 1 if k >= 20 else 1 + 6 * (k % 2)
        work.submit(page["id"], ann_id, {**sent, "answers": {"preference": {"choice": choice}}})
    with any_site.database.write() as connection:
        connection.execute(alert.delete())
    told = watch.look(project_id, ann_id, "preference")
    assert "runs" in told
    notes = ann.get(f"/me/standing?project={project_id}").json()["notes"]
    assert any("five minutes" in note["text"] for note in notes)
    public = [one["kind"] for one in lead.get(f"/projects/{project_id}/alerts").json()["alerts"]]
    assert public == (["fatigue"] if len(told) >= 2 else [])
    assert watch.look(project_id, ann_id, "preference") == []  # once a day


def test_the_limit_of_a_day_is_said(any_site):
    project_id = any_site.project(pairs(5))
    set_policy(any_site, project_id, judgments_per_day=2, gold=0, repeats=0)
    ann = any_site.person("annotator")
    for k in range(2):
        assert judge(ann, project_id, 0, f"key-{k:08d}") is not None
    found = ann.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()
    assert (found["assignments"], found["empty"]["reason"]) == ([], "limit")


def test_a_new_guideline_is_read_before_work_goes_on_with_its_changes_marked(any_site):
    project_id = any_site.project(pairs(3))
    ann, lead = any_site.person("annotator"), any_site.person("lead")
    path = f"/projects/{project_id}/guideline"
    lead.post(path, {"markdown": "# Rules\n\nBe kind.\n\nBe brief."})
    empty = ann.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["empty"]
    assert empty["reason"] == "guideline"
    first = ann.get(path).json()["guideline"]
    assert (first["version"], first["acknowledged_version"]) == (2, None)
    for _ in range(2):
        assert ann.post(f"/guidelines/{first['id']}/ack").status_code == 200
    assert judge(ann, project_id, 0, "key-00000001") is not None
    lead.post(path, {"markdown": "# Rules\n\nBe kind.\n\nBe exact."})
    newest = ann.get(path).json()["guideline"]
    assert [one["text"] for one in newest["paragraphs"] if one["is_changed"]] == ["Be exact."]
    assert judge(ann, project_id, 0, "key-00000002") is None


def test_paragraphs_keep_code_whole_and_nothing_is_new_to_whoever_read_nothing():
    text = "One.\n\n```\na\n\nb\n```\n\nTwo."
    assert paragraphs_of(text) == ["One.", "```\na\n\nb\n```", "Two."]
    assert not any(one["is_changed"] for one in mark_changes(None, text))
    moved = mark_changes("One.\n\nTwo.", "Zero.\n\nOne.\n\nTwo.")
    assert [one["is_changed"] for one in moved] == [True, False, False]


def test_nobody_works_without_consent_and_it_can_be_taken_back(any_site):
    project_id = any_site.project(pairs(3))
    ann, lead = any_site.person("annotator"), any_site.person("lead")
    lead.post(f"/projects/{project_id}/terms", {"markdown": "You may leave."})
    set_policy(any_site, project_id, needs_consent=True)
    empty = ann.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["empty"]
    assert empty["reason"] == "consent"
    terms = ann.get(f"/projects/{project_id}/terms").json()["terms"]
    assert ann.post(f"/terms/{terms['id']}/agree").status_code == 200
    assert judge(ann, project_id, 0, "key-00000001") is not None
    assert ann.client.delete(f"/api/v1/projects/{project_id}/consent").status_code == 200
    assert judge(ann, project_id, 0, "key-00000002") is None


def test_what_people_say_of_themselves_is_encrypted_and_told_only_in_tens(any_site, tmp_path):
    project_id = any_site.project(pairs(1), overlap=30)
    vault = Vault(any_site.accounts, tmp_path / "accord.key")
    work = Work(any_site.database, WorkQueue.of(any_site.database))
    for k in range(14):
        person = any_site.accounts.add(f"person {k}", None, Role.ANNOTATOR)
        answer_as(work, project_id, person, 0, f"key-{k:08d}")
        vault.keep(person, {"country": "Peru" if k < 12 else "Chad"})
    assert (tmp_path / "accord.key").stat().st_mode & 0o777 == 0o600
    with any_site.database.read() as connection:
        from accord.store.database.people_tables import attribute

        sealed = connection.execute(select(attribute.c.sealed)).scalars().all()
    assert not any("Peru" in one for one in sealed)
    assert vault.own(person) == {"country": "Chad"}
    # two of Chad would follow from the total, so Peru is not told either
    assert vault.count(project_id, "country") == {}
    (tmp_path / "other.key").write_bytes(b"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=")
    with pytest.raises(StoreError, match="not the one"):
        Vault(any_site.accounts, tmp_path / "other.key").own(person)


def test_a_server_with_a_key_file_keeps_counts_and_erases(any_site, tmp_path):
    """On PostgreSQL there is no file to lie beside: the server is told where the key is."""
    key_file = tmp_path / "keys" / "accord.key"
    any_site.app = create_app(any_site.database, key_file=key_file)
    project_id = any_site.project(pairs(1), overlap=30)
    work = Work(any_site.database, WorkQueue.of(any_site.database))
    for k in range(11):
        any_site.accounts.add(f"p{k}", PASSWORD, Role.ANNOTATOR)
        person = any_site.person(f"p{k}")
        answer_as(work, project_id, id_of(person), 0, f"key-{k:08d}")
        assert (
            person.client.put("/api/v1/me/attributes", json={"values": {"country": "Peru"}}).status_code
            == 200
        )
    assert person.get("/me/attributes").json() == {"values": {"country": "Peru"}}
    lead = any_site.person("lead")
    assert lead.get(f"/projects/{project_id}/attributes/country").json()["counts"] == {"Peru": 11}
    owner = any_site.person("owner")
    for gone in ("p0", "p1"):
        with any_site.database.read() as connection:
            found = connection.execute(select(user.c.id).where(user.c.handle == gone)).scalar_one()
        assert owner.client.delete(f"/api/v1/users/{found}").status_code == 200
    assert lead.get(f"/projects/{project_id}/attributes/country").json()["counts"] == {}
    assert key_file.stat().st_mode & 0o777 == 0o600
    verify_chain(any_site.database)


def test_of_two_workers_that_make_the_key_file_one_does(tmp_path):
    key_file = tmp_path / "accord.key"
    made: list[bytes] = []
    makers = [threading.Thread(target=lambda: made.append(_make_key(key_file))) for _ in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert set(made) == {key_file.read_bytes()}
    assert [one.name for one in tmp_path.iterdir()] == ["accord.key"]


def test_counts_below_ten_are_hidden_and_do_not_follow_from_the_rest():
    assert hide_few({"a": 10, "b": 30}) == {"a": 10, "b": 30}
    assert hide_few({"a": 10, "b": 30, "c": 3}) == {"b": 30}
    assert hide_few({"a": 10, "b": 9, "c": 9}) == {"a": 10}
    assert hide_few({"a": 9}) == {}


def test_erasing_somebody_forgets_who_he_was_and_keeps_what_he_judged(any_site, tmp_path):
    project_id = any_site.project(pairs(2))
    ann = any_site.person("annotator")
    judge(ann, project_id, 0, "key-00000001")
    vault = Vault(any_site.accounts, tmp_path / "accord.key")
    ann_id = id_of(ann)
    vault.keep(ann_id, {"country": "Peru"})
    vault.erase(ann_id, by="owner")
    assert ann.get("/me").status_code == 401
    assert vault.own(ann_id) == {}
    with any_site.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(judgment)).scalar_one() == 1
        handle = connection.execute(select(user.c.handle).where(user.c.id == ann_id)).scalar_one()
    assert handle == f"erased-{ann_id}"
    rows = any_site.person("lead").get(f"/projects/{project_id}/judgments").text
    assert json.loads(rows)["annotator"] == handle
    verify_chain(any_site.database)


def test_a_calibration_round_shows_where_people_differ_and_ends_with_a_new_guideline(any_site):
    project_id = any_site.project(pairs(3), overlap=1)
    lead, ann, sec = (any_site.person(one) for one in ("lead", "annotator", "second"))
    from accord.store.database.tables import item

    with any_site.database.read() as connection:
        items = connection.execute(select(item.c.id).order_by(item.c.id)).scalars().all()
    body = {"name": "first", "items": items[:2], "people": [id_of(ann), id_of(sec)]}
    made = lead.post(f"/projects/{project_id}/calibrations", body).json()["id"]
    for person, winners in ((ann, (0, 0)), (sec, (0, 1))):
        for k, winner in enumerate(winners):
            assert judge(person, project_id, winner, f"key-{k:08d}") is not None
    report = lead.get(f"/calibrations/{made}").json()
    assert (report["n_judged"], report["n_wanted"]) == (4, 4)
    (found,) = report["disagreements"]
    assert found["share"] == 0.5
    assert "value" in report["agreement"]
    closed = lead.post(f"/calibrations/{made}/close", {"guideline": {"markdown": "Sharper."}}).json()
    assert closed["guideline_id"]
    assert lead.post(f"/calibrations/{made}/close", {}).status_code == 409
    body["people"] = [id_of(ann), id_of(any_site.person("reviewer"))]
    assert lead.post(f"/projects/{project_id}/calibrations", body).status_code == 409  # met already
    with any_site.database.read() as connection:
        purposes = connection.execute(select(assignment.c.purpose).distinct()).scalars().all()
    assert purposes == ["calibration"]


def test_somebody_learns_where_it_was_decided_otherwise_with_the_rule_and_never_of_known_items(any_site):
    project_id = any_site.project([PAIR], overlap=2)
    stages = [
        {"stage": "label", "kind": "label", "overlap": 2},
        {"stage": "agree", "kind": "consensus", "max_people": 2},
        {"stage": "decide", "kind": "adjudication"},
    ]
    owner, lead, ann, sec = (any_site.person(one) for one in ("owner", "lead", "annotator", "second"))
    owner.client.put(f"/api/v1/projects/{project_id}/workflow", json={"stages": stages})
    judge(ann, project_id, 0, "key-00000001")
    judge(sec, project_id, 1, "key-00000002")
    page = lead.post(f"/projects/{project_id}/adjudication/next").json()["adjudication"]
    choice = 1 if page["shown"]["candidates"][0] == "first" else 7
    sent = {
        "assignment": page["id"], "token": page["token"], "key": "last-0000001", "cause": "guideline",
        "rule": "Answers come before style.", "answers": {"preference": {"choice": choice}},
    }  # fmt: skip
    assert lead.post(f"/items/{page['item']}/adjudicate", sent).status_code == 200
    (found,) = sec.get(f"/me/feedback?project={project_id}").json()["feedback"]
    assert found["rule"] == "Answers come before style."
    assert len(found["differs"]) == 1
    assert ann.get(f"/me/feedback?project={project_id}").json()["feedback"] == []
    assert lead.post(f"/items/{page['item']}/gold", {}).status_code == 201
    assert sec.get(f"/me/feedback?project={project_id}").json()["feedback"] == []


def test_a_persons_counters_follow_what_he_did(any_site):
    project_id = any_site.project(pairs(4))
    ann = any_site.person("annotator")
    for k in range(3):
        judge(ann, project_id, 0, f"key-{k:08d}")
    with any_site.database.read() as connection:
        row = connection.execute(select(standing)).one()
    assert (row.n_assigned, row.n_today, row.n_gold, row.state) == (3, 3, 0, "active")
