"""Sending what workflows have to tell other servers: signed, again and again until taken, only where allowed.

A message was written with the change it tells of, so that none is lost and no request waits for another
server; it may arrive twice, and says so by its id. Leaves out redirects, which are refused.

    Accord-Signature: t=SECONDS,v1=HEX      HMAC-SHA-256 over "SECONDS." and the body
"""

import hashlib
import hmac
import http.client
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row, select, update

from accord.domain.clock import Clock
from accord.store.database.audit import append_events
from accord.store.database.engine import Database
from accord.store.database.slots import entry
from accord.store.database.workflow_tables import outbox

TIMEOUT_S = 10.0
"""Another server has so long to answer."""
HELD_MS = 60_000
"""A message in some process's hands; whoever dies with it leaves it to the next after this time."""
FIRST_PAUSE_MS = 10_000
LONGEST_PAUSE_MS = 6 * 3_600_000
MAX_TRIES = 14
"""With pauses that double this is about two days; then a message counts as failed."""
AT_A_TIME = 20

Send = Callable[[str, bytes, Mapping[str, str]], int]
"""Sends a body to an address with headers; the status of the answer. Raises `OSError` where none came."""


@dataclass(frozen=True)
class Postman:
    """Carries messages from the outbox to servers that may be told."""

    database: Database
    clock: Clock
    allowed: frozenset[str]
    """Hosts, with a port where it is not the usual one: `hooks.example`, `127.0.0.1:9000`."""
    secrets: Mapping[str, str]
    """Keys by their names, as of the environment."""
    send: Send
    only: str = ""
    """Carries what goes to this address and is signed with a key that is there; empty carries everything."""

    def deliver(self) -> dict[str, int]:
        """Try what is due; how many were sent, will be tried again, and are given up."""
        counts = {"sent": 0, "later": 0, "failed": 0}
        for row in self._take():
            error = self._try(row)
            counts[self._note(row, error)] += 1
        return counts

    def _take(self) -> list[Row[Any]]:
        now = self._now()
        mine = (outbox.c.url == self.only, outbox.c.secret_name.in_(list(self.secrets))) if self.only else ()
        with self.database.write() as connection:
            rows = connection.execute(
                select(outbox)
                .where(outbox.c.state == "pending", outbox.c.next_ms <= now, *mine)
                .order_by(outbox.c.next_ms, outbox.c.id)
                .limit(AT_A_TIME)
                .with_for_update(skip_locked=True)
            ).all()
            held = outbox.c.id.in_([row.id for row in rows])
            connection.execute(update(outbox).where(held).values(next_ms=now + HELD_MS))
        return list(rows)

    def _try(self, row: Row[Any]) -> str | None:
        """What went wrong; nothing where the message was taken."""
        parts = urlsplit(row.url)
        if parts.netloc not in self.allowed:
            return f"{parts.netloc} may not be told; allow it where messages are sent"
        if row.secret_name not in self.secrets:
            return f"there is no key {row.secret_name} to sign with"
        body = json.dumps(row.body, sort_keys=True, ensure_ascii=False).encode()
        seconds = self._now() // 1000
        headers = {
            "Content-Type": "application/json",
            "Accord-Delivery": row.id,
            "Accord-Signature": sign(self.secrets[row.secret_name], seconds, body),
        }
        try:
            status = self.send(row.url, body, headers)
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        return None if 200 <= status < 300 else f"answered {status}"

    def _note(self, row: Row[Any], error: str | None) -> str:
        now, n_tries = self._now(), row.n_tries + 1
        pause = min(FIRST_PAUSE_MS * 2 ** (n_tries - 1), LONGEST_PAUSE_MS)
        state = "sent" if error is None else "failed" if n_tries >= MAX_TRIES else "pending"
        values = {
            "state": state, "n_tries": n_tries, "next_ms": now + pause, "last_error": (error or "")[:500]
        }  # fmt: skip
        with self.database.write() as connection:
            connection.execute(update(outbox).where(outbox.c.id == row.id).values(values))
            if state != "pending":
                facts = {"tries": n_tries}
                append_events(connection, [entry(now, "postman", state, "outbox", row.id, facts)])
        return "later" if state == "pending" else state

    def _now(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def sign(secret: str, seconds: int, body: bytes) -> str:
    """The signature of a body at a time."""
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def is_signed(header: str, secret: str, body: bytes, *, now_s: float, tolerance_s: float = 300.0) -> bool:
    """Whether a signature is right and not too old: what a receiver checks before it believes a message."""
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    seconds = fields.get("t", "")
    if not (seconds.isascii() and seconds.isdigit()) or abs(now_s - int(seconds)) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, int(seconds), body), header)


def send_by_http(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post a body and read the status alone; follows no redirect."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_S)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body=body, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def hosts_of(allowed: Iterable[str]) -> frozenset[str]:
    """Hosts as they were named, without spaces and case."""
    return frozenset(one.strip().lower() for one in allowed if one.strip())
