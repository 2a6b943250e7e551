"""Everything that two models' answers to the same prompts show, as measurements for gates and report.

    win_rate                       of the candidate by the judge, ties half; also by domain of the prompt
    length_controlled_win_rate     the same at equal length (20 prompts or more)
    constant_output_win_rate       of one fixed sentence against the incumbent: what fools the judge
    judge_score                    mean of the judge's scores, where it scores single answers
    swap_consistency               share of prompts whose winner holds in both orders, where there are orders
    response_length, repeated_4grams and what else `texts.py` measures of the answers
    kl_divergence, kl_divergence_k3, kl_divergence_per_token    of the candidate from the incumbent, nats

What cannot be measured is named with its reason, never a number. Leaves out sampling and the page.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from accord.domain.messages import Completion, Prompt, content_hash
from accord.evaluation.clusters import FloatArray
from accord.evaluation.comparison.columns import paired_measurements
from accord.evaluation.comparison.gold import measure_gold
from accord.evaluation.comparison.judging import PairJudge, PairJudgments, judge_pairs
from accord.evaluation.comparison.responses import Responses, align_responses, clusters_of
from accord.evaluation.comparison.texts import measure_texts
from accord.evaluation.divergence import measure_token_divergence
from accord.evaluation.intervals import Estimate, quantile_estimate, share_estimate
from accord.evaluation.length_control import MIN_PROMPTS, control_length
from accord.evaluation.measurement import Measurement
from accord.evaluation.multiplicity import holm
from accord.evaluation.paired import sign_flip
from accord.evaluation.planning import detectable_effect
from accord.evaluation.winrate import sign_test

CONSTANT_ANSWER = "Thank you for your question. I am happy to help you with that, please let me know."
"""Says nothing; a judge that prefers it to real answers rewards manner alone."""
MIN_SLICE = 8
"""Prompts of a domain below which it gets no win rate of its own."""
MOST_UNJUDGED = 0.1
"""Share of prompts without a verdict above which nothing that rests on the judge is measured."""
TAIL = 0.99


@dataclass(frozen=True, kw_only=True)
class TokenLogprobs:
    """The candidate's answers under both models, token by token, natural logs; one row an answer."""

    candidate: Sequence[Sequence[float]]
    incumbent: Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models side by side on the same prompts."""

    candidate: Responses
    incumbent: Responses
    """In the candidate's order."""
    measurements: tuple[Measurement, ...]
    not_measured: Mapping[str, str]
    """Metric -> why there is no number."""
    judgments: PairJudgments | None = None
    gold: PairJudgments | None = None
    """Of a second judge that stands for what is really wanted."""
    kl_by_prompt: tuple[float, ...] | None = None
    """[prompt] k1, nats."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def find(self, metric: str, *, slice: str = "all", versus: str = "nothing") -> Measurement | None:
        """One measurement, or None where it is not there."""
        wanted = (metric, slice, versus)
        return next((one for one in self.measurements if (one.metric, one.slice, one.versus) == wanted), None)


def compare_responses(
    candidate: Responses,
    incumbent: Responses,
    *,
    judge: PairJudge | None = None,
    gold: PairJudge | None = None,
    logprobs: TokenLogprobs | None = None,
    has_constant: bool = True,
    seed: int = 0,
) -> Comparison:
    """Compare two sets of answers; `seed` is that of every bootstrap. Different prompts raise `DataError`.

    `gold` is a second judge: with both, the over-optimization gap of the first is measured. `has_constant`
    also asks the judge about one fixed sentence; leave it out where each question costs.
    """
    incumbent = align_responses(candidate, incumbent)
    facts = {
        "prompts": len(candidate.prompts),
        "seed": seed,
        "candidate": dict(candidate.facts),
        "incumbent": dict(incumbent.facts),
        "candidate_digest": candidate.digest,
        "incumbent_digest": incumbent.digest,
    }
    shared = {
        "prompts_digest": content_hash(sorted(prompt.text for prompt in candidate.prompts)),
        "candidate_digest": candidate.digest,
        "incumbent_digest": incumbent.digest,
        "seed": seed,
    }
    measured, missing = measure_texts(candidate, incumbent, seed=seed, facts=shared)
    judgments = gold_judgments = None
    if judge is None:
        missing["win_rate"] = missing["length_controlled_win_rate"] = "no judge was given"
    else:
        judgments = judge_pairs(
            judge, candidate.prompts, candidate.completions, incumbent.completions, seed=seed
        )
        named = {**shared, "judge": judge.name}
        found, reasons = measure_judged(judgments, candidate, incumbent, seed=seed, facts=named)
        measured, missing = [*found, *measured], missing | reasons
        if has_constant:
            constant = _constant(judge, candidate.prompts, incumbent.completions, seed=seed, facts=named)
            if constant is None:
                missing["constant_output_win_rate"] = "the judge gave too few verdicts"
            else:
                measured.append(constant)
    if gold is not None and judgments is not None:
        gold_judgments = judge_pairs(
            gold, candidate.prompts, candidate.completions, incumbent.completions, seed=seed
        )
        if all(judgments.is_judged) and all(gold_judgments.is_judged):
            ids = clusters_of(candidate.prompts)
            found, reasons = measure_gold(judgments, gold_judgments, ids, seed=seed, facts=shared)
            measured, missing = [*measured, *found], missing | reasons
        else:
            missing["overoptimization_gap"] = "a judge left prompts without a verdict"
    by_prompt = None
    if logprobs is None:
        missing["kl_divergence"] = "the answers come without the models that gave them"
    else:
        found, by_prompt = measure_kl(
            logprobs, [one.id for one in candidate.prompts], seed=seed, facts=shared
        )
        measured += found
    return Comparison(
        candidate=candidate,
        incumbent=incumbent,
        measurements=tuple(measured),
        not_measured=missing,
        judgments=judgments,
        gold=gold_judgments,
        kl_by_prompt=by_prompt,
        facts=facts,
    )


def measure_judged(
    judgments: PairJudgments,
    candidate: Responses,
    incumbent: Responses,
    *,
    seed: int,
    facts: Mapping[str, Any],
) -> tuple[list[Measurement], dict[str, str]]:
    """`measure_preference` on the prompts that have a verdict; not measured where too many have none.

    Prompts on which a judge fails are no random part of all: a tenth of them can move a win rate by ten
    points.
    """
    keep = judgments.is_judged
    n_missing = len(keep) - sum(keep)
    if not n_missing:
        return measure_preference(judgments, candidate, incumbent, seed=seed, facts=facts)
    if n_missing > MOST_UNJUDGED * len(keep):
        reason = f"the judge gave no verdict on {n_missing} of {len(keep)} prompts"
        return [], {"win_rate": reason, "length_controlled_win_rate": reason}
    judged = replace(
        judgments, preferences=tuple(value for value in judgments.preferences if not math.isnan(value))
    )
    kept = {**facts, "without_verdict": n_missing}
    return measure_preference(judged, candidate.select(keep), incumbent.select(keep), seed=seed, facts=kept)


def measure_preference(
    judgments: PairJudgments,
    candidate: Responses,
    incumbent: Responses,
    *,
    seed: int,
    facts: Mapping[str, Any],
) -> tuple[list[Measurement], dict[str, str]]:
    """Win rates raw, by domain and at equal length, scores, consistency; and what could not be measured."""
    ids = clusters_of(candidate.prompts)
    preferences = np.array(judgments.preferences)
    measured = [_win_rate(preferences, ids, judgments, seed=seed, facts=facts)]
    missing: dict[str, str] = {}
    if len(ids) < MIN_PROMPTS:
        missing["length_controlled_win_rate"] = f"{len(ids)} prompts; it needs {MIN_PROMPTS} or more"
    else:
        lengths = [
            [max(1, len(answer.text)) for answer in side.completions] for side in (incumbent, candidate)
        ]
        found = control_length(preferences, *lengths, seed=seed)
        measured.append(
            Measurement(
                metric="length_controlled_win_rate",
                estimate=_shares(found.controlled),
                deviation=_deviation(preferences),
                facts={**facts, "raw": found.raw.value / 100, "flags": list(found.flags)},
            )
        )
    if judgments.swap_consistency is not None:
        measured.append(
            Measurement(metric="swap_consistency", estimate=judgments.swap_consistency, facts=dict(facts))
        )
    if judgments.candidate_scores is not None and judgments.incumbent_scores is not None:
        measured += paired_measurements(
            "judge_score",
            judgments.candidate_scores,
            judgments.incumbent_scores,
            ids,
            is_share=False,
            seed=seed,
            facts=facts,
        )
    return [*measured, *_by_domain(preferences, candidate.prompts, seed=seed, facts=facts)], missing


def measure_kl(
    logprobs: TokenLogprobs, prompt_ids: Sequence[str], *, seed: int, facts: Mapping[str, Any]
) -> tuple[list[Measurement], tuple[float, ...]]:
    """KL of the candidate from the incumbent on the candidate's own samples, and k1 of each prompt.

    k1 (mean, and 99th percentile over prompts, one row each), k3, and k1 by token. Equal log-probs give
    exactly 0.
    """
    found = measure_token_divergence(logprobs.candidate, logprobs.incumbent, prompt_ids, seed=seed)
    first = np.array(
        [
            float(np.sum(np.asarray(own, dtype=float) - np.asarray(other, dtype=float)))
            for own, other in zip(logprobs.candidate, logprobs.incumbent, strict=True)
        ]
    )
    high = quantile_estimate(first, TAIL)
    named = {**facts, "tokens": found.n_tokens}
    measured = [
        Measurement(
            metric="kl_divergence", estimate=found.per_sequence, deviation=_deviation(first), facts=named
        ),
        Measurement(metric="kl_divergence", slice="99th_percentile", estimate=high, facts=named),
        Measurement(metric="kl_divergence_per_token", estimate=found.per_token, facts=named),
    ]
    if found.per_sequence_k3 is not None:
        measured.append(Measurement(metric="kl_divergence_k3", estimate=found.per_sequence_k3, facts=named))
    return measured, tuple(first.tolist())


def _win_rate(
    preferences: FloatArray,
    ids: Sequence[str],
    judgments: PairJudgments,
    *,
    seed: int,
    facts: Mapping[str, Any],
) -> Measurement:
    found: dict[str, Any] = {
        **facts,
        "wins": judgments.wins,
        "ties": judgments.ties,
        "losses": judgments.losses,
        "p_sign_flip": sign_flip(preferences - 0.5, ids, seed=seed),
        # Wins against losses is McNemar's test of who is better: both are binomial in the discordant pairs.
        "p_mcnemar_exact": sign_test(preferences - 0.5),
    }
    deviation = _deviation(preferences)
    if deviation:
        found["detectable_effect"] = detectable_effect(deviation, len(preferences))
    return Measurement(
        metric="win_rate",
        estimate=share_estimate(preferences, ids, seed=seed),
        deviation=deviation,
        facts=found,
    )


def _by_domain(
    preferences: FloatArray, prompts: Sequence[Prompt], *, seed: int, facts: Mapping[str, Any]
) -> list[Measurement]:
    """Win rate by domain with p-values corrected by Holm: "did any domain get worse?"."""
    parts: dict[str, list[int]] = defaultdict(list)
    for i, prompt in enumerate(prompts):
        domain = prompt.meta.get("domain") or prompt.meta.get("category")
        if isinstance(domain, str):
            parts[domain].append(i)
    kept = {name: places for name, places in sorted(parts.items()) if len(places) >= MIN_SLICE}
    if len(kept) < 2:
        return []
    rows = {
        name: (preferences[places], clusters_of([prompts[i] for i in places]))
        for name, places in kept.items()
    }
    adjusted = holm([sign_flip(values - 0.5, ids, seed=seed) for values, ids in rows.values()])
    return [
        Measurement(
            metric="win_rate",
            slice=f"domain={name}",
            estimate=share_estimate(values, ids, seed=seed),
            deviation=_deviation(values),
            facts={**facts, "p_holm": float(p_value)},
        )
        for (name, (values, ids)), p_value in zip(rows.items(), adjusted, strict=True)
    ]


def _constant(
    judge: PairJudge,
    prompts: Sequence[Prompt],
    incumbent: Sequence[Completion],
    *,
    seed: int,
    facts: Mapping[str, Any],
) -> Measurement | None:
    same = [Completion(text=CONSTANT_ANSWER)] * len(prompts)
    found = judge_pairs(judge, prompts, same, incumbent, seed=seed)
    kept = [i for i, is_kept in enumerate(found.is_judged) if is_kept]
    if len(kept) < (1 - MOST_UNJUDGED) * len(prompts):
        return None
    ids = clusters_of([prompts[i] for i in kept])
    return Measurement(
        metric="constant_output_win_rate",
        estimate=share_estimate([found.preferences[i] for i in kept], ids, seed=seed),
        facts={**facts, "answer": CONSTANT_ANSWER},
    )


def _deviation(values: FloatArray) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _shares(percent: Estimate) -> Estimate:
    return Estimate(
        value=percent.value / 100,
        low=percent.low / 100,
        high=percent.high / 100,
        n=percent.n,
        method=percent.method,
        confidence=percent.confidence,
    )
