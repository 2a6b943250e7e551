"""Ids of one source are in order, whatever the clock does."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from accord.domain.ids import TimeOrderedIds

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class JumpingClock:
    """Tells the times it was given, the last one for ever."""

    times: list[datetime] = field(default_factory=lambda: [START])

    def now(self) -> datetime:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


def test_ids_of_one_millisecond_are_in_order_and_differ():
    ids = TimeOrderedIds(JumpingClock())
    made = [ids.new() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_stay_in_order_when_the_clock_steps_back():
    second = timedelta(seconds=1)
    ids = TimeOrderedIds(JumpingClock([START, START - second, START + second]))
    made = [ids.new() for _ in range(3)]
    assert made == sorted(set(made))
