"""What pages and annotators ask of a full store is found through an index, on either kind of database.

Plans are read of the statements as they are sent, values and all: a value sent apart can hide from SQLite
that an index over some rows is meant.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from accord.feedback.dashboard import build_dashboard
from accord.feedback.items import content_of
from accord.feedback.own_work import alerts_of, feedback_of
from accord.feedback.prefetch import fetch_ahead
from accord.feedback.review_pages import _people_of
from accord.feedback.reviewing import Reviewing
from accord.feedback.rooms import _today
from accord.feedback.standing import signs_of
from accord.feedback.telemetry import store_lines
from accord.feedback.work import Work
from accord.store.database import NewItem, Projects, WorkQueue
from accord.store.database.audit import Event, append_events
from accord.store.database.engine import insert_rows
from accord.store.database.recall import voided
from accord.store.database.states import Lane
from accord.store.database.tables import assignment, judgment, slot
from accord.store.database.workflow_tables import adjudication

N_JUDGMENTS = 6000
N_PEOPLE = 12
IN_PROPORTION = {20_000: 24, 10_001: 12, 10_000: 12, 2_000: 4, 1000: 6}
"""Limits of the dashboard over five million judgments, for a store of six thousand."""
LARGE = ("assignment", "judgment", "item", "content", "slot", "event", "stream")
"""Tables that grow with the work; the others grow with people, or with what a lead does."""


class Full:
    """A store in which people have judged for long, and what was asked of it."""

    def __init__(self, site: Any):
        self.site, self.database = site, site.database
        self.work = Work(site.database, WorkQueue.of(site.database))
        self.people = [f"u{k}" for k in range(N_PEOPLE)]
        self.decider = site.person("reviewer").get("/me").json()["id"]
        self.others = site.project([{"prompt": "Elsewhere?", "candidates": ["a", "b"]}])
        self.project_id = site.project([{"prompt": f"{k}?", "candidates": ["a", "b"]} for k in range(300)])
        Projects.of(site.database).add_definition(
            self.project_id, "guideline", {"markdown": "# Be kind\n\nNumbers count."}
        )
        self.people = [Projects.of(site.database).add_user(name) for name in self.people]
        self.fill()
        with self.database.write() as connection:
            connection.execute(text("ANALYZE"))

    def fill(self) -> None:
        """Write judgments in bulk; one in thirty is decided again by somebody else."""
        rows = [{"prompt": f"Question {k}?", "candidates": ["good", "bad"]} for k in range(N_JUDGMENTS)]
        made = Projects.of(self.database).add_items(
            self.project_id, [NewItem(content=content_of(row), n_candidates=2) for row in rows]
        )
        schema = self.work.definitions
        with self.database.write() as connection:
            newest = schema.newest(connection, self.project_id)
            places = {
                row.item_id: row.id for row in connection.execute(text("SELECT id, item_id FROM slot")).all()
            }
            connection.execute(slot.update().where(slot.c.item_id.in_(made)).values(state="filled"))
            for first, giver in ((True, None), (False, self.decider)):
                picked = list(enumerate(made)) if first else list(enumerate(made))[::30]
                work = [self.closed(k, one, places[one], giver, newest["schema"]) for k, one in picked]
                insert_rows(connection, assignment, work)
                insert_rows(connection, judgment, [said_of(row) for row in work])
                said = {"actor": "a", "action": "submit", "entity": "judgment", "stream": self.project_id}
                events = [Event(at_ms=1, entity_id=f"j{row['id']}", facts={}, **said) for row in work]
                append_events(connection, events)
                if not first:
                    insert_rows(connection, adjudication, [decided(row) for row in work])

    def closed(self, k: int, item_id: str, slot_id: str, giver: str | None, schema: str) -> dict[str, Any]:
        """An assignment that was submitted."""
        return {
            "id": f"{'b' if giver else 'a'}{k:05d}", "slot_id": slot_id, "item_id": item_id,
            "user_id": giver or self.people[k % N_PEOPLE], "project_id": self.project_id,
            "purpose": "adjudicate" if giver else "primary", "state": "submitted", "lease_token": "t",
            "lease_until_ms": 1000 * k, "leased_ms": 1000 * k, "opened_ms": None, "closed_ms": 1000 * k + 500,
            "active_ms": 400, "skip_reason": None, "presentation": {"permutation": [0, 1]},
            "schema_id": schema, "guideline_id": None,
        }  # fmt: skip

    def plans_of(self, ask: Callable[[], Any]) -> list[tuple[str, list[str]]]:
        """Each statement over large tables that is sent meanwhile, with the steps of its plan."""
        found: list[tuple[str, list[str]]] = []

        def explain(connection: Any, cursor: Any, statement: str, values: Any, *rest: Any) -> None:
            if not statement.lstrip().startswith("SELECT"):
                return
            own = connection.connection.driver_connection.cursor()
            values = tuple(IN_PROPORTION.get(one, one) if isinstance(one, int) else one for one in values)
            if self.database.is_sqlite:
                own.execute(f"EXPLAIN QUERY PLAN {statement}", values)
                found.append((statement, [row[-1] for row in own.fetchall()]))
                return
            own.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)
            (plan,) = own.fetchone()
            plan = json.loads(plan) if isinstance(plan, str) else plan
            found.append((statement, [told_of(node) for node in walk(plan[0]["Plan"])]))

        event.listen(self.database.engine, "before_cursor_execute", explain)
        try:
            ask()
        finally:
            event.remove(self.database.engine, "before_cursor_execute", explain)
        return found


def said_of(row: dict[str, Any]) -> dict[str, Any]:
    strength = -3 if row["purpose"] == "adjudicate" else 3
    return {
        "id": f"j{row['id']}", "assignment_id": row["id"], "item_id": row["item_id"],
        "user_id": row["user_id"], "revision": 1, "key": f"k{row['id']}", "is_late": False, "source": "human",
        "payload": {
            "answers": {"preference": {"choice": 1}},
            "values": {"preference": {"strength": strength, "both_bad": False}},
        },
        "received_ms": row["closed_ms"],
    }  # fmt: skip


def decided(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"d{row['id']}", "item_id": row["item_id"], "assignment_id": row["id"],
        "judgment_id": f"j{row['id']}", "adjudicator_id": row["user_id"], "cause": "error", "note": "",
        "rule": "", "at_ms": row["closed_ms"],
    }  # fmt: skip


def walk(node: dict[str, Any]) -> Any:
    yield node
    for inner in node.get("Plans", []):
        yield from walk(inner)


def told_of(node: dict[str, Any]) -> str:
    return f"{node['Node Type']} {node.get('Relation Name', '')} {node.get('Index Name', '')}".strip()


def is_whole(step: str) -> bool:
    """Whether a step reads a large table from end to end, or all work of a project or of a person."""
    if step.startswith("Seq Scan"):
        return step.split()[2] in LARGE
    table = re.match(r"(SCAN|SEARCH) (\w+)", step)
    if table is None or table[2] not in (*LARGE, "later", "again", "said"):
        return False
    if "ix_event_recall" in step:  # over the few that were called back alone
        return False
    # An index over some rows alone, those that are held or open, may be read whole.
    is_scan = table[1] == "SCAN" and "ix_assignment_lease" not in step and "uq_assignment_live" not in step
    return is_scan or (table[2] != "slot" and step.endswith(("(user_id=?)", "(project_id=?)")))


@pytest.fixture
def full(any_site):
    return Full(any_site)


def test_no_page_reads_all_that_was_ever_judged(full):
    work, project_id, ann = full.work, full.project_id, full.people[0]

    def signs() -> None:
        with full.database.read() as connection:
            signs_of(connection, project_id, ann, "preference")

    def judge() -> None:
        one = work.resume(project_id, full.people[1])
        sent = {"token": one["token"], "key": "key-" + one["id"], "answers": {"preference": {"choice": 1}}}
        work.submit(one["id"], full.people[1], sent)

    asked: dict[str, Callable[[], Any]] = {
        "claim": lambda: work.queue.claim(project_id, full.people[2]),
        "judge": judge,
        "fetch ahead": lambda: fetch_ahead(work, project_id, ann, have=[], count=2),
        "history": lambda: work.history(project_id, ann),
        "feedback": lambda: feedback_of(work, project_id, ann),
        "signs": signs,
        "today": lambda: _today(work, ann),
        "why there is no work": lambda: work.why_empty(project_id, ann),
        "review": lambda: Reviewing(work).next(project_id, full.decider, Lane.REVIEW),
        "dashboard": lambda: build_dashboard(work, project_id),
        "alerts": lambda: alerts_of(work, project_id),
        "people": lambda: _people_of(Reviewing(work), project_id),
        "metrics": lambda: list(store_lines(full.database)),
        "stream": lambda: work.judgments(project_id, 100),
        "stream of a project with little": lambda: work.judgments(full.others, 0),
        "recalls": lambda: voided(full.database),
    }
    wrong = [
        f"{name}: {step}\n    {statement}"
        for name, ask in asked.items()
        for statement, steps in full.plans_of(ask)
        for step in steps
        if is_whole(step)
    ]
    assert wrong == []


def test_lists_of_the_newest_are_read_in_order_and_not_sorted(full):
    work, project_id, ann = full.work, full.project_id, full.people[0]
    second = work.history(project_id, ann).next
    for index, ask in (
        ("ix_assignment_person", lambda: work.history(project_id, ann)),
        ("ix_assignment_person", lambda: work.history(project_id, ann, after=second)),
        ("ix_assignment_newest", lambda: build_dashboard(work, project_id)),
    ):
        plans = [
            (statement, steps)
            for statement, steps in full.plans_of(ask)
            if "ORDER BY assignment.closed_ms DESC" in statement
        ]
        assert plans
        for statement, steps in plans:
            assert any(index in step for step in steps), (statement, steps)
            assert not any("TEMP B-TREE" in step or "Sort" in step for step in steps), (statement, steps)


def test_the_plans_of_a_store_without_its_indexes_are_seen_to_be_whole(full):
    # The test above would say nothing if it could not fail.
    with full.database.write() as connection:
        for name in ("person", "newest", "day", "lease"):
            connection.execute(text(f"DROP INDEX ix_assignment_{name}"))
    plans = full.plans_of(lambda: full.work.history(full.project_id, full.people[0]))
    assert any(is_whole(step) for _, steps in plans for step in steps)
