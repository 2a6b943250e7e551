"""The sample browser: a plain list of prompts and answers that a small script turns into a pager.

Without JavaScript every sample is shown. Leaves out choosing samples; the report holds them.
"""

from importlib.resources import files

from accord.evaluation.report.contents import Answer, Report, Sample
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import number
from accord.evaluation.report.plots import tone_of
from accord.evaluation.report.section import section

FILTERS = (("all", "All"), ("wins", "Biggest wins"), ("losses", "Biggest losses"))


def samples(report: Report) -> Markup | None:
    """Every sample with its answers side by side, and the controls (shown once the script runs)."""
    if not report.samples:
        return None
    return section(
        "samples",
        "Read the answers",
        "The same held-out prompts, answered by each model. "
        "The gain is the last answer's score minus the first's.",
        _controls(),
        element("ol", [_sample(sample) for sample in report.samples], class_="samples"),
    )


def script() -> Markup:
    """The inline script of the browser, shipped beside this file."""
    return Markup(files("accord.evaluation.report").joinpath("browser.js").read_text(encoding="utf-8"))


def _controls() -> Markup:
    """Filters, place and moves; hidden until the script runs, since they do nothing without it."""
    filters = [
        element(
            "button", name, type="button", data_filter=key, aria_pressed="true" if key == "all" else "false"
        )
        for key, name in FILTERS
    ]
    back = (element("kbd", "←"), " Previous")
    forth = ("Next ", element("kbd", "→"))
    return element(
        "div",
        element("div", filters, class_="filters", role="group", aria_label="Which samples"),
        element("p", class_="status", role="status"),
        element(
            "div",
            element("button", back, type="button", data_move="-1", aria_keyshortcuts="ArrowLeft"),
            element("button", forth, type="button", data_move="1", aria_keyshortcuts="ArrowRight"),
            class_="moves",
        ),
        class_="controls",
        hidden=True,
    )


def _sample(sample: Sample) -> Markup:
    sign = "gain" if sample.gain > 0 else "drop" if sample.gain < 0 else "level"
    change = ("+" if sample.gain > 0 else "") + number(sample.gain)
    return element(
        "li",
        element(
            "div",
            element("span", sample.domain, class_="domain") if sample.domain else None,
            element("span", change, class_=f"change {sign}"),
            class_="sample-head",
        ),
        element("blockquote", sample.prompt, class_="prompt"),
        element(
            "div",
            [_answer(answer, tone_of(i, len(sample.answers))) for i, answer in enumerate(sample.answers)],
            class_="answers",
        ),
        data_gain=f"{sample.gain:.6g}",
    )


def _answer(answer: Answer, tone: str) -> Markup:
    facts = [element("span", f"{name} {number(value)}") for name, value in answer.scores.items()]
    if answer.n_tokens is not None:
        facts.append(element("span", f"{answer.n_tokens} tokens"))
    if answer.is_cut_off:
        facts.append(element("span", "cut off", class_="warning"))
    text = answer.text if answer.text.strip() else "(empty answer)"
    return element(
        "article",
        element("h3", element("i", class_=f"swatch {tone}"), answer.model),
        element("p", text, class_="text"),
        element("p", facts, class_="scores"),
        class_=tone,
    )
