"""What the server tells of itself: a line for each request and failure, and figures for Prometheus.

A line holds the route's pattern and not the path, no query, no header and no body: nothing a person wrote and
no secret can be in it. Figures are of this process; with several workers each has its own.
"""

import json
import logging
import os
import threading
import time
import traceback
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from accord.store.database.engine import Database
from accord.store.database.slots import is_held
from accord.store.database.states import SlotState
from accord.store.database.tables import assignment, chain_head
from accord.store.database.tally import Kind
from accord.store.database.upkeep_tables import tally

LOGGER = "accord.requests"
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.08, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper ends of the histogram's classes, in seconds; claiming promises 0.05 and submitting 0.08."""
CALLS = 8
"""Innermost calls of ours that a line tells of an error."""
Message = MutableMapping[str, Any]
Application = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Any]


class JsonLines(logging.Formatter):
    """Log records as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, and the facts of a request or the message."""
        facts = getattr(record, "facts", None) or {"message": record.getMessage()}
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            **facts,
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line |= where_of(error)
        return json.dumps(line, ensure_ascii=False)


def where_of(error: BaseException) -> dict[str, Any]:
    """What kind of error it was and by which calls of ours; its words may hold what a person wrote."""
    frames = [
        f"{frame.f_globals.get('__name__')}:{number} {frame.f_code.co_name}"
        for frame, number in traceback.walk_tb(error.__traceback__)
    ]
    kinds = [error, getattr(error, "orig", None)]  # of the database's driver, where it is of the database
    return {
        "error": " from ".join(type(one).__name__ for one in kinds if one is not None),
        "at": [frame for frame in frames if frame.startswith("accord.")][-CALLS:],
    }


@dataclass
class Figures:
    """Counts of requests and of the time they took, by route; safe to use from several threads."""

    counts: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    """(method, route, status) to requests."""
    classes: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """(method, route) to requests by class of time; the last class has no upper end."""
    sums_s: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            self.counts[method, route, status] += 1
            found = self.classes.setdefault((method, route), [0] * (len(BOUNDS_S) + 1))
            found[bisect_left(BOUNDS_S, seconds)] += 1
            self.sums_s[method, route] += seconds

    def lines(self) -> Iterator[str]:
        """The figures in Prometheus' text format."""
        with self._lock:
            counts, sums = dict(self.counts), dict(self.sums_s)
            classes = {key: list(found) for key, found in self.classes.items()}
        yield from _head("accord_requests_total", "counter", "Requests answered.")
        for (method, route, status), count in sorted(counts.items()):
            yield _sample("accord_requests_total", count, method=method, route=route, status=status)
        yield from _head("accord_request_seconds", "histogram", "Time from a request to its answer.")
        for (method, route), found in sorted(classes.items()):
            total = 0
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), found, strict=True):
                total += count
                yield _sample("accord_request_seconds_bucket", total, method=method, route=route, le=bound)
            yield _sample("accord_request_seconds_sum", sums[method, route], method=method, route=route)
            yield _sample("accord_request_seconds_count", total, method=method, route=route)


class Telemetry:
    """Counts and logs every request that passes through."""

    def __init__(self, application: Application, figures: Figures):
        self.application, self.figures = application, figures
        self.log = logging.getLogger(LOGGER)

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Pass a request on, and note how it went."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def listen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.application(scope, receive, listen)
        finally:
            seconds = time.perf_counter() - begun
            route = getattr(scope.get("route"), "path", None) or _family(scope["path"])
            self.figures.add(scope["method"], route, status, seconds)
            facts = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(seconds * 1e3, 1),
            }
            self.log.log(logging.ERROR if status >= 500 else logging.INFO, "request", extra={"facts": facts})


def store_lines(database: Database) -> Iterator[str]:
    """How the store stands, in Prometheus' text format: counts over all projects, and nothing else."""
    with database.read() as connection:
        kinds = [Kind.ITEM.value, Kind.SLOT.value]
        states = connection.execute(
            select(tally.c.kind, tally.c.name, func.sum(tally.c.n))
            .where(tally.c.kind.in_(kinds))
            .group_by(tally.c.kind, tally.c.name)
        ).all()
        sums = connection.execute(
            select(tally.c.kind, func.sum(tally.c.n))
            .where(tally.c.kind.in_([Kind.OPEN.value, Kind.DAY.value]))
            .group_by(tally.c.kind)
        ).all()
        n_live = connection.execute(
            select(func.count()).select_from(assignment).where(is_held())
        ).scalar_one()
        n_events = connection.execute(select(chain_head.c.number)).scalar_one()
    found = {kind: int(count) for kind, count in sums}
    n_open, n_judgments = found.get(Kind.OPEN, 0), found.get(Kind.DAY, 0)
    items = [(state, int(count)) for kind, state, count in states if kind == Kind.ITEM and count]
    slots = [(state, int(count)) for kind, state, count in states if kind == Kind.SLOT and count]
    slots += [(SlotState.OPEN.value, n_open)] if n_open else []
    yield from _head("accord_items", "gauge", "Items by state.")
    yield from (_sample("accord_items", count, state=state) for state, count in items)
    yield from _head("accord_slots", "gauge", "Judgments wanted, by state.")
    yield from (_sample("accord_slots", count, state=state) for state, count in slots)
    for name, text, value in (
        ("accord_judgments", "Judgments, all revisions.", n_judgments),
        ("accord_leases", "Pieces of work in somebody's hands.", n_live),
        ("accord_events", "Length of the chain of events.", n_events),
    ):
        yield from _head(name, "gauge", text)
        yield _sample(name, value)
    yield from _head("accord_process", "gauge", "1 for the process that answers.")
    yield _sample("accord_process", 1, pid=os.getpid())


def log_as_json() -> None:
    """Write every log record of this process to standard error as a line of JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _family(path: str) -> str:
    """A path that no route answers, without what may be typed into it."""
    return "/static" if path.startswith("/static/") else "(none)"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, value: float, **labels: object) -> str:
    inside = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
