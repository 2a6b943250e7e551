"""Which column of a label file is what: a mapping given by the user, or the names found in the file.

Knows names only; the values are read and checked in `labels.py`.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from accord.domain import DataError
from accord.store.exchange.judgments import LEFT, RIGHT

ITEM_SETS = (
    ("doc", "seg", "system"),
    ("doc", "seg"),
    ("question_id", "turn", "model_a", "model_b"),
    ("question_id", "model_a", "model_b"),
)
"""Columns that name an item only together, looked for before a single one."""
ITEMS = (
    *(
        "item_id",
        "item",
        "task_id",
        "task",
        "unit_id",
        "unit",
        "example_id",
        "example",
        "sample_id",
        "sample",
    ),
    *("document_id", "doc_id", "pair_id", "pair", "record_id", "question_id", "idx", "index", "id"),
)
DIMENSIONS = ("dimension", "criterion", "aspect")
"""What was asked about the item; where there is such a column it is part of the item."""
ANNOTATORS = (
    *("annotator_id", "annotator", "worker_id", "worker", "rater_id", "rater", "judge_id", "judge"),
    *("labeler_id", "labeler", "coder_id", "coder", "assessor", "performer", "user_id", "user"),
)
CHOICES = ("winner", "preference")
"""Outcomes of comparisons: left, right, tie or both_bad, under the names `accord data` knows."""
VALUES = (
    *("label", "value", "rating", "answer", "choice", *CHOICES, "score", "class", "category", "verdict"),
    *("vote", "judgment", "judgement", "response", "annotation", "code", "mqm"),
)
GOLD = (
    "gold",
    "golden",
    "truth",
    "true_label",
    "ground_truth",
    "gold_label",
    "correct",
    "expert",
    "expected",
)
TIMESTAMPS = ("timestamp_ms", "ts", "timestamp", "created_at", "submitted_at", "judged_at")
DURATIONS = ("duration_ms", "ms", "latency_ms", "time_ms", "duration_s", "seconds", "duration", "lead_time")
SESSIONS = ("session_id", "session")
GROUPS = (
    *("group", "gender", "age", "age_band", "race", "ethnicity", "locale", "country", "region"),
    *("education", "native_language"),
)
GROUP_STARTS = ("rater_", "annotator_", "worker_", "user_", "group_")
WIDE = re.compile(r"(annotator|rater|worker|coder|judge)[ _-]?\d+")
"""One column an annotator instead of one row a label."""
PREFERENCE_WIDE = frozenset({"response1", "response2"})
"""Beside these, numbered annotators say 1 (left), 2 (right) or 0 (a tie), as PandaLM does."""

ROLES = ("item", "annotator", "value", "timestamp", "duration", "session", "groups")
ValueKind = Literal["plain", "choice", "numbered_choice"]


@dataclass(frozen=True, kw_only=True)
class ColumnMapping:
    """What the columns of a label file are called; what is left empty is found by its name."""

    item: tuple[str, ...] = ()
    """Column, or columns together, that name what was labeled."""
    annotator: str | None = None
    """Column that names who labeled it."""
    value: str | None = None
    """Column of the label, rating or choice; of the known answer in a gold file."""
    timestamp: str | None = None
    """When: ISO 8601 text, or seconds or milliseconds since the epoch (above 1e11 they are milliseconds)."""
    duration: str | None = None
    """How long: milliseconds where the name is `ms` or ends in `_ms`, otherwise seconds."""
    session: str | None = None
    """Sitting in which it was made."""
    groups: tuple[str, ...] = ()
    """Further columns to keep: attributes of the annotator, or a cluster that items belong to."""

    @classmethod
    def from_assignments(cls, assignments: Sequence[str]) -> "ColumnMapping":
        """From `role=column` texts of a command line; `item` and `groups` take several, by comma."""
        chosen: dict[str, str] = {}
        for text in assignments:
            role, sign, column = text.partition("=")
            if not sign or role not in ROLES or not column:
                raise DataError(
                    f"column assignment {text!r} is not understood; expected role=column with a role of "
                    f"{', '.join(ROLES)}, such as item=doc,seg"
                )
            if role in chosen:
                raise DataError(f"role {role!r} is assigned twice, {chosen[role]!r} and {column!r}; keep one")
            chosen[role] = column
        several = {role: tuple(chosen.pop(role, "").split(",")) for role in ("item", "groups")}
        item, groups = (tuple(filter(None, several[role])) for role in ("item", "groups"))
        return cls(
            item=item,
            groups=groups,
            annotator=chosen.get("annotator"),
            value=chosen.get("value"),
            timestamp=chosen.get("timestamp"),
            duration=chosen.get("duration"),
            session=chosen.get("session"),
        )


@dataclass(frozen=True, kw_only=True)
class ColumnRoles:
    """Columns of one file by what they hold, as they are spelled there."""

    item: tuple[str, ...]
    value: str | None
    """None where `wide` holds the values."""
    annotator: str | None
    """None where each row is the verdict of one machine named by the file, and in gold files."""
    wide: tuple[str, ...] = ()
    """Columns that hold one annotator's values each."""
    value_kind: ValueKind = "plain"
    is_text_item: bool = False
    """True where the item columns hold texts, of which only a hash is kept."""
    timestamp: str | None = None
    duration: str | None = None
    session: str | None = None
    groups: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every column to read, once each."""
        single = (self.annotator, self.value, self.timestamp, self.duration, self.session)
        found = (*self.item, *self.wide, *(name for name in single if name is not None), *self.groups)
        return tuple(dict.fromkeys(found))


def find_label_columns(seen: Sequence[str], mapping: ColumnMapping | None, *, path: str) -> ColumnRoles:
    """The roles of the columns of a label file; raises where item, annotator or value cannot be told."""
    mapping = mapping or ColumnMapping()
    search = _Search(seen, path)
    item, is_text = search.item(mapping)
    taken = {name for name in (mapping.value, mapping.annotator) if name}
    wide = () if mapping.annotator or mapping.value else search.wide(set(item))
    value = (
        None if wide else search.required("value", mapping.value, VALUES, {*item, *taken} - {mapping.value})
    )
    annotator = search.optional(mapping.annotator, ANNOTATORS)
    if annotator is None and not wide and not search.is_machine_verdict(value):
        raise search.missing("annotator", ANNOTATORS)
    used = {*item, *wide, *(name for name in (value, annotator) if name)}
    kind: ValueKind = "plain"
    if wide and search.canonical.keys() >= PREFERENCE_WIDE:
        kind = "numbered_choice"
    elif value is not None and (_canonical(value) in CHOICES or (is_text and value)):
        kind = "choice"
    timestamp = search.optional(mapping.timestamp, TIMESTAMPS, used)
    duration = search.optional(mapping.duration, DURATIONS, used)
    session = search.optional(mapping.session, SESSIONS, used)
    used |= {name for name in (timestamp, duration, session) if name}
    return ColumnRoles(
        item=item,
        is_text_item=is_text,
        value=value,
        annotator=None if wide else annotator,
        wide=wide,
        value_kind=kind,
        timestamp=timestamp,
        duration=duration,
        session=session,
        groups=tuple(dict.fromkeys((*map(search.exact, mapping.groups), *search.groups(used)))),
    )


def find_gold_columns(seen: Sequence[str], mapping: ColumnMapping | None, *, path: str) -> ColumnRoles:
    """The roles of the columns of a gold file: item and known answer."""
    mapping = mapping or ColumnMapping()
    search = _Search(seen, path)
    item, is_text = search.item(mapping)
    value = search.required("value", mapping.value, (*GOLD, *VALUES), set(item))
    kind: ValueKind = "choice" if is_text or _canonical(value) in CHOICES else "plain"
    return ColumnRoles(item=item, is_text_item=is_text, value=value, annotator=None, value_kind=kind)


class _Search:
    """Looks names up among the columns of one file, whatever their case, spaces and dashes."""

    def __init__(self, seen: Sequence[str], path: str):
        self.seen = seen
        self.path = path
        self.canonical: dict[str, str] = {}
        for name in seen:
            self.canonical.setdefault(_canonical(name), name)

    def exact(self, name: str) -> str:
        """A column that the user named; raises with what was seen and the nearest."""
        if name in self.seen:
            return name
        if _canonical(name) in self.canonical:
            return self.canonical[_canonical(name)]
        nearest = difflib.get_close_matches(name, self.seen, n=1, cutoff=0.5)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise DataError(
            f"there is no column {name!r}; the file has {', '.join(map(repr, self.seen))}.{hint}",
            path=self.path,
        )

    def optional(self, wanted: str | None, names: Sequence[str], used: Collection[str] = ()) -> str | None:
        """The column named by the user, else the first known name that is there and not yet used."""
        if wanted is not None:
            return self.exact(wanted)
        found = (self.canonical[name] for name in names if name in self.canonical)
        return next((name for name in found if name not in used), None)

    def required(self, role: str, wanted: str | None, names: Sequence[str], used: set[str]) -> str:
        """The same, and an error where there is none."""
        found = self.optional(wanted, names, used)
        if found is None:
            raise self.missing(role, names)
        return found

    def item(self, mapping: ColumnMapping) -> tuple[tuple[str, ...], bool]:
        """The columns that make the item, and whether they hold texts."""
        if mapping.item:
            return tuple(map(self.exact, mapping.item)), False
        for names in ITEM_SETS:
            if all(name in self.canonical for name in names):
                return tuple(self.canonical[name] for name in names), False
        free = [name for name in ITEMS if self.canonical.get(name) not in (None, mapping.value)]
        if free:
            companions = [self.canonical[name] for name in DIMENSIONS if name in self.canonical]
            return (self.canonical[free[0]], *companions), False
        texts = [self.optional(None, names) for names in (("prompt", "instruction"), LEFT, RIGHT)]
        if all(texts):
            return tuple(str(name) for name in texts), True
        raise self.missing("item", ITEMS)

    def wide(self, used: set[str]) -> tuple[str, ...]:
        """Numbered annotator columns; empty where the file has one row a label."""
        names = [name for key, name in self.canonical.items() if WIDE.fullmatch(key) and name not in used]
        has_value = any(name in self.canonical for name in VALUES)
        return tuple(names) if len(names) > 1 and not has_value else ()

    def groups(self, used: set[str]) -> list[str]:
        """Columns that say something about the annotator."""
        return [
            name
            for key, name in self.canonical.items()
            if name not in used
            and (key in GROUPS or key.startswith(GROUP_STARTS))
            and not key.endswith("_id")
        ]

    def is_machine_verdict(self, value: str | None) -> bool:
        """True for comparisons without an annotator: the file then names the judge."""
        has_sides = {"left", "right"} <= self.canonical.keys() or {
            "model_a",
            "model_b",
        } <= self.canonical.keys()
        return has_sides and value is not None and _canonical(value) in CHOICES

    def missing(self, role: str, names: Sequence[str]) -> DataError:
        """The error for a role that no column has."""
        pairs = [
            (difflib.SequenceMatcher(None, key, name).ratio(), column, name)
            for key, column in self.canonical.items()
            for name in names
        ]
        ratio, column, name = max(pairs, default=(0.0, "", ""))
        hint = f" {column!r} comes nearest, to {name!r}." if ratio > 0.6 else ""
        return DataError(
            f"no column is known as the {role}; the file has "
            f"{', '.join(map(repr, self.seen)) or 'no columns'}.{hint} "
            f"Known names: {', '.join(names)}. Name it: --column {role}=NAME, or a ColumnMapping.",
            path=self.path,
        )


def _canonical(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
