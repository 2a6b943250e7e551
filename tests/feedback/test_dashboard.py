"""The lead's page: shares with interval and count, alerts with their evidence, why a queue is empty."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from accord.feedback.charts import bar_chart, drift_line, share_line
from accord.feedback.dashboard import build_dashboard, cost_of, share_of
from accord.feedback.work import Work
from accord.store.database import NewItem, Projects, QueueConfig, Role, WorkQueue


def ready(site: Any, rows: list[dict], **rest: Any) -> tuple[Work, str]:
    project_id = site.project(rows, **rest)
    return Work(site.database, WorkQueue.of(site.database)), project_id


def judge(work: Work, project_id: str, user_id: str, choose: Any, *, active_ms: int = 5000) -> None:
    """Judge all there is; `choose` is given the texts in the order on screen and says which place wins."""
    while taken := work.next(project_id, user_id, 10)["assignments"]:
        for one in taken:
            place = choose(one["shown"]["candidates"])
            sent = {
                "token": one["token"],
                "key": one["id"],
                "answers": {"preference": {"choice": 1 if place == 0 else 7}},
                "active_ms": active_ms,
            }
            work.submit(one["id"], user_id, sent)


def people(site: Any, *handles: str) -> dict[str, str]:
    return {one: site.accounts.add(one, None, Role.ANNOTATOR) for one in handles}


ROWS = [{"prompt": f"Question {k}?", "candidates": ["good" * 5, "bad"]} for k in range(24)]


def better(texts: list[str]) -> int:
    return 0 if texts[0].startswith("good") else 1


def test_who_always_takes_the_left_and_disagrees_is_named_with_the_evidence(site):
    work, project_id = ready(site, ROWS, overlap=4)
    crowd = people(site, "ann", "ben", "cem", "lefty")
    for handle, user_id in crowd.items():
        judge(work, project_id, user_id, (lambda texts: 0) if handle == "lefty" else better)
    facts = build_dashboard(work, project_id)
    alerts = {one["handle"]: one["text"] for one in facts["alerts"] if "left" in one["text"]}
    # 24 of 24 to one side: two-sided p = 2 / 2^24, times 4 by Holm
    assert alerts == {"lefty": "left in 24 of 24 choices; by chance p = 4.8e-07"}
    skill = {one["handle"]: one["skill"] for one in facts["people"]}
    assert skill["ann"].share == 1.0
    assert skill["lefty"].n == 24
    assert any("agrees with the others" in one["text"] for one in facts["alerts"])


def test_an_item_judged_twice_unawares_is_one_vote_of_its_person(site):
    """Agreement is with others: a repeat neither breaks the page nor agrees with its own first judgment."""
    work, project_id = ready(site, ROWS)
    often = QueueConfig(gold_rate=0.0, repeat_rate=0.6, repeat_gap=1)
    again = Work(site.database, WorkQueue.of(site.database, often))
    judge(again, project_id, people(site, "ann")["ann"], better)
    rows = list(work.judgments(project_id, 0))
    assert {row["purpose"] for row in rows} == {"primary", "repeat"}
    facts = build_dashboard(work, project_id)
    (ann,) = facts["people"]
    assert ann["skill"].n == 0
    assert facts["cost"]["n_done"] == len(rows)
    assert sum(facts["sides"].values()) == len(ROWS)


def test_position_and_length_are_told_with_their_counts(site):
    work, project_id = ready(site, ROWS[:10])
    judge(work, project_id, people(site, "ann")["ann"], better)
    bias = {one["name"]: one["share"] for one in build_dashboard(work, project_id)["bias"]}
    assert bias["The longer answer wins"] == share_of(10, 10)
    assert bias["The left answer wins"].n == 10


def test_time_and_cost_follow_from_active_time_and_pay():
    # two hours for 60 judgments are two minutes each; 30 still wanted take another hour, at 30 an hour
    facts = {"annotators": [{"active_ms": 7_200_000, "n": 60}], "slots": {"open": 20, "leased": 10}}
    cost = cost_of(facts, 30.0)
    assert (cost["hours"], cost["seconds_each"], cost["hours_left"], cost["per_hour"]) == (2, 120, 1, 30)
    assert (cost["spent"], cost["each"], cost["to_come"]) == (60, 1, 30)
    assert cost_of({"annotators": [], "slots": {}}, None)["per_hour"] is None


def test_a_queue_says_whose_skill_is_missing_and_who_holds_what(site):
    work, project_id = ready(site, [])
    (user_id,) = people(site, "ann").values()
    body = {"messages": [{"role": "user", "content": "Dose?"}], "candidates": [{"text": "a"}, {"text": "b"}]}
    Projects.of(site.database).add_items(project_id, [NewItem(content=body, required_skill="medicine")])
    queue = build_dashboard(work, project_id)["queue"]
    assert queue["wanted"] == [{"skill": "medicine", "n": 1, "n_people": 0}]
    why = {one["handle"]: one["why"] for one in queue["people"]}
    assert "asks for a skill" in why["ann"]
    Projects.of(site.database).add_items(project_id, [NewItem(content=body)])
    work.next(project_id, user_id, 1)
    queue = build_dashboard(work, project_id)["queue"]
    assert [(one["handle"], one["is_open"]) for one in queue["leases"]] == [("ann", False)]


def test_paragraphs_people_differ_over_come_first(site):
    rows = [{"prompt": f"About refunds {k}?", "candidates": ["yes", "no"]} for k in range(4)]
    rows += [{"prompt": f"Question of tone {k}?", "candidates": ["yes", "no"]} for k in range(4)]
    work, project_id = ready(site, rows, overlap=2)
    guideline = "Never promise refunds beyond fifty.\n\nThe tone is friendly."
    Projects.of(site.database).add_definition(project_id, "guideline", {"markdown": guideline})
    for number, user_id in enumerate(people(site, "ann", "ben").values()):
        while taken := work.next(project_id, user_id, 1)["assignments"]:
            (one,) = taken
            texts, asked = one["shown"]["candidates"], one["shown"]["messages"][0]["content"]
            wanted = "no" if "refunds" in asked and number else "yes"
            choice = 1 if texts[0] == wanted else 7
            sent = {"token": one["token"], "key": one["id"], "answers": {"preference": {"choice": choice}}}
            work.submit(one["id"], user_id, sent)
    first, second = build_dashboard(work, project_id)["disputes"]
    assert first["text"].startswith("Never promise refunds")
    assert (first["share"], second["share"]) == (share_of(4, 4), share_of(0, 4))


def test_an_empty_project_has_a_page(site):
    work, project_id = ready(site, [])
    facts = build_dashboard(work, project_id, rate=10.0)
    assert (facts["people"], facts["alerts"], facts["bias"], facts["disputes"]) == ([], [], [], [])


def test_a_kind_without_a_comparison_has_a_page(site):
    project_id = site.project([{"prompt": "Say it."}], kind="demonstration")
    person = site.person("annotator")
    (one,) = person.post(f"/projects/{project_id}/queue/next").json()["assignments"]
    sent = {"token": one["token"], "key": one["id"], "answers": {"answer": "So."}}
    assert person.post(f"/assignments/{one['id']}/submit", sent).status_code == 200
    facts = build_dashboard(Work(site.database, WorkQueue.of(site.database)), project_id)
    assert facts["people"][0]["left"].n == 0


@pytest.mark.parametrize("evil", ["<script>", '"><b', "a & b"])
def test_charts_escape_what_they_are_given(evil):
    for made in (
        bar_chart(evil, [(evil, 3.0)]),
        share_line(evil, 0.5, 0.4, 0.6),
        drift_line(evil, [0.0, 1.0], 2.0),
    ):
        assert evil not in made
        assert "style=" not in made


def test_a_share_of_nothing_is_known_to_be_unknown():
    one = share_of(0, 0)
    assert (one.share, one.low, one.high, one.n) == (0.0, 0.0, 1.0, 0)


def test_a_lead_sees_where_items_stand_and_goes_on_from_there(site):
    work, project_id = ready(site, ROWS[:4], overlap=2)
    stages = [
        {"stage": "label", "kind": "label", "overlap": 2},
        {"stage": "agree", "kind": "consensus", "max_people": 2},
        {"stage": "decide", "kind": "adjudication"},
    ]
    Projects.of(site.database).add_definition(project_id, "workflow", {"stages": stages})
    crowd = people(site, "ann", "ben")
    judge(work, project_id, crowd["ann"], better)
    told = build_dashboard(work, project_id)
    assert (told["n_items_done"], told["n_items"]) == (0, 4)
    judge(work, project_id, crowd["ben"], lambda texts: 1 - better(texts))
    told = build_dashboard(work, project_id)
    assert told["stands"] == [("in_adjudication", 4)]
    assert told["cost"]["n_left"] == 0  # four decisions are wanted, and no judgment
    link = f'<a href="/p/{project_id}/adjudicate">To be decided</a> <b>4</b>'
    assert link in site.person("lead").client.get(f"/p/{project_id}").text
    assert f'href="/p/{project_id}/people"' in site.person("lead").client.get(f"/p/{project_id}").text
    watching = site.person("auditor").client.get(f"/p/{project_id}").text
    assert link not in watching
    assert f'href="/p/{project_id}/people"' not in watching
    Projects.of(site.database).add_items(project_id, [NewItem(content={"k": 1}, n_candidates=2)])
    assert build_dashboard(work, project_id)["stands"] == [("queued", 1), ("in_adjudication", 4)]


def test_a_lead_lets_items_on_hold_go_on(site):
    work, project_id = ready(site, ROWS[:2])
    stages = [{"stage": "label", "kind": "label"}, {"stage": "wait", "kind": "hold"}]
    Projects.of(site.database).add_definition(project_id, "workflow", {"stages": stages})
    judge(work, project_id, people(site, "ann")["ann"], better)
    client, address = TestClient(site.app), f"/p/{project_id}"
    client.post("/login", data={"handle": "lead", "password": "correct horse battery"})
    page = client.get(address).text
    assert page.count("Let it go on") == 2
    assert "Question 0?" in page
    assert "Let it go on" not in site.person("auditor").client.get(address).text
    csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', page)
    first, _ = re.findall(r'name="item" value="([^"]+)"', page)
    other = site.project(ROWS[:1])
    for place, sent, status in (
        (project_id, {"item": first}, 403),
        (other, {"csrf": csrf, "item": first}, 422),
        (project_id, {"csrf": csrf, "item": "none"}, 409),
        (project_id, {"csrf": csrf, "item": first}, 200),
        (project_id, {"csrf": csrf, "item": first}, 200),
    ):
        assert client.post(f"/p/{place}/release", data=sent).status_code == status
    assert client.get(address).text.count("Let it go on") == 1
    assert dict(build_dashboard(work, project_id)["stands"]) == {"on_hold": 1, "complete": 1}
