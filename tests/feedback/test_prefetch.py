"""Work fetched ahead: never twice, never another's, given back when it is not wanted."""

import pytest
from sqlalchemy import select, update

from accord.feedback.prefetch import LEASE_S, fetch_ahead, give_back
from accord.feedback.work import Work
from accord.store.database import WorkQueue
from accord.store.database.tables import assignment

ROWS = [{"prompt": f"Question {k}?", "candidates": ["a", "b"]} for k in range(6)]


@pytest.fixture
def work(site) -> Work:
    return Work(site.database, WorkQueue.of(site.database))


@pytest.fixture
def people(site) -> dict[str, str]:
    return {handle: site.person(handle).get("/me").json()["id"] for handle in ("annotator", "second")}


def test_it_adds_what_is_missing_and_no_more(site, work, people):
    project_id = site.project(ROWS)
    first = fetch_ahead(work, project_id, people["annotator"], have=[], count=2)
    ids = [one["id"] for one in first.fetched]
    again = fetch_ahead(work, project_id, people["annotator"], have=ids, count=2)
    assert (len(ids), again.fetched, again.gone) == (2, [], [])


def test_a_page_that_comes_anew_gets_what_is_held_already(site, work, people):
    project_id = site.project(ROWS)
    ids = [one["id"] for one in fetch_ahead(work, project_id, people["annotator"], have=[], count=2).fetched]
    anew = fetch_ahead(work, project_id, people["annotator"], have=[], count=2)
    assert [one["id"] for one in anew.fetched] == ids


def test_what_is_on_the_desk_is_not_fetched_again(site, work, people):
    project_id = site.project(ROWS)
    desk = work.resume(project_id, people["annotator"])
    ahead = fetch_ahead(work, project_id, people["annotator"], have=[], count=2, apart=[desk["id"]])
    assert desk["id"] not in [one["id"] for one in ahead.fetched]
    assert len(ahead.fetched) == 2


def test_another_persons_ids_are_gone_and_give_nothing_back(site, work, people):
    project_id = site.project(ROWS, overlap=2)
    ids = [one["id"] for one in fetch_ahead(work, project_id, people["annotator"], have=[], count=2).fetched]
    ahead = fetch_ahead(work, project_id, people["second"], have=ids, count=2)
    assert ahead.gone == ids
    give_back(work, people["second"], ids)
    with site.database.read() as connection:
        states = (
            connection.execute(select(assignment.c.state).where(assignment.c.id.in_(ids))).scalars().all()
        )
    assert list(states) == ["leased", "leased"]


def test_leases_are_brief_until_the_work_is_shown(site, work, people):
    project_id = site.project(ROWS)
    (one,) = fetch_ahead(work, project_id, people["annotator"], have=[], count=1).fetched
    now = int(work.queue.clock.now().timestamp() * 1000)
    assert one["lease_until_ms"] - now <= LEASE_S * 1000
    work.queue.open(one["id"], one["token"])
    shown = work.page_of(one["id"], people["annotator"])
    assert shown["lease_until_ms"] - now > 600_000


def test_open_work_is_not_given_back_and_what_ran_out_is_gone(site, work, people):
    project_id = site.project(ROWS)
    first, second = fetch_ahead(work, project_id, people["annotator"], have=[], count=2).fetched
    work.queue.open(first["id"], first["token"])
    give_back(work, people["annotator"], [first["id"]])
    with site.database.write() as connection:
        row = assignment.c.id == second["id"]
        connection.execute(update(assignment).where(row).values(lease_until_ms=1))
        state = connection.execute(select(assignment.c.state).where(assignment.c.id == first["id"])).scalar()
    assert state == "opened"
    ahead = fetch_ahead(work, project_id, people["annotator"], have=[second["id"]], count=1)
    assert ahead.gone == [second["id"]]


def test_nobody_gets_ahead_what_he_may_not_have_yet(site, work, people):
    """What a project asks of its people holds for work fetched ahead as for any other."""
    project_id, lead = site.project(ROWS), site.person("lead")
    lead.post(f"/projects/{project_id}/terms", {"markdown": "You may leave."})
    policy = {"needs_consent": True, "judgments_per_day": 1}
    assert lead.client.put(f"/api/v1/projects/{project_id}/policy", json=policy).status_code == 200
    annotator = people["annotator"]
    assert fetch_ahead(work, project_id, annotator, have=[], count=2).fetched == []
    person = site.person("annotator")
    terms = person.get(f"/projects/{project_id}/terms").json()["terms"]
    person.post(f"/terms/{terms['id']}/agree")
    assert len(fetch_ahead(work, project_id, annotator, have=[], count=2).fetched) == 1  # the limit of a day
