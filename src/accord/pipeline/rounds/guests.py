"""A door to a loop with a simulated panel: a person signs in while it runs, and judges beside the panel.

The server stands over the run's own store from before the first stage until the caller closes the door. Work
is made for the guest only when he has signed in: a judgment more of every pair that was set out, for him
alone. Without him nothing is added and the run is what it would have been. What he judges counts from the
next snapshot on. Leaves out other machines: the address is this one's.
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, exists, func, select, update

from accord.feedback.app import create_app
from accord.feedback.serving import app_here
from accord.pipeline.rounds.board import board_router
from accord.pipeline.workspace import Workspace
from accord.store.database.accounts import Accounts, Role
from accord.store.database.audit import append_events
from accord.store.database.engine import Database, open_database
from accord.store.database.slots import entry, make_slots, set_item
from accord.store.database.states import ItemState, Purpose
from accord.store.database.tables import gold, item, project, session, slot, user

HANDLE = "guest"
"""Account of whoever joins; also the skill that his work asks for, so that nobody else gets it."""
LOOKS_S = 0.5
"""Between two looks at whether there is work to make."""


@dataclass(frozen=True)
class Door:
    """Where a guest comes in."""

    address: str
    password: str
    """Shown this once; another one is made when the run is taken up again."""
    handle: str = HANDLE

    @property
    def words(self) -> str:
        """For whoever reads the terminal."""
        return (
            f"join as one more annotator: {self.address}, handle {self.handle}, password {self.password} "
            "(shown this once); the rounds are at /rounds"
        )


@contextlib.contextmanager
def open_door(store: Path, project_name: str, workspace: Workspace, *, port: int = 0) -> Iterator[Door]:
    """Serve the store and the board of the workspace until the block ends; port 0 takes a free one."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(open_database(str(store))) as database:
        database.create()
        password = secrets.token_urlsafe(12)
        host = _Host(database, project_name, Accounts.of(database), password)
        host.look()
        app = create_app(database)
        app.include_router(board_router(workspace, Accounts.of(database)))
        over = threading.Event()
        thread = threading.Thread(target=host.watch, args=(over,), daemon=True)
        with app_here(app, port=port) as address:
            thread.start()
            try:
                yield Door(address, password)
            finally:
                over.set()
                thread.join(timeout=20)


class _Host:
    """Keeps the guest's account, and work for him once he is there."""

    def __init__(self, database: Database, project_name: str, accounts: Accounts, password: str):
        self.database, self.project_name, self.accounts = database, project_name, accounts
        self.kept = accounts.hash_password(password)

    def watch(self, over: threading.Event) -> None:
        """Look again and again until it is over."""
        while not over.wait(LOOKS_S):
            self.look()

    def look(self) -> None:
        """The account as it must be, for a stage that began anew put the store back; then his work."""
        with self.database.read() as connection:
            row = connection.execute(select(user).where(user.c.handle == HANDLE)).first()
            is_here = row is not None and _has_session(connection, row.id)
            wanting = self._wanting(connection) if is_here else []
        if row is None:
            with self.database.write() as connection:
                _, events = self.accounts.add_in(connection, HANDLE, self.kept, Role.LEAD, skills=[HANDLE])
                append_events(connection, events)
        elif row.password_hash != self.kept:
            with self.database.write() as connection:
                connection.execute(update(user).where(user.c.id == row.id).values(password_hash=self.kept))
        if wanting:
            with self.database.write() as connection:
                for one in wanting:
                    self._extend(connection, one)

    def _wanting(self, connection: Connection) -> list[str]:
        """Items of the project that were set out, hold no known answer, and have no place for him."""
        has_place = exists().where(slot.c.item_id == item.c.id, slot.c.required_skill == HANDLE)
        is_known = exists().where(gold.c.item_id == item.c.id)
        rows = connection.execute(
            select(item.c.id)
            .join(project, project.c.id == item.c.project_id)
            .where(
                project.c.name == self.project_name,
                item.c.state != ItemState.WITHDRAWN.value,
                ~has_place,
                ~is_known,
            )
            .order_by(item.c.id)
        )
        return [row.id for row in rows]

    def _extend(self, connection: Connection, item_id: str) -> None:
        row = connection.execute(select(item).where(item.c.id == item_id)).one()
        make_slots(connection, self.accounts.ids, row, 1, purpose=Purpose.EXTRA, skill=HANDLE)
        state = ItemState(row.state)
        if state is ItemState.COMPLETE:
            set_item(connection, row.id, state, ItemState.JUDGED)
            state = ItemState.JUDGED
        if state is ItemState.JUDGED:
            set_item(connection, row.id, state, ItemState.IN_PROGRESS)
        now = int(self.accounts.clock.now().timestamp() * 1000)
        append_events(connection, [entry(now, "guests", "extend", "item", item_id, {"slots": 1})])


def _has_session(connection: Connection, user_id: str) -> bool:
    """Whether he signed in."""
    found = connection.execute(
        select(func.count()).select_from(session).where(session.c.user_id == user_id)
    ).scalar_one()
    return bool(found)
