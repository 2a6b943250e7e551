"""Which items more people judge than the rest, so that agreement is measured on a fair part of them.

Systematic sampling: within each stratum items are taken at even distances from a start drawn for it, so that
the share holds in each to within one item, and every item has the same chance.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

from accord.feedback.workflow import LabelStage


class OverlapSample:
    """Says of items in the order in which they come how many people are to judge each."""

    def __init__(self, stage: LabelStage, seed: str = ""):
        self.stage, self.seed = stage, seed
        self._n_seen: Counter[str] = Counter()

    def overlap_of(self, content: Mapping[str, Any]) -> int:
        """The overlap of the next item."""
        share = self.stage.sample_share
        if not share:
            return self.stage.overlap
        stratum = self._stratum(content)
        start = random.Random(f"{self.seed} {stratum}").random()
        before, self._n_seen[stratum] = self._n_seen[stratum], self._n_seen[stratum] + 1
        is_taken = math.floor(start + share * (before + 1)) > math.floor(start + share * before)
        return max(self.stage.overlap, self.stage.sample_overlap) if is_taken else self.stage.overlap

    def _stratum(self, content: Mapping[str, Any]) -> str:
        meta = content.get("meta")
        by = self.stage.sample_by
        return str(meta.get(by)) if by is not None and isinstance(meta, Mapping) else ""
