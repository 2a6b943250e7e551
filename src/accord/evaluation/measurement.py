"""What every part of an evaluation hands to the gates: a named number with its interval.

Leaves out how a number is made (each metric has its own file) and what it must be (`gates/`).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from accord.evaluation.intervals import Estimate

Versus = Literal["nothing", "incumbent"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number of one slice: a level, or a difference from the incumbent."""

    metric: str
    """Name in lower case with underscores, e.g. "win_rate", "harmful_refusal"."""
    slice: str = "all"
    """Part of the data it was measured on, e.g. "all", "category=age"."""
    versus: Versus = "nothing"
    """"incumbent" where the number is candidate minus incumbent, in the metric's own unit."""
    estimate: Estimate
    deviation: float | None = None
    """Standard deviation of one row's contribution, from which "n more needed" follows; None if unknown."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Where it comes from: seeds, file digests, settings; plain JSON values."""
