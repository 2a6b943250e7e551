"""How a queue does: what is open and for whom, who holds what, and why somebody gets nothing."""

from collections import Counter
from typing import Any

from sqlalchemy import func, select

from accord.feedback.work import Work
from accord.store.database.accounts import Role
from accord.store.database.slots import is_held
from accord.store.database.states import AssignmentState
from accord.store.database.tables import assignment, role_binding, user
from accord.store.database.tally import Kind, counts_of

MOST = 50
"""Leases and people that are listed; all are counted."""


def describe_queue(work: Work, project_id: str) -> dict[str, Any]:
    """Open work by the skill it asks for, leases with their holders, and why a person gets no work."""
    now = int(work.queue.clock.now().timestamp() * 1000)
    with work.database.read() as connection:
        n_open = counts_of(connection, project_id).get(Kind.OPEN, {})
        wanted = [(skill or None, count) for skill, count in sorted(n_open.items())]
        held = (assignment.c.project_id == project_id) & is_held()
        n_leases = connection.execute(select(func.count()).select_from(assignment).where(held)).scalar_one()
        leases = connection.execute(
            select(user.c.handle, assignment.c.state, assignment.c.leased_ms, assignment.c.lease_until_ms)
            .join(user, user.c.id == assignment.c.user_id)
            .where(held)
            .order_by(assignment.c.leased_ms)
            .limit(MOST)
        ).all()
        may = [Role.ANNOTATOR.value, Role.REVIEWER.value]
        people = connection.execute(
            select(user.c.id, user.c.handle, user.c.skills)
            .join(role_binding, role_binding.c.user_id == user.c.id)
            .where(role_binding.c.project_id.in_(["", project_id]), role_binding.c.role.in_(may))
            .order_by(user.c.handle)
            .limit(MOST)
        ).all()
    skilled: Counter[str] = Counter(skill for row in people for skill in row.skills)
    holders = Counter(row.handle for row in leases)
    return {
        "wanted": [
            {"skill": skill, "n": count, "n_people": len(people) if skill is None else skilled[skill]}
            for skill, count in wanted
        ],
        "n_leases": n_leases,
        "leases": [
            {
                "handle": row.handle,
                "is_open": row.state == AssignmentState.OPENED,
                "minutes": (now - row.leased_ms) / 60_000,
                "left": (row.lease_until_ms - now) / 60_000,
            }
            for row in leases
        ],
        "people": [
            {"handle": row.handle, "why": _why(work, project_id, row, holders[row.handle], wanted)}
            for row in people
        ],
    }


def _why(work: Work, project_id: str, person: Any, n_held: int, wanted: Any) -> str:
    """Why somebody has no work, in a sentence; empty where there is work for him."""
    if n_held:
        return ""
    reason = work.why_empty(project_id, person.id)
    fits = any(skill is None or skill in person.skills for skill, _ in wanted)
    return "" if fits and reason["reason"] == "skill" else reason["text"]
