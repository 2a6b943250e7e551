"""Where ids come from, as an argument: ordered by time in service, counted in tests."""

import secrets
from dataclasses import dataclass, field
from typing import Protocol

from accord.domain.clock import Clock, SystemClock

RANDOM_BITS = 74
"""Of a UUID of version 7: 12 behind the version, 62 behind the variant."""


class IdSource(Protocol):
    """Gives ids that were never given before."""

    def new(self) -> str:
        """A new id."""
        ...


@dataclass(frozen=True)
class TimeOrderedIds:
    """UUIDs of version 7 (RFC 9562, 5.7): later ids sort later, so that a table grows at its end."""

    clock: Clock = field(default_factory=SystemClock)

    def new(self) -> str:
        """48 bits of milliseconds, then 74 random bits, as 36 characters."""
        milliseconds = int(self.clock.now().timestamp() * 1000)
        noise = secrets.randbits(RANDOM_BITS)
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
