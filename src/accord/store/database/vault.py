"""What people say of themselves, encrypted at rest; read only as counts of ten or more; forgotten on wish.

Each person has a key of his own, wrapped with the workspace's key file (Fernet: AES-128 and HMAC-SHA-256).
Erasing somebody destroys his key and his name; his judgments keep their ids and the chain of events still
verifies. Not guarded against: somebody who has the database and the key file, and backups made before.
"""

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, insert, select, update

from accord.domain.errors import StoreError
from accord.store.database.accounts import Accounts
from accord.store.database.audit import append_events
from accord.store.database.live_tables import identity
from accord.store.database.people import end_sessions
from accord.store.database.people_tables import attribute, user_key, user_skill
from accord.store.database.slots import entry
from accord.store.database.tables import assignment, draft, role_binding, user
from accord.store.database.upkeep_tables import answered
from accord.store.database.workflow_tables import standing

ERASED = "erased-"
"""How the handle of somebody who was forgotten begins; his id follows."""
FEWEST = 10
"""People of one answer below which it is not told: k of k-anonymity."""
MAX_VALUE = 200


@dataclass(frozen=True)
class Vault:
    """Keeps, counts and forgets what people say of themselves."""

    accounts: Accounts
    key_file: Path | None
    """Nothing where the server has none: then nobody's attributes are kept, and erasing still works."""

    @property
    def _master(self) -> Fernet:
        if self.key_file is None:
            raise StoreError(
                "this server has no key file and keeps nothing people say of themselves; start it with "
                "--key-file FILE"
            )
        try:
            key = self.key_file.read_bytes()
        except FileNotFoundError:
            key = _make_key(self.key_file)
        return Fernet(key)

    def keep(self, user_id: str, values: Mapping[str, str]) -> None:
        """Put what somebody says of himself away; an empty value takes it back."""
        now = int(self.accounts.clock.now().timestamp() * 1000)
        for name, value in values.items():
            if not name or len(name) > 60 or len(value) > MAX_VALUE:
                raise StoreError(f"attribute {name!r}: expected a name and up to {MAX_VALUE} characters")
        with self.accounts.database.write() as connection:
            row = connection.execute(select(user.c.id).where(user.c.id == user_id).with_for_update()).scalar()
            if row is None:
                raise StoreError(f"there is no user {user_id!r}")
            wrapped = connection.execute(
                select(user_key.c.wrapped).where(user_key.c.user_id == user_id)
            ).scalar()
            if wrapped is None:
                wrapped = self._master.encrypt(Fernet.generate_key()).decode()
                connection.execute(insert(user_key).values(user_id=user_id, wrapped=wrapped))
            own = Fernet(self._open(wrapped))
            for name, value in values.items():
                place = (attribute.c.user_id == user_id) & (attribute.c.name == name)
                connection.execute(delete(attribute).where(place))
                if value:
                    sealed = own.encrypt(value.encode()).decode()
                    connection.execute(
                        insert(attribute).values(user_id=user_id, name=name, sealed=sealed, at_ms=now)
                    )
            facts = {"names": sorted(values)}
            append_events(connection, [entry(now, user_id, "keep", "attribute", user_id, facts)])

    def own(self, user_id: str) -> dict[str, str]:
        """What somebody said of himself, for himself."""
        with self.accounts.database.read() as connection:
            rows = connection.execute(
                select(attribute.c.name, attribute.c.sealed, user_key.c.wrapped)
                .join(user_key, user_key.c.user_id == attribute.c.user_id)
                .where(attribute.c.user_id == user_id)
            ).all()
        return {row.name: Fernet(self._open(row.wrapped)).decrypt(row.sealed).decode() for row in rows}

    def count(self, project_id: str, name: str) -> dict[str, int]:
        """How many who worked in a project gave each answer; answers of fewer than ten are not told.

        Where those left out are together fewer than ten, the smallest answer told is left out too: else the
        total would tell them.
        """
        with self.accounts.database.read() as connection:
            rows = connection.execute(
                select(attribute.c.sealed, user_key.c.wrapped)
                .join(user_key, user_key.c.user_id == attribute.c.user_id)
                .join(standing, standing.c.user_id == attribute.c.user_id)
                .where(standing.c.project_id == project_id, attribute.c.name == name)
            ).all()
        counts = Counter(Fernet(self._open(row.wrapped)).decrypt(row.sealed).decode() for row in rows)
        return hide_few(counts)

    def erase(self, user_id: str, *, by: str) -> None:
        """Forget who somebody was: key, name, password, skills, drafts, sessions. What he judged stays."""
        now = int(self.accounts.clock.now().timestamp() * 1000)
        with self.accounts.database.write() as connection:
            row = connection.execute(select(user.c.id).where(user.c.id == user_id).with_for_update()).scalar()
            if row is None:
                raise StoreError(f"there is no user {user_id!r}")
            end_sessions(connection, user_id)
            for table in (user_key, attribute, user_skill, role_binding, identity, answered):
                connection.execute(delete(table).where(table.c.user_id == user_id))
            own = select(assignment.c.id).where(assignment.c.user_id == user_id)
            connection.execute(delete(draft).where(draft.c.assignment_id.in_(own)))
            gone: dict[str, object] = {"handle": f"{ERASED}{user_id}", "password_hash": None, "skills": []}
            connection.execute(update(user).where(user.c.id == user_id).values(gone))
            append_events(connection, [entry(now, by, "erase", "user", user_id, {})])

    def _open(self, wrapped: str) -> bytes:
        try:
            return self._master.decrypt(wrapped)
        except InvalidToken as error:
            raise StoreError(
                f"the key file {self.key_file} is not the one the attributes were encrypted with; "
                "put the right one there"
            ) from error


def _make_key(place: Path) -> bytes:
    """A new key file, whole or not at all; of two who make it at once the first one's is the key."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".key-")  # readable by its owner alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, place)
    finally:
        os.unlink(name)
    return place.read_bytes()


def hide_few(counts: Mapping[str, int], fewest: int = FEWEST) -> dict[str, int]:
    """Counts of `fewest` or more, and none from which the others would follow."""
    told = {value: count for value, count in counts.items() if count >= fewest}
    n_hidden = sum(counts.values()) - sum(told.values())
    if told and 0 < n_hidden < fewest:
        del told[min(told, key=lambda value: (told[value], value))]
    return dict(sorted(told.items()))
