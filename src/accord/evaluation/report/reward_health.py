"""The reward model on held-out pairs: accuracy beside ceiling and baseline, reliability, loss."""

from accord.evaluation.intervals import Estimate
from accord.evaluation.report.contents import Mark, Report, RewardHealth
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import number, percent, with_interval
from accord.evaluation.report.plots import reliability_plot
from accord.evaluation.report.section import section
from accord.evaluation.report.tracks import Axis, interval_track


def reward_model(report: Report) -> Markup | None:
    """Accuracy beside ceiling and baseline, reliability diagram, accuracy by part."""
    health = report.reward_health
    if health is None:
        return None
    source = f" Labels: {health.label_source}." if health.label_source else ""
    reliability = None
    if health.calibration is not None:
        reliability = element(
            "figure",
            element("figcaption", element("h3", "Can its probabilities be trusted?")),
            reliability_plot(health.calibration, key="reliability"),
            element("p", _calibration_words(health), class_="small"),
        )
    return section(
        "reward-model",
        "The reward model",
        f"On held-out pairs, beside what annotators themselves and length alone achieve.{source}",
        element("div", _accuracy_figure(health), reliability, class_="pair"),
        _loss_words(health),
    )


def _accuracy_figure(health: RewardHealth) -> Markup | None:
    """Forest plot of accuracies on one axis."""
    groups: list[tuple[str, list[tuple[str, Estimate, str]]]] = []
    if health.accuracy is not None:
        groups.append(("", [("Reward model", health.accuracy.accuracy, "tone-last")]))
    if health.length_baseline is not None:
        groups.append(("", [("Length alone", health.length_baseline.accuracy, "tone-first")]))
    if health.ceiling is not None:
        ceiling = health.ceiling
        groups.append(("", [("One annotator vs the others", ceiling.annotator_agreement, "tone-1")]))
        groups.append(("", [("Best possible vs one vote", ceiling.best_single, "tone-1")]))
        groups.append(("", [("Best possible vs majority", ceiling.best_majority, "tone-1")]))
    if health.accuracy is not None:
        parts = health.accuracy
        for name, cells in (
            ("By confidence of the model", parts.by_margin),
            ("By agreement of the label", parts.by_agreement),
            ("By length", parts.by_length),
        ):
            groups.append((name, [(cell.label, cell.accuracy, "tone-last") for cell in cells]))
    lines = [line for _, rows in groups for line in rows]
    if not lines:
        return None
    axis = Axis.around([row for _, row, _ in lines], include=(0.5, 1.0), style="percent")
    body = []
    for name, rows in groups:
        if name and rows:
            body.append(element("tr", element("th", name, colspan=3, scope="colgroup"), class_="group"))
        body += [_accuracy_row(label, row, axis, tone) for label, row, tone in rows]
    scale = element("tr", element("td"), element("td", axis.ticks()), element("td"))
    return element(
        "figure",
        element("figcaption", element("h3", "How often does it pick the preferred answer?")),
        element("table", element("tbody", body, scale), class_="tracks"),
    )


def _accuracy_row(label: str, row: Estimate, axis: Axis, tone: str) -> Markup:
    track = interval_track(row, axis, marks=[Mark(value=0.5, label="guessing")], tone=tone)
    return element(
        "tr",
        element("th", label, scope="row"),
        element("td", track),
        element("td", percent(row.value), element("small", f"n {row.n:,}"), class_="num"),
    )


def _calibration_words(health: RewardHealth) -> str:
    found = health.calibration
    if found is None:
        return ""
    corrected = with_interval(found.ece_debiased, "percent")
    reliability, resolution = found.brier.reliability, found.brier.resolution
    return (
        f"Calibration error {percent(found.ece)}, bias-corrected {corrected}; "
        f"Brier score {with_interval(found.brier.score)}, of which reliability "
        f"{number(reliability, digits=4)} and resolution "
        f"{number(resolution, digits=4)}; temperature {number(found.temperature)}."
    )


def _loss_words(health: RewardHealth) -> Markup | None:
    words = []
    if health.accuracy is not None:
        words.append(f"Loss on the labels (NLL): reward model {with_interval(health.accuracy.nll)} nats")
        if health.length_baseline is not None:
            words.append(f"length alone {with_interval(health.length_baseline.nll)}")
        if health.ceiling is not None:
            words.append(f"noise floor of single votes {with_interval(health.ceiling.best_nll)}")
        words.append("guessing 0.693")
    sentences = ", ".join(words) + "." if words else ""
    if health.length_correlation is not None:
        sentences += (
            f" Correlation of reward and length within a prompt: {with_interval(health.length_correlation)}."
        )
    return element("p", sentences, class_="small") if sentences else None
