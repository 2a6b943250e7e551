"""How people come in, what they can, how they stand: invitations, skills, states, acknowledgements, consent.

A skill is a name; a required skill is a name, a name with a level (`medicine:2`), or a name with `self` where
somebody's own word is enough (`medicine:self`). Leaves out what is secret, which is `secrets`.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from accord.domain.errors import StoreError
from accord.store.database.accounts import Accounts, Role
from accord.store.database.audit import Event, append_events
from accord.store.database.people_tables import acknowledgement, consent, invitation, user_skill
from accord.store.database.slots import entry
from accord.store.database.states import PERSON_STEPS, PersonState, check_step
from accord.store.database.tables import definition, session, user
from accord.store.database.workflow_tables import standing

MAX_LEVEL = 5
SOURCES = ("self", "test", "admin")
"""Who says that somebody can something."""


@dataclass(frozen=True)
class People:
    """Brings people in and keeps what is known of them."""

    accounts: Accounts

    def invite(
        self, role: Role, by: str, *, project_id: str = "", skills: Sequence[str] = (), days: float = 7.0
    ) -> str:
        """The secret part of a link that makes one account; it is shown this once."""
        token, now = secrets.token_urlsafe(24), self._now()
        with self.accounts.database.write() as connection:
            connection.execute(
                insert(invitation).values(
                    token_hash=_hash(token),
                    project_id=project_id,
                    role=role.value,
                    skills=sorted(skills),
                    created_by=by,
                    created_ms=now,
                    expires_ms=now + int(days * 86_400_000),
                )
            )
            facts = {"role": role.value, "project": project_id}
            append_events(connection, [entry(now, by, "invite", "invitation", _hash(token)[:36], facts)])
        return token

    def is_open(self, token: str) -> bool:
        """Whether an invitation can still be used."""
        with self.accounts.database.read() as connection:
            row = connection.execute(
                select(invitation.c.used_ms, invitation.c.expires_ms).where(
                    invitation.c.token_hash == _hash(token)
                )
            ).first()
        return row is not None and row.used_ms is None and row.expires_ms > self._now()

    def accept(self, token: str, handle: str, password: str) -> str:
        """Make the account of an invitation, its id; raises `StoreError` for one that cannot be used.

        Of two who use it at once one gets the account.
        """
        now = self._now()
        kept = self.accounts.hash_password(password)
        with self.accounts.database.write() as connection:
            taken = connection.execute(
                update(invitation)
                .where(
                    invitation.c.token_hash == _hash(token),
                    invitation.c.used_ms.is_(None),
                    invitation.c.expires_ms > now,
                )
                .values(used_ms=now)
            )
            if taken.rowcount != 1:
                raise StoreError("the invitation is used, over or unknown; ask for a new one")
            row = connection.execute(select(invitation).where(invitation.c.token_hash == _hash(token))).one()
            new_id, events = self.accounts.add_in(
                connection, handle, kept, Role(row.role), project_id=row.project_id, skills=row.skills
            )
            place = invitation.c.token_hash == _hash(token)
            connection.execute(update(invitation).where(place).values(user_id=new_id))
            append_events(connection, events)
        return new_id

    def grant_skill(
        self, user_id: str, skill: str, level: int, *, source: str, by: str, days: float | None = None
    ) -> None:
        """Note that somebody can something; what the queue reads is made anew."""
        now = self._now()
        with self.accounts.database.write() as connection:
            events = grant_skill(
                connection, user_id, skill, level, source=source, by=by, now=now,
                until=None if days is None else now + int(days * 86_400_000),
            )  # fmt: skip
            append_events(connection, events)

    def skills_of(self, user_id: str) -> list[dict[str, Any]]:
        """Skills with level and source."""
        with self.accounts.database.read() as connection:
            rows = connection.execute(
                select(user_skill).where(user_skill.c.user_id == user_id).order_by(user_skill.c.skill)
            ).all()
        return [
            {
                "skill": row.skill,
                "level": row.level,
                "source": row.source,
                "valid_until_ms": row.valid_until_ms,
            }
            for row in rows
        ]

    def set_state(self, user_id: str, project_id: str, state: PersonState, *, by: str, reason: str) -> None:
        """Let somebody stand otherwise in a project; raises `StoreError` for a step that is not allowed."""
        now = self._now()
        with self.accounts.database.write() as connection:
            events = set_person(connection, user_id, project_id, state, actor=by, reason=reason, now=now)
            append_events(connection, events)

    def acknowledge(self, user_id: str, definition_id: str) -> None:
        """Note that somebody has read a version of a guideline; twice is once."""
        now = self._now()
        with self.accounts.database.write() as connection:
            kind = connection.execute(
                select(definition.c.kind).where(definition.c.id == definition_id)
            ).scalar()
            if kind != "guideline":
                raise StoreError(f"there is no guideline {definition_id!r}")
            # The user's row keeps two tabs apart.
            connection.execute(select(user.c.id).where(user.c.id == user_id).with_for_update(key_share=True))
            place = (acknowledgement.c.user_id == user_id) & (
                acknowledgement.c.definition_id == definition_id
            )
            if connection.execute(select(acknowledgement).where(place)).first() is not None:
                return
            values = {"user_id": user_id, "definition_id": definition_id, "at_ms": now}
            connection.execute(insert(acknowledgement).values(values))
            append_events(connection, [entry(now, user_id, "acknowledge", "definition", definition_id, {})])

    def agree(self, user_id: str, definition_id: str) -> None:
        """Note that somebody agreed to a project's terms."""
        now = self._now()
        with self.accounts.database.write() as connection:
            kind = connection.execute(
                select(definition.c.kind).where(definition.c.id == definition_id)
            ).scalar()
            if kind != "terms":
                raise StoreError(f"there are no terms {definition_id!r}")
            new_id = self.accounts.ids.new()
            values = {"id": new_id, "user_id": user_id, "definition_id": definition_id, "at_ms": now}
            connection.execute(insert(consent).values(values))
            append_events(connection, [entry(now, user_id, "agree", "consent", new_id, {})])

    def withdraw(self, user_id: str, project_id: str) -> None:
        """Take consent back; work given before stays."""
        now = self._now()
        terms = select(definition.c.id).where(
            definition.c.project_id == project_id, definition.c.kind == "terms"
        )
        with self.accounts.database.write() as connection:
            changed = connection.execute(
                update(consent)
                .where(
                    consent.c.user_id == user_id,
                    consent.c.withdrawn_ms.is_(None),
                    consent.c.definition_id.in_(terms),
                )
                .values(withdrawn_ms=now)
            )
            if changed.rowcount:
                facts = {"project": project_id}
                append_events(connection, [entry(now, user_id, "withdraw", "consent", user_id, facts)])

    def has_agreed(self, user_id: str, definition_id: str) -> bool:
        """Whether somebody's consent to a version stands."""
        with self.accounts.database.read() as connection:
            found = connection.execute(
                select(func.count())
                .select_from(consent)
                .where(
                    consent.c.user_id == user_id,
                    consent.c.definition_id == definition_id,
                    consent.c.withdrawn_ms.is_(None),
                )
            ).scalar_one()
        return bool(found)

    def _now(self) -> int:
        return int(self.accounts.clock.now().timestamp() * 1000)


def grant_skill(
    connection: Connection,
    user_id: str,
    skill: str,
    level: int,
    *,
    source: str,
    by: str,
    now: int,
    until: int | None = None,
) -> list[Event]:
    """Note a skill inside the caller's transaction."""
    if not skill or not skill.replace("-", "").replace("_", "").isalnum() or len(skill) > 60:
        raise StoreError(f"the skill is {skill!r}; expected a word of letters, digits, - and _")
    if source not in SOURCES or not 1 <= level <= MAX_LEVEL:
        raise StoreError(
            f"level {level} from {source!r}; expected 1 to {MAX_LEVEL} from {', '.join(SOURCES)}"
        )
    place = (
        (user_skill.c.user_id == user_id) & (user_skill.c.skill == skill) & (user_skill.c.source == source)
    )
    if connection.execute(select(user.c.id).where(user.c.id == user_id)).first() is None:
        raise StoreError(f"there is no user {user_id!r}")
    connection.execute(delete(user_skill).where(place))
    connection.execute(
        insert(user_skill).values(
            user_id=user_id,
            skill=skill,
            source=source,
            level=level,
            granted_by=by,
            at_ms=now,
            valid_until_ms=until,
        )
    )
    refresh_skills(connection, user_id, now)
    facts = {"skill": skill, "level": level, "source": source}
    return [entry(now, by, "grant", "user", user_id, facts)]


def refresh_skills(connection: Connection, user_id: str, now: int) -> None:
    """Make what the queue reads from what is known: each level up to the one proven, own words as such."""
    rows = connection.execute(
        select(user_skill).where(
            user_skill.c.user_id == user_id,
            (user_skill.c.valid_until_ms.is_(None)) | (user_skill.c.valid_until_ms > now),
        )
    ).all()
    had = connection.execute(select(user.c.skills).where(user.c.id == user_id)).scalar_one()
    # What came with the account, and the rounds somebody takes part in, stays.
    words = {word for word in had if word.partition(":")[0] not in {row.skill for row in rows}}
    for row in rows:
        words.add(f"{row.skill}:self")
        if row.source != "self":
            words |= {row.skill, *(f"{row.skill}:{level}" for level in range(1, row.level + 1))}
    connection.execute(update(user).where(user.c.id == user_id).values(skills=sorted(words)))


def set_person(
    connection: Connection,
    user_id: str,
    project_id: str,
    state: PersonState,
    *,
    actor: str,
    reason: str,
    now: int,
) -> list[Event]:
    """Move somebody's standing inside the caller's transaction."""
    place = (standing.c.user_id == user_id) & (standing.c.project_id == project_id)
    row = connection.execute(select(standing).where(place).with_for_update()).first()
    if row is None:
        raise StoreError(f"{user_id!r} has not worked in this project yet")
    check_step(PERSON_STEPS, PersonState(row.state), state)
    connection.execute(
        update(standing).where(place).values(state=state.value, reason=reason[:200], since_ms=now)
    )
    facts = {"project": project_id, "state": state.value, "reason": reason[:200]}
    return [entry(now, actor, "stand", "standing", user_id, facts)]


def end_sessions(connection: Connection, user_id: str) -> None:
    """Shut every door that is open to somebody."""
    connection.execute(delete(session).where(session.c.user_id == user_id))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
