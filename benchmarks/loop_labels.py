"""What labels and what choice of questions are worth to a reward model, in worlds whose truth is known.

Prints one JSON line. Answers are feature vectors with a known taste; the reward model is linear. Parts:

    labels     majority labels, calibrated soft labels and annotator-aware training from the same votes of ten
               annotators of whom two are bad (a spammer and a careless one) and one leans left
    selection  labels until the accuracy is reached that random questions reach with all of them, for each
               strategy of the loop, with an ensemble as the loop's
    people     the first part on real judgments (llmfao), held out by pair; skipped without --data

    python benchmarks/loop_labels.py --worlds 40 --data ../shared/data
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit

from accord.domain import Choice, Comparison, Completion, Judgment, Prompt, Source
from accord.pipeline.rounds.choosing import BY_NAME, Pool
from accord.quality import preferences_from_judgments
from accord.quality.deciding.inclusion import draw_questions

FloatArray = NDArray[np.float64]
RIDGE = 1.0
QUALITIES = 16
ANNOTATORS = 10
GAINS = np.array([3.0, 2.5, 2.5, 2.0, 2.0, 2.0, 1.5, 1.5, 0.6, 0.0])
"""Log-odds a unit of taste; the ninth is careless, the tenth answers without reading."""
LEANS = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.2, 0.0, 0.0, 0.0, 0.5])
"""Log-odds added to the left side."""


@dataclass(frozen=True)
class Votes:
    """[vote] Which pair, who, whether the first answer stood left, whether the first was chosen."""

    pair: NDArray[np.intp]
    annotator: NDArray[np.intp]
    is_left: NDArray[np.bool_]
    is_first: NDArray[np.bool_]


def fit_linear(features: FloatArray, p_first: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Ridge logistic regression on soft labels; [feature] weights."""
    shares = np.ones(len(features)) if weights is None else weights

    def loss(taste: FloatArray) -> tuple[float, FloatArray]:
        margin = features @ taste
        value = -(shares * (p_first * log_expit(margin) + (1 - p_first) * log_expit(-margin))).sum()
        slope = features.T @ (shares * (expit(margin) - p_first))
        return float(value + RIDGE / 2 * taste @ taste), slope + RIDGE * taste

    return np.asarray(minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B").x)


def fit_aware(features: FloatArray, votes: Votes, n_annotators: int) -> tuple[FloatArray, FloatArray]:
    """Taste with each annotator's gain and lean beside it, all by maximum a posteriori; taste and gains."""
    size = features.shape[1]
    side = np.where(votes.is_left, 1.0, -1.0)
    sign = np.where(votes.is_first, 1.0, -1.0)
    seen = features[votes.pair]

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        taste, gain, lean = np.split(values, [size, size + n_annotators])
        margin = seen @ taste
        log_odds = gain[votes.annotator] * margin + lean[votes.annotator] * side
        pull = -sign * expit(-sign * log_odds)
        value = -log_expit(sign * log_odds).sum() + RIDGE / 2 * taste @ taste
        value += ((gain - 1) ** 2).sum() + 2 * (lean**2).sum()
        slope = np.concatenate(
            [
                seen.T @ (pull * gain[votes.annotator]) + RIDGE * taste,
                np.bincount(votes.annotator, pull * margin, n_annotators) + 2 * (gain - 1),
                np.bincount(votes.annotator, pull * side, n_annotators) + 4 * lean,
            ]
        )
        return float(value), slope

    start = np.concatenate([np.zeros(size), np.ones(n_annotators), np.zeros(n_annotators)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found[:size], found[size : size + n_annotators]


def draw_votes(margins: FloatArray, each: int, generator: np.random.Generator) -> Votes:
    """`each` annotators a pair, drawn without repeats, each with his own gain and lean."""
    people = np.array([generator.permutation(ANNOTATORS)[:each] for _ in margins]).ravel()
    pair = np.repeat(np.arange(len(margins)), each)
    is_left = generator.random(len(pair)) < 0.5
    log_odds = GAINS[people] * margins[pair] + LEANS[people] * np.where(is_left, 1.0, -1.0)
    return Votes(pair, people, is_left, generator.random(len(pair)) < expit(log_odds))


def as_judgments(votes: Votes) -> list[Judgment]:
    """Votes as the records the quality engine reads; the answers are named so that `a` is the first."""
    made = []
    for pair, who, is_left, is_first in zip(
        votes.pair, votes.annotator, votes.is_left, votes.is_first, strict=True
    ):
        prompt = Prompt.from_text(f"pair {pair}")
        sides = ("a", "b") if is_left else ("b", "a")
        choice = Choice.LEFT if is_first == is_left else Choice.RIGHT
        made.append(
            Judgment(
                comparison=Comparison(prompt=prompt, left=sides[0], right=sides[1]),
                annotator_id=f"w{who:02d}",
                choice=choice,
                source=Source.SIMULATED,
            )
        )
    return made


def soft_labels(votes: Votes, n_pairs: int, method: str) -> FloatArray:
    """[pair] Probability that the first answer is better, by the engine's consensus; 1/2 where not asked."""
    found = preferences_from_judgments(as_judgments(votes), method=method, repeats="first")  # type: ignore[arg-type]
    shares = np.full(n_pairs, 0.5)
    for one in found.preferences:
        shares[int(one.prompt.text.split()[1])] = one.p_chosen if one.chosen == "a" else 1 - one.p_chosen
    return shares


def compare_labels(worlds: int, pairs: int, each: int) -> dict[str, Any]:
    """Accuracy against the truth of reward models that learned from the same votes in three ways."""
    accuracy: dict[str, list[float]] = {"majority": [], "soft": [], "annotator_aware": []}
    ranks = []
    for seed in range(worlds):
        generator = np.random.default_rng([seed, 1])
        taste = generator.normal(size=QUALITIES) / np.sqrt(QUALITIES)
        features = generator.normal(size=(pairs, QUALITIES)) * np.sqrt(2)
        held_out = generator.normal(size=(4000, QUALITIES))
        votes = draw_votes(features @ taste, each, generator)
        aware, gains = fit_aware(features, votes, ANNOTATORS)
        learned = {
            "majority": fit_linear(features, soft_labels(votes, pairs, "majority")),
            "soft": fit_linear(features, soft_labels(votes, pairs, "dawid_skene")),
            "annotator_aware": aware,
        }
        for name, found in learned.items():
            accuracy[name].append(float((np.sign(held_out @ found) == np.sign(held_out @ taste)).mean()))
        ranks.append(float(stats.spearmanr(gains, GAINS).statistic))
    skills = [recover_skills(worlds, pairs, each, rounds) for rounds in (1, 2, 3)]
    rows = {name: world_mean(values) for name, values in accuracy.items()}
    gaps = {
        f"{better} - {worse}": world_mean(np.subtract(accuracy[better], accuracy[worse]))
        for better, worse in (
            ("soft", "majority"),
            ("annotator_aware", "soft"),
            ("annotator_aware", "majority"),
        )
    }
    return {
        "accuracy": rows,
        "paired": gaps,
        "rank_correlation_of_gains": world_mean(ranks),
        "skills_by_rounds": skills,
    }


def recover_skills(worlds: int, pairs: int, each: int, rounds: int) -> dict[str, Any]:
    """Rank correlation of found with true gains after so many rounds of `pairs` pairs, all fitted together.

    Beside it that of gains fitted to the true taste, which no fit can know better. Some true gains are equal:
    the best an estimate without ties can reach is below 1.
    """
    found, known = [], []
    for seed in range(worlds):
        generator = np.random.default_rng([seed, 4])
        taste = generator.normal(size=QUALITIES) / np.sqrt(QUALITIES)
        features = generator.normal(size=(pairs * rounds, QUALITIES)) * np.sqrt(2)
        votes = draw_votes(features @ taste, each, generator)
        gains = fit_aware(features, votes, ANNOTATORS)[1]
        true = fit_aware((features @ taste)[:, None] * 10, votes, ANNOTATORS)[1]
        found.append(float(stats.spearmanr(gains, GAINS).statistic))
        known.append(float(stats.spearmanr(true, GAINS).statistic))
    best = stats.spearmanr(np.arange(ANNOTATORS)[::-1], GAINS).statistic
    return {
        "votes_each": pairs * rounds * each // ANNOTATORS,
        "rank": world_mean(found),
        "rank_with_taste_known": world_mean(known),
        "best_possible": round(float(best), 4),
    }


def compare_strategies(worlds: int, budget: int, batch: int, members: int) -> dict[str, Any]:
    """Labels until random's final accuracy, as a share of all, for each strategy; and accuracy at the end."""
    names = ("random", "disagreement", "information", "margin")
    ends: dict[str, list[float]] = {name: [] for name in names}
    shares: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(worlds):
        curves = {name: _learn(name, seed, budget, batch, members) for name in names}
        goal = curves["random"][-1]
        for name, curve in curves.items():
            ends[name].append(curve[-1])
            reached = next((i for i, value in enumerate(curve) if value >= goal), len(curve))
            shares[name].append((reached + 1) * batch / budget)
    return {
        "accuracy_at_the_end": {name: world_mean(values) for name, values in ends.items()},
        "labels_for_randoms_accuracy": {name: world_mean(values) for name, values in shares.items()},
        "gain_over_random": {name: world_mean(np.subtract(ends[name], ends["random"])) for name in names[1:]},
    }


def _learn(name: str, seed: int, budget: int, batch: int, members: int) -> list[float]:
    """Accuracy after each batch of questions by one strategy, a fifth of them at random."""
    generator = np.random.default_rng([seed, 2])
    taste = generator.normal(size=QUALITIES) / np.sqrt(QUALITIES)
    # Answers differ much in some pairs and little in most, as samples of one policy do.
    spread = generator.gamma(1.0, 1.0, size=(budget * 6, 1))
    pool = generator.normal(size=(budget * 6, QUALITIES)) * spread
    held_out = generator.normal(size=(4000, QUALITIES))
    truth = np.sign(held_out @ taste)
    draws = np.random.default_rng([seed, 3, sum(map(ord, name))])
    chosen = draws.choice(len(pool), size=batch, replace=False)
    p_first = expit(2.0 * (pool @ taste))
    answers = (generator.random(len(pool)) < p_first).astype(float)  # the same answer whoever asks
    curve = []
    while True:
        rows, labels = pool[chosen], answers[chosen]
        curve.append(float((np.sign(held_out @ fit_linear(rows, labels)) == truth).mean()))
        if len(chosen) >= budget:
            return curve
        left = np.setdiff1d(np.arange(len(pool)), chosen)
        boots = [draws.integers(0, len(rows), len(rows)) for _ in range(members)]
        margins = np.stack([pool[left] @ fit_linear(rows[take], labels[take]) for take in boots])
        empty = Prompt.from_text("x")
        answer = Completion(text="x")
        scores = BY_NAME[name].score(
            Pool(prompts=[empty] * len(left), pairs=[(answer, answer)] * len(left), margins=margins)
        )
        drawn = draw_questions(scores, batch, random_share=1.0 if name == "random" else 0.2, generator=draws)
        chosen = np.concatenate([chosen, left[drawn.chosen]])[:budget]


def compare_on_people(data: Path, folds: int) -> dict[str, Any]:
    """llmfao, held out by pair: scores of models learned in three ways, judged by single held-out votes."""
    with gzip.open(data / "pref_llmfao" / "comparisons.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["winner"] in ("left", "right")]
    models = sorted({name for row in rows for name in (row["left"], row["right"])})
    people = sorted({row["worker"] for row in rows})
    ids = sorted({row["pair"] for row in rows})
    place = {name: i for i, name in enumerate(models)}
    fold_of = {pair: i % folds for i, pair in enumerate(np.random.default_rng(0).permutation(ids).tolist())}
    losses: dict[str, list[FloatArray]] = {"majority": [], "soft": [], "annotator_aware": []}
    rights: dict[str, list[FloatArray]] = {name: [] for name in losses}
    clusters: list[int] = []
    for fold in range(folds):
        train = [row for row in rows if fold_of[row["pair"]] != fold]
        test = [row for row in rows if fold_of[row["pair"]] == fold]
        learned = _learn_people(train, place, people)
        seen = np.array([_difference(row, place) for row in test])
        is_left = np.array([row["winner"] == "left" for row in test], dtype=float)
        for name, scores in learned.items():
            margin = seen @ scores
            losses[name].append(-(is_left * log_expit(margin) + (1 - is_left) * log_expit(-margin)))
            rights[name].append((np.sign(margin) == np.where(is_left > 0, 1, -1)).astype(float))
        clusters += [row["pair"] for row in test]
    told = {name: np.concatenate(values) for name, values in losses.items()}
    means = {name: clustered_mean(values, clusters) for name, values in told.items()}
    gaps = {
        f"{better} - {worse}": clustered_mean(told[better] - told[worse], clusters)
        for better, worse in (("soft", "majority"), ("annotator_aware", "soft"))
    }
    accuracy = {name: clustered_mean(np.concatenate(values), clusters) for name, values in rights.items()}
    return {
        "votes": len(clusters),
        "held_out_nll": means,
        "held_out_accuracy": accuracy,
        "paired": gaps,
    }


def _learn_people(
    train: Sequence[dict[str, Any]], place: dict[str, int], people: Sequence[str]
) -> dict[str, FloatArray]:
    pairs = sorted({row["pair"] for row in train})
    number = {pair: i for i, pair in enumerate(pairs)}
    features = np.zeros((len(pairs), len(place)))
    for row in train:
        features[number[row["pair"]]] = _difference(row, place)
    who = {name: i for i, name in enumerate(people)}
    # A pair always stands the same way round in this set: the first answer is the left one.
    votes = Votes(
        pair=np.array([number[row["pair"]] for row in train]),
        annotator=np.array([who[row["worker"]] for row in train]),
        is_left=np.ones(len(train), dtype=np.bool_),
        is_first=np.array([row["winner"] == "left" for row in train]),
    )
    aware, _ = fit_aware(features, votes, len(people))
    learned = {
        "majority": fit_linear(features, soft_labels(votes, len(pairs), "majority")),
        "soft": fit_linear(features, soft_labels(votes, len(pairs), "dawid_skene")),
        "annotator_aware": aware,
    }
    # Labels differ in how sure they are: votes are predicted at the scale that fits the training votes.
    seen = features[votes.pair]
    return {name: scores * fitting_scale(seen @ scores, votes.is_first) for name, scores in learned.items()}


def fitting_scale(margins: FloatArray, is_first: NDArray[np.bool_]) -> float:
    sign = np.where(is_first, 1.0, -1.0)
    found = minimize_scalar(
        lambda scale: -log_expit(sign * scale * margins).sum(), bounds=(0.01, 10), method="bounded"
    )
    return float(found.x)


def _difference(row: dict[str, Any], place: dict[str, int]) -> FloatArray:
    made = np.zeros(len(place))
    made[place[row["left"]]], made[place[row["right"]]] = 1.0, -1.0
    return made


def clustered_mean(values: FloatArray, clusters: Sequence[int]) -> list[float]:
    """Mean with a 95 % interval over clusters."""
    _, index = np.unique(clusters, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    mean = values.mean()
    residual = sums - mean * counts
    error = np.sqrt(len(sums) / (len(sums) - 1) * (residual**2).sum()) / counts.sum()
    return [round(float(one), 4) for one in (mean, mean - 1.96 * error, mean + 1.96 * error)]


def world_mean(values: Sequence[float] | FloatArray) -> list[float]:
    """Mean with a 95 % interval over worlds."""
    row = np.asarray(values, dtype=float)
    reach = stats.t.ppf(0.975, len(row) - 1) * row.std(ddof=1) / np.sqrt(len(row))
    return [round(float(one), 4) for one in (row.mean(), row.mean() - reach, row.mean() + reach)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=250)
    parser.add_argument("--votes", type=int, default=3)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", choices=("labels", "selection", "people"), help="One part alone.")
    given = parser.parse_args()
    body: dict[str, Any] = {"worlds": given.worlds}
    if given.only in (None, "labels"):
        body["labels"] = compare_labels(given.worlds, given.pairs, given.votes)
    if given.only in (None, "selection"):
        body["selection"] = compare_strategies(given.worlds, given.budget, given.batch, given.members)
    if given.only in (None, "people") and given.data is not None:
        body["people"] = compare_on_people(given.data, folds=5)
    print(json.dumps(body))


if __name__ == "__main__":
    main()
