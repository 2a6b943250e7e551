"""The loop's place in the store: projects of its own, questions set out, judgments read back.

Setting out is repeatable: a question that is there already is left as it is, so that a run that was killed
between two transactions loses and doubles nothing. Leaves out who judges.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from accord.domain import Choice, Comparison, Judgment, Message, Prompt, Source
from accord.feedback.export import export_lines
from accord.feedback.schema import parse_schema
from accord.feedback.work import Work, newest_definition
from accord.pipeline.rounds.choosing import Question
from accord.store.database.engine import Database
from accord.store.database.projects import NewItem, Projects, hash_of
from accord.store.database.queue import WorkQueue
from accord.store.database.states import ItemState, SlotState
from accord.store.database.tables import item, project, slot

TASK = {
    "kind": "pairwise",
    "title": "Which answer is better?",
    "instructions": "Read the question and both answers, then choose. A tie is an answer; so is: both bad.",
}
"""What is asked about every pair."""


@dataclass(frozen=True)
class Desk:
    """One project's questions."""

    database: Database
    project_id: str
    projects: Projects

    @classmethod
    def open(cls, database: Database, name: str, projects: Projects, *, guideline: str = "") -> "Desk":
        """The project of this name, made where there is none; another guideline becomes its next version."""
        with database.read() as connection:
            found = connection.execute(select(project.c.id).where(project.c.name == name)).scalar()
        project_id = found
        if project_id is None:
            parse_schema(TASK, name)
            project_id = projects.add_project(name)
            projects.add_definition(project_id, "schema", TASK)
        with database.read() as connection:
            newest = newest_definition(connection, project_id, "guideline")
        if guideline and (newest is None or newest.body.get("markdown") != guideline):
            projects.add_definition(project_id, "guideline", {"markdown": guideline})
        return cls(database, project_id, projects)

    def set_out(self, questions: Sequence[Question], *, overlap: int, batch: str) -> int:
        """Add the questions that are not there yet, each to be judged by `overlap`; how many were added.

        `batch` names the round and stage; a pair asked again in another batch is another item.
        """
        contents = [_content(one, batch) for one in questions]
        known = self._known([hash_of(content) for content in contents])
        new = [
            NewItem(content=content, overlap=overlap) for content in contents if hash_of(content) not in known
        ]
        self.projects.add_items(self.project_id, new)
        return len(new)

    def open_slots(self) -> int:
        """Judgments that are still wanted."""
        wanted = (SlotState.OPEN.value, SlotState.LEASED.value)
        with self.database.read() as connection:
            return int(
                connection.execute(
                    select(func.count())
                    .select_from(slot)
                    .join(item, item.c.id == slot.c.item_id)
                    .where(
                        slot.c.project_id == self.project_id,
                        slot.c.state.in_(wanted),
                        item.c.state != ItemState.WITHDRAWN.value,
                    )
                ).scalar_one()
            )

    def judgments(self) -> list[Judgment]:
        """Every judgment, in the order in which they came in: last revisions, no known items, recalled ones
        too.

        `meta` holds the store's id of each as `judgment_id`.
        """
        return read_comparisons(self.database, self.project_id)

    def _known(self, hashes: Sequence[str]) -> set[str]:
        found: set[str] = set()
        with self.database.read() as connection:
            for start in range(0, len(hashes), 500):
                part = hashes[start : start + 500]
                rows = connection.execute(
                    select(item.c.content_hash).where(
                        item.c.project_id == self.project_id, item.c.content_hash.in_(part)
                    )
                )
                found |= {row.content_hash for row in rows}
        return found


def read_comparisons(database: Database, project_id: str) -> list[Judgment]:
    """The comparisons of a project as records; see `Desk.judgments`."""
    work = Work(database, WorkQueue.of(database))
    rows = (json.loads(line) for line in export_lines(work, project_id, "comparisons", has_voided=True))
    prompts: dict[str, Prompt] = {}
    return [_judgment(row, prompts) for row in rows]


def _judgment(row: Mapping[str, Any], prompts: dict[str, Prompt]) -> Judgment:
    prompt = Prompt(messages=tuple(Message(one["role"], one["content"]) for one in row["prompt"]))
    prompt = prompts.setdefault(prompt.id, prompt)
    return Judgment(
        comparison=Comparison(prompt=prompt, left=row["left"], right=row["right"]),
        annotator_id=row["annotator_id"],
        choice=Choice(row["choice"]),
        source=Source(row["source"]),
        meta={"judgment_id": row["judgment_id"]},
    )


def _content(one: Question, batch: str) -> dict[str, Any]:
    """What is stored of a question; `meta` never reaches an annotator."""
    return {
        "messages": [{"role": turn.role, "content": turn.content} for turn in one.prompt.messages],
        "candidates": [{"text": one.first}, {"text": one.second}],
        "meta": {"batch": batch, "inclusion": one.inclusion, "question": one.id},
    }
