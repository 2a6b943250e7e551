"""The consensus of label files: fitted, calibrated on some known answers, scored on the others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain import DataError, Value
from accord.domain.files import write_text_atomic
from accord.pipeline.quality_contents import UNCALIBRATED
from accord.pipeline.quality_labels import LabelSet
from accord.pipeline.quality_scoring import PosteriorScore, choose_gold, score_posterior
from accord.quality.consensus import Consensus, ConsensusFit, GoldStack, Method, fit_consensus, fit_gold_stack
from accord.quality.consensus.vote import vote_share

MOST_CELLS = 1 << 26
"""Numbers in the probabilities of all items or in the confusion matrices of all annotators: half a gigabyte
each, of which a fit holds several. What is larger are ratings, or the values are free text."""
SHOWN_CHARACTERS = 60
"""Of a value in a message."""
FEW_GOLD = 10
"""Fewer known answers than this fit a calibrator that rests on its priors alone."""


@dataclass(frozen=True, eq=False)
class ConsensusOutcome:
    """Everything `accord quality consensus` says."""

    labels: LabelSet
    fit: ConsensusFit
    """Made without gold."""
    stack: GoldStack | None
    """The calibration; None where no gold was to be fitted."""
    fitted_gold: int
    score: PosteriorScore | None
    """On gold that no fit has seen; None where none is left."""
    baseline: PosteriorScore | None
    """The smoothed vote share on the same items: the figure to beat."""

    @property
    def consensus(self) -> Consensus:
        """Calibrated where it could be."""
        return self.fit.consensus if self.stack is None else self.stack.consensus

    @property
    def alarms(self) -> list[str]:
        """What must be known before the result is trusted."""
        if self.stack is not None and self.stack.source == "kinds":
            found = list(self.stack.alarms)  # gold has named what the crowd takes for something else
        else:
            found = [*self.fit.alarms, *(() if self.stack is None else self.stack.alarms)]
        if 0 < self.fitted_gold < FEW_GOLD:
            found.append(
                f"{self.fitted_gold} known answers are few to calibrate on: give 30 or more (--gold-fit 30)"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        consensus, stack = self.consensus, self.stack
        found = {
            **self.labels.facts,
            "method": consensus.method,
            "method_reason": self.fit.consensus.reason,
            "candidates": dict(self.fit.candidates),
            "discount": self.fit.discount,
            "calibrated": consensus.is_calibrated,
            "note": "" if consensus.is_calibrated else UNCALIBRATED,
            "alarms": self.alarms,
            "n_ties": sum(label is None for label in consensus.labels),
        }
        if stack is not None:
            calibrator = stack.calibrator
            found["calibrator"] = {
                "source": stack.source,
                "posterior_weight": calibrator.posterior_weight,
                "share_weight": calibrator.share_weight,
                "intercepts": {
                    str(name): float(value)
                    for name, value in zip(calibrator.classes, calibrator.intercepts, strict=True)
                },
            }
        if self.labels.gold is not None:
            found["gold"] = {
                "n": len(self.labels.gold),
                "n_fitted": self.fitted_gold,
                "n_scored": 0 if self.score is None else self.score.accuracy.n,
                "n_unlabeled": self.labels.unlabeled_gold,
            }
        if self.score is not None and self.baseline is not None:
            found |= {
                "accuracy": self.score.accuracy.value,
                "accuracy_interval": [self.score.accuracy.low, self.score.accuracy.high],
                "log_loss": self.score.log_loss.value,
                "log_loss_interval": [self.score.log_loss.low, self.score.log_loss.high],
                "vote_share_accuracy": self.baseline.accuracy.value,
                "vote_share_log_loss": self.baseline.log_loss.value,
            }
        return found

    def write(self, path: Path) -> None:
        """One row an item as JSON lines: all of them or none."""
        rows = (json.dumps(row, ensure_ascii=False) for row in self.consensus.rows())
        write_text_atomic(path, "".join(row + "\n" for row in rows))


def _short(value: Value) -> str:
    text = repr(value)
    return (
        text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}... ({len(text):,} characters)"
    )


def consensus_of(
    labels: LabelSet, *, method: Method = "auto", gold_fit: int = 0, seed: int = 0
) -> ConsensusOutcome:
    """Fit without gold, calibrate on `gold_fit` known answers drawn by the seed, score on all others."""
    table, gold = labels.table, labels.gold
    if gold_fit < 0:
        raise DataError(f"--gold-fit is {gold_fit}; expected 0 or more known answers to calibrate on")
    if gold_fit and gold is None:
        raise DataError("--gold-fit needs known answers; give their file with --gold")
    cells = table.n_classes * max(table.n_items, table.n_annotators * table.n_classes)
    if cells > MOST_CELLS:
        first, last = _short(table.classes[0]), _short(table.classes[-1])
        raise DataError(
            f"{labels.columns.source}: {table.n_classes:,} distinct values, such as {first} and {last}, of "
            f"{table.n_items:,} items by {table.n_annotators:,} annotators: consensus would hold "
            f"{cells * 8 / 2**30:,.1f} GB in one array, and {MOST_CELLS * 8 / 2**30} GB is the most. For "
            f"ratings see `accord quality agreement --level interval`, or cut them into classes"
        )
    known: Mapping[Any, Value] = gold or {}
    fit = fit_consensus(table, method=method, seed=seed)
    chosen = {item: known[item] for item in choose_gold(known, gold_fit, seed=seed)} if gold_fit else {}
    stack = fit_gold_stack(fit.raw, table, chosen, seed=seed) if chosen else None
    rest = {item: value for item, value in known.items() if item not in chosen}
    consensus = fit.consensus if stack is None else stack.consensus
    items, classes = table.items.tolist(), table.classes
    return ConsensusOutcome(
        labels=labels,
        fit=fit,
        stack=stack,
        fitted_gold=len(chosen),
        score=score_posterior(consensus.probabilities, items=items, classes=classes, gold=rest),
        baseline=score_posterior(vote_share(table), items=items, classes=classes, gold=rest),
    )
