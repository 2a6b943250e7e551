"""From what a run measured to the report it shows: picks, compares and words; measures nothing itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from accord.domain import EvaluationError, Preference
from accord.evaluation import (
    Answer,
    Card,
    Checkpoint,
    Curve,
    Estimate,
    Mark,
    NamedWinRate,
    Report,
    RewardHealth,
    Sample,
    StageRow,
    WinRate,
    compare_scores,
    count_votes,
    length_baseline,
    mean_estimate,
    measure_calibration,
    measure_ceiling,
    measure_overoptimization,
    measure_reward_accuracy,
    within_prompt_correlation,
)
from accord.models import RewardModel
from accord.pipeline.answering import AnswerSet
from accord.pipeline.comparing import Comparisons
from accord.pipeline.journal import StageRecord
from accord.pipeline.material import Material
from accord.pipeline.plan import SpineConfig
from accord.training import autocast

STAGE_TITLES = {"sft": "Supervised fine-tuning", "reward": "Reward model", "policy": "Policy optimization"}
CURVES = {
    "sft": (("sft/loss", "training", "loss (nats a token)"),),
    "reward": (
        ("reward/loss", "training", "loss (nats a pair)"),
        ("reward/eval_nll", "held out", "loss (nats a pair)"),
        ("reward/eval_accuracy", "held out", "accuracy"),
    ),
    "policy": (
        ("reward/mean", "reward", "reward"),
        ("kl/k1", "KL from the reference", "nats an answer"),
        ("length/mean", "length", "tokens an answer"),
    ),
}
"""Which metrics become curves: metric, name of the line, y axis."""
MODEL_OF_STAGE = {"SFT": "sft", "policy": "policy"}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything a report is made from."""

    config: SpineConfig
    material: Material
    comparisons: Comparisons
    reward_model: RewardModel
    answers: Sequence[AnswerSet]
    """Start first, policy last."""
    frontier: Sequence[Checkpoint]
    stages: Sequence[StageRecord]
    stages_folder: Path

    @property
    def start(self) -> AnswerSet:
        """The model as it came."""
        return self.answers[0]

    @property
    def policy(self) -> AnswerSet:
        """The model at the end."""
        return self.answers[-1]

    def scores(self, answers: AnswerSet) -> Sequence[float]:
        """What win rates go by: the known taste where there is one, else the reward model."""
        return answers.gold if answers.tastes else answers.rewards

    @property
    def judge(self) -> str:
        """Whose scores `scores` are."""
        return "true taste" if self.material.taste is not None else "reward model (trained on people)"


def build_report(findings: Findings) -> Report:
    """Fill every section that the run has something to say on; lineage is added by the caller."""
    is_simulated = findings.material.taste is not None
    health = _reward_health(findings)
    win_rates = _win_rates(findings)
    frontier = None
    if len(findings.frontier) >= 2:
        prompts = findings.material.heldout[: len(findings.frontier[0].gold)]
        frontier = measure_overoptimization(findings.frontier, [prompt.id for prompt in prompts])
    return Report(
        title=findings.config.title,
        subtitle=_subtitle(findings),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        is_simulated=is_simulated,
        facts=_facts(findings),
        notes=tuple(_notes(findings)),
        cards=_cards(findings, win_rates, health),
        taste_name="true taste" if is_simulated else "reward",
        stages=_stage_rows(findings),
        curves=tuple(_curves(findings.stages_folder)),
        frontier=frontier,
        lengths={answers.name: tuple(answers.lengths) for answers in findings.answers},
        win_rates=tuple(win_rates.values()),
        reward_health=health,
        annotators=tuple(findings.comparisons.annotators),
        samples=tuple(_samples(findings)),
    )


def stage_lines(record: StageRecord) -> list[str]:
    """What a finished stage bought, for the terminal."""
    facts, metrics = record.facts, record.facts.get("metrics", {})
    if record.name == "sft" and metrics:
        return [
            f"loss {metrics['sft/loss']:.3f} after {facts['steps']} steps "
            f"on {facts['demonstrations']} demonstrations"
        ]
    if record.name == "compare":
        return list(facts.get("lines", ()))
    if record.name == "reward" and metrics:
        accuracy = metrics.get("reward/eval_accuracy")
        held = (
            "" if accuracy is None else f", {accuracy:.0%} right on {facts['heldout_pairs']} held-out pairs"
        )
        return [
            f"loss {metrics['reward/loss']:.3f} after {facts['steps']} steps{held}",
            *facts.get("warnings", ()),
        ]
    if record.name == "policy" and metrics:
        return [
            f"reward {metrics['reward/mean']:.2f}, KL {metrics['kl/k1']:.2f} nats, "
            f"{metrics['length/mean']:.0f} tokens an answer after {facts['steps']} steps"
        ]
    return []


def preference_margins(model: RewardModel, pairs: Sequence[Preference]) -> list[float]:
    """Score of chosen minus score of rejected, pair by pair."""
    prompts = [pair.prompt for pair in pairs]
    with autocast("auto", model.device), torch.inference_mode():
        scores = model.score_texts(
            [*prompts, *prompts], [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        )
    return [chosen - rejected for chosen, rejected in zip(scores, scores[len(pairs) :], strict=False)]


def _reward_health(findings: Findings) -> RewardHealth:
    pairs = findings.comparisons.heldout
    margins = preference_margins(findings.reward_model, pairs)
    labels = [pair.p_chosen for pair in pairs]
    ids = [pair.prompt.id for pair in pairs]
    longer = [float(len(pair.chosen.split()) - len(pair.rejected.split())) for pair in pairs]
    try:
        ceiling = measure_ceiling(count_votes(findings.comparisons.heldout_judgments))
    except EvaluationError:
        ceiling = None
    return RewardHealth(
        accuracy=measure_reward_accuracy(margins, labels, ids, length_differences=longer),
        calibration=measure_calibration(margins, labels, ids),
        ceiling=ceiling,
        length_baseline=length_baseline(longer, labels, ids),
        length_correlation=_length_correlation(findings),
        label_source=findings.comparisons.label_source,
    )


def _length_correlation(findings: Findings) -> Estimate:
    rows = [
        (reward, length, prompt_id)
        for answers in findings.answers
        for reward, length, prompt_id in zip(
            answers.rewards, answers.lengths, answers.prompt_ids, strict=True
        )
    ]
    rewards, lengths, ids = zip(*rows, strict=True)
    return within_prompt_correlation(rewards, lengths, ids)


def _win_rates(findings: Findings) -> dict[tuple[str, str], NamedWinRate]:
    sets = list(findings.answers)
    met = [(sets[-1], sets[0])]
    if len(sets) > 2:
        met += [(sets[-1], sets[1]), (sets[1], sets[0])]
    return {
        (new.name, old.name): NamedWinRate(
            label=f"{new.name} against {old.name}",
            win_rate=_compare(findings, new, old),
            judge=findings.judge,
        )
        for new, old in met
    }


def _compare(findings: Findings, new: AnswerSet, old: AnswerSet) -> WinRate:
    return compare_scores(findings.scores(new), findings.scores(old), new.prompt_ids)


def _cards(
    findings: Findings, win_rates: dict[tuple[str, str], NamedWinRate], health: RewardHealth
) -> tuple[Card, ...]:
    policy, start = findings.policy, findings.start
    chance = Mark(value=0.5, label="no better")
    cards = []
    for named in list(win_rates.values())[:2]:
        counts = named.win_rate
        cards.append(
            Card(
                label=f"Win rate, {named.label}",
                estimate=counts.rate,
                style="percent",
                marks=(chance,),
                note=f"{counts.wins} won, {counts.ties} tied, {counts.losses} lost by {named.judge}",
            )
        )
    if policy.tastes:
        cards.append(
            Card(
                label="True taste",
                estimate=mean_estimate(policy.gold, policy.prompt_ids),
                before=mean_estimate(start.gold, start.prompt_ids),
                axis=(0.0, 1.0),
                note="known because the annotators are simulated; never trained on",
            )
        )
    cards.append(
        Card(
            label="KL from the reference",
            estimate=policy.divergence().per_sequence,
            style="nats",
            note="nats an answer, on held-out prompts",
        )
    )
    if health.accuracy is not None:
        marks = [chance]
        if health.ceiling is not None:
            marks.append(Mark(value=health.ceiling.annotator_agreement.value, label="one annotator"))
        cards.append(
            Card(
                label="Reward model, held-out accuracy",
                estimate=health.accuracy.accuracy,
                style="percent",
                marks=tuple(marks),
                axis=(0.4, 1.0),
                note=f"on {health.accuracy.n_pairs} pairs; labels: {health.label_source}",
            )
        )
    return tuple(cards)


def _stage_rows(findings: Findings) -> tuple[StageRow, ...]:
    seconds = {record.name: record.seconds for record in findings.stages}
    rows = []
    for i, answers in enumerate(findings.answers):
        rows.append(
            StageRow(
                name=answers.name,
                taste=mean_estimate(answers.gold, answers.prompt_ids) if answers.tastes else None,
                proxy=mean_estimate(answers.rewards, answers.prompt_ids),
                parts=answers.quality_means(),
                degeneracy=answers.degeneracy(),
                versus_previous=_compare(findings, answers, findings.answers[i - 1]) if i else None,
                versus_start=_compare(findings, answers, findings.start) if i else None,
                kl=answers.divergence().per_sequence,
                seconds=seconds.get(MODEL_OF_STAGE.get(answers.name, "")),
            )
        )
    return tuple(rows)


def _curves(stages_folder: Path) -> list[Curve]:
    curves = []
    for stage, wanted in CURVES.items():
        rows = _metric_rows(stages_folder / stage / "metrics.jsonl")
        for metric, name, y_label in wanted:
            points = [
                (row["step"], row["metrics"][metric])
                for row in rows
                if row["metrics"].get(metric) is not None
            ]
            if points:
                x, y = zip(*points, strict=True)
                curves.append(Curve(stage=STAGE_TITLES[stage], name=name, x=x, y=y, y_label=y_label))
    return curves


def _metric_rows(path: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def _samples(findings: Findings) -> list[Sample]:
    samples = []
    for i, prompt in enumerate(findings.material.heldout):
        answers = []
        for answer_set in findings.answers:
            scores = {"reward": answer_set.rewards[i]}
            if answer_set.tastes:
                scores = {"taste": answer_set.gold[i], **scores}
            completion = answer_set.completions[i]
            answers.append(
                Answer(
                    model=answer_set.name,
                    text=completion.text,
                    scores=scores,
                    n_tokens=len(completion.token_ids),
                    is_cut_off=not completion.finish_reason.is_complete,
                )
            )
        gain = findings.scores(findings.policy)[i] - findings.scores(findings.start)[i]
        samples.append(
            Sample(
                prompt=prompt.text,
                answers=tuple(answers),
                gain=gain,
                domain=str(prompt.meta.get("domain", "")),
            )
        )
    return samples


def _subtitle(findings: Findings) -> str:
    who = "simulated annotators" if findings.material.taste is not None else "people"
    count = len(findings.material.demonstrations)
    tuned = f"fine-tuned on {count} demonstrations, " if count else ""
    return (
        f"{findings.config.model.name}: {tuned}optimized against a reward model of "
        f"{len(findings.comparisons.train)} comparisons by {who}."
    )


def _facts(findings: Findings) -> dict[str, str]:
    return {
        "model": findings.config.model.name,
        "training pairs": f"{len(findings.comparisons.train):,}",
        "held-out pairs": f"{len(findings.comparisons.heldout):,}",
        "held-out prompts": f"{len(findings.material.heldout):,}",
        "seed": str(findings.config.seed),
    }


def _notes(findings: Findings) -> list[str]:
    notes = list(findings.material.notes)
    if findings.material.taste is None:
        notes.append(
            "Win rates are by the reward model the policy was trained on: they say that optimization worked, "
            "not that people would agree. Fresh human comparisons decide that."
        )
    for record in findings.stages:
        notes += record.facts.get("warnings", [])
    notes += findings.comparisons.notes
    return notes
