"""The card of a round's model: what it is for, how it was made, what was measured, and from whose judgments.

Names nobody, and says of what nobody stated that it is not stated. The same run gives the same card.
"""

from typing import Any

from accord.evaluation import Estimate
from accord.pipeline.cards.dataset_card import license_of_prompts, measure
from accord.pipeline.cards.markdown import escape, front_matter, shown, stated, table
from accord.pipeline.charter.principles import Charter, read_charter
from accord.pipeline.lineage import Made, ModelTrace
from accord.pipeline.rounds.plan import LoopConfig, SimulatedJudgesConfig
from accord.pipeline.rounds.releasing import estimate_of
from accord.pipeline.rounds.snapshot import Snapshot

HUB_NAMES = {"smollm2": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")}
"""Built-in models as a hub names them, and their licence."""
NUMBERS = (
    ("win_rate", "preferred to the incumbent by those who judge"),
    ("length_controlled_win_rate", "the same at equal length"),
    ("proxy_win_rate", "preferred to the incumbent by the reward model"),
    ("proxy_gap", "what only the reward model believes"),
    ("reward_accuracy", "reward model right about the judges' verdicts"),
    ("reward_annotator_agreement", "one of the judges right about the others' verdicts"),
    ("reward_ceiling [of=majority]", "the most any model could be right about their majority"),
    ("kl_from_tuned", "KL from the fine-tuned model, nats an answer"),
    ("response_length", "tokens of an answer"),
    ("win_rate [judge=gold]", "preferred to the incumbent by the known taste"),
)


def model_card(trace: ModelTrace, config: LoopConfig) -> str:
    """Markdown with a head for hubs."""
    made = trace.model
    charter = charter_of(made)
    parts = [
        _head(made, config),
        f"# {escape(config.name)}, round {made.record.number}\n",
        _warning(made, config),
        _use(config, charter),
        _numbers(made, config),
        _gates(made),
        _training(trace, config),
        _people(made, config),
        _lineage(trace),
    ]
    return "\n".join(part for part in parts if part)


def charter_of(made: Made) -> Charter | None:
    """The written policy that the model was made under, as the run keeps it."""
    policy = made.record.facts.get("policy")
    return read_charter(made.run.folder / policy["file"]) if policy else None


def _base(config: LoopConfig) -> tuple[str, str]:
    """Name on a hub and licence, empty where not known."""
    name, terms = HUB_NAMES.get(config.model.name, ("", ""))
    own = (
        config.model.name if "/" in config.model.name and not config.model.name.startswith(("/", ".")) else ""
    )
    return config.card.base_model or name or own, config.card.base_license or terms


def _head(made: Made, config: LoopConfig) -> str:
    base, _ = _base(config)
    metrics = [
        {"type": name, "name": words, "value": round(estimate.value, 4)}
        for name, words in NUMBERS
        if (estimate := estimate_of(made.record, name)) is not None
    ]
    name = f"{config.name}-round-{made.record.number}"
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": "held-out prompts of the run", "type": "held-out"},
            "metrics": metrics,
        }
    ]
    simulated = ["simulated"] if isinstance(config.judges, SimulatedJudgesConfig) else []
    return front_matter(
        {
            "license": config.card.license,
            "language": [config.card.language],
            "base_model": base,
            "library_name": "transformers",
            "pipeline_tag": "text-generation",
            "tags": ["rlhf", "accord", *simulated],
            "accord_version": made.record.version,
            "accord_snapshot": made.record.snapshot,
            "model-index": [{"name": name, "results": results}] if metrics else [],
        }
    )


def _warning(made: Made, config: LoopConfig) -> str:
    lines = []
    if isinstance(config.judges, SimulatedJudgesConfig):
        lines.append(
            "> **Judged by simulated annotators** with a known taste: a demonstration, and no evidence of "
            "what people prefer."
        )
    if not made.record.is_released:
        lines.append(f"> **Not released**: the gates said {made.record.verdict}.")
    return "\n>\n".join(lines) + ("\n" if lines else "")


def _use(config: LoopConfig, charter: Charter | None) -> str:
    purpose = config.card.intended_use or (charter.purpose if charter else "")
    text = f"## What it is for\n\n{escape(stated(purpose))}\n"
    limits = [f"- {escape(config.card.limits)}"] if config.card.limits.strip() else []
    if charter:
        limits += [
            f"- It must never do this, and was tested to at most {one.max_rate:.1%} of answers: "
            f"{escape(one.text)} (limit `{one.id}`)"
            for one in charter.limits
        ]
    limits.append(
        "- Nothing was measured beyond the numbers below: other languages, uses and prompts are untested."
    )
    text += "\n## What it is not for\n\n" + "\n".join(limits) + "\n"
    if charter:
        rows = [(one.id, escape(one.text), f"{charter.parts[one.id]:.0%}") for one in charter.principles]
        text += "\n## What it was taught to do\n\n" + table(
            ("principle", "words", "share of the score"), rows
        )
    return text


def _numbers(made: Made, config: LoopConfig) -> str:
    rows = [
        (words, shown(estimate))
        for name, words in NUMBERS
        if (estimate := estimate_of(made.record, name)) is not None
    ]
    policy = made.record.facts.get("policy") or {"principles": []}
    for one in policy["principles"]:
        estimate = estimate_of(made.record, one["number"])
        kind = "share of answers that break" if one["kind"] == "limit" else "people's grade on"
        rows.append((f"{kind} `{one['id']}`", shown(estimate)))
    examined = made.record.facts.get("examined", config.asking.examined_prompts)
    judges = f"{config.judges.type} judges, up to {examined} prompts nothing was trained on"
    return f"## What was measured\n\nBy {judges}; intervals are 95 %.\n\n" + table(("", "value"), rows)


def _gates(made: Made) -> str:
    rows = [(row["id"], row["verdict"], row["reason"], row["about"]) for row in made.record.gates]
    ended = "released" if made.record.is_released else f"not released ({made.record.verdict})"
    head = ("gate", "verdict", "why", "asks")
    return f"## Gates\n\nThe round was {ended}; plan `{made.record.plan_hash}`.\n\n" + table(head, rows)


def _training(trace: ModelTrace, config: LoopConfig) -> str:
    base, terms = _base(config)
    source, prompts = license_of_prompts(config)
    policy, reward = config.policy, config.reward
    rows: list[tuple[str, Any]] = [
        ("base model", f"{base or config.model.name}, licence {terms or 'not stated'}"),
        ("licence of this model", stated(config.card.license)),
        ("rounds it came through", len(trace.chain)),
        ("fine-tuning", f"passes {config.sft.epochs:g}, rate {config.sft.optimization.learning_rate:g}"),
        ("reward model", f"from {reward.objective.type}, members {reward.members}, rule {reward.rule}, "
            f"passes {reward.epochs:g}, rate {reward.optimization.learning_rate:g}, "
            f"`{trace.model.record.reward_version}`"),
        ("policy", f"RLOO, {policy.optimization.steps} steps of {policy.prompts_per_step} prompts x "
            f"{policy.group_size}, rate {policy.optimization.learning_rate:g}, KL {policy.kl_coefficient:g}"),
        ("guard", trace.model.record.facts["guard"] or
            (f"a look each {config.guard.every} steps" if config.guard.every else "none")),
        ("prompts", f"{source}, licence {prompts}"),
        ("seed", config.seed),
    ]  # fmt: skip
    return "## How it was made\n\n" + table(("", ""), rows)


def _people(made: Made, config: LoopConfig) -> str:
    snapshot = Snapshot.read(made.run.folder / "stages" / f"r{made.record.number}-agree")
    found = measure(made, config, snapshot)
    rows = [
        (f"judgments, {source}", f"{count} by {found.labor.annotators[source]} annotators")
        for source, count in found.labor.judgments.items()
    ]
    alpha: list[tuple[str, Estimate | None, str]] = [one for one in found.agreement if "alpha" in one[0]]
    rows += [(name, shown(estimate) if estimate else why) for name, estimate, why in alpha]
    rows += [(name, shown(estimate)) for name, estimate in found.ceiling]
    rows.append(("left out", f"{len(snapshot.left_out)} annotators; the dataset card says why"))
    return "## Whose judgments\n\n" + table(("", ""), rows)


def _lineage(trace: ModelTrace) -> str:
    rows = [
        (
            f"`{made.name}`",
            f"`{made.record.version}`",
            f"`{made.record.began_from}`",
            f"`{made.record.snapshot[:12]}`",
            len(made.judgment_ids),
        )
        for made in trace.chain
    ]
    head = ("round", "weights", "began from", "snapshot", "judgments")
    record = trace.model.run.record
    policy = trace.model.record.facts.get("policy")
    written = f" Written policy: {escape(policy['name'])}, version `{policy['hash']}`." if policy else ""
    further = f"`accord trace {trace.model.name}` goes on from here."
    end = f"\nMade by code {record.provenance.code}.{written} {further}\n"
    return "## Where it comes from\n\n" + table(head, rows) + end
