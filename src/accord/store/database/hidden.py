"""What annotators cannot tell from other work: known items, and their own earlier items with sides swapped.

Whether either is due is drawn from the annotator and how much he has had, so that no two tabs or retries
shift the rate and nobody can tell from the page when. Leaves out what shares are right, which the caller
knows, and how answers are scored.
"""

import random
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, or_, select, update

from accord.domain.ids import IdSource
from accord.store.database.audit import Event
from accord.store.database.slots import GIVEN_UP, entry
from accord.store.database.states import ItemState, Lane, PersonState, Purpose, SlotState
from accord.store.database.tables import assignment, gold, item, slot
from accord.store.database.tally import count_slot
from accord.store.database.workflow_tables import standing

DAY_MS = 86_400_000
REPEAT_GAP = 20
"""Own pieces of work that lie between an item and its repeat, at least."""
REPEAT_SPREAD = 100
"""Further pieces of work by which that distance varies, so that it cannot be foreseen."""
GOLD_PURPOSE = {"hidden": Purpose.GOLD, "training": Purpose.TRAINING, "test": Purpose.TEST}
"""What a slot of a known item is for, by its tier."""


@dataclass
class Person:
    """Somebody in a project while he is handed work: the row of his standing, counters moving on."""

    user_id: str
    project_id: str
    state: PersonState
    gold_share: float | None
    n_assigned: int
    day: int
    n_today: int
    gold_today: int
    active_today_ms: int

    @property
    def tier(self) -> str | None:
        """Which known items are all he gets; nothing where he is at work."""
        return {PersonState.TRAINING: "training", PersonState.TESTING: "test"}.get(self.state)

    def keep(self, connection: Connection) -> None:
        """Write the counters that handing out moves."""
        place = (standing.c.user_id == self.user_id) & (standing.c.project_id == self.project_id)
        connection.execute(
            update(standing)
            .where(place)
            .values(
                n_assigned=self.n_assigned,
                day=self.day,
                n_today=self.n_today,
                gold_today=self.gold_today,
                active_today_ms=self.active_today_ms,
            )
        )


def join(
    connection: Connection, user_id: str, project_id: str, first_state: PersonState, now: int
) -> tuple[Person, list[Event]]:
    """Somebody's standing, made where there is none; call it with the user's row locked."""
    place = (standing.c.user_id == user_id) & (standing.c.project_id == project_id)
    row = connection.execute(select(standing).where(place).with_for_update()).first()
    day, events = now // DAY_MS, []
    if row is None:
        values = {
            "user_id": user_id, "project_id": project_id, "state": first_state.value, "reason": "",
            "since_ms": now, "gold_share": None, "n_assigned": 0, "n_right": 0, "n_gold": 0, "day": day,
            "n_today": 0, "gold_today": 0, "active_today_ms": 0,
        }  # fmt: skip
        connection.execute(insert(standing).values(values))
        facts = {"project": project_id, "state": first_state.value}
        events = [entry(now, user_id, "join", "standing", user_id, facts)]
        row = connection.execute(select(standing).where(place)).one()
    is_today = row.day == day
    return Person(
        user_id=user_id,
        project_id=project_id,
        state=PersonState(row.state),
        gold_share=row.gold_share,
        n_assigned=row.n_assigned,
        day=day,
        n_today=row.n_today if is_today else 0,
        gold_today=row.gold_today if is_today else 0,
        active_today_ms=row.active_today_ms if is_today else 0,
    ), events


def visitor(user_id: str, project_id: str, now: int) -> Person:
    """Somebody who comes for other work than judging, and needs no standing for it."""
    return Person(
        user_id=user_id,
        project_id=project_id,
        state=PersonState.ACTIVE,
        gold_share=None,
        n_assigned=0,
        day=now // DAY_MS,
        n_today=0,
        gold_today=0,
        active_today_ms=0,
    )


def is_due(what: str, share: float, person: Person) -> bool:
    """A draw of that chance which is the same whenever the same turn is asked for."""
    seed = f"{what} {person.project_id} {person.user_id} {person.n_assigned}"
    return share > 0 and random.Random(seed).random() < share


@dataclass(frozen=True, kw_only=True)
class HeldSlot:
    """A slot made for one annotator: it begins in his hands."""

    id: str
    item_id: str
    project_id: str
    purpose: str
    required_skill: str | None = None
    state: str = SlotState.LEASED.value


def hidden_slot(
    connection: Connection,
    ids: IdSource,
    person: Person,
    *,
    gold_share: float,
    is_gold_left: bool,
    repeat_rate: float,
    gap: int = REPEAT_GAP,
) -> tuple[HeldSlot, tuple[int, ...] | None] | None:
    """A known item or an own earlier one where either is due, with the order its answers stand in.

    Both are looked for whether or not they are due, by the same statements, so that how long a claim takes
    tells nothing. `is_gold_left` is false once the day has had its known items.
    """
    is_gold = is_gold_left and is_due("gold", gold_share, person)
    known = find_known(connection, person, "hidden", is_taken=is_gold) if gold_share > 0 else None
    is_again = is_due("repeat", repeat_rate, person)
    again = find_repeat(connection, person, gap, is_taken=is_again) if repeat_rate > 0 else None
    if gold_share > 0:
        count_use(connection, known.id if is_gold and known is not None else "")
    if is_gold and known is not None:
        person.gold_today += 1
        return make_held(connection, ids, known, Purpose.GOLD), None
    if is_again and again is not None:
        turned = tuple(reversed(again.presentation["permutation"]))
        return make_held(connection, ids, again, Purpose.REPEAT), turned
    return None


def tier_slot(connection: Connection, ids: IdSource, person: Person, tier: str) -> HeldSlot | None:
    """A slot of the least used known item of a tier, for somebody who gets nothing else."""
    known = find_known(connection, person, tier, is_taken=True)
    if known is None:
        return None
    count_use(connection, known.id)
    return make_held(connection, ids, known, GOLD_PURPOSE[tier])


def find_known(connection: Connection, person: Person, tier: str, *, is_taken: bool) -> Any:
    """The least used known item of this tier that he has not met, or nothing; locked where it is taken."""
    met = exists().where(assignment.c.item_id == item.c.id, assignment.c.user_id == person.user_id)
    query = (
        select(item.c.id, item.c.project_id, item.c.priority)
        .join(gold, gold.c.item_id == item.c.id)
        .where(
            gold.c.project_id == person.project_id,
            gold.c.tier == tier,
            gold.c.retired_ms.is_(None),
            or_(gold.c.exposure_cap.is_(None), gold.c.n_uses < gold.c.exposure_cap),
            item.c.state != ItemState.WITHDRAWN.value,
            ~met,
        )
        .order_by(gold.c.n_uses, gold.c.item_id)
        .limit(1)
    )
    if is_taken:
        query = query.with_for_update(of=gold, skip_locked=True)
    return connection.execute(query).first()


def count_use(connection: Connection, item_id: str) -> None:
    """Count that a known item is met once more; of no item, nothing."""
    connection.execute(update(gold).where(gold.c.item_id == item_id).values(n_uses=gold.c.n_uses + 1))


def find_repeat(connection: Connection, person: Person, gap: int, *, is_taken: bool) -> Any:
    """An own earlier item not repeated yet and how it was shown, or nothing; locked if it is taken."""
    again = assignment.alias("again")
    was_repeated = exists().where(
        again.c.item_id == assignment.c.item_id,
        again.c.user_id == person.user_id,
        again.c.purpose == Purpose.REPEAT.value,
        again.c.state.not_in(GIVEN_UP),
    )
    draw = random.Random(f"which {person.project_id} {person.user_id} {person.n_assigned}")
    query = (
        select(item.c.id, item.c.project_id, item.c.priority, assignment.c.presentation)
        .join(assignment, assignment.c.item_id == item.c.id)
        .where(
            assignment.c.project_id == person.project_id,
            assignment.c.user_id == person.user_id,
            assignment.c.state == "submitted",
            assignment.c.purpose.in_([Purpose.PRIMARY.value, Purpose.EXTRA.value]),
            item.c.n_candidates >= 2,
            item.c.state != ItemState.WITHDRAWN.value,
            ~was_repeated,
        )
        .order_by(assignment.c.closed_ms.desc())
        .offset(gap + draw.randrange(max(1, min(REPEAT_SPREAD, person.n_assigned - gap))))
        .limit(1)
    )
    if is_taken:
        query = query.with_for_update(of=item, key_share=True, skip_locked=True)
    return connection.execute(query).first()


def make_held(connection: Connection, ids: IdSource, row: Row[Any], purpose: Purpose) -> HeldSlot:
    """A further slot of an item, by one statement, as taking an open one is; `row` has what it takes over."""
    made = HeldSlot(id=ids.new(), item_id=row.id, project_id=row.project_id, purpose=purpose.value)
    next_number = (
        select(func.coalesce(func.max(slot.c.number) + 1, 0))
        .where(slot.c.item_id == row.id)
        .scalar_subquery()
    )
    connection.execute(
        insert(slot).values(
            id=made.id,
            item_id=made.item_id,
            project_id=made.project_id,
            number=next_number,
            purpose=made.purpose,
            priority=row.priority,
            state=made.state,
            lane=Lane.LABEL.value,
        )
    )
    count_slot(connection, made.project_id, None, SlotState.LEASED)
    return made
