"""People who sign in through another service: the ways there that were begun, and who is who.

A way is taken once, by the browser that began it. Somebody is known by issuer and subject and never by a
name, which others could take. Leaves out the other service and what its tokens say.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from accord.domain.errors import StoreError
from accord.store.database.accounts import EVERYWHERE, Accounts, Role, Session
from accord.store.database.audit import append_events
from accord.store.database.live_tables import identity, sign_in
from accord.store.database.slots import entry
from accord.store.database.tables import role_binding, user

WAY_MS = 600_000
"""How long somebody may take at the other service."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to the other service."""

    state: str
    """Comes back with the answer; only its hash is kept."""
    browser: str
    """Stays in the browser that began; only its hash is kept."""
    nonce: str
    """Comes back inside the token."""
    verifier: str
    """Of PKCE: proves that who takes the answer is who asked."""


@dataclass(frozen=True)
class Identities:
    """Keeps ways and identities."""

    accounts: Accounts

    def begin(self) -> Way:
        """A new way; those that nobody came back from are swept out."""
        drawn = {name: secrets.token_urlsafe(32) for name in ("state", "browser", "nonce", "verifier")}
        made = Way(**drawn)
        now = self._now_ms()
        with self.accounts.database.write() as connection:
            connection.execute(delete(sign_in).where(sign_in.c.expires_ms < now))
            connection.execute(
                insert(sign_in).values(
                    state_hash=_hash(made.state),
                    browser_hash=_hash(made.browser),
                    nonce=made.nonce,
                    verifier=made.verifier,
                    expires_ms=now + WAY_MS,
                )
            )
        return made

    def take(self, state: str, browser: str) -> Way | None:
        """The way this browser began, once; nothing for another's, an old one, or one taken before."""
        place = (sign_in.c.state_hash == _hash(state)) & (sign_in.c.browser_hash == _hash(browser))
        with self.accounts.database.write() as connection:
            row = connection.execute(select(sign_in).where(place).with_for_update()).first()
            if row is None:
                return None
            connection.execute(delete(sign_in).where(place))
        if row.expires_ms < self._now_ms():
            return None
        return Way(state=state, browser=browser, nonce=row.nonce, verifier=row.verifier)

    def find(self, issuer: str, subject: str) -> str | None:
        """Whose identity this is here; nothing where it is nobody's."""
        with self.accounts.database.read() as connection:
            return connection.execute(
                select(identity.c.user_id).where(identity.c.issuer == issuer, identity.c.subject == subject)
            ).scalar()

    def link(self, issuer: str, subject: str, handle: str) -> str:
        """Make an identity that of an account which is there; the account's id."""
        with self.accounts.database.write() as connection:
            found = connection.execute(select(user.c.id).where(user.c.handle == handle)).scalar()
            if found is None:
                raise StoreError(f"there is no account {handle!r} to sign in to; add it first")
            self._bind(connection, issuer, subject, found)
        return str(found)

    def make(self, issuer: str, subject: str, handle: str, role: Role) -> str:
        """A new account for an identity, its id; a handle that is taken is refused, for it is another's."""
        with self.accounts.database.write() as connection:
            new_id, events = self.accounts.add_in(connection, handle, None, role)
            append_events(connection, events)
            self._bind(connection, issuer, subject, new_id)
        return new_id

    def enter(self, user_id: str, issuer: str, role: Role | None) -> Session:
        """A session; with `role` the account has that one from now on, but an owner stays owner."""
        with self.accounts.database.write() as connection:
            held = connection.execute(
                select(role_binding.c.role).where(
                    role_binding.c.user_id == user_id, role_binding.c.project_id == EVERYWHERE
                )
            ).scalar()
            if role is not None and held not in (role.value, Role.OWNER.value):
                connection.execute(
                    delete(role_binding).where(
                        role_binding.c.user_id == user_id, role_binding.c.project_id == EVERYWHERE
                    )
                )
                bound: Mapping[str, str] = {
                    "user_id": user_id, "project_id": EVERYWHERE, "role": role.value,
                }  # fmt: skip
                connection.execute(insert(role_binding).values(bound))
                facts = {"role": role.value, "project": EVERYWHERE, "by": issuer}
                append_events(connection, [entry(self._now_ms(), "accounts", "role", "user", user_id, facts)])
            return self.accounts.open_session(connection, user_id, by=issuer)

    def _bind(self, connection: Connection, issuer: str, subject: str, user_id: str) -> None:
        now = self._now_ms()
        values = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_ms": now}
        connection.execute(insert(identity).values(values))
        append_events(connection, [entry(now, "accounts", "bind", "user", user_id, {"issuer": issuer})])

    def _now_ms(self) -> int:
        return int(self.accounts.clock.now().timestamp() * 1000)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
