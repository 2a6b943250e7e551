"""How many rows a comparison needs, and what a number of rows can show.

For means of independent rows by the normal approximation; more elaborate designs are in the quality engine.
"""

import math

from scipy.special import ndtri

from accord.domain.errors import EvaluationError


def detectable_effect(deviation: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest difference found with `power`: (z_(1 - alpha/2) + z_power) * deviation / sqrt(n).

    `deviation` is that of one row: 0.5 for a win rate, sqrt(share of discordant pairs) for paired accuracy.
    """
    if n < 1:
        raise EvaluationError(f"n is {n}; expected 1 or more")
    return _factor(deviation, alpha, power) / math.sqrt(n)


def rows_needed(deviation: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Rows at which `effect` is found with `power`."""
    if not effect > 0:
        raise EvaluationError(f"effect is {effect}; expected a number above 0")
    return max(1, math.ceil((_factor(deviation, alpha, power) / effect) ** 2 - 1e-9))


def _factor(deviation: float, alpha: float, power: float) -> float:
    if not (0 < alpha < 1 and 0 < power < 1 and 0 < deviation < math.inf):
        raise EvaluationError(
            f"alpha {alpha}, power {power}, deviation {deviation}: expected alpha and power between 0 and 1 "
            "and a deviation above 0"
        )
    return float(ndtri(1 - alpha / 2) + ndtri(power)) * deviation
