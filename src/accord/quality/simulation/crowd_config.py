"""What a simulated crowd is like: one field a knob, all faults off unless asked for."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError

ErrorShape = Literal["even", "neighbor", "shared", "personal"]
"""Where errors go: every other class alike; mostly the next class of an ordered scale; one drawn
pattern for all annotators; a drawn pattern of each annotator's own."""

UNIT_FIELDS = (
    "trap_share",
    "trap_pull",
    "contested_share",
    "drifting_share",
    "drift_at",
    "constant_share",
    "random_share",
    "ring_share",
    "ring_obedience",
    "position_pull",
    "repeat_share",
    "repeat_memory",
)
POSITIVE_FIELDS = (
    "skill_alpha",
    "skill_beta",
    "error_concentration",
    "session_labels",
    "seconds_per_label",
    "spam_pace",
)
UNSIGNED_FIELDS = ("class_spread", "difficulty_spread", "activity_spread", "duration_spread")


@dataclass(frozen=True, kw_only=True)
class CrowdConfig:
    """The default is an independent, honest crowd of varied skill on items of equal difficulty."""

    n_items: int = 1000
    """Items, numbered from 0."""
    n_annotators: int = 50
    """Annotators, numbered from 0."""
    n_classes: int = 2
    """Classes, numbered from 0."""
    labels_per_item: int | tuple[int, int] = 5
    """Distinct annotators an item; a pair draws the number evenly between the two, both included."""
    class_shares: tuple[float, ...] | None = None
    """Probability of each class as the truth; None is even."""
    activity_spread: float = 0.0
    """Standard deviation of the log of how often an annotator is asked; 1 makes a few do most of the work."""

    skill_alpha: float = 6.0
    """First parameter of the Beta from which an annotator's probability of a right answer is drawn."""
    skill_beta: float = 2.5
    """Second parameter of that Beta."""
    class_spread: float = 0.0
    """Standard deviation, in log-odds, of an annotator's skill between true classes."""
    errors: ErrorShape = "even"
    """Where a wrong answer goes."""
    error_concentration: float = 1.0
    """Dirichlet parameter of a drawn error pattern ("shared", "personal"); small is lopsided."""

    difficulty_spread: float = 0.0
    """Standard deviation of item difficulty, in log-odds taken from every annotator's skill."""
    trap_share: float = 0.0
    """Share of items with a tempting wrong answer, the same for everyone."""
    trap_pull: float = 0.7
    """Probability that an annotator gives the tempting answer of such an item, whatever his skill."""

    camp_shares: tuple[float, ...] = (1.0,)
    """Shares of annotators by school of thought; the truth of the crowd is that of the first."""
    contested_share: float = 0.0
    """Share of items on which a later camp has a truth of its own, drawn for each camp."""

    group_shares: tuple[float, ...] = ()
    """Shares of annotators by group, recorded in the column `group`; empty records none."""
    group_skill_shifts: tuple[float, ...] = ()
    """Log-odds added to skill, one a group; empty adds none."""
    group_pulls: tuple[float, ...] = ()
    """Probability of the last class whatever the item, one a group; empty is 0."""

    position_pull: float = 0.0
    """Mean probability of choosing the option shown first; each annotator's is exponential, cut at 1."""
    session_labels: int = 60
    """Labels in a sitting."""
    fatigue_per_hour: float = 0.0
    """Log-odds of skill lost for each hour since the sitting began."""
    drifting_share: float = 0.0
    """Share of honest annotators whose skill falls once."""
    drift_at: float = 0.5
    """Share of a drifting annotator's labels given before the fall."""
    drift_drop: float = 1.5
    """Log-odds lost in the fall."""

    constant_share: float = 0.0
    """Share of annotators who always answer one class, drawn for each."""
    random_share: float = 0.0
    """Share of annotators who answer at random, every class alike."""
    spam_pace: float = 0.25
    """Time these two take for a label, as a share of the usual."""
    ring_share: float = 0.0
    """Share of annotators in rings that pass answers around."""
    ring_size: int = 3
    """Members of a ring; the first answers for all, the last ring may be smaller but has two."""
    ring_obedience: float = 0.9
    """Probability that another member gives the ring's answer instead of reading."""

    repeat_share: float = 0.0
    """Share of labels asked again of the same annotator without telling him."""
    repeat_memory: float = 0.0
    """Probability that he gives his first answer again from memory instead of reading anew."""
    seconds_per_label: float = 20.0
    """Median duration."""
    duration_spread: float = 0.5
    """Standard deviation of the log of the duration."""
    start_ms: float = 1.7e12
    """When the collection begins, in milliseconds since the epoch."""

    def __post_init__(self) -> None:
        problems = [*_count_problems(self), *_range_problems(self), *_share_problems(self)]
        if problems:
            raise ConfigError("CrowdConfig", problems)

    @property
    def label_range(self) -> tuple[int, int]:
        """Fewest and most labels an item."""
        number = self.labels_per_item
        return number if isinstance(number, tuple) else (number, number)

    @property
    def class_probabilities(self) -> NDArray[np.float64]:
        """[class] Probability of each class as the truth."""
        if self.class_shares is None:
            return np.full(self.n_classes, 1 / self.n_classes)
        return np.array(self.class_shares, dtype=np.float64)


def _count_problems(config: CrowdConfig) -> list[str]:
    low, high = config.label_range
    problems = [
        f"{name} is {getattr(config, name)}, expected at least {least}"
        for name, least in (("n_items", 1), ("n_annotators", 1), ("n_classes", 2), ("ring_size", 2))
        if getattr(config, name) < least
    ]
    if not 1 <= low <= high <= config.n_annotators:
        problems.append(
            f"labels_per_item is {config.labels_per_item}, expected 1 to {config.n_annotators}, "
            "the number of annotators, in rising order"
        )
    if config.errors not in get_args(ErrorShape):
        problems.append(f"errors is {config.errors!r}, expected one of {', '.join(get_args(ErrorShape))}")
    return problems


def _range_problems(config: CrowdConfig) -> list[str]:
    problems = [
        f"{name} is {getattr(config, name)}, expected 0 to 1"
        for name in UNIT_FIELDS
        if not 0 <= getattr(config, name) <= 1
    ]
    for names, wanted in ((POSITIVE_FIELDS, "above 0"), (UNSIGNED_FIELDS, "0 or more")):
        for name in names:
            value = getattr(config, name)
            if not np.isfinite(value) or value < 0 or (value == 0 and names is POSITIVE_FIELDS):
                problems.append(f"{name} is {value}, expected {wanted}")
    if config.constant_share + config.random_share + config.ring_share > 1:
        problems.append("constant_share, random_share and ring_share together exceed 1")
    return problems


def _share_problems(config: CrowdConfig) -> list[str]:
    problems = []
    classes = config.class_shares
    if classes is not None and len(classes) != config.n_classes:
        problems.append(f"class_shares has {len(classes)} entries, expected {config.n_classes}, one a class")
    shares = {"class_shares": classes, "camp_shares": config.camp_shares}
    if config.group_shares:
        shares["group_shares"] = config.group_shares
    for name, values in shares.items():
        if values is not None and (min(values, default=-1) < 0 or abs(sum(values) - 1) > 1e-9):
            problems.append(f"{name} is {values}, expected shares of 0 or more that sum to 1")
    for name in ("group_skill_shifts", "group_pulls"):
        values = getattr(config, name)
        if values and len(values) != len(config.group_shares):
            problems.append(
                f"{name} has {len(values)} entries, expected {len(config.group_shares)} as in group_shares"
            )
    if any(not 0 <= pull <= 1 for pull in config.group_pulls):
        problems.append(f"group_pulls is {config.group_pulls}, expected 0 to 1")
    return problems
