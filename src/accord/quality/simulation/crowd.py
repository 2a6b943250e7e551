"""A simulated crowd labeling items, every cause of every answer known.

Each answer has one cause: somebody read the item (right or wrong), fell into its trap, followed
the leaning of his group, took the first option, spammed, copied, or remembered. Comparisons of
pairs are in `accord.quality.simulation.comparisons`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import LabelColumns, Streams
from accord.quality.simulation.crowd_config import CrowdConfig
from accord.quality.simulation.roster import KnownAnnotators, Role, draw_roster, expit
from accord.quality.simulation.schedule import Schedule, draw_schedule


class Cause(IntEnum):
    """Why an answer came out as it did."""

    READING = 0
    TRAP = 1
    GROUP_LEANING = 2
    FIRST_OPTION = 3
    SPAM = 4
    COPY = 5
    MEMORY = 6


@dataclass(frozen=True, eq=False)
class SimulatedCrowd:
    """Labels in the order of time, and what is true behind them."""

    columns: LabelColumns
    """Items, annotators and classes are numbers from 0; `groups` has `group` where the crowd has groups."""
    truth_index: NDArray[np.int64]
    """[item] The true class, that of the first camp."""
    camp_truth: NDArray[np.int64]
    """[camp, item] The true class as each camp sees it; the first row is `truth_index`."""
    difficulty: NDArray[np.float64]
    """[item] Log-odds taken from every annotator's skill; mean about 0."""
    trap_class: NDArray[np.int64]
    """[item] The tempting wrong answer; -1 where there is none."""
    annotators: KnownAnnotators
    causes: NDArray[np.int8]
    """[label] A `Cause`."""
    first_shown: NDArray[np.int64]
    """[label] The class that stood first on screen."""
    is_repeat: NDArray[np.bool_]
    """[label] True where the annotator had labeled the item before."""
    changed: NDArray[np.bool_]
    """[label] True after the fall of a drifting annotator."""

    @property
    def truth(self) -> dict[int, int]:
        """The true class of each item."""
        return dict(enumerate(self.truth_index.tolist()))


@dataclass(frozen=True, eq=False)
class _Items:
    """What is true of the items; the fields of `SimulatedCrowd`."""

    camp_truth: NDArray[np.int64]
    difficulty: NDArray[np.float64]
    trap_class: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Reader:
    """Draws readings: class log-odds less difficulty, the error pattern where wrong."""

    roster: KnownAnnotators
    error_ends: NDArray[np.float64]

    def read(
        self,
        annotator: NDArray[np.int64],
        truth: NDArray[np.int64],
        loss: NDArray[np.float64],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        """[label] Classes; `loss` is taken from the log-odds of a right answer."""
        right = expit(self.roster.class_log_odds[annotator, truth] - loss)
        answer = truth.copy()
        wrong = np.flatnonzero(generator.random(len(truth)) >= right)
        pattern = annotator[wrong] if len(self.error_ends) > 1 else np.zeros(len(wrong), dtype=np.int64)
        ends = self.error_ends[pattern, truth[wrong]]
        answer[wrong] = (generator.random(len(wrong))[:, None] >= ends).sum(axis=1)
        return answer


def simulate_labels(config: CrowdConfig, seed: int) -> SimulatedCrowd:
    """Labels of a crowd; equal config and seed give equal labels.

    Every knob has random numbers of its own: turning one leaves what the others drew in place.
    """
    streams = Streams(seed).child("crowd")
    roster = draw_roster(config, streams.child("roster"))
    schedule = draw_schedule(config, roster, streams.child("schedule"))
    items = _draw_items(config, streams)
    changed = roster.is_drifting[schedule.annotator] & (schedule.place >= config.drift_at)
    shown = _generator(streams, "shown").integers(0, config.n_classes, len(schedule.item))
    answer = _Reader(roster, _ends(roster)).read(
        schedule.annotator,
        items.camp_truth[roster.camp[schedule.annotator], schedule.item],
        items.difficulty[schedule.item]
        + config.fatigue_per_hour * schedule.hours_in_session
        + config.drift_drop * changed,
        _generator(streams, "read"),
    )
    cause = np.zeros(len(answer), dtype=np.int8)
    for reason, is_so, target in _pulls(config, roster, schedule, items, shown, streams):
        answer[is_so], cause[is_so] = target[is_so], reason
    _apply_copying(config, roster, schedule, items, answer, cause, streams)
    remembers = _generator(streams, "memory").random(len(answer)) < config.repeat_memory
    remembered = remembers & (schedule.first_asking >= 0)
    answer[remembered], cause[remembered] = answer[schedule.first_asking[remembered]], Cause.MEMORY
    return SimulatedCrowd(
        columns=_columns(config, roster, schedule, answer),
        truth_index=items.camp_truth[0],
        camp_truth=items.camp_truth,
        difficulty=items.difficulty,
        trap_class=items.trap_class,
        annotators=roster,
        causes=cause,
        first_shown=shown,
        is_repeat=schedule.first_asking >= 0,
        changed=changed,
    )


def _generator(streams: Streams, name: str) -> np.random.Generator:
    return np.random.default_rng(streams.child(name).value)


def _ends(roster: KnownAnnotators) -> NDArray[np.float64]:
    """[annotator or 1, true class, class] Cumulative error shares."""
    ends = np.cumsum(roster.error_shares, axis=2)
    # Rounding must not leave the last end below 1, past which a draw would find no class.
    ends[ends > 1 - 1e-12] = 1.0
    return ends


def _draw_items(config: CrowdConfig, streams: Streams) -> _Items:
    """The items as the config describes; a later camp differs on contested items only."""
    number, n_items = config.n_classes, config.n_items
    truth = _generator(streams, "truth").choice(number, n_items, p=config.class_probabilities)
    camps = [truth]
    for k in range(1, len(config.camp_shares)):
        generator = _generator(streams.child("camp"), str(k))
        contested = generator.random(n_items) < config.contested_share
        camps.append((truth + contested * generator.integers(1, number, n_items)) % number)
    generator = _generator(streams, "trap")
    tempting = (truth + generator.integers(1, number, n_items)) % number
    return _Items(
        camp_truth=np.array(camps, dtype=np.int64),
        difficulty=config.difficulty_spread * _generator(streams, "difficulty").normal(size=n_items),
        trap_class=np.where(generator.random(n_items) < config.trap_share, tempting, -1),
    )


def _pulls(
    config: CrowdConfig,
    roster: KnownAnnotators,
    schedule: Schedule,
    items: _Items,
    shown: NDArray[np.int64],
    streams: Streams,
) -> Iterator[tuple[Cause, NDArray[np.bool_], NDArray[np.int64]]]:
    """Causes other than reading, whom each takes [label], and what they then answer; the later wins."""
    who, number = schedule.annotator, config.n_classes
    role, trap = roster.role[who], items.trap_class[schedule.item]
    draws = _generator(streams, "random").integers(0, number, len(who))
    for cause, pull, target in (
        (Cause.TRAP, np.where(trap >= 0, config.trap_pull, 0.0), trap),
        (Cause.GROUP_LEANING, roster.group_pull[who], np.full(len(who), number - 1)),
        (Cause.FIRST_OPTION, roster.position_pull[who], shown),
        (Cause.SPAM, np.where(role == Role.CONSTANT, 1.0, 0.0), roster.constant_class[who]),
        (Cause.SPAM, np.where(role == Role.RANDOM, 1.0, 0.0), draws),
    ):
        if pull.any():
            yield cause, _generator(streams, f"pull {cause.name}").random(len(who)) < pull, target


def _apply_copying(
    config: CrowdConfig,
    roster: KnownAnnotators,
    schedule: Schedule,
    items: _Items,
    answer: NDArray[np.int64],
    cause: NDArray[np.int8],
    streams: Streams,
) -> None:
    """A ring has one answer to each item: its leader's reading, drawn once. Changes the arrays in place."""
    ring = roster.ring[schedule.annotator]
    members = np.flatnonzero(ring >= 0)
    if not len(members):
        return
    keys, place = np.unique(ring[members] * config.n_items + schedule.item[members], return_inverse=True)
    leader, item = roster.ring_leaders[keys // config.n_items], keys % config.n_items
    truth = items.camp_truth[roster.camp[leader], item]
    generator = _generator(streams, "ring key")
    keyed = _Reader(roster, _ends(roster)).read(leader, truth, items.difficulty[item], generator)[place]
    is_leader = roster.ring_leaders[ring[members]] == schedule.annotator[members]
    obeys = is_leader | (_generator(streams, "ring").random(len(members)) < config.ring_obedience)
    answer[members[obeys]] = keyed[obeys]
    cause[members[obeys]] = np.where(is_leader[obeys], Cause.READING, Cause.COPY)


def _columns(
    config: CrowdConfig, roster: KnownAnnotators, schedule: Schedule, answer: NDArray[np.int64]
) -> LabelColumns:
    columns: dict[str, Any] = {
        "items": schedule.item,
        "annotators": schedule.annotator,
        "values": answer,
        "timestamps_ms": schedule.timestamps_ms,
        "durations_ms": schedule.durations_ms,
        "sessions": schedule.session,
        "groups": {"group": roster.group[schedule.annotator]} if config.group_shares else {},
    }
    return LabelColumns(**columns, source="simulated crowd")
