"""Lists come in pages that leave nothing out and tell nothing twice, whatever comes in meanwhile."""

import base64
import json
import re

import pytest
from sqlalchemy import event, insert, select

from accord.client import Client
from accord.domain.errors import DataError, ServerError
from accord.feedback.pages import PROJECTS
from accord.feedback.paging import MOST, cursor_of, page_of, read_cursor
from accord.store.database import Role
from accord.store.database.tables import judgment, project
from accord.store.database.workflow_tables import adjudication, alert

ROWS = [{"prompt": f"Question {k}?", "candidates": ["a", "b"]} for k in range(7)]
LISTS = ("/projects", "/me/history", "/me/feedback", "/projects/{}/alerts")


def judge(person, project_id, count):
    """Judge that many items; ids of the judgments in that order."""
    made = []
    for k in range(count):
        (work,) = person.post(f"/projects/{project_id}/queue/next").json()["assignments"]
        sent = {"token": work["token"], "key": f"key-{work['id']}", "answers": {"preference": {"choice": 1}}}
        answer = person.post(f"/assignments/{work['id']}/submit", sent)
        assert answer.status_code == 200, (k, answer.text)
        made.append(answer.json()["judgment_id"])
    return made


def pages(person, path, name, limit):
    """The rows of each page."""
    found, after = [], None
    while True:
        query = f"limit={limit}" + ("" if after is None else f"&after={after}")
        answer = person.get(f"{path}{'&' if '?' in path else '?'}{query}")
        assert answer.status_code == 200, answer.text
        found.append(answer.json()[name])
        after = answer.json()["next"]
        if after is None:
            return found


def address(path, project_id):
    filled = path.format(project_id)
    return f"{filled}?project={project_id}" if path.startswith("/me") else filled


def test_history_goes_back_to_the_first_judgment(any_site):
    project_id = any_site.project(ROWS)
    person = any_site.person("annotator")
    made = judge(person, project_id, 7)
    found = pages(person, f"/me/history?project={project_id}", "judgments", 3)
    assert [len(one) for one in found] == [3, 3, 1]
    assert [row["judgment_id"] for one in found for row in one] == made[::-1]


def test_judgments_that_come_in_meanwhile_and_revisions_move_no_page(any_site):
    project_id = any_site.project(ROWS)
    person = any_site.person("annotator")
    made = judge(person, project_id, 5)
    first = person.get(f"/me/history?project={project_id}&limit=2").json()
    judge(person, project_id, 2)
    body = {"key": "key-of-revision", "answers": {"preference": {"choice": 5}}}
    revised = person.post(f"/judgments/{made[0]}/revise", body).json()["judgment_id"]
    rest = person.get(f"/me/history?project={project_id}&limit=9&after={first['next']}").json()
    assert [row["judgment_id"] for row in rest["judgments"]] == [made[2], made[1], revised]
    assert rest["next"] is None


def test_a_page_that_ends_with_the_list_has_no_next(any_site):
    project_id = any_site.project(ROWS)
    person = any_site.person("annotator")
    judge(person, project_id, 4)
    assert [len(one) for one in pages(person, f"/me/history?project={project_id}", "judgments", 4)] == [4]


def test_feedback_of_one_moment_is_told_once(any_site):
    # Three decisions at one time: only their ids tell which page each is on.
    project_id = any_site.project(ROWS, overlap=2)
    person, other = any_site.person("annotator"), any_site.person("second")
    judge(person, project_id, 5)
    judge(other, project_id, 5)
    with any_site.database.write() as connection:
        given = {
            row.item_id: row
            for row in connection.execute(
                select(judgment).where(judgment.c.user_id == other.get("/me").json()["id"])
            )
        }
        for k, row in enumerate(given.values()):
            said = {**row.payload, "values": {"preference": {"strength": None, "both_bad": True}}}
            decided = {**row._mapping, "id": f"decided-{k}", "key": f"decided-{k}", "payload": said}
            connection.execute(insert(judgment).values({**decided, "revision": 2}))
            connection.execute(
                insert(adjudication).values(
                    id=f"adjudication-{k}", item_id=row.item_id, assignment_id=row.assignment_id,
                    judgment_id=f"decided-{k}", adjudicator_id=row.user_id, cause="error", note=f"note {k}",
                    rule="", at_ms=1000 if k < 3 else 2000,
                )
            )  # fmt: skip
    whole = person.get(f"/me/feedback?project={project_id}").json()
    assert [row["note"] for row in whole["feedback"]] == ["note 4", "note 3", "note 2", "note 1", "note 0"]
    assert whole["next"] is None
    assert all(row["differs"] for row in whole["feedback"])
    for limit in (1, 2, 3):
        found = pages(person, f"/me/feedback?project={project_id}", "feedback", limit)
        assert [row for one in found for row in one] == whole["feedback"]


def test_projects_come_by_name_and_only_those_one_may_see(any_site):
    ids = [any_site.project([]) for _ in range(5)]
    any_site.accounts.add("guest", "correct horse battery", Role.ANNOTATOR, project_id=ids[1])
    with any_site.database.read() as connection:
        in_order = list(connection.execute(select(project.c.id).order_by(project.c.name)).scalars())
    found = pages(any_site.person("lead"), "/projects", "projects", 2)
    assert [row["id"] for one in found for row in one] == in_order
    assert [len(one) for one in found] == [2, 2, 1]
    (page,) = pages(any_site.person("guest"), "/projects", "projects", 2)
    assert [row["id"] for row in page] == [ids[1]]


def test_alerts_come_newest_first(any_site):
    project_id = any_site.project(ROWS)
    user_id = any_site.person("annotator").get("/me").json()["id"]
    with any_site.database.write() as connection:
        for k in range(5):
            connection.execute(
                insert(alert).values(
                    id=f"alert-{k}", project_id=project_id, user_id=user_id, kind="pace", is_private=k == 3,
                    evidence={}, at_ms=k,
                )
            )  # fmt: skip
    found = pages(any_site.person("lead"), f"/projects/{project_id}/alerts", "alerts", 2)
    assert [row["id"] for one in found for row in one] == ["alert-4", "alert-2", "alert-1", "alert-0"]


def test_the_client_turns_pages_by_itself(site, served):
    project_id = site.project(ROWS)
    person = site.person("annotator")
    made = judge(person, project_id, 7)
    token = site.accounts.make_token(person.get("/me").json()["id"], ["annotate"])
    client = Client(served.url, token, tries=1)
    told = [row["judgment_id"] for row in client.history(project_id, at_a_time=2)]
    assert told == made[::-1]
    assert list(client.feedback(project_id)) == []
    for _ in range(3):
        site.project([])
    assert len(client.projects()) == 4
    with pytest.raises(ServerError, match="403"):
        list(client.alerts(project_id))


STRANGE = [
    "x", "%00", "!!!!", "bnVsbA", "W10", cursor_of(["a", 1]), cursor_of([1, 2]), cursor_of([2**70, "a"]),
    cursor_of(["a\0b"]), cursor_of([True, "a"]), base64.urlsafe_b64encode(b"[" * 900).decode(), "a" * 1001,
]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
def test_a_strange_cursor_or_limit_is_one_problem_document(any_site, path):
    project_id = any_site.project(ROWS)
    owner = any_site.person("owner")
    base = address(path, project_id)
    sign = "&" if "?" in base else "?"
    asked = [f"after={one}" for one in STRANGE] + [f"limit={one}" for one in (0, -1, MOST + 1, "many", "1e3")]
    for query in asked:
        answer = owner.get(f"{base}{sign}{query}")
        assert answer.status_code == 422, (query, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} == set(answer.json())
    assert owner.get(f"{base}{sign}limit={MOST}").status_code == 200


def test_a_cursor_opens_nothing_that_is_anothers(any_site):
    project_id = any_site.project(ROWS)
    person = any_site.person("annotator")
    judge(person, project_id, 3)
    cursor = person.get(f"/me/history?project={project_id}&limit=1").json()["next"]
    other = any_site.person("second").get(f"/me/history?project={project_id}&after={cursor}")
    assert other.json() == {"judgments": [], "next": None}


def test_cursors_are_read_as_they_were_made():
    for place in ([5, "x-1"], [0, ""], [-1, "ü"], [1, "a\u00a0b\n\u200d"]):  # names are what people write
        assert read_cursor(cursor_of(place), int, str) == place
    with pytest.raises(DataError, match="`next` of an earlier page"):
        read_cursor(base64.urlsafe_b64encode(json.dumps({"a": 1}).encode()).decode(), int, str)
    for text in ("\0", "\ud800"):  # no database holds these
        with pytest.raises(DataError, match="`next` of an earlier page"):
            read_cursor(cursor_of([1, text]), int, str)


def test_a_page_keeps_no_row_of_the_next():
    rows = ["a", "b", "c"]
    assert page_of(rows, 3, lambda row: [row]).next is None
    page = page_of(rows, 2, lambda row: [row])
    assert (page.rows, read_cursor(page.next, str)) == (["a", "b"], ["b"])


def test_every_answer_that_lists_without_bound_takes_a_cursor(site):
    """What has no cursor is bounded by what it is about, or is a stream of lines; each with its reason."""
    bounded = {
        "/api/v1/me": "one account",
        "/api/v1/projects/{project_id}/progress": "a row for each state and annotator",
        "/api/v1/assignments/{assignment_id}/turns": "turns of one conversation, whose task bounds them",
        "/api/v1/items/{item_id}/way": "stages of one item",
        "/api/v1/projects/{project_id}/workflow": "one definition",
        "/api/v1/me/skills": "skills of one person, at most fifty",
        "/api/v1/me/standing": "one row and ten notes",
        "/api/v1/projects/{project_id}/guideline": "one text",
        "/api/v1/projects/{project_id}/terms": "one text",
        "/api/v1/calibrations/{round_id}": "items of one round, at most five hundred",
        "/api/v1/me/attributes": "what one person said of himself",
        "/api/v1/projects/{project_id}/attributes/{name}": "counts of at least ten people each",
        "/api/v1/projects/{project_id}/imports/{import_name}": "one import",
        "/api/v1/projects/{project_id}/judgments": "lines, behind a number",
        "/api/v1/projects/{project_id}/snapshots/{snapshot_hash}/rows": "lines, the same bytes each time",
    }
    asked = {
        path: {one["name"] for one in methods["get"].get("parameters", [])}
        for path, methods in site.app.openapi()["paths"].items()
        if "get" in methods and path.startswith("/api/v1")
    }
    paged = {path for path, names in asked.items() if {"limit", "after"} <= names}
    assert len(paged) == len(LISTS)
    assert set(asked) - paged == set(bounded)


def test_the_first_page_lists_projects_by_name_a_page_at_a_time(any_site):
    count = PROJECTS + 3
    ids = [any_site.project(ROWS[:1]) for _ in range(count)]
    with any_site.database.read() as connection:
        in_order = list(connection.execute(select(project.c.id).order_by(project.c.name)).scalars())
    lead = any_site.person("lead").client
    first = lead.get("/").text
    assert re.findall(r'href="/p/([\w-]+)/annotate"', first) == in_order[:PROJECTS]
    assert first.count("0 of 1 judgments") == PROJECTS
    assert "First page" not in first
    (link,) = re.findall(r'href="(/\?after=[^"]+)"', first)
    second = lead.get(link).text
    assert re.findall(r'href="/p/([\w-]+)/annotate"', second) == in_order[PROJECTS:]
    assert "First page" in second
    assert "Next page" not in second
    any_site.accounts.add("guest", "correct horse battery", Role.ANNOTATOR, project_id=ids[-1])
    guest = any_site.person("guest").client.get("/").text
    assert re.findall(r'href="/p/([\w-]+)/annotate"', guest) == [ids[-1]]
    assert lead.get("/?after=nonsense").status_code == 422


def test_the_first_page_asks_as_much_of_many_projects_as_of_one(site):
    lead, asked = site.person("lead").client, []

    def keep(connection, cursor, statement, *rest):
        asked.append(statement)

    counts = []
    for _ in range(2):
        for _ in range(4):
            site.project(ROWS[:1])
        event.listen(site.database.engine, "before_cursor_execute", keep)
        asked.clear()
        assert lead.get("/").status_code == 200
        event.remove(site.database.engine, "before_cursor_execute", keep)
        counts.append(len(asked))
    assert counts[0] == counts[1]
