"""Repeats and known items: looks of their own beside the first, at their rate, and nobody can tell."""

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from accord.domain.errors import StoreError
from accord.store.database import NewItem, PersonState, Purpose, QueueConfig, Terms, WorkQueue
from accord.store.database.hidden import REPEAT_GAP
from accord.store.database.tables import assignment, gold, item, judgment, slot
from accord.store.database.workflow_tables import standing

ANSWER = {"verdict": 6}
ALWAYS = 0.999


def desk(office, **config) -> WorkQueue:
    settings = {"lease_s": 60, "gold_rate": 0.0, "repeat_rate": 0.0, **config}
    return WorkQueue(office.database, office.clock, office.queue.ids, QueueConfig(**settings))


def pairs(count: int, **settings) -> list[NewItem]:
    return [NewItem(content={"prompt": f"question {k}"}, **settings) for k in range(count)]


def judge(queue: WorkQueue, project: str, person: str, key: str, **terms):
    (work,) = queue.claim(project, person, **terms)
    queue.submit(work.id, work.lease_token, key, ANSWER)
    return work


def with_a_repeat(office):
    """Somebody who has judged some items and now holds the repeat of one of them."""
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, pairs(REPEAT_GAP + 10))
    plain, repeating = desk(office), desk(office, repeat_rate=ALWAYS)
    firsts = []
    for k in range(REPEAT_GAP + 5):
        firsts.append(judge(plain, project, ann, f"first {k}"))
        office.clock.pass_seconds(1)
    (again,) = repeating.claim(project, ann)
    first = next(one for one in firsts if one.item_id == again.item_id)
    return project, ann, plain, first, again


def count(office, table, *where) -> int:
    with office.database.read() as connection:
        return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def test_a_repeat_is_an_old_item_with_its_sides_swapped_and_looks_like_any_other(office):
    _, _, queue, first, again = with_a_repeat(office)
    assert again.permutation == tuple(reversed(first.permutation))
    assert {name for name in vars(again)} == {name for name in vars(first)}
    receipt = queue.submit(again.id, again.lease_token, "again", ANSWER)
    assert receipt.revision == 1
    assert count(office, judgment, judgment.c.item_id == first.item_id) == 2
    assert count(office, item, item.c.id == first.item_id, item.c.state == "judged") == 1


def test_a_late_repeat_is_no_revision_of_the_first_judgment(office):
    project, _, queue, first, again = with_a_repeat(office)
    office.clock.pass_seconds(61)
    assert queue.expire(project) == 1
    receipt = queue.submit(again.id, again.lease_token, "late", ANSWER)
    assert (receipt.is_late, receipt.revision) == (True, 1)
    assert count(office, judgment, judgment.c.assignment_id == first.id) == 1
    assert count(office, judgment, judgment.c.assignment_id == again.id) == 1


def test_a_repeat_given_back_waits_for_nobody_and_an_item_is_repeated_once(office):
    project, ann, queue, first, again = with_a_repeat(office)
    queue.release(again.id, again.lease_token)
    assert count(office, slot, slot.c.item_id == first.item_id, slot.c.state == "cancelled") == 1
    repeating = desk(office, repeat_rate=ALWAYS)
    seen = set()
    for k in range(5):
        seen.add(judge(repeating, project, ann, f"more {k}").item_id)
        office.clock.pass_seconds(1)
    assert count(office, assignment, assignment.c.purpose == "repeat", assignment.c.state == "submitted") > 0
    with office.database.read() as connection:
        twice = (
            select(assignment.c.item_id)
            .where(assignment.c.purpose == "repeat", assignment.c.state == "submitted")
            .group_by(assignment.c.item_id)
            .having(func.count() > 1)
        )
        assert connection.execute(twice).all() == []


def test_the_database_itself_refuses_a_second_repeat(office):
    _, _, _, _, again = with_a_repeat(office)
    with office.database.read() as connection:
        row = dict(connection.execute(select(assignment).where(assignment.c.id == again.id)).one()._mapping)
    doubled = row | {"id": "other", "state": "submitted"}
    with pytest.raises(IntegrityError), office.database.write() as connection:
        connection.execute(assignment.insert().values(doubled))


def test_an_item_waits_for_no_repeat_of_its_own(office):
    # overlap 2: ann's repeat is in her hands while bob gives the second judgment
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, pairs(REPEAT_GAP + 5, overlap=2))
    queue = desk(office)
    for k in range(REPEAT_GAP + 3):
        judge(queue, project, ann, f"first {k}")
        office.clock.pass_seconds(1)
    (again,) = desk(office, repeat_rate=ALWAYS).claim(project, ann)
    bob = office.projects.add_user("bob")
    for k in range(REPEAT_GAP + 3):
        judge(queue, project, bob, f"second {k}")
    assert count(office, item, item.c.id == again.item_id, item.c.state == "judged") == 1


def test_a_known_item_is_given_until_its_cap_and_never_once_retired(office):
    project = office.projects.add_project("p")
    office.projects.add_items(project, pairs(20, overlap=5))
    capped = office.projects.add_gold(project, NewItem(content={"prompt": "capped"}), {"q": 1})
    retired = office.projects.add_gold(project, NewItem(content={"prompt": "retired"}), {"q": 1})
    with office.database.write() as connection:
        connection.execute(update(gold).where(gold.c.item_id == capped).values(exposure_cap=2))
        connection.execute(update(gold).where(gold.c.item_id == retired).values(retired_ms=1))
    queue = desk(office, gold_rate=ALWAYS)
    people = [office.projects.add_user(f"person {k}") for k in range(4)]
    met = [queue.claim(project, person)[0].content["prompt"] for person in people]
    assert met[:2] == ["capped", "capped"]
    assert "capped" not in met[2:]
    assert "retired" not in met


def test_somebody_in_training_or_at_the_test_gets_items_of_that_tier_alone(office):
    project = office.projects.add_project("p")
    office.projects.add_items(project, pairs(3))
    for tier in ("training", "test"):
        office.projects.add_gold(project, NewItem(content={"prompt": tier}), {"q": 1}, tier=tier)
    queue = desk(office)
    for state, seen in ((PersonState.TRAINING, "training"), (PersonState.TESTING, "test")):
        person = office.projects.add_user(state)
        terms = Terms(first_state=state)
        assert [one.content["prompt"] for one in queue.claim(project, person, count=5, terms=terms)] == [seen]
    with office.database.read() as connection:
        purposes = connection.execute(select(assignment.c.purpose).order_by(assignment.c.purpose)).scalars()
        assert list(purposes) == [Purpose.TEST, Purpose.TRAINING]


@pytest.mark.parametrize("state", ["paused", "failed", "left"])
def test_whoever_is_not_at_work_gets_nothing(office, state):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, pairs(3))
    queue = desk(office)
    judge(queue, project, ann, "key")
    with office.database.write() as connection:
        connection.execute(update(standing).values(state=state))
    assert queue.claim(project, ann) == []


def test_the_limits_of_a_day_count_what_is_held_and_end_with_the_day(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, pairs(9))
    queue, terms = desk(office), Terms(max_per_day=3)
    judge(queue, project, ann, "one", terms=terms)
    assert len(queue.claim(project, ann, count=5, terms=terms)) == 2
    assert queue.claim(project, ann, terms=terms) == []
    office.clock.pass_seconds(86_400)
    assert len(queue.claim(project, ann, count=5, terms=terms)) == 3


def test_time_worked_is_limited_by_the_servers_clock(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, pairs(3))
    queue, terms = desk(office), Terms(max_active_ms=30_000)
    (work,) = queue.claim(project, ann, terms=terms)
    office.clock.pass_seconds(40)
    queue.extend(work.id, work.lease_token, active_ms=35_000)
    queue.submit(work.id, work.lease_token, "key", ANSWER)
    assert queue.claim(project, ann, terms=terms) == []


@pytest.mark.parametrize("field", ["gold_rate", "repeat_rate"])
def test_a_rate_is_a_share(field):
    with pytest.raises(StoreError, match=field):
        QueueConfig(**{field: 1.0})
