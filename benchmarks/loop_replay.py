"""What labels and what choice of questions are worth on real people's judgments, by replay.

Prints one JSON line. The reward model is a logistic head on differences of two answers, in the 48 directions
in which answers vary most, read by one of

    words      hashed words and pairs of words, with length, overlap with the prompt and form beside them
    smollm2    the state of SmolLM2-135M at the end of each answer: the loop's reward model, its head alone

Two sets: pref_llmfao (124 annotators, 13 prompts) and pref_pandalm (3 annotators, 999 pairs; its authors
removed pairs of large disagreement). For each:

    labels     single held-out votes as predicted from majority labels, calibrated soft labels, and
               annotator-aware training of the same votes; folds by pair, intervals over pairs
    selection  a fifth of the pairs held out, the others a pool in which each question reveals one vote that
               somebody gave; labels until random's final accuracy on the held-out majority, for each strategy
               of the loop; intervals over draws of split and votes, not over other people

    python benchmarks/loop_replay.py --data ../shared/data --draws 60
    python benchmarks/loop_replay.py --data ../shared/data --draws 60 --reader smollm2 --cache states.npz
"""

import argparse
import gzip
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from accord.domain import Completion, Prompt
from accord.pipeline.rounds.choosing import BY_NAME, Pool
from accord.quality.deciding.inclusion import draw_questions
from loop_labels import (
    FloatArray,
    Votes,
    clustered_mean,
    fit_aware,
    fit_linear,
    fitting_scale,
    soft_labels,
    world_mean,
)

DIRECTIONS = 48
MAX_TOKENS = 320
BUCKETS = 2048
WORD = re.compile(r"\w+")
STRATEGIES = ("random", "disagreement", "information", "margin")


@dataclass(frozen=True)
class Judged:
    """One set: answers in pairs, and who chose which."""

    name: str
    answers: tuple[tuple[str, str], ...]
    """[answer] prompt and text."""
    pairs: NDArray[np.intp]
    """[pair, 2] places of the two answers."""
    votes: Votes
    """Decided votes; the first answer always stood left."""
    people: int


def read_llmfao(data: Path) -> Judged:
    """Pairs with texts and each worker's decided votes."""
    texts = {row["pair"]: row for row in _rows(data / "pref_llmfao" / "pairs.jsonl.gz")}
    rows = [row for row in _rows(data / "pref_llmfao" / "comparisons.jsonl.gz") if row["winner"] != "tie"]
    rows = [row for row in rows if row["pair"] in texts]
    pairs = [(texts[key]["text"], texts[key]["left"], texts[key]["right"]) for key in texts]
    number = {key: i for i, key in enumerate(texts)}
    given = [(number[row["pair"]], str(row["worker"]), row["winner"] == "left") for row in rows]
    return _judged("pref_llmfao", pairs, given)


def read_pandalm(data: Path) -> Judged:
    """Pairs with texts and the decided votes of the three annotators."""
    pairs, given = [], []
    for i, row in enumerate(_rows(data / "pref_pandalm" / "pairs.jsonl.gz")):
        prompt = f"{row['instruction']}\n\n{row['input']}".strip()
        pairs.append((prompt, str(row["response1"]) or " ", str(row["response2"]) or " "))
        given += [
            (i, name, row[name] == 1)
            for name in ("annotator1", "annotator2", "annotator3")
            if row[name] in (1, 2)
        ]
    return _judged("pref_pandalm", pairs, given)


def _judged(
    name: str, pairs: Sequence[tuple[str, str, str]], given: Sequence[tuple[int, str, bool]]
) -> Judged:
    answers: dict[tuple[str, str], int] = {}
    places = [
        [answers.setdefault((prompt, text), len(answers)) for text in (left, right)]
        for prompt, left, right in pairs
    ]
    people = sorted({who for _, who, _ in given})
    votes = Votes(
        pair=np.array([pair for pair, _, _ in given]),
        annotator=np.array([people.index(who) for _, who, _ in given]),
        is_left=np.ones(len(given), dtype=np.bool_),
        is_first=np.array([is_first for _, _, is_first in given]),
    )
    return Judged(name, tuple(answers), np.array(places), votes, len(people))


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def words_of(answers: Sequence[tuple[str, str]]) -> FloatArray:
    """[answer, width] Hashed words and pairs of words, rarer ones heavier, and what is plain of form."""
    counts = np.zeros((len(answers), BUCKETS))
    plain = []
    for i, (prompt, text) in enumerate(answers):
        words = WORD.findall(text.lower())
        for word in [*words, *map(" ".join, pairwise(words))]:
            counts[i, zlib.crc32(word.encode()) % BUCKETS] += 1
        asked = set(WORD.findall(prompt.lower()))
        plain.append(
            [
                np.log1p(len(words)),
                np.log1p(len(text)),
                np.mean([word in asked for word in words] or [0.0]),
                len(set(words)) / max(len(words), 1),
                np.log1p(text.count("\n")),
                float("```" in text),
                float(text.rstrip().endswith((".", "!", "?"))),
                float(text.strip() == ""),
            ]
        )
    rare = np.log((1 + len(answers)) / (1 + (counts > 0).sum(0)))
    heavy = np.log1p(counts) * rare
    heavy /= np.maximum(np.linalg.norm(heavy, axis=1, keepdims=True), 1e-9)
    form = np.array(plain)
    return np.hstack([heavy, (form - form.mean(0)) / np.maximum(form.std(0), 1e-9) / np.sqrt(len(form[0]))])


def states_of(answers: Sequence[tuple[str, str]]) -> FloatArray:
    """[answer, width] State at the end of each answer, where a reward model's head reads."""
    import torch

    from accord.models import load_model, reward_model_from
    from accord.models.ragged import hidden_states, prompt_completion_batch

    model = reward_model_from(load_model("smollm2"), trainable_layers=0).eval()
    groups: dict[str, list[int]] = defaultdict(list)
    for i, (prompt, _) in enumerate(answers):
        groups[prompt].append(i)
    found = np.zeros((len(answers), model.head.in_features))
    for prompt, members in groups.items():
        for start in range(0, len(members), 8):
            part = members[start : start + 8]
            rows = [
                model.tokenizer.example(Prompt.from_text(prompt), answers[i][1], max_tokens=MAX_TOKENS)
                for i in part
            ]
            for k, row in enumerate(rows):
                packed = prompt_completion_batch([(row.prompt_ids, [row.completion_ids])])
                with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                    states = hidden_states(model.body, packed.ragged)[packed.last_index]
                found[part[k]] = states.float().numpy()[0]
    return found


def features_of(judged: Judged, states: FloatArray) -> FloatArray:
    """[pair, direction] Difference of two answers, in the directions in which answers vary most."""
    centered = states - states.mean(0)
    _, sizes, axes = np.linalg.svd(centered, full_matrices=False)
    placed = centered @ axes[:DIRECTIONS].T / (sizes[:DIRECTIONS] / np.sqrt(len(states)))
    return np.asarray(placed[judged.pairs[:, 0]] - placed[judged.pairs[:, 1]]) / np.sqrt(DIRECTIONS)


def compare_labels(judged: Judged, features: FloatArray, folds: int) -> dict[str, Any]:
    """Held-out votes as predicted by reward models that learned from the same votes in three ways."""
    asked = np.unique(judged.votes.pair)
    fold_of = np.full(len(features), -1)
    fold_of[np.random.default_rng(0).permutation(asked)] = np.arange(len(asked)) % folds
    losses: dict[str, list[FloatArray]] = {"majority": [], "soft": [], "annotator_aware": []}
    rights: dict[str, list[FloatArray]] = {name: [] for name in losses}
    clusters: list[int] = []
    for fold in range(folds):
        is_test = fold_of[judged.votes.pair] == fold
        train, number = _renumbered(judged.votes, ~is_test)
        seen = features[number]
        aware, _ = fit_aware(seen, train, judged.people)
        learned = {
            "majority": fit_linear(seen, soft_labels(train, len(seen), "majority")),
            "soft": fit_linear(seen, soft_labels(train, len(seen), "dawid_skene")),
            "annotator_aware": aware,
        }
        pair, sign = judged.votes.pair[is_test], np.where(judged.votes.is_first[is_test], 1.0, -1.0)
        for name, head in learned.items():
            margin = features[pair] @ head * fitting_scale(seen[train.pair] @ head, train.is_first)
            losses[name].append(-log_expit(sign * margin))
            rights[name].append((np.sign(margin) == sign).astype(float))
        clusters += pair.tolist()
    told = {name: np.concatenate(values) for name, values in losses.items()}
    right = {name: np.concatenate(values) for name, values in rights.items()}
    gaps = (("soft", "majority"), ("annotator_aware", "soft"), ("annotator_aware", "majority"))
    return {
        "votes": len(clusters),
        "held_out_nll": {name: clustered_mean(values, clusters) for name, values in told.items()},
        "held_out_accuracy": {name: clustered_mean(values, clusters) for name, values in right.items()},
        "paired_nll": {f"{a} - {b}": clustered_mean(told[a] - told[b], clusters) for a, b in gaps},
        "paired_accuracy": {f"{a} - {b}": clustered_mean(right[a] - right[b], clusters) for a, b in gaps},
    }


def _renumbered(votes: Votes, is_kept: NDArray[np.bool_]) -> tuple[Votes, NDArray[np.intp]]:
    """Some of the votes, with their pairs numbered anew; the old number of each."""
    number, place = np.unique(votes.pair[is_kept], return_inverse=True)
    return (
        Votes(place, votes.annotator[is_kept], votes.is_left[is_kept], votes.is_first[is_kept]),
        number,
    )


def compare_strategies(
    judged: Judged, features: FloatArray, draws: int, budget: int, batch: int, members: int
) -> dict[str, Any]:
    """Labels until random's final accuracy, as a share of all, for each strategy; and accuracy at the end."""
    ends: dict[str, list[float]] = {name: [] for name in STRATEGIES}
    areas: dict[str, list[float]] = {name: [] for name in STRATEGIES}
    curves: dict[str, list[list[float]]] = {name: [] for name in STRATEGIES}
    for seed in range(draws):
        for name in STRATEGIES:
            curve = _learn(judged, features, name, seed, budget, batch, members)
            curves[name].append(curve)
            ends[name].append(curve[-1])
            areas[name].append(float(np.mean(curve)))
    return {
        "budget": budget,
        "accuracy_at_the_end": {name: world_mean(values) for name, values in ends.items()},
        "gain_over_random": {
            name: world_mean(np.subtract(ends[name], ends["random"])) for name in STRATEGIES[1:]
        },
        "gain_over_random_along_the_way": {
            name: world_mean(np.subtract(areas[name], areas["random"])) for name in STRATEGIES[1:]
        },
        "labels_for_randoms_accuracy": {
            name: labels_for(np.array(curves[name]), np.array(curves["random"]), batch, budget)
            for name in STRATEGIES
        },
    }


def labels_for(own: FloatArray, random: FloatArray, batch: int, budget: int) -> list[float | None]:
    """Share of the labels at which the mean curve reaches random's last mean; interval by draws.

    One draw's curve is noise; means over draws are crossed, and draws resampled 1,000 times. None where it is
    not reached within the budget.
    """
    generator = np.random.default_rng(0)
    takes = [np.arange(len(own)), *(generator.integers(0, len(own), len(own)) for _ in range(1000))]
    shares = [_crossing(own[take].mean(0), random[take].mean(0)[-1], batch, budget) for take in takes]
    low, high = np.nanpercentile(np.array(shares[1:]), [2.5, 97.5], method="nearest")
    return [None if not np.isfinite(one) else round(float(one), 3) for one in (shares[0], low, high)]


def _crossing(curve: FloatArray, goal: float, batch: int, budget: int) -> float:
    """Labels, as a share of the budget, at which a curve first reaches the goal, between batches in line."""
    reached = np.flatnonzero(curve >= goal)
    if not len(reached):
        return np.inf
    i = int(reached[0])
    if i == 0:
        return batch / budget
    part = (goal - curve[i - 1]) / (curve[i] - curve[i - 1])
    return min(budget, (i + part) * batch) / budget


def _learn(
    judged: Judged, features: FloatArray, name: str, seed: int, budget: int, batch: int, members: int
) -> list[float]:
    """Held-out accuracy after each batch of questions by one strategy, a fifth of them at random."""
    held_out, pool, answer, majority = split_pairs(judged, seed)
    draws = np.random.default_rng([seed, 2, sum(map(ord, name))])
    chosen = draws.choice(pool, size=batch, replace=False)
    curve = []
    while True:
        rows, labels = features[chosen], answer[chosen]
        told = np.sign(features[held_out] @ fit_linear(rows, labels))
        curve.append(float((told == majority[held_out]).mean()))
        if len(chosen) >= budget:
            return curve
        left = np.setdiff1d(pool, chosen)
        boots = [draws.integers(0, len(rows), len(rows)) for _ in range(members)]
        margins = np.stack([features[left] @ fit_linear(rows[take], labels[take]) for take in boots])
        empty, text = Prompt.from_text("x"), Completion(text="x")
        scores = BY_NAME[name].score(
            Pool(prompts=[empty] * len(left), pairs=[(text, text)] * len(left), margins=margins)
        )
        share = 1.0 if name == "random" else 0.2
        drawn = draw_questions(scores, min(batch, len(left)), random_share=share, generator=draws)
        chosen = np.concatenate([chosen, left[drawn.chosen]])[:budget]


def split_pairs(
    judged: Judged, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray, FloatArray]:
    """Held-out pairs and the pool; the vote each pair would reveal [pair], and its majority's sign [pair].

    Of held-out pairs those without a majority are left out.
    """
    split = np.random.default_rng([seed, 1])
    order = split.permutation(np.unique(judged.votes.pair))
    held_out, pool = order[: len(order) // 5], order[len(order) // 5 :]
    # The same vote whoever asks: one of those that were given, by a draw for the pair.
    ranked = split.permutation(len(judged.votes.pair))
    answer = np.full(len(judged.pairs), np.nan)
    answer[judged.votes.pair[ranked]] = judged.votes.is_first[ranked]
    firsts = np.bincount(judged.votes.pair, judged.votes.is_first, len(judged.pairs))
    majority = np.sign(2 * firsts - np.bincount(judged.votes.pair, minlength=len(judged.pairs)))
    return held_out[majority[held_out] != 0], pool, answer, majority


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reader", choices=("words", "smollm2"), default="words")
    parser.add_argument("--cache", type=Path, help="file that keeps the states of smollm2")
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--members", type=int, default=5)
    given = parser.parse_args()
    sets = [read_llmfao(given.data), read_pandalm(given.data)]
    kept = dict(np.load(given.cache)) if given.cache and given.cache.exists() else {}
    for judged in sets:
        if given.reader == "words":
            kept[judged.name] = words_of(judged.answers)
        elif judged.name not in kept:
            kept[judged.name] = states_of(judged.answers)
            if given.cache:
                np.savez(given.cache, **kept)
    body: dict[str, Any] = {"draws": given.draws, "reader": given.reader, "directions": DIRECTIONS}
    for judged in sets:
        features = features_of(judged, kept[judged.name])
        asked = len(np.unique(judged.votes.pair))
        batch = asked // 2 // given.batches
        body[judged.name] = {
            "pairs": asked,
            "annotators": judged.people,
            "labels": compare_labels(judged, features, folds=5),
            "selection": compare_strategies(
                judged, features, given.draws, batch * given.batches, batch, given.members
            ),
        }
    print(json.dumps(body))


if __name__ == "__main__":
    main()
