"""Gaming is found where it is planted and not where it is not; the fit recovers known coefficients."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters
from accord.evaluation.overoptimization import (
    Checkpoint,
    Gaming,
    fit_gao,
    measure_overoptimization,
    within_prompt_correlation,
)

IDS = [f"prompt {i}" for i in range(80)]


def run(gold_means, proxy_means, *, noise=0.3, seed=0, kl=None):
    """Checkpoints whose means are known, with noise that is each prompt's own and each answer's."""
    generator = np.random.default_rng(seed)
    prompt = generator.normal(size=len(IDS))
    kls = kl or [0.5 * i for i in range(len(gold_means))]
    points = [
        Checkpoint(
            step=10 * i,
            kl=kls[i],
            proxy=proxy + prompt + noise * generator.normal(size=len(IDS)),
            gold=gold + prompt + noise * generator.normal(size=len(IDS)),
        )
        for i, (gold, proxy) in enumerate(zip(gold_means, proxy_means, strict=True))
    ]
    return measure_overoptimization(points, IDS)


def test_planted_gaming_is_found_at_its_step():
    result = run([0.0, 0.5, 1.0, 0.7, 0.2], [0.0, 0.5, 1.0, 1.5, 2.0])
    assert result.gaming is Gaming.STARTED
    assert (result.peak_step, result.gaming_step, result.peak.step) == (20, 20, 20)
    assert (result.peak_step_low, result.peak_step_high) == (20, 20)
    assert result.gold_after_peak.low < -0.8 < result.gold_after_peak.high
    assert result.proxy_after_peak.low < 1.0 < result.proxy_after_peak.high


def test_no_gaming_while_gold_rises():
    result = run([0.0, 0.5, 1.0, 1.5], [0.0, 0.5, 1.0, 1.5])
    assert result.gaming is Gaming.NOT_SEEN
    assert result.gaming_step is None
    assert result.gold_after_peak.value == 0.0


def test_falling_together_is_not_gaming():
    assert run([0.0, 1.0, 0.2], [0.0, 1.0, 0.2]).gaming is Gaming.NOT_SEEN


def test_flat_gold_with_noise_is_not_called_gaming():
    # Choosing the peak on the prompts it is measured on would expect a fall of E[max of 8] - 0
    # = 1.42 / sqrt(80) = 0.16 where there is none; choosing it on the others expects 0.
    results = [run([0.0] * 8, range(8), noise=1.0, seed=seed) for seed in range(24)]
    honest = np.array([result.gold_after_peak.value for result in results])
    naive = np.array([result.points[-1].gold.value - result.peak.gold.value for result in results])
    error = honest.std(ddof=1) / np.sqrt(len(honest))
    assert abs(honest.mean()) < 2.5 * error
    assert naive.mean() < -2.5 * error
    assert sum(result.gaming is Gaming.STARTED for result in results) <= 3  # 2.5 % expected


def test_one_prompt_never_decides():
    points = [Checkpoint(step=i, kl=i, proxy=[float(i)], gold=[-float(i)]) for i in range(3)]
    result = measure_overoptimization(points, ["only"])
    assert result.gaming is Gaming.POSSIBLE


def test_one_checkpoint_is_an_error():
    with pytest.raises(EvaluationError, match="two or more checkpoints"):
        measure_overoptimization([Checkpoint(step=0, kl=0, proxy=[1.0], gold=[1.0])], ["a"])


def test_rows_that_do_not_match_the_prompts_are_an_error():
    points = [Checkpoint(step=i, kl=i, proxy=[1.0], gold=[1.0, 2.0]) for i in range(2)]
    with pytest.raises(EvaluationError, match="proxy has 1 rows, expected 2"):
        measure_overoptimization(points, ["a", "b"])


def test_gao_fit_recovers_alpha_beta_and_the_peak():
    # R = d (1.5 - 0.8 ln d) exactly; peak at d = exp(1.5/0.8 - 1)
    kl = np.array([0.0, 0.5, 1, 2, 4, 8, 16])
    distance = np.sqrt(kl[1:])
    gains = np.concatenate([[0.0], distance * (1.5 - 0.8 * np.log(distance))])
    fit = fit_gao(kl.tolist(), np.repeat(gains[:, None], 4, axis=1), Clusters.of(None, rows=4))
    assert (fit.alpha.value, fit.beta.value) == pytest.approx((1.5, 0.8))
    assert fit.peak_kl == pytest.approx(math.exp(1.5 / 0.8 - 1) ** 2)
    assert fit.r_squared == pytest.approx(1.0)


def test_gao_fit_without_turnover_has_no_finite_peak():
    kl = np.array([0.0, 1, 2, 3, 4, 5])
    gold = np.repeat((kl)[:, None], 3, axis=1)  # faster than any d (alpha - beta ln d) with beta > 0
    assert fit_gao(kl.tolist(), gold, Clusters.of(None, rows=3)).peak_kl == math.inf


def test_gao_fit_needs_five_points():
    assert run([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]).fit is None
    assert run([0.0, 1, 2, 2.5, 2.8, 3], range(6)).fit is not None


def test_within_prompt_correlation_by_hand():
    # within a: (-1, -2), (1, 2); within b: (-1, 1), (1, -1): sum xy = 4 - 2, sum x^2 = 4, sum y^2 = 10
    result = within_prompt_correlation([0, 2, 10, 12], [1, 5, 9, 7], ["a", "a", "b", "b"])
    assert result.value == pytest.approx(2 / math.sqrt(4 * 10))


def test_correlation_between_prompts_does_not_count():
    result = within_prompt_correlation([1.0, 1.0, 9.0, 9.0], [1.0, 2.0, 8.0, 9.0], ["a", "a", "b", "b"])
    assert math.isnan(result.value)
    assert not result.has_interval
