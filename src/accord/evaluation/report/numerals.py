"""Numbers as people read them: percentages, intervals, p values, durations.

Leaves out anything that decides; a number that is not there is written as a dash.
"""

import math

from accord.evaluation.intervals import Estimate
from accord.evaluation.report.contents import Style

MISSING = "–"
MINUS = "−"


def number(value: float | None, *, digits: int | None = None) -> str:
    """A number with about three significant digits, or exactly `digits` decimals."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if digits is None:
        size = abs(value)
        digits = 0 if size >= 100 else 1 if size >= 10 else 2
        if 0 < size < 0.1:
            digits = 3
    text = f"{abs(value):,.{digits}f}"
    is_zero = not text.strip("0.,")
    return text if value >= 0 or is_zero else MINUS + text


def percent(value: float | None, *, digits: int = 1) -> str:
    """A share as a percentage."""
    if value is None or math.isnan(value):
        return MISSING
    return number(100.0 * value, digits=digits) + "%"


def styled(value: float | None, style: Style, *, digits: int | None = None) -> str:
    """A value in the style of its card."""
    if style == "percent":
        return percent(value)
    return number(value, digits=digits) + (" nats" if style == "nats" and value is not None else "")


def nats(value: float) -> str:
    """A KL without its unit: one decimal, two below one nat."""
    return number(value, digits=1 if value >= 1 else 2)


def estimate_digits(estimate: Estimate) -> int | None:
    """Decimals worth showing: the last counts at most half of the half width; None without an interval."""
    half = (estimate.high - estimate.low) / 2
    if not estimate.has_interval or half <= 0:
        return None
    return min(4, max(0, -math.floor(math.log10(half / 2))))


def estimate_value(estimate: Estimate, style: Style = "number") -> str:
    """The value alone, with the decimals that its interval allows."""
    return styled(estimate.value, style, digits=estimate_digits(estimate))


def interval(estimate: Estimate, style: Style = "number") -> str:
    """The bounds only: "62.0 to 79.1%"; empty without an interval."""
    if not estimate.has_interval:
        return ""
    if style == "percent":
        return f"{percent(estimate.low)[:-1]} to {percent(estimate.high)}"
    digits = estimate_digits(estimate)
    return f"{number(estimate.low, digits=digits)} to {number(estimate.high, digits=digits)}"


def with_interval(estimate: Estimate | None, style: Style = "number") -> str:
    """Value and bounds in one line: "71.4% [62.0, 79.1]"."""
    if estimate is None:
        return MISSING
    if not estimate.has_interval:
        return styled(estimate.value, style)
    low, _, high = interval(estimate, style).removesuffix("%").partition(" to ")
    return f"{estimate_value(estimate, style)} [{low}, {high}]"


def confidence_words(estimate: Estimate) -> str:
    """What the interval is: "95% interval"."""
    return f"{estimate.confidence:.0%} interval"


def p_value(value: float) -> str:
    """ "p = 0.012", or "p < 0.001"."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def duration(seconds: float | None) -> str:
    """Seconds as "8.1 s", "4 min 12 s" or "2 h 5 min"."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
