"""Versions of what defines a project: which is newest is asked each time, what it says is read once.

A version never changes, so that whatever was read of it stays true for the life of the process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, func, select

from accord.feedback.policy import Policy, parse_policy
from accord.store.database.tables import definition

Made = TypeVar("Made")
POLICY = Policy()


@dataclass(frozen=True)
class Definitions:
    """Reads definitions through a connection; keeps what was made of them."""

    _made: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def newest(self, connection: Connection, project_id: str) -> dict[str, str]:
        """Kind to the id of its newest version, by one look into the index."""
        last = (
            select(definition.c.kind, func.max(definition.c.version).label("version"))
            .where(definition.c.project_id == project_id)
            .group_by(definition.c.kind)
            .subquery()
        )
        rows = connection.execute(
            select(definition.c.kind, definition.c.id)
            .join(last, (last.c.kind == definition.c.kind) & (last.c.version == definition.c.version))
            .where(definition.c.project_id == project_id)
        ).all()
        return {row.kind: row.id for row in rows}

    def read(
        self, connection: Connection, definition_id: str, what: str, make: Callable[[Mapping[str, Any]], Made]
    ) -> Made:
        """What `make` makes of a version; made once, told apart by `what`."""
        key = (what, definition_id)
        if key not in self._made:
            body = connection.execute(
                select(definition.c.body).where(definition.c.id == definition_id)
            ).scalar_one()
            self._made[key] = make(body)
        return cast(Made, self._made[key])

    def policy(self, connection: Connection, project_id: str) -> Policy:
        """The newest policy of a project; the usual one where it has none."""
        found = self.newest(connection, project_id).get("policy")
        return POLICY if found is None else self.policy_of(connection, found)

    def policy_of(self, connection: Connection, definition_id: str) -> Policy:
        """A version of a policy."""
        return self.read(connection, definition_id, "policy", lambda body: parse_policy(body, "policy"))
