"""What comes at once, from several tabs or people, is taken one after the other, on both databases."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import select

from accord.feedback.calibrating import Calibrating
from accord.feedback.work import Work
from accord.store.database import NewItem
from accord.store.database.slots import cancel_slots
from accord.store.database.tables import assignment, item, judgment, slot

ANSWER = {"verdict": 6}
ROUNDS = 30


def at_once(*steps: Callable[[], Any]) -> list[Any]:
    """What each step returned, all begun together."""
    start = threading.Barrier(len(steps))

    def begin(step: Callable[[], Any]) -> Any:
        start.wait()
        return step()

    with ThreadPoolExecutor(len(steps)) as pool:
        return [one.result() for one in [pool.submit(begin, step) for step in steps]]


def test_late_work_and_a_claim_of_the_same_item_do_not_cross(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    for k in range(ROUNDS):
        office.projects.add_items(project, [NewItem(content={"prompt": f"question {k}"})])
        (old,) = office.queue.claim(project, ann)
        office.clock.time += timedelta(seconds=61)
        office.queue.expire(project)
        receipt, _ = at_once(
            partial(office.queue.submit, old.id, old.lease_token, f"key-{k}", ANSWER),
            partial(office.queue.claim, project, ann),
        )
        with office.database.read() as connection:
            (row,) = connection.execute(select(judgment).where(judgment.c.item_id == old.item_id)).all()
            kept = connection.execute(
                select(assignment.c.state).where(assignment.c.id == row.assignment_id)
            ).scalar_one()
        assert row.id == receipt.judgment_id
        assert kept in ("submitted", "submitted_late")


def test_the_same_submission_from_two_tabs_is_one_judgment(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, [NewItem(content={"prompt": f"question {k}"}) for k in range(ROUNDS)])
    for k in range(ROUNDS):
        (work,) = office.queue.claim(project, ann)
        send = partial(office.queue.submit, work.id, work.lease_token, f"key-{k}", ANSWER)
        first, second = at_once(send, send)
        assert first == second
    with office.database.read() as connection:
        assert len(connection.execute(select(judgment.c.id)).all()) == ROUNDS


def test_a_claim_passes_by_an_item_that_is_being_moved_on(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, [NewItem(content={"prompt": name}) for name in ("first", "second")])
    with office.database.read() as connection:
        first, second = connection.execute(select(item.c.id).order_by(item.c.id)).scalars()
    with ThreadPoolExecutor(1) as pool:
        with office.database.write() as connection:
            connection.execute(select(item.c.id).where(item.c.id == first).with_for_update(key_share=True))
            claimed = pool.submit(office.queue.claim, project, ann)
            if not office.database.is_sqlite:  # where only one writes at a time
                claimed.result(timeout=20)
            cancel_slots(connection, first)
        (work,) = claimed.result(timeout=20)
    assert work.item_id == second


def test_slots_that_several_ask_for_at_once_are_numbered_on(office):
    project = office.projects.add_project("p")
    people = [office.projects.add_user(name) for name in ("ann", "ben")]
    made = office.projects.add_items(project, [NewItem(content={"prompt": str(k)}) for k in range(ROUNDS)])
    rounds = Calibrating(Work(office.database, office.queue))
    for k, one in enumerate(made):
        at_once(
            partial(office.queue.add_slots, one, 2),
            partial(rounds.open, project, f"round {k}", [one], people, "lead"),
            partial(office.queue.add_slots, one, 1),
        )
    with office.database.read() as connection:
        for one in made:
            numbers = connection.execute(
                select(slot.c.number).where(slot.c.item_id == one).order_by(slot.c.number)
            )
            assert list(numbers.scalars()) == list(range(1 + 2 + 2 + 1))
