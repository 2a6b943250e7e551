"""What a round may ask when `stop.max_judgments` leaves less than it would: never more than what is left.

First the anchors go, then questions and held-out prompts are cut in proportion, so that a candidate is never
made without judgments to decide on it. Known pairs and repeats do not count. A guest's judgments do, but he
comes on his own: what he gives may pass the budget, and the next round has that much less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from accord.domain import ConfigError
from accord.pipeline.rounds.plan import LoopConfig, ModelJudgesConfig
from accord.pipeline.rounds.queues import Queue, heldout_count

LEAST_PROMPTS = 2
"""Held-out prompts that a comparison of two models takes at least."""
LEAST_SHARE = 0.25
"""Of a round's pairs and held-out prompts: a smaller round would train and decide next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What one round may ask."""

    pairs: int
    anchors: int
    prompts: int
    """Held-out prompts on which candidate and incumbent are compared."""
    left: int | None = None
    """Judgments that the budget leaves, where that cuts the round."""

    @property
    def lines(self) -> list[str]:
        """What the round says of a cut; nothing where it asks what it would."""
        if self.left is None:
            return []
        anchors = f"{self.anchors} anchors again" if self.anchors else "no anchors again"
        return [
            f"cut to {self.pairs} pairs, {anchors} and {self.prompts} held-out prompts: "
            f"stop.max_judgments leaves {self.left} judgments"
        ]


def judgments_each(config: LoopConfig) -> tuple[int, int]:
    """Judgments of a pair that is learnt from, and of a pair that is examined; a model judges each once."""
    if isinstance(config.judges, ModelJudgesConfig):
        return 1, 1
    return config.asking.judgments_per_pair, config.asking.judgments_per_examined


def allow(config: LoopConfig, spent: int, *, pairs: int, anchors: int, prompts: int) -> Allowance:
    """What a round may ask that would ask `pairs`, `anchors` and `prompts`, after `spent` judgments.

    Where the budget does not even pay the least of a round, that least is given: `why_spent` ends loops
    before.
    """
    full = Allowance(pairs=pairs, anchors=anchors, prompts=prompts)
    if config.stop.max_judgments is None:
        return full
    left = max(0, config.stop.max_judgments - spent)
    each, examined = judgments_each(config)
    wanted = pairs * each + prompts * examined
    if wanted + anchors * each <= left:
        return full
    if wanted <= left:
        return Allowance(pairs=pairs, anchors=0, prompts=prompts, left=left)
    share = left * prompts // wanted
    most = (left - each) // examined
    compared = min(prompts, max(LEAST_PROMPTS, min(share, most)))
    return Allowance(
        pairs=min(pairs, max(1, (left - compared * examined) // each)), anchors=0, prompts=compared, left=left
    )


def why_spent(config: LoopConfig, spent: int) -> str:
    """Why the budget of judgments pays no further round after `spent`; empty where it does."""
    budget, asking, (each, examined) = config.stop.max_judgments, config.asking, judgments_each(config)
    prompts = max(LEAST_PROMPTS, math.ceil(LEAST_SHARE * asking.examined_prompts))
    least = math.ceil(LEAST_SHARE * asking.comparisons) * each + prompts * examined
    if budget is None or budget - spent >= least:
        return ""
    return (
        f"{spent} judgments were given, the budget is {budget}, and a round asks for {least} at least "
        f"({LEAST_SHARE:.0%} of {asking.comparisons} pairs and {asking.examined_prompts} held-out prompts)"
    )


def check_budget(config: LoopConfig) -> None:
    """Refuse a budget that pays no round at all."""
    if why := why_spent(config, 0):
        raise ConfigError("stop", [f"max_judgments: {why}; raise it, or set it to none"])


def examined_count(
    config: LoopConfig, allowed: Allowance, domains: Sequence[str], queues: Sequence[Queue], *, spent: int
) -> int:
    """How many held-out prompts are compared after `spent` judgments, this round's questions among them.

    More than the round was allowed where its questions took less, or a gate was left undecided, as far as the
    budget goes. `domains` are those of all held-out prompts in their order.
    """
    base, room = config.asking.examined_prompts, None
    if config.stop.max_judgments is not None:
        payable = (config.stop.max_judgments - spent) // judgments_each(config)[1]
        base = min(base, max(allowed.prompts, payable))
        room = payable - base
    return heldout_count(domains, base, queues, config.queue, room=room)
