"""What training is given: one reward head a principle with its part of the score, one constraint a limit."""

from dataclasses import dataclass
from typing import Any

from accord.pipeline.charter.principles import Charter
from accord.pipeline.configuration import dump_table


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A reward head that is not traded for others: the share it finds broken must stay below a rate."""

    dimension: str
    """The limit's id: the head learns 1 for kept and 0 for broken."""
    threshold: float
    """An answer that the head scores below it counts as broken."""
    max_rate: float
    """Largest share of broken answers."""


@dataclass(frozen=True, kw_only=True)
class RewardHeads:
    """What a reward model of this charter predicts, and how its numbers are used."""

    dimensions: tuple[str, ...]
    """All heads, principles first."""
    score_weights: dict[str, float]
    """Part of each head in the one score; a limit has none, since nothing may outweigh it."""
    constraints: tuple[Constraint, ...]
    """One for each limit."""


def reward_heads(charter: Charter) -> RewardHeads:
    """Heads, their parts and constraints.

    A part is divided by half the span of the principle's grades, so that a full step from the middle to the
    best grade counts the same on every scale. Ratings are learnt as they are, not in standard deviations:
    otherwise a principle on which all answers are alike would count most.
    """
    halves = {one.id: (one.high - one.low) / 2 for one in charter.principles}
    weights = {name: part / halves[name] for name, part in charter.parts.items()}
    weights |= {one.id: 0.0 for one in charter.limits}
    constraints = tuple(
        Constraint(dimension=one.id, threshold=0.5, max_rate=one.max_rate) for one in charter.limits
    )
    return RewardHeads(dimensions=tuple(weights), score_weights=weights, constraints=constraints)


def reward_config(charter: Charter, ratings: str) -> str:
    """A config for `accord train reward` on a file of ratings, as `accord project export` writes it."""
    heads = reward_heads(charter)
    objective: dict[str, Any] = {
        "type": "ratings",
        "dimensions": list(heads.dimensions),
        "is_standardized": False,
        "score_weights": heads.score_weights,
    }
    lines = [f"# Made from the charter {charter.hash}; change that rather than this."]
    lines += [
        f"# limit {one.dimension}: at most {one.max_rate:g} of answers below {one.threshold:g}"
        for one in heads.constraints
    ]
    values = {"preferences": [ratings], "reward": {"objective": objective}}
    return "\n".join(lines) + "\n" + dump_table(values)
