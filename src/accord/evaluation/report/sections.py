"""The sections of the page, each a function of the report that gives its markup or None when there is nothing.

Leaves out the top (`headline.py`), the sample browser (`browser.py`) and the pictures (`plots.py`).
"""

from collections.abc import Sequence

from accord.evaluation.intervals import Estimate
from accord.evaluation.overoptimization import Gaming, Overoptimization
from accord.evaluation.report.contents import AnnotatorRow, Mark, Report, RewardHealth, StageRow, Style
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import (
    MISSING,
    duration,
    interval,
    number,
    p_value,
    percent,
    styled,
    with_interval,
)
from accord.evaluation.report.plots import (
    curve_panel,
    frontier_panel,
    length_ridges,
    reliability_plot,
    tone_of,
)
from accord.evaluation.report.tracks import Axis, dots_track, interval_track, outcome_bar


def section(key: str, title: str, lead: Child, *children: Child) -> Markup:
    """A titled section with one sentence that says how to read it."""
    return element(
        "section",
        element("h2", title, id=f"{key}-heading"),
        element("p", lead, class_="lead") if lead else None,
        children,
        id=key,
        aria_labelledby=f"{key}-heading",
    )


def stages(report: Report) -> Markup | None:
    """What each stage bought: one row per model, and the parts of the taste."""
    if not report.stages:
        return None
    columns = _stage_columns(report)
    head = element("tr", [element("th", name, scope="col", class_=kind) for name, kind, _ in columns])
    rows = [
        element(
            "tr",
            [
                element("th", _swatch(i, len(report.stages)), row.name, scope="row")
                if j == 0
                else element("td", cells[i], class_=kind)
                for j, (_, kind, cells) in enumerate(columns)
            ],
        )
        for i, row in enumerate(report.stages)
    ]
    notes = [element("li", f"{row.name}: {row.note}") for row in report.stages if row.note]
    return section(
        "stages",
        "What each stage bought",
        f"Every model answers the same held-out prompts; {report.taste_name} is the mean over its answers.",
        element("div", element("table", element("thead", head), element("tbody", rows)), class_="scroll"),
        element("ul", notes, class_="small") if notes else None,
        _taste_parts(report),
    )


def _stage_columns(report: Report) -> list[tuple[str, str, list[Child]]]:
    """Heading, class and cells of each column that holds anything."""
    rows = report.stages
    columns: list[tuple[str, str, list[Child]]] = [("Model", "", [row.name for row in rows])]

    def add(name: str, kind: str, cells: list[Child]) -> None:
        if any(cell is not None for cell in cells):
            columns.append((name, kind, [MISSING if cell is None else cell for cell in cells]))

    add(report.taste_name[:1].upper() + report.taste_name[1:], "num", [_stacked(row.taste) for row in rows])
    add("Reward model", "num", [_stacked(row.proxy) for row in rows])
    add("Win rate vs one before", "num", [_stacked(_rate(row, "versus_previous"), "percent") for row in rows])
    add("Win rate vs start", "num", [_stacked(_rate(row, "versus_start"), "percent") for row in rows])
    add("KL, nats", "num", [_stacked(row.kl) for row in rows])
    texts = [row.degeneracy for row in rows]
    add("Tokens", "num", [None if text is None else number(text.length.mean, digits=1) for text in texts])
    add("Repetition", "num", [None if text is None else percent(text.repetition) for text in texts])
    add("Cut off", "num", [None if text is None else percent(text.cut_off.value) for text in texts])
    add("Empty", "num", [None if text is None else percent(text.empty.value) for text in texts])
    add("Time", "num", [None if row.seconds is None else duration(row.seconds) for row in rows])
    return columns


def _taste_parts(report: Report) -> Markup | None:
    """One line per quality with a dot per model."""
    names = list(dict.fromkeys(name for row in report.stages for name in row.parts))
    if not names:
        return None
    values = [value for row in report.stages for value in row.parts.values()]
    is_share = min(values) >= 0.0 and max(values) <= 1.0
    axis = Axis(low=0.0, high=1.0) if is_share else Axis.around([Estimate(value=value) for value in values])
    lines = []
    for name in names:
        found = [(i, row.parts[name]) for i, row in enumerate(report.stages) if name in row.parts]
        dots = dots_track([(tone_of(i, len(report.stages)), value) for i, value in found], axis)
        words = " → ".join(number(value, digits=2) for _, value in found)
        lines.append(
            element(
                "tr",
                element("th", name, scope="row"),
                element("td", dots),
                element("td", words, class_="num"),
            )
        )
    legend = [
        element("span", _swatch(i, len(report.stages)), row.name)
        for i, row in enumerate(report.stages)
        if row.parts
    ]
    scale = element("tr", element("td"), element("td", axis.ticks()), element("td"))
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", f"The parts of the {report.taste_name}"),
            element("p", legend, class_="legend"),
        ),
        element("table", element("tbody", lines, scale), class_="tracks"),
    )


def frontier(report: Report) -> Markup | None:
    """Proxy and gold reward over KL and the point where gaming starts."""
    found = report.frontier
    if found is None:
        return None
    gold = report.taste_name[:1].upper() + report.taste_name[1:]
    return section(
        "frontier",
        "Reward against KL: where gaming starts",
        gaming_words(found, report.taste_name),
        element(
            "div",
            element("figure", frontier_panel(found, kind="gold", name=f"{gold} (gold)", key="frontier-gold")),
            element(
                "figure",
                frontier_panel(found, kind="proxy", name="Reward model (proxy)", key="frontier-proxy"),
            ),
            class_="pair",
        ),
        _fit_words(found),
    )


def gaming_words(found: Overoptimization, taste_name: str) -> str:
    """What the frontier says, in one or two sentences."""
    peak = found.peak
    change = with_interval(found.gold_after_peak)
    where = f"step {peak.step} (KL {number(peak.kl)} nats; 95% of resampled prompts: step "
    where += f"{found.peak_step_low} to {found.peak_step_high})"
    if found.gaming is Gaming.STARTED:
        return (
            f"Gaming has started: after {where} the {taste_name} falls by {change} while the reward model's own "
            f"score keeps rising by {with_interval(found.proxy_after_peak)}."
        )
    if found.gaming is Gaming.POSSIBLE:
        return (
            f"Gaming cannot be ruled out: after {where} the {taste_name} changes by {change} while the proxy rises; "
            f"the intervals include zero, more prompts would decide."
        )
    return f"No gaming seen: the {taste_name} is highest at {where} and does not fall while the proxy rises."


def _fit_words(found: Overoptimization) -> Markup | None:
    if found.fit is None:
        return None
    fit = found.fit
    turn = f"peak expected at KL {number(fit.peak_kl)} nats" if fit.peak_kl < 1e6 else "no turnover"
    return element(
        "p",
        f"Dotted: fit R(d) = d (α − β ln d) with d = √KL (Gao et al. 2022): α {with_interval(fit.alpha)}, "
        f"β {with_interval(fit.beta)}, R² {number(fit.r_squared, digits=2)}, {turn}.",
        class_="small",
    )


def win_rates(report: Report) -> Markup | None:
    """Forest plot of all win rates."""
    if not report.win_rates:
        return None
    axis = Axis(low=0.0, high=1.0, style="percent")
    rows = []
    for named in report.win_rates:
        result = named.win_rate
        rows.append(
            element(
                "tr",
                element(
                    "th", named.label, element("small", named.judge) if named.judge else None, scope="row"
                ),
                element(
                    "td", interval_track(result.rate, axis, marks=[Mark(value=0.5, label="no difference")])
                ),
                element(
                    "td",
                    percent(result.rate.value),
                    element("small", interval(result.rate, "percent")),
                    class_="num",
                ),
                element(
                    "td",
                    outcome_bar(result.wins, result.ties, result.losses),
                    element("small", f"{result.wins} won, {result.ties} tied, {result.losses} lost"),
                    class_="outcomes",
                ),
                element("td", p_value(result.sign_test_p), class_="num wide"),
            )
        )
    scale = element(
        "tr", element("td"), element("td", axis.ticks()), element("td"), element("td"), element("td")
    )
    return section(
        "win-rates",
        "Win rates",
        "Share of held-out prompts on which the first model's answer is better, ties half, with 95% intervals "
        "by prompt; p is the exact sign test.",
        element(
            "div", element("table", element("tbody", rows, scale), class_="tracks forest"), class_="scroll"
        ),
    )


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
    return (
        f"Calibration error {percent(found.ece)}, bias-corrected {with_interval(found.ece_debiased, 'percent')}; "
        f"Brier score {with_interval(found.brier.score)}, of which reliability {number(found.brier.reliability, digits=4)} "
        f"and resolution {number(found.brier.resolution, digits=4)}; temperature {number(found.temperature)}."
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


def curves(report: Report) -> Markup | None:
    """Training curves, small multiples by stage."""
    if not report.curves:
        return None
    figures = []
    ordered = [(curve.stage, curve.y_label, curve) for curve in report.curves]
    panels: dict[tuple[str, str], list] = {}
    for stage, label, curve in ordered:
        panels.setdefault((stage, label), []).append(curve)
    for i, ((stage, _), group) in enumerate(panels.items()):
        legend = [
            element("span", element("i", class_=f"key-line {_curve_tone(j, len(group))}"), curve.name)
            for j, curve in enumerate(group)
        ]
        figures.append(
            element(
                "figure",
                element("figcaption", element("h3", stage), element("p", legend, class_="legend")),
                curve_panel(group, key=f"curve-{i}"),
            )
        )
    return section("curves", "Training", None, element("div", figures, class_="grid"))


def lengths(report: Report) -> Markup | None:
    """Distribution of answer lengths before and after."""
    found = {name: row for name, row in report.lengths.items() if row}
    if not found:
        return None
    return section(
        "lengths",
        "Length",
        "How long the answers to the held-out prompts are; a policy that wins by length shows it here.",
        element("figure", length_ridges(found, key="lengths-plot"), class_="wide-plot"),
    )


def annotators(report: Report) -> Markup | None:
    """The panel: estimated skill, and the known one where annotators are simulated."""
    if not report.annotators:
        return None
    rows = report.annotators
    has_known = any(row.known_skill is not None for row in rows)
    estimates = [row.estimated_skill for row in rows if row.estimated_skill is not None]
    known = [row.known_skill for row in rows if row.known_skill is not None]
    axis = Axis.around(estimates, include=[0.5, 1.0, *known], style="percent")
    lead = "Probability of choosing the better answer, estimated from the judgments alone"
    lead += "; the tick is the simulated annotator's true skill." if has_known else "."
    names = (
        "Annotator",
        "Judgments",
        "",
        "Estimated skill",
        *(("Known skill",) if has_known else ()),
        "Known habits",
    )
    head = element("tr", [element("th", name, scope="col", class_=_annotator_class(name)) for name in names])
    return section(
        "annotators",
        "The annotators",
        lead,
        element(
            "div",
            element(
                "table",
                element("thead", head),
                element("tbody", [_annotator_row(row, axis, has_known) for row in rows]),
                class_="tracks annotators",
            ),
            class_="scroll",
        ),
    )


def _annotator_row(row: AnnotatorRow, axis: Axis, has_known: bool) -> Markup:
    marks = [] if row.known_skill is None else [Mark(value=row.known_skill, label="known skill")]
    track = None if row.estimated_skill is None else interval_track(row.estimated_skill, axis, marks=marks)
    habits = [row.bias] if row.bias else []
    if row.carelessness is not None:
        habits.append(f"careless in {percent(row.carelessness, digits=0)}")
    return element(
        "tr",
        element("th", row.name, element("small", "simulated") if row.is_simulated else None, scope="row"),
        element("td", number(row.judgments, digits=0), class_="num"),
        element("td", track, class_="track-cell"),
        element("td", with_interval(row.estimated_skill, "percent"), class_="num"),
        element("td", percent(row.known_skill), class_="num") if has_known else None,
        element("td", ", ".join(habits) or MISSING),
    )


def _annotator_class(name: str) -> str | None:
    return "num" if name in ("Judgments", "Estimated skill", "Known skill") else None


def lineage(report: Report) -> Markup:
    """Where everything came from and the command that makes it again."""
    found = report.lineage
    memory = None if found.peak_memory_mb is None else f"{number(found.peak_memory_mb, digits=0)} MB"
    facts: Sequence[tuple[str, str | None]] = (
        ("Seed", None if found.seed is None else str(found.seed)),
        ("Code", found.code_version or None),
        ("Machine", found.machine or None),
        ("Time", None if found.seconds is None else duration(found.seconds)),
        ("Peak memory", memory),
    )
    shown = [element("div", element("dt", name), element("dd", value)) for name, value in facts if value]
    tables = [
        element(
            "details",
            element("summary", f"{name} ({len(rows)})"),
            element(
                "table",
                [
                    element("tr", element("th", key, scope="row"), element("td", value, class_="mono"))
                    for key, value in rows.items()
                ],
            ),
        )
        for name, rows in (
            ("Data, content hashes", found.data),
            ("Models, content hashes", found.models),
            ("Packages", found.packages),
        )
        if rows
    ]
    config = None
    if found.config:
        config = element("details", element("summary", "Configuration"), element("pre", found.config))
    command = None
    if found.command:
        command = (element("p", "Make it again:"), element("pre", found.command, class_="command"))
    return element(
        "footer",
        element("h2", "Provenance"),
        command,
        element("dl", shown, class_="facts") if shown else None,
        tables,
        config,
        element("p", "Made by Accord. This page needs no network and sends nothing.", class_="small"),
    )


def _swatch(index: int, total: int) -> Markup:
    return element("i", class_=f"swatch {tone_of(index, total)}")


def _curve_tone(index: int, total: int) -> str:
    tone = tone_of(total - 1 - index, total) if total > 1 else "tone-last"
    return tone + ("" if index == 0 else " dashed")


def _rate(row: StageRow, name: str) -> Estimate | None:
    result = row.versus_previous if name == "versus_previous" else row.versus_start
    return None if result is None else result.rate


def _stacked(estimate: Estimate | None, style: Style = "number") -> Markup | None:
    """A value with its bounds below it."""
    if estimate is None:
        return None
    bounds = interval(estimate, style)
    return element("span", styled(estimate.value, style), element("small", bounds) if bounds else None)
