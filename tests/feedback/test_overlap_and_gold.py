"""Disputed items are asked further; known items are met once, look like any other and are never exported."""

import json
from typing import Any

import pytest

from accord.feedback.export import export_lines
from accord.feedback.items import content_of
from accord.feedback.progress import score_gold
from accord.feedback.verdicts import verdict_of
from accord.feedback.work import Work
from accord.store.database import NewItem, Projects, QueueConfig, Role, WorkQueue

PASSWORD = "correct horse battery"
PAIR = {"prompt": "Which?", "candidates": ["first", "second"]}
KNOWN = {"prompt": "Known?", "candidates": ["right", "wrong"]}


def judge(work: Work, project_id: str, user_id: str, winner: int, key: str) -> dict | None:
    """Say that a candidate is better; the page that was shown, or nothing where there was no work."""
    found = work.next(project_id, user_id, 1)["assignments"]
    if not found:
        return None
    (page,) = found
    left = work.owned(page["id"], user_id).presentation["permutation"][0]
    answers = {"preference": {"choice": 1 if left == winner else 7}}
    work.submit(page["id"], user_id, {"token": page["token"], "key": key, "answers": answers})
    return page


def office(site: Any, *, gold_rate: float = 0.0) -> Work:
    return Work(site.database, WorkQueue.of(site.database, QueueConfig(gold_rate=gold_rate, repeat_rate=0.0)))


def people(site: Any, count: int) -> list[str]:
    return [site.accounts.add(f"person{k}", PASSWORD, Role.ANNOTATOR) for k in range(count)]


def plan(site: Any, project_id: str, **body: Any) -> None:
    Projects.of(site.database).add_definition(project_id, "workflow", body)


@pytest.mark.parametrize(
    ("winners", "n_asked"),
    [((0, 0, 0, 0, 0, 0), 2), ((0, 1, 0, 0, 0, 0), 4), ((0, 1, 0, 1, 0, 1), 5)],
)
def test_people_are_asked_until_they_agree_or_the_limit_is_reached(site, winners, n_asked):
    # agreement 0.7: 2 of 2; 1/2, 2/3 and then 3/4; 1/2, 2/3, 2/4 and 3/5 at the limit of 5
    project_id = site.project([PAIR], overlap=2)
    plan(site, project_id, max_overlap=5, agreement=0.7)
    work = office(site)
    asked = [
        judge(work, project_id, one, winner, f"key-{k:08d}")
        for k, (one, winner) in enumerate(zip(people(site, 6), winners, strict=True))
    ]
    assert sum(page is not None for page in asked) == n_asked


def test_without_a_plan_nobody_else_is_asked(site):
    project_id = site.project([PAIR], overlap=2)
    work = office(site)
    asked = [judge(work, project_id, one, k % 2, f"key-{k:08d}") for k, one in enumerate(people(site, 3))]
    assert asked[2] is None


def test_known_items_come_at_their_rate_once_each_and_are_scored(site):
    project_id = site.project([{**PAIR, "prompt": f"Which {k}?"} for k in range(60)])
    projects = Projects.of(site.database)
    item = NewItem(content=content_of(KNOWN), n_candidates=2)
    for _ in range(5):
        projects.add_gold(project_id, item, {"preference": {"strength": 1, "both_bad": False}})
    work = office(site, gold_rate=0.5)
    (person,) = people(site, 1)
    pages = [judge(work, project_id, person, 0, f"key-{k:08d}") for k in range(40)]
    known = [page for page in pages if page["shown"]["messages"][0]["content"] == "Known?"]
    assert len(known) == 5
    (score,) = score_gold(work, project_id)
    assert (score["n"], score["n_right"]) == (5, 5)
    # Wilson with 5 of 5: low = 1 / (1 + 1.96^2 / 5) = 0.5655
    assert score["low"] == pytest.approx(0.5655, abs=1e-4)
    others = [page for page in pages if page not in known]
    assert {frozenset(page) for page in pages} == {frozenset(others[0])}
    rows = [json.loads(line) for line in export_lines(work, project_id, "comparisons")]
    assert len(rows) == 35
    assert not any("Known?" in json.dumps(row) for row in rows)


def test_known_item_given_back_waits_for_nobody(site):
    project_id = site.project([PAIR, {**PAIR, "prompt": "Other?"}])
    Projects.of(site.database).add_gold(
        project_id, NewItem(content=content_of(KNOWN), n_candidates=2), {"preference": {"strength": 1}}
    )
    work = office(site, gold_rate=0.999)
    first, second = people(site, 2)
    (page,) = work.next(project_id, first, 1)["assignments"]
    assert page["shown"]["messages"][0]["content"] == "Known?"
    work.queue.release(page["id"], page["token"])
    counts = work.progress(project_id)["slots"]
    assert counts == {"open": 2, "cancelled": 1}
    (page,) = work.next(project_id, second, 1)["assignments"]
    assert page["shown"]["messages"][0]["content"] == "Known?"


def test_a_wrong_answer_to_a_known_item_counts_as_wrong(site):
    project_id = site.project([PAIR])
    Projects.of(site.database).add_gold(
        project_id,
        NewItem(content=content_of(KNOWN), n_candidates=2),
        {"preference": {"strength": 1, "both_bad": False}},
    )
    work = office(site, gold_rate=0.999)
    (person,) = people(site, 1)
    judge(work, project_id, person, 1, "key-00000001")
    (score,) = score_gold(work, project_id)
    assert (score["n"], score["n_right"]) == (1, 0)
    page = site.person("lead").client.get(f"/p/{project_id}")
    assert "Known items" in page.text


def test_votes_of_a_comparison_are_about_who_won():
    assert verdict_of({"strength": 3, "both_bad": False}) == verdict_of({"strength": 1, "both_bad": False})
    assert verdict_of({"strength": 0, "both_bad": True}) != verdict_of({"strength": 0, "both_bad": False})
    assert verdict_of("safe") != verdict_of("unsafe")
