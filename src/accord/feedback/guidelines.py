"""Guidelines and terms: versions, who has read which, and what changed since he did."""

import difflib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from accord.domain.errors import StoreError
from accord.feedback.work import Work
from accord.store.database.people_tables import acknowledgement
from accord.store.database.projects import Projects
from accord.store.database.tables import definition


@dataclass(frozen=True)
class Guidelines:
    """Reads and publishes them."""

    work: Work

    def publish(
        self, project_id: str, kind: str, markdown: str, *, requires_ack: bool = True, changelog: str = ""
    ) -> str:
        """A further version of a guideline (`guideline`) or of what people agree to (`terms`)."""
        if not markdown.strip():
            raise StoreError("the text is empty; a version needs one")
        projects = Projects(self.work.database, self.work.queue.clock, self.work.queue.ids)
        body = {"markdown": markdown, "requires_ack": requires_ack, "changelog": changelog}
        return projects.add_definition(project_id, kind, body)

    def newest(self, project_id: str, user_id: str, kind: str = "guideline") -> dict[str, Any] | None:
        """The newest version, and for whoever read an earlier one which paragraphs are new or changed."""
        with self.work.database.read() as connection:
            rows = connection.execute(
                select(definition.c.id, definition.c.version, definition.c.body, acknowledgement.c.at_ms)
                .outerjoin(
                    acknowledgement,
                    (acknowledgement.c.definition_id == definition.c.id)
                    & (acknowledgement.c.user_id == user_id),
                )
                .where(definition.c.project_id == project_id, definition.c.kind == kind)
                .order_by(definition.c.version.desc())
            ).all()
        if not rows:
            return None
        newest = rows[0]
        read = next((row for row in rows if row.at_ms is not None), None)
        before = None if read is None else read.body["markdown"]
        return {
            "id": newest.id,
            "version": newest.version,
            "markdown": newest.body["markdown"],
            "changelog": newest.body.get("changelog", ""),
            "requires_ack": bool(newest.body.get("requires_ack", False)),
            "acknowledged_version": None if read is None else read.version,
            "paragraphs": mark_changes(before, newest.body["markdown"]),
        }

    def project_of(self, definition_id: str) -> str:
        """The project of a version; raises `StoreError` for one that is not there."""
        with self.work.database.read() as connection:
            found = connection.execute(
                select(definition.c.project_id).where(definition.c.id == definition_id)
            ).scalar()
        if found is None:
            raise StoreError(f"there is no guideline {definition_id!r}")
        return str(found)


def mark_changes(before: str | None, after: str) -> list[dict[str, Any]]:
    """The paragraphs of a text, each with whether it is new since another text; nothing is without one."""
    new = paragraphs_of(after)
    if before is None:
        return [{"text": text, "is_changed": False} for text in new]
    matcher = difflib.SequenceMatcher(a=paragraphs_of(before), b=new, autojunk=False)
    kept = {block.b + k for block in matcher.get_matching_blocks() for k in range(block.size)}
    return [{"text": text, "is_changed": k not in kept} for k, text in enumerate(new)]


def paragraphs_of(markdown: str) -> list[str]:
    """What empty lines part, fenced code kept whole."""
    found: list[list[str]] = [[]]
    is_fenced = False
    for line in markdown.splitlines():
        is_fenced ^= line.lstrip().startswith("```")
        if line.strip() or is_fenced:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return ["\n".join(lines) for lines in found if lines]
