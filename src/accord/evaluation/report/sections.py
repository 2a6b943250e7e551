"""Sections of the page that are one figure or table each; every one is None when there is nothing to show."""

from dataclasses import replace

from accord.evaluation.intervals import Estimate
from accord.evaluation.overoptimization import Gaming, Overoptimization
from accord.evaluation.report.contents import AnnotatorRow, Curve, Mark, NamedWinRate, Report
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import MISSING, interval, nats, number, p_value, percent, with_interval
from accord.evaluation.report.plots import GOOD_FIT, curve_panel, frontier_panel, length_ridges, tone_of
from accord.evaluation.report.section import section
from accord.evaluation.report.tracks import Axis, interval_track, outcome_bar


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
    gold, proxy = found.gold_after_peak, found.proxy_after_peak
    where = f"step {peak.step} (KL {nats(peak.kl)} nats; 95% of resampled prompts: step "
    where += f"{found.peak_step_low} to {found.peak_step_high})"
    if found.gaming is Gaming.STARTED:
        return (
            f"Gaming has started: after {where} the {taste_name} falls by {with_interval(_negated(gold))} "
            f"while the reward model's own score goes on rising by {with_interval(proxy)}."
        )
    if found.gaming is Gaming.POSSIBLE:
        return (
            f"Gaming cannot be ruled out: after {where} the {taste_name} changes by {with_interval(gold)} "
            f"while the proxy rises; the intervals include zero, more prompts would decide."
        )
    return f"No gaming seen: the {taste_name} is highest at {where} and does not fall while the proxy rises."


def _negated(estimate: Estimate) -> Estimate:
    return replace(estimate, value=-estimate.value, low=-estimate.high, high=-estimate.low)


def _fit_words(found: Overoptimization) -> Markup | None:
    if found.fit is None:
        return None
    fit = found.fit
    turn = f"peak expected at KL {nats(fit.peak_kl)} nats" if fit.peak_kl < 1e6 else "no turnover"
    head = "Dotted: fit" if fit.r_squared >= GOOD_FIT else "Not drawn because it fits badly:"
    return element(
        "p",
        f"{head} R(d) = d (α − β ln d) with d = √KL (Gao et al. 2022): α {with_interval(fit.alpha)}, "
        f"β {with_interval(fit.beta)}, R² {number(fit.r_squared, digits=2)}, {turn}.",
        class_="small",
    )


def win_rates(report: Report) -> Markup | None:
    """Forest plot of all win rates."""
    if not report.win_rates:
        return None
    axis = Axis(low=0.0, high=1.0, style="percent")
    rows = [_win_rate_row(named, axis) for named in report.win_rates]
    scale = element(
        "tr", element("td"), element("td", axis.ticks()), element("td"), element("td"), element("td")
    )
    return section(
        "win-rates",
        "Win rates",
        "Share of held-out prompts on which the first model's answer is better, ties half, with intervals by "
        "prompt; p is the exact sign test.",
        element(
            "div", element("table", element("tbody", rows, scale), class_="tracks forest"), class_="scroll"
        ),
    )


def _win_rate_row(named: NamedWinRate, axis: Axis) -> Markup:
    result = named.win_rate
    bounds = interval(result.rate, "percent")
    counts = f"{result.wins} won, {result.ties} tied, {result.losses} lost"
    return element(
        "tr",
        element("th", named.label, element("small", named.judge) if named.judge else None, scope="row"),
        element("td", interval_track(result.rate, axis, marks=[Mark(value=0.5, label="no difference")])),
        element("td", percent(result.rate.value), element("small", bounds), class_="num"),
        element(
            "td",
            outcome_bar(result.wins, result.ties, result.losses),
            element("small", counts),
            class_="outcomes",
        ),
        element("td", p_value(result.sign_test_p), class_="num wide"),
    )


def curves(report: Report) -> Markup | None:
    """Training curves, small multiples by stage."""
    if not report.curves:
        return None
    figures = []
    panels: dict[tuple[str, str], list[Curve]] = {}
    for curve in report.curves:
        panels.setdefault((curve.stage, curve.y_label), []).append(curve)
    for i, ((stage, _), group) in enumerate(panels.items()):
        keys = [element("i", class_=f"key-line {_curve_tone(j, len(group))}") for j in range(len(group))]
        legend = [
            element("span", key if len(group) > 1 else None, curve.name)
            for key, curve in zip(keys, group, strict=True)
        ]
        figures.append(
            element(
                "figure",
                element("figcaption", element("h3", stage), element("p", legend, class_="legend")),
                curve_panel(group, key=f"curve-{i}"),
            )
        )
    return section("curves", "Training", None, element("div", figures, class_="grid"))


def _curve_tone(index: int, total: int) -> str:
    tone = tone_of(total - 1 - index, total) if total > 1 else "tone-last"
    return tone + ("" if index == 0 else " dashed")


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
    if row.carelessness:
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
