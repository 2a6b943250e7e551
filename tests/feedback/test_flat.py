"""Exports read on from where they were: memory does not grow with what was judged."""

import json
import tracemalloc
from typing import Any

import pytest
from sqlalchemy import select

from accord.feedback.export import export_lines
from accord.feedback.items import content_of
from accord.feedback.work import Work
from accord.store.database import Event, NewItem, Projects, WorkQueue
from accord.store.database.audit import append_events
from accord.store.database.engine import insert_rows
from accord.store.database.tables import assignment, definition, judgment, slot

AT_A_TIME = 2100
"""More than two pages: while one is read the last is still there."""


def fill(site: Any, project_id: str, count: int, first: int) -> None:
    """Judgments of as many items, written in bulk as the queue would have written them."""
    projects = Projects.of(site.database)
    user_id = site.person("annotator").get("/me").json()["id"]
    with site.database.read() as connection:
        schema = connection.execute(
            select(definition.c.id).where(
                definition.c.project_id == project_id, definition.c.kind == "schema"
            )
        ).scalar_one()
    rows = [
        {"prompt": f"Question {first + k}?", "candidates": ["good " * 20, "bad " * 20]} for k in range(count)
    ]
    made = projects.add_items(project_id, [NewItem(content=content_of(row), n_candidates=2) for row in rows])
    with site.database.write() as connection:
        places = {row.item_id: row.id for row in connection.execute(select(slot.c.item_id, slot.c.id))}
        payload = {
            "answers": {"preference": {"choice": 1}},
            "values": {"preference": {"strength": 3, "both_bad": False}},
        }
        work = [
            {
                "id": f"a{first + k}", "slot_id": places[one], "item_id": one, "user_id": user_id,
                "project_id": project_id, "purpose": "primary", "state": "submitted", "lease_token": "t",
                "lease_until_ms": 0, "leased_ms": 0, "closed_ms": 1, "active_ms": 0,
                "presentation": {"permutation": [0, 1]}, "schema_id": schema,
            }
            for k, one in enumerate(made)
        ]  # fmt: skip
        said = [
            {
                "id": f"j{first + k}", "assignment_id": f"a{first + k}", "item_id": one, "user_id": user_id,
                "revision": 1, "key": f"k{first + k}", "payload": payload, "is_late": False,
                "source": "human", "received_ms": first + k,
            }
            for k, one in enumerate(made)
        ]  # fmt: skip
        insert_rows(connection, assignment, work)
        insert_rows(connection, judgment, said)
        kind: dict[str, Any] = {"actor": user_id, "action": "submit", "entity": "judgment", "facts": {}}
        append_events(connection, [Event(at_ms=0, entity_id=str(one["id"]), **kind) for one in said])


def peak_bytes(work: Work, project_id: str, kind: str) -> tuple[int, int]:
    tracemalloc.start()
    count = sum(1 for _ in export_lines(work, project_id, kind))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return count, peak


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raw", "preference"])
def test_an_export_of_twice_as_much_needs_no_more_memory(site, kind):
    project_id = site.project([{"prompt": "Never judged", "candidates": ["a", "b"]}])
    work = Work(site.database, WorkQueue.of(site.database))
    fill(site, project_id, AT_A_TIME, 0)
    n_before, before = peak_bytes(work, project_id, kind)
    fill(site, project_id, AT_A_TIME, AT_A_TIME)
    n_after, after = peak_bytes(work, project_id, kind)
    assert (n_before, n_after) == (AT_A_TIME, 2 * AT_A_TIME)
    assert after < 1.3 * before, (before, after)


def test_the_stream_goes_on_behind_any_number(site):
    project_id = site.project([{"prompt": "Never judged", "candidates": ["a", "b"]}])
    fill(site, project_id, 1500, 0)
    work = Work(site.database, WorkQueue.of(site.database))
    whole = [json.loads(line) for line in export_lines(work, project_id, "raw")]
    assert len({row["id"] for row in whole}) == 1500
    rest = [json.loads(line) for line in export_lines(work, project_id, "raw", after=whole[1234]["seq"])]
    assert rest == whole[1235:]
