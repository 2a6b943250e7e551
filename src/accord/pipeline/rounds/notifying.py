"""Telling another server what a loop came to: it waits for people, released, was halted, ended or failed.

A message lies in the outbox of the loop's store and is signed and tried again as those of workflows are
(`feedback.delivery`); `accord store deliver` carries on while no loop runs. Each message is written once,
however often the run is taken up. A receiver that does not answer holds nobody up for longer than one try.
Leaves out who is told by mail.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import insert, select

from accord.domain import ConfigError
from accord.domain.clock import Clock
from accord.feedback.delivery import Postman, Send, send_by_http
from accord.pipeline.rounds.bench import Bench
from accord.store.database.audit import append_events
from accord.store.database.engine import Database
from accord.store.database.slots import entry
from accord.store.database.tables import project
from accord.store.database.workflow_tables import outbox


class News(StrEnum):
    """What a message tells."""

    WAITING = "waiting"
    """People must judge before it goes on."""
    HALTED = "halted"
    """The guard stopped the policy and took it back."""
    RELEASED = "released"
    """A round's model passed its gates."""
    ENDED = "ended"
    """No further round begins."""
    FAILED = "failed"
    """An error stopped it; it can be resumed."""


@dataclass(frozen=True, kw_only=True)
class Notices:
    """Writes and sends a loop's messages; silent without an address."""

    bench: Bench
    folder: Path
    """The run's."""
    clock: Clock
    send: Send = send_by_http
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def __post_init__(self) -> None:
        if self.bench.config.notify.url:
            self._key()  # better told before the first stage than after the last

    def post(self, news: News, about: str, message: str, **facts: Any) -> None:
        """Write a message and try what is due; `about` (round, stage) tells messages of one kind apart.

        A loop whose project does not exist yet has asked nobody anything and tells nothing.
        """
        config = self.bench.config
        if not config.notify.url:
            return
        now = int(self.clock.now().timestamp() * 1000)
        identity = f"{self.folder.resolve()}\n{news}\n{about}"
        new_id = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        body = {
            "event": f"loop.{news}",
            "loop": config.name,
            "run": self.folder.name,
            "about": about,
            "message": message,
            "at": self.clock.now().isoformat(),
            **facts,
        }
        with self.bench.opened() as database:
            _write(database, new_id, config.name, config.notify, body, now)
            self._postman(database).deliver()

    def deliver(self) -> None:
        """Try again what was not taken and is due."""
        if self.bench.config.notify.url:
            with self.bench.opened() as database:
                self._postman(database).deliver()

    def _postman(self, database: Database) -> Postman:
        notify = self.bench.config.notify
        return Postman(
            database=database,
            clock=self.clock,
            allowed=frozenset({urlsplit(notify.url).netloc}),
            secrets={notify.secret: self._key()},
            send=self.send,
            only=notify.url,
        )

    def _key(self) -> str:
        notify = self.bench.config.notify
        if not notify.secret_file:
            key, place = self.environment.get(notify.secret, ""), f"environment variable {notify.secret}"
        else:
            place = f"file {notify.secret_file}"
            try:
                key = Path(notify.secret_file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError("notify", [f"{place} cannot be read: {error}"]) from error
        if not key:
            raise ConfigError(
                "notify", [f"{place} holds no key to sign messages with; set it, or leave notify.url out"]
            )
        return key


def _write(
    database: Database, new_id: str, name: str, notify: Any, body: Mapping[str, Any], now: int
) -> None:
    with database.write() as connection:
        project_id = connection.execute(select(project.c.id).where(project.c.name == name)).scalar()
        known = connection.execute(select(outbox.c.id).where(outbox.c.id == new_id)).scalar()
        if project_id is None or known is not None:
            return
        connection.execute(
            insert(outbox).values(
                id=new_id,
                project_id=project_id,
                item_id=None,
                url=notify.url,
                secret_name=notify.secret,
                body=dict(body),
                state="pending",
                n_tries=0,
                next_ms=now,
                created_ms=now,
                last_error="",
            )
        )
        append_events(connection, [entry(now, "loop", "post", "outbox", new_id, {"event": body["event"]})])
