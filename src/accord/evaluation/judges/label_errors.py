"""How far a rule or a model that labels answers agrees with people, and shares corrected by that.

Refusals: sensitivity (of what people call a refusal, the share it finds) and specificity (of what they do
not, the share it leaves alone), each for full and partial refusals together and for full ones alone. Scores:
rank correlation with people's. Corrected shares are Rogan and Gladen's; they hold where the errors on the
labeled answers are those on the others, so label a random part of the same suite. Leaves out labeling.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray, finite_array
from accord.evaluation.intervals import Estimate, bootstrap_estimate, mean_estimate, wilson
from accord.evaluation.measurement import Measurement
from accord.evaluation.prediction_powered import MIN_LABELED, rogan_gladen
from accord.evaluation.suites.refusal import Refusal

KINDS: Mapping[str, tuple[Refusal, ...]] = {
    "refusal": (Refusal.FULL, Refusal.PARTIAL),
    "full_refusal": (Refusal.FULL,),
}
"""End of a metric's name -> what counts as positive."""


@dataclass(frozen=True, kw_only=True)
class LabelErrors:
    """Counts behind sensitivity and specificity."""

    true_positive: int
    really_positive: int
    true_negative: int
    really_negative: int

    @property
    def sensitivity(self) -> Estimate:
        """Wilson; an interval of all where people call nothing a refusal."""
        return wilson(self.true_positive, self.really_positive)

    @property
    def specificity(self) -> Estimate:
        """Wilson."""
        return wilson(self.true_negative, self.really_negative)

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1: by how much a real difference shrinks in these labels."""
        return self.sensitivity.value + self.specificity.value - 1


def count_errors(
    labels: Sequence[object | None], people: Sequence[object]
) -> tuple[dict[str, LabelErrors], int]:
    """Errors of labels [answer] against people's [answer] by kind, and how many answers have no label.

    Fewer than ten answers that people call a refusal, or ten that they do not, raise: so few correct nothing.
    """
    if len(labels) != len(people):
        raise EvaluationError(f"{len(labels)} labels and {len(people)} of people; expected one each")
    pairs = [
        (Refusal.read(label), Refusal.read(person))
        for label, person in zip(labels, people, strict=True)
        if label is not None
    ]
    found = {}
    for kind, positive in KINDS.items():
        really = [label for label, person in pairs if person in positive]
        others = [label for label, person in pairs if person not in positive]
        if min(len(really), len(others)) < MIN_LABELED:
            raise EvaluationError(
                f"people call {len(really)} answers a {kind.replace('_', ' ')} and {len(others)} not; "
                f"sensitivity and specificity need {MIN_LABELED} of each"
            )
        found[kind] = LabelErrors(
            true_positive=sum(label in positive for label in really),
            really_positive=len(really),
            true_negative=sum(label not in positive for label in others),
            really_negative=len(others),
        )
    return found, len(labels) - len(pairs)


def error_measurements(errors: Mapping[str, LabelErrors], facts: Mapping[str, Any]) -> list[Measurement]:
    """`label_sensitivity` and `label_specificity` by kind; the counts go into the facts, to correct by."""
    shown = {**facts, "label_errors": {kind: asdict(one) for kind, one in errors.items()}}
    return [
        Measurement(metric=f"label_{name}", slice=f"kind={kind}", estimate=estimate, facts=dict(shown))
        for kind, one in errors.items()
        for name, estimate in (("sensitivity", one.sensitivity), ("specificity", one.specificity))
    ]


def score_measurements(
    scores: Sequence[float | None],
    people: Sequence[float],
    facts: Mapping[str, Any],
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Measurement]:
    """`label_rank_correlation` of scores with people's, and `label_sign_agreement` where both take a side.

    Spearman's, by bootstrap over `clusters` (each answer by itself, if there are none). Scores of 0 take no
    side; how many answers get one is `label_share_with_side`.
    """
    numbers = [math.nan if one is None else one for one in scores]
    kept = [i for i, one in enumerate(numbers) if math.isfinite(one)]
    said = finite_array([numbers[i] for i in kept], name="scores")
    truth = finite_array([people[i] for i in kept], name="people")
    if len(kept) < MIN_LABELED:
        raise EvaluationError(f"{len(kept)} answers have a score and a person's; {MIN_LABELED} are needed")
    units = None if clusters is None else [clusters[i] for i in kept]
    places = [np.unique(one, return_inverse=True)[1].reshape(-1) for one in (said, truth)]

    def spearman(weights: FloatArray) -> float:
        # Ranked anew in every resample: ranks held fixed vary otherwise than Spearman's coefficient does.
        first, second = (_weighted_ranks(one, weights) for one in places)
        x, y = first - weights @ first / weights.sum(), second - weights @ second / weights.sum()
        spread = math.sqrt((weights @ x**2) * (weights @ y**2))
        return float(weights @ (x * y) / spread) if spread > 0 else math.nan

    both = (said != 0) & (truth != 0)
    agree = (np.sign(said) == np.sign(truth))[both].astype(float)
    of_both = None if units is None else [units[i] for i in np.flatnonzero(both)]
    found = [
        Measurement(
            metric="label_rank_correlation",
            estimate=bootstrap_estimate(
                spearman, Clusters.of(units, rows=len(kept)), method="percentile", seed=seed
            ),
            facts=dict(facts),
        ),
        Measurement(
            metric="label_share_with_side",
            estimate=mean_estimate((said != 0).astype(float), units, seed=seed),
            facts=dict(facts),
        ),
    ]
    if len(agree):
        estimate = mean_estimate(agree, of_both, seed=seed)
        found.append(Measurement(metric="label_sign_agreement", estimate=estimate, facts=dict(facts)))
    return found


def read_label_errors(path: Path) -> tuple[dict[str, LabelErrors], str]:
    """Counts by kind, and whose labels they are of, from what `accord evaluate labels --json` printed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from error
    try:
        rows = [one["facts"]["label_errors"] for one in data["measurements"]]
        found = {kind: LabelErrors(**rows[0][kind]) for kind in KINDS}
        return found, str(data["facts"]["labels"])
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            "holds no errors of labels; expected what `accord evaluate labels ... --json` prints of refusals",
            path=str(path),
        ) from error


def correct_refusals(
    measured: Sequence[Measurement], errors: Mapping[str, LabelErrors], *, source: str
) -> list[Measurement]:
    """Refusal rates and their differences as people would have labeled; other numbers as they are.

    A difference d of two shares becomes d / (sensitivity + specificity - 1), its interval widened by the
    errors of both. The plain number stays in the facts as `as_labeled`. Partial refusals alone cannot be
    corrected by these counts and are left as they are, with their word of being uncorrected.
    """
    made = []
    for one in measured:
        kind = next((kind for kind in ("full_refusal", "refusal") if _is_of(one.metric, kind)), None)
        if kind is None or one.estimate.n < 1:
            made.append(one)
            continue
        correct = correct_difference if one.versus == "incumbent" else correct_share
        facts = {
            **one.facts,
            "labels_trust": f"corrected by Rogan-Gladen with {source}",
            "as_labeled": [one.estimate.value, one.estimate.low, one.estimate.high],
        }
        made.append(replace(one, estimate=correct(one.estimate, errors[kind]), facts=facts))
    return made


def correct_share(estimate: Estimate, errors: LabelErrors) -> Estimate:
    """A share of answers labeled positive, by Rogan and Gladen."""
    return rogan_gladen(
        positive=round(estimate.value * estimate.n),
        judged=estimate.n,
        confidence=estimate.confidence,
        **asdict(errors),
    )


def correct_difference(estimate: Estimate, errors: LabelErrors) -> Estimate:
    """A difference of two such shares, both labeled with the same errors, by the delta method."""
    if errors.youden <= 0:
        raise EvaluationError(
            f"sensitivity {errors.sensitivity.value:.3f}, specificity {errors.specificity.value:.3f}: "
            "labels no better than chance correct nothing"
        )
    z_value = float(ndtri(0.5 + estimate.confidence / 2))
    value = estimate.value / errors.youden
    spread = sum(
        part * (1 - part) / count
        for part, count in (
            (errors.sensitivity.value, errors.really_positive),
            (errors.specificity.value, errors.really_negative),
        )
    )
    own = value * z_value * math.sqrt(spread) / errors.youden
    below = math.hypot((estimate.value - estimate.low) / errors.youden, own)
    above = math.hypot((estimate.high - estimate.value) / errors.youden, own)
    return replace(
        estimate,
        value=value,
        low=value - below,
        high=value + above,
        method=f"{estimate.method}, rogan-gladen",
    )


def _is_of(metric: str, kind: str) -> bool:
    if kind == "full_refusal":
        return metric.endswith("_full_refusal")
    return metric.endswith("_refusal") and not metric.endswith(("_full_refusal", "_partial_refusal"))


def _weighted_ranks(places: NDArray[np.int64], weights: FloatArray) -> FloatArray:
    """[row] middle ranks of rows that count `weights` times, from the place of each row's value."""
    counts = np.bincount(places, weights=weights)
    return np.asarray((np.cumsum(counts) - counts / 2)[places])
