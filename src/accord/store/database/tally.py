"""How much there is of what: counters of a project, moved in the transaction that moves what they count.

A page reads a few rows where it would count millions. What a transaction moves is summed up and written at
its very end, behind the end of the chain of events, so that no two wait for each other. Leaves out shares and
agreement, which are computed from judgments.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, String, cast, delete, func, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from accord.store.database.states import AssignmentState, Purpose, SlotState
from accord.store.database.tables import assignment, item, judgment, slot
from accord.store.database.upkeep_tables import tally

COUNTS = "accord_counts"
"""Execution option of a writing connection: what its transaction moved so far."""
DAY_MS = 86_400_000
NOT_COUNTED = [Purpose.REVIEW.value, Purpose.ADJUDICATE.value]
"""Work that is no judging."""


class Kind(StrEnum):
    """What is counted; in brackets, what each counter is named by."""

    ITEM = "item"
    """Items (state)."""
    SLOT = "slot"
    """Judgments wanted (state, but for open ones)."""
    OPEN = "open"
    """Open ones (the skill they ask for, or nothing)."""
    PERSON = "person"
    """Pieces of work that somebody judged (user)."""
    ACTIVE = "active"
    """Milliseconds he worked on them (user)."""
    DAY = "day"
    """Judgments, all revisions (days since 1970)."""


Counts = Counter[tuple[str, str, str]]
"""(project, kind, name) to by how much it moved."""


def count(connection: Connection, project_id: str, kind: Kind, name: str, by: int = 1) -> None:
    """Move a counter, once the transaction ends; only within `Database.write`."""
    moved: Counts = connection.get_execution_options()[COUNTS]
    moved[project_id, kind.value, name] += by


def count_slot(connection: Connection, project_id: str, skill: str | None, state: str, by: int = 1) -> None:
    """Move the counter of a slot's state."""
    if state == SlotState.OPEN:
        count(connection, project_id, Kind.OPEN, skill or "", by)
    else:
        count(connection, project_id, Kind.SLOT, state, by)


def count_judgment(connection: Connection, project_id: str, at_ms: int) -> None:
    """Count a judgment to its day."""
    count(connection, project_id, Kind.DAY, str(at_ms // DAY_MS))


def write_counts(connection: Connection) -> None:
    """Write what this transaction moved: one statement, last of all."""
    moved: Counts = connection.get_execution_options()[COUNTS]
    rows = [
        {"project_id": project_id, "kind": kind, "name": name, "n": by}
        for (project_id, kind, name), by in sorted(moved.items())
        if by
    ]
    moved.clear()
    if not rows:
        return
    insert_into = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    made = insert_into(tally).values(rows)
    key = [tally.c.project_id, tally.c.kind, tally.c.name]
    connection.execute(
        made.on_conflict_do_update(index_elements=key, set_={"n": tally.c.n + made.excluded.n})
    )


def counts_of(connection: Connection, project_id: str) -> Mapping[Kind, dict[str, int]]:
    """A project's counters by kind and name; those at 0 are left out."""
    return counts_of_all(connection, [project_id])[project_id]


def counts_of_all(
    connection: Connection, project_ids: Sequence[str], kinds: Sequence[Kind] = tuple(Kind)
) -> Mapping[str, Mapping[Kind, dict[str, int]]]:
    """[project] Its counters of these kinds by name; those of several projects by one statement."""
    rows = connection.execute(
        select(tally).where(
            tally.c.project_id.in_(project_ids),
            tally.c.kind.in_([one.value for one in kinds]),
            tally.c.n != 0,
        )
    ).all()
    found: dict[str, dict[Kind, dict[str, int]]] = {one: defaultdict(dict) for one in project_ids}
    for row in rows:
        found[row.project_id][Kind(row.kind)][row.name] = row.n
    return found


def slots_by_state(counts: Mapping[Kind, Mapping[str, int]]) -> dict[str, int]:
    """Slots of each state there is any in."""
    n_open = sum(counts.get(Kind.OPEN, {}).values())
    return {**({SlotState.OPEN.value: n_open} if n_open else {}), **counts.get(Kind.SLOT, {})}


def recount(connection: Connection) -> None:
    """Make all counters anew by counting; for a database that comes from before there were any."""
    connection.execute(delete(tally))
    for query in recounts():
        connection.execute(insert(tally).from_select(["project_id", "kind", "name", "n"], query))


def recounts() -> list[Select[Any]]:
    """The queries that count each kind: project, kind, name, number."""
    is_open = slot.c.state == SlotState.OPEN.value
    skill = func.coalesce(slot.c.required_skill, literal("", literal_execute=True))
    has_judgment = [state.value for state in AssignmentState if state.has_judgment]
    is_judged = assignment.c.state.in_(has_judgment) & assignment.c.purpose.not_in(NOT_COUNTED)
    day = cast(judgment.c.received_ms // literal(DAY_MS, literal_execute=True), String)

    def counted(project_id: Any, kind: Kind, name: Any, number: Any) -> Select[Any]:
        return select(project_id, literal(kind.value), name, number).group_by(project_id, name)

    return [
        counted(item.c.project_id, Kind.ITEM, item.c.state, func.count()),
        counted(slot.c.project_id, Kind.SLOT, slot.c.state, func.count()).where(~is_open),
        counted(slot.c.project_id, Kind.OPEN, skill, func.count()).where(is_open),
        counted(assignment.c.project_id, Kind.PERSON, assignment.c.user_id, func.count()).where(is_judged),
        counted(
            assignment.c.project_id, Kind.ACTIVE, assignment.c.user_id, func.sum(assignment.c.active_ms)
        ).where(is_judged),
        counted(item.c.project_id, Kind.DAY, day, func.count())
        .select_from(judgment)
        .join(item, item.c.id == judgment.c.item_id),
    ]
