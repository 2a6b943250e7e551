"""The rounds of a loop as one page: what each bought, whether to believe it, who judged, and where it stands.

The same sections make the report of a finished loop (one self-contained file) and the board of one that runs.
Leaves out measuring and serving.
"""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from accord.evaluation.report import browser, footer, headline, sections
from accord.evaluation.report.contents import Card, Curve, Lineage, Mark, Report, Sample, Style
from accord.evaluation.report.markup import Child, Markup, element, join
from accord.evaluation.report.numerals import duration, number, with_interval
from accord.evaluation.report.section import section
from accord.evaluation.report.tracks import Axis, interval_track
from accord.pipeline.rounds.moved_page import moved, moved_findings, queues
from accord.pipeline.rounds.policy_page import written_policy
from accord.pipeline.rounds.releasing import SKILL_METRIC, STAGES, RoundRecord, bounded, estimate_of

TRENDS: tuple[tuple[str, str, Style, float | None], ...] = (
    ("win_rate", "Preferred to the incumbent, by those who judge", "percent", 0.5),
    ("win_rate [judge=gold]", "Preferred to the incumbent, by the known taste", "percent", 0.5),
    ("proxy_win_rate", "Preferred to the incumbent, by the reward model", "percent", 0.5),
    ("gold_score", "Known taste of its answers", "number", None),
    ("reward_accuracy", "Reward model right about the judges' verdicts", "percent", 0.5),
    ("reward_annotator_agreement", "One of the judges right about the others' verdicts", "percent", 0.5),
    ("proxy_gap", "What only the reward model believes", "number", 0.0),
    ("kl_from_tuned", "KL from the fine-tuned model", "nats", None),
    ("response_length", "Tokens of an answer", "number", None),
    ("annotator_agreement", "Two judges of a pair agree", "percent", 0.5),
    (f"{SKILL_METRIC} [by=gain]", "Simulated panel's true skill in order, by gains", "number", None),
    (f"{SKILL_METRIC} [by=stated accuracy]", "The same by the accuracy stated", "number", None),
    (
        "drift_preference_change [anchors]",
        "Change of verdicts on the anchor pairs, over noise",
        "number",
        0.0,
    ),
)
"""Number, words, style and the value that means nothing was gained."""
SUBTITLE = (
    "Each round the policy answers, people judge, a reward model learns, the policy improves, "
    "and gates decide on a release."
)
PART_OF = {"evidence": "reward", "grades": "reward"}
"""Stages of some loops only, shown as part of another."""
GLYPHS = {"pass": "✓", "fail": "✕", "undecided": "?", "not measured": "–"}


def loop_to_html(
    records: Sequence[RoundRecord],
    state: Mapping[str, Any],
    *,
    samples: Sequence[Sample] = (),
    curves: Sequence[Curve] = (),
    lineage: Lineage | None = None,
    is_simulated: bool = False,
    refresh_s: int | None = None,
    beside: Child = None,
    assets: str = "",
) -> str:
    """The page. Everything is escaped, and a content policy forbids any request.

    `refresh_s` makes a board of it, which loads itself anew; `beside` is put under the head, such as links.
    With `assets` style and script are linked as `<assets>.css` and `.js` instead of written into the page.
    """
    report = loop_report(records, state, samples=samples, lineage=lineage, is_simulated=is_simulated)
    report = replace(report, curves=tuple(curves))
    script = browser.script() if samples else Markup("")
    main = element(
        "main",
        beside,
        standing(records, state),
        sections.curves(report),
        headline.cards(report),
        headline.findings(report),
        trends(records),
        gates(records),
        written_policy(records),
        queues(records),
        moved(records),
        asked(records),
        people(records),
        browser.samples(report),
    )
    at_end = element("script", src=f"{assets}.js") if assets else element("script", script)
    body = element(
        "body",
        headline.header(report, kind="rounds"),
        main,
        None if assets else footer.lineage(report),
        at_end if script else None,
    )
    head = _head(report.title, script, refresh_s=refresh_s, assets=assets)
    return "<!doctype html>\n" + join(element("html", head, body, lang="en")) + "\n"


def _head(title: str, script: Markup, *, refresh_s: int | None, assets: str) -> Markup:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    forbids = Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">')
    style = element("link", rel="stylesheet", href=f"{assets}.css") if assets else None
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        None if assets else forbids,
        Markup(f'<meta http-equiv="refresh" content="{int(refresh_s)}">') if refresh_s else None,
        element("title", f"{title} · Accord"),
        element("link", rel="icon", href="data:,") if assets else None,
        style or element("style", Markup(page_style())),
    )


def loop_report(
    records: Sequence[RoundRecord],
    state: Mapping[str, Any],
    *,
    samples: Sequence[Sample] = (),
    lineage: Lineage | None = None,
    is_simulated: bool = False,
) -> Report:
    """Head, cards and findings of a loop."""
    facts = {
        "Rounds": f"{len(records)} of {state.get('planned', len(records))}",
        "Released": str(sum(one.is_released for one in records)),
    }
    if records:
        facts |= {
            "Judgments": number(records[-1].judgments, digits=0),
            "Time in stages": duration(records[-1].seconds),
            "Snapshot": records[-1].snapshot[:12],
        }
    return Report(
        title=str(state.get("title") or "Rounds"),
        subtitle=SUBTITLE,
        created_at=str(state.get("at", "")),
        is_simulated=is_simulated,
        facts=facts,
        notes=tuple(_findings(records, state)),
        cards=tuple(_cards(records)),
        samples=tuple(samples),
        lineage=lineage or Lineage(),
    )


def standing(records: Sequence[RoundRecord], state: Mapping[str, Any]) -> Markup:
    """Where the loop is: every stage of every round, done, under way or still to come."""
    planned = int(state.get("planned", len(records)))
    current = str(state.get("stage", ""))
    within = (
        f"{current.partition('-')[0]}-{PART_OF.get(current.partition('-')[2], current.partition('-')[2])}"
    )
    over = state.get("state") == "ended"
    rows = []
    for place in range(1, planned + 1):
        done = place <= len(records)
        cells = []
        passed = False
        ran = _stages_of(records[place - 1]) if done else frozenset(STAGES)
        for stage in STAGES:
            here = not over and within == f"r{place}-{stage}" and not done
            before = not done and current.startswith(f"r{place}-") and not passed and not here
            passed = passed or here
            kind = "absent" if stage not in ran else "done" if done or before else "now" if here else "later"
            words = {
                "done": "done", "now": "under way", "later": "to come", "absent": "no stage of this round",
            }[kind]  # fmt: skip
            cells.append(element("td", element("span", stage, title=words), class_=f"stage {kind}"))
        verdict = records[place - 1].verdict if done else ""
        released = "released" if done and records[place - 1].is_released else verdict
        rows.append(
            element("tr", element("th", f"Round {place}", scope="row"), cells, element("td", released))
        )
    words = f"Ended: {state.get('reason', '')}." if over else f"Under way: {current}." if current else ""
    if state.get("message") and not over:
        words = f"Stopped in {current}: {state['message']}"
    return section(
        "standing",
        "Where it stands",
        words,
        element("div", element("table", element("tbody", rows), class_="standing"), class_="scroll"),
    )


def _stages_of(record: RoundRecord) -> frozenset[str]:
    """Stages the round had when it ran, by its own record: a stage that came later is not called done."""
    ran = record.facts.get("stages")
    return frozenset(STAGES if ran is None else (*ran, STAGES[-1]))


def trends(records: Sequence[RoundRecord]) -> Markup | None:
    """One small panel a number, one line a round."""
    if not records:
        return None
    panels = [
        panel for name, words, style, zero in TRENDS if (panel := _trend(records, name, words, style, zero))
    ]
    lead = "Each line is a round, with its interval; the tick marks no gain."
    return section("trends", "Round after round", lead, element("div", panels, class_="grid trends"))


def gates(records: Sequence[RoundRecord]) -> Markup | None:
    """The verdict of each gate in each round."""
    if not records:
        return None
    ids = list(dict.fromkeys(row["id"] for one in records for row in one.gates))
    head = element("tr", element("th", "Gate"), [element("th", f"Round {one.number}") for one in records])
    rows = []
    for gate in ids:
        found = [next((row for row in one.gates if row["id"] == gate), None) for one in records]
        about = next((row["about"] for row in found if row), "")
        rows.append(
            element(
                "tr",
                element("th", gate, element("small", about), scope="row", class_="wide"),
                [_gate_cell(row) for row in found],
            )
        )
    return section(
        "gates",
        "Gates",
        "A round is released where every blocking gate passes; undecided is not passed.",
        element(
            "div",
            element("table", element("thead", head), element("tbody", rows), class_="gates"),
            class_="scroll",
        ),
    )


def asked(records: Sequence[RoundRecord]) -> Markup | None:
    """What each round cost and what it rests on."""
    if not records:
        return None
    names = (
        "Round", "Pairs asked", "Anchors again", "Held-out prompts", "Pairs learned from", "Judgments so far",
        "Left out", "Snapshot", "Time",
    )  # fmt: skip
    rows = []
    before = 0.0
    for one in records:
        cells = (
            number(one.facts["questions"], digits=0),
            number(one.facts.get("anchors", 0), digits=0),
            number(one.facts.get("examined", 0), digits=0),
            number(one.facts["pairs"], digits=0),
            number(one.judgments, digits=0),
            ", ".join(one.facts["left_out"]) or "nobody",
            one.snapshot[:12],
            duration(one.seconds - before),
        )
        before = one.seconds
        rows.append(
            element("tr", element("th", str(one.number), scope="row"), [element("td", c) for c in cells])
        )
    head = element("tr", [element("th", name, scope="col") for name in names])
    return section(
        "asked",
        "What it rests on",
        "Every pair keeps the chance with which it was drawn; every snapshot names its judgments.",
        element("div", element("table", element("thead", head), element("tbody", rows)), class_="scroll"),
    )


def people(records: Sequence[RoundRecord]) -> Markup | None:
    """The quality engine's word on everybody, after the last round."""
    if not records or not records[-1].facts["words"]:
        return None
    words, paused = records[-1].facts["words"], records[-1].facts["paused"]
    gains = {row["annotator"]: row for row in records[-1].facts.get("gains", ())}
    learnt = {row["annotator"]: row for row in records[-1].facts.get("reward", {}).get("habits", ())}
    estimates = [bounded(row["accuracy"], row["low"], row["high"], row["judgments"]) for row in words]
    axis = Axis.around(
        [one for one in estimates if math.isfinite(one.value)], include=[0.5, 1.0], style="percent"
    )
    rows = []
    for row, estimate in zip(words, estimates, strict=True):
        said = "; ".join(row["reasons"]) or paused.get(row["annotator"], "")
        state = "paused" if row["annotator"] in paused and row["verdict"] == "keep" else row["verdict"]
        rows.append(
            element(
                "tr",
                element("th", row["annotator"], scope="row"),
                element("td", number(row["judgments"], digits=0), class_="num"),
                element("td", interval_track(estimate, axis), class_="track-cell"),
                element("td", with_interval(estimate, "percent"), class_="num"),
                element("td", _gain(gains.get(row["annotator"])), class_="num"),
                element("td", _learnt(learnt.get(row["annotator"])), class_="num") if learnt else None,
                element("td", element("b", state), f" {said}" if said else None),
            )
        )
    names = [
        "Annotator", "Decided", "", "Right, as far as is known", "Gain",
        *(["Gain in training"] if learnt else []), "Word",
    ]  # fmt: skip
    head = element("tr", [element("th", name, scope="col") for name in names])
    table = element("table", element("thead", head), element("tbody", rows), class_="tracks annotators")
    lead = (
        "Estimated from their judgments alone. Nobody is left out for disagreeing, only for worth of "
        "nothing. "
        "The gain says how strongly choices follow the reward: log-odds a standard difference of rewards."
    )
    if learnt:
        lead += " In training it is learnt beside the rewards, around 1 and in units of them."
    return section("people", "Those who judged", lead, element("div", table, class_="scroll"))


def _gain(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    return with_interval(bounded(row["gain"], row["low"], row["high"], row["judgments"]), "number")


def _learnt(row: Mapping[str, Any] | None) -> str:
    """The gain learnt along with the rewards, which has no interval."""
    return "–" if row is None else number(row["gain"])


def _recovered(records: Sequence[RoundRecord]) -> list[str]:
    """Of a simulated panel: how well the last round orders it, by gains and by the accuracy stated."""
    by = ("gain", "stated accuracy")
    told = {name: estimate_of(records[-1], f"{SKILL_METRIC} [by={name}]") for name in by} if records else {}
    said = [f"{with_interval(one, 'number')} by {name}" for name, one in told.items() if one is not None]
    if not said:
        return []
    return [f"Rank correlation with the simulated panel's true skill: {', '.join(said)}."]


def _cards(records: Sequence[RoundRecord]) -> list[Card]:
    if not records:
        return []
    last = records[-1]
    made = []
    for name, label, style, zero in (
        ("win_rate", "Preferred to the incumbent", "percent", 0.5),
        ("gold_score", "Known taste", "number", None),
        ("reward_accuracy", "Reward model against the judges", "percent", 0.5),
        ("kl_from_tuned", "KL from the fine-tuned model", "nats", None),
    ):
        estimate = estimate_of(last, name)
        if estimate is None:
            continue
        before = estimate_of(last, "gold_score [side=incumbent]") if name == "gold_score" else None
        marks = () if zero is None else (Mark(value=zero, label="no gain"),)
        person = estimate_of(last, "reward_annotator_agreement") if name == "reward_accuracy" else None
        if person is not None:
            marks = (*marks, Mark(value=person.value, label="one annotator"))
        made.append(
            Card(
                label=f"{label}, round {last.number}",
                estimate=estimate,
                style=style,  # type: ignore[arg-type]
                before=before,
                marks=marks,
                note=f"{estimate.n} held-out prompts",
            )
        )
    return made


def _findings(records: Sequence[RoundRecord], state: Mapping[str, Any]) -> list[str]:
    found = []
    for one in records:
        estimate = estimate_of(one, "win_rate")
        ended = "was released" if one.is_released else f"was not released ({one.verdict})"
        shown = (
            ""
            if estimate is None
            else f", preferred in {with_interval(estimate, 'percent')} of held-out prompts"
        )
        found.append(f"Round {one.number} {ended}{shown}.")
        if one.facts["guard"]:
            found.append(f"Round {one.number}: the guard stopped the policy, {one.facts['guard']}.")
        found += moved_findings(one)
    if records:
        left_out, paused = records[-1].facts["left_out"], records[-1].facts["paused"]
        if paused:
            found.append(f"Paused while they judged: {', '.join(sorted(paused))}.")
        if left_out:
            found.append(f"Judgments of {', '.join(sorted(left_out))} do not count; they stay in the store.")
    found += _recovered(records)
    if state.get("state") == "ended" and state.get("reason"):
        found.append(f"The loop ended: {state['reason']}.")
    return found


def _trend(
    records: Sequence[RoundRecord], name: str, words: str, style: Style, zero: float | None
) -> Markup | None:
    estimates = [
        (one.number, estimate) for one in records if (estimate := estimate_of(one, name)) is not None
    ]
    if not estimates:
        return None
    include = [] if zero is None else [zero]
    axis = Axis.around([estimate for _, estimate in estimates], include=include, style=style)
    marks = [] if zero is None else [Mark(value=zero, label="no gain")]
    rows = [
        element(
            "tr",
            element("th", str(place), scope="row"),
            element("td", interval_track(estimate, axis, marks=marks)),
            element("td", with_interval(estimate, style), class_="num"),
        )
        for place, estimate in estimates
    ]
    scale = element("tr", element("td"), element("td", axis.ticks()), element("td"))
    table = element("table", element("tbody", rows, scale), class_="tracks")
    return element("figure", element("figcaption", element("h3", words)), table)


def _gate_cell(row: Mapping[str, Any] | None) -> Markup:
    if row is None:
        return element("td", "–")
    kind = row["verdict"].replace(" ", "-")
    warns = " (warns only)" if row["severity"] == "warn" else ""
    return element(
        "td",
        element("b", f"{GLYPHS[row['verdict']]} {row['verdict']}{warns}", class_=f"v-{kind}"),
        element("small", row["reason"]),
    )


def page_style() -> str:
    """The style sheet of the page: that of the reports, and its own."""
    shared = files("accord.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    verdicts = files("accord.evaluation.report.comparison").joinpath("comparison.css")
    own = files("accord.pipeline.rounds").joinpath("rounds.css").read_text(encoding="utf-8")
    return shared + verdicts.read_text(encoding="utf-8") + own
