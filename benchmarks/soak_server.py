"""The server of a soak run: the product, with short leases and a clock that a file sets.

    python benchmarks/soak_server.py STORE PORT WORKERS

Imports late, so that a worker answers its supervisor while it still starts.
"""

import contextlib
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

CLOCK = "ACCORD_SOAK_CLOCK"
"""Environment variable: the file that says by how many seconds each worker's clock is off."""
LEASE = "ACCORD_SOAK_LEASE"
"""Environment variable: seconds of a lease."""
REPEAT_GAP = 3


class SetClock:
    """The machine's clock, off by what a file says for this process: by the parity of its id."""

    def __init__(self, place: Path):
        self.place = place

    def now(self) -> datetime:
        with contextlib.suppress(OSError, ValueError):
            off = json.loads(self.place.read_text(encoding="utf-8"))[os.getpid() % 2]
            return datetime.now(UTC) + timedelta(seconds=off)
        return datetime.now(UTC)


def app() -> Any:
    """What each worker serves."""
    from accord.feedback.app import create_app
    from accord.feedback.serving import PLACE
    from accord.feedback.telemetry import log_as_json
    from accord.store.database import QueueConfig, open_database

    log_as_json()
    leases = QueueConfig(lease_s=float(os.environ[LEASE]), repeat_gap=REPEAT_GAP)
    clock = SetClock(Path(os.environ[CLOCK]))
    return create_app(open_database(os.environ[PLACE]), clock=clock, leases=leases)


if __name__ == "__main__":
    from accord.feedback.serving import run_server

    run_server(
        sys.argv[1],
        host="127.0.0.1",
        port=int(sys.argv[2]),
        workers=int(sys.argv[3]),
        is_secure=False,
        factory="soak_server:app",
        has_json_logs=True,
    )
