"""Calibration rounds: the same people judge the same items and see where they read the guideline differently.

A round ends with its report and, where the guideline was at fault, with a new version of it. Its judgments
are kept apart: they enter no consensus and no export for training.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from accord.domain.errors import StoreError
from accord.domain.labels import LabelColumns
from accord.feedback.describing import describe_value
from accord.feedback.verdicts import verdict_of
from accord.feedback.work import Work, first_words, newest_definition
from accord.quality.agreement import krippendorff_alpha
from accord.quality.labels import tabulate_labels
from accord.store.database.audit import append_events
from accord.store.database.people_tables import calibration, calibration_item
from accord.store.database.slots import cancel_slots, entry, make_slots
from accord.store.database.states import Purpose
from accord.store.database.tables import assignment, content, item, judgment, user

PRIORITY = 1_000_000
"""Of a round's slots: they come before all other work."""
MAX_ITEMS = 500


@dataclass(frozen=True)
class Calibrating:
    """Opens rounds, reports on them, closes them."""

    work: Work

    def open(
        self, project_id: str, name: str, item_ids: Sequence[str], user_ids: Sequence[str], by: str
    ) -> str:
        """Ask these people for these items, before anything else; the round's id.

        Items that one of them has judged are refused: he would judge them twice.
        """
        if not 1 <= len(set(item_ids)) <= MAX_ITEMS or len(set(user_ids)) < 2:
            raise StoreError(f"a round needs 1 to {MAX_ITEMS} items and two or more people")
        queue = self.work.queue
        now, new_id = queue.now_ms(), queue.ids.new()
        token = f"round:{new_id}"
        with self.work.database.write() as connection:
            # People first, then items, as whoever judges locks them; slots of an item are numbered on.
            people = connection.execute(
                select(user.c.id, user.c.skills)
                .where(user.c.id.in_(user_ids))
                .order_by(user.c.id)
                .with_for_update(key_share=True)
            ).all()
            if len(people) != len(set(user_ids)):
                raise StoreError("some of the people have no account")
            rows = connection.execute(
                select(item)
                .where(item.c.id.in_(item_ids), item.c.project_id == project_id)
                .order_by(item.c.id)
                .with_for_update(key_share=True)
            ).all()
            if len(rows) != len(set(item_ids)):
                raise StoreError("some of the items are not in this project")
            known = connection.execute(
                select(assignment.c.item_id)
                .where(assignment.c.item_id.in_(item_ids), assignment.c.user_id.in_(user_ids))
                .limit(1)
            ).first()
            if known is not None:
                raise StoreError(f"somebody has met item {known.item_id} already; choose others")
            guideline = newest_definition(connection, project_id, "guideline")
            connection.execute(
                insert(calibration).values(
                    id=new_id,
                    project_id=project_id,
                    name=name,
                    n_people=len(people),
                    guideline_id=None if guideline is None else guideline.id,
                    opened_ms=now,
                )
            )
            for row in rows:
                connection.execute(insert(calibration_item).values(calibration_id=new_id, item_id=row.id))
                make_slots(
                    connection, queue.ids, row, len(people),
                    purpose=Purpose.CALIBRATION, skill=token, priority=PRIORITY,
                )  # fmt: skip
            for person in people:
                words = sorted({*person.skills, token})
                connection.execute(update(user).where(user.c.id == person.id).values(skills=words))
            facts = {"project": project_id, "items": len(rows), "people": len(people)}
            append_events(connection, [entry(now, by, "open", "calibration", new_id, facts)])
        return new_id

    def report(self, calibration_id: str) -> dict[str, Any]:
        """Agreement on the first question with its interval, and the items people differ on, most first."""
        with self.work.database.read() as connection:
            round_row = connection.execute(
                select(calibration).where(calibration.c.id == calibration_id)
            ).first()
            if round_row is None:
                raise StoreError(f"there is no calibration round {calibration_id!r}")
            rows = connection.execute(
                select(
                    judgment.c.item_id, judgment.c.payload, judgment.c.user_id, assignment.c.schema_id,
                    content.c.body,
                )
                .join(assignment, assignment.c.id == judgment.c.assignment_id)
                .join(calibration_item, calibration_item.c.item_id == judgment.c.item_id)
                .join(item, item.c.id == judgment.c.item_id)
                .join(content, content.c.hash == item.c.content_hash)
                .where(
                    calibration_item.c.calibration_id == calibration_id,
                    assignment.c.purpose == Purpose.CALIBRATION.value,
                )
                .order_by(judgment.c.revision)
            ).all()  # fmt: skip
            n_items = len(
                connection.execute(
                    select(calibration_item.c.item_id).where(
                        calibration_item.c.calibration_id == calibration_id
                    )
                ).all()
            )
        last = list({(row.item_id, row.user_id): row for row in rows}.values())
        return {
            "id": calibration_id,
            "project": round_row.project_id,
            "name": round_row.name,
            "is_open": round_row.closed_ms is None,
            "n_wanted": n_items * round_row.n_people,
            "n_judged": len(last),
            **self._compare(last),
        }

    def close(self, calibration_id: str, by: str, *, next_guideline_id: str | None = None) -> None:
        """End a round; what is not judged is asked for no more. Names the guideline that came of it."""
        queue = self.work.queue
        now = queue.now_ms()
        with self.work.database.write() as connection:
            changed = connection.execute(
                update(calibration)
                .where(calibration.c.id == calibration_id, calibration.c.closed_ms.is_(None))
                .values(closed_ms=now, next_guideline_id=next_guideline_id)
            )
            if not changed.rowcount:
                raise StoreError(f"there is no open calibration round {calibration_id!r}")
            items = connection.execute(
                select(calibration_item.c.item_id).where(calibration_item.c.calibration_id == calibration_id)
            ).scalars()
            for item_id in items.all():
                cancel_slots(connection, item_id, purpose=Purpose.CALIBRATION)
            facts = {"guideline": next_guideline_id}
            append_events(connection, [entry(now, by, "close", "calibration", calibration_id, facts)])

    def project_of(self, calibration_id: str) -> str:
        """The project of a round."""
        with self.work.database.read() as connection:
            found = connection.execute(
                select(calibration.c.project_id).where(calibration.c.id == calibration_id)
            ).scalar()
        if found is None:
            raise StoreError(f"there is no calibration round {calibration_id!r}")
        return str(found)

    def _compare(self, rows: Sequence[Any]) -> dict[str, Any]:
        if not rows:
            return {"agreement": None, "disagreements": []}
        question = self.work.schema(rows[0].schema_id).deciding
        said = [
            (row, row.payload["values"][question.id])
            for row in rows
            if row.payload["values"].get(question.id) is not None
        ]
        labels = LabelColumns(
            items=[row.item_id for row, _ in said],
            annotators=[row.user_id for row, _ in said],
            values=[verdict_of(value) for _, value in said],
        )
        alpha = krippendorff_alpha(tabulate_labels(labels)) if said else None
        by_item: dict[str, list[tuple[Any, Any]]] = {}
        for row, value in said:
            by_item.setdefault(row.item_id, []).append((row, value))
        found = []
        for item_id, group in by_item.items():
            counts = Counter(verdict_of(value) for _, value in group)
            share = max(counts.values()) / len(group)
            if share == 1:
                continue
            order = range(len(group[0][0].body["candidates"]))
            answers = Counter(describe_value(question, value, order) for _, value in group)
            found.append(
                {
                    "item": item_id,
                    "label": first_words(group[0][0].body),
                    "share": share,
                    "answers": dict(answers.most_common()),
                }
            )
        return {
            "agreement": None
            if alpha is None
            else {"value": alpha.value, "low": alpha.low, "high": alpha.high, "reason": alpha.reason},
            "disagreements": sorted(found, key=lambda one: (one["share"], one["item"])),
        }
