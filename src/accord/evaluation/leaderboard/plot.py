"""The leaderboard as one SVG file: ratings with their intervals, a row a model, groups told by shade.

Stands alone: no network, no page around it. Leaves out the table.
"""

from collections.abc import Sequence

from accord.evaluation.leaderboard.standing import Standing
from accord.evaluation.report.axes import FONT_WIDTH, Frame, padded_range
from accord.evaluation.report.markup import Markup, element

ROW_HEIGHT = 22.0
LEGEND = "models of one group cannot be told apart from its first"
STYLE = (
    "svg{background:#fff;font:12px system-ui,sans-serif}"
    "text{fill:#333}.tick,.label{fill:#666}.end{text-anchor:end}.middle{text-anchor:middle}"
    ".axis{stroke:#999}.whisker{stroke:#2b5f8a;stroke-width:2}.dot{fill:#2b5f8a}.band{fill:#eef3f7}"
)


def leaderboard_plot(standings: Sequence[Standing]) -> Markup:
    """Best model on top; every second group stands on a band."""
    ends = [end for one in standings for end in (one.rating.low, one.rating.high, one.rating.value)]
    left = 40 + FONT_WIDTH * max(len(one.model) for one in standings)
    frame = Frame(
        x_range=padded_range(ends),
        y_range=(0.0, float(len(standings))),
        x_label="rating",
        y_label=LEGEND,
        width=left + 460,
        height=68 + ROW_HEIGHT * len(standings),
        left=left,
        has_rows=False,
    )
    rows = [_row(frame, one, len(standings) - one.rank + 0.5) for one in standings]
    words = "; ".join(
        f"{one.rank} {one.model} {one.rating.value:.0f} [{one.rating.low:.0f}, {one.rating.high:.0f}]"
        for one in standings
    )
    picture = frame.svg(
        element("style", Markup(STYLE)), rows, key="leaderboard", title="Leaderboard", description=words
    )
    return Markup(picture.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def _row(frame: Frame, one: Standing, level: float) -> Markup:
    y = frame.y(level)
    band = None
    if one.group % 2 == 0:
        band = element("rect", x=0, y=y - ROW_HEIGHT / 2, width=frame.width, height=ROW_HEIGHT, class_="band")
    said = f"ranks {one.best_rank} to {one.worst_rank}, best with {100 * one.first_probability:.1f} %"
    low, high = frame.x(one.rating.low), frame.x(one.rating.high)
    return element(
        "g",
        element("title", f"{one.model}: {said}"),
        band,
        element("text", one.model, x=frame.left - 10, y=y + 4, class_="end"),
        element("line", x1=low, x2=high, y1=y, y2=y, class_="whisker"),
        element("circle", cx=frame.x(one.rating.value), cy=y, r=3.5, class_="dot"),
    )
