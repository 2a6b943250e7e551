"""Any order of claims, submissions, skips, expiries, late work, revisions and reviews keeps the invariants.

One machine, both databases: it knows nothing of the store's insides, it only remembers what it was told.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, text

from accord.domain.errors import LeaseLost, StoreError
from accord.domain.ids import CountingIds
from accord.feedback.items import content_of
from accord.feedback.reviewing import Reviewing
from accord.feedback.work import Work
from accord.store.database import (
    Database,
    Lane,
    NewItem,
    Projects,
    QueueConfig,
    WorkQueue,
    open_database,
    verify_chain,
)
from accord.store.database.tables import assignment, chain, item, judgment, slot
from accord.store.database.workflow_tables import review, stage_run

from .conftest import HandClock
from .test_tally import counted, counters

LEASE_S = 60
PEOPLE = 4
ITEMS = 2
OVERLAP = 2
STAGES = [
    {"stage": "label", "kind": "label", "overlap": OVERLAP},
    {"stage": "agree", "kind": "consensus", "max_people": 3},
    {"stage": "read", "kind": "review"},
    {"stage": "decide", "kind": "adjudication"},
]
PAIR = {"candidates": ["first", "second"]}
people = st.integers(0, PEOPLE - 1)
choices = st.sampled_from([1, 4, 7])


class Shop(RuleBasedStateMachine):
    """People, two reviewers and a clock around one project."""

    database: Database
    held: Bundle[tuple[int, Any]] = Bundle("held")
    said: Bundle[tuple[int, Any]] = Bundle("said")
    reviews: Bundle[tuple[int, Any]] = Bundle("reviews")

    def __init__(self) -> None:
        super().__init__()
        self.clock, ids = HandClock(), CountingIds()
        config = QueueConfig(lease_s=LEASE_S, gold_rate=0.3, repeat_rate=0.5, repeat_gap=0)
        self.work = Work(self.database, WorkQueue(self.database, self.clock, ids, config))
        self.reviewing = Reviewing(self.work)
        projects = Projects(self.database, self.clock, ids)
        self.project = projects.add_project("p")
        projects.add_definition(self.project, "schema", {"kind": "pairwise"})
        projects.add_definition(self.project, "workflow", {"stages": STAGES})
        self.people = [projects.add_user(f"person {k}") for k in range(PEOPLE)]
        contents = [content_of({**PAIR, "prompt": f"q{k}"}) for k in range(ITEMS)]
        rows = [NewItem(content=one, n_candidates=2, overlap=OVERLAP) for one in contents]
        projects.add_items(self.project, rows)
        projects.add_gold(
            self.project,
            NewItem(content=content_of({**PAIR, "prompt": "known"}), n_candidates=2),
            {"preference": {"strength": 1, "both_bad": False}},
        )
        self.acknowledged: dict[str, tuple[str, Any]] = {}
        self.n_keys = 0

    def key(self) -> str:
        self.n_keys += 1
        return f"key-{self.n_keys:08d}"

    @rule(target=held, who=people, count=st.integers(1, 2))
    def claim(self, who: int, count: int) -> Any:
        found = self.work.next(self.project, self.people[who], count)["assignments"]
        return multiple(*((who, page) for page in found))

    @rule(target=said, taken=held, choice=choices, twice=st.booleans())
    def submit(self, taken: tuple[int, Any], choice: int, twice: bool) -> Any:
        who, page = taken
        sent = {
            "token": page["token"], "key": self.key(), "answers": {"preference": {"choice": choice}},
        }  # fmt: skip
        try:
            receipt = self.work.submit(page["id"], self.people[who], sent)
        except (LeaseLost, StoreError):
            return multiple()
        self.acknowledged[receipt.judgment_id] = (self.people[who], sent["answers"])
        if twice:
            assert self.work.submit(page["id"], self.people[who], sent) == receipt
        return who, receipt

    @rule(target=said, who=people, choice=choices)
    def judge(self, who: int, choice: int) -> Any:
        """Claim and submit in one, so that items get far within a run."""
        for page in self.work.next(self.project, self.people[who], 1)["assignments"]:
            sent = {
                "token": page["token"], "key": self.key(), "answers": {"preference": {"choice": choice}},
            }  # fmt: skip
            receipt = self.work.submit(page["id"], self.people[who], sent)
            self.acknowledged[receipt.judgment_id] = (self.people[who], sent["answers"])
            return who, receipt
        return multiple()

    @rule(taken=held, kind=st.sampled_from(["open", "release", "skip", "extend"]))
    def touch(self, taken: tuple[int, Any], kind: str) -> None:
        page, queue = taken[1], self.work.queue
        try:
            match kind:
                case "open":
                    queue.open(page["id"], page["token"])
                case "release":
                    queue.release(page["id"], page["token"])
                case "skip":
                    queue.skip(page["id"], page["token"], "unclear")
                case "extend":
                    queue.extend(page["id"], page["token"], active_ms=10**9)
        except LeaseLost:
            pass

    @rule(target=said, given=said, choice=choices)
    def revise(self, given: tuple[int, Any], choice: int) -> Any:
        who, receipt = given
        answers = {"preference": {"choice": choice}}
        try:
            newer = self.work.revise(
                receipt.judgment_id, self.people[who], {"key": self.key(), "answers": answers}
            )
        except StoreError:
            return multiple()
        self.acknowledged[newer.judgment_id] = (self.people[who], answers)
        return who, newer

    @rule(seconds=st.sampled_from([1, LEASE_S - 1, LEASE_S + 1, -LEASE_S // 2]))
    def wait(self, seconds: int) -> None:
        """Time passes, or the clock is set back."""
        self.clock.pass_seconds(seconds)

    @rule()
    def expire(self) -> None:
        self.work.queue.expire(self.project)

    @rule(target=reviews, who=people)
    def take_review(self, who: int) -> Any:
        page = self.reviewing.next(self.project, self.people[who], Lane.REVIEW)
        return multiple() if page is None else (who, page)

    @rule(
        taken=reviews,
        verdict=st.sampled_from(["accept", "fix", "reject_requeue", "reject_drop"]),
        card=st.integers(0, 3),
    )
    def review(self, taken: tuple[int, Any], verdict: str, card: int) -> None:
        who, page = taken
        target = page["cards"][card % len(page["cards"])]["judgment_id"]
        sent = {
            "assignment": page["id"], "token": page["token"], "verdict": verdict, "key": self.key(),
            "reasons": [] if verdict == "accept" else ["wrong"], "note": "",
            "answers": {"preference": {"choice": 4}},
        }  # fmt: skip
        with contextlib.suppress(StoreError):
            self.reviewing.review(target, self.people[who], sent)

    @rule(who=people, drop=st.booleans())
    def decide(self, who: int, drop: bool) -> None:
        page = self.reviewing.next(self.project, self.people[who], Lane.ADJUDICATE)
        if page is None:
            return
        sent = {
            "assignment": page["id"], "token": page["token"], "cause": "style", "note": "", "rule": "",
            "key": self.key(), "answers": None if drop else {"preference": {"choice": 1}},
        }  # fmt: skip
        self.reviewing.adjudicate(page["item"], self.people[who], sent)

    def rows(self, query: Any) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(query).all())

    @invariant()
    def a_leased_slot_has_one_live_assignment_and_no_other_has_any(self) -> None:
        live = assignment.c.state.in_(["leased", "opened"])
        counted = (
            select(slot.c.state, func.count(assignment.c.id))
            .outerjoin(assignment, (assignment.c.slot_id == slot.c.id) & live)
            .group_by(slot.c.id, slot.c.state)
        )
        for state, n_live in self.rows(counted):
            assert n_live == (1 if state == "leased" else 0), (state, n_live)

    @invariant()
    def nobody_judges_an_item_twice_but_for_one_repeat(self) -> None:
        held = assignment.c.state.not_in(["expired", "released"])
        is_second = assignment.c.purpose.in_(["repeat", "review", "adjudicate"])
        for extra in (~is_second, assignment.c.purpose == "repeat"):
            doubled = (
                select(assignment.c.item_id)
                .where(held, extra)
                .group_by(assignment.c.item_id, assignment.c.user_id)
                .having(func.count() > 1)
            )
            assert self.rows(doubled) == []

    @invariant()
    def nobody_reviews_or_decides_what_he_judged(self) -> None:
        other = assignment.alias("other")
        own = (
            select(assignment.c.id)
            .join(
                other, (other.c.item_id == assignment.c.item_id) & (other.c.user_id == assignment.c.user_id)
            )
            .where(
                assignment.c.purpose.in_(["review", "adjudicate"]),
                assignment.c.state == "submitted",
                other.c.purpose.in_(["primary", "extra"]),
                other.c.state.in_(["submitted", "submitted_late"]),
                other.c.closed_ms < assignment.c.leased_ms,
            )
        )
        assert self.rows(own) == []
        assert self.rows(select(review.c.id).where(review.c.author_id == review.c.reviewer_id)) == []

    @invariant()
    def everything_acknowledged_is_there_as_it_was_said(self) -> None:
        kept = {row.id: row for row in self.rows(select(judgment))}
        for judgment_id, (user_id, answers) in self.acknowledged.items():
            assert (kept[judgment_id].user_id, kept[judgment_id].payload["answers"]) == (user_id, answers)

    @invariant()
    def no_more_slots_are_filled_than_were_asked_for(self) -> None:
        filled = (
            select(slot.c.item_id, func.count())
            .where(slot.c.state == "filled", slot.c.purpose == "primary")
            .group_by(slot.c.item_id)
        )
        assert all(count <= OVERLAP for _, count in self.rows(filled))

    @invariant()
    def time_worked_is_never_more_than_passed(self) -> None:
        end = int(self.clock.now().timestamp() * 1000)
        for row in self.rows(select(assignment)):
            assert (
                0
                <= row.active_ms
                <= (row.closed_ms or max(end, row.leased_ms + row.active_ms)) - row.leased_ms
            )

    @invariant()
    def an_item_waits_for_work_exactly_while_some_is_wanted(self) -> None:
        wanted = slot.c.state.in_(["open", "leased"]) & slot.c.purpose.not_in(["gold", "repeat"])
        counted = (
            select(item.c.state, func.count(slot.c.id))
            .outerjoin(slot, (slot.c.item_id == item.c.id) & wanted)
            .where(item.c.id.in_(select(slot.c.item_id).where(slot.c.purpose == "primary")))
            .group_by(item.c.id, item.c.state)
        )
        for state, n_wanted in self.rows(counted):
            is_waiting = state in ("queued", "in_progress", "in_review", "in_adjudication")
            assert is_waiting == (n_wanted > 0), (state, n_wanted)
            assert state != "judged"  # the workflow has gone on within the same transaction

    @invariant()
    def an_item_stands_in_one_place(self) -> None:
        still = select(stage_run.c.item_id).where(stage_run.c.left_ms.is_(None))
        found = [row.item_id for row in self.rows(still)]
        assert len(found) == len(set(found))

    @invariant()
    def counters_say_what_counting_says(self) -> None:
        assert counters(self.database) == counted(self.database)

    def teardown(self) -> None:
        report = verify_chain(self.database)
        submitted = self.rows(select(func.count()).where(chain.c.action == "submit"))[0][0]
        assert submitted == self.rows(select(func.count()).select_from(judgment))[0][0]
        assert report.n_events > 0


def fresh(database: Database) -> None:
    """Empty a PostgreSQL database."""
    with database.write() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))


@pytest.fixture(params=["sqlite", "postgresql"])
def machine(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[type[Shop]]:
    """The machine on an empty database for each run."""
    opened: list[Database] = []

    def empty() -> Database:
        if request.param == "sqlite":
            made = open_database(tmp_path / f"{len(opened)}.db")
        elif opened:
            made = opened[0]
            fresh(made)
        else:
            made = open_database(request.getfixturevalue("postgres_url"))
        made.create()
        opened.append(made)
        return made

    class Here(Shop):
        def __init__(self) -> None:
            self.database = empty()
            super().__init__()

    yield Here
    for database in opened:
        database.close()


@pytest.mark.slow
def test_any_order_of_steps_keeps_the_invariants(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
