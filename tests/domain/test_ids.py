import uuid
from datetime import UTC, datetime, timedelta

from accord.domain.clock import CountingClock
from accord.domain.ids import CountingIds, TimeOrderedIds


def test_ids_are_uuids_of_version_7_that_hold_the_time():
    time = datetime(2026, 11, 24, 4, 0, 0, 123000, tzinfo=UTC)
    value = uuid.UUID(TimeOrderedIds(CountingClock(time)).new())
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert value.int >> 80 == int(time.timestamp() * 1000)


def test_later_ids_sort_later_and_none_comes_twice():
    source = TimeOrderedIds(CountingClock(tick=timedelta(milliseconds=1)))
    ids = [source.new() for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_counted_ids_are_known_beforehand():
    source = CountingIds("item")
    assert [source.new(), source.new()] == ["item-000001", "item-000002"]
