"""Why somebody gets no work: what is asked of him first, how he stands, the limits of his day, or no work.

A reason is a code, for the page, and a sentence, for the person.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, exists, select

from accord.feedback.definitions import Definitions
from accord.feedback.policy import Policy
from accord.store.database.hidden import DAY_MS
from accord.store.database.people_tables import acknowledgement, consent
from accord.store.database.slots import is_held
from accord.store.database.states import Lane, PersonState, Purpose, SlotState
from accord.store.database.tables import assignment, slot
from accord.store.database.tally import NOT_COUNTED
from accord.store.database.workflow_tables import standing


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why there is no work."""

    code: str
    text: str

    def shown(self) -> dict[str, str]:
        """As the page gets it."""
        return {"reason": self.code, "text": self.text}


SAID = {
    PersonState.PAUSED: "Your work here is paused. Take the test anew, or ask your lead.",
    PersonState.FAILED: "The entry test was not passed. Your lead can let you try again.",
    PersonState.LEFT: "You have left this project. Your lead can bring you back.",
}


def asked_first(
    connection: Connection,
    user_id: str,
    newest: dict[str, str],
    policy: Policy,
    definitions: Definitions,
) -> Reason | None:
    """What somebody has to do before he is given work; nothing where he may begin."""
    terms, guideline = newest.get("terms"), newest.get("guideline")
    if policy.needs_consent and terms is not None:
        found = connection.execute(
            select(consent.c.id).where(
                consent.c.user_id == user_id,
                consent.c.definition_id == terms,
                consent.c.withdrawn_ms.is_(None),
            )
        ).first()
        if found is None:
            return Reason(code="consent", text="Please read the terms of this project and agree first.")
    if guideline is not None:
        body = definitions.read(connection, guideline, "body", dict)
        if not body.get("requires_ack"):
            return None
        read = connection.execute(
            select(acknowledgement.c.at_ms).where(
                acknowledgement.c.user_id == user_id, acknowledgement.c.definition_id == guideline
            )
        ).first()
        if read is None:
            return Reason(code="guideline", text="The guideline is new: please read it first.")
    return None


def why_empty(connection: Connection, project_id: str, user_id: str, policy: Policy, now: int) -> Reason:
    """Why the queue had nothing."""
    row = connection.execute(
        select(standing).where(standing.c.user_id == user_id, standing.c.project_id == project_id)
    ).first()
    if row is not None:
        state = PersonState(row.state)
        if state in SAID:
            return Reason(code=state.value, text=SAID[state])
        if state in (PersonState.TESTING, PersonState.TRAINING):
            return Reason(code=state.value, text="There are no further items to test with; ask your lead.")
        is_today = row.day == now // DAY_MS
        is_full = policy.judgments_per_day is not None and row.n_today >= policy.judgments_per_day
        limit = policy.terms.max_active_ms
        if is_today and (is_full or (limit is not None and row.active_today_ms >= limit)):
            return Reason(code="limit", text="That is enough for today. Thank you; come back tomorrow.")
    return _queue_reason(connection, project_id, user_id)


def _queue_reason(connection: Connection, project_id: str, user_id: str) -> Reason:
    is_ours = (slot.c.project_id == project_id) & (slot.c.lane == Lane.LABEL.value)
    is_open = is_ours & (slot.c.state == SlotState.OPEN.value)
    is_mine = exists().where(assignment.c.item_id == slot.c.item_id, assignment.c.user_id == user_id)

    def is_any(*where: ColumnElement[bool]) -> bool:
        # In the order of the index of open slots, so that PostgreSQL looks there and not through all slots.
        order = (slot.c.required_skill, slot.c.priority.desc(), slot.c.id)
        found = connection.execute(select(slot.c.id).where(*where).order_by(*order).limit(1))
        return found.first() is not None

    if is_any(is_open, ~is_mine):
        return Reason(code="skill", text="What is left asks for a skill you do not have yet.")
    if is_any(is_open):
        return Reason(code="done", text="You have judged everything here; the rest waits for others.")
    # By who holds them, for of those there are few; slots that were filled may be millions.
    held = select(assignment.c.id).where(
        assignment.c.project_id == project_id,
        is_held(),
        assignment.c.purpose.not_in([*NOT_COUNTED, Purpose.TURN.value]),
    )
    if connection.execute(held.limit(1)).first() is not None:
        return Reason(code="leased", text="Others hold the last pieces; some may come back.")
    return Reason(code="done", text="Everything is judged. Thank you.")
