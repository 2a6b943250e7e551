"""Has an annotator become worse? CUSUM on expected correctness, its threshold from a promised alarm rate.

    S_n = max(0, S_(n-1) + y_n log(p1 / p0) + (1 - y_n) log((1 - p1) / (1 - p0))),   alarm at S_n >= h

Page 1954. y is 1 where the judgment is right and 0 where it is wrong; without gold it is the posterior
probability of the class given (the soft update). With y in [0, 1] and mean p0 the soft update alarms
later than the hard one, never sooner on average, because exp of a line lies under its chord: thresholds
for hard answers are safe for soft ones. The same inequality makes exp(S) an e-detector (Shin, Ramdas
and Rinaldo 2022), so the mean run length to a false alarm is at least exp(h) whatever the distribution
of y. `drift_e_value` puts weight 1 / (j (j + 1)) on a change at judgment j, and may be compared between
annotators at any time (`discovery.reject_e_values`).

A false alarm every so many judgments of each stream is a false alarm every so many judgments of all
streams together: the rate over ALL annotators does not depend on how many there are.

Two tools: `watch_drift` for the live stream, with the accuracy p0 known or estimated before, and
`assess_decline` afterward, which assumes nothing about the accuracy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, special
from scipy.optimize import brentq
from scipy.sparse.linalg import spsolve

from accord.domain import ConfigError, DataError, EvaluationError
from accord.quality.people.discovery import permutation_p_value

GRID = 1500
"""States of the Markov chain of S; the run lengths change by under 1 % from there to 6000."""
MAX_THRESHOLD = 25.0
"""No false-alarm rate asks for more: run lengths above it pass 10 ** 9."""


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """What a decline is, and how many false alarms are allowed."""

    normal: float = 0.85
    """Accuracy p0 of an annotator who does not drift; used where none is given for him."""
    drop: float = 1.115
    """Decline to be found, on the logit scale: 0.85 to 0.65."""
    false_alarms_per_1000: float = 0.5
    """Wanted number of false alarms in 1000 judgments over all annotators together."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.normal < 1:
            problems.append(f"normal is {self.normal}; expected an accuracy between 0 and 1")
        if not self.drop > 0:
            problems.append(f"drop is {self.drop}; expected a number of logits above 0")
        if not 0 < self.false_alarms_per_1000 < 1000:
            problems.append(
                f"false_alarms_per_1000 is {self.false_alarms_per_1000}; expected between 0 and 1000"
            )
        if problems:
            raise ConfigError("drift", problems)

    def declined(self, normal: ArrayLike) -> NDArray[np.float64]:
        """The accuracy p1 after the decline from `normal`."""
        return np.asarray(special.expit(special.logit(np.asarray(normal, dtype=np.float64)) - self.drop))


@dataclass(frozen=True)
class DriftAlarm:
    """One alarm on one stream."""

    at: int
    """Judgment that raised it, from 0."""
    since: int
    """Likeliest first judgment after the change."""
    since_low: int
    """The change began here or later ..."""
    since_high: int
    """... and here or earlier, with 95 % under a flat prior over the judgments up to the alarm."""


@dataclass(frozen=True)
class DriftWatch:
    """One annotator's stream."""

    alarms: tuple[DriftAlarm, ...]
    score: float
    """S after the last judgment."""
    peak: float
    """Largest S, over the whole stream."""
    threshold: float
    e_value: float
    """Evidence now against 'the accuracy never fell': mean 1 or less at any time of looking if it did not."""
    n: int


@dataclass(frozen=True)
class DeclineTest:
    """Retrospective test of one stream."""

    p_value: float
    peak: float
    """Largest drop of the mean, in standard errors."""
    since: int
    """Likeliest first judgment after the change, from 0."""
    before: float
    """Mean correctness before it."""
    after: float
    """Mean correctness from it on."""


def drift_steps(correctness: ArrayLike, *, normal: float, declined: float) -> NDArray[np.float64]:
    """[judgment] What each judgment adds to S; `correctness` in [0, 1]."""
    right = np.asarray(correctness, dtype=np.float64)
    if not ((right >= 0) & (right <= 1)).all():
        raise DataError("a correctness lies outside [0, 1]; expected 0, 1 or a posterior probability")
    if not 0 < declined < normal < 1:
        raise DataError(
            f"the accuracies are {declined} after and {normal} before; expected 0 < after < before < 1"
        )
    up, down = np.log((1 - declined) / (1 - normal)), np.log(declined / normal)
    return np.asarray(up + right * (down - up))


def cusum(steps: ArrayLike) -> NDArray[np.float64]:
    """[..., judgment] S after each judgment, from S = 0, without a stop: sums less their running minimum."""
    sums = np.cumsum(np.asarray(steps, dtype=np.float64), axis=-1)
    return sums - np.minimum(np.minimum.accumulate(sums, axis=-1), 0.0)


def average_run_length(
    threshold: float,
    *,
    normal: float = 0.85,
    declined: float = 0.65,
    accuracy: float | None = None,
    n_states: int = GRID,
) -> float:
    """Mean number of judgments to an alarm from S = 0, for hard answers of this accuracy.

    `accuracy` is `normal` by default, which gives the run length to a false alarm (ARL0); `declined`
    gives the delay. Brook and Evans 1972: S on a grid, each move split between its two neighbors so
    that its mean is kept; the mean run lengths solve (I - Q) L = 1.
    """
    if not 0 < threshold <= MAX_THRESHOLD:
        raise EvaluationError(f"the threshold is {threshold}; expected above 0 and at most {MAX_THRESHOLD}")
    wrong_step, right_step = drift_steps([0.0, 1.0], normal=normal, declined=declined)
    p_right = normal if accuracy is None else accuracy
    grid = np.arange(n_states) * (threshold / n_states)
    rows, columns, masses = [], [], []
    for step, chance in ((right_step, p_right), (wrong_step, 1 - p_right)):
        place = np.maximum(grid + step, 0.0) * (n_states / threshold)
        below = np.floor(place + 1e-9).astype(np.int64)
        share = np.clip(place - below, 0.0, 1.0)
        # a move past the threshold is an alarm, never split back under it
        stays = place < n_states - 1e-9
        for column, mass in ((below, chance * (1 - share)), (below + 1, chance * share)):
            kept = stays & (mass > 0)
            rows.append(np.flatnonzero(kept))
            columns.append(np.minimum(column[kept], n_states - 1))
            masses.append(mass[kept])
    moves = sparse.csc_matrix(
        (np.concatenate(masses), (np.concatenate(rows), np.concatenate(columns))), shape=(n_states, n_states)
    )
    lengths = spsolve(sparse.eye(n_states, format="csc") - moves, np.ones(n_states))
    return float(lengths[0])


def choose_threshold(
    *, normal: float = 0.85, declined: float = 0.65, false_alarms_per_1000: float = 0.5
) -> float:
    """The least threshold whose false-alarm rate is at or under the wanted one, to 0.01.

    The rate is 1000 / ARL0 and holds for one stream as for all together, if S starts anew at each alarm.
    """
    wanted = 1000.0 / false_alarms_per_1000

    def excess(threshold: float) -> float:
        return float(
            np.log(average_run_length(threshold, normal=normal, declined=declined, n_states=500) / wanted)
        )

    if excess(0.05) >= 0:
        return 0.05
    threshold = float(brentq(excess, 0.05, MAX_THRESHOLD, xtol=0.005))
    while average_run_length(threshold, normal=normal, declined=declined) < wanted:
        threshold += 0.01
    return threshold


def cautious_normal(
    right: float, judged: float, *, pooled: float = 0.85, strength: float = 20.0, quantile: float = 0.1
) -> float:
    """The accuracy p0 to hold an annotator to when it must be estimated from his first judgments.

    The lower `quantile` of the Beta posterior with a prior of `strength` judgments at the pooled accuracy.
    Every accuracy above p0 alarms more rarely than p0, so the promised rate holds for all but that share
    of annotators, and on average over them. Kept between 0.05 and 0.99.
    """
    first, second = strength * pooled + right, strength * (1 - pooled) + judged - right
    return float(np.clip(special.betaincinv(first, second, quantile), 0.05, 0.99))


def watch_drift(
    correctness: ArrayLike,
    *,
    normal: float | None = None,
    threshold: float | None = None,
    config: DriftConfig | None = None,
) -> DriftWatch:
    """Run the live detector over one stream [judgment] in the order of time; S starts anew at each alarm.

    Without `threshold` it is chosen for `normal` and the wanted rate, which takes a while: choose once
    and hand it over where many streams share an accuracy. An empty stream gives no alarm and e-value 1.
    """
    config = config or DriftConfig()
    start = config.normal if normal is None else normal
    declined = float(config.declined(start))
    if threshold is None:
        threshold = choose_threshold(
            normal=start, declined=declined, false_alarms_per_1000=config.false_alarms_per_1000
        )
    steps = drift_steps(correctness, normal=start, declined=declined)
    alarms: list[DriftAlarm] = []
    begin, peak, score = 0, 0.0, 0.0
    while begin < len(steps):
        path = cusum(steps[begin:])
        over = path >= threshold
        end = int(np.argmax(over)) if over.any() else len(path) - 1
        peak, score = max(peak, float(path[: end + 1].max())), float(path[end])
        if not over.any():
            break
        alarms.append(_locate(steps[begin : begin + end + 1], begin))
        begin, score = begin + end + 1, 0.0
    return DriftWatch(tuple(alarms), score, peak, threshold, drift_e_value(steps), len(steps))


def drift_e_value(steps: ArrayLike) -> float:
    """Evidence at the last judgment against 'the accuracy never fell', from the steps of S.

        sum over j <= n of exp(steps_j + ... + steps_n) / (j (j + 1))  +  1 / (n + 1)

    A supermartingale from 1 on when the accuracy is p0 or more throughout.
    """
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(steps, dtype=np.float64))])
    starts = np.arange(1, len(sums))
    terms = sums[-1] - sums[:-1] - np.log(starts) - np.log(starts + 1)
    return float(np.exp(special.logsumexp(np.append(terms, -np.log(len(sums))))))


def _locate(steps: NDArray[np.float64], offset: int) -> DriftAlarm:
    """Where the change began, given that the last step raised the alarm."""
    sums = np.cumsum(steps)
    evidence = sums[-1] - np.concatenate([[0.0], sums[:-1]])
    posterior = special.softmax(evidence)
    order = np.argsort(-posterior, kind="stable")
    inside = order[: int(np.searchsorted(np.cumsum(posterior[order]), 0.95)) + 1]
    return DriftAlarm(
        at=offset + len(steps) - 1,
        since=offset + int(order[0]),
        since_low=offset + int(inside.min()),
        since_high=offset + int(inside.max()),
    )


def assess_decline(
    correctness: ArrayLike,
    *,
    min_side: int = 10,
    max_draws: int = 1999,
    seed: int = 0,
) -> DeclineTest | None:
    """Did the correctness [judgment] fall at some time, looking back? None for a stream too short to say.

    The statistic is the largest drop of the mean between the first t judgments and the rest, in
    standard errors, over every t with `min_side` on both sides; its p-value comes from permuting the
    judgments, so it is exact for any accuracy and any soft correctness as long as their order means nothing
    without a drift.
    """
    right = np.asarray(correctness, dtype=np.float64)
    total = len(right)
    spread = float(right.std())
    if total < 2 * min_side or spread == 0:
        return None
    rng = np.random.default_rng(seed)
    lengths = np.arange(min_side, total - min_side + 1)
    scale = np.sqrt(total / (lengths * (total - lengths))) / spread
    centered = right - right.mean()

    def drops(streams: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.cumsum(streams, axis=-1)[..., lengths - 1] * scale)

    def draw(count: int) -> NDArray[np.float64]:
        return np.asarray(drops(rng.permuted(np.tile(centered, (count, 1)), axis=1)).max(axis=1))

    path = drops(centered)
    split = int(lengths[int(np.argmax(path))])
    p_value = permutation_p_value(float(path.max()), draw, max_draws=max_draws)
    return DeclineTest(
        p_value, float(path.max()), split, float(right[:split].mean()), float(right[split:].mean())
    )
