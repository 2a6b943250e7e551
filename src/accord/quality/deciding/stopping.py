"""When an item has labels enough: ask again, accept, or hand it to somebody who decides.

The rule is only as good as the posterior it reads: give it the calibrated one. On an uncalibrated
posterior the stated epsilon is not kept, and every decision says so.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError, DataError
from accord.quality.deciding.information import joint_error_bound, largest_horizon, value_of_asking


class Action(StrEnum):
    """What to do with an item next."""

    ASK = "ask"
    ACCEPT = "accept"
    ADJUDICATE = "adjudicate"
    ASK_BETTER = "ask_better"

    @property
    def is_final(self) -> bool:
        """True where the item needs no more votes of ordinary annotators."""
        return self is not Action.ASK


@dataclass(frozen=True, kw_only=True)
class StoppingConfig:
    """When to stop asking."""

    epsilon: float = 0.05
    """Cost of a label as a share of the loss by a wrong consensus: with nothing known of whom would be asked,
    also the probability of a wrong consensus label that is put up with."""
    min_labels: int = 2
    """Labels before any decision; one label could not contradict itself."""
    max_labels: int = 10
    """Votes after which an open item is not a matter of more votes."""
    lookahead: int = 8
    """Labels looked ahead where the annotator's confusion is known; 1 is blind to labels that turn a
    decision only together. Cut where outcomes get too many to enumerate."""
    good_error: float = 0.15
    """Annotators count as good when, on ordinary items, the labels an item has would together
    mislead with at most this probability."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}, expected above 0 and below 1"
            for name, value in (("epsilon", self.epsilon), ("good_error", self.good_error))
            if not 0 < value < 1
        ]
        if not 1 <= self.min_labels <= self.max_labels:
            problems.append(
                f"min_labels is {self.min_labels} and max_labels {self.max_labels}, expected 1 <= min <= max"
            )
        if self.lookahead < 1:
            problems.append(f"lookahead is {self.lookahead}, expected 1 or more")
        if problems:
            raise ConfigError("StoppingConfig", problems)


@dataclass(frozen=True)
class Decision:
    """What to do with an item, and why."""

    action: Action
    label_index: int | None
    """The most probable class; None where two are equally so, or nothing was asked yet."""
    confidence: float
    """Its posterior probability."""
    gain: float
    """Expected rise of that probability by asking on, less the cost; at 0 or below it is not worth asking."""
    reason: str
    is_calibrated: bool


def decide(
    posterior: NDArray[np.float64],
    n_labels: int,
    config: StoppingConfig | None = None,
    *,
    is_calibrated: bool,
    next_confusion: NDArray[np.float64] | None = None,
    past_confusions: NDArray[np.float64] | None = None,
) -> Decision:
    """Whether to ask again about one item.

    Ask while further labels, asked one by one as long as they pay, are expected to raise the highest
    probability by more than epsilon each. `next_confusion` [true, given] is that of the best free annotator;
    without it he is taken for perfect, and the rule is the myopic "ask while max p < 1 - epsilon".
    `past_confusions` [label, true, given] are those of the annotators who answered.
    """
    config = config or StoppingConfig()
    belief = np.asarray(posterior, dtype=np.float64)
    if belief.ndim != 1 or len(belief) < 2 or n_labels < 0:
        raise DataError(
            f"posterior has shape {belief.shape} and n_labels is {n_labels}; expected one row of two or more "
            "classes and 0 or more labels"
        )
    gain = net_gain(belief, config, next_confusion=next_confusion, n_left=config.max_labels - n_labels)
    confidence = float(belief.max())
    is_tied = int((belief == belief.max()).sum()) > 1
    label = None if is_tied else int(belief.argmax())
    action, reason = _verdict(belief, n_labels, gain, config, next_confusion, past_confusions)
    if not is_calibrated:
        reason += "; the posterior is uncalibrated, so its probabilities are not kept"
    return Decision(action, label, confidence, gain, reason, is_calibrated)


def net_gain(
    posterior: NDArray[np.float64],
    config: StoppingConfig,
    *,
    next_confusion: NDArray[np.float64] | None = None,
    n_left: int | None = None,
) -> float:
    """What asking on brings beyond its cost of epsilon a label; see `value_of_asking`.

    `n_left` labels may still be asked; with none left one is considered all the same.
    """
    if next_confusion is None:
        return float(1 - posterior.max() - config.epsilon)
    reach = min(config.lookahead, largest_horizon(len(posterior)))
    reach = reach if n_left is None else min(reach, max(1, n_left))
    return value_of_asking(posterior, next_confusion, cost=config.epsilon, horizon=reach)


def is_settled(
    posteriors: NDArray[np.float64], n_labels: NDArray[np.int64], config: StoppingConfig
) -> NDArray[np.bool_]:
    """[item] True where the myopic rule accepts: enough labels and max p of 1 - epsilon or more."""
    return np.asarray((n_labels >= config.min_labels) & (1 - posteriors.max(axis=1) <= config.epsilon))


def _verdict(
    belief: NDArray[np.float64],
    n_labels: int,
    gain: float,
    config: StoppingConfig,
    next_confusion: NDArray[np.float64] | None,
    past_confusions: NDArray[np.float64] | None,
) -> tuple[Action, str]:
    confidence = float(belief.max())
    if n_labels < config.min_labels:
        return Action.ASK, f"{n_labels} of at least {config.min_labels} labels"
    if gain <= 0:
        if next_confusion is None:
            return Action.ACCEPT, f"probability {confidence:.3f} reaches {1 - config.epsilon:.3f}"
        return Action.ACCEPT, f"at probability {confidence:.3f} further labels cost more than they bring"
    if n_labels < config.max_labels:
        return Action.ASK, f"probability {confidence:.3f} after {n_labels} labels; another pays"
    flat = f"probability only {confidence:.3f} after {n_labels} labels, the most there are to be"
    if past_confusions is None:
        return Action.ADJUDICATE, f"{flat}; how good the annotators are is not known"
    bound = joint_error_bound(np.full(len(belief), 1 / len(belief)), past_confusions)
    if bound <= config.good_error:
        return (
            Action.ADJUDICATE,
            f"{flat}, though these annotators together mislead on at most {bound:.3f} of ordinary items: "
            "the item is hard, disputed or badly asked, and more votes will not settle it",
        )
    return (
        Action.ASK_BETTER,
        f"{flat}, and these annotators together may mislead on {bound:.3f} of ordinary items: "
        "the labels are weak rather than the item hard",
    )
