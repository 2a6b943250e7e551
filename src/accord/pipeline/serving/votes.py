"""Where the votes of the chat page go: through the queue of a database, or to a JSONL file of judgments."""

import json
import threading
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import select

from accord.domain.clock import Clock
from accord.domain.ids import IdSource
from accord.feedback.work import Work
from accord.pipeline.serving.battles import Vote
from accord.store.database.engine import Database
from accord.store.database.projects import NewItem, Projects
from accord.store.database.queue import WorkQueue
from accord.store.database.tables import project

PROJECT = "chat"
"""Name of the project that the votes belong to."""
SCALE = {"left": 1, "tie": 2, "right": 3, "both_bad": 0}
TASK = {
    "title": "Which answer is better?",
    "questions": [
        {"id": "preference", "kind": "comparison", "label": "Which answer is better?", "scale": 3},
    ],
}
SKILL = "chat-page"
"""Nobody has it: what was voted on is not handed out by the queue."""


class Votes(Protocol):
    """Keeps votes."""

    def add(self, vote: Vote, user_id: str) -> str:
        """Keep one; the judgment's id."""
        ...


class FileVotes:
    """Appends judgments to a JSONL file that every command for judgments reads."""

    def __init__(self, path: Path, clock: Clock, ids: IdSource):
        self._path, self._clock, self._ids = path, clock, ids
        self._lock = threading.Lock()

    def add(self, vote: Vote, user_id: str) -> str:
        """Append one row and have it on the disk."""
        judgment_id = self._ids.new()
        row = {
            "prompt": _turns(vote),
            "left": [{"role": "assistant", "content": vote.left}],
            "right": [{"role": "assistant", "content": vote.right}],
            "choice": vote.choice,
            "annotator_id": vote.voter,
            "source": "human",
            "judgment_id": judgment_id,
            "left_model": vote.left_model,
            "right_model": vote.right_model,
            "time": self._clock.now().isoformat(),
        }
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        return judgment_id


class QueueVotes:
    """Makes an item of each vote and judges it through the queue, in the order that was on screen."""

    def __init__(self, database: Database):
        self._projects, self._queue = Projects.of(database), WorkQueue.of(database)
        self._work = Work(database, self._queue)
        self.project_id = self._project()

    def add(self, vote: Vote, user_id: str) -> str:
        """One item, one assignment, one judgment."""
        content: dict[str, Any] = {
            "messages": _turns(vote),
            "candidates": [
                {"text": vote.left, "model": vote.left_model},
                {"text": vote.right, "model": vote.right_model},
            ],
            "meta": {"from": "chat page"},
        }
        new = NewItem(content=content, n_candidates=2, required_skill=SKILL)
        (item_id,) = self._projects.add_items(self.project_id, [new])
        taken = self._queue.claim_item(item_id, user_id, (0, 1))
        answers = {"preference": {"choice": SCALE[vote.choice]}}
        sent = {"token": taken.lease_token, "key": f"chat-{taken.id}", "answers": answers}
        return self._work.submit(taken.id, user_id, sent).judgment_id

    def _project(self) -> str:
        with self._work.database.read() as connection:
            found = connection.execute(select(project.c.id).where(project.c.name == PROJECT)).scalar()
        if found is not None:
            return str(found)
        new_id = self._projects.add_project(PROJECT)
        self._projects.add_definition(new_id, "schema", TASK)
        return new_id


def _turns(vote: Vote) -> list[dict[str, str]]:
    return [{"role": one.role, "content": one.content} for one in vote.prompt.messages]
