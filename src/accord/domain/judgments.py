"""What was said of answers, by people, machines or simulations: comparisons, rankings, ratings, steps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from accord.domain.errors import DataError
from accord.domain.messages import Prompt, content_hash


class Choice(StrEnum):
    """The answer to "which is better?", in screen terms."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"
    BOTH_BAD = "both_bad"

    @property
    def is_decided(self) -> bool:
        """True when one side won."""
        return self in (Choice.LEFT, Choice.RIGHT)

    @property
    def left_share(self) -> float:
        """The win of the left side: 1, 0, or one half for a tie and for both bad."""
        return {Choice.LEFT: 1.0, Choice.RIGHT: 0.0}.get(self, 0.5)


class Source(StrEnum):
    """Who judged. Simulated and model judges are never counted as people."""

    HUMAN = "human"
    SIMULATED = "simulated"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two answers to one prompt, as they were shown."""

    prompt: Prompt
    left: str
    right: str
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @property
    def id(self) -> str:
        """Content hash of prompt and both answers in the order shown."""
        return content_hash([self.prompt.id, self.left, self.right])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """One annotator's choice on one comparison. Never overwritten."""

    comparison: Comparison
    annotator_id: str
    choice: Choice
    source: Source = Source.HUMAN
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @property
    def id(self) -> str:
        """Content hash of comparison, annotator and choice."""
        return content_hash([self.comparison.id, self.annotator_id, self.choice.value, self.source.value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Several answers to one prompt in order of preference."""

    prompt: Prompt
    completions: tuple[str, ...]
    ranks: tuple[int, ...]
    """1 is best; equal ranks are ties. One per completion."""
    annotator_id: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        if len(self.completions) != len(self.ranks) or len(self.completions) < 2:
            raise DataError(
                f"a ranking needs two or more completions and one rank each, "
                f"got {len(self.completions)} completions and {len(self.ranks)} ranks"
            )
        if min(self.ranks) < 1:
            raise DataError(f"ranks count from 1 (best), got {min(self.ranks)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A number one annotator gave one answer on one scoring dimension."""

    prompt: Prompt
    completion: str
    value: float
    dimension: str = "overall"
    annotator_id: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise DataError(f"a rating must be a finite number, got {self.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One answer marked good or bad on its own: the unpaired form that KTO learns from."""

    prompt: Prompt
    completion: str
    is_desirable: bool
    weight: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLabels:
    """An answer in steps, each with whether it is right: the form that step rewards learn from."""

    prompt: Prompt
    steps: tuple[str, ...]
    """The answer's parts in order, without what separates them."""
    labels: tuple[float | None, ...]
    """Probability in [0, 1] that the step is right; None where nobody looked. One per step."""
    annotator_id: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.labels) or not self.steps:
            raise DataError(
                f"an answer needs one or more steps and one label each, "
                f"got {len(self.steps)} steps and {len(self.labels)} labels"
            )
        for label in self.labels:
            if label is not None and not 0.0 <= label <= 1.0:
                raise DataError(f"the label of a step must be in [0, 1] or None, got {label}")
