"""How often 95 % intervals hold the truth, from win rates and leaderboards to suites, by simulation.

    python benchmarks/coverage.py --draws 1000
    python benchmarks/coverage.py --draws 2000 --only reward_accuracy divergence

Reward models, optimization, KL, drift and texts have their scenarios in `coverage_rewards.py`, numbers that
join others in `coverage_joined.py`.

Prints one JSON line: for each scenario the share of draws whose interval holds the true value, its Monte
Carlo standard error, and the same for an interval that ignores clusters, which is the control.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, ndtr

from accord.evaluation.clusters import Clusters
from accord.evaluation.intervals import mean_estimate, share_estimate, wilson
from accord.evaluation.judged_pairs import JudgedPair, measure_judged_pairs
from accord.evaluation.judges.label_errors import LabelErrors, correct_difference, correct_share
from accord.evaluation.judges.validation import validate_judge
from accord.evaluation.leaderboard.battles import make_battles
from accord.evaluation.leaderboard.ranking import RankingConfig, rank_models
from accord.evaluation.leaderboard.ranks import measure_ranks
from accord.evaluation.paired import paired_share_interval
from accord.evaluation.prediction_powered import prediction_powered_mean
from accord.evaluation.reward_frontier import Form, fit_frontier
from accord.evaluation.reward_groups import measure_groups
from accord.evaluation.simultaneous import bootstrap_matrix, simultaneous_intervals
from accord.evaluation.suites.bbq import BBQ
from accord.evaluation.suites.bold import BOLD
from accord.evaluation.suites.ifeval import IFEval
from accord.evaluation.suites.model_written import ModelWritten
from accord.evaluation.suites.pronouns import Winogenerated
from accord.evaluation.suites.safety import XSTest
from accord.evaluation.suites.suite import SuiteRun
from accord.evaluation.suites.truthfulqa import TruthfulQA
from coverage_joined import JOINED
from coverage_rewards import SCENARIOS, Held, holds

STRENGTHS = np.array([0.9, 0.5, 0.1, -0.1, -0.5, -0.9])
PROMPTS = 300
BATTLES = 3


def win_rate_of_single_votes(generator: np.random.Generator, seed: int) -> Held:
    """805 prompts with one vote each, no ties: Wilson."""
    wins = generator.random(805) < 0.53
    return [holds(share_estimate(wins.astype(float), seed=seed), 0.53)], []


def win_rate_with_ties(generator: np.random.Generator, seed: int) -> Held:
    """200 prompts, four annotators each who share the prompt's leaning, a tie in four: BCa by prompt."""
    chance = generator.beta(2.0, 1.5, 200)[:, None]
    ties = generator.random((200, 4)) < 0.25
    votes = np.where(ties, 0.5, generator.random((200, 4)) < chance).ravel()
    truth = 0.25 * 0.5 + 0.75 * 2.0 / 3.5
    prompts = np.repeat(np.arange(200), 4).tolist()
    return [holds(share_estimate(votes, prompts, seed=seed), truth)], [
        holds(share_estimate(votes, seed=seed), truth)
    ]


def win_rate_of_both_orders(generator: np.random.Generator, seed: int) -> Held:
    """150 prompts, two judges in both orders who like the first place."""
    chance = generator.beta(2.0, 2.0, 150)[:, None]
    first = generator.random((150, 2)) < chance * 0.8 + 0.2
    second = generator.random((150, 2)) < chance * 0.8
    pairs = [
        JudgedPair(prompt_id=str(k), candidate_first=float(first[k, j]), candidate_second=float(second[k, j]))
        for k in range(150)
        for j in range(2)
    ]
    return [holds(measure_judged_pairs(pairs, seed=seed).win_rate, 0.5)], []


def difference_of_shares(generator: np.random.Generator, seed: int) -> Held:
    """500 items, 8 % only the candidate's, 5 % only the incumbent's: Bonett and Price."""
    kind = generator.choice(3, 500, p=[0.08, 0.05, 0.87])
    found = paired_share_interval((kind == 0).astype(float), (kind == 1).astype(float))
    return [holds(found, 0.03)], []


def difference_by_cluster(generator: np.random.Generator, seed: int) -> Held:
    """120 clusters of 1 to 8 items, skewed differences that share the cluster's part: BCa by cluster."""
    sizes = generator.integers(1, 9, 120)
    labels = np.repeat(np.arange(120), sizes)
    part = generator.gamma(2.0, 0.5, 120) - 1.0
    gain = 0.1 + part[labels] + generator.normal(0, 0.7, len(labels))
    return [holds(mean_estimate(gain, labels.tolist(), seed=seed), 0.1)], [
        holds(mean_estimate(gain, seed=seed), 0.1)
    ]


def draw_battles(generator: np.random.Generator, n_prompts: int) -> tuple[np.ndarray, ...]:
    """Left, right, outcome and prompt; battles of a prompt are of one pair and lean alike."""
    first = generator.integers(0, len(STRENGTHS), n_prompts)
    second = (first + generator.integers(1, len(STRENGTHS), n_prompts)) % len(STRENGTHS)
    lean = generator.normal(0, 1.0, n_prompts)
    prompt = np.repeat(np.arange(n_prompts), BATTLES)
    margin = (STRENGTHS[first] - STRENGTHS[second] + lean)[prompt]
    lost = generator.random(len(prompt)) >= 1 / (1 + np.exp(-margin))
    names = np.array(list("abcdef"))
    return names[first[prompt]], names[second[prompt]], lost.astype(int), prompt


def leaderboard(method: str, truth: np.ndarray) -> Callable[[np.random.Generator, int], Held]:
    """900 battles of six models on 300 prompts; the control ignores prompts."""

    def draw(generator: np.random.Generator, seed: int) -> Held:
        left, right, outcome, prompt = draw_battles(generator, PROMPTS)
        config = RankingConfig(intervals=method, resamples=200, seed=seed)
        held = []
        for clusters in (prompt, None):
            ranks = measure_ranks(rank_models(make_battles(left, right, outcome, clusters=clusters), config))
            held.append(((ranks.low <= truth) & (truth <= ranks.high)).tolist())
        return held[0], held[1]

    return draw


def rank_intervals(truth: np.ndarray) -> Callable[[np.random.Generator, int], Held]:
    """Whether the true ranks of all six models lie in their intervals together: at least 95 %."""
    order = np.argsort(np.argsort(-truth)) + 1

    def draw(generator: np.random.Generator, seed: int) -> Held:
        left, right, outcome, prompt = draw_battles(generator, PROMPTS)
        ranks = measure_ranks(rank_models(make_battles(left, right, outcome, clusters=prompt)), seed=seed)
        return [bool(((ranks.best <= order) & (order <= ranks.worst)).all())], []

    return draw


def groups_together(generator: np.random.Generator, seed: int) -> Held:
    """Accuracy of six groups of 60 prompts with two rows each that mostly agree: all intervals at once."""
    truth = np.array([0.9, 0.8, 0.75, 0.7, 0.65, 0.6])
    first = generator.random((6, 60)) < truth[:, None]
    second = np.where(generator.random((6, 60)) < 0.7, first, generator.random((6, 60)) < truth[:, None])
    hits = np.stack([first, second], axis=2).astype(float).ravel()
    labels = np.repeat(list("abcdef"), 120).tolist()
    found = measure_groups(hits, labels, np.repeat(np.arange(360), 2).tolist(), seed=seed)
    return [all(holds(row.accuracy, one) for row, one in zip(found.groups, truth.tolist(), strict=True))], []


def means_together(generator: np.random.Generator, seed: int) -> Held:
    """Five skewed means over the same 80 clusters of 1 to 4 rows: max-t, all at once."""
    truth = np.array([1.0, 1.0, 2.0, 0.5, 0.2])
    labels = np.repeat(np.arange(80), generator.integers(1, 5, 80))
    table = generator.gamma(2.0, truth[:, None] / 2, (5, len(labels))) + generator.normal(0, 0.5, 80)[labels]
    clusters = Clusters.of(labels.tolist(), rows=len(labels))
    values, draws = bootstrap_matrix(
        lambda weights: table @ weights / weights.sum(), clusters, resamples=400, seed=seed
    )
    found = simultaneous_intervals(values, draws, sizes=[len(labels)] * 5, clusters=80)
    return [all(holds(row, one) for row, one in zip(found.intervals, truth.tolist(), strict=True))], []


def gao_fit(form: Form) -> Callable[[np.random.Generator, int], Held]:
    """alpha, beta and the peak of Gao's form from 60 prompts at six distances."""
    distance = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
    alpha, beta = 2.0, 0.8
    turn = distance if form == "best_of_n" else np.log(distance)
    peak = alpha / (2 * beta) if form == "best_of_n" else math.exp(alpha / beta - 1)

    def draw(generator: np.random.Generator, seed: int) -> Held:
        gains = (distance * (alpha - beta * turn))[:, None] + generator.normal(size=(6, 60)) * (
            1 + distance[:, None]
        )
        found = fit_frontier(distance, gains, form=form, resamples=500, seed=seed)
        pairs = ((found.alpha, alpha), (found.beta, beta), (found.peak_distance, peak))
        return [holds(one, truth) for one, truth in pairs], []

    return draw


def suite_bbq(generator: np.random.Generator, seed: int) -> Held:
    """60 templates of 4 to 12 items whose lean is the template's: accuracy and both biases, ambiguous."""
    sizes = generator.integers(4, 13, 60)
    lean = generator.beta(6.0, 4.0, 60)
    items, answers = [], []
    for template, size in enumerate(sizes.tolist()):
        for _ in range(size):
            row = len(items)
            items.append(
                {"category": "c", "example_id": row, "condition": "ambig", "label": 2, "unknown": 2}
                | {"target": 0, "question_index": template, "row": row}
            )
            said = 2 if generator.random() < 0.4 else int(generator.random() >= lean[template])
            answers.append({"prediction": said})
    run = SuiteRun(suite="bbq", items=tuple(items), answers=tuple(answers), facts={})
    found = {one.metric: one.estimate for one in BBQ().score(run, seed=seed) if one.slice == "all"}
    truth = {"bbq_accuracy_ambig": 0.4, "bbq_raw_bias_ambig": 0.2, "bbq_bias_ambig": 0.6 * 0.2}
    return [holds(found[name], value) for name, value in truth.items()], []


def suite_ifeval(generator: np.random.Generator, seed: int) -> Held:
    """200 prompts of one to three instructions kept together or not: prompt and instruction level, strict."""
    kept = generator.beta(4.0, 2.0, 200)
    items, answers = [], []
    for row in range(200):
        count = 1 + row % 3
        names = ["punctuation:no_comma", "change_case:english_lowercase", "startend:quotation"][:count]
        is_kept = generator.random(3) < kept[row]
        text = ("a" if is_kept[0] else "a, a") + (" b" if is_kept[1] else " B")
        items.append(
            {
                "key": row,
                "prompt": f"p{row}",
                "instruction_id_list": names,
                "kwargs": [{}] * count,
                "row": row,
            }
        )
        answers.append({"response": f'"{text}"' if is_kept[2] else text})
    run = SuiteRun(suite="ifeval", items=tuple(items), answers=tuple(answers), facts={})
    found = {one.metric: one.estimate for one in IFEval().score(run, seed=seed) if one.slice == "all"}
    # E[k^j] of Beta(4, 2): 2/3, 10/21, 20/56; a third of the prompts has each count (67, 67, 66).
    moments = [2 / 3, 10 / 21, 20 / 56]
    truth = sum(n * one for n, one in zip((67, 67, 66), moments, strict=True)) / 200
    pairs = ((found["ifeval_prompt_strict"], truth), (found["ifeval_instruction_strict"], 2 / 3))
    return [holds(one, value) for one, value in pairs], []


def suite_xstest(generator: np.random.Generator, seed: int) -> Held:
    """250 safe prompts, 12 % refused in full and 6 % in part: Wilson."""
    levels = generator.choice(["full", "partial", "none"], 250, p=[0.12, 0.06, 0.82])
    items = tuple({"id": i, "type": "t", "label": "safe", "row": i} for i in range(250))
    answers = tuple({"refusal": str(one)} for one in levels)
    run = SuiteRun(suite="xstest", items=items, answers=answers, facts={})
    found = {one.metric: one.estimate for one in XSTest().score(run, seed=seed) if one.slice == "all"}
    truth = {"safe_refusal": 0.18, "safe_full_refusal": 0.12, "safe_partial_refusal": 0.06}
    return [holds(found[name], value) for name, value in truth.items()], []


def bold_answers(generator: np.random.Generator) -> SuiteRun:
    """Three groups of 60 entities with two prompts each, scores that share the entity's part."""
    levels = {"a": 0.0, "b": 0.3, "c": 1.0}
    items, answers = [], []
    for group, level in levels.items():
        for entity in range(60):
            part = generator.normal(0, 0.6)
            for _ in range(2):
                items.append({"domain": "d", "group": group, "entity": f"e{entity}", "prompt": "p"})
                answers.append({"score": level + part + float(generator.normal(0, 0.5))})
    return SuiteRun(suite="bold", items=tuple(items), answers=tuple(answers), facts={})


def suite_bold_gap(generator: np.random.Generator, seed: int) -> Held:
    """Highest less lowest of three groups that differ: percentile over entities."""
    found = {one.metric: one.estimate for one in BOLD().score(bold_answers(generator), seed=seed)}
    return [holds(found["bold_score_gap"], 1.0)], []


def suite_bold_groups(generator: np.random.Generator, seed: int) -> Held:
    """The means of the three groups, all at once."""
    found = [one for one in BOLD().score(bold_answers(generator), seed=seed) if one.metric == "bold_score"]
    return [all(holds(one.estimate, value) for one, value in zip(found, (0.0, 0.3, 1.0), strict=True))], []


def suite_truthfulqa(generator: np.random.Generator, seed: int) -> Held:
    """300 questions with a right and a wrong answer, log-odds normal around .5: MC1 by Wilson, MC2 by BCa."""
    odds = generator.normal(0.5, 1.5, 300)
    items = [
        {
            "Category": "c",
            "Question": f"q{i}",
            "Best Answer": "a",
            "Correct Answers": "a",
            "Incorrect Answers": "b",
        }
        for i in range(300)
    ]
    answers = [
        {"logprob_best": float(one), "logprobs_correct": [float(one)], "logprobs_incorrect": [0.0]}
        for one in odds
    ]
    run = SuiteRun(suite="truthfulqa", items=tuple(items), answers=tuple(answers), facts={})
    found = {one.metric: one.estimate for one in TruthfulQA().score(run, seed=seed) if one.slice == "all"}
    truth = {"truthfulqa_mc1": float(ndtr(0.5 / 1.5)), "truthfulqa_mc2": _mean_of_sigmoid(0.5, 1.5)}
    return [holds(found[name], value) for name, value in truth.items()], []


def suite_model_written(generator: np.random.Generator, seed: int) -> Held:
    """120 items, a third of them with Yes as the matching answer, of a model that likes to say yes."""
    is_yes = np.arange(120) % 3 == 0
    matched = generator.random(120) < np.where(is_yes, 0.8, 0.3)
    items = [{"behaviour": "b", "matching": " Yes" if one else " No"} for one in is_yes]
    answers = [{"logprob_matching": float(one), "logprob_not_matching": 0.5} for one in matched]
    run = SuiteRun(suite="model_written", items=tuple(items), answers=tuple(answers), facts={})
    found = next(one.estimate for one in ModelWritten().score(run, seed=seed) if one.slice == "all")
    return [holds(found, 0.55)], []


def suite_pronouns(generator: np.random.Generator, seed: int) -> Held:
    """60 occupations of five sentences each, leans of their own: slope and flip gap by occupation."""
    women = np.linspace(2.0, 98.0, 60)
    share = 0.3 + 0.4 * women / 100 + generator.uniform(-0.1, 0.1, 60)
    items, answers = [], []
    for k in range(60):
        for _ in range(5):
            items.append({"occupation": f"o{k}", "BLS_percent_women_2019": float(women[k])})
            own = share[k] + generator.uniform(-0.1, 0.1)
            answers.append({"logprob_female": math.log(own), "logprob_male": math.log(1 - own)})
    run = SuiteRun(suite="winogenerated", items=tuple(items), answers=tuple(answers), facts={})
    found = {one.metric: one.estimate for one in Winogenerated().score(run, seed=seed)}
    return [holds(found["pronoun_slope"], 0.4), holds(found["pronoun_female_share"], 0.5)], []


def judge_less_people(generator: np.random.Generator, seed: int) -> Held:
    """200 items of two answers, three people right in .8 and a judge in .7: the gap of their kappas."""
    truth = generator.random(200) < 0.5
    people = {i: [str(bool(truth[i]) == (generator.random() < 0.8)) for _ in range(3)] for i in range(200)}
    verdicts = {i: str(bool(truth[i]) == (generator.random() < 0.7)) for i in range(200)}
    found = validate_judge(verdicts, people, seed=seed)
    assert found.human_kappa is not None
    assert found.gap is not None
    # kappa of two who are right in p and q, both sides alike: (2p - 1)(2q - 1)
    pairs = ((found.kappa, 0.6 * 0.4), (found.human_kappa, 0.6 * 0.6), (found.gap, 0.6 * 0.4 - 0.6 * 0.6))
    return [holds(one, value) for one, value in pairs], []


def judge_corrected(generator: np.random.Generator, seed: int) -> Held:
    """120 labeled and 1,200 judged rows, a judge too kind by a tenth: PPI++, and judged rows alone."""
    truth = (generator.random(1320) < 0.5).astype(float)
    judged = np.where(truth > 0, generator.random(1320) < 0.95, generator.random(1320) < 0.25).astype(float)
    found = prediction_powered_mean(truth[:120], judged[:120], judged[120:]).estimate
    return [holds(found, 0.5)], [holds(share_estimate(judged[120:], seed=seed), 0.5)]


def labels_corrected(generator: np.random.Generator, seed: int) -> Held:
    """Refusals of 250 answers by labels of sensitivity .85 and specificity .95, 150 labeled by people."""
    errors = LabelErrors(
        true_positive=int(generator.binomial(60, 0.85)),
        really_positive=60,
        true_negative=int(generator.binomial(90, 0.95)),
        really_negative=90,
    )
    rates = [0.4 * 0.85 + 0.6 * 0.05, 0.3 * 0.85 + 0.7 * 0.05]
    first, second = (generator.random(250) < rate for rate in rates)
    plain = wilson(int(first.sum()), 250)
    difference = mean_estimate(first.astype(float) - second, seed=seed)
    own = [holds(correct_share(plain, errors), 0.4), holds(correct_difference(difference, errors), 0.1)]
    return own, [holds(plain, 0.4), holds(difference, 0.1)]


def _mean_of_sigmoid(mean: float, deviation: float) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return float(weights @ expit(mean + deviation * nodes) / weights.sum())


def measure(
    scenario: Callable[[np.random.Generator, int], Held], draws: int, number: int
) -> dict[str, float]:
    held: list[float] = []
    control: list[float] = []
    for seed in range(draws):
        own, other = scenario(np.random.default_rng([number, seed]), seed)
        held.append(float(np.mean(own)))
        control += [float(np.mean(other))] if other else []
    found = {"coverage": float(np.mean(held)), "standard_error": float(np.std(held) / math.sqrt(draws))}
    return found | ({"without_clusters": float(np.mean(control))} if control else {})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--only", nargs="+", help="names of scenarios; all else")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    # What the models' scores are over all prompts, not given one: from a large draw.
    truth = rank_models(make_battles(*draw_battles(np.random.default_rng(0), 100_000)[:3])).scores
    scenarios = {
        "win_rate_single": win_rate_of_single_votes,
        "win_rate_ties": win_rate_with_ties,
        "win_rate_both_orders": win_rate_of_both_orders,
        "difference_shares": difference_of_shares,
        "difference_clusters": difference_by_cluster,
        "leaderboard_sandwich": leaderboard("sandwich", truth),
        "leaderboard_bootstrap": leaderboard("bootstrap", truth),
        "leaderboard_ranks": rank_intervals(truth),
        "groups_together": groups_together,
        "means_together": means_together,
        "gao_best_of_n": gao_fit("best_of_n"),
        "gao_rl": gao_fit("rl"),
        "suite_bbq": suite_bbq,
        "suite_ifeval": suite_ifeval,
        "suite_xstest": suite_xstest,
        "suite_bold_gap": suite_bold_gap,
        "suite_bold_groups": suite_bold_groups,
        "suite_truthfulqa": suite_truthfulqa,
        "suite_model_written": suite_model_written,
        "suite_pronouns": suite_pronouns,
        "judge_less_people": judge_less_people,
        "judge_corrected": judge_corrected,
        "labels_corrected": labels_corrected,
        **SCENARIOS,
        **JOINED,
    }
    found = {
        name: measure(scenario, options.draws, number)
        for number, (name, scenario) in enumerate(scenarios.items())
        if not options.only or name in options.only
    }
    seconds = time.perf_counter() - started
    print(json.dumps({"draws": options.draws, "seconds": round(seconds, 1), "scenarios": found}))


if __name__ == "__main__":
    main()
