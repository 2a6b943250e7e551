"""The loop's place in the store: projects of its own, questions set out, judgments read back.

Setting out is repeatable: a question that is there already is left as it is, so that a run that was killed
between two transactions loses and doubles nothing. Leaves out who judges.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select

from accord.domain import (
    Choice,
    Comparison,
    Demonstration,
    Judgment,
    Message,
    Preference,
    Prompt,
    Provenance,
    Rating,
    Source,
    content_hash,
)
from accord.feedback.export import export_lines
from accord.feedback.schema import parse_schema
from accord.feedback.work import Work, newest_definition
from accord.pipeline.rounds.choosing import Question
from accord.store.database.accounts import Accounts
from accord.store.database.engine import Database
from accord.store.database.people import People
from accord.store.database.projects import NewItem, Projects, hash_of
from accord.store.database.queue import WorkQueue
from accord.store.database.states import ItemState, PersonState, Purpose, SlotState
from accord.store.database.tables import assignment, content, item, judgment, project, slot, user
from accord.store.database.workflow_tables import standing

TASK = {
    "kind": "pairwise",
    "title": "Which answer is better?",
    "instructions": "Read the question and both answers, then choose. A tie is an answer; so is: both bad.",
}
"""What is asked about every pair."""
ANCHORS = "-anchors"
"""Ends the batch of pairs that are judged again in each round and never trained on."""
EDIT = {
    "id": "edit",
    "kind": "text",
    "label": "If you can, write the better answer better.",
    "start_from": "best",
    "required": False,
}
"""Asked beside the comparison where corrections are wanted."""
CORRECTION = "correction"
"""How a pair came about that somebody wrote."""
EXPECTED = {"preference": {"strength": 3, "both_bad": False}}
"""Of a known pair: its first candidate is better."""


@dataclass(frozen=True, kw_only=True)
class KnownPair:
    """A pair of which one answer is known to be better."""

    prompt: Prompt
    better: str
    worse: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Prompt and both answers, whichever way they are shown."""
        first, second = sorted((self.better, self.worse))
        return (self.prompt.id, first, second)


def known_pairs(demonstrations: Sequence[Demonstration], count: int) -> list[KnownPair]:
    """Somebody's answer to a question against his answer to another one, which does not answer it."""
    rows = list({one.prompt.id: one for one in demonstrations}.values())
    n = len(rows)
    if n < 2:
        return []
    step = max(1, n // 2)
    made = [KnownPair(prompt=one.prompt, better=one.completion, worse=rows[(i + step) % n].completion)
            for i, one in enumerate(rows)]  # fmt: skip
    return [one for one in made if one.better != one.worse][:count]


@dataclass(frozen=True)
class Desk:
    """One project's questions."""

    database: Database
    project_id: str
    projects: Projects
    task: Mapping[str, Any] = field(default_factory=lambda: TASK)
    """What is asked about every pair; its first question compares."""

    @classmethod
    def open(
        cls,
        database: Database,
        name: str,
        projects: Projects,
        *,
        guideline: str = "",
        task: Mapping[str, Any] = TASK,
    ) -> "Desk":
        """The project of this name, made where there is none; another guideline or task is a version."""
        there = cls.find(database, name, projects)
        project_id = projects.add_project(name) if there is None else there.project_id
        with database.read() as connection:
            asked = newest_definition(connection, project_id, "schema")
            newest = newest_definition(connection, project_id, "guideline")
        # A lead's own task stays where no other is asked for than the comparison.
        if asked is None or dict(task) not in (TASK, dict(asked.body)):
            parse_schema(task, name)
            projects.add_definition(project_id, "schema", task)
        if guideline and (newest is None or newest.body.get("markdown") != guideline):
            projects.add_definition(project_id, "guideline", {"markdown": guideline})
        return cls(database, project_id, projects, task)

    @classmethod
    def find(cls, database: Database, name: str, projects: Projects) -> "Desk | None":
        """The project of this name; nothing where there is none."""
        with database.read() as connection:
            found = connection.execute(select(project.c.id).where(project.c.name == name)).scalar()
        return None if found is None else cls(database, found, projects)

    def set_out(
        self,
        questions: Sequence[Question],
        *,
        overlap: int,
        batches: Sequence[str],
        panels: Mapping[str, int] | None = None,
    ) -> int:
        """Add the questions that are not there yet, each to be judged by `overlap`; how many were added.

        Of these, as many as `panels` says are for annotators who have that skill.

        `batches` [question] name the round and stage that asks; a pair asked again in another batch, or with
        other questions than the one comparison, is another item.
        """
        asks = {} if self.task == TASK else {"task": content_hash(self.task)}
        contents = [
            _content(one, {"batch": batch, **asks}) for one, batch in zip(questions, batches, strict=True)
        ]
        known = self._known([hash_of(content) for content in contents])
        new = [
            NewItem(content=content, overlap=overlap, quotas=panels or {})
            for content in contents
            if hash_of(content) not in known
        ]
        self.projects.add_items(self.project_id, new)
        return len(new)

    def check_people(self, known: Sequence[KnownPair], *, share: float, repeats: float) -> None:
        """Hide known pairs and own earlier ones among the work, so that a share of it checks who works.

        Those that are there already are left as they are; other shares become the next version of the terms.
        """
        terms = {"gold": share, "repeats": repeats}
        with self.database.read() as connection:
            newest = newest_definition(connection, self.project_id, "policy")
        if newest is None or dict(newest.body) != terms:
            self.projects.add_definition(self.project_id, "policy", terms)
        contents = [
            {
                "messages": [{"role": turn.role, "content": turn.content} for turn in one.prompt.messages],
                "candidates": [{"text": one.better}, {"text": one.worse}],
                "meta": {"batch": "known"},
            }
            for one in known
        ]
        there = self._known([hash_of(body) for body in contents])
        for body in contents:
            if hash_of(body) not in there:
                self.projects.add_gold(self.project_id, NewItem(content=body), EXPECTED)

    def pause(self, handle: str, reason: str) -> None:
        """Let somebody get no more work of this project; whoever never worked here is left alone."""
        people = People(replace(Accounts.of(self.database), ids=self.projects.ids))
        with self.database.read() as connection:
            row = connection.execute(
                select(user.c.id, standing.c.state)
                .join(standing, standing.c.user_id == user.c.id)
                .where(user.c.handle == handle, standing.c.project_id == self.project_id)
            ).first()
        if row is not None and PersonState(row.state).is_at_work:
            people.set_state(row.id, self.project_id, PersonState.PAUSED, by="quality", reason=reason)

    def known_judgments(self) -> list[Judgment]:
        """Judgments of known pairs, first revisions, in order; `meta` holds the better text as `better`."""
        work = Work(self.database, WorkQueue.of(self.database))
        made, after = [], 0
        while page := work.judgments(self.project_id, after):
            after = page[-1]["seq"]
            made += [
                one
                for row in page
                if row["purpose"] == Purpose.GOLD.value
                and row["revision"] == 1
                and (one := self._known_judgment(row)) is not None
            ]
        return made

    def _known_judgment(self, row: Mapping[str, Any]) -> Judgment | None:
        with self.database.read() as connection:
            body = connection.execute(
                select(content.c.body)
                .join(item, item.c.content_hash == content.c.hash)
                .where(item.c.id == row["item"])
            ).scalar_one()
        texts = [one["text"] for one in body["candidates"]]
        value = row["values"].get("preference")
        if not isinstance(value, Mapping) or "strength" not in value:
            return None
        is_as_stored = row["permutation"][0] == 0
        leftward = value["strength"] if is_as_stored else -value["strength"]
        choice = Choice.LEFT if leftward > 0 else Choice.RIGHT if leftward < 0 else Choice.TIE
        left, right = texts if is_as_stored else texts[::-1]
        prompt = Prompt(messages=tuple(Message(one["role"], one["content"]) for one in body["messages"]))
        return Judgment(
            comparison=Comparison(prompt=prompt, left=left, right=right),
            annotator_id=row["annotator"],
            choice=choice,
            source=Source(row["source"]),
            meta={"judgment_id": row["id"], "better": texts[0]},
        )

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
        """Every judgment, in the order in which they came in: last revisions, no known items and no anchors
        that were asked again, recalled ones too.

        `meta` holds the store's id of each as `judgment_id` and the round and stage that asked as `batch`.
        """
        found = read_comparisons(self.database, self.project_id)
        return [one for one in found if not str(one.meta["batch"]).endswith(ANCHORS)]

    def anchor_judgments(self) -> list[Judgment]:
        """Judgments of anchor pairs that were asked again, as `judgments` gives the others."""
        found = read_comparisons(self.database, self.project_id)
        return [one for one in found if str(one.meta["batch"]).endswith(ANCHORS)]

    def panels(self) -> dict[str, str]:
        """Judgment to the skill that its place asked for, where it asked for one."""
        with self.database.read() as connection:
            rows = connection.execute(
                select(judgment.c.id, slot.c.required_skill)
                .join(assignment, assignment.c.id == judgment.c.assignment_id)
                .join(slot, slot.c.id == assignment.c.slot_id)
                .where(slot.c.project_id == self.project_id, slot.c.required_skill.is_not(None))
            )
            return {row.id: row.required_skill for row in rows}

    def corrections(self) -> list[Preference]:
        """What people wrote anew: their text over the one it came from, with the judgment of each."""
        work = Work(self.database, WorkQueue.of(self.database))
        lines = export_lines(work, self.project_id, "preference", has_voided=True)
        # A comparison's own row tells a strength; a correction's does not.
        return [_correction(row) for row in map(json.loads, lines) if "strength" not in row]

    def grades(self) -> list[Rating]:
        """Every grade of an answer, as `judgments` gives comparisons; one for each dimension and answer."""
        work = Work(self.database, WorkQueue.of(self.database))
        lines = export_lines(work, self.project_id, "ratings", has_voided=True)
        return [_grade(json.loads(line)) for line in lines]

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
    with database.read() as connection:
        query = (
            select(judgment.c.id, content.c.body["meta"]["batch"].as_string().label("batch"))
            .join(item, item.c.id == judgment.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .where(item.c.project_id == project_id)
        )
        batches = {row.id: row.batch or "" for row in connection.execute(query)}
    return [_judgment(row, prompts, batches) for row in rows]


def _judgment(row: Mapping[str, Any], prompts: dict[str, Prompt], batches: Mapping[str, str]) -> Judgment:
    prompt = Prompt(messages=tuple(Message(one["role"], one["content"]) for one in row["prompt"]))
    prompt = prompts.setdefault(prompt.id, prompt)
    return Judgment(
        comparison=Comparison(prompt=prompt, left=row["left"], right=row["right"]),
        annotator_id=row["annotator_id"],
        choice=Choice(row["choice"]),
        source=Source(row["source"]),
        meta={"judgment_id": row["judgment_id"], "batch": batches[row["judgment_id"]]},
    )


def _correction(row: Mapping[str, Any]) -> Preference:
    return Preference(
        prompt=Prompt(messages=tuple(Message(one["role"], one["content"]) for one in row["prompt"])),
        chosen=row["chosen"][0]["content"],
        rejected=row["rejected"][0]["content"],
        provenance=Provenance(judgment_ids=(row["judgment_id"],), method=CORRECTION),
        meta={"annotator_id": row["annotator_id"]},
    )


def _grade(row: Mapping[str, Any]) -> Rating:
    return Rating(
        prompt=Prompt(messages=tuple(Message(one["role"], one["content"]) for one in row["prompt"])),
        completion=row["completion"][0]["content"],
        value=float(row["rating"]),
        dimension=row["dimension"],
        annotator_id=row["annotator_id"],
        meta={"judgment_id": row["judgment_id"]},
    )


def _content(one: Question, facts: Mapping[str, str]) -> dict[str, Any]:
    """What is stored of a question; `meta` never reaches an annotator."""
    return {
        "messages": [{"role": turn.role, "content": turn.content} for turn in one.prompt.messages],
        "candidates": [{"text": one.first}, {"text": one.second}],
        "meta": {**facts, "inclusion": one.inclusion, "question": one.id},
    }
