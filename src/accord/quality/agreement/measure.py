"""All coefficients of agreement that suit a level of measurement, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accord.domain import DataError
from accord.quality.agreement.alpha import Level, class_values, krippendorff_alpha
from accord.quality.agreement.gwet import gwet_ac
from accord.quality.agreement.icc import intraclass_correlations
from accord.quality.agreement.kappa import cohen_kappa, fleiss_kappa, percent_agreement
from accord.quality.agreement.resampling import DEFAULT_BOOTSTRAP, BootstrapConfig
from accord.quality.agreement.result import Agreement
from accord.quality.agreement.weights import Credit
from accord.quality.labels import LabelTable


@dataclass(frozen=True, kw_only=True)
class AgreementReport:
    """Coefficients of one table on one level."""

    level: Level
    coefficients: tuple[Agreement, ...]
    n_items: int
    """Items of the table, with one rating or more."""
    n_ratings: int
    n_annotators: int
    """Annotators who gave a rating."""

    def __getitem__(self, method: str) -> Agreement:
        for agreement in self.coefficients:
            if agreement.method == method:
                return agreement
        names = ", ".join(agreement.method for agreement in self.coefficients)
        raise DataError(f"no coefficient {method!r} on level {self.level!r}; there are {names}")


def measure_agreement(
    table: LabelTable,
    *,
    level: Level = "nominal",
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> AgreementReport:
    """Every coefficient that suits the level, each with its interval.

    | level    | coefficients                                                            |
    |----------|-------------------------------------------------------------------------|
    | nominal  | percent, Fleiss, alpha, AC1; Cohen                                      |
    | ordinal  | percent, alpha, AC2 (ordinal credit); Cohen linear and quadratic        |
    | interval | percent, alpha, AC2 (quadratic, by value), six ICC; Cohen quadratic     |
    | ratio    | percent, alpha, six ICC                                                 |

    Cohen's kappa where the table has exactly two annotators. Ordinal classes must stand in their
    order in the table. `clusters` [item] names what is drawn as a whole by the bootstrap.
    """
    values = class_values(table, level)
    n_annotators = len(np.unique(table.annotator_index))
    found = [percent_agreement(table, clusters=clusters, config=config)]
    if level == "nominal":
        found.append(fleiss_kappa(table, clusters=clusters, config=config))
    found.append(krippendorff_alpha(table, level=level, clusters=clusters, config=config))
    ac_credits: dict[Level, Credit] = {
        "nominal": "identity",
        "ordinal": "ordinal",
        "interval": "quadratic",
    }
    if level in ac_credits:
        found.append(
            gwet_ac(table, credit=ac_credits[level], values=values, clusters=clusters, config=config)
        )
    if n_annotators == 2:
        cohen_credits: dict[Level, tuple[Credit, ...]] = {
            "nominal": ("identity",),
            "ordinal": ("linear", "quadratic"),
            "interval": ("quadratic",),
        }
        found += [
            cohen_kappa(table, credit=credit, values=values, clusters=clusters, config=config)
            for credit in cohen_credits.get(level, ())
        ]
    if level in ("interval", "ratio"):
        found += intraclass_correlations(table, clusters=clusters, config=config)
    return AgreementReport(
        level=level,
        coefficients=tuple(found),
        n_items=table.n_items,
        n_ratings=table.n_labels,
        n_annotators=n_annotators,
    )
