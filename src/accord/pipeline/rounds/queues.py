"""Questions that a gate's verdict asks for: a gate that is not passed opens a queue on its slice, passing
closes it.

While a queue is open its slice takes a larger part of what the next round asks, and an undecided one has more
held-out prompts compared, so that the gate can be decided. Everything follows from the rounds' records, which
keep why each queue was opened and when it closed. Leaves out drawing (`choosing`) and deciding (`releasing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from accord.domain import ConfigError
from accord.pipeline.rounds.releasing import RoundRecord

DOMAIN = "domain="
"""Slices of this name are those a prompt can belong to."""
JUDGED = frozenset(
    {
        "win_rate",
        "length_controlled_win_rate",
        "reward_accuracy",
        "proxy_gap",
        "annotator_agreement",
        "principle_grade",
        "limit_broken",
    }
)
"""Numbers that rest on those who judge: on all prompts together only these are decided by more judgments.
A panel's or a principle's slice is of judges or of grades, on all prompts."""


@dataclass(frozen=True, kw_only=True)
class QueueConfig:
    """What gates that are not passed may take of the next round."""

    share: float = 0.5
    """Most of a round's pairs that all open queues together may take, and by how much the held-out
    prompts may grow; 0 for no queues."""
    size: int = 24
    """Pairs for a gate that failed, whose verdict names no number; an undecided one says how many it
    needs."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.share < 1:
            problems.append(f"share is {self.share}; expected 0 or more and below 1")
        if self.size < 1:
            problems.append(f"size is {self.size}; expected at least 1")
        if problems:
            raise ConfigError("queue", problems)


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What one gate asks for, from when it was opened to when the gate passed."""

    gate: str
    metric: str
    slice: str
    why: str
    """The gate's verdict and reason when last asked."""
    is_undecided: bool
    """True where the gate lacks held-out prompts, False where it failed."""
    wanted: int
    """Pairs, or prompts, the verdict asks for."""
    opened: int
    """Round whose gate opened it."""
    asked: int = 0
    """Pairs on the slice that were asked about since."""
    closed: int | None = None
    """Round whose gate closed it."""
    how: str = ""
    """What closed it."""

    @property
    def is_open(self) -> bool:
        """True while the gate has not passed."""
        return self.closed is None

    def has(self, domain: str) -> bool:
        """Whether prompts of this domain are in its slice; a slice that is no domain is everything."""
        return self.is_everything or self.slice == DOMAIN + domain

    @property
    def is_everything(self) -> bool:
        """True where the gate is on all prompts together."""
        return not self.slice.startswith(DOMAIN)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Pairs of a domain that a round should ask about at least, on average over draws."""

    gate: str
    domain: str
    size: int


def queues_after(records: Sequence[RoundRecord], config: QueueConfig) -> list[Queue]:
    """All queues there were, as they stand after these rounds, in the order in which they were opened.

    A gate that was not measured neither opens nor closes one; a closed queue is opened again as another.
    """
    queues: list[Queue] = []
    for record in records if config.share else ():
        asked: Mapping[str, int] = record.facts.get("queue_pairs", {})
        queues = [
            replace(one, asked=one.asked + asked.get(one.gate, 0)) if one.is_open else one for one in queues
        ]
        for row in record.gates:
            place = next((i for i, one in enumerate(queues) if one.is_open and one.gate == row["id"]), None)
            found = _judged(None if place is None else queues[place], row, record.number, config)
            if place is not None and found is not None:
                queues[place] = found
            elif found is not None:
                queues.append(found)
    return queues


def _judged(queue: Queue | None, row: Mapping[str, Any], number: int, config: QueueConfig) -> Queue | None:
    """The queue of a gate after its verdict in a round; None where nothing is opened or changed."""
    reason = f"{row['verdict']}: {row['reason']}"
    if row["verdict"] == "pass":
        return None if queue is None else replace(queue, closed=number, how=reason)
    if row["verdict"] not in ("fail", "undecided") or row["severity"] == "info":
        return None
    slice_name = str(row.get("slice", "all"))
    if not slice_name.startswith(DOMAIN) and row["metric"] not in JUDGED:
        return None
    wanted = int(row["more_needed"] or config.size)
    is_undecided = row["verdict"] == "undecided"
    if queue is not None:
        return replace(queue, why=reason, wanted=wanted, is_undecided=is_undecided)
    return Queue(
        gate=str(row["id"]),
        metric=str(row["metric"]),
        slice=slice_name,
        why=reason,
        is_undecided=is_undecided,
        wanted=wanted,
        opened=number,
    )


def quotas_of(queues: Sequence[Queue], config: QueueConfig, comparisons: int) -> list[Quota]:
    """What open queues on domains take of a round's pairs, together at most `config.share` of them.

    Several gates on one domain are served by one quota, the largest. Where the share is too small for all,
    each gets its part of it.
    """
    wanted: dict[str, Quota] = {}
    for one in queues:
        if not one.is_open or one.is_everything:
            continue
        domain = one.slice.removeprefix(DOMAIN)
        if domain not in wanted or wanted[domain].size < one.wanted:
            wanted[domain] = Quota(gate=one.gate, domain=domain, size=one.wanted)
    room = int(config.share * comparisons)
    total = sum(one.size for one in wanted.values())
    if total <= room:
        return list(wanted.values())
    return [replace(one, size=size) for one in wanted.values() if (size := one.size * room // total)]


def heldout_count(
    domains: Sequence[str],
    base: int,
    queues: Sequence[Queue],
    config: QueueConfig,
    *,
    room: int | None = None,
) -> int:
    """How many held-out prompts are compared: `base`, and more where an open queue is undecided.

    `domains` are those of all held-out prompts in their order. More are taken from the front of the list for
    everybody, never from the slice alone, so that means over all prompts stay as they were meant. At most
    `config.share` more, and `room` more where a budget of judgments leaves no more.
    """
    first = min(base, len(domains))
    extra = int(config.share * base)
    last = min(first + (extra if room is None else max(0, min(extra, room))), len(domains))
    count = first
    for one in queues:
        if not (one.is_open and one.is_undecided):
            continue
        missing, upto = one.wanted, first
        while missing > 0 and upto < last:
            missing -= one.has(domains[upto])
            upto += 1
        count = max(count, upto)
    return count


def queue_pairs(queues: Sequence[Queue], domains: Sequence[str]) -> dict[str, int]:
    """Gate -> pairs on its slice among those that were chosen, whichever stream brought them."""
    return {one.gate: sum(one.has(domain) for domain in domains) for one in queues if one.is_open}


def queue_rows(queues: Sequence[Queue]) -> list[dict[str, Any]]:
    """As JSON."""
    return [asdict(one) for one in queues]
