"""Every annotator of label files, assessed against a consensus that no known answer has touched."""

from typing import Any

from accord.pipeline.quality_contents import UNCALIBRATED
from accord.pipeline.quality_labels import LabelSet
from accord.quality.consensus import fit_consensus
from accord.quality.people import Assessment, assess_annotators, gather_evidence


def assess_labels(labels: LabelSet, *, seed: int = 0) -> tuple[Assessment, str]:
    """The assessment, and the method of the consensus it rests on."""
    fit = fit_consensus(labels.table, seed=seed)
    evidence = gather_evidence(labels.table, labels.columns)
    assessment = assess_annotators(
        labels.table, fit.posterior, gold=labels.gold, evidence=evidence, seed=seed
    )
    return assessment, fit.consensus.method


def annotators_json(labels: LabelSet, assessment: Assessment, method: str) -> dict[str, Any]:
    """What `accord quality annotators --json` prints."""
    return {
        **labels.facts,
        "method": method,
        "note": UNCALIBRATED,
        "warnings": list(assessment.warnings),
        "gold_doubts": [doubt for doubt in assessment.gold_doubts if doubt.is_flagged],
        "annotators": [
            {
                "annotator": row.annotator,
                "n_labels": row.n_labels,
                "verdict": row.verdict,
                "reasons": list(row.reasons),
                "agreement": row.agreement,
                "value": row.value.value,
                "gold_accuracy": None if row.gold is None else row.gold.accuracy,
                "camp": row.camp,
            }
            for row in assessment.rows
        ],
    }
