"""Who may come in, and what he may do: passwords, sessions, tokens, roles.

Passwords are kept as scrypt hashes (RFC 7914), sessions and tokens as SHA-256 of their random text, so that
a copy of the database opens no door. Leaves out how a browser carries them.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import StoreError
from accord.domain.ids import IdSource, TimeOrderedIds
from accord.domain.judgments import Source
from accord.store.database.audit import Event, append_events
from accord.store.database.engine import Database
from accord.store.database.tables import role_binding, session, user

EVERYWHERE = ""
"""In place of a project: a role in all of them."""
FAILURES_ALLOWED = 5
"""Wrong passwords in a row before an account is locked for a while."""
LOCK_MS = 60_000
"""How long it is locked."""
MIN_PASSWORD = 10
"""Characters of a password."""
TOKEN_PREFIX = "accord_"
"""How a program's token begins, so that one that leaked is recognized."""


class Role(StrEnum):
    """What somebody is in a project."""

    OWNER = "owner"
    LEAD = "lead"
    REVIEWER = "reviewer"
    ANNOTATOR = "annotator"
    AUDITOR = "auditor"
    SERVICE = "service"


PERMISSIONS: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        Role.OWNER: frozenset(
            {"annotate", "review", "import", "export", "watch", "manage", "people", "audit"}
        ),
        Role.LEAD: frozenset({"annotate", "review", "import", "export", "watch", "manage"}),
        Role.REVIEWER: frozenset({"annotate", "review"}),
        Role.ANNOTATOR: frozenset({"annotate"}),
        Role.AUDITOR: frozenset({"watch", "audit"}),
        Role.SERVICE: frozenset({"annotate", "import", "export", "watch"}),
    }
)
"""What each role may do."""


@dataclass(frozen=True, kw_only=True)
class PasswordCost:
    """How dear a guess is: scrypt's parameters."""

    n: int = 2**15
    """Rounds of mixing, a power of 2; memory is 128 n r bytes."""
    r: int = 8
    """Block size."""
    p: int = 3
    """Repetitions."""

    def hash_password(self, password: str, salt: bytes) -> str:
        """Parameters, salt and hash in one line."""
        digest = hashlib.scrypt(
            password.encode(), salt=salt, n=self.n, r=self.r, p=self.p, maxmem=256 * self.n * self.r
        )
        parts = (base64.b64encode(salt).decode(), base64.b64encode(digest).decode())
        return f"scrypt${self.n}${self.r}${self.p}${parts[0]}${parts[1]}"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Somebody who has come in."""

    id: str
    handle: str
    roles: Mapping[str, Role]
    """Project to role; the empty project stands for all."""
    scopes: frozenset[str] | None = None
    """Of a token: it may do nothing else. A browser's session has no such limit."""

    def may(self, permission: str, project_id: str = EVERYWHERE) -> bool:
        """Whether a role in this project, or in all, allows it."""
        if self.scopes is not None and permission not in self.scopes:
            return False
        held = [self.roles[place] for place in {EVERYWHERE, project_id} if place in self.roles]
        return any(permission in PERMISSIONS[role] for role in held)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A browser's session, as only its browser gets it."""

    token: str
    csrf: str
    """Sent back with everything that changes something."""
    expires_ms: int


@dataclass(frozen=True)
class Accounts:
    """Opens and shuts the door."""

    database: Database
    clock: Clock
    ids: IdSource
    cost: PasswordCost = PasswordCost()  # frozen, without state

    @classmethod
    def of(cls, database: Database, cost: PasswordCost | None = None) -> "Accounts":
        """With the machine's own clock and ids ordered by time."""
        return cls(database, SystemClock(), TimeOrderedIds(), cost or PasswordCost())

    def add(
        self,
        handle: str,
        password: str | None,
        role: Role,
        *,
        project_id: str = EVERYWHERE,
        skills: Sequence[str] = (),
        source: Source = Source.HUMAN,
    ) -> str:
        """A new account's id. Without a password it can only be used by tokens."""
        kept = self.hash_password(password)
        with self.database.write() as connection:
            new_id, events = self.add_in(
                connection, handle, kept, role, project_id=project_id, skills=skills, source=source
            )
            append_events(connection, events)
        return new_id

    def hash_password(self, password: str | None) -> str | None:
        """A checked password as it is kept; takes a tenth of a second, so do it before a transaction."""
        if password is not None and len(password) < MIN_PASSWORD:
            raise StoreError(f"the password has {len(password)} characters; expected {MIN_PASSWORD} or more")
        return None if password is None else self.cost.hash_password(password, secrets.token_bytes(16))

    def add_in(
        self,
        connection: Connection,
        handle: str,
        password_hash: str | None,
        role: Role,
        *,
        project_id: str = EVERYWHERE,
        skills: Sequence[str] = (),
        source: Source = Source.HUMAN,
    ) -> tuple[str, list[Event]]:
        """The same inside the caller's transaction, which has to write the events."""
        if not handle or handle != handle.strip() or not handle.isprintable():
            raise StoreError(f"the handle {handle!r} is empty or has spaces around it; choose another")
        new_id, now = self.ids.new(), self._now_ms()
        row = {
            "id": new_id,
            "handle": handle,
            "source": source.value,
            "skills": sorted(skills),
            "created_ms": now,
            "password_hash": password_hash,
        }
        try:
            connection.execute(insert(user).values(row))
        except IntegrityError as error:
            raise StoreError(f"the handle {handle!r} is taken; choose another") from error
        bound = {"user_id": new_id, "project_id": project_id, "role": role.value}
        connection.execute(insert(role_binding).values(bound))
        return new_id, [self._event(now, "add", new_id, {"role": role.value})]

    def set_role(self, user_id: str, role: Role, *, project_id: str = EVERYWHERE) -> None:
        """Give somebody another role, there instead of the one he had."""
        now = self._now_ms()
        place = (role_binding.c.user_id == user_id) & (role_binding.c.project_id == project_id)
        with self.database.write() as connection:
            connection.execute(delete(role_binding).where(place))
            bound = {"user_id": user_id, "project_id": project_id, "role": role.value}
            connection.execute(insert(role_binding).values(bound))
            facts = {"role": role.value, "project": project_id}
            append_events(connection, [self._event(now, "role", user_id, facts)])

    def log_in(self, handle: str, password: str, *, hours: float = 12.0) -> Session | None:
        """A session, or nothing where handle and password do not fit or the account is locked.

        An unknown handle costs the same time as a wrong password.
        """
        now = self._now_ms()
        with self.database.read() as connection:
            row = connection.execute(select(user).where(user.c.handle == handle)).first()
        kept = None if row is None else row.password_hash
        is_right = self._is_right(password, kept)
        if row is None or kept is None or row.locked_until_ms > now:
            return None
        if not is_right:
            failures = row.n_failed_logins + 1
            is_locked = failures >= FAILURES_ALLOWED
            values = {
                "n_failed_logins": 0 if is_locked else failures,
                "locked_until_ms": now + LOCK_MS if is_locked else 0,
            }
            with self.database.write() as connection:
                connection.execute(update(user).where(user.c.id == row.id).values(values))
                append_events(connection, [self._event(now, "refuse", row.id, {})])
            return None
        with self.database.write() as connection:
            connection.execute(update(user).where(user.c.id == row.id).values(n_failed_logins=0))
            return self.open_session(connection, row.id, hours=hours)

    def open_session(
        self, connection: Connection, user_id: str, *, hours: float = 12.0, by: str = ""
    ) -> Session:
        """A session for somebody who has shown who he is; `by` is who vouches, where that was not we."""
        now = self._now_ms()
        made = Session(
            token=secrets.token_urlsafe(32),
            csrf=secrets.token_hex(32),
            expires_ms=now + int(hours * 3_600_000),
        )
        self._keep(connection, made.token, user_id, "browser", made.csrf, [], made.expires_ms)
        facts = {"by": by} if by else {}
        append_events(connection, [self._event(now, "login", user_id, facts)])
        return made

    def log_out(self, token: str) -> None:
        """End a session or withdraw a token; one that is not there is none."""
        with self.database.write() as connection:
            connection.execute(delete(session).where(session.c.token_hash == _hash(token)))

    def make_token(self, user_id: str, scopes: Sequence[str], *, days: float = 90.0) -> str:
        """A program's token; it is shown this once."""
        known = sorted(frozenset().union(*PERMISSIONS.values()))
        wrong = sorted(set(scopes) - set(known))
        if wrong or not scopes:
            raise StoreError(f"scopes {wrong or 'are empty'}; expected some of {', '.join(known)}")
        token, now = TOKEN_PREFIX + secrets.token_urlsafe(32), self._now_ms()
        with self.database.write() as connection:
            expires = now + int(days * 86_400_000)
            self._keep(connection, token, user_id, "token", "0" * 64, sorted(scopes), expires)
            append_events(connection, [self._event(now, "token", user_id, {"scopes": sorted(scopes)})])
        return token

    def find(self, token: str) -> tuple[Account, str] | None:
        """Whose session or token this is, and its CSRF text; nothing where it is unknown or over."""
        with self.database.read() as connection:
            rows = connection.execute(
                select(session, user.c.handle, role_binding.c.project_id, role_binding.c.role)
                .join(user, user.c.id == session.c.user_id)
                .outerjoin(role_binding, role_binding.c.user_id == session.c.user_id)
                .where(session.c.token_hash == _hash(token), session.c.expires_ms > self._now_ms())
            ).all()
        if not rows:
            return None
        row = rows[0]
        account = Account(
            id=row.user_id,
            handle=row.handle,
            roles={one.project_id: Role(one.role) for one in rows if one.role is not None},
            scopes=frozenset(row.scopes) if row.kind == "token" else None,
        )
        return account, row.csrf

    def _is_right(self, password: str, kept: str | None) -> bool:
        if kept is None:
            self.cost.hash_password(password, b"nobody's salt")
            return False
        _, n, r, p, salt, _ = kept.split("$")
        cost = PasswordCost(n=int(n), r=int(r), p=int(p))
        return hmac.compare_digest(kept, cost.hash_password(password, base64.b64decode(salt)))

    def _keep(self, connection, token, user_id, kind, csrf, scopes, expires_ms) -> None:  # type: ignore[no-untyped-def]
        connection.execute(
            insert(session).values(
                token_hash=_hash(token),
                user_id=user_id,
                kind=kind,
                csrf=csrf,
                scopes=scopes,
                expires_ms=expires_ms,
            )
        )

    def _event(self, now: int, action: str, user_id: str, facts: Mapping[str, object]) -> Event:
        return Event(
            at_ms=now, actor="accounts", action=action, entity="user", entity_id=user_id, facts=facts
        )

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
