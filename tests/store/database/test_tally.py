"""Counters of a project say what counting would say, whatever happens, and no page counts rows."""

from typing import Any

import pytest
from sqlalchemy import event, select, text

from accord.domain.errors import StoreError
from accord.feedback.invariants import check_store
from accord.feedback.items import content_of
from accord.feedback.queue_health import describe_queue
from accord.feedback.telemetry import store_lines
from accord.feedback.work import Work
from accord.store.database import Database, NewItem, Terms, verify_chain
from accord.store.database.audit import append_waiting, list_streams
from accord.store.database.backup import restore_backup, write_backup
from accord.store.database.engine import open_database
from accord.store.database.tables import slot
from accord.store.database.tally import Kind, recount, recounts
from accord.store.database.upkeep_tables import tally

PAIR = {"prompt": "Why?", "candidates": ["One.", "Two."]}


def counters(database: Database) -> dict[tuple[str, str, str], int]:
    with database.read() as connection:
        rows = connection.execute(select(tally).where(tally.c.n != 0)).all()
    return {(row.project_id, row.kind, row.name): row.n for row in rows}


def counted(database: Database) -> dict[tuple[str, str, str], int]:
    with database.read() as connection:
        rows = [tuple(row) for query in recounts() for row in connection.execute(query)]
    return {(place, kind, str(name)): int(n) for place, kind, name, n in rows if n}


def filled(office: Any) -> tuple[str, Work, list[str]]:
    project_id = office.projects.add_project("p")
    office.projects.add_definition(project_id, "schema", {"kind": "pairwise"})
    rows = [NewItem(content=content_of({**PAIR, "prompt": str(k)}), overlap=2) for k in range(6)]
    rows.append(NewItem(content=content_of(PAIR), required_skill="law"))
    office.projects.add_items(project_id, rows)
    for k in range(3):
        known = NewItem(content=content_of({**PAIR, "prompt": f"known {k}"}))
        office.projects.add_gold(project_id, known, {"preference": {"strength": 1, "both_bad": False}})
    people = [office.projects.add_user(one, skills=["law"]) for one in ("ann", "ben")]
    return project_id, Work(office.database, office.queue), people


def give(work: Work, one: Any, user_id: str, key: str) -> Any:
    sent = {"token": one.lease_token, "key": key, "answers": {"preference": {"choice": 2}}}
    return work.submit(one.id, user_id, sent)


def test_every_way_work_goes_moves_the_counters(office):
    project_id, work, (ann, ben) = filled(office)
    database, queue = office.database, office.queue
    assert counters(database) == counted(database)
    terms = Terms(gold_rate=0.5, repeat_rate=0.5)
    first = queue.claim(project_id, ann, count=5, terms=terms)
    assert counters(database) == counted(database)
    queue.skip(first[0].id, first[0].lease_token, "dull")
    queue.release(first[1].id, first[1].lease_token)
    queue.extend(first[2].id, first[2].lease_token, active_ms=0)
    office.clock.pass_seconds(30)
    queue.extend(first[2].id, first[2].lease_token, active_ms=20_000)
    receipt = give(work, first[2], ann, "key-00000001")
    give(work, first[2], ann, "key-00000001")  # the same judgment
    sent = {"key": "key-00000002", "answers": {"preference": {"choice": 7}}}
    work.revise(receipt.judgment_id, ann, sent)
    assert counters(database) == counted(database)
    office.clock.pass_seconds(3600)
    assert queue.expire(project_id)
    give(work, first[3], ann, "key-00000003")  # late
    office.clock.pass_seconds(86_400)
    for user_id, who in ((ann, "a"), (ben, "b")):
        for k in range(12):
            for one in queue.claim(project_id, user_id, terms=terms):
                give(work, one, user_id, f"key-{who}{k:08}")
    assert counters(database) == counted(database)
    facts = work.progress(project_id)
    assert facts["slots"].keys() >= {"filled"}
    assert {one["handle"] for one in facts["annotators"]} == {"ann", "ben"}
    assert sum(one["active_ms"] for one in facts["annotators"]) == 20_000
    kinds = {kind for _, kind, _ in counters(database)}
    assert kinds >= {Kind.ITEM, Kind.SLOT, Kind.PERSON, Kind.ACTIVE, Kind.DAY}


def test_what_is_taken_back_moves_nothing(office):
    project_id, _, _ = filled(office)
    before = counters(office.database)
    n_events = verify_chain(office.database).n_events

    def breaks() -> None:
        office.projects.add_items(project_id, [NewItem(content={"new": 1})])
        office.projects.add_definition("none", "schema", {})

    def breaks_within() -> None:
        with office.database.write():
            breaks()

    with pytest.raises(StoreError, match="no project"), office.database.together():
        breaks()
    assert counters(office.database) == before == counted(office.database)
    with office.database.together() as outer:
        with pytest.raises(StoreError, match="no project"):
            breaks_within()
        append_waiting(outer)
    assert counters(office.database) == before == counted(office.database)
    assert verify_chain(office.database).n_events == n_events


def test_a_backup_of_before_there_were_counters_is_counted(office, tmp_path):
    filled(office)
    with office.database.write() as connection:
        connection.execute(text("DELETE FROM tally"))
    write_backup(office.database, tmp_path / "b.gz")
    moved = open_database(tmp_path / "moved.db")
    moved.create()
    restore_backup(moved, tmp_path / "b.gz")
    assert counters(moved) == counted(moved) != {}
    with office.database.write() as connection:
        recount(connection)
    assert counters(office.database) == counters(moved)
    moved.close()


def test_a_backup_of_before_there_were_streams_is_read_on_all_the_same(office, tmp_path):
    project_id, work, (ann, _) = filled(office)
    for k in range(3):
        for one in office.queue.claim(project_id, ann):
            give(work, one, ann, f"key-{k:08}")
    told = work.judgments(project_id, 0)
    assert len(told) == 3
    assert work.judgments(project_id, told[1]["seq"]) == told[2:]
    with office.database.write() as connection:
        connection.execute(text("DELETE FROM stream"))
    assert work.judgments(project_id, 0) == []
    assert any("wrongly misses event" in one for found in check_store(work) for one in found.told)
    write_backup(office.database, tmp_path / "b.gz")
    moved = open_database(tmp_path / "moved.db")
    moved.create()
    restore_backup(moved, tmp_path / "b.gz")
    assert Work(moved, office.queue).judgments(project_id, 0) == told
    with office.database.write() as connection:
        list_streams(connection)
    assert work.judgments(project_id, 0) == told
    assert [found.told for found in check_store(work) if found.n_broken] == []
    moved.close()


def n_asked(database: Database, ask: Any) -> int:
    """Statements that are sent while something is asked; none of them counts items, slots or judgments."""

    def look(connection: Any, cursor: Any, statement: Any, *rest: Any) -> None:
        statements.append(str(statement))

    statements: list[str] = []
    event.listen(database.engine, "after_cursor_execute", look)
    ask()
    event.remove(database.engine, "after_cursor_execute", look)
    counting = [one for one in statements if "count(" in one.lower() and "assignment" not in one]
    assert counting == [], counting
    return len(statements)


def test_pages_ask_no_table_of_work_how_many_there_are(office):
    """What home, the lists, the figures and the queue's health ask is the same for 10 and for 4,000 slots."""
    project_id, work, _ = filled(office)

    def ask() -> None:
        work.progress(project_id)
        list(store_lines(office.database))
        describe_queue(work, project_id)

    before = n_asked(office.database, ask)
    office.projects.add_items(project_id, [NewItem(content={"k": k}, overlap=2) for k in range(2000)])
    assert n_asked(office.database, ask) == before
    assert work.progress(project_id)["slots"]["open"] == 4013


def test_why_a_queue_is_empty_is_not_read_from_slots_that_were_filled(office):
    project_id = office.projects.add_project("p")
    office.projects.add_definition(project_id, "schema", {"kind": "pairwise"})
    made = office.projects.add_items(project_id, [NewItem(content={"k": k}) for k in range(2000)])
    user_id = office.projects.add_user("ann")
    with office.database.write() as connection:
        connection.execute(slot.update().values(state="filled"))
        connection.execute(text("ANALYZE"))
    assert len(made) == 2000
    steps: list[str] = []

    def explain(connection: Any, cursor: Any, statement: Any, values: Any, *rest: Any) -> None:
        if statement.lstrip().startswith("SELECT") and office.database.is_sqlite:
            cursor.execute("EXPLAIN QUERY PLAN " + statement, values)
            steps.extend(row[3] for row in cursor.fetchall())

    event.listen(office.database.engine, "before_cursor_execute", explain)
    reason = Work(office.database, office.queue).why_empty(project_id, user_id)
    event.remove(office.database.engine, "before_cursor_execute", explain)
    assert reason["reason"] == "done"
    assert not any(step.startswith(("SCAN slot", "SCAN item", "SCAN assignment")) for step in steps), steps
