"""How far the annotators of a file agree: every coefficient of a level, as a report and as JSON."""

from typing import Any

import numpy as np

from accord.evaluation import Estimate
from accord.pipeline.quality_contents import Coefficient
from accord.pipeline.quality_labels import LabelSet, Level, item_clusters
from accord.quality.agreement import Agreement, AgreementReport, BootstrapConfig, measure_agreement

NAMES = {
    "percent_agreement": ("Percent agreement", "not corrected for chance"),
    "fleiss_kappa": ("Fleiss' kappa", "chance from the shares of the classes"),
    "gwet_ac1": ("Gwet's AC1", "steady where one class is rare"),
    "gwet_ac2": ("Gwet's AC2", "near values count in part"),
    "cohen_kappa": ("Cohen's kappa", "two annotators, each with his own shares"),
}
"""What readers call the coefficients whose method starts so."""


def agreement_of(
    labels: LabelSet, *, level: Level = "nominal", cluster: str | None = None, seed: int = 0
) -> AgreementReport:
    """Every coefficient that suits the level, with intervals over items or over whole clusters of them."""
    clusters = None if cluster is None else item_clusters(labels, cluster)
    return measure_agreement(labels.table, level=level, clusters=clusters, config=BootstrapConfig(seed=seed))


def agreement_json(
    labels: LabelSet, report: AgreementReport, *, cluster: str | None = None
) -> dict[str, Any]:
    """What `accord quality agreement --json` prints."""
    return {
        **labels.facts,
        "level": report.level,
        "cluster": cluster,
        "interval": "95 % bootstrap over " + ("items" if cluster is None else f"clusters of {cluster}"),
        "coefficients": list(report.coefficients),
    }


def coefficient(found: Agreement) -> Coefficient:
    """One coefficient as the report shows it."""
    name, note = readable_name(found.method)
    if found.value is None:
        return Coefficient(name=name, estimate=None, reason=found.reason or "", note=note)
    return Coefficient(
        name=name,
        estimate=estimate_of(found),
        note=note,
        reason="" if found.has_interval else found.reason or "",
    )


def estimate_of(found: Agreement) -> Estimate:
    """A coefficient that exists as an estimate."""
    low, high = (np.nan if bound is None else bound for bound in (found.low, found.high))
    return Estimate(
        value=np.nan if found.value is None else found.value,
        low=low,
        high=high,
        n=found.n_items,
        method="bootstrap",
    )


def readable_name(method: str) -> tuple[str, str]:
    """What readers call a coefficient, and what to know of it."""
    if method.startswith("krippendorff_alpha"):
        return f"Krippendorff's alpha, {method.rpartition('_')[2]}", "any number of annotators, gaps allowed"
    for start, (name, note) in NAMES.items():
        if method.startswith(start):
            rest = method.removeprefix(start).strip("_").replace("_", " ")
            return (f"{name}, {rest}" if rest else name), note
    return method.replace("_", " "), ""
