"""Bradley-Terry with ties, covariates and clusters: by hand, against the people wing, and the Arena's."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from accord.domain.errors import ConfigError, DataError, EvaluationError
from accord.evaluation.leaderboard.agreement import measure_agreement, read_leaderboard
from accord.evaluation.leaderboard.battles import make_battles
from accord.evaluation.leaderboard.ranking import RankingConfig, rank_models
from accord.evaluation.leaderboard.ranks import measure_ranks
from accord.evaluation.leaderboard.standing import POINTS, anchored
from accord.quality.preferences import (
    BradleyTerryConfig,
    TiesConfig,
    fit_bradley_terry,
    fit_ties,
    tabulate_pairs,
)

ARENA = Path(__file__).parents[3].parent / "shared" / "data" / "eval_arena_stats"
TRUTH = np.array([0.9, 0.5, 0.1, -0.1, -0.5, -0.9])


def draw_battles(generator, n_prompts=300, each=3, *, style=0.0, cluster_sd=0.0, truth=TRUTH):
    """Battles of random pairs; those of a prompt share a leaning, so that they are not independent."""
    n_rows = n_prompts * each
    prompt = np.repeat(np.arange(n_prompts), each)
    shift = generator.normal(0, 1, n_rows)
    if cluster_sd:
        # battles of one prompt are between the same two models, and lean the same way
        first, second = (side[prompt] for side in _pairs(generator, n_prompts, len(truth)))
        lean = generator.normal(0, cluster_sd, n_prompts)[prompt]
    else:
        first, second = _pairs(generator, n_rows, len(truth))
        lean = 0.0
    margin = truth[first] - truth[second] + style * shift + lean
    wins = generator.random(n_rows) < 1 / (1 + np.exp(-margin))
    names = np.array(list("abcdefgh"))
    outcome = np.where(wins, 0, 1)
    return names[first], names[second], outcome, prompt, shift


def _pairs(generator, count, n_models):
    first = generator.integers(0, n_models, count)
    return first, (first + generator.integers(1, n_models, count)) % n_models


def test_two_models_by_hand():
    # 30 to 10: log-odds ln 3; the difference has variance 1 / (n p q) = 1 / 7.5, times n / (n - 1)
    battles = make_battles(["a"] * 40, ["b"] * 40, [0] * 30 + [1] * 10)
    ranking = rank_models(battles)
    assert ranking.scores == pytest.approx([math.log(3) / 2, -math.log(3) / 2])
    assert ranking.errors == pytest.approx([math.sqrt(40 / 39 / 7.5) / 2] * 2, rel=1e-6)
    standing = anchored(ranking, measure_ranks(ranking), "b=1200")[0]
    assert (standing.model, standing.rating.n) == ("a", 40)
    assert standing.rating.value == pytest.approx(1200 + 400 * math.log10(3))


def test_ties_by_hand():
    # six won, two lost, four tied
    battles = make_battles(["a"] * 12, ["b"] * 12, [0] * 6 + [1] * 2 + [2] * 4)
    half = rank_models(battles)
    assert half.scores[0] - half.scores[1] == pytest.approx(math.log(8 / 4))
    davidson = rank_models(battles, RankingConfig(ties="davidson"))
    assert davidson.scores[0] - davidson.scores[1] == pytest.approx(math.log(3))
    assert davidson.tie == pytest.approx(4 / math.sqrt(12))
    # threshold: d - t = logit(1/2) = 0 and -d - t = logit(1/6) = -ln 5
    threshold = rank_models(battles, RankingConfig(ties="threshold"))
    assert threshold.scores[0] - threshold.scores[1] == pytest.approx(math.log(5) / 2)
    assert threshold.tie == pytest.approx(math.log(5) / 2)


def test_it_agrees_with_the_people_wing():
    generator = np.random.default_rng(0)
    left, right, outcome, _, _ = draw_battles(generator)
    outcome[::7] = 2
    battles = make_battles(left, right, outcome)
    pairs = tabulate_pairs(left.tolist(), right.tolist(), outcome)
    other = fit_bradley_terry(pairs, BradleyTerryConfig())
    ranking = rank_models(battles)
    assert ranking.models == other.items
    assert ranking.scores == pytest.approx(other.scores, abs=1e-8)
    # the people wing takes Student's t of its units, each battle one here, where this one takes the normal's
    reach = stats.t.ppf(0.975, len(pairs) - 1)
    assert ranking.scores - reach * ranking.errors == pytest.approx(other.low, abs=1e-7)
    for form in ("davidson", "threshold"):
        own = rank_models(battles, RankingConfig(ties=form))
        theirs = fit_ties(pairs, TiesConfig(form=form))
        assert own.scores == pytest.approx(theirs.scores.scores, abs=1e-4), form
        assert own.tie == pytest.approx(theirs.tie_parameter, rel=1e-4), form


def test_order_sides_and_weights_do_not_matter():
    generator = np.random.default_rng(1)
    left, right, outcome, prompt, shift = draw_battles(generator, 60)
    whole = rank_models(
        make_battles(
            left, right, outcome, clusters=prompt, covariates=shift[:, None], covariate_names=("length",)
        )
    )
    order = generator.permutation(len(left))
    turned = rank_models(
        make_battles(
            right[order],
            left[order],
            1 - outcome[order],
            clusters=prompt[order],
            covariates=-shift[order][:, None],
            covariate_names=("length",),
        )
    )
    assert turned.scores == pytest.approx(whole.scores, abs=1e-8)
    assert turned.covariance == pytest.approx(whole.covariance, abs=1e-8)
    cells = {}
    for row in zip(left, right, outcome, strict=True):
        cells[row] = cells.get(row, 0) + 1
    counted = make_battles(*zip(*cells, strict=True), weight=list(cells.values()))
    plain, short = rank_models(make_battles(left, right, outcome)), rank_models(counted)
    assert short.scores == pytest.approx(plain.scores, abs=1e-8)
    assert short.errors == pytest.approx(plain.errors, abs=1e-8)


def test_copies_in_one_cluster_tell_nothing_new():
    generator = np.random.default_rng(2)
    left, right, outcome, _, _ = draw_battles(generator, 100)
    rows = np.arange(len(left))
    once = rank_models(make_battles(left, right, outcome))
    copies = rank_models(
        make_battles(np.tile(left, 4), np.tile(right, 4), np.tile(outcome, 4), clusters=np.tile(rows, 4))
    )
    assert copies.scores == pytest.approx(once.scores, abs=1e-8)
    assert copies.errors == pytest.approx(once.errors, abs=1e-8)


def test_style_is_held_equal():
    # "a" writes longer answers and wins by them; at equal length both are as good
    generator = np.random.default_rng(3)
    shift = generator.normal(1.0, 1.0, 6000)
    wins = generator.random(6000) < 1 / (1 + np.exp(-0.8 * shift))
    sides = (["a"] * 6000, ["b"] * 6000, np.where(wins, 0, 1))
    raw = rank_models(make_battles(*sides))
    held = rank_models(make_battles(*sides, covariates=shift[:, None], covariate_names=("length",)))
    assert raw.scores[0] > 5 * raw.errors[0]
    assert abs(held.scores[0]) < 3 * held.errors[0]
    # in units of the root mean square of the differences
    truth = 0.8 * math.sqrt((shift**2).mean())
    assert abs(held.effects[0] - truth) < 3 * held.effect_errors[0]


def test_bootstrap_and_sandwich_agree():
    generator = np.random.default_rng(4)
    left, right, outcome, prompt, _ = draw_battles(generator, 300, cluster_sd=1.5)
    clustered = make_battles(left, right, outcome, clusters=prompt)
    sandwich = rank_models(clustered)
    bootstrap = rank_models(clustered, RankingConfig(intervals="bootstrap", resamples=400))
    assert bootstrap.errors == pytest.approx(sandwich.errors, rel=0.15)
    # three battles of a prompt lean the same way: intervals that ignore it are too short
    assert (sandwich.errors > 1.1 * rank_models(make_battles(left, right, outcome)).errors).all()


def test_intervals_cover():
    # 250 draws of 300 prompts with 3 battles that lean alike, six models. Marginal log-odds are those of a
    # large draw. 1,500 intervals, correlated within a draw: standard error of the share below .9 points.
    truth = rank_models(make_battles(*draw_battles(np.random.default_rng(5), 60_000, cluster_sd=1.0)[:3]))
    hits, ranks_hold, naive = [], [], []
    order = np.argsort(np.argsort(-truth.scores)) + 1
    for seed in range(250):
        left, right, outcome, prompt, _ = draw_battles(np.random.default_rng([6, seed]), cluster_sd=1.0)
        ranking = rank_models(make_battles(left, right, outcome, clusters=prompt))
        ranks = measure_ranks(ranking, seed=seed)
        hits.append((ranks.low <= truth.scores) & (truth.scores <= ranks.high))
        ranks_hold.append(((ranks.best <= order) & (order <= ranks.worst)).all())
        wrong = rank_models(make_battles(left, right, outcome))
        naive.append(np.abs(wrong.scores - truth.scores) <= 1.96 * wrong.errors)
    assert 0.93 <= np.mean(hits) <= 0.97
    assert np.mean(ranks_hold) >= 0.95
    assert np.mean(naive) < 0.93


def test_ranks_and_groups_of_what_cannot_be_told_apart():
    counts = {("a", "b"): (60, 60), ("a", "c"): (90, 10), ("b", "c"): (90, 10)}
    rows = [(*pair, won) for pair, wins in counts.items() for won in (0, 1) for _ in range(wins[won])]
    ranks = measure_ranks(rank_models(make_battles(*zip(*rows, strict=True))))
    assert ranks.group.tolist() == [1, 1, 2]
    assert (ranks.best.tolist(), ranks.worst.tolist()) == ([1, 1, 3], [2, 2, 3])
    assert ranks.first_probability[:2] == pytest.approx([0.5, 0.5], abs=0.03)
    # the largest of three correlated differences: between one normal and Bonferroni over three
    assert 1.96 < ranks.critical < 2.3940


def test_scores_that_do_not_exist_raise():
    with pytest.raises(EvaluationError, match=r"never won: b; never lost: a.*Set a ridge"):
        rank_models(make_battles(["a", "a"], ["b", "b"], [0, 0]))
    apart = make_battles(list("aabbccdd"), list("bbaaddcc"), [0, 1] * 4)
    with pytest.raises(EvaluationError, match="never met the others"):
        rank_models(apart)
    held = rank_models(make_battles(["a", "a"], ["b", "b"], [0, 0]), RankingConfig(ridge=0.5))
    assert held.scores[0] > 0
    with pytest.raises(EvaluationError, match="no battle is a tie"):
        rank_models(make_battles(["a", "a"], ["b", "b"], [0, 1]), RankingConfig(ties="davidson"))
    rare = make_battles(["a"] * 40, ["b"] * 40, [0] * 39 + [1])
    with pytest.raises(EvaluationError, match="bootstrap samples have no finite scores"):
        rank_models(rare, RankingConfig(intervals="bootstrap"))
    with pytest.raises(DataError, match="meets itself"):
        make_battles(["a", "a"], ["b", "a"], [0, 1])
    with pytest.raises(ConfigError, match="4 problems"):
        RankingConfig(ties="x", intervals="y", ridge=-1, resamples=1)


@pytest.mark.data
@pytest.mark.skipif(not ARENA.is_dir(), reason="the data does not lie beside the checkout")
@pytest.mark.parametrize("intervals", ["sandwich", "bootstrap"])
def test_the_arena_of_march_2024(intervals):
    matrices = []
    for name in ("win_fraction", "battle_count"):
        with (ARENA / f"arena_top25_{name}_20240329.csv").open(encoding="utf-8") as file:
            names, *rows = csv.reader(file)
        matrices.append([[float(cell or 0) for cell in row[1:]] for row in rows])
    share, count = map(np.array, matrices)
    rows = [
        (one, two, won, count[i, j] * (share[i, j] if won == 0 else share[j, i]))
        for i, one in enumerate(names[1:])
        for j, two in enumerate(names[1:])
        if i < j and count[i, j]
        for won in (0, 1)
    ]
    *sides, weight = zip(*(row for row in rows if row[3] > 0), strict=True)
    battles = make_battles(*sides, weight=weight)
    assert battles.n == pytest.approx(154_279, abs=1)
    ranking = rank_models(battles, RankingConfig(intervals=intervals))
    scores = {one.model: one.rating for one in anchored(ranking, measure_ranks(ranking))}
    published = read_leaderboard(ARENA / "arena_elo_20240329.csv")
    found = measure_agreement(scores, published)
    assert found.models == 25
    assert found.pearson == pytest.approx(0.994, abs=5e-4)
    assert found.spearman == pytest.approx(0.995, abs=5e-4)
    ends = np.array([[scores[name].value, published[name].value] for name in scores])
    assert np.abs(np.diff(ends - ends.mean(axis=0))).mean() == pytest.approx(20, abs=1)
    # the published intervals are of 100 bootstraps with every model; ours are of the same battles' spread
    widths = [scores[name].high - scores[name].low for name in scores]
    assert 8 < np.median(widths) < 16
    assert pytest.approx(173.72, abs=0.01) == POINTS
