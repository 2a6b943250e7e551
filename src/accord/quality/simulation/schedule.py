"""Who is asked about which item, and when: sittings with pauses between them, repeats among the rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accord.domain import Streams
from accord.quality.simulation.crowd_config import CrowdConfig
from accord.quality.simulation.roster import KnownAnnotators, Role

HOUR_MS = 3_600_000.0
PAUSE_HOURS = 8.0
"""Median time between the end of a sitting and the next one's beginning."""
DENSE_FACTOR = 4
"""With fewer annotators than this many for each wanted label, keys for all are cheaper than redrawing."""
BLOCK_CELLS = 4_000_000
"""Keys drawn at a time, which bounds the memory of the dense draw."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Askings in the order of time."""

    item: NDArray[np.int64]
    """[label]"""
    annotator: NDArray[np.int64]
    """[label]"""
    first_asking: NDArray[np.int64]
    """[label] Where a repeat's first asking stands; -1 for a label that is no repeat."""
    session: NDArray[np.int64]
    """[label] Number of the sitting, from 0; no two annotators share one."""
    place: NDArray[np.float64]
    """[label] Share of the annotator's own labels that came before, in [0, 1)."""
    hours_in_session: NDArray[np.float64]
    """[label] Time since the sitting began when the item was shown."""
    durations_ms: NDArray[np.float64]
    """[label] From the item shown to the answer."""
    timestamps_ms: NDArray[np.float64]
    """[label] Of the answer."""


def draw_schedule(config: CrowdConfig, roster: KnownAnnotators, streams: Streams) -> Schedule:
    """Distinct annotators for each item, spread over each annotator's sittings."""
    item, annotator = _assign(config, streams)
    again = np.flatnonzero(_generator(streams, "repeat").random(len(item)) < config.repeat_share)
    twin = np.full(len(item) + len(again), -1, dtype=np.int64)
    twin[again], twin[len(item) :] = np.arange(len(item), len(twin)), again
    item, annotator = np.concatenate([item, item[again]]), np.concatenate([annotator, annotator[again]])
    # Each annotator's own order, one block after the other: his number plus a random fraction.
    order = np.argsort(annotator + _generator(streams, "order").random(len(item)))
    item, annotator = item[order], annotator[order]
    counts = np.bincount(annotator, minlength=config.n_annotators)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(item)) - starts[annotator]
    is_opening = place % config.session_labels == 0
    durations = _draw_durations(config, roster, annotator, streams)
    pauses = np.where(is_opening, _draw_pauses(len(item), streams), 0.0)
    clock = np.cumsum(durations + pauses)
    clock -= (clock - durations - pauses)[np.minimum(starts, len(item) - 1)][annotator]
    session = np.cumsum(is_opening) - 1
    began = (clock - durations)[is_opening][session]
    by_time = np.argsort(clock, kind="stable")
    return Schedule(
        item=item[by_time],
        annotator=annotator[by_time],
        first_asking=_first_askings(order[by_time], twin),
        session=session[by_time],
        place=(place / counts[annotator])[by_time],
        hours_in_session=((clock - durations - began) / HOUR_MS)[by_time],
        durations_ms=durations[by_time],
        timestamps_ms=config.start_ms + clock[by_time],
    )


def _generator(streams: Streams, name: str) -> np.random.Generator:
    return np.random.default_rng(streams.child(name).value)


def _first_askings(source: NDArray[np.int64], twin: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the two askings of a pair the later one in time is the repeat."""
    if not (twin >= 0).any():
        return np.full(len(source), -1, dtype=np.int64)
    position = np.empty(len(source), dtype=np.int64)
    position[source] = np.arange(len(source))
    partner = np.where(twin[source] >= 0, position[twin[source]], len(source))
    return np.where(partner < np.arange(len(source)), partner, -1)


def _draw_durations(
    config: CrowdConfig, roster: KnownAnnotators, annotator: NDArray[np.int64], streams: Streams
) -> NDArray[np.float64]:
    noise = _generator(streams, "duration").normal(0, config.duration_spread, len(annotator))
    is_spam = (roster.role == Role.CONSTANT) | (roster.role == Role.RANDOM)
    pace = np.where(is_spam, config.spam_pace, 1.0)
    return np.asarray(1000 * config.seconds_per_label * np.exp(noise) * pace[annotator], dtype=np.float64)


def _draw_pauses(number: int, streams: Streams) -> NDArray[np.float64]:
    noise = _generator(streams, "pause").normal(0, 0.3, number)
    return np.asarray(PAUSE_HOURS * HOUR_MS * np.exp(noise), dtype=np.float64)


def _assign(config: CrowdConfig, streams: Streams) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Item and annotator of each label, no pair twice."""
    low, high = config.label_range
    sizes = _generator(streams, "labels").integers(low, high + 1, config.n_items)
    weights = np.exp(
        config.activity_spread * _generator(streams, "activity").normal(size=config.n_annotators)
    )
    weights /= weights.sum()
    chosen = draw_distinct(config.n_items, high, weights, _generator(streams, "assign"))
    asked = np.arange(high) < sizes[:, None]
    return np.repeat(np.arange(config.n_items), sizes), chosen[asked]


def draw_distinct(
    rows: int, size: int, weights: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """[row, slot] In each row `size` different numbers, drawn one by one in proportion to `weights`."""
    if len(weights) >= DENSE_FACTOR * size:
        return _draw_sparse(rows, size, weights, generator)
    block = max(1, BLOCK_CELLS // len(weights))
    blocks = [
        _draw_dense(min(block, rows - first), size, weights, generator) for first in range(0, rows, block)
    ]
    return np.concatenate(blocks)


def _draw_dense(
    rows: int, size: int, weights: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """[row, slot] Weighted draws without replacement: the smallest of exponential keys (Efraimidis 2006)."""
    keys = generator.exponential(size=(rows, len(weights))) / weights
    return np.argsort(keys, axis=1)[:, :size].astype(np.int64)


def _draw_sparse(
    rows: int, size: int, weights: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """[row, slot] The same draw when annotators are many: whoever stands in an earlier slot is drawn anew."""
    ends = np.cumsum(weights)
    ends /= ends[-1]
    chosen = np.searchsorted(ends, generator.random((rows, size)), side="right")
    stale = np.arange(rows)
    while len(stale):
        block = chosen[stale]
        order = np.argsort(block, axis=1, kind="stable")
        ranked = np.take_along_axis(block, order, axis=1)
        is_twice = np.zeros(block.shape, dtype=bool)
        np.put_along_axis(is_twice, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        block[is_twice] = np.searchsorted(ends, generator.random(int(is_twice.sum())), side="right")
        chosen[stale] = block
        stale = stale[is_twice.any(axis=1)]
    return chosen.astype(np.int64)
