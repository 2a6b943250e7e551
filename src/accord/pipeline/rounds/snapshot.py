"""The preferences one training learned from, kept by content: what they were made of makes them again.

A snapshot names the judgments behind each pair, the method and its settings, who was left out and why. Its
hash covers all of it; `rebuild_snapshot` makes it anew from the store, and equal inputs give an equal hash.
Leaves out how judgments become preferences (`agreeing`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accord.domain import Judgment, Preference, Rating, WorkspaceError
from accord.domain.files import write_text_atomic
from accord.store import read_judgments, read_preferences, read_ratings, write_records

RECORD = "snapshot.json"
ROWS = "preferences.jsonl"
GRADES = "ratings.jsonl"
SINGLE = "judgments.jsonl"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Preferences and what they were made of."""

    preferences: tuple[Preference, ...]
    settings: Mapping[str, Any]
    """Method, weighting, half-life, round, project."""
    ratings: tuple[Rating, ...] = ()
    """Grades of answers, where a written policy asked for them; `meta` names the judgment of each."""
    judgments: tuple[Judgment, ...] = ()
    """Those behind the pairs, where the reward model learns from each: under pseudonyms, with `judgment_id`,
    `round` and `weight` in `meta`."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Annotator -> why his judgments do not count."""
    voided: tuple[str, ...] = ()
    """Judgments that were recalled, by id."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else was found while it was made; not part of its identity."""

    @property
    def judgment_ids(self) -> list[str]:
        """Every judgment behind it, once, sorted."""
        compared = {one for pair in self.preferences for one in pair.provenance.judgment_ids}
        return sorted(compared | {str(one.meta["judgment_id"]) for one in self.ratings})

    @property
    def hash(self) -> str:
        """SHA-256 of rows, settings and what was left out, 64 hexadecimal digits."""
        rows = [
            [
                pair.prompt.id, pair.chosen, pair.rejected, pair.p_chosen, pair.weight,
                list(pair.provenance.judgment_ids), pair.provenance.method,
            ]
            for pair in self.preferences
        ]  # fmt: skip
        what: dict[str, Any] = {
            "rows": rows,
            "settings": dict(self.settings),
            "left_out": sorted(self.left_out),
            "voided": sorted(self.voided),
        }
        if self.ratings:
            what["ratings"] = [
                [one.prompt.id, one.completion, one.dimension, one.value, one.meta["judgment_id"]]
                for one in self.ratings
            ]
        if self.judgments:
            what["judgments"] = [
                [one.meta["judgment_id"], one.id, one.meta["weight"]] for one in self.judgments
            ]
        text = json.dumps(what, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def write(self, folder: Path) -> None:
        """`preferences.jsonl` and `snapshot.json` in the folder."""
        write_records(folder / ROWS, self.preferences)
        if self.ratings:
            write_records(folder / GRADES, self.ratings)
        if self.judgments:
            write_records(folder / SINGLE, self.judgments)
        record = {
            "hash": self.hash,
            "settings": dict(self.settings),
            "left_out": dict(self.left_out),
            "voided": list(self.voided),
            "judgments": self.judgment_ids,
            "facts": dict(self.facts),
        }
        write_text_atomic(folder / RECORD, json.dumps(record, indent=1, ensure_ascii=False))

    @classmethod
    def read(cls, folder: Path) -> "Snapshot":
        """What `write` wrote; a file that was changed since raises `WorkspaceError`."""
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"{folder / RECORD} is not a snapshot's record: {error}") from error
        found = cls(
            preferences=tuple(read_preferences(folder / ROWS)),
            ratings=tuple(read_ratings(folder / GRADES)) if (folder / GRADES).exists() else (),
            judgments=tuple(read_judgments(folder / SINGLE)) if (folder / SINGLE).exists() else (),
            settings=record["settings"],
            left_out=record["left_out"],
            voided=tuple(record["voided"]),
            facts=record["facts"],
        )
        if found.hash != record["hash"]:
            raise WorkspaceError(
                f"{folder / ROWS} is not what the snapshot {record['hash'][:12]} was made with; it was "
                f"changed since. Make it again by deleting the stage's folder and resuming the run"
            )
        return found


def as_plain(config: Any) -> dict[str, Any]:
    """A config as the settings of a snapshot."""
    return dict(json.loads(json.dumps(asdict(config), default=str)))


def affected(snapshots: Mapping[str, Sequence[str]], judgment_ids: set[str]) -> list[str]:
    """Names of those snapshots (name -> judgment ids) that rest on any of the judgments."""
    return [name for name, ids in snapshots.items() if not judgment_ids.isdisjoint(ids)]
