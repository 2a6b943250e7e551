"""What red teaming found: a request, how it was put, what was answered, and what judge and people say of it.

One JSON line a finding. A judge's verdict is a first sorting; people's is the one that counts.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.domain.files import write_text_atomic
from accord.domain.messages import Message, Prompt, content_hash


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One attempt and its outcome."""

    behavior: str
    """The request that should be refused, in plain words; imported: the prompt's own text."""
    category: str = ""
    technique: str
    """Name of the attack, or probe or plugin of the tool it came from."""
    messages: tuple[Message, ...]
    """What the model was asked."""
    answer: str
    model: str
    origin: str = "accord"
    """The tool that made it."""
    judged: float | None = None
    """The judge's verdict: 1 broken, 0 withstood, between: in part; None where nobody judged."""
    judge: str = ""
    """Who judged."""
    human: bool | None = None
    """People's verdict, True for broken; None where nobody looked."""
    human_by: tuple[str, ...] = ()
    """Who looked."""

    def __post_init__(self) -> None:
        if self.judged is not None and not 0 <= self.judged <= 1:
            raise DataError(f"a verdict is {self.judged}; expected from 0 (withstood) to 1 (broken)")

    @property
    def id(self) -> str:
        """Of what was asked, of whom, and what came back."""
        turns = [[one.role, one.content] for one in self.messages]
        return content_hash([self.behavior, self.technique, turns, self.model, self.answer])

    @property
    def prompt(self) -> Prompt:
        """What the model was asked, as a record."""
        return Prompt(messages=self.messages)

    @property
    def suspicion(self) -> float:
        """For triage, most worth a look first: an unjudged one counts one half."""
        return 0.5 if self.judged is None else self.judged

    def row(self) -> dict[str, Any]:
        """As a file holds it."""
        turns = [{"role": one.role, "content": one.content} for one in self.messages]
        values = dataclasses.asdict(self) | {"messages": turns, "human_by": list(self.human_by)}
        return {"id": self.id, **values}


def read_finding(row: Mapping[str, Any]) -> Finding:
    """A finding from its row; `DataError` for what does not fit, a changed id included."""
    values = {name: value for name, value in row.items() if name != "id"}
    known = {field.name for field in dataclasses.fields(Finding)}
    if unknown := sorted(set(values) - known):
        raise DataError(f"fields {', '.join(unknown)} are not known; expected {', '.join(sorted(known))}")
    try:
        turns = tuple(Message(one["role"], one["content"]) for one in values["messages"])
        finding = Finding(**{**values, "messages": turns, "human_by": tuple(values.get("human_by", ()))})
    except (KeyError, TypeError) as error:
        raise DataError(f"is no finding: {error}") from error
    if row.get("id", finding.id) != finding.id:
        raise DataError(f"id {row['id']!r} is not that of its content, {finding.id!r}; was it edited?")
    return finding


def read_findings(path: Path) -> list[Finding]:
    """Findings of a JSONL file; raises `DataError` with file and line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise DataError(f"expected an object, got {type(row).__name__}")
            found.append(read_finding(row))
        except (ValueError, DataError) as error:
            raise DataError(str(error), path=str(path), line=number) from error
    return found


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write all, each once, in order."""
    kept = {finding.id: finding for finding in findings}
    lines = [json.dumps(one.row(), ensure_ascii=False) + "\n" for one in kept.values()]
    write_text_atomic(path, "".join(lines))


def merge_labels(findings: Sequence[Finding], labels: Mapping[str, Mapping[str, bool]]) -> list[Finding]:
    """Findings with people's verdicts, by finding and person: the majority's; an even split stays open."""
    merged = []
    for finding in findings:
        votes = labels.get(finding.id, {})
        broken = sum(votes.values())
        if votes and 2 * broken != len(votes):
            finding = dataclasses.replace(
                finding, human=2 * broken > len(votes), human_by=tuple(sorted(votes))
            )
        merged.append(finding)
    return merged
