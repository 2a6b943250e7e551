import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from accord.domain.errors import LeaseLost, StoreError
from accord.store.database import NewItem, Projects, WorkQueue, verify_chain
from accord.store.database.queue import draw_permutation
from accord.store.database.tables import assignment, content, item, judgment, slot

ANSWER = {"verdict": 6}


def items(count: int, **settings) -> list[NewItem]:
    return [NewItem(content={"prompt": f"question {k}"}, **settings) for k in range(count)]


def rows_of(office, table, *columns):
    with office.database.read() as connection:
        return connection.execute(select(*(columns or (table,))).order_by(table.c.id)).all()


def states(office, table) -> list[str]:
    return [row.state for row in rows_of(office, table)]


def test_the_most_urgent_item_comes_first_and_then_the_oldest(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, [*items(2), NewItem(content={"prompt": "urgent"}, priority=5)])
    claimed = office.queue.claim(project, ann, count=5)
    assert [one.content["prompt"] for one in claimed] == ["urgent", "question 0", "question 1"]
    assert office.queue.claim(project, ann) == []


def test_overlap_is_filled_by_different_people_and_never_exceeded(office):
    project = office.projects.add_project("p")
    office.projects.add_items(project, items(1, overlap=2))
    people = [office.projects.add_user(name) for name in ("ann", "bob", "cyd")]
    claimed = [office.queue.claim(project, person, count=3) for person in people]
    assert [len(one) for one in claimed] == [1, 1, 0]
    for k, (work,) in enumerate(claimed[:2]):
        office.queue.submit(work.id, work.lease_token, f"key-{k}", ANSWER)
    assert states(office, slot) == ["filled", "filled"]
    assert states(office, item) == ["judged"]


def test_an_item_is_judged_only_when_its_last_slot_is_filled(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1, overlap=2))
    (work,) = office.queue.claim(project, ann)
    office.queue.submit(work.id, work.lease_token, "key", ANSWER)
    assert states(office, item) == ["in_progress"]


def test_a_repeated_submission_is_the_same_judgment(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    first = office.queue.submit(work.id, work.lease_token, "key", ANSWER)
    office.clock.pass_seconds(5)
    assert office.queue.submit(work.id, work.lease_token, "key", ANSWER) == first
    assert len(rows_of(office, judgment)) == 1


def test_a_second_judgment_under_another_key_is_refused_and_a_revision_is_kept(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    first = office.queue.submit(work.id, work.lease_token, "key", ANSWER)
    with pytest.raises(StoreError, match="revise the judgment instead"):
        office.queue.submit(work.id, work.lease_token, "other", ANSWER)
    second = office.queue.revise(first.judgment_id, ann, "third", {"verdict": 2})
    assert (first.revision, second.revision) == (1, 2)
    assert office.queue.revise(first.judgment_id, ann, "third", {"verdict": 2}) == second
    assert [row.payload for row in rows_of(office, judgment)] == [ANSWER, {"verdict": 2}]
    bob = office.projects.add_user("bob")
    with pytest.raises(StoreError, match=r"no judgment .* of this user"):
        office.queue.revise(first.judgment_id, bob, "fourth", ANSWER)


def test_a_lease_that_ran_out_goes_to_somebody_else_and_late_work_is_kept(office):
    project = office.projects.add_project("p")
    ann, bob = (office.projects.add_user(name) for name in ("ann", "bob"))
    office.projects.add_items(project, items(1))
    (anns,) = office.queue.claim(project, ann)
    assert office.queue.claim(project, bob) == []
    office.clock.pass_seconds(61)
    (bobs,) = office.queue.claim(project, bob)
    with pytest.raises(LeaseLost, match="expired"):
        office.queue.extend(anns.id, anns.lease_token)
    late = office.queue.submit(anns.id, anns.lease_token, "ann", ANSWER)
    assert late.is_late
    assert not office.queue.submit(bobs.id, bobs.lease_token, "bob", ANSWER).is_late
    assert states(office, slot) == ["filled"]
    assert len(rows_of(office, judgment)) == 2


def test_late_work_fills_a_slot_that_is_still_open(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    office.clock.pass_seconds(61)
    assert office.queue.expire(project) == 1
    assert states(office, slot) == ["open"]
    assert office.queue.submit(work.id, work.lease_token, "key", ANSWER).is_late
    assert states(office, slot) == ["filled"]
    assert states(office, item) == ["judged"]


def test_late_work_on_an_item_that_came_back_to_the_same_person_counts_once(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1, overlap=2))
    (old,) = office.queue.claim(project, ann)
    office.clock.pass_seconds(61)
    (new,) = office.queue.claim(project, ann)
    receipt = office.queue.submit(old.id, old.lease_token, "key", ANSWER)
    assert not receipt.is_late
    (row,) = rows_of(office, judgment)
    assert row.assignment_id == new.id
    assert sorted(states(office, slot)) == ["filled", "open"]
    assert office.queue.submit(old.id, old.lease_token, "key", ANSWER) == receipt  # sent once more
    assert office.queue.submit(new.id, new.lease_token, "key", ANSWER) == receipt
    assert len(rows_of(office, judgment)) == 1


def test_a_key_of_given_up_work_opens_no_other_item(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(2))
    (lost,) = office.queue.claim(project, ann)
    office.queue.release(lost.id, lost.lease_token)
    again, other = office.queue.claim(project, ann, count=2)
    if again.item_id != lost.item_id:
        again, other = other, again
    office.queue.submit(other.id, other.lease_token, "key", ANSWER)
    with pytest.raises(StoreError, match="used for another piece of work"):
        office.queue.submit(lost.id, lost.lease_token, "key", ANSWER)


def test_a_token_that_was_never_given_opens_nothing(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    for call in (
        lambda: office.queue.open(work.id, "guess"),
        lambda: office.queue.extend(work.id, "guess"),
        lambda: office.queue.submit(work.id, "guess", "key", ANSWER),
        lambda: office.queue.skip(work.id, "guess", "why not"),
        lambda: office.queue.release("nothing", work.lease_token),
    ):
        with pytest.raises(LeaseLost, match="no assignment"):
            call()
    assert rows_of(office, judgment) == []


def test_skipped_work_goes_to_others_and_never_comes_back(office):
    project = office.projects.add_project("p")
    ann, bob = (office.projects.add_user(name) for name in ("ann", "bob"))
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    with pytest.raises(StoreError, match="needs a reason"):
        office.queue.skip(work.id, work.lease_token, "")
    office.queue.skip(work.id, work.lease_token, "not my language")
    office.queue.skip(work.id, work.lease_token, "not my language")
    assert office.queue.claim(project, ann) == []
    assert len(office.queue.claim(project, bob)) == 1


def test_released_work_may_come_back(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    office.queue.release(work.id, work.lease_token)
    (again,) = office.queue.claim(project, ann)
    assert again.item_id == work.item_id
    assert again.id != work.id


def test_only_who_has_the_skill_is_asked(office):
    project = office.projects.add_project("p")
    ann = office.projects.add_user("ann")
    eve = office.projects.add_user("eve", skills=("medicine", "german"))
    office.projects.add_items(project, items(1, required_skill="medicine"))
    assert office.queue.claim(project, ann) == []
    assert len(office.queue.claim(project, eve)) == 1


def test_working_time_is_never_more_than_passed(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    office.clock.pass_seconds(10)
    office.queue.open(work.id, work.lease_token)
    office.queue.extend(work.id, work.lease_token, active_ms=4_000)
    office.queue.extend(work.id, work.lease_token, active_ms=60_000)
    (row,) = rows_of(office, assignment)
    assert (row.state, row.active_ms) == ("opened", 10_000)
    office.clock.pass_seconds(55)  # 65 s after the lease, 55 s after it was extended
    assert office.queue.expire(project) == 0


def test_what_was_shown_and_under_which_rules_is_stored_before_it_is_sent(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_definition(project, "guideline", {"text": "Prefer what is true."})
    newer = office.projects.add_definition(project, "guideline", {"text": "Prefer what is true and brief."})
    office.projects.add_items(project, items(1, n_candidates=4))
    (work,) = office.queue.claim(project, ann)
    (row,) = rows_of(office, assignment)
    assert tuple(row.presentation["permutation"]) == work.permutation
    assert sorted(work.permutation) == [0, 1, 2, 3]
    assert row.guideline_id == work.guideline_id == newer


def test_orders_on_screen_are_drawn_evenly():
    draws = [draw_permutation(f"assignment {k}", 2) for k in range(4000)]
    # a fair coin: 2000 of 4000, standard deviation 31.6; four of them leave 1 in 16,000
    assert abs(draws.count((0, 1)) - 2000) < 127


def test_further_slots_bring_a_judged_item_back(office):
    project = office.projects.add_project("p")
    ann, bob = (office.projects.add_user(name) for name in ("ann", "bob"))
    (item_id,) = office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    office.queue.submit(work.id, work.lease_token, "key", ANSWER)
    office.queue.add_slots(item_id, 1)
    assert states(office, item) == ["in_progress"]
    assert office.queue.claim(project, ann) == []
    assert len(office.queue.claim(project, bob)) == 1


def test_equal_contents_are_stored_once(office):
    project = office.projects.add_project("p")
    office.projects.add_items(project, [NewItem(content={"prompt": "same"}) for _ in range(3)])
    assert len({row.content_hash for row in rows_of(office, item)}) == 1


def test_names_that_are_taken_and_users_that_do_not_exist_are_refused(office):
    project = office.projects.add_project("p")
    office.projects.add_user("ann")
    with pytest.raises(StoreError, match="handle 'ann' is taken"):
        office.projects.add_user("ann")
    with pytest.raises(StoreError, match="project name 'p' is taken"):
        office.projects.add_project("p")
    with pytest.raises(StoreError, match="no user 'nobody'"):
        office.queue.claim(project, "nobody")
    with pytest.raises(StoreError, match="overlap of 1 or more and 0 or more candidates, got 0"):
        office.projects.add_items(project, items(1, overlap=0))


def test_many_workers_take_each_slot_once_and_lose_nothing(database):
    setup = Projects.of(database)
    project = setup.add_project("p")
    setup.add_items(project, items(30, overlap=2))
    people = [setup.add_user(f"person {k}") for k in range(6)]
    start = threading.Barrier(len(people) * 2)

    def work(person: str, tab: int) -> None:
        queue = WorkQueue.of(database)
        start.wait()
        while claimed := queue.claim(project, person, count=2):
            for one in claimed:
                for _ in range(2):  # every submission arrives twice
                    queue.submit(one.id, one.lease_token, f"{tab}-{one.id}", ANSWER)

    with ThreadPoolExecutor(len(people) * 2) as pool:
        for done in [pool.submit(work, person, tab) for person in people for tab in range(2)]:
            done.result()
    with database.read() as connection:
        judged = connection.execute(select(judgment.c.item_id, judgment.c.user_id)).all()
        filled = connection.execute(
            select(func.count()).select_from(slot).where(slot.c.state == "filled")
        ).scalar_one()
        finished = connection.execute(
            select(func.count()).select_from(item).where(item.c.state == "judged")
        ).scalar_one()
    assert (len(judged), filled, finished) == (60, 60, 30)
    assert len(set(judged)) == 60
    verify_chain(database)


def test_many_items_at_once_are_the_same_as_few(office):
    """Above a hundred rows PostgreSQL gets them by COPY: every letter, and what is there already, holds."""
    odd = ["tab\there", "back\\slash \\n \\N", "new\nline\r\n", "quote\" ' ü 😀", "\\.", "", "null", "{}"]
    rows = [NewItem(content={"k": k, "text": odd[k % len(odd)], "none": None}) for k in range(250)]
    project_id = office.projects.add_project("p")
    first = office.projects.add_items(project_id, rows)
    again = office.projects.add_items(project_id, rows[:150])
    assert len({*first, *again}) == 400
    with office.database.read() as connection:
        found = connection.execute(
            select(item.c.id, content.c.body).join(content, content.c.hash == item.c.content_hash)
        ).all()
        assert connection.execute(select(func.count()).select_from(content)).scalar_one() == 250
        assert connection.execute(select(func.count()).select_from(slot)).scalar_one() == 400
    kept = {row.id: row.body for row in found}
    assert [kept[one] for one in first] == [dict(row.content) for row in rows]
    assert verify_chain(office.database).n_events == 401


def test_time_in_two_windows_at_once_counts_once(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(2))
    first, second = office.queue.claim(project, ann, count=2)
    office.clock.pass_seconds(10)
    office.queue.extend(first.id, first.lease_token, active_ms=8_000)
    office.queue.extend(second.id, second.lease_token, active_ms=8_000)  # 2 s of the ten are left
    office.clock.pass_seconds(5)
    office.queue.extend(second.id, second.lease_token, active_ms=4_000)
    assert [row.active_ms for row in rows_of(office, assignment)] == [8_000, 6_000]


def test_a_clock_that_is_set_back_fails_nothing_and_takes_no_time_away(office):
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_items(project, items(1))
    (work,) = office.queue.claim(project, ann)
    office.clock.pass_seconds(10)
    office.queue.extend(work.id, work.lease_token, active_ms=6_000)
    office.clock.pass_seconds(-30)  # another server's clock, or the hour was put right
    office.queue.extend(work.id, work.lease_token, active_ms=5_000)
    office.queue.submit(work.id, work.lease_token, "a key", ANSWER)
    (row,) = rows_of(office, assignment)
    assert (row.state, row.active_ms) == ("submitted", 6_000)
    assert row.closed_ms - row.leased_ms == 6_000
