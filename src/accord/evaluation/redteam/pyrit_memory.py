"""PyRIT's memory as it lies on disk: its SQLite database as pieces of conversations, in the form of exports.

Since version 1.0 PyRIT keeps target, attack and scores apart from the pieces and exports no conversations;
this puts them together again. Read only, and nothing of the file is run. Leaves out embeddings and seeds.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError

SQLITE = b"SQLite format 3\x00"
"""First bytes of the file."""
PIECES, SCORES, ATTACKS, CONVERSATIONS = (
    "PromptMemoryEntries",
    "ScoreEntries",
    "AttackResultEntries",
    "Conversations",
)


def is_database(path: Path) -> bool:
    """Whether a file is an SQLite database, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE)) == SQLITE
    except OSError:
        return False


def read_memory(path: Path) -> list[dict[str, Any]]:
    """Pieces of the conversations with a target of an attack, in the order of the file.

    Conversations of the attacker's own model and of scorers, which PyRIT keeps in the same table, are left
    out where the file names the attacks. Raises `DataError` for a database that is none of PyRIT's or broken.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            tables = {name: _rows(database, name, path) for name in (PIECES, SCORES, ATTACKS, CONVERSATIONS)}
    except sqlite3.Error as error:
        raise DataError(f"cannot be read as a database: {error}", path=str(path)) from error
    if not tables[PIECES]:
        raise DataError(
            f"is a database without {PIECES}, or with none in it; expected PyRIT's memory", path=str(path)
        )
    scores = defaultdict(list)
    for row in tables[SCORES]:
        scores[row.get("prompt_request_response_id")].append(row)
    targets = {row["conversation_id"]: row.get("target_identifier") for row in tables[CONVERSATIONS]}
    attacks = {name: row for row in tables[ATTACKS] for name in _of_target(row)}
    pieces = []
    for row in tables[PIECES]:
        attack = attacks.get(row["conversation_id"])
        if attacks and attack is None:
            continue
        piece = {**row, "scores": scores[row.get("id")]}
        piece["prompt_target_identifier"] = row.get("prompt_target_identifier") or targets.get(
            row["conversation_id"]
        )
        if attack is not None:
            piece["objective"] = attack.get("objective")
            piece["attack_identifier"] = _attack(attack)
        pieces.append(piece)
    return pieces


def _rows(database: sqlite3.Connection, table: str, path: Path) -> list[dict[str, Any]]:
    """Rows of a table that is there, in the order in which they were written; columns of JSON parsed."""
    found = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    if found.fetchone() is None:
        return []
    cursor = database.execute(f'SELECT * FROM "{table}" ORDER BY rowid')
    kinds = {row["name"]: row["type"] for row in database.execute(f'PRAGMA table_info("{table}")')}
    return [{name: _cell(row[name], kinds[name], table, path) for name in row.keys()} for row in cursor]  # noqa: SIM118


def _cell(value: Any, kind: str, table: str, path: Path) -> Any:
    if kind != "JSON" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise DataError(f"{table} holds JSON that is none: {error}", path=str(path)) from error


def _of_target(attack: Mapping[str, Any]) -> Iterable[str]:
    """Conversations of an attack with its target, those it gave up among them."""
    return [attack["conversation_id"], *(attack.get("pruned_conversation_ids") or ())]


def _attack(attack: Mapping[str, Any]) -> Any:
    """The attack an identifier names, which may lie within that of a technique and that of a test."""
    found = attack.get("atomic_attack_identifier") or attack.get("attack_identifier")
    for inner in ("attack_technique", "attack"):
        children = found.get("children") if isinstance(found, Mapping) else None
        if isinstance(children, Mapping) and inner in children:
            found = children[inner]
    return found
