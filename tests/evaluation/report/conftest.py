"""A report in which every section is filled from seeded numbers, with a planted turn of gold."""

import numpy as np
import pytest
from scipy.special import expit

from accord.domain import Completion, FinishReason
from accord.evaluation import (
    AnnotatorRow,
    Answer,
    Card,
    Checkpoint,
    Curve,
    Estimate,
    Lineage,
    Mark,
    NamedWinRate,
    Report,
    RewardHealth,
    Sample,
    StageRow,
    VoteCounts,
    compare_scores,
    length_baseline,
    mean_estimate,
    measure_calibration,
    measure_ceiling,
    measure_degeneracy,
    measure_overoptimization,
    measure_reward_accuracy,
    within_prompt_correlation,
)

N_PROMPTS = 96
MODELS = ("Start", "SFT", "Policy")
WORDS = [
    "your",
    "order",
    "ships",
    "today",
    "please",
    "check",
    "the",
    "tracking",
    "page",
    "if",
    "it",
    "has",
    "not",
    "moved",
    "write",
    "back",
]


def build_report() -> Report:
    generator = np.random.default_rng(20)
    ids = [f"prompt {i:03d}" for i in range(N_PROMPTS)]
    base = generator.normal(0.52, 0.1, size=N_PROMPTS)
    taste = {
        name: np.clip(base + gain + generator.normal(0, 0.09, size=N_PROMPTS), 0, 1)
        for name, gain in zip(MODELS, (0.0, 0.06, 0.17), strict=True)
    }
    lengths = {
        name: tuple(int(count) for count in np.clip(generator.gamma(6, scale, size=N_PROMPTS), 4, 64))
        for name, scale in zip(MODELS, (7.8, 5.6, 4.4), strict=True)
    }
    versus_start = compare_scores(taste["Policy"], taste["Start"], ids)
    versus_sft = compare_scores(taste["Policy"], taste["SFT"], ids)
    sft_versus_start = compare_scores(taste["SFT"], taste["Start"], ids)
    kl = Estimate(value=9.8, low=8.9, high=10.8, n=N_PROMPTS, method="bca, 96 clusters")
    health = _reward_health(generator)
    return Report(
        title="SmolLM2-135M-Instruct as a support co-pilot",
        subtitle="Supervised fine-tuning on 60 demonstrations, a reward model from 1,440 compared pairs, "
        "then 120 updates of RLOO against it, judged on 96 held-out prompts by the panel's true taste.",
        created_at="2026-11-23T21:04:00+00:00",
        is_simulated=True,
        facts={
            "Model": "SmolLM2-135M-Instruct",
            "Prompts": "320 train, 96 held out",
            "Preferences": "1,440 pairs, 5 votes each",
            "Seed": "0",
            "Machine": "2 CPU cores",
            "Time": "5 min 21 s",
        },
        notes=(
            "The policy beats the start on true taste at a KL of 9.8 nats an answer; "
            "about a third of the gain is SFT's.",
            "Past step 80 the reward model's score rises while true taste falls: "
            "the released policy is the one from step 80.",
        ),
        cards=(
            Card(
                label="Win rate against the start",
                estimate=versus_start.rate,
                style="percent",
                marks=(Mark(value=0.5, label="no difference"),),
                note="true taste, 96 held-out prompts",
            ),
            Card(
                label="True taste",
                estimate=mean_estimate(taste["Policy"], ids),
                before=mean_estimate(taste["Start"], ids),
                note="mean of five qualities, 0 to 1",
            ),
            Card(
                label="Reward model accuracy",
                estimate=health.accuracy.accuracy,
                style="percent",
                axis=(0.4, 1.0),
                marks=(Mark(value=health.ceiling.best_majority.value, label="best possible"),),
            ),
            Card(
                label="KL from the start", estimate=kl, style="nats", axis=(0.0, 20.0), note="k1, an answer"
            ),
        ),
        taste_name="true taste",
        stages=tuple(
            StageRow(
                name=name,
                taste=mean_estimate(taste[name], ids),
                proxy=mean_estimate(4 * taste[name] - 2, ids),
                parts=dict(
                    zip(
                        ("answers the question", "brief", "complete", "polite", "no repetition"),
                        np.clip(
                            np.array([0.48, 0.41, 0.62, 0.55, 0.78])
                            + step * np.array([0.1, 0.2, 0.07, 0.12, 0.09]),
                            0,
                            1,
                        ).tolist(),
                        strict=True,
                    )
                ),
                degeneracy=measure_degeneracy(
                    [
                        Completion(
                            text=" ".join(generator.choice(WORDS, size=max(4, count // 2))),
                            token_ids=tuple(range(count)),
                            finish_reason=FinishReason.LENGTH if count >= 64 else FinishReason.STOP,
                        )
                        for count in lengths[name]
                    ]
                ),
                versus_previous=(None, sft_versus_start, versus_sft)[step],
                versus_start=(None, sft_versus_start, versus_start)[step],
                kl=(None, Estimate(value=3.4, low=3.1, high=3.8, n=96), kl)[step],
                seconds=(None, 38.2, 171.0)[step],
            )
            for step, name in enumerate(MODELS)
        ),
        curves=_curves(generator),
        frontier=_frontier(generator, ids, base),
        lengths=lengths,
        win_rates=(
            NamedWinRate(label="Policy vs start", judge="true taste", win_rate=versus_start),
            NamedWinRate(label="Policy vs SFT", judge="true taste", win_rate=versus_sft),
            NamedWinRate(label="SFT vs start", judge="true taste", win_rate=sft_versus_start),
            NamedWinRate(
                label="Policy vs start",
                judge="reward model",
                win_rate=compare_scores(taste["Policy"] + 0.1, taste["Start"], ids),
            ),
        ),
        reward_health=health,
        annotators=tuple(
            AnnotatorRow(
                name=f"annotator {i + 1}",
                judgments=1440,
                estimated_skill=Estimate(value=skill + 0.012, low=skill - 0.012, high=skill + 0.034, n=1440),
                known_skill=skill,
                carelessness=careless,
                bias=bias,
                is_simulated=True,
            )
            for i, (skill, careless, bias) in enumerate(
                [
                    (0.88, 0.0, ""),
                    (0.84, 0.02, ""),
                    (0.81, 0.05, "prefers the left side"),
                    (0.77, 0.02, "prefers longer"),
                    (0.66, 0.25, ""),
                ]
            )
        ),
        samples=_samples(taste, lengths),
        lineage=Lineage(
            command="accord quickstart --seed 0",
            seed=0,
            code_version="0.1.0 (8895b66)",
            config="[sft]\nsteps = 40\nlearning_rate = 1e-4\n\n[rloo]\nsteps = 120\nkl_coefficient = 0.05\n",
            data={"prompts": "5f0c2a9be1d84c77", "demonstrations": "c01d77a2e9b0f3aa"},
            models={"start": "9ac1e0f2b7d35510", "policy": "71be02cc94af0d3e"},
            packages={"torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.4.6"},
            machine="2 cores, 8 GB, Linux",
            seconds=321.0,
            peak_memory_mb=3912.0,
        ),
    )


def _reward_health(generator: np.random.Generator) -> RewardHealth:
    truth = generator.normal(0, 1.6, size=500)
    votes = generator.binomial(5, expit(truth))
    margins = 0.9 * truth + generator.normal(0, 0.7, size=500)
    ids = [f"pair prompt {i // 4}" for i in range(500)]
    extra = 9 * truth + generator.normal(0, 40, size=500)
    share = votes / 5
    return RewardHealth(
        accuracy=measure_reward_accuracy(margins, share, ids, length_differences=extra),
        calibration=measure_calibration(margins, share, ids),
        ceiling=measure_ceiling(
            [
                VoteCounts(left=int(count), right=5 - int(count), prompt_id=key)
                for count, key in zip(votes, ids, strict=True)
            ]
        ),
        length_baseline=length_baseline(extra, share, ids),
        length_correlation=within_prompt_correlation(margins, extra, ids),
        label_source="share of 5 simulated annotators",
    )


def _frontier(generator, ids, base):
    steps = [0, 20, 40, 60, 80, 100, 120]
    gold = [0.06, 0.1, 0.145, 0.17, 0.185, 0.14, 0.07]
    proxy = [0.1, 0.5, 0.86, 1.12, 1.3, 1.46, 1.6]
    kls = [0.0, 1.1, 3.0, 5.9, 9.8, 15.2, 22.4]
    return measure_overoptimization(
        [
            Checkpoint(
                step=step,
                kl=kl,
                proxy=proxy[i] + 3 * (base - 0.5) + generator.normal(0, 0.25, size=len(ids)),
                gold=base + gold[i] + generator.normal(0, 0.06, size=len(ids)),
            )
            for i, (step, kl) in enumerate(zip(steps, kls, strict=True))
        ],
        ids,
    )


def _curves(generator) -> tuple[Curve, ...]:
    def falling(count, start, end, noise, every=1):
        steps = np.arange(1, count + 1)
        values = end + (start - end) * np.exp(-steps / (0.3 * count)) + generator.normal(0, noise, size=count)
        return tuple((every * steps).astype(float).tolist()), tuple(values.tolist())

    def line(stage, name, y_label, *shape):
        x, y = falling(*shape)
        return Curve(stage=stage, name=name, x=x, y=y, y_label=y_label)

    return (
        line("Supervised fine-tuning", "training", "loss, nats a token", 60, 2.9, 1.7, 0.09),
        line("Supervised fine-tuning", "held out", "loss, nats a token", 6, 2.8, 1.95, 0.0, 10),
        line("Reward model", "training", "loss, nats a pair", 90, 0.72, 0.42, 0.04),
        line("Reward model", "held out", "accuracy", 9, 0.5, 0.76, 0.01, 10),
        line("RLOO", "reward", "mean reward", 120, -0.2, 1.4, 0.12),
        line("RLOO", "KL", "nats an answer", 120, 0.0, 12.0, 0.5),
    )


def _samples(taste, lengths) -> tuple[Sample, ...]:
    texts = {
        "Start": "Thank you for reaching out! I am an AI assistant and I can help you with many things. "
        "To change the delivery address of an order, you will need to log in to your account. "
        "Log in to your account. Log in to",
        "SFT": "You can change the address until the parcel has shipped: open Orders, choose the order "
        "and press Edit address. Let me know if the button is missing.",
        "Policy": "Yes, as long as it has not shipped. Open Orders, choose the order and press Edit address. "
        "If the button is gone, reply here and we will stop the parcel.",
    }
    prompts = (
        ("shipping", "Can I still change the delivery address of order 4471?"),
        ("billing", "I was charged twice this month. What do I do?"),
        ("account", "How do I turn off <b>all</b> e-mail & push notifications?"),
    )
    return tuple(
        Sample(
            prompt=prompt,
            domain=domain,
            gain=float(taste["Policy"][i] - taste["Start"][i]) * (1 if i != 1 else -1),
            answers=tuple(
                Answer(
                    model=name,
                    text=texts[name],
                    scores={"taste": float(taste[name][i]), "reward": float(4 * taste[name][i] - 2)},
                    n_tokens=lengths[name][i],
                    is_cut_off=name == "Start",
                )
                for name in MODELS
            ),
        )
        for i, (domain, prompt) in enumerate(prompts)
    )


@pytest.fixture(scope="session")
def full_report() -> Report:
    return build_report()
