"""Where ids come from, as an argument: ordered by time in service, counted in tests."""

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from typing import Protocol

from accord.domain.clock import Clock, SystemClock

RANDOM_BITS = 74
"""Of a UUID of version 7: 12 behind the version, 62 behind the variant."""

STEP_BITS = 32
"""Of the step between two ids of one millisecond: nobody guesses the next one cheaply."""


class IdSource(Protocol):
    """Gives ids that were never given before."""

    def new(self) -> str:
        """A new id."""
        ...


@dataclass
class TimeOrderedIds:
    """UUIDs of version 7 (RFC 9562, 5.7): later ids sort later, so that a table grows at its end.

    Ids of one source are in order even within a millisecond, or where the clock steps back: such an id is
    the one before plus a random step (RFC 9562, 6.2, method 2). Ids of two processes are not.
    """

    clock: Clock = field(default_factory=SystemClock)
    _last: tuple[int, int] = field(default=(-1, 0), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def new(self) -> str:
        """48 bits of milliseconds, then 74 random bits, as 36 characters."""
        now = int(self.clock.now().timestamp() * 1000)
        with self._lock:
            milliseconds, noise = self._last
            if now > milliseconds:
                # The top bit stays free, so that the ids of a millisecond do not run out.
                milliseconds, noise = now, secrets.randbits(RANDOM_BITS - 1)
            else:
                noise += 1 + secrets.randbits(STEP_BITS)
            self._last = (milliseconds, noise)
        high, low = noise >> 62, noise & ((1 << 62) - 1)
        value = milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
        text = f"{value:032x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


@dataclass
class CountingIds:
    """id-000001, id-000002, ...: known beforehand."""

    prefix: str = "id"
    count: int = 0

    def new(self) -> str:
        """The next number."""
        self.count += 1
        return f"{self.prefix}-{self.count:06d}"


@dataclass
class SeededIds:
    """UUIDs that follow from a seed and a count, later ones sorting later: the same in every repetition.

    For a store that one process makes from nothing, such as that of a simulated panel. Whoever knows the seed
    knows the ids, so they are not for a server that people use.
    """

    seed: int
    lot: int = 0
    """Sets ids apart that are made after this process has forgotten its count: a higher lot sorts later."""
    _count: int = field(default=0, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def new(self) -> str:
        """16 bits of lot and 32 of count, then bits that follow from both and the seed; 36 characters."""
        with self._lock:
            self._count += 1
            count = self._count
        noise = hashlib.sha256(f"{self.seed}/{self.lot}/{count}".encode()).hexdigest()
        text = f"{self.lot:04x}{count:08x}7{noise[:3]}8{noise[3:18]}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
