"""The checks of all invariants: silent where people worked, and each names what was broken by hand."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from accord.domain.ids import CountingIds
from accord.feedback.export import export_lines
from accord.feedback.invariants import NAMES, Witness, check_store
from accord.feedback.items import content_of
from accord.feedback.reviewing import Reviewing
from accord.feedback.snapshots import take_snapshot
from accord.feedback.work import Work
from accord.store.database import Database, Lane, NewItem, Projects, QueueConfig, WorkQueue, open_database
from accord.store.database.tables import (
    assignment,
    chain,
    content,
    gold,
    item,
    judgment,
    slot,
)
from accord.store.database.upkeep_tables import tally
from accord.store.database.workflow_tables import gold_result, stage_run, standing

from ..store.database.conftest import HandClock

STAGES = [
    {"stage": "label", "kind": "label", "overlap": 2},
    {"stage": "agree", "kind": "consensus", "min_people": 2, "max_people": 3},
    {"stage": "read", "kind": "review"},
    {"stage": "decide", "kind": "adjudication"},
]
ITEMS = 8
PEOPLE = 5


@dataclass
class Worked:
    """A store in which everything happened once."""

    database: Database
    work: Work
    clock: HandClock
    project_id: str
    witness: Witness

    def on(self, database: Database) -> "Worked":
        """The same in a copy of the database."""
        work = Work(database, replace(self.work.queue, database=database))
        return replace(self, database=database, work=work)

    def broken(self, witness: Witness | None = None) -> dict[str, tuple[str, ...]]:
        found = check_store(self.work, witness or self.witness)
        return {one.name: one.told for one in found if one.n_broken}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Worked]:
    """The store once, to be copied for each test."""
    place = tmp_path_factory.mktemp("worked") / "accord.db"
    database = open_database(place)
    database.create()
    made = filled(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return place, made


@pytest.fixture
def worked(template: tuple[Path, Worked], tmp_path: Path) -> Iterator[Worked]:
    place, made = template
    database = open_database(shutil.copy(place, tmp_path / "accord.db"))
    yield made.on(database)
    database.close()


@pytest.fixture
def worked_on_postgres(postgres_url: str) -> Iterator[Worked]:
    database = open_database(postgres_url)
    database.create()
    yield filled(database)
    database.close()


def filled(database: Database) -> Worked:
    clock, ids = HandClock(), CountingIds()
    config = QueueConfig(lease_s=60, repeat_gap=1)
    work = Work(database, WorkQueue(database, clock, ids, config))
    projects, reviewing = Projects(database, clock, ids), Reviewing(work)
    project_id = projects.add_project("p")
    projects.add_definition(project_id, "schema", {"kind": "pairwise"})
    projects.add_definition(project_id, "workflow", {"stages": STAGES})
    projects.add_definition(project_id, "policy", {"gold": 0.2, "repeats": 0.1})
    people = [projects.add_user(f"person {k}") for k in range(PEOPLE)]
    readers = [projects.add_user(f"reader {k}") for k in range(2)]
    rows = [
        {
            "prompt": f"Question {k}?",
            "candidates": [
                {"text": f"one of {k}", "model": "secret-a"},
                {"text": "two", "model": "secret-b"},
            ],
            "meta": {"inclusion": 0.5},
        }
        for k in range(ITEMS)
    ]
    new = [NewItem(content=content_of(row), n_candidates=2, overlap=2) for row in rows]
    projects.add_items(project_id, new)
    for k in range(3):
        body = content_of({"prompt": f"Known {k}?", "candidates": ["good", "bad"]})
        known = {"preference": {"strength": 1, "both_bad": False}}
        projects.add_gold(project_id, NewItem(content=body, n_candidates=2), known, exposure_cap=4)
    acknowledged: dict[str, Any] = {}
    shown: dict[str, list[str]] = {}

    def judge(page: dict[str, Any], user_id: str, choice: int) -> str:
        answers = {"preference": {"choice": choice}}
        sent = {"token": page["token"], "key": f"key {page['id']}", "answers": answers}
        made = work.submit(page["id"], user_id, sent)
        acknowledged[made.judgment_id], shown[made.judgment_id] = answers, page["shown"]["candidates"]
        return made.judgment_id

    late = work.next(project_id, people[0], 1)["assignments"][0]
    skipped = work.next(project_id, people[1], 1)["assignments"][0]
    work.queue.skip(skipped["id"], skipped["token"], "unclear")
    clock.pass_seconds(61)
    work.queue.expire(project_id)
    judge(late, people[0], 2)
    for k in range(6 * ITEMS):
        user_id = people[k % PEOPLE]
        for page in work.next(project_id, user_id, 1)["assignments"]:
            work.queue.open(page["id"], page["token"])
            clock.pass_seconds(5)
            work.queue.extend(page["id"], page["token"], active_ms=3000)
            made = judge(page, user_id, [1, 1, 7][k % 3])
            if k == 1:
                revision = {"key": "another key", "answers": {"preference": {"choice": 4}}}
                revised = work.revise(made, user_id, revision)
                acknowledged[revised.judgment_id] = revision["answers"]
    take_snapshot(work, project_id)
    for k, verdict in enumerate(("accept", "fix", "reject_requeue", "reject_drop") * 2):
        page = reviewing.next(project_id, readers[k % 2], Lane.REVIEW)
        for card in [] if page is None else page["cards"]:
            sent = {
                "assignment": page["id"], "token": page["token"], "verdict": verdict, "note": "",
                "reasons": [] if verdict == "accept" else ["wrong"], "key": f"fix {card['judgment_id']}",
                "answers": {"preference": {"choice": 1}},
            }  # fmt: skip
            reviewing.review(card["judgment_id"], readers[k % 2], sent)
    for k, reader in enumerate(readers):
        page = reviewing.next(project_id, reader, Lane.ADJUDICATE)
        if page is not None:
            sent = {
                "assignment": page["id"], "token": page["token"], "cause": "style", "note": "", "rule": "",
                "key": f"decide {k}", "answers": {"preference": {"choice": 1}}, "make_gold": True,
            }  # fmt: skip
            reviewing.adjudicate(page["item"], reader, sent)
    return Worked(database, work, clock, project_id, Witness(acknowledged=acknowledged, shown=shown))


@pytest.mark.parametrize("place", ["worked", "worked_on_postgres"])
def test_a_store_that_was_worked_in_keeps_all_of_them(place, request):
    worked: Worked = request.getfixturevalue(place)
    found = check_store(worked.work, worked.witness)
    assert [one.number for one in found] == list(range(1, 16))
    assert [one.name for one in found] == list(NAMES)
    assert {one.name: one.told for one in found if one.n_broken} == {}
    assert {one.name for one in found if not one.n_checked} == set()


def one(connection: Any, query: Any) -> Any:
    row = connection.execute(query.limit(1)).first()
    assert row is not None, "nothing to break"
    return row


def lease_twice(connection: Any) -> None:
    filled_slot = one(connection, select(slot.c.id).where(slot.c.state == "filled")).id
    connection.execute(update(slot).where(slot.c.id == filled_slot).values(state="leased"))


def add_slot(connection: Any) -> None:
    """A slot that nobody asked for: one more judgment than the overlap."""
    row = one(connection, select(slot).where(slot.c.purpose == "primary"))
    values = dict(row._mapping) | {"id": "surplus", "number": 99, "state": "filled"}
    connection.execute(insert(slot).values(values))
    work = one(connection, select(assignment).where(assignment.c.purpose == "primary"))
    copied = dict(work._mapping) | {"id": "surplus", "slot_id": "surplus", "state": "released"}
    connection.execute(insert(assignment).values(copied))


def judge_again(connection: Any) -> None:
    row = one(connection, select(assignment).where(assignment.c.state == "submitted"))
    connection.execute(text("DROP INDEX uq_assignment_item_user"))
    values = dict(row._mapping) | {"id": "again", "state": "skipped", "skip_reason": "unclear"}
    connection.execute(insert(assignment).values(values))


def review_own(connection: Any) -> None:
    """The reviewer's work is given to the author of what he read."""
    row = one(
        connection,
        select(assignment.c.id, judgment.c.user_id)
        .join(judgment, judgment.c.item_id == assignment.c.item_id)
        .where(assignment.c.purpose == "review", judgment.c.assignment_id != assignment.c.id),
    )
    connection.execute(update(assignment).where(assignment.c.id == row.id).values(user_id=row.user_id))


def change_content(connection: Any) -> None:
    row = one(connection, select(content))
    body = row.body | {"messages": [{"role": "user", "content": "Another question?"}]}
    connection.execute(update(content).where(content.c.hash == row.hash).values(body=body))


def leave_unguarded(connection: Any) -> None:
    """The guards are off already."""


def turn_around(connection: Any) -> None:
    row = one(
        connection,
        select(assignment)
        .join(judgment, judgment.c.assignment_id == assignment.c.id)
        .where(assignment.c.purpose == "primary"),
    )
    order = {"permutation": row.presentation["permutation"][::-1]}
    connection.execute(update(assignment).where(assignment.c.id == row.id).values(presentation=order))


def name_the_model(connection: Any) -> None:
    row = one(
        connection,
        select(content)
        .join(item, item.c.content_hash == content.c.hash)
        .join(assignment, assignment.c.item_id == item.c.id)
        .where(item.c.id.not_in(select(gold.c.item_id)), assignment.c.purpose == "primary"),
    )
    text_of = {"text": "I am secret-a", "model": "secret-a"}
    body = row.body | {"candidates": [text_of, row.body["candidates"][1]]}
    connection.execute(update(content).where(content.c.hash == row.hash).values(body=body))


def launder_gold(connection: Any) -> None:
    """A known item loses every sign of being one but for the chain."""
    row = one(connection, select(assignment).where(assignment.c.purpose == "gold"))
    connection.execute(gold.delete().where(gold.c.item_id == row.item_id))
    connection.execute(
        update(assignment).where(assignment.c.item_id == row.item_id).values(purpose="primary")
    )


def void_judgment(connection: Any) -> None:
    """A judgment of the snapshot is answered otherwise."""
    row = one(connection, select(judgment).where(judgment.c.id.in_(select(chain.c.entity_id))))
    payload = row.payload | {"values": {"preference": {"strength": 2, "both_bad": False}}}
    for kept in connection.execute(select(judgment.c.id)).scalars().all():
        connection.execute(update(judgment).where(judgment.c.id == kept).values(payload=payload))


def judge_by_model(connection: Any) -> None:
    row = one(
        connection,
        select(stage_run).where(stage_run.c.kind == "consensus", stage_run.c.outcome == "agreed"),
    )
    connection.execute(update(judgment).where(judgment.c.item_id == row.item_id).values(source="llm"))


def work_longer(connection: Any) -> None:
    row = one(connection, select(assignment).where(assignment.c.closed_ms.is_not(None)))
    connection.execute(update(assignment).where(assignment.c.id == row.id).values(active_ms=10**9))


def work_twice_at_once(connection: Any) -> None:
    """Two pieces of work of one person lie over each other, and each was worked on all the time."""
    rows = connection.execute(
        select(assignment).where(assignment.c.user_id == one(connection, select(assignment)).user_id).limit(2)
    ).all()
    for row in rows:
        span = {"leased_ms": 10**15, "closed_ms": 10**15 + 8000, "active_ms": 8000}
        connection.execute(update(assignment).where(assignment.c.id == row.id).values(span))


def show_more_often(connection: Any) -> None:
    known = select(assignment.c.item_id).where(assignment.c.purpose == "gold")
    connection.execute(update(gold).where(gold.c.item_id.in_(known)).values(exposure_cap=0))


def never_check(connection: Any) -> None:
    """All work was known items, though a fifth is wanted."""
    connection.execute(update(assignment).where(assignment.c.purpose == "primary").values(purpose="gold"))


def leave_unpaid(connection: Any) -> None:
    row = one(connection, select(assignment).where(assignment.c.state == "submitted_late"))
    his = (tally.c.kind == "person") & (tally.c.name == row.user_id)
    connection.execute(update(tally).where(his).values(n=tally.c.n - 1))


def mark_the_expired(connection: Any) -> None:
    row = one(connection, select(standing))
    connection.execute(
        update(standing).where(standing.c.user_id == row.user_id).values(n_gold=row.n_gold + 1)
    )


def score_the_expired(connection: Any) -> None:
    row = one(
        connection,
        select(assignment).join(judgment, judgment.c.assignment_id == assignment.c.id).join(
            gold_result, gold_result.c.judgment_id == judgment.c.id
        ),
    )  # fmt: skip
    connection.execute(update(assignment).where(assignment.c.id == row.id).values(state="expired"))


def drop_an_event(connection: Any) -> None:
    last = connection.execute(select(func.max(chain.c.number))).scalar_one()
    connection.execute(chain.delete().where(chain.c.number == last - 3))


def change_a_judgment(connection: Any) -> None:
    """Answers and values that fit each other, but not what was sealed."""
    row = one(connection, select(judgment).where(judgment.c.payload.is_not(None)))
    connection.execute(
        update(judgment).where(judgment.c.id == row.id).values(payload=row.payload | {"ui": {"late": 1}})
    )


def change_state_silently(connection: Any) -> None:
    row = one(connection, select(assignment).where(assignment.c.state == "skipped"))
    values = {"state": "released", "skip_reason": None}
    connection.execute(update(assignment).where(assignment.c.id == row.id).values(values))


def forget_inclusion(connection: Any) -> None:
    row = one(
        connection,
        select(content)
        .join(item, item.c.content_hash == content.c.hash)
        .where(item.c.id.not_in(select(gold.c.item_id))),
    )
    body = {name: value for name, value in row.body.items() if name != "meta"}
    connection.execute(update(content).where(content.c.hash == row.hash).values(body=body))


def lose_a_judgment(connection: Any) -> None:
    row = one(
        connection,
        select(judgment)
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .where(assignment.c.purpose == "primary", judgment.c.revision == 1),
    )
    connection.execute(judgment.delete().where(judgment.c.id == row.id))


def strand_an_item(connection: Any) -> None:
    row = one(connection, select(item).where(item.c.state == "complete"))
    connection.execute(update(item).where(item.c.id == row.id).values(state="in_progress"))


PLANTS: list[tuple[str, Callable[[Any], None]]] = [
    ("capacity", lease_twice),
    ("capacity", add_slot),
    ("once", judge_again),
    ("once", review_own),
    ("unchanged", change_content),
    ("unchanged", leave_unguarded),
    ("presentation", turn_around),
    ("blinding", name_the_model),
    ("gold_apart", launder_gold),
    ("snapshots", void_judgment),
    ("people", judge_by_model),
    ("time", work_longer),
    ("time", work_twice_at_once),
    ("exposure", show_more_often),
    ("exposure", never_check),
    ("pay", leave_unpaid),
    ("blame", mark_the_expired),
    ("blame", score_the_expired),
    ("events", drop_an_event),
    ("events", change_a_judgment),
    ("events", change_state_silently),
    ("inclusion", forget_inclusion),
    ("nothing_lost", lose_a_judgment),
    ("nothing_lost", strand_an_item),
]


def test_each_invariant_has_a_way_to_be_broken():
    assert {name for name, _ in PLANTS} == set(NAMES)


@pytest.mark.parametrize(("name", "plant"), PLANTS, ids=lambda one: getattr(one, "__name__", one))
def test_what_is_broken_by_hand_is_named(worked, name, plant):
    with worked.database.write() as connection:
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        for trigger in connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).all():
            connection.execute(text(f"DROP TRIGGER {trigger.name}"))
    with worked.database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        plant(connection)
        connection.commit()
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    found = worked.broken()
    assert name in found, found
    if name == "unchanged" and plant is not leave_unguarded:
        assert any("is not what its hash says" in one for one in found[name])


def test_what_clients_saw_is_held_against_the_store(worked):
    seen = worked.witness
    some = next(iter(seen.shown))
    asked = {
        "nothing_lost": Witness(acknowledged={"never": {}}),
        "presentation": Witness(shown={some: seen.shown[some][::-1]}),
        "blinding": Witness(shapes={"a": "id token", "b": "id token", "c": "id token is_gold"}),
    }
    for name, witness in asked.items():
        assert name in worked.broken(witness)
    assert "nothing_lost" in worked.broken(Witness(receipts=[({"id": 1}, {"id": 2})]))
    assert worked.broken(Witness()) == {}


def test_a_reviewer_is_heard_although_his_server_s_clock_is_behind(worked):
    """He rejects at a time before the item entered its review, by the clock of another server."""
    work = worked.work
    projects = Projects(worked.database, worked.clock, work.queue.ids)
    project_id = projects.add_project("skewed")
    projects.add_definition(project_id, "schema", {"kind": "pairwise"})
    stages = [{"stage": "label", "kind": "label"}, {"stage": "read", "kind": "review"}]
    projects.add_definition(project_id, "workflow", {"stages": stages})
    body = content_of({"prompt": "Why?", "candidates": ["a", "b"]})
    (item_id,) = projects.add_items(project_id, [NewItem(content=body, n_candidates=2)])
    ann, eve = projects.add_user("skewed ann"), projects.add_user("skewed eve")
    (page,) = work.next(project_id, ann, 1)["assignments"]
    answers = {"preference": {"choice": 1}}
    said = work.submit(page["id"], ann, {"token": page["token"], "key": "key of ann", "answers": answers})
    worked.clock.pass_seconds(-30)
    reading = Reviewing(work)
    page = reading.next(project_id, eve, Lane.REVIEW)
    verdict = {"verdict": "reject_requeue", "reasons": ["wrong"], "note": "", "key": None, "answers": None}
    reading.review(said.judgment_id, eve, {"assignment": page["id"], "token": page["token"], **verdict})
    worked.clock.pass_seconds(30)
    assert [one["outcome"] for one in reading.way_of(item_id)] == ["judged", "requeued", None]


def test_work_that_comes_late_to_an_item_that_came_back_keeps_its_own_order(worked):
    """It stands in the order seen before, also where it was judged or skipped before the late word."""
    work = worked.work
    projects = Projects(worked.database, worked.clock, work.queue.ids)
    project_id = projects.add_project("come back")
    projects.add_definition(project_id, "schema", {"kind": "pairwise"})
    rows = [{"prompt": f"Again {k}?", "candidates": ["first", "second"]} for k in range(8)]
    projects.add_items(project_id, [NewItem(content=content_of(row), n_candidates=2) for row in rows])
    ann, shown = projects.add_user("come back ann"), {}
    lost = work.next(project_id, ann, 8)["assignments"]
    worked.clock.pass_seconds(61)
    again = work.next(project_id, ann, 8)["assignments"]
    assert [one["shown"]["candidates"] for one in lost] == [one["shown"]["candidates"] for one in again]
    assert len({tuple(one["shown"]["candidates"]) for one in lost}) == 2  # both orders are among them
    for page in again[4:6]:
        work.queue.skip(page["id"], page["token"], "unclear")  # what was said before is taken all the same
    for page in [*again[:4], *lost]:
        sent = {"token": page["token"], "key": f"key {page['id']}", "answers": {"preference": {"choice": 1}}}
        shown[work.submit(page["id"], ann, sent).judgment_id] = page["shown"]["candidates"]
    assert worked.broken(Witness(shown=shown)) == {}
    rows = list(export_lines(work, project_id, "comparisons"))
    chosen = {(row["left"], row["choice"]) for row in map(json.loads, rows)}
    assert chosen <= {("first", "left"), ("second", "left")}  # the left one was better, whichever it was
