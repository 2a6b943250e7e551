"""Whether the rows of the store keep what it promises, read from all of them: work, people, events.

Each check takes a connection that sees one moment, and a probe. It asks the tables and the chain of events
independently of the code that wrote them. Leaves out what needs questions and answers to be understood,
which is `accord.feedback.invariants`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, Delete, Row, Update, and_, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from accord.domain.errors import StoreError
from accord.store.database.audit import seal_of, streams, verify_chain
from accord.store.database.engine import Database
from accord.store.database.findings import Probe, actions_on, events_on, pages_of
from accord.store.database.projects import hash_of
from accord.store.database.slots import ASIDE, LIVE, WANTED
from accord.store.database.states import AssignmentState, ItemState, Purpose, SlotState
from accord.store.database.tables import (
    FIRST_SIGHT,
    REPEATED,
    UNCHANGING,
    assignment,
    chain,
    content,
    definition,
    gold,
    item,
    judgment,
    slot,
)
from accord.store.database.upkeep_tables import stream
from accord.store.database.workflow_tables import adjudication, alert, gold_result, mark, review, standing

TAKEN = [one.value for one in AssignmentState if one.has_judgment]
SECOND = [Purpose.REVIEW.value, Purpose.ADJUDICATE.value]
KNOWN = [Purpose.GOLD.value, Purpose.TRAINING.value, Purpose.TEST.value]
SET_OUT = [Purpose.PRIMARY.value, Purpose.CALIBRATION.value]
"""Slots an item is set out with; all others are made later."""
ASKED_LATER = [Purpose.EXTRA.value, *SECOND]


def check_capacity(connection: Connection, probe: Probe) -> None:
    """1. No more slots are held and filled than were asked for, and each by one person."""
    probe.n_checked = connection.execute(select(func.count()).select_from(slot)).scalar_one()
    held = and_(assignment.c.slot_id == slot.c.id, assignment.c.state.in_(LIVE))
    taken = and_(assignment.c.slot_id == slot.c.id, assignment.c.state.in_(TAKEN))
    probe.none_of(
        connection,
        select(slot.c.id)
        .outerjoin(assignment, held)
        .where(slot.c.state == SlotState.LEASED.value, assignment.c.id.is_(None)),
        lambda row: f"slot {row.id} is leased and nobody holds it",
    )
    probe.none_of(
        connection,
        select(slot.c.id, slot.c.state).join(assignment, held).where(slot.c.state != SlotState.LEASED.value),
        lambda row: f"slot {row.id} is {row.state} and somebody holds it",
    )
    probe.none_of(
        connection,
        select(slot.c.id)
        .outerjoin(assignment, taken)
        .where(slot.c.state == SlotState.FILLED.value, assignment.c.id.is_(None)),
        lambda row: f"slot {row.id} is filled and nothing was taken for it",
    )
    probe.none_of(
        connection,
        select(assignment.c.slot_id, func.count().label("n"))
        .where(assignment.c.state == AssignmentState.SUBMITTED.value)
        .group_by(assignment.c.slot_id)
        .having(func.count() > 1),
        lambda row: f"slot {row.slot_id} was filled {row.n} times",
    )
    for page in pages_of(connection, item, select(item.c.id)):
        _check_wanted(connection, [row.id for row in page], probe)


def _check_wanted(connection: Connection, ids: list[str], probe: Probe) -> None:
    """As many slots as the chain says were asked for."""
    there: dict[str, Counter[str]] = {one: Counter() for one in ids}
    for row in connection.execute(
        select(slot.c.item_id, slot.c.purpose, func.count().label("n"))
        .where(slot.c.item_id.in_(ids))
        .group_by(slot.c.item_id, slot.c.purpose)
    ):
        there[row.item_id][row.purpose] = row.n
    asked: dict[str, int] = dict.fromkeys(ids, 0)
    later: dict[str, int] = dict.fromkeys(ids, 0)
    for event in events_on(connection, ids):
        if (event.entity, event.action) == ("item", "add"):
            asked[event.entity_id] += facts_of(event).get("overlap", 0)
        elif (event.entity, event.action) == ("item", "extend"):
            later[event.entity_id] += facts_of(event)["slots"]
    for one in ids:
        n_first = sum(there[one][purpose] for purpose in SET_OUT)
        if n_first != asked[one]:
            probe.blame(f"item {one} has {n_first} slots; {asked[one]} judgments were asked for")
        n_later = sum(there[one][purpose] for purpose in ASKED_LATER)
        if n_later != later[one]:
            probe.blame(f"item {one} has {n_later} further slots; {later[one]} were asked for")


def check_once(connection: Connection, probe: Probe) -> None:
    """2. Nobody judges an item twice but for one declared repeat, and nobody reviews his own work."""
    probe.n_checked = connection.execute(select(func.count()).select_from(assignment)).scalar_one()
    for which, name in ((FIRST_SIGHT, "judged"), (REPEATED, "repeated")):
        probe.none_of(
            connection,
            select(assignment.c.item_id, assignment.c.user_id, func.count().label("n"))
            .where(text(which))
            .group_by(assignment.c.item_id, assignment.c.user_id)
            .having(func.count() > 1),
            partial(_twice, name),
        )
    probe.none_of(
        connection,
        select(review.c.id).where(review.c.author_id == review.c.reviewer_id),
        lambda row: f"review {row.id} is of the reviewer's own judgment",
    )
    own, said, leased = assignment.alias("own"), chain.alias("said"), chain.alias("leased")
    probe.none_of(
        connection,
        select(assignment.c.id)
        .join(own, and_(own.c.item_id == assignment.c.item_id, own.c.user_id == assignment.c.user_id))
        .join(judgment, judgment.c.assignment_id == own.c.id)
        .join(said, and_(said.c.entity_id == judgment.c.id, said.c.action == "submit"))
        .join(leased, and_(leased.c.entity_id == assignment.c.id, leased.c.action == "lease"))
        .where(
            assignment.c.purpose.in_(SECOND),
            assignment.c.state.in_(TAKEN),
            own.c.purpose.not_in(SECOND),
            said.c.number < leased.c.number,
        ),
        lambda row: f"assignment {row.id} is a review of an item its holder had judged",
    )


def check_unchanged(database: Database, connection: Connection, probe: Probe) -> None:
    """3. What is written once is as it was written, and the database refuses to change it."""
    for page in pages_of(connection, content):
        for row in page:
            probe.check(hash_of(row.body) == row.hash, f"content {row.hash} is not what its hash says")
    for page in pages_of(connection, definition):
        for row in page:
            probe.check(hash_of(row.body) == row.body_hash, f"definition {row.id} is not what its hash says")
    for table in UNCHANGING:
        key = next(iter(table.primary_key.columns))
        some = connection.execute(select(key).limit(1)).scalar()
        if some is None:
            continue  # triggers are for rows: nothing to try it on
        for change in (update(table).values({key.name: some}), delete(table)):
            what = "change" if change.is_update else "delete"
            is_refused = _is_refused(database, change.where(key == some))
            probe.check(is_refused, f"the database would let somebody {what} rows of {table.name}")


def _is_refused(database: Database, change: Update | Delete) -> bool:
    """Whether the database refuses; whatever it did is taken back."""
    with database.attempt() as attempt:
        try:
            attempt.execute(change)
        except DBAPIError as error:
            return "never changed" in str(error.orig)
    return False


def check_time(connection: Connection, probe: Probe, now: int, skew_ms: int = 0) -> None:
    """9. Nobody worked longer than passed, nor twice at one time; `skew_ms` is by how much clocks differ."""
    user_id, start, end, worked = "", 0, 0, 0
    rows = connection.execution_options(yield_per=1000).execute(
        select(
            assignment.c.id, assignment.c.user_id, assignment.c.leased_ms, assignment.c.closed_ms,
            assignment.c.active_ms,
        ).order_by(assignment.c.user_id, assignment.c.leased_ms)
    )  # fmt: skip
    for row in rows:
        closed = now if row.closed_ms is None else row.closed_ms
        probe.check(
            0 <= row.active_ms <= max(closed - row.leased_ms, 0) + skew_ms,
            f"assignment {row.id}: {row.active_ms} ms worked in {closed - row.leased_ms}",
        )
        if row.user_id != user_id or row.leased_ms > end:
            user_id, start, end, worked = row.user_id, row.leased_ms, closed, 0
        end, worked = max(end, closed), worked + row.active_ms
        if worked > end - start + skew_ms:
            probe.blame(f"user {user_id}: {worked} ms worked in {end - start} up to assignment {row.id}")


def check_exposure(connection: Connection, probe: Probe) -> None:
    """10. Nobody meets a known item twice, and each is met by as many people as it may be."""
    for page in pages_of(connection, gold):
        ids = [row.item_id for row in page]
        met = {
            row.item_id: row
            for row in connection.execute(
                select(
                    assignment.c.item_id,
                    func.count().label("n"),
                    func.count(assignment.c.user_id.distinct()).label("n_people"),
                )
                .where(assignment.c.item_id.in_(ids), assignment.c.purpose.in_(KNOWN))
                .group_by(assignment.c.item_id)
            )
        }
        for row in page:
            n, n_people = (met[row.item_id].n, met[row.item_id].n_people) if row.item_id in met else (0, 0)
            probe.check(n == n_people, f"known item {row.item_id} was given {n} times to {n_people} people")
            if n != row.n_uses:
                probe.blame(f"known item {row.item_id} counts {row.n_uses} uses; {n} there were")
            if row.exposure_cap is not None and n_people > row.exposure_cap:
                probe.blame(f"known item {row.item_id}: {n_people} people met it, {row.exposure_cap} may")


def check_blame(connection: Connection, probe: Probe) -> None:
    """12. What counts for or against somebody rests on judgments he gave, not on what ran out or failed."""
    probe.none_of(
        connection,
        select(gold_result.c.judgment_id, assignment.c.state, assignment.c.purpose)
        .join(judgment, judgment.c.id == gold_result.c.judgment_id)
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .where(assignment.c.state.not_in(TAKEN) | assignment.c.purpose.not_in(KNOWN)),
        lambda row: f"result {row.judgment_id} rests on {row.purpose} work that is {row.state}",
    )
    probe.none_of(
        connection,
        select(assignment.c.id, assignment.c.state).where(
            (assignment.c.state == AssignmentState.SKIPPED.value) != assignment.c.skip_reason.is_not(None)
        ),
        lambda row: f"assignment {row.id} is {row.state} and a reason to skip does not belong to it",
    )
    counted = {
        (row.user_id, row.project_id): (row.n, row.n_right)
        for row in connection.execute(
            select(
                gold_result.c.user_id,
                gold_result.c.project_id,
                func.count().label("n"),
                func.count().filter(gold_result.c.is_right).label("n_right"),
            )
            .where(gold_result.c.purpose == Purpose.GOLD.value)
            .group_by(gold_result.c.user_id, gold_result.c.project_id)
        )
    }
    for row in connection.execute(select(standing)):
        n, n_right = counted.get((row.user_id, row.project_id), (0, 0))
        probe.check(
            (row.n_gold, row.n_right) == (n, n_right),
            f"user {row.user_id} has {row.n_right} of {row.n_gold} known items; {n_right} of {n} were scored",
        )
    alarms = select(alert.c.user_id, alert.c.project_id).where(alert.c.kind == "decline")
    declined = {tuple(row) for row in connection.execute(alarms)}
    for event in connection.execute(
        select(chain).where(chain.c.entity == "standing", chain.c.actor == "quality")
    ):
        facts = facts_of(event)
        if facts.get("state") == "paused" and (event.entity_id, facts.get("project")) not in declined:
            probe.blame(f"user {event.entity_id} was paused without a decline on known items")


def check_events(database: Database, connection: Connection, probe: Probe) -> None:
    """13. The chain holds, and every change of state has one event, which came with it."""
    try:
        probe.n_checked = verify_chain(database).n_events
    except StoreError as error:
        probe.blame(str(error))
    for page in pages_of(connection, assignment):
        told = actions_on(connection, [row.id for row in page])
        for row in page:
            seen = {action: n for (_, action), n in told[row.id].items() if n}
            if not _is_told(row, seen):
                probe.blame(f"assignment {row.id} is {row.state}; its events are {seen}")
    for page in pages_of(connection, judgment):
        told = actions_on(connection, [row.id for row in page])
        seals = {
            event.entity_id: facts_of(event).get("payload")
            for event in events_on(connection, [row.id for row in page])
            if event.action == "submit"
        }
        for row in page:
            n = told[row.id]["judgment", "submit"]
            if n != 1:
                probe.blame(f"judgment {row.id} has {n} events")
            if seals.get(row.id) is not None and seals[row.id] != seal_of(row.payload):
                probe.blame(f"judgment {row.id} is not what was sealed when it was taken")
    _check_counts(connection, probe)
    there = select(stream.c.project_id, stream.c.number)
    for query, what in ((streams().except_(there), "misses"), (there.except_(streams()), "has")):
        probe.none_of(connection, query, partial(_stray, what))


def _stray(what: str, row: Row[Any]) -> str:
    return f"the stream of project {row.project_id} wrongly {what} event {row.number}"


def _is_told(row: Row[Any], seen: Mapping[str, int]) -> bool:
    """Whether the events of an assignment are those that lead to its state, each once."""
    wanted = {"lease": 1} | ({"open": 1} if row.opened_ms is not None else {})
    if row.state == AssignmentState.SUBMITTED_LATE:
        return any(seen == {**wanted, end: 1} for end in ("expire", "released", "skipped"))
    end = {AssignmentState.EXPIRED: "expire", AssignmentState.RELEASED: "released"}.get(row.state, row.state)
    is_left = row.state in (AssignmentState.EXPIRED, AssignmentState.RELEASED, AssignmentState.SKIPPED)
    return seen == wanted | ({str(end): 1} if is_left else {})


def _check_counts(connection: Connection, probe: Probe) -> None:
    """As many events of a kind as rows they tell of."""
    kinds = (
        ("assignment", "lease", assignment),
        ("judgment", "submit", judgment),
        ("judgment", "mark", mark),
        ("definition", "publish", definition),
        ("review", "review", review),
        ("adjudication", "decide", adjudication),
        ("gold_result", "score", gold_result),
        ("alert", "alert", alert),
    )
    for entity, action, table in kinds:
        n_events = connection.execute(
            select(func.count()).where(chain.c.entity == entity, chain.c.action == action)
        ).scalar_one()
        n_rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if n_events != n_rows:
            probe.blame(f"{n_events} events say {action} {entity}; there are {n_rows} such rows")


def check_whole(connection: Connection, probe: Probe) -> None:
    """15. Nothing is half done: what was taken is there, and what is wanted can be had."""
    probe.n_checked = connection.execute(select(func.count()).select_from(judgment)).scalar_one()
    first = and_(judgment.c.assignment_id == assignment.c.id, judgment.c.revision == 1)
    probe.none_of(
        connection,
        select(assignment.c.id)
        .outerjoin(judgment, first)
        .where(assignment.c.state.in_(TAKEN), assignment.c.purpose.not_in(SECOND), judgment.c.id.is_(None)),
        lambda row: f"assignment {row.id} was submitted and has no judgment",
    )
    probe.none_of(
        connection,
        select(judgment.c.id, assignment.c.state)
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .where(assignment.c.state.not_in(TAKEN), assignment.c.purpose.not_in(SECOND)),
        lambda row: f"judgment {row.id} belongs to an assignment that is {row.state}",
    )
    for purpose, table in ((Purpose.REVIEW, review), (Purpose.ADJUDICATE, adjudication)):
        probe.none_of(
            connection,
            select(assignment.c.id)
            .outerjoin(table, table.c.assignment_id == assignment.c.id)
            .where(
                assignment.c.state.in_(TAKEN), assignment.c.purpose == purpose.value, table.c.id.is_(None)
            ),
            partial(_without, purpose),
        )
    probe.none_of(
        connection,
        select(judgment.c.assignment_id)
        .group_by(judgment.c.assignment_id)
        .having(func.count() != func.max(judgment.c.revision)),
        lambda row: f"a revision of the judgment of assignment {row.assignment_id} is missing",
    )
    wanted = and_(slot.c.item_id == item.c.id, slot.c.state.in_(WANTED), slot.c.purpose.not_in(ASIDE))
    waiting = [one.value for one in ItemState if one.is_waiting]
    probe.none_of(
        connection,
        select(item.c.id, item.c.state)
        .outerjoin(slot, wanted)
        .outerjoin(gold, gold.c.item_id == item.c.id)
        .where(item.c.state.in_(waiting), item.c.stage != "turn", gold.c.item_id.is_(None))
        .group_by(item.c.id, item.c.state)
        .having(func.count(slot.c.id) == 0),
        lambda row: f"item {row.id} is {row.state} and nothing is wanted of it",
    )
    probe.none_of(
        connection,
        select(item.c.id, item.c.state)
        .join(slot, wanted)
        .where(item.c.state.not_in(waiting), slot.c.state == SlotState.OPEN.value)
        .distinct(),
        lambda row: f"item {row.id} is {row.state} and has open slots",
    )


def _twice(name: str, row: Row[Any]) -> str:
    return f"item {row.item_id} is {name} {row.n} times by user {row.user_id}"


def _without(purpose: Purpose, row: Row[Any]) -> str:
    return f"assignment {row.id} was submitted and has no {purpose}"


def facts_of(event: Row[Any]) -> dict[str, Any]:
    """What an event says beside its row."""
    return dict(json.loads(event.facts))
