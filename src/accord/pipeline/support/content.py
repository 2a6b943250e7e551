"""The support task of the package: prompts with known facts, demonstrations, and the written policy.

Every row was written for this project. Training and held-out prompts never share their notes.
How an answer is scored stands in `taste`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from accord.domain import DataError, Demonstration, Prompt

SYSTEM_MESSAGE = "You are a support agent. Reply from the notes in one or two short, polite sentences."


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportPrompt:
    """A customer's question with the co-pilot's notes, and what a right answer must hold."""

    id: str
    """Domain, number of the notes, letter of the question: `travel-03b`."""
    domain: str
    split: str
    """`train` or `heldout`. Prompts on different sides never share their notes."""
    notes: str
    question: str
    key_facts: tuple[tuple[str, ...], ...]
    """Groups of alternative patterns; a right answer matches at least one of each group."""
    distractors: tuple[str, ...]
    """Patterns of facts that the notes hold but nobody asked for."""
    prompt: Prompt
    """What the model is given."""

    @property
    def topic(self) -> str:
        """The id without its letter: prompts with the same notes share it."""
        return self.id[:-1]


@dataclass(frozen=True)
class SupportTask:
    """Everything the quickstart needs to know about the support task."""

    train: list[SupportPrompt]
    heldout: list[SupportPrompt]
    demonstrations: list[Demonstration]
    """Good answers, each to a training prompt."""
    policy_text: str

    @cached_property
    def _by_prompt_id(self) -> dict[str, SupportPrompt]:
        return {row.prompt.id: row for row in (*self.train, *self.heldout)}

    @property
    def undemonstrated(self) -> list[SupportPrompt]:
        """Training prompts without a demonstration: what comparisons are best drawn from."""
        demonstrated = {demonstration.prompt.id for demonstration in self.demonstrations}
        return [row for row in self.train if row.prompt.id not in demonstrated]

    def find(self, prompt: Prompt) -> SupportPrompt:
        """The row behind `prompt`."""
        row = self._by_prompt_id.get(prompt.id)
        if row is None:
            raise DataError(
                f"prompt {prompt.id} ({prompt.text[:60]!r}) is not one of the {len(self._by_prompt_id)} "
                "prompts of the support task; only those have a known taste"
            )
        return row


def load_support_task() -> SupportTask:
    """Read the prompts, demonstrations and policy from the package."""
    folder = resources.files("accord.pipeline.support")
    rows = [_support_prompt(row) for row in _rows(folder / "prompts.jsonl")]
    by_id = {row.id: row for row in rows}
    demonstrations = [
        Demonstration(
            prompt=by_id[row["prompt_id"]].prompt,
            completion=row["completion"],
            meta={"id": row["prompt_id"], "domain": by_id[row["prompt_id"]].domain},
        )
        for row in _rows(folder / "demonstrations.jsonl")
    ]
    return SupportTask(
        train=[row for row in rows if row.split == "train"],
        heldout=[row for row in rows if row.split == "heldout"],
        demonstrations=demonstrations,
        policy_text=(folder / "policy.md").read_text(encoding="utf-8"),
    )


def _rows(file: Traversable) -> Iterator[Mapping[str, Any]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _support_prompt(row: Mapping[str, Any]) -> SupportPrompt:
    prompt = Prompt.from_text(
        f"Notes: {row['notes']}\nQuestion: {row['question']}",
        system=SYSTEM_MESSAGE,
        meta={"id": row["id"], "domain": row["domain"], "split": row["split"]},
    )
    return SupportPrompt(
        id=row["id"],
        domain=row["domain"],
        split=row["split"],
        notes=row["notes"],
        question=row["question"],
        key_facts=tuple(tuple(group) for group in row["key_facts"]),
        distractors=tuple(row["distractors"]),
        prompt=prompt,
    )
