"""The frame of a section and the color dot of a model."""

from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.plots import tone_of


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


def swatch(index: int, total: int) -> Markup:
    """The color of a model by its place in the run."""
    return element("i", class_=f"swatch {tone_of(index, total)}")
