"""Effects and their intervals by hand, in simulation and under a change of sides."""

import numpy as np
import pytest

from accord.domain import ConfigError, DataError
from accord.quality.bias import EffectConfig, fit_effects
from accord.quality.judgments import LEFT, RIGHT, TIE


def simulate(seed, *, n_pairs=150, n_votes=4, position=0.3, length=0.5, threshold=0.6, quality=1.0):
    """Votes on pairs whose quality differs, which hang together; quality is not known to the fit."""
    rng = np.random.default_rng(seed)
    pair = np.repeat(np.arange(n_pairs), n_votes)
    difference = rng.normal(size=n_pairs)
    better = quality * rng.normal(size=n_pairs)
    is_flipped = rng.random(len(pair)) < 0.5
    side = np.where(is_flipped, -1.0, 1.0)
    predictor = position + side * (length * difference + better)[pair]
    noise = rng.logistic(size=len(pair))
    latent = predictor + noise
    answer = np.where(latent > threshold, LEFT, np.where(latent < -threshold, RIGHT, TIE))
    return answer, {"length": side * difference[pair]}, pair


def test_position_alone_by_hand():
    # 60 left of 100, each its own cluster: logit .6, variance 1 / (100 * .24) * 100 / 99
    answer = np.repeat([LEFT, RIGHT], [60, 40])
    effect = fit_effects(answer, {}, clusters=range(100))["position"]
    assert effect.estimate == pytest.approx(np.log(1.5), abs=1e-8)
    assert effect.standard_error == pytest.approx(np.sqrt(1 / 24 * 100 / 99), abs=1e-8)
    # t of 99 degrees at .975 is 1.984217
    assert effect.high - effect.estimate == pytest.approx(1.984217 * effect.standard_error, abs=1e-5)
    # .405465 / .205152 = 1.976417, beyond which t has .0509 in both tails
    assert effect.p_value == pytest.approx(0.0509, abs=0.0001)


def test_copied_votes_do_not_narrow_the_interval():
    answer = np.repeat([LEFT, RIGHT], [60, 40])
    once = fit_effects(answer, {}, clusters=range(100))["position"]
    ninefold = fit_effects(np.tile(answer, 9), {}, clusters=list(range(100)) * 9)["position"]
    assert ninefold.standard_error == pytest.approx(once.standard_error, rel=1e-8)


def test_exchanging_the_sides_turns_position_and_keeps_length():
    answer, differences, pair = simulate(0)
    plain = fit_effects(answer, differences, clusters=pair)
    mirrored = np.array([RIGHT, LEFT, TIE])[answer]
    turned = fit_effects(mirrored, {"length": -differences["length"]}, clusters=pair)
    assert turned["position"].estimate == pytest.approx(-plain["position"].estimate, abs=1e-7)
    assert turned["length"].estimate == pytest.approx(plain["length"].estimate, abs=1e-7)
    assert turned.threshold == pytest.approx(plain.threshold, abs=1e-7)


def test_order_of_the_rows_does_not_matter():
    answer, differences, pair = simulate(1)
    order = np.random.default_rng(0).permutation(len(answer))
    plain = fit_effects(answer, differences, clusters=pair)
    moved = fit_effects(answer[order], {"length": differences["length"][order]}, clusters=pair[order])
    for one, other in zip(plain.effects, moved.effects, strict=True):
        assert other.estimate == pytest.approx(one.estimate, abs=1e-9)
        assert other.standard_error == pytest.approx(one.standard_error, abs=1e-9)


def test_ties_may_be_left_out():
    answer, differences, pair = simulate(2)
    fit = fit_effects(answer, differences, clusters=pair, config=EffectConfig(has_ties=False))
    assert fit.n_judgments == (answer != TIE).sum()
    assert fit.threshold == 0.0
    by_hand = answer != TIE
    decided = fit_effects(answer[by_hand], {"length": differences["length"][by_hand]}, clusters=pair[by_hand])
    assert fit["length"] == decided["length"]


@pytest.mark.parametrize(
    ("answer", "differences"),
    [
        ([LEFT, RIGHT, LEFT], {"length": [0.0, 0.0, 0.0]}),
        ([LEFT, RIGHT, LEFT], {"length": [1.0, 1.0, 1.0]}),
        ([LEFT, LEFT, LEFT], {}),
        ([TIE, TIE, TIE], {}),
        ([LEFT, RIGHT, LEFT], {"length": [1.0, -1.0, 2.0]}),
    ],
    ids=["no variation", "collinear", "all left", "all ties", "separated"],
)
def test_what_cannot_be_estimated_has_a_reason(answer, differences):
    columns = {name: np.array(column) for name, column in differences.items()}
    fit = fit_effects(np.array(answer), columns, clusters=range(3))
    for effect in fit.effects:
        assert (effect.estimate, effect.low, effect.p_value) == (None, None, None)
        assert "no effect can be estimated" in effect.reason


def test_one_cluster_has_an_estimate_and_no_interval():
    fit = fit_effects(np.array([LEFT, RIGHT, LEFT]), {}, clusters=["i"] * 3)
    assert fit["position"].estimate == pytest.approx(np.log(2))
    assert fit["position"].low is None
    assert "one cluster" in fit["position"].reason


def test_wrong_input_is_named():
    answer = np.array([LEFT, RIGHT])
    with pytest.raises(DataError, match="no judgments"):
        fit_effects(np.array([], dtype=int), {}, clusters=[])
    with pytest.raises(DataError, match="an answer is 7"):
        fit_effects(np.array([LEFT, 7]), {}, clusters=[1, 2])
    with pytest.raises(DataError, match="clusters has 1 entries for 2"):
        fit_effects(answer, {}, clusters=[1])
    with pytest.raises(DataError, match="'length' is nan in row 2"):
        fit_effects(answer, {"length": np.array([1.0, np.nan])}, clusters=[1, 2])
    with pytest.raises(DataError, match="no effect to estimate"):
        fit_effects(answer, {}, clusters=[1, 2], config=EffectConfig(has_position=False))
    with pytest.raises(DataError, match="there are position"):
        fit_effects(answer, {}, clusters=[1, 2])["length"]
    with pytest.raises(ConfigError, match=r"confidence is 1\.5"):
        EffectConfig(confidence=1.5)


def test_intervals_cover_and_the_naive_ones_do_not():
    # pairs of differing quality, sides fixed over their votes, so that votes hang together; the unknown
    # quality shrinks a marginal effect, so position 0 is the one whose truth is known
    hits = {"pair": 0, "vote": 0}
    n_runs = 400
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        pair = np.repeat(np.arange(120), 5)
        better = 1.5 * rng.normal(size=120)
        latent = better[pair] + rng.logistic(size=600)
        answer = np.where(latent > 0.5, LEFT, np.where(latent < -0.5, RIGHT, TIE))
        for name, clusters in (("pair", pair), ("vote", range(600))):
            effect = fit_effects(answer, {}, clusters=clusters)["position"]
            hits[name] += effect.low <= 0 <= effect.high
    # three binomial standard errors of 400 runs at .95
    assert hits["pair"] / n_runs == pytest.approx(0.95, abs=0.033)
    assert hits["vote"] / n_runs < 0.9


def test_known_effects_are_covered():
    # quality 0: the model is the truth
    n_runs, hits = 300, np.zeros(2)
    for seed in range(n_runs):
        answer, differences, pair = simulate(seed, quality=0.0)
        fit = fit_effects(answer, differences, clusters=pair)
        for at, (name, truth) in enumerate((("position", 0.3), ("length", 0.5))):
            hits[at] += fit[name].low <= truth <= fit[name].high
    # three binomial standard errors of 300 runs
    assert hits / n_runs == pytest.approx([0.95, 0.95], abs=0.038)
