"""Work fetched ahead of need, so that the next item is there at once; its time begins when it is shown.

What was fetched ahead is leased briefly. The page renews it while somebody is there and gives it back when
nobody is; where the page itself is gone, the lease runs out. None of this is a mark against anybody.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from accord.domain.errors import LeaseLost
from accord.feedback.work import Work
from accord.store.database.queue import WorkQueue
from accord.store.database.states import AssignmentState, Purpose
from accord.store.database.tables import assignment

MOST_AHEAD = 4
"""Pieces of work one page may hold ahead of need."""
LEASE_S = 120.0
"""An unopened lease ends so long after it was taken or renewed."""


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What a page holds ahead of need."""

    fetched: list[dict[str, Any]]
    """Work it did not have yet."""
    gone: list[str]
    """Ids it had and has no more: run out, or taken up elsewhere."""


def fetch_ahead(
    work: Work, project_id: str, user_id: str, *, have: Sequence[str], count: int, apart: Sequence[str] = ()
) -> Ahead:
    """Renew the leases a page holds and add work until it has `count` pieces not yet opened.

    `apart` is what is on the page's desk or on its way here, opened or not: never fetched again.
    """
    queue = _brief(work)
    held = [one for one in _unopened(work, project_id, user_id) if one not in apart]
    for one in held:
        if one in have:
            with contextlib.suppress(LeaseLost):
                queue.extend(one, work.owned(one, user_id).lease_token)
    fetched = [work.page_of(one, user_id) for one in held if one not in have][:count]
    gone = [one for one in have if one not in held]
    missing = min(count, MOST_AHEAD) - len(fetched) - (len(have) - len(gone))
    if missing > 0:
        claimed, _ = work.claim(project_id, user_id, missing, queue=queue)
        fetched += [work.page_of(one.id, user_id) for one in claimed]
    return Ahead(fetched=fetched, gone=gone)


def give_back(work: Work, user_id: str, ids: Sequence[str]) -> None:
    """Give work back that was fetched ahead and never opened; what is open stays, and so does a turn of a
    conversation, which is for nobody else."""
    for one in ids:
        with contextlib.suppress(LeaseLost):
            row = work.owned(one, user_id)
            if row.state == AssignmentState.LEASED and row.purpose != Purpose.TURN:
                work.queue.release(one, row.lease_token)


def _brief(work: Work) -> WorkQueue:
    """The same queue with brief leases."""
    queue = work.queue
    return replace(queue, config=replace(queue.config, lease_s=min(LEASE_S, queue.config.lease_s)))


def _unopened(work: Work, project_id: str, user_id: str) -> list[str]:
    now = int(work.queue.clock.now().timestamp() * 1000)
    with work.database.read() as connection:
        return list(
            connection.execute(
                select(assignment.c.id)
                .where(
                    assignment.c.user_id == user_id,
                    assignment.c.project_id == project_id,
                    assignment.c.state == AssignmentState.LEASED.value,
                    assignment.c.closed_ms.is_(None),
                    assignment.c.lease_until_ms > now,
                )
                .order_by(assignment.c.leased_ms, assignment.c.id)
            ).scalars()
        )
