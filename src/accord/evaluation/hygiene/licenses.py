"""Licenses of training rows: which are named, which are allowed, and how many rows have none.

Names are read as SPDX expressions (OR, AND, brackets), with the common ways of writing them. Leaves out
whether a license was given by who could give it, and what it asks for (naming the authors, sharing alike).
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.domain.errors import EvaluationError
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement

COLUMNS = ("license", "licence", "License", "spdx", "license_name")
"""Columns of a row that name its license, the first that is filled."""
ALLOWED = (
    "MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unlicense", "CC0-1.0",
    "PDDL-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "ODC-By-1.0", "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
)  # fmt: skip
"""Licenses that permit use, change and sale, and ask at most for a notice."""
UNKNOWN = "unknown"
SPELLINGS: Mapping[str, str] = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "mit license": "MIT",
    "expat": "MIT",
    "bsd": "BSD-3-Clause",
    "bsd 2 clause": "BSD-2-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "cc0": "CC0-1.0",
    "public domain": "CC0-1.0",
    "cc by": "CC-BY-4.0",
    "odc by": "ODC-By-1.0",
}
UNSAID = frozenset({"", "unknown", "none", "n/a", "na", "other", "noassertion", "null", "?"})


@dataclass(frozen=True, kw_only=True)
class LicenseCount:
    """Rows by their license."""

    counts: Mapping[str, int]
    """License as normalized, or "unknown" -> rows."""
    refused: tuple[str, ...]
    """Licenses, "unknown" among them, that are not allowed and have rows."""
    assumed: int = 0
    """Rows that named none and were given the one said for them."""

    @property
    def rows(self) -> int:
        """All."""
        return sum(self.counts.values())

    @property
    def rows_refused(self) -> int:
        """Rows of unknown or refused licenses."""
        return sum(self.counts[name] for name in self.refused)


def count_licenses(
    rows: Sequence[Mapping[str, Any]], *, allowed: Collection[str] = ALLOWED, assumed: str = ""
) -> LicenseCount:
    """Count rows by license; `assumed` is that of rows which name none, by the word of who runs this."""
    if not rows:
        raise EvaluationError("there are no rows whose license could be read (n = 0)")
    known = {normalize_license(one).lower() for one in allowed}
    counts: Counter[str] = Counter()
    given = 0
    for row in rows:
        name = read_license(row)
        if name == UNKNOWN and assumed.strip():
            name, given = normalize_license(assumed), given + 1
        counts[name] += 1
    refused = sorted(name for name in counts if not is_allowed(name, known))
    return LicenseCount(counts=dict(sorted(counts.items())), refused=tuple(refused), assumed=given)


def read_license(row: Mapping[str, Any]) -> str:
    """The license a row names, in itself or in its `meta` or `metadata`; "unknown" where it names none."""
    for place in (row, row.get("meta"), row.get("metadata")):
        if not isinstance(place, Mapping):
            continue
        for column in COLUMNS:
            value = place.get(column)
            if isinstance(value, str) and value.strip().lower() not in UNSAID:
                return normalize_license(value)
    return UNKNOWN


def normalize_license(name: str) -> str:
    """An SPDX expression of known spelling; other names as they stand, in single spaces."""
    plain = " ".join(name.split())
    parts = re.split(r"(\bOR\b|\bAND\b|[()])", plain)
    made = [part if part in ("OR", "AND", "(", ")", "") else f" {_spelled(part)} " for part in parts]
    return " ".join("".join(made).split()).replace("( ", "(").replace(" )", ")")


def is_allowed(name: str, allowed: Collection[str]) -> bool:
    """Whether an expression is met by allowed licenses (in lower case): any of OR, all of AND."""
    text = name.strip()
    while text.startswith("(") and _closes_at_end(text):
        text = text[1:-1].strip()
    for word, gather in (("OR", any), ("AND", all)):
        parts = _split(text, word)
        if len(parts) > 1:
            return gather(is_allowed(part, allowed) for part in parts)
    return text.lower() in allowed


def license_measurement(count: LicenseCount, facts: Mapping[str, Any]) -> Measurement:
    """`train_unlicensed`: share of rows whose license is unknown or not allowed; counted."""
    value = count.rows_refused / count.rows
    shown = {
        **facts,
        "licenses": dict(count.counts),
        "refused": list(count.refused),
        "assumed_rows": count.assumed,
    }
    counted = Estimate(value=value, low=value, high=value, n=count.rows, method="counted")
    return Measurement(metric="train_unlicensed", estimate=counted, facts=shown)


def _spelled(part: str) -> str:
    plain = part.strip()
    known = {one.lower(): one for one in ALLOWED}
    if plain.lower() in known:
        return known[plain.lower()]
    loose = re.sub(r"[\s,_-]+", " ", plain.lower()).strip()
    loose = re.sub(r"^the ", "", loose)
    found = SPELLINGS.get(loose) or {one.lower().replace("-", " "): one for one in ALLOWED}.get(loose)
    return found or plain


def _split(text: str, word: str) -> list[str]:
    """Parts of an expression at a word that stands outside brackets."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(rf"[()]|\b{word}\b", text):
        if match.group() == "(":
            depth += 1
        elif match.group() == ")":
            depth -= 1
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _closes_at_end(text: str) -> bool:
    depth = 0
    for i, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return i == len(text) - 1
    return False
