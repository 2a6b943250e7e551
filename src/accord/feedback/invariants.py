"""The invariants of a store of judgments, checked over its rows: on a live store, after a crash, in a soak.

Fifteen of them, by number: what the queue promises comes from `accord.store.database.consistency`; here are
those for which questions and answers have to be understood, and the list. What only a client can know (what
it was told, what it saw) is a `Witness`. Leaves out how a broken store is mended.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import sqrt
from typing import Any

from sqlalchemy import Connection, func, select

from accord.domain.errors import AccordError
from accord.domain.judgments import Source
from accord.feedback.export import last_rows
from accord.feedback.items import present
from accord.feedback.snapshots import build_snapshot
from accord.feedback.work import Work
from accord.feedback.workflow import ConsensusStage, parse_workflow
from accord.store.database.consistency import (
    SECOND,
    check_blame,
    check_capacity,
    check_events,
    check_exposure,
    check_once,
    check_time,
    check_unchanged,
    check_whole,
)
from accord.store.database.findings import Finding, Probe, pages_of
from accord.store.database.states import Purpose
from accord.store.database.tables import (
    assignment,
    chain,
    content,
    definition,
    gold,
    item,
    judgment,
    project,
    user,
)
from accord.store.database.workflow_tables import stage_run

NAMES = (
    "capacity", "once", "unchanged", "presentation", "blinding", "gold_apart", "snapshots", "people", "time",
    "exposure", "pay", "blame", "events", "inclusion", "nothing_lost",
)  # fmt: skip
"""Of the invariants, by number from 1."""
PAGES_LOOKED_AT = 300
"""Newest assignments whose pages are made once more."""
SHORTEST_SECRET = 6
"""Characters from which on a hidden text is looked for in what is shown."""
GOLD_TOLERANCE = 0.5
"""Part of the wanted share of gold by which what was realised may differ, beside four standard errors: shares
follow what is known of each person."""


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What clients of the server know."""

    acknowledged: Mapping[str, Any] = field(default_factory=dict)
    """Judgment id to the answers it was acknowledged for."""
    shown: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Judgment id to the candidates in the order in which they stood when it was made."""
    shapes: Mapping[str, str] = field(default_factory=dict)
    """Assignment id to the names of all fields and headers of the response it came in."""
    receipts: Sequence[tuple[Any, Any]] = ()
    """Answers to the first and to a later sending of the same submission."""


def check_store(work: Work, witness: Witness | None = None, *, skew_ms: int = 0) -> list[Finding]:
    """Check every invariant over the whole store, as it is at one moment; memory stays flat.

    `skew_ms` is by how much the clocks of several servers may differ.
    """
    seen, now, database = witness or Witness(), work.queue.now_ms(), work.database
    probes = [Probe() for _ in NAMES]
    with database.moment() as at:
        checks: tuple[Callable[[Connection, Probe], None], ...] = (
            check_capacity,
            check_once,
            partial(check_unchanged, database),
            partial(_check_presentation, work, seen),
            partial(_check_blinding, work, seen),
            partial(_check_gold_apart, work),
            partial(_check_snapshots, work),
            partial(_check_people, work),
            partial(check_time, now=now, skew_ms=skew_ms),
            partial(_check_exposure, work),
            partial(_check_pay, work),
            check_blame,
            partial(check_events, database),
            _check_inclusion,
            partial(_check_lost, seen),
        )
        for check, probe in zip(checks, probes, strict=True):
            check(at, probe)
    return [probe.finding(k, name) for k, (name, probe) in enumerate(zip(NAMES, probes, strict=True), 1)]


def _check_presentation(work: Work, seen: Witness, at: Connection, probe: Probe) -> None:
    """4. Each stored value follows from the answer and the order on screen, which is what was sent."""
    query = (
        select(
            judgment.c.id, judgment.c.assignment_id, judgment.c.payload, assignment.c.presentation,
            assignment.c.schema_id, item.c.n_candidates, content.c.body,
        )
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .join(item, item.c.id == judgment.c.item_id)
        .join(content, content.c.hash == item.c.content_hash)
    )  # fmt: skip
    for page in pages_of(at, judgment, query):
        for row in page:
            order = row.presentation.get("permutation")
            is_order = isinstance(order, list) and sorted(order) == list(range(row.n_candidates))
            probe.check(is_order, f"judgment {row.id}: order {order} of {row.n_candidates} candidates")
            if not is_order or "answers" not in row.payload:
                continue
            presented = present(row.body, order)
            try:
                values = work.schema(row.schema_id).values_of(row.payload["answers"], presented)
            except AccordError as error:
                probe.blame(f"judgment {row.id}: its answers do not fit what was shown: {error}")
                continue
            if _plain(values) != row.payload["values"]:
                probe.blame(f"judgment {row.id}: its values do not follow from its answers and their order")
            if list(presented.candidates) != list(seen.shown.get(row.id, presented.candidates)):
                probe.blame(f"judgment {row.id}: other candidates were on screen than are stored")


def _check_blinding(work: Work, seen: Witness, at: Connection, probe: Probe) -> None:
    """5. Pages say nothing of who wrote what or what is known, and are of one shape."""
    rows = at.execute(
        select(
            assignment.c.id, assignment.c.user_id, assignment.c.schema_id, assignment.c.purpose,
            content.c.body,
        )
        .join(item, item.c.id == assignment.c.item_id)
        .join(content, content.c.hash == item.c.content_hash)
        .where(assignment.c.purpose.not_in([*SECOND, Purpose.TURN.value]))
        .order_by(assignment.c.id.desc())
        .limit(PAGES_LOOKED_AT)
    ).all()  # fmt: skip
    shapes: dict[str, tuple[frozenset[str], str]] = {}
    for row in rows:
        page = work.page_of(row.id, row.user_id)
        said = json.dumps(page, ensure_ascii=False)
        leaks = [one for one in _hidden(row.body) if one in said]
        probe.check(not leaks, f"assignment {row.id}: its page holds {', '.join(map(repr, leaks[:3]))}")
        shape = frozenset(_fields(page))
        first = shapes.setdefault(str(row.schema_id), (shape, row.id))
        if first[0] != shape and not row.body.get("topic"):
            other = sorted(first[0] ^ shape)
            probe.blame(f"assignment {row.id} ({row.purpose}) differs from {first[1]} in {', '.join(other)}")
    usual = Counter(seen.shapes.values()).most_common(1)
    for assignment_id, form in seen.shapes.items():
        probe.check(form == usual[0][0], f"assignment {assignment_id} came in a response of another shape")


def _check_gold_apart(work: Work, at: Connection, probe: Probe) -> None:
    """6. What is trained on holds no known item: neither by its table nor by the chain of events."""
    known = set(at.execute(select(gold.c.item_id)).scalars())
    known |= set(
        at.execute(
            select(chain.c.entity_id).where(chain.c.entity == "gold", chain.c.action == "add")
        ).scalars()
    )
    for project_id in at.execute(select(project.c.id)).scalars().all():
        for row in last_rows(work, project_id):
            probe.check(row["item"] not in known, f"judgment {row['id']} of a known item may be trained on")


def _check_snapshots(work: Work, at: Connection, probe: Probe) -> None:
    """7. Each snapshot rebuilds to its hash."""
    rows = at.execute(select(definition).where(definition.c.kind == "snapshot")).all()
    for row in rows:
        made = build_snapshot(work, row.project_id, row.body["upto"], recipe=row.body["recipe"])
        probe.check(
            (made.hash, made.n_rows) == (row.body["hash"], row.body["n_rows"]),
            f"snapshot {row.body['hash']} of {row.body['n_rows']} rows rebuilds to {made.n_rows} rows "
            f"and {made.hash}",
        )


def _check_people(work: Work, at: Connection, probe: Probe) -> None:
    """8. Nothing was agreed on by fewer people than it takes; models are none."""
    stages: dict[str, Mapping[str, ConsensusStage]] = {}
    query = select(stage_run).where(stage_run.c.kind == "consensus", stage_run.c.outcome.is_not(None))
    for page in pages_of(at, stage_run, query):
        people = _people_of(at, [row.item_id for row in page])
        for row in page:
            if row.workflow_id not in stages:
                body = at.execute(
                    select(definition.c.body).where(definition.c.id == row.workflow_id)
                ).scalar_one()
                flow = parse_workflow(body, f"workflow {row.workflow_id}")
                stages[row.workflow_id] = {
                    one.name: one for one in flow.stages if isinstance(one, ConsensusStage)
                }
            n_people, said = len(people.get(row.item_id, ())), row.facts.get("n_people", 0)
            least = stages[row.workflow_id][row.stage].min_people if row.outcome == "agreed" else 0
            probe.check(
                n_people >= said >= least,
                f"item {row.item_id}: {row.outcome} by {said} people; {n_people} judged it, "
                f"{least} or more are needed",
            )


def _people_of(at: Connection, ids: Sequence[str]) -> dict[str, set[str]]:
    votes = [one.value for one in Purpose if one.is_vote]
    found: dict[str, set[str]] = {}
    for row in at.execute(
        select(judgment.c.item_id, judgment.c.user_id)
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .join(user, user.c.id == judgment.c.user_id)
        .where(
            judgment.c.item_id.in_(ids),
            assignment.c.purpose.in_(votes),
            judgment.c.source == Source.HUMAN.value,
            user.c.source == Source.HUMAN.value,
        )
    ):
        found.setdefault(row.item_id, set()).add(row.user_id)
    return found


def _check_exposure(work: Work, at: Connection, probe: Probe) -> None:
    """10. Known items as often as they may be met, and about as large a share of work as is wanted."""
    check_exposure(at, probe)
    for project_id in at.execute(select(gold.c.project_id).distinct()).scalars().all():
        policies = at.execute(
            select(definition.c.body).where(
                definition.c.project_id == project_id, definition.c.kind == "policy"
            )
        ).scalars().all()  # fmt: skip
        n_gold = at.execute(
            select(func.count()).where(gold.c.project_id == project_id, gold.c.tier == "hidden")
        ).scalar_one()
        share = policies[0].get("gold") if len(policies) == 1 else None
        if not share:
            continue  # the share was changed, or is the server's own: nothing to hold it against
        n_all = n_known = 0
        for row in at.execute(
            select(
                assignment.c.user_id,
                func.count().label("n"),
                func.count().filter(assignment.c.purpose == Purpose.GOLD.value).label("n_known"),
            )
            .where(assignment.c.project_id == project_id, assignment.c.purpose.not_in(SECOND))
            .group_by(assignment.c.user_id)
        ):
            if row.n_known < min(n_gold, work.queue.config.daily_gold_cap):  # who had all gets no more
                n_all, n_known = n_all + row.n, n_known + row.n_known
        slack = GOLD_TOLERANCE * share * n_all + 4 * sqrt(n_all * share) + 1
        probe.check(
            abs(n_known - share * n_all) <= slack,
            f"project {project_id}: {n_known} of {n_all} pieces of work were known items; "
            f"a share of {share} is wanted",
        )


def _check_pay(work: Work, at: Connection, probe: Probe) -> None:
    """11. Everything that was submitted counts as work done, also late, void or quarantined, once each.

    There is no ledger of money: pay follows from what is counted here, at a rate.
    """
    for project_id in at.execute(select(project.c.id)).scalars().all():
        counted = {one["handle"]: (one["n"], one["active_ms"]) for one in work.paid(at, project_id)}
        rows = at.execute(
            select(
                user.c.handle, func.count().label("n"), func.sum(assignment.c.active_ms).label("active_ms")
            )
            .join(judgment, judgment.c.assignment_id == assignment.c.id)
            .join(user, user.c.id == judgment.c.user_id)
            .where(
                assignment.c.project_id == project_id,
                judgment.c.revision == 1,
                assignment.c.purpose.not_in(SECOND),
            )
            .group_by(user.c.handle)
        ).all()
        for row in rows:
            found = counted.pop(row.handle, (0, 0))
            probe.check(
                found == (row.n, int(row.active_ms or 0)),
                f"{row.handle} gave {row.n} judgments in {row.active_ms} ms; {found} are counted as work",
            )
        for handle, found in counted.items():
            probe.blame(f"{handle} has {found} counted as work and gave no judgment")


def _check_inclusion(at: Connection, probe: Probe) -> None:
    """14. What was chosen to be asked carries the probability it was chosen with.

    An item without `inclusion` in its meta was not chosen: all of its project are asked. One project does
    not mix the two.
    """
    query = select(item.c.id, item.c.project_id, content.c.body).join(
        content, content.c.hash == item.c.content_hash
    )
    known = set(at.execute(select(gold.c.item_id)).scalars())
    kinds: dict[str, bool] = {}
    for page in pages_of(at, item, query.where(item.c.stage != "turn")):
        for row in page:
            if row.id in known:
                continue
            meta = row.body.get("meta") if isinstance(row.body, Mapping) else None
            chance = meta.get("inclusion") if isinstance(meta, Mapping) else None
            is_number = isinstance(chance, int | float) and not isinstance(chance, bool)
            probe.check(
                chance is None or (is_number and 0 < chance <= 1),
                f"item {row.id} was included with probability {chance!r}",
            )
            if kinds.setdefault(row.project_id, chance is not None) != (chance is not None):
                probe.blame(
                    f"item {row.id}: its project is sampled, and here the probability is missing or new"
                )


def _check_lost(seen: Witness, at: Connection, probe: Probe) -> None:
    """15. What was acknowledged is there as it was said, and nothing is half done."""
    check_whole(at, probe)
    ids = list(seen.acknowledged)
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        rows = at.execute(select(judgment.c.id, judgment.c.payload).where(judgment.c.id.in_(some)))
        kept = {row.id: row.payload for row in rows}
        for one in some:
            is_kept = one in kept and kept[one].get("answers") == seen.acknowledged[one]
            probe.check(is_kept, f"judgment {one} was acknowledged and is not there as it was said")
    for first, again in seen.receipts:
        probe.check(first == again, f"one submission sent twice was answered {first} and {again}")


def _hidden(body: Mapping[str, Any]) -> list[str]:
    """Texts of an item that no annotator may read: what is known of candidates, and its meta."""
    extra = [
        {name: value for name, value in one.items() if name != "text"} for one in body.get("candidates", [])
    ]
    return [one for one in _texts([extra, body.get("meta")]) if len(one) >= SHORTEST_SECRET]


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []


def _fields(value: Any, place: str = "") -> list[str]:
    """The names of all fields, wherever they stand; numbers of lists left out."""
    if isinstance(value, Mapping):
        return [
            name for key, one in value.items() for name in (f"{place}.{key}", *_fields(one, f"{place}.{key}"))
        ]
    return [name for one in value for name in _fields(one, place)] if isinstance(value, list) else []


def _plain(values: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(values))
