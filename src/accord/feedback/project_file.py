"""A project in one TOML file: its name, what is asked, the guideline, and where its items lie.

Everything wrong with the file is said at once. Leaves out writing it to the database.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain.errors import ConfigError, DataError
from accord.feedback.items import content_of
from accord.feedback.policy import policy_problems
from accord.feedback.sampling import OverlapSample
from accord.feedback.schema import FIELDS_OF_A_TASK as TASK_FIELDS
from accord.feedback.schema import TaskSchema, parse_schema
from accord.feedback.workflow import LabelStage, parse_workflow
from accord.store.database.projects import NewItem, Projects

NOT_LIVE = {"consensus", "review", "adjudication"}
"""Stages that conversations with live models do not go through: nobody can have the same one again."""
OWN_FIELDS = (
    "name", "guideline", "guideline_file", "items", "overlap", "max_overlap", "agreement",
    "workflow", "people",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ProjectFile:
    """What a project file says."""

    name: str
    task: Mapping[str, Any]
    """The task schema as data, as it is stored."""
    schema: TaskSchema
    guideline: str
    """Markdown; empty where there is none."""
    items: Path | None
    """A JSONL file of rows, beside the project file."""
    overlap: int
    """How many people judge each item."""
    max_overlap: int
    """How many judge it at most, where they do not agree."""
    agreement: float
    """Share of the commonest answer from which on nobody else is asked."""
    stages: Sequence[Mapping[str, Any]] | None
    """The workflow in full; nothing where `max_overlap` and `agreement` say it."""
    people: Mapping[str, Any]
    """What the project asks of those who work for it."""

    @property
    def workflow(self) -> dict[str, Any]:
        """The workflow as data, as it is stored."""
        if self.stages is not None:
            return {"stages": list(self.stages)}
        return {"max_overlap": self.max_overlap, "agreement": self.agreement}


def read_project(path: Path) -> ProjectFile:
    """A project from its file; raises `ConfigError` with all that is wrong, `DataError` for no file."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"is not TOML: {error}", path=str(path)) from error
    problems = [
        f"{name}: not known; expected one of {', '.join((*OWN_FIELDS, *TASK_FIELDS))}"
        for name in sorted(set(data) - {*OWN_FIELDS, *TASK_FIELDS})
    ]
    name, overlap = data.get("name"), data.get("overlap", 1)
    if not isinstance(name, str) or not name.strip():
        problems.append(f"name: {name!r}; expected a text")
    if type(overlap) is not int or not 1 <= overlap <= 100:
        problems.append(f"overlap: {overlap!r}; expected a whole number from 1 to 100")
    max_overlap, agreement = data.get("max_overlap", overlap), data.get("agreement", 0.7)
    if type(max_overlap) is not int or type(overlap) is not int or not overlap <= max_overlap <= 100:
        problems.append(f"max_overlap: {max_overlap!r}; expected a whole number from overlap to 100")
    if not isinstance(agreement, float | int) or not 0 < agreement <= 1:
        problems.append(f"agreement: {agreement!r}; expected a share above 0 and up to 1")
    stages, people = data.get("workflow"), data.get("people", {})
    problems += _workflow_problems(data)
    if stages is not None and not problems:
        overlap = parse_workflow({"stages": stages}, str(path)).first.overlap
        max_overlap = max(max_overlap, overlap)
    problems += policy_problems(people)
    guideline = _guideline(data, path, problems)
    items = path.parent / str(data["items"]) if "items" in data else None
    if items is not None and not items.is_file():
        problems.append(f"items: there is no file {items}")
    task = {field: data[field] for field in TASK_FIELDS if field in data}
    schema = None
    try:
        schema = parse_schema(task, str(path))
    except ConfigError as error:
        problems += error.problems
    if schema is not None and schema.live is not None:
        problems += _live_problems(stages, people)
    if problems or schema is None:
        raise ConfigError(str(path), problems)
    return ProjectFile(
        name=str(name),
        task=task,
        schema=schema,
        guideline=guideline,
        items=items,
        overlap=overlap,
        max_overlap=max_overlap,
        agreement=float(agreement),
        stages=stages,
        people=people,
    )


def _live_problems(stages: Any, people: Mapping[str, Any]) -> list[str]:
    """What conversations with live models cannot have."""
    others = sorted({str(one.get("kind")) for one in stages or () if isinstance(one, Mapping)} & NOT_LIVE)
    problems = [f"workflow: a conversation goes through no {one} yet; leave it out" for one in others]
    if people.get("entry", "none") != "none":
        problems.append("people.entry: conversations have no known items to test with; leave it at none")
    return problems


def _workflow_problems(data: Mapping[str, Any]) -> list[str]:
    if "workflow" not in data:
        return []
    both = [name for name in ("overlap", "max_overlap", "agreement") if name in data]
    problems = [f"{name}: the workflow says it; keep one of them" for name in both]
    try:
        parse_workflow({"stages": data["workflow"]}, "workflow")
    except ConfigError as error:
        problems += error.problems
    return problems


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a file of items."""

    item: NewItem
    gold: Mapping[str, Any] | None
    """Of a known item: what is expected, by question, in terms of the item's candidates."""
    explanation: str
    """Why that is so."""
    tier: str = "hidden"
    """Of a known item: a hidden check, training, or the entry test."""


def read_items(path: Path, overlap: int | LabelStage) -> Iterator[Row]:
    """Rows of a JSONL file, one at a time; raises `DataError` with file and line.

    A label stage says how many people judge each, more of those it samples, and which skill they need. A
    row's own `skill` comes before the stage's.
    """
    stage = overlap if isinstance(overlap, LabelStage) else LabelStage(name="label", overlap=overlap)
    sample = OverlapSample(stage)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(f"expected an object, got {type(row).__name__}")
                content, known = content_of(row), row.get("gold")
                if known is not None and (not isinstance(known, dict) or not known):
                    raise DataError(f"gold is {known!r}; expected answers by question")
            except (ValueError, RecursionError, DataError) as error:
                raise DataError(str(error), path=str(path), line=number) from error
            tier = str(row.get("tier", "hidden"))
            item = NewItem(
                content=content,
                n_candidates=len(content["candidates"]),
                overlap=stage.overlap if known is not None else sample.overlap_of(content),
                required_skill=row.get("skill", stage.skill),
            )
            yield Row(item=item, gold=known, explanation=str(row.get("explanation", "")), tier=tier)


def write_items(projects: Projects, project_id: str, rows: Iterable[Row]) -> int:
    """Put rows into a project, known items as such; how many they were."""
    count, plain = 0, []
    for row in rows:
        count += 1
        if row.gold is None:
            plain.append(row.item)
        else:
            projects.add_gold(project_id, row.item, row.gold, explanation=row.explanation, tier=row.tier)
    projects.add_items(project_id, plain)
    return count


def _guideline(data: Mapping[str, Any], path: Path, problems: list[str]) -> str:
    if "guideline_file" not in data:
        return str(data.get("guideline", ""))
    if "guideline" in data:
        problems.append("guideline_file: there is a guideline too; keep one of them")
    place = path.parent / str(data["guideline_file"])
    try:
        return place.read_text(encoding="utf-8")
    except OSError as error:
        problems.append(f"guideline_file: {place} cannot be read: {error.strerror}")
        return ""
