"""The card of a snapshot of preferences: what is in it, who judged, how far they agree, what was left out.

Names nobody: annotators are counted, groups of fewer than ten hidden. Made from run and store alone: the same
input gives the same card.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accord.domain import Judgment, LabelColumns
from accord.domain.errors import AccordError
from accord.evaluation import Estimate
from accord.evaluation.ceiling import count_votes, measure_ceiling
from accord.evaluation.intervals import share_estimate
from accord.pipeline.cards.markdown import escape, front_matter, shown, stated, table
from accord.pipeline.cards.people import Labor, labor_of, told_sizes
from accord.pipeline.lineage import Made, bench_of
from accord.pipeline.plan import SupportTaskConfig
from accord.pipeline.quality_agreement import estimate_of, readable_name
from accord.pipeline.rounds.choosing import domain_of
from accord.pipeline.rounds.plan import LoopConfig, SimulatedJudgesConfig
from accord.pipeline.rounds.snapshot import Snapshot
from accord.quality import measure_agreement, tabulate_labels
from accord.quality.agreement import BootstrapConfig

SUPPORT_SOURCE = "written for Accord and shipped with it"
SUPPORT_LICENSE = "Apache-2.0"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the judgments behind a snapshot say of themselves."""

    judgments: Sequence[Judgment]
    known: Sequence[Judgment]
    labor: Labor
    agreement: Sequence[tuple[str, Estimate | None, str]]
    """Coefficient, estimate, why there is none."""
    ceiling: Sequence[tuple[str, Estimate | None]]


def dataset_card(made: Made, config: LoopConfig) -> str:
    """Markdown with a head for hubs, of the snapshot of one round."""
    snapshot = Snapshot.read(made.run.folder / "stages" / f"r{made.record.number}-agree")
    found = measure(made, config, snapshot)
    parts = [
        _head(made, config, snapshot),
        f"# Preferences of {escape(config.name)}, round {made.record.number}\n",
        _warning(config),
        _contents(made, config, snapshot),
        _people(config, found),
        _agreement(found),
        _making(config, snapshot),
        _left_out(snapshot),
        _lineage(made, snapshot),
    ]
    return "\n".join(part for part in parts if part)


def measure(made: Made, config: LoopConfig, snapshot: Snapshot) -> Measured:
    """Agreement, ceiling and work behind a snapshot, from the store of its run."""
    bench, ids = bench_of(made.run), set(snapshot.judgment_ids)
    judgments = [*bench.judgments(config.name), *bench.chat_votes()]
    judgments = [one for one in judgments if one.meta["judgment_id"] in ids]
    with bench.opened() as database:
        labor = labor_of(database, sorted(ids), config.name)
    known = bench.known_judgments([config.name, f"{config.name} (held out)"])
    return Measured(
        judgments=judgments,
        known=[one for one in known if one.annotator_id not in snapshot.left_out],
        labor=labor,
        agreement=agreement_rows(judgments, seed=config.seed),
        ceiling=ceiling_rows(judgments, seed=config.seed),
    )


def agreement_rows(judgments: Sequence[Judgment], *, seed: int) -> list[tuple[str, Estimate | None, str]]:
    """Every coefficient on which of two answers is better, ties as a class of their own."""
    items, values = [], []
    for one in judgments:
        first, second = sorted((one.comparison.left, one.comparison.right))
        items.append("\x1f".join((one.comparison.prompt.id, first, second)))
        share = one.choice.left_share if one.comparison.left == first else 1 - one.choice.left_share
        values.append(int(2 * share))
    columns = LabelColumns(items=items, annotators=[one.annotator_id for one in judgments], values=values)
    try:
        table_ = tabulate_labels(columns, repeats="first", classes=(0, 1, 2))
        report = measure_agreement(table_, config=BootstrapConfig(seed=seed))
    except AccordError as error:
        return [("agreement", None, str(error))]
    return [
        (readable_name(one.method)[0], None if one.value is None else estimate_of(one), one.reason or "")
        for one in report.coefficients
    ]


def ceiling_rows(judgments: Sequence[Judgment], *, seed: int) -> list[tuple[str, Estimate | None]]:
    """What the disagreement of those who judged leaves to any model; nothing where no pair has two votes."""
    try:
        found = measure_ceiling(count_votes(judgments), seed=seed)
    except AccordError:
        return []
    return [
        ("an annotator agrees with the majority of the others", found.annotator_agreement),
        ("best possible accuracy against one vote", found.best_single),
        ("best possible accuracy against the majority", found.best_majority),
    ]


def license_of_prompts(config: LoopConfig) -> tuple[str, str]:
    """Source and licence of the prompts: those of the config, else of the shipped task."""
    source, terms = config.card.prompts_source, config.card.prompts_license
    if isinstance(config.task, SupportTaskConfig):
        return source or SUPPORT_SOURCE, terms or SUPPORT_LICENSE
    return stated(source), stated(terms)


def _head(made: Made, config: LoopConfig, snapshot: Snapshot) -> str:
    size = next((name for bound, name in SIZES if len(snapshot.preferences) < bound), "n>1M")
    tags = ["rlhf", "preferences", "accord"]
    return front_matter(
        {
            "pretty_name": f"Preferences of {config.name}, round {made.record.number}",
            "license": config.card.license,
            "language": [config.card.language],
            "size_categories": [size],
            "tags": [*tags, *(["simulated"] if isinstance(config.judges, SimulatedJudgesConfig) else [])],
            "accord_snapshot": snapshot.hash,
        }
    )


def _warning(config: LoopConfig) -> str:
    if not isinstance(config.judges, SimulatedJudgesConfig):
        return ""
    return (
        "> **The annotators are simulated**, with a known taste. For trying things out; nothing of it is "
        "what people want.\n"
    )


def _contents(made: Made, config: LoopConfig, snapshot: Snapshot) -> str:
    pairs = snapshot.preferences
    source, terms = license_of_prompts(config)
    words = [len(text.split()) for pair in pairs for text in (pair.chosen, pair.rejected)]
    domains = Counter(domain_of(pair.prompt) or "none" for pair in pairs)
    rows: list[tuple[str, Any]] = [
        ("pairs", len(pairs)),
        ("different prompts", len({pair.prompt.id for pair in pairs})),
        ("ties", sum(pair.is_tie for pair in pairs)),
        ("grades of answers", len(snapshot.ratings)),
        ("words of an answer, median", f"{statistics.median(words):g}"),
        ("domains", ", ".join(f"{name} {count}" for name, count in sorted(domains.items()))),
        ("source of the prompts", source),
        ("licence of the prompts", terms),
        ("licence of the data", stated(config.card.license)),
        ("language", config.card.language),
        ("pairs drawn by", f"{config.asking.strategy}, {config.asking.random_share:.0%} at random"),
        ("policy that answered", f"that of round {made.record.number - 1} or earlier"
            if made.record.number > 1 else "the fine-tuned model"),
    ]  # fmt: skip
    return "## What is in it\n\n" + table(("", ""), rows)


def _people(config: LoopConfig, found: Measured) -> str:
    labor = found.labor
    rows: list[tuple[str, Any]] = [
        (f"judgments, {source}", f"{count} by {labor.annotators[source]} annotators")
        for source, count in labor.judgments.items()
    ]
    rows += [
        (f"under guideline version {version}", f"{count} judgments")
        for version, count in labor.guidelines.items()
    ]
    if found.known:
        right = [1.0 if _is_right(one) else 0.0 if one.choice.is_decided else 0.5 for one in found.known]
        share = share_estimate(right, [one.annotator_id for one in found.known], seed=config.seed)
        total = len(found.known) + len(found.judgments)
        rows.append(("known pairs, hidden among the work", f"{len(found.known) / total:.1%} of judgments"))
        rows.append(("of these judged rightly", shown(share)))
    rows += _pay(config, labor)
    text = "## Who judged\n\n" + table(("", ""), rows)
    for name, counts in labor.groups.items():
        text += f"\nOf those who said so themselves, by {escape(name)}:\n\n" + table(
            ("group", "people"), told_sizes(counts)
        )
    if not labor.groups:
        text += "\nNobody was asked what group he belongs to; sizes of groups are not known.\n"
    return text


def _pay(config: LoopConfig, labor: Labor) -> list[tuple[str, str]]:
    median, rate = labor.median_seconds, config.card.pay_per_hour
    if not labor.n_people:
        return [("pay", "nobody is paid: no people judged")]
    if median is None:
        return [("time of a judgment", "unknown"), ("pay", "unknown")]
    hours = sum(labor.seconds) / 3600
    rows = [("time of a judgment, median", f"{median:.0f} s of {len(labor.seconds)} that were timed")]
    if rate is None:
        return [*rows, ("pay", "unknown: no rate was stated")]
    unit = config.card.currency
    return [
        *rows,
        ("pay an hour", f"{rate:g} {unit}"),
        ("pay a judgment, at the median time", f"{rate * median / 3600:.3f} {unit}"),
        ("paid in all, for active time", f"{rate * hours:.2f} {unit}"),
    ]


def _is_right(one: Judgment) -> bool:
    chosen = one.comparison.left if one.choice.left_share == 1.0 else one.comparison.right
    return one.choice.is_decided and chosen == one.meta["better"]


def _agreement(found: Measured) -> str:
    rows = [(name, shown(estimate) if estimate else reason) for name, estimate, reason in found.agreement]
    text = "## How far they agree\n\n" + table(
        ("which answer is better, ties a class", "95 % interval"), rows
    )
    if found.ceiling:
        ceiling = [(name, shown(estimate)) for name, estimate in found.ceiling]
        text += "\nWhat that leaves to any model:\n\n" + table(("ceiling", "95 % interval"), ceiling)
    return text


def _making(config: LoopConfig, snapshot: Snapshot) -> str:
    agreeing = config.agreeing
    age = "all count alike" if agreeing.half_life is None else f"half after {agreeing.half_life:g} rounds"
    rows = [
        ("consensus", agreeing.method),
        ("weight of a pair", agreeing.weighting),
        ("age", age),
        (
            "votes on a pair",
            f"{snapshot.facts['judgments'] / max(len(snapshot.preferences), 1):.2f} on average",
        ),
    ]
    return "## How votes became preferences\n\n" + table(("", ""), rows)


def _left_out(snapshot: Snapshot) -> str:
    reasons = Counter(snapshot.left_out.values())
    rows = [(f"{count} of the annotators", why) for why, count in sorted(reasons.items())]
    if snapshot.facts.get("judgments_left_out"):
        rows.append(("their judgments", str(snapshot.facts["judgments_left_out"])))
    if snapshot.voided:
        rows.append(("judgments called back", str(len(snapshot.voided))))
    if not rows:
        return "## What was left out\n\nNothing. Nobody is left out for disagreeing.\n"
    return "## What was left out\n\n" + table(("", "why, or how many"), rows)


def _lineage(made: Made, snapshot: Snapshot) -> str:
    provenance = made.run.record.provenance
    rows = [
        ("snapshot", f"`{snapshot.hash}`"),
        ("run and round", f"`{made.name}`"),
        ("judgments, by id in its record", str(len(snapshot.judgment_ids))),
        ("code", str(provenance.code)),
    ]
    if policy := made.record.facts.get("policy"):
        rows.append(("written policy", f"{escape(policy['name'])}, version `{policy['hash']}`"))
    text = "`accord recall` makes it anew without what was called back; its hash covers every row.\n"
    return "## Where it comes from\n\n" + table(("", ""), rows) + "\n" + text
