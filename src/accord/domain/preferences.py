"""What preference training consumes: a pair with a probability, a weight and its provenance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accord.domain.errors import DataError
from accord.domain.messages import Prompt, content_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a preference came from."""

    judgment_ids: tuple[str, ...] = ()
    """The judgments behind it; empty when the file gave only the outcome."""
    method: str = "given"
    """How the judgments became `p_chosen`: given, majority, dawid_skene, ..."""
    votes: int = 0
    """How many judgments, ties included; 0 when not known."""
    source: str = ""
    """File or run it was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """`chosen` is preferred to `rejected` with probability `p_chosen`."""

    prompt: Prompt
    chosen: str
    rejected: str
    p_chosen: float = 1.0
    """Probability in [0, 1] that `chosen` is the better one: 1 certain, 0.5 a tie."""
    weight: float = 1.0
    """How much the pair counts in a loss or a mean; not negative."""
    margin: float = 0.0
    """By how much chosen should win at least, in reward units (Llama 2, eq. 2)."""
    provenance: Provenance = field(default_factory=Provenance, compare=False, hash=False)
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_chosen <= 1.0:
            raise DataError(f"p_chosen must be in [0, 1], got {self.p_chosen}")
        if not (self.weight >= 0.0 and math.isfinite(self.weight)):
            raise DataError(f"weight must be finite and not negative, got {self.weight}")
        if not math.isfinite(self.margin):
            raise DataError(f"margin must be finite, got {self.margin}")

    @property
    def id(self) -> str:
        """Content hash of prompt, chosen and rejected."""
        return content_hash([self.prompt.id, self.chosen, self.rejected])

    @property
    def is_tie(self) -> bool:
        """True when neither side is preferred."""
        return self.p_chosen == 0.5
