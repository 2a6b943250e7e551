"""A comparison report in which every section is filled from seeded numbers."""

import datetime
from collections.abc import Callable

import numpy as np
import pytest

from accord.domain.messages import Completion, FinishReason, Prompt
from accord.evaluation import measure_calibration
from accord.evaluation.comparison import ScoreJudge, compare_responses
from accord.evaluation.comparison.comparing import TokenLogprobs
from accord.evaluation.comparison.responses import Responses
from accord.evaluation.gates.plan import read_plan
from accord.evaluation.gates.verdict import judge_release
from accord.evaluation.intervals import Estimate, wilson
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison import ComparisonReport, Evidence, report_comparison
from accord.evaluation.report.comparison.contents import (
    BiasPanel,
    BiasRow,
    DriftChart,
    GateSeries,
    RewardCurve,
    SafetyDot,
    VoteChart,
)
from accord.evaluation.report.contents import Lineage
from accord.evaluation.sequential import confidence_sequence

N = 120
WORDS = ["order", "ships", "today", "please", "check", "tracking", "page", "write", "back", "soon"]


def point(value: float, half: float) -> Estimate:
    value = float(value)
    return Estimate(value=value, low=value - half, high=value + half, n=100)


def build_responses(name: str, *, good: float, seed: int) -> Responses:
    generator = np.random.default_rng(seed)
    prompts = tuple(Prompt.from_text(f"Where is order {i}?", meta={"domain": f"d{i % 4}"}) for i in range(N))
    completions = []
    for _ in range(N):
        size = int(generator.integers(6, 30))
        text = " ".join(generator.choice(WORDS, size)) + (" good" if generator.random() < good else "")
        ids = tuple(range(len(text.split())))
        reason = FinishReason.LENGTH if size > 27 else FinishReason.STOP
        completions.append(Completion(text=text, token_ids=ids, finish_reason=reason))
    return Responses(
        name=name,
        prompts=prompts,
        completions=tuple(completions),
        keys=tuple(one.id for one in prompts),
        facts={"weights": f"hash of {name}"},
    )


def build_evidence() -> Evidence:
    generator = np.random.default_rng(5)
    margins = generator.normal(0.6, 1.0, 600)
    votes = (generator.random(240) < 0.64).astype(float)
    bounds = confidence_sequence(votes, grid=201)
    kl = tuple(float(one) for one in (0, 0.5, 2, 5, 10, 18))
    return Evidence(
        curves=(
            RewardCurve(
                name="gold", kl=kl, rewards=tuple(point(one, 0.1) for one in (0, 0.5, 0.9, 1.0, 0.8, 0.4))
            ),
            RewardCurve(
                name="proxy", kl=kl, rewards=tuple(point(one, 0.1) for one in (0, 0.6, 1.2, 1.7, 2.1, 2.4))
            ),
            RewardCurve(
                name="ensemble minimum",
                kl=kl,
                rewards=tuple(point(one, 0.1) for one in (0, 0.4, 0.9, 1.2, 1.3, 1.2)),
            ),
        ),
        calibration=measure_calibration(margins, (generator.random(600) < 0.65).astype(float)),
        safety=(
            SafetyDot(name="1.0", harmful_refusal=wilson(70, 100), safe_refusal=wilson(12, 100)),
            SafetyDot(name="1.1", harmful_refusal=wilson(88, 100), safe_refusal=wilson(31, 100)),
            SafetyDot(name="1.2", harmful_refusal=wilson(91, 100), safe_refusal=wilson(14, 100)),
        ),
        bias=tuple(
            BiasPanel(
                name=name,
                neutral=neutral,
                rows=tuple(
                    BiasRow(
                        label=label,
                        estimate=point(neutral + gap, 0.08),
                        before=point(neutral + gap / 2, 0.08),
                    )
                    for label, gap in (("age", 0.1), ("gender", -0.05), ("religion", 0.02))
                ),
            )
            for name, neutral in (("BBQ, ambiguous", 0.0), ("CrowS-Pairs", 0.5))
        ),
        drift=(
            DriftChart(
                name="Annotator agreement",
                batches=tuple(f"b{i}" for i in range(12)),
                values=tuple(
                    point(float(one), 0.04) for one in [*generator.normal(0.7, 0.02, 10), 0.58, 0.55]
                ),
                low=0.63,
                high=0.77,
                action="Label the anchor pairs again.",
            ),
        ),
        history=tuple(
            GateSeries(
                id=gate,
                metric=metric,
                is_level=is_level,
                threshold=threshold,
                releases=("1.0", "1.1", "1.2", "1.3"),
                verdicts=verdicts,
                values=tuple(None if one is None else point(one, half) for one in values),
                change=None if values[-1] is None else point(values[-1] - values[1], half * 2**0.5),
                trend="" if values[-1] is None else trend,
            )
            for gate, metric, is_level, threshold, values, half, verdicts, trend in (
                (
                    "G4",
                    "win_rate",
                    True,
                    0.5,
                    (0.52, 0.58, 0.55, 0.61),
                    0.05,
                    ("undecided", "pass", "undecided", "pass"),
                    "not told apart",
                ),
                (
                    "G6.mean",
                    "kl_divergence",
                    True,
                    10.0,
                    (2.1, 4.0, 9.5, 12.8),
                    0.8,
                    ("pass", "pass", "undecided", "fail"),
                    "worse",
                ),
                (
                    "G10",
                    "harmful_refusal",
                    True,
                    None,
                    (0.7, 0.88, None, 0.95),
                    0.04,
                    ("pass", "pass", "not measured", "pass"),
                    "better",
                ),
                (
                    "G12.bbq",
                    "bbq_bias_ambig",
                    False,
                    0.05,
                    (0.01, 0.03, 0.06, None),
                    0.02,
                    ("pass", "pass", "undecided", "not measured"),
                    "",
                ),
            )
        ),
        votes=VoteChart(
            name="People's votes",
            means=tuple((np.cumsum(votes) / np.arange(1, 241)).tolist()),
            lows=tuple(bounds[:, 0].tolist()),
            highs=tuple(bounds[:, 1].tolist()),
        ),
    )


def build() -> ComparisonReport:
    new, old = build_responses("policy 7", good=0.8, seed=1), build_responses("policy 6", good=0.4, seed=2)
    generator = np.random.default_rng(3)
    own = [generator.normal(-1.0, 0.2, 8).tolist() for _ in range(N)]
    other = [[one - 0.05 for one in row] for row in own]
    judge = ScoreJudge(lambda prompts, rows: [float("good" in row.text) for row in rows], "a rule")
    found = compare_responses(new, old, judge=judge, logprobs=TokenLogprobs(candidate=own, incumbent=other))
    release = judge_release(read_plan("default"), found.measurements, today=datetime.date(2026, 11, 1))
    return report_comparison(
        found,
        release,
        lineage=Lineage(command="accord", seed=0),
        evidence=build_evidence(),
        others=build_others(),
    )


def build_others() -> list[Measurement]:
    """What `accord evaluate optimization` and `reward` add: Gao's form, accuracy by agreement."""
    numbers = (
        ("gao_alpha", "form=rl", 0.89),
        ("gao_beta", "form=rl", 0.55),
        ("gao_peak_kl", "form=rl", 3.4),
        ("reward_accuracy", "agreement=75 % or less", 0.58),
        ("reward_accuracy", "agreement=above 75 %", 0.74),
        ("reward_accuracy", "agreement=all agree", 0.83),
        ("reward_ceiling", "all", 0.81),
    )
    return [
        Measurement(metric=metric, slice=part, estimate=point(value, 0.05)) for metric, part, value in numbers
    ]


@pytest.fixture(scope="session")
def comparison_report() -> ComparisonReport:
    return build()


@pytest.fixture(scope="session")
def build_comparison() -> Callable[[], ComparisonReport]:
    """Makes the same report again."""
    return build
