"""Who judged a snapshot, as far as a card may tell it: sizes of ten or more, time, versions; no names."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from accord.domain import Source
from accord.store.database.accounts import Accounts
from accord.store.database.engine import Database
from accord.store.database.people_tables import attribute
from accord.store.database.tables import assignment, definition, judgment, project
from accord.store.database.vault import FEWEST, Vault, hide_few

AT_A_TIME = 500


@dataclass(frozen=True, kw_only=True)
class Labor:
    """The work behind a snapshot."""

    judgments: Mapping[str, int]
    """Source to count."""
    annotators: Mapping[str, int]
    """Source to count of different annotators."""
    groups: Mapping[str, Mapping[str, int]]
    """What people say of themselves: attribute to answer to count, none of fewer than ten."""
    seconds: tuple[float, ...]
    """Active time of each judgment of a person that has one, sorted."""
    guidelines: Mapping[str, int]
    """Version of the guideline, or "none", to count of judgments."""
    tasks: Mapping[str, int]
    """Version of the task to count of judgments."""

    @property
    def n_people(self) -> int:
        """People among the annotators."""
        return self.annotators.get(Source.HUMAN.value, 0)

    @property
    def median_seconds(self) -> float | None:
        """Of a person's judgment; None where no time is known."""
        return statistics.median(self.seconds) if self.seconds else None


def labor_of(database: Database, judgment_ids: Sequence[str], project_name: str) -> Labor:
    """The work behind these judgments; those the store does not hold are left out."""
    guideline, task = definition.alias("guideline"), definition.alias("task")
    rows = []
    with database.read() as connection:
        for start in range(0, len(judgment_ids), AT_A_TIME):
            query = (
                select(
                    judgment.c.user_id, judgment.c.source, assignment.c.active_ms,
                    guideline.c.version.label("guideline"), task.c.version.label("task"),
                )
                .join(assignment, assignment.c.id == judgment.c.assignment_id)
                .outerjoin(guideline, guideline.c.id == assignment.c.guideline_id)
                .outerjoin(task, task.c.id == assignment.c.schema_id)
                .where(judgment.c.id.in_(judgment_ids[start : start + AT_A_TIME]))
            )  # fmt: skip
            rows += list(connection.execute(query))
    who = {(row.source, row.user_id) for row in rows}
    seconds = [row.active_ms / 1000 for row in rows if row.source == Source.HUMAN.value and row.active_ms]
    return Labor(
        judgments=dict(sorted(Counter(row.source for row in rows).items())),
        annotators=dict(sorted(Counter(source for source, _ in who).items())),
        groups=_groups(database, project_name),
        seconds=tuple(sorted(seconds)),
        guidelines=_versions(row.guideline for row in rows),
        tasks=_versions(row.task for row in rows),
    )


def _versions(found) -> dict[str, int]:  # type: ignore[no-untyped-def]
    counts = Counter(found)
    ordered = sorted(counts, key=lambda one: (one is None, one or 0))
    return {"none" if one is None else str(one): counts[one] for one in ordered}


def _groups(database: Database, project_name: str) -> dict[str, dict[str, int]]:
    """Counts of what those who worked in the project say of themselves, where the key file is at hand."""
    with database.read() as connection:
        names = sorted(set(connection.execute(select(attribute.c.name)).scalars()))
        place = connection.execute(select(project.c.id).where(project.c.name == project_name)).scalar()
    if database.key_file is None or not database.key_file.exists() or place is None:
        return {}
    vault = Vault(Accounts.of(database), database.key_file)
    return {name: vault.count(place, name) for name in names}


def told_sizes(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Name and size of each group; those of fewer than ten are said to be hidden and not how large."""
    told = hide_few(counts)
    rows = [(name, str(size)) for name, size in told.items()]
    hidden = len(counts) - len(told)
    return rows + (
        [(f"{hidden} more", f"hidden, fewer than {FEWEST} or would tell of one")] if hidden else []
    )
