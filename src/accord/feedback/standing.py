"""How people stand in a project while they work: known items scored, gold by need, the entry test, alarms.

What is known of somebody decides how much gold he gets. A decline on known items pauses him until he passes
the test anew. Signs of tiredness go to him alone at first; a lead learns of it when a second sign joins. None
of it takes back a judgment. The statistics are those of `accord.quality.people`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log
from typing import Any

import numpy as np
from sqlalchemy import Connection, exists, func, insert, literal, or_, select, update

from accord.domain.ids import IdSource
from accord.feedback.policy import Policy
from accord.feedback.verdicts import verdict_of
from accord.quality.people import (
    ChannelResult,
    DriftConfig,
    GoldConfig,
    QualificationDecision,
    assign_gold_shares,
    beta_variance,
    cautious_normal,
    check_pace,
    check_repeats,
    check_runs,
    check_spells,
    run_qualification,
    watch_drift,
)
from accord.store.database.audit import Event, append_events
from accord.store.database.people import grant_skill, set_person
from accord.store.database.queue import Done, WorkQueue
from accord.store.database.slots import entry, is_held
from accord.store.database.states import PersonState, Purpose
from accord.store.database.tables import assignment, gold, judgment
from accord.store.database.workflow_tables import alert, gold_result, standing

KNOWN = (Purpose.GOLD, Purpose.TRAINING, Purpose.TEST)
LIKE_KNOWN = (Purpose.PRIMARY, Purpose.EXTRA, Purpose.REPEAT)
"""Work beside which a hidden known item must not be told."""
AT_WORK = [state.value for state in PersonState if state.is_at_work]
DECLINE_THRESHOLD = log(1000 / DriftConfig().false_alarms_per_1000)
"""Keeps the promised rate of false alarms whatever somebody's usual accuracy: the bound by e-detectors."""
FIRST_KNOWN = 20
"""Known items from which somebody's usual accuracy is learned; watched is what comes after."""
WATCHED = 500
"""Newest known items that are watched. A decline that began longer ago was found long before, and what a
judgment costs does not grow with how many its giver has met."""
LOOK_EVERY = 25
"""Judgments between two looks for tiredness."""
LOOK_BACK = 150
"""Judgments looked at."""
AGAIN_MS = 86_400_000
"""One sign is told once in this time; two in it are told to a lead."""
NUDGES = {
    "pace": "You answer faster than one can read. Take five minutes?",
    "runs": "You chose the same side many times in a row. Take five minutes?",
    "spells": "Your answers became uniform for a while. Take five minutes?",
    "repeats": "Items you had before were answered otherwise. Take five minutes?",
}


@dataclass(frozen=True)
class Watch:
    """Keeps what is known of people up to date."""

    queue: WorkQueue
    policy_of: Callable[[Connection, str], Policy]

    def follow(self, connection: Connection, done: Done) -> list[Event]:
        """Score a judgment of a known item, and draw what follows for its annotator; inside its transaction.

        Only the first revision counts: whoever mends an answer did not know it. Work that looks the same goes
        through the same statements where a project has known items, so that the time of an answer is no hint.
        """
        row = done.assignment
        if done.revision != 1 or row.purpose not in (*KNOWN, *LIKE_KNOWN):
            return []
        found = connection.execute(
            select(
                exists().where(gold.c.project_id == row.project_id).label("has_known"),
                select(gold.c.expected)
                .where(gold.c.item_id == row.item_id)
                .scalar_subquery()
                .label("expected"),
            )
        ).one()
        if not found.has_known:
            return []
        is_known = row.purpose in KNOWN and found.expected is not None
        is_right = is_known and is_as_expected(done.payload["values"], found.expected)
        connection.execute(_keep_result(done, is_known=is_known, is_right=is_right))
        policy = self.policy_of(connection, row.project_id)
        events = []
        if is_known:
            facts = {"right": is_right}
            events = [entry(done.now_ms, "quality", "score", "gold_result", done.judgment_id, facts)]
        if row.purpose == Purpose.TEST:
            return events + (self._test(connection, done, policy) if is_known else [])
        if row.purpose == Purpose.TRAINING:
            return events + (self._train(connection, done) if is_known else [])
        return events + self._learn(connection, done, policy, is_known=is_known, is_right=is_right)

    def _learn(
        self, connection: Connection, done: Done, policy: Policy, *, is_known: bool, is_right: bool
    ) -> list[Event]:
        """Count a hidden known item, set the share of gold anew, and look for a decline.

        Of other work all of it is asked and computed too, and nothing written.
        """
        row = done.assignment
        columns = standing.c
        people = connection.execute(
            select(
                columns.user_id, columns.n_right, columns.n_gold, columns.state, columns.gold_share,
                columns.since_ms,
            )
            .where(
                columns.project_id == row.project_id,
                or_(columns.state.in_(AT_WORK), columns.user_id == row.user_id),
            )
            .order_by(columns.user_id)
        ).all()  # fmt: skip
        mine = next((one for one in people if one.user_id == row.user_id), None)
        if mine is None:
            return []
        at_work = [one for one in people if one.state in AT_WORK]
        share = mine.gold_share
        if mine.state in AT_WORK:
            config = gold_config(self.queue.config.gold_rate if policy.gold is None else policy.gold)
            uncertain = beta_variance(
                [one.n_right + (one is mine and is_right) for one in at_work],
                [one.n_gold + (one is mine and is_known) for one in at_work],
            )
            share = float(assign_gold_shares(uncertain, config=config)[at_work.index(mine)])
        connection.execute(
            update(standing)
            .where(
                columns.user_id == row.user_id,
                columns.project_id == row.project_id,
                literal(int(is_known)) == 1,
            )
            .values(n_gold=columns.n_gold + 1, n_right=columns.n_right + int(is_right), gold_share=share)
        )
        right = self._watched(connection, done, mine.since_ms)
        return self._decline(connection, done, policy, *right, is_known=is_known) if mine in at_work else []

    def _watched(self, connection: Connection, done: Done, since: int) -> tuple[list[bool], list[bool]]:
        """Results by which somebody's usual accuracy is learned, and those that are watched; few of both."""
        most = FIRST_KNOWN + WATCHED
        right = self._results(connection, done, Purpose.GOLD, since, newest=most)
        if len(right) <= FIRST_KNOWN:
            return [], right
        if len(right) < most:
            return right[:FIRST_KNOWN], right[FIRST_KNOWN:]
        learned = self._results(connection, done, Purpose.GOLD, since, oldest=FIRST_KNOWN)
        return learned, right[FIRST_KNOWN:]

    def _decline(
        self,
        connection: Connection,
        done: Done,
        policy: Policy,
        learned: list[bool],
        watched: list[bool],
        *,
        is_known: bool,
    ) -> list[Event]:
        row = done.assignment
        usual = cautious_normal(sum(learned), len(learned))
        watch = watch_drift(watched, normal=usual, threshold=DECLINE_THRESHOLD)
        if not is_known or not watch.alarms or watch.alarms[-1].at != len(watched) - 1:
            return []
        found = watch.alarms[-1]
        evidence = {
            "n": len(watched), "usual": round(usual, 3), "since": found.since,
            "since_low": found.since_low, "since_high": found.since_high, "score": round(watch.peak, 3),
        }  # fmt: skip
        events = [self._alert(connection, done, "decline", is_private=False, evidence=evidence)]
        if policy.pause_on_decline:
            events += set_person(
                connection, row.user_id, row.project_id, PersonState.PAUSED,
                actor="quality", reason="decline", now=done.now_ms,
            )  # fmt: skip
        return events

    def _test(self, connection: Connection, done: Done, policy: Policy) -> list[Event]:
        """Go on with the entry test, which ends as soon as it is sure; what he held then changes nothing."""
        row, since = done.assignment, _since(connection, done, PersonState.TESTING)
        if since is None:
            return []
        right = self._results(connection, done, Purpose.TEST, since)
        found = run_qualification(right, config=policy.test)
        if not found.decision.is_final:
            return []
        is_passed = found.decision is QualificationDecision.PASSED
        state = PersonState.ACTIVE if is_passed else PersonState.FAILED
        reason = f"test: {sum(right)} of {found.n_items} right"
        events = set_person(
            connection, row.user_id, row.project_id, state, actor="quality", reason=reason, now=done.now_ms
        )
        if is_passed and policy.test_skill is not None:
            name, _, level = policy.test_skill.partition(":")
            events += grant_skill(
                connection, row.user_id, name, int(level or 1), source="test", by="quality", now=done.now_ms
            )
        return events

    def _train(self, connection: Connection, done: Done) -> list[Event]:
        """After the last training item, none in his hands, comes the test, where there is one."""
        row = done.assignment
        if _since(connection, done, PersonState.TRAINING) is None:
            return []
        met = select(assignment.c.item_id).where(assignment.c.user_id == row.user_id, ~is_held())

        def left(tier: str) -> int:
            return int(
                connection.execute(
                    select(func.count())
                    .select_from(gold)
                    .where(
                        gold.c.project_id == row.project_id,
                        gold.c.tier == tier,
                        gold.c.retired_ms.is_(None),
                        gold.c.item_id.not_in(met),
                    )
                ).scalar_one()
            )

        if left("training"):
            return []
        state = PersonState.TESTING if left("test") else PersonState.ACTIVE
        return set_person(
            connection, row.user_id, row.project_id, state,
            actor="quality", reason="training done", now=done.now_ms,
        )  # fmt: skip

    def _results(
        self,
        connection: Connection,
        done: Done,
        purpose: Purpose,
        since: int,
        *,
        oldest: int | None = None,
        newest: int | None = None,
    ) -> list[bool]:
        """Right or wrong, in the order of time, since somebody stands as he does: all, or so many of them."""
        row, order = done.assignment, (gold_result.c.at_ms, gold_result.c.judgment_id)
        found = connection.execute(
            select(gold_result.c.is_right)
            .where(
                gold_result.c.project_id == row.project_id,
                gold_result.c.user_id == row.user_id,
                gold_result.c.purpose == purpose.value,
                gold_result.c.at_ms >= since,
            )
            .order_by(*(order if newest is None else (one.desc() for one in order)))
            .limit(oldest if newest is None else newest)
        ).scalars()
        return list(found) if newest is None else list(found)[::-1]

    def _alert(
        self, connection: Connection, done: Done, kind: str, *, is_private: bool, evidence: dict[str, Any]
    ) -> Event:
        row = done.assignment
        return raise_alert(
            connection, self.queue.ids, kind, project_id=row.project_id, user_id=row.user_id,
            is_private=is_private, evidence=evidence, now=done.now_ms,
        )  # fmt: skip

    def look(self, project_id: str, user_id: str, deciding: str) -> list[str]:
        """Look for signs of tiredness in somebody's last judgments; the signs that were told now.

        Apart from taking a judgment, so that nobody waits for it.
        """
        with self.queue.database.read() as connection:
            found = signs_of(connection, project_id, user_id, deciding)
        if not found:
            return []
        now = self.queue.now_ms()
        with self.queue.database.write() as connection:
            told = set(
                connection.execute(
                    select(alert.c.kind).where(
                        alert.c.project_id == project_id,
                        alert.c.user_id == user_id,
                        alert.c.at_ms > now - AGAIN_MS,
                    )
                ).scalars()
            )
            note = partial(
                raise_alert, connection, self.queue.ids, project_id=project_id, user_id=user_id, now=now
            )
            events, fresh = [], [one for one in found if one.channel not in told]
            for one in fresh:
                evidence = {"p_value": one.p_value, "n": one.n, "reason": one.reason}
                events.append(note(one.channel, is_private=True, evidence=evidence))
            signs = sorted((told & set(NUDGES)) | {one.channel for one in fresh})
            if fresh and len(signs) >= 2 and "fatigue" not in told:
                events.append(note("fatigue", is_private=False, evidence={"signs": signs}))
            append_events(connection, events)
        return [one.channel for one in fresh]


def _since(connection: Connection, done: Done, state: PersonState) -> int | None:
    """Since when the giver of a judgment stands in this state; nothing where he stands in another."""
    row = done.assignment
    place = (standing.c.user_id == row.user_id) & (standing.c.project_id == row.project_id)
    found = connection.execute(select(standing.c.since_ms).where(place, standing.c.state == state.value))
    since = found.scalar()
    return None if since is None else int(since)


def _keep_result(done: Done, *, is_known: bool, is_right: bool) -> Any:
    """The statement that keeps the result of a known item; of other work it writes no row."""
    row = done.assignment
    values = {
        gold_result.c.judgment_id: done.judgment_id,
        gold_result.c.item_id: row.item_id,
        gold_result.c.user_id: row.user_id,
        gold_result.c.project_id: row.project_id,
        gold_result.c.purpose: row.purpose,
        gold_result.c.is_right: is_right,
        gold_result.c.at_ms: done.now_ms,
    }
    told = select(*(literal(value, column.type) for column, value in values.items()))
    return insert(gold_result).from_select(list(values), told.where(literal(int(is_known)) == 1))


def signs_of(connection: Connection, project_id: str, user_id: str, deciding: str) -> list[ChannelResult]:
    """Alarms on somebody's last judgments, each at the level that keeps all together at one in a hundred."""
    rows = connection.execute(
        select(judgment.c.payload, assignment.c.presentation, assignment.c.purpose, judgment.c.item_id)
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .where(
            assignment.c.user_id == user_id,
            assignment.c.project_id == project_id,
            assignment.c.closed_ms.is_not(None),
            judgment.c.revision == 1,
        )
        .order_by(assignment.c.closed_ms.desc(), assignment.c.id.desc())
        .limit(LOOK_BACK)
    ).all()[::-1]
    values = [(row, row.payload["values"].get(deciding)) for row in rows]
    said = [(row, verdict_of(value)) for row, value in values if value is not None]
    durations = [row.payload["duration_ms"] for row in rows if row.payload.get("duration_ms")]
    numbers = np.unique([verdict for _, verdict in said], return_inverse=True)[1] if said else np.zeros(0)
    sides = [
        int((verdict == "first") == (row.presentation["permutation"][0] == 0))
        for row, verdict in said
        if verdict in ("first", "second")
    ]
    first = {row.item_id: verdict for row, verdict in said if row.purpose != Purpose.REPEAT}
    again = [(row.item_id, verdict) for row, verdict in said if row.purpose == Purpose.REPEAT]
    both = [(first[item_id], verdict) for item_id, verdict in again if item_id in first]
    results = [
        check_pace(durations),
        check_runs(sides),
        check_spells(numbers),
        check_repeats(sum(one == other for one, other in both), len(both)),
    ]
    asked = [one for one in results if one.p_value is not None]
    return [one for one in asked if (one.p_value or 0.0) < 0.01 / len(asked)]


def raise_alert(
    connection: Connection,
    ids: IdSource,
    kind: str,
    *,
    project_id: str,
    user_id: str,
    is_private: bool,
    evidence: dict[str, Any],
    now: int,
) -> Event:
    """Note that something was noticed, inside the caller's transaction."""
    new_id = ids.new()
    connection.execute(
        insert(alert).values(
            id=new_id,
            project_id=project_id,
            user_id=user_id,
            kind=kind,
            is_private=is_private,
            evidence=evidence,
            at_ms=now,
        )
    )
    facts = {"kind": kind, "user": user_id, "private": is_private}
    return entry(now, "quality", "alert", "alert", new_id, facts)


def gold_config(share: float) -> GoldConfig:
    """Shares around the wanted mean: from three fifths of it up to half of all work."""
    return GoldConfig(mean_share=share, floor=0.6 * share, ceiling=max(0.5, share))


def is_as_expected(values: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether every question that has an expectation was answered with the verdict expected."""
    return all(verdict_of(values.get(name)) == verdict_of(value) for name, value in expected.items())
