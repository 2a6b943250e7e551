"""One coefficient of agreement with its interval, or the reason why there is none."""

from dataclasses import dataclass

from accord.quality.agreement.coincidence import CountRows
from accord.quality.agreement.resampling import BootstrapConfig, Statistic, bootstrap

NOTHING_PAIRABLE = "no item has two ratings, so there is nothing to compare"
NO_VARIANCE = "all ratings are the same value, so agreement by chance is total as well"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A coefficient, its bootstrap interval and what it was computed from.

    `value` is None where the coefficient does not exist, `low` and `high` are None where no interval
    does; `reason` then says why in words, and is None otherwise. Nothing here is ever NaN.
    """

    value: float | None
    low: float | None
    high: float | None
    n_items: int
    """Items that entered the observed agreement: those with two ratings or more."""
    n_ratings: int
    """Ratings on these items."""
    method: str
    """Name of the coefficient, such as `krippendorff_alpha_nominal`."""
    reason: str | None = None

    @property
    def has_interval(self) -> bool:
        """True where the bootstrap gave bounds."""
        return self.low is not None


def no_agreement(method: str, reason: str, *, n_items: int = 0, n_ratings: int = 0) -> Agreement:
    """A coefficient that does not exist, with the reason."""
    return Agreement(
        value=None, low=None, high=None, n_items=n_items, n_ratings=n_ratings, method=method, reason=reason
    )


def agreement_of_rows(
    rows: CountRows, statistic: Statistic, *, method: str, undefined: str, config: BootstrapConfig
) -> Agreement:
    """A coefficient of count rows with its bootstrap interval; `undefined` is the reason for no value."""
    fit = bootstrap(statistic, rows.units, config=config, undefined=undefined)
    pairable = rows.pairable
    return Agreement(
        value=fit.values[0],
        low=fit.lows[0],
        high=fit.highs[0],
        n_items=pairable.n_items,
        n_ratings=pairable.n_ratings,
        method=method,
        reason=fit.reasons[0],
    )
