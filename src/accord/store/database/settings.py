"""How each person wants his pages: kept with the account, so that it is the same on every device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from accord.domain.clock import Clock, SystemClock
from accord.store.database.engine import Database
from accord.store.database.tables import setting


@dataclass(frozen=True)
class Settings:
    """Reads and writes wishes; what they mean is the page's business."""

    database: Database
    clock: Clock

    @classmethod
    def of(cls, database: Database) -> "Settings":
        """With the machine's own clock."""
        return cls(database, SystemClock())

    def read(self, user_id: str) -> dict[str, Any]:
        """What this user has set; empty where he has set nothing."""
        with self.database.read() as connection:
            body = connection.execute(select(setting.c.body).where(setting.c.user_id == user_id)).scalar()
        return dict(body or {})

    def change(self, user_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set some of it and keep the rest; returns the whole."""
        now = int(self.clock.now().timestamp() * 1000)
        with self.database.write() as connection:
            old = connection.execute(
                select(setting.c.body).where(setting.c.user_id == user_id).with_for_update()
            ).scalar()
            body = {**(old or {}), **changes}
            values = {"body": body, "changed_ms": now}
            if old is None:
                connection.execute(insert(setting).values(user_id=user_id, **values))
            else:
                connection.execute(update(setting).where(setting.c.user_id == user_id).values(values))
        return body
