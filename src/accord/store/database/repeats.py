"""Requests that come twice: under one key of its sender a request is done once, and answered the same again.

The key, what was done and the answer are written in one transaction, so that no crash lies between them. The
answer is sealed with the session or token that asked and with the key, of both of which only hashes are kept:
a copy of the database opens no door. Leaves out what requests look like.
"""

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import AccordError, DataError, StoreError
from accord.store.database.audit import append_waiting
from accord.store.database.engine import Database
from accord.store.database.upkeep_tables import answered

KEPT_MS = 86_400_000
"""How long a key is remembered: a day."""
SWEEP = 16
"""One request in so many, by its key, takes away what is over."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that carries a key."""

    key: str
    route: str
    """Method and path, for the message where the key is used for something else."""
    fingerprint: str
    """SHA-256 of method, path, query and body."""
    secret: str = field(repr=False)
    """The session or token that asked."""


class _TakenMeanwhileError(AccordError):
    """Another worker took the same request between our look and our write."""


@dataclass(frozen=True)
class Repeats:
    """Does a request once, however often it comes."""

    database: Database
    clock: Clock

    @classmethod
    def of(cls, database: Database) -> "Repeats":
        """With the machine's own clock."""
        return cls(database, SystemClock())

    def once(self, user_id: str, asked: Asked, act: Callable[[], Any]) -> Any:
        """What `act` answered, now or at the first time; all it writes and the answer are one transaction.

        A request that raises leaves nothing, its key neither. Raises `DataError` for a key under which
        something else was asked, `StoreError` where the answer is another session's.
        """
        while True:
            try:
                with self.database.together() as connection:
                    known = self._find(connection, user_id, asked)
                    if known is not None:
                        return known[0]
                    self._reserve(connection, user_id, asked)
                    answer = act()
                    place = (answered.c.user_id == user_id) & (answered.c.key_hash == _hash(asked.key))
                    connection.execute(update(answered).where(place).values(answer=_seal(asked, answer)))
                    append_waiting(connection)
                break
            except _TakenMeanwhileError:
                continue
        if int(_hash(asked.key)[:8], 16) % SWEEP == 0:
            self.sweep()
        return answer

    def once_apart(self, user_id: str, asked: Asked, act: Callable[[], Any]) -> Any:
        """The same for what takes long and may be done twice without harm: done before the transaction."""
        with self.database.read() as connection:
            known = self._find(connection, user_id, asked)
        if known is not None:
            return known[0]
        answer = act()
        return self.once(user_id, asked, lambda: answer)

    def sweep(self) -> int:
        """Take away what is over; how many they were."""
        with self.database.write() as connection:
            gone = connection.execute(delete(answered).where(answered.c.expires_ms <= self._now_ms()))
        return gone.rowcount

    def _find(self, connection: Connection, user_id: str, asked: Asked) -> tuple[Any] | None:
        """The first answer, which may be null; nothing where there was none."""
        row = connection.execute(
            select(answered).where(
                answered.c.user_id == user_id,
                answered.c.key_hash == _hash(asked.key),
                answered.c.expires_ms > self._now_ms(),
            )
        ).first()
        if row is None:
            return None
        if not hmac.compare_digest(row.fingerprint, asked.fingerprint):
            raise DataError(
                f"the Idempotency-Key {asked.key!r} was used for another request ({row.route}); a key is for "
                f"one request with one body, make a new one for each"
            )
        return (_open(asked, row.answer),)

    def _reserve(self, connection: Connection, user_id: str, asked: Asked) -> None:
        """Write the key, first of all: who comes with the same one meanwhile waits for the end of this."""
        place = (answered.c.user_id == user_id) & (answered.c.key_hash == _hash(asked.key))
        connection.execute(delete(answered).where(place))  # one that is over
        row = {
            "user_id": user_id,
            "key_hash": _hash(asked.key),
            "fingerprint": asked.fingerprint,
            "answer": "",
            "route": asked.route[:300],
            "expires_ms": self._now_ms() + KEPT_MS,
        }
        try:
            connection.execute(insert(answered).values(row))
        except IntegrityError as error:
            raise _TakenMeanwhileError from error

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _lock(asked: Asked) -> Fernet:
    digest = hmac.digest(asked.secret.encode(), b"accord answer " + asked.key.encode(), "sha256")
    return Fernet(base64.urlsafe_b64encode(digest))


def _seal(asked: Asked, answer: Any) -> str:
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return _lock(asked).encrypt(zlib.compress(text.encode())).decode()


def _open(asked: Asked, sealed: str) -> Any:
    try:
        return json.loads(zlib.decompress(_lock(asked).decrypt(sealed)))
    except InvalidToken as error:
        raise StoreError(
            f"the request with the Idempotency-Key {asked.key!r} was done already; its answer can only be "
            f"read by the session or token that asked first"
        ) from error
