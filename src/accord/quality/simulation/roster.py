"""The annotators of a simulated crowd, with everything about them known."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from accord.domain import Streams
from accord.quality.simulation.crowd_config import CrowdConfig

SKILL_MARGIN = 1e-6
"""Skills are kept this far from 0 and 1, where log-odds end."""


class Role(IntEnum):
    """What an annotator does with the items he is given."""

    HONEST = 0
    CONSTANT = 1
    RANDOM = 2
    RING = 3

    @property
    def is_spam(self) -> bool:
        """True where the answers say nothing about the items."""
        return self in (Role.CONSTANT, Role.RANDOM)


@dataclass(frozen=True, eq=False)
class KnownAnnotators:
    """The true parameters, one entry an annotator."""

    role: NDArray[np.int64]
    """[annotator] A `Role`."""
    skill: NDArray[np.float64]
    """[annotator] Probability of a right answer as drawn from the Beta."""
    class_log_odds: NDArray[np.float64]
    """[annotator, class] Log-odds of a right reading of an average item, rested, before any drift."""
    error_shares: NDArray[np.float64]
    """[annotator or 1, true class, class] Where a wrong reading goes; the diagonal is 0, rows sum to 1."""
    constant_class: NDArray[np.int64]
    """[annotator] The class a CONSTANT one gives; -1 for the others."""
    ring: NDArray[np.int64]
    """[annotator] -1 outside any ring."""
    ring_leaders: NDArray[np.int64]
    """[ring] The member who answers for all."""
    camp: NDArray[np.int64]
    """[annotator] School of thought; 0 holds the truth of the crowd."""
    group: NDArray[np.int64]
    """[annotator] 0 where the crowd has no groups."""
    group_pull: NDArray[np.float64]
    """[annotator] Probability of the last class whatever the item."""
    position_pull: NDArray[np.float64]
    """[annotator] Probability of the option shown first, unread."""
    is_drifting: NDArray[np.bool_]
    """[annotator]"""

    @property
    def confusion(self) -> NDArray[np.float64]:
        """[annotator, true class, class] Probability of each answer.

        On an item of average difficulty without a trap, rested and before any drift. A member of a
        ring stands with his own reading, a member of a later camp with his camp's truth as the true class.
        """
        n_classes = self.class_log_odds.shape[1]
        right = expit(self.class_log_odds)[:, :, None]
        answers = right * np.eye(n_classes) + (1 - right) * self.error_shares
        for pull, target in (
            (self.group_pull, np.eye(n_classes)[-1]),
            (self.position_pull, np.full(n_classes, 1 / n_classes)),
            ((self.role == Role.RANDOM).astype(np.float64), np.full(n_classes, 1 / n_classes)),
        ):
            answers = (1 - pull)[:, None, None] * answers + pull[:, None, None] * target
        constant = self.role == Role.CONSTANT
        answers[constant] = np.eye(n_classes)[self.constant_class[constant]][:, None, :]
        return answers


def expit(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of log-odds, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * log_odds)), dtype=np.float64)


def draw_roster(config: CrowdConfig, streams: Streams) -> KnownAnnotators:
    """Annotators as the config describes; shares are met to the nearest whole annotator."""
    number, n_classes = config.n_annotators, config.n_classes
    skill = _generator(streams, "skill").beta(config.skill_alpha, config.skill_beta, number)
    skill = np.clip(skill, SKILL_MARGIN, 1 - SKILL_MARGIN)
    spread = _generator(streams, "class").normal(0, 1, (number, n_classes)) * config.class_spread
    group = _divide(config.group_shares or (1.0,), number, _generator(streams, "group"))
    shifts = np.array(config.group_skill_shifts or (0.0,) * (int(group.max()) + 1))
    role = _draw_roles(config, _generator(streams, "role"))
    ring, leaders = _form_rings(role, config.ring_size)
    constant_class = _generator(streams, "constant").integers(0, n_classes, number)
    pulls = np.array(config.group_pulls or (0.0,) * (int(group.max()) + 1))
    position = _generator(streams, "position").exponential(1.0, number) * config.position_pull
    drift_order = _generator(streams, "drift").permutation(np.flatnonzero(role == Role.HONEST))
    is_drifting = np.zeros(number, dtype=bool)
    is_drifting[drift_order[: round(config.drifting_share * len(drift_order))]] = True
    return KnownAnnotators(
        role=role,
        skill=skill,
        class_log_odds=np.log(skill / (1 - skill))[:, None] + shifts[group][:, None] + spread,
        error_shares=_draw_error_shares(config, _generator(streams, "errors")),
        constant_class=np.where(role == Role.CONSTANT, constant_class, -1),
        ring=ring,
        ring_leaders=leaders,
        camp=_divide(config.camp_shares, number, _generator(streams, "camp")),
        group=group,
        group_pull=pulls[group],
        position_pull=np.minimum(position, 1.0),
        is_drifting=is_drifting,
    )


def _generator(streams: Streams, name: str) -> np.random.Generator:
    return np.random.default_rng(streams.child(name).value)


def _divide(shares: tuple[float, ...], number: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """[annotator] Parts whose sizes are as near to the shares as whole numbers allow, in random order."""
    ends = np.rint(np.cumsum(shares) * number).astype(np.int64)
    parts = np.searchsorted(ends, np.arange(number), side="right")
    return generator.permutation(parts).astype(np.int64)


def _draw_roles(config: CrowdConfig, generator: np.random.Generator) -> NDArray[np.int64]:
    odd = (config.constant_share, config.random_share, config.ring_share)
    honest = max(0.0, 1 - sum(odd))
    return _divide((honest, *odd), config.n_annotators, generator)


def _form_rings(role: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ring of each annotator and leader of each ring; one left over joins the last ring."""
    members = np.flatnonzero(role == Role.RING)
    n_rings = max(1, (len(members) + size - 2) // size) if len(members) else 0
    ring = np.full(len(role), -1, dtype=np.int64)
    ring[members] = np.minimum(np.arange(len(members)) // size, n_rings - 1)
    return ring, members[np.arange(n_rings) * size]


def _draw_error_shares(config: CrowdConfig, generator: np.random.Generator) -> NDArray[np.float64]:
    n_classes = config.n_classes
    distance = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes))).astype(np.float64)
    if config.errors == "even":
        weights = np.ones((1, n_classes, n_classes))
    elif config.errors == "neighbor":
        weights = np.exp(-2 * distance)[None]
    else:
        rows = config.n_annotators if config.errors == "personal" else 1
        # A floor keeps a row from vanishing where a small Dirichlet parameter underflows.
        weights = generator.gamma(config.error_concentration, size=(rows, n_classes, n_classes)) + 1e-12
    weights = weights * (distance > 0)
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), dtype=np.float64)
