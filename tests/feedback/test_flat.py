"""Exports read on from where they were: memory does not grow with what was judged."""

import json
import tracemalloc
from typing import Any

import pytest
from sqlalchemy import event, select

from accord.feedback.export import export_lines
from accord.feedback.snapshots import build_snapshot
from accord.feedback.work import Work
from accord.store.database import WorkQueue
from accord.store.database.tables import chain_head, user

AT_A_TIME = 2100
"""More than two pages: while one is read the last is still there."""


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
    site.fill(project_id, AT_A_TIME, 0)
    n_before, before = peak_bytes(work, project_id, kind)
    site.fill(project_id, AT_A_TIME, AT_A_TIME)
    n_after, after = peak_bytes(work, project_id, kind)
    assert (n_before, n_after) == (AT_A_TIME, 2 * AT_A_TIME)
    assert after < 1.3 * before, (before, after)


def test_the_stream_goes_on_behind_any_number(site):
    project_id = site.project([{"prompt": "Never judged", "candidates": ["a", "b"]}])
    site.fill(project_id, 1500, 0)
    work = Work(site.database, WorkQueue.of(site.database))
    whole = [json.loads(line) for line in export_lines(work, project_id, "raw")]
    assert len({row["id"] for row in whole}) == 1500
    rest = [json.loads(line) for line in export_lines(work, project_id, "raw", after=whole[1234]["seq"])]
    assert rest == whole[1235:]


def test_texts_are_read_for_many_judgments_at_once(site):
    project_id = site.project([{"prompt": "Never judged", "candidates": ["a", "b"]}])
    site.fill(project_id, 1500, 0)
    work, asked = Work(site.database, WorkQueue.of(site.database)), []

    def keep(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    event.listen(site.database.engine, "before_cursor_execute", keep)
    assert sum(1 for _ in export_lines(work, project_id, "preference")) == 1500
    selects = [one for one in asked if one.lstrip().startswith("SELECT")]
    # recalls, where the chain ends, the schema; two pages, what of them was revised; texts of 200 each
    assert len(selects) == 3 + 2 + 2 + 8


def test_of_a_judgment_that_was_revised_pages_later_the_last_revision_is_told(site):
    project_id = site.project([{"prompt": "Never judged", "candidates": ["a", "b"]}])
    site.fill(project_id, 1200, 0)
    work = Work(site.database, WorkQueue.of(site.database))
    first, *_ = work.judgments(project_id, 0)
    before = build_snapshot(work, project_id, 2**60)
    with site.database.read() as connection:
        upto = connection.execute(select(chain_head.c.number)).scalar_one()
        user_id = connection.execute(select(user.c.id).where(user.c.handle == "annotator")).scalar_one()
    revised = work.revise(
        first["id"], user_id, {"key": "key-of-revision", "answers": {"preference": {"choice": 7}}}
    )
    told = [json.loads(line) for line in export_lines(work, project_id, "preference")]
    assert len(told) == 1200
    assert told[-1]["judgment_id"] == revised.judgment_id
    assert first["id"] not in {row["judgment_id"] for row in told}
    assert build_snapshot(work, project_id, upto).hash == before.hash
    assert build_snapshot(work, project_id, 2**60).n_rows == 1200
