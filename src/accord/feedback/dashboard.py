"""What a lead sees of a project: progress, cost, people, biases, disputes, and why a queue is empty.

Every share comes with its interval and its count. Sums are made by the database; what is looked at row by row
are the newest judgments, a bounded number, so that memory does not grow with a project.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from scipy.special import bdtr
from sqlalchemy import Row, select

from accord.domain.judgments import Source
from accord.feedback.charts import bar_chart, drift_line, share_line
from accord.feedback.progress import describe_project
from accord.feedback.queue_health import describe_queue
from accord.feedback.verdicts import verdict_of
from accord.feedback.work import Work, newest_definition
from accord.quality.bias.multiplicity import adjust_holm
from accord.quality.people.drift import (
    DriftConfig,
    cautious_normal,
    choose_threshold,
    cusum,
    drift_steps,
    watch_drift,
)
from accord.quality.people.intervals import wilson_interval
from accord.store.database.states import ItemState, Purpose
from accord.store.database.tables import assignment, content, item, judgment, user
from accord.store.database.tally import Kind, counts_of

NEWEST = 10_000
"""Judgments that people, drift and position are told from."""
NEWEST_TEXTS = 2_000
"""Judgments whose texts are read, for length and for disputes."""
MIN_ALERT = 20
"""Judgments of somebody before anything is said against him."""
ALERT_LEVEL = 0.01
"""Chance of a false alert about sides among all annotators of a project together, by Holm's method."""
WORD = re.compile(r"\w{4,}")


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share with its 95 % Wilson interval; nothing was counted where `n` is 0."""

    k: int
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One judgment as the dashboard needs it."""

    item: str
    handle: str
    vote: str
    is_left: bool | None
    """Whether the left answer won; nothing for ties and other questions."""
    spent_s: float | None
    at_ms: int


def share_of(k: int, n: int) -> Share:
    """`k` of `n`."""
    bounds = wilson_interval(k, n)
    return Share(k=k, n=n, share=k / n if n else 0.0, low=float(bounds.low), high=float(bounds.high))


def build_dashboard(work: Work, project_id: str, *, rate: float | None = None) -> dict[str, Any]:
    """Everything the lead's page shows; `rate` is pay per hour of active work."""
    facts = describe_project(work, project_id)
    facts |= _items(facts["items"])
    seen = _newest(work, project_id)
    pooled, people = _people(seen, {row["handle"]: row for row in facts["annotators"]})
    return {
        **facts,
        "daily": _daily(work, project_id),
        "cost": cost_of(facts, rate),
        "people": people,
        "pooled": pooled,
        "alerts": [{"handle": one["handle"], "text": text} for one in people for text in one["alerts"]],
        "bias": _biases(work, project_id, seen),
        "disputes": _disputes(work, project_id),
        "queue": describe_queue(work, project_id),
    }


def _items(counts: Mapping[str, int]) -> dict[str, Any]:
    """How many items there are, dropped ones left out; how many are done, are to be read, and stand where."""
    done = (ItemState.JUDGED, ItemState.COMPLETE)
    read = (ItemState.IN_REVIEW, ItemState.IN_ADJUDICATION)
    return {
        "n_to_read": sum(counts.get(one, 0) for one in read),
        "n_items": sum(counts.values()) - counts.get(ItemState.WITHDRAWN, 0),
        "n_items_done": sum(counts.get(one, 0) for one in done),
        "stands": [(one.value, counts[one]) for one in ItemState if counts.get(one)],
    }


def _newest(work: Work, project_id: str) -> list[Seen]:
    with work.database.read() as connection:
        rows = connection.execute(
            _last_judgments(project_id)
            .add_columns(user.c.handle, assignment.c.presentation, assignment.c.schema_id)
            .limit(NEWEST)
        ).all()
    return [seen for row in reversed(rows) if (seen := _seen(work, row)) is not None]


def _last_judgments(project_id: str) -> Any:
    """The last revisions of people's judgments, by when they were first given, newest first."""
    later = judgment.alias("later")
    is_revised = (
        select(later.c.id)
        .where(later.c.assignment_id == judgment.c.assignment_id, later.c.revision > judgment.c.revision)
        .exists()
    )
    return (
        select(judgment.c.item_id, judgment.c.payload, judgment.c.received_ms, assignment.c.active_ms)
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .join(user, user.c.id == judgment.c.user_id)
        .where(
            assignment.c.project_id == project_id,
            assignment.c.closed_ms.is_not(None),
            ~is_revised,
            judgment.c.source != Source.MODEL.value,
            assignment.c.purpose != Purpose.REPEAT.value,  # nobody agrees with himself
        )
        .order_by(assignment.c.closed_ms.desc(), assignment.c.id.desc())
    )


def _seen(work: Work, row: Row[Any]) -> Seen | None:
    value = row.payload["values"].get(work.schema(row.schema_id).deciding.id)
    if value is None:
        return None
    vote = verdict_of(value)
    permutation = row.presentation["permutation"]
    is_left = (vote == "first") == (permutation[0] == 0) if vote in ("first", "second") else None
    spent_ms = row.payload.get("active_ms") or row.active_ms
    return Seen(
        item=row.item_id,
        handle=row.handle,
        vote=vote,
        is_left=is_left,
        spent_s=spent_ms / 1000 if spent_ms else None,
        at_ms=row.received_ms,
    )


def _daily(work: Work, project_id: str) -> Any:
    """Judgments of each of the last thirty days on which there were any."""
    with work.database.read() as connection:
        days = counts_of(connection, project_id).get(Kind.DAY, {})
    found = [(_date(int(when)), days[when]) for when in sorted(days, key=int)[-30:]]
    return bar_chart("Judgments a day", found)


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%b %d")


def cost_of(facts: Mapping[str, Any], rate: float | None) -> dict[str, Any]:
    """Active time and, at a pay per hour, money: spent, for each judgment, and still to come."""
    hours = sum(one["active_ms"] for one in facts["annotators"]) / 3_600_000
    n_done = sum(one["n"] for one in facts["annotators"])
    # Of an item that is reviewed or decided one slot is open, and that asks for no judgment.
    n_left = facts["slots"].get("open", 0) + facts["slots"].get("leased", 0) - facts.get("n_to_read", 0)
    per_judgment = hours / n_done if n_done else 0.0
    made: dict[str, Any] = {
        "n_done": n_done,
        "n_left": n_left,
        "hours": hours,
        "seconds_each": per_judgment * 3600,
        "hours_left": per_judgment * n_left,
        "per_hour": n_done / hours if hours else None,
        "rate": rate,
    }
    if rate is not None:
        made |= {"spent": hours * rate, "each": per_judgment * rate, "to_come": per_judgment * n_left * rate}
    return made


def _people(
    seen: Sequence[Seen], told: Mapping[str, Mapping[str, Any]]
) -> tuple[Share, list[dict[str, Any]]]:
    agreed = _agreement_with_others(seen)
    every = [one for found in agreed.values() for one in found]
    pooled = share_of(sum(one >= 0.5 for one in every), len(every))
    sides: dict[str, list[bool]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    for one in seen:
        if one.is_left is not None:
            sides[one.handle].append(one.is_left)
        if one.spent_s:
            times[one.handle].append(one.spent_s)
    usual = median(spent for found in times.values() for spent in found) if times else None
    unusual = _side_alerts(sides)
    limits = _DriftLimits(pooled.share, {})
    rows = []
    for handle in sorted({one.handle for one in seen}, key=lambda one: -told.get(one, {}).get("n", 0)):
        skill = share_of(sum(one >= 0.5 for one in agreed[handle]), len(agreed[handle]))
        speed = median(times[handle]) if times[handle] else None
        drift = _drift(agreed[handle], handle, limits)
        alerts = [*unusual.get(handle, []), *drift["alerts"], *_against(skill, pooled, speed, usual)]
        left = sides[handle]
        rows.append(
            {
                "handle": handle,
                "n": told.get(handle, {}).get("n", 0),
                "hours": told.get(handle, {}).get("active_ms", 0) / 3_600_000,
                "skill": skill,
                "skill_chart": share_line(f"{handle}, agreement", skill.share, skill.low, skill.high),
                "seconds": speed,
                "left": share_of(sum(left), len(left)),
                "drift": drift["chart"],
                "alerts": alerts,
            }
        )
    return pooled, rows


def _agreement_with_others(seen: Sequence[Seen]) -> dict[str, list[float]]:
    """For each person, in order, 1 where he says what most others say, 0 where not, 0.5 where they split."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for one in seen:
        votes[one.item][one.vote] += 1
    found: dict[str, list[float]] = defaultdict(list)
    for one in seen:
        others = votes[one.item].copy()
        others[one.vote] -= 1
        ranked = [count for _, count in others.most_common() if count > 0]
        if ranked:
            best = {vote for vote, count in others.items() if count == ranked[0]}
            found[one.handle].append(0.0 if one.vote not in best else 1.0 if len(best) == 1 else 0.5)
    return found


@dataclass
class _DriftLimits:
    """Thresholds of the drift chart, chosen once for each level of usual agreement."""

    pooled: float
    known: dict[float, float]

    def usual(self, agreed: Sequence[float]) -> float:
        """What is usual for somebody, told cautiously by his first half and rounded down to a twentieth."""
        first = agreed[: len(agreed) // 2]
        cautious = cautious_normal(sum(first), len(first), pooled=min(max(self.pooled, 0.5), 0.95))
        return max(0.5, int(cautious * 20) / 20)

    def threshold(self, normal: float) -> float:
        """The height at which the chart alarms."""
        if normal not in self.known:
            config = DriftConfig()
            self.known[normal] = choose_threshold(
                normal=normal,
                declined=float(config.declined(normal)),
                false_alarms_per_1000=config.false_alarms_per_1000,
            )
        return self.known[normal]


def _drift(agreed: Sequence[float], handle: str, limits: _DriftLimits) -> dict[str, Any]:
    if len(agreed) < MIN_ALERT:
        return {"chart": "", "alerts": []}
    normal = limits.usual(agreed)
    threshold = limits.threshold(normal)
    watch = watch_drift(agreed, normal=normal, threshold=threshold)
    declined = float(DriftConfig().declined(normal))
    recent = [float(one) for one in cusum(drift_steps(agreed, normal=normal, declined=declined))[-400:]]
    alerts = [
        f"worse since about judgment {alarm.since} ({alarm.since_low} to {alarm.since_high}), noticed at "
        f"{alarm.at} of {watch.n}"
        for alarm in watch.alarms[-1:]
    ]
    return {"chart": drift_line(f"{handle}, drift", recent, threshold), "alerts": alerts}


def _side_alerts(sides: Mapping[str, Sequence[bool]]) -> dict[str, list[str]]:
    handles = [handle for handle, found in sides.items() if len(found) >= MIN_ALERT]
    if not handles:
        return {}
    raw = [_coin_p_value(sum(sides[one]), len(sides[one])) for one in handles]
    return {
        handle: [
            f"left in {sum(sides[handle])} of {len(sides[handle])} choices; by chance p = {adjusted:.2g}"
        ]
        for handle, adjusted in zip(handles, adjust_holm(raw), strict=True)
        if adjusted < ALERT_LEVEL
    }


def _coin_p_value(k: int, n: int) -> float:
    """Two-sided p-value of `k` heads in `n` tosses of a fair coin: exact, and symmetric."""
    return min(1.0, 2 * float(bdtr(min(k, n - k), n, 0.5)))


def _against(skill: Share, pooled: Share, speed: float | None, usual: float | None) -> list[str]:
    said = []
    if skill.n >= MIN_ALERT and skill.high < pooled.low:
        said.append(
            f"agrees with the others in {skill.k} of {skill.n} [{skill.low:.2f}, {skill.high:.2f}]; "
            f"all together {pooled.share:.2f}"
        )
    if skill.n >= MIN_ALERT and speed is not None and usual is not None and speed < usual / 4:
        said.append(f"{speed:.0f} s an item, where the usual is {usual:.0f} s")
    return said


def _biases(work: Work, project_id: str, seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Position and length of what wins, and agreement by language of the items."""
    sides = [one.is_left for one in seen if one.is_left is not None]
    found = [("The left answer wins", share_of(sum(sides), len(sides)), 0.5)]
    n_longer = n_pairs = 0
    groups: dict[str, list[bool]] = defaultdict(list)
    votes: dict[str, list[str]] = defaultdict(list)
    languages: dict[str, str] = {}
    with work.database.read() as connection:
        rows = connection.execute(
            _last_judgments(project_id)
            .join(item, item.c.id == assignment.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .add_columns(content.c.body, assignment.c.schema_id)
            .limit(NEWEST_TEXTS)
            .execution_options(yield_per=200)
        )
        for row in rows:
            value = row.payload["values"].get(work.schema(row.schema_id).deciding.id)
            vote = verdict_of(value)
            votes[row.item_id].append(vote)
            languages[row.item_id] = str(row.body.get("language") or "")
            lengths = [len(one["text"]) for one in row.body["candidates"]]
            if vote in ("first", "second") and len(lengths) == 2 and lengths[0] != lengths[1]:
                n_pairs += 1
                n_longer += (vote == "first") == (lengths[0] > lengths[1])
    found.append(("The longer answer wins", share_of(n_longer, n_pairs), 0.5))
    for name, given in votes.items():
        if len(given) > 1:
            groups[languages[name]].append(len(set(given)) == 1)
    for language, same in sorted(groups.items()):
        if len(groups) > 1:
            name = f"All agree, items in {language or 'no named language'}"
            found.append((name, share_of(sum(same), len(same)), 0.5))
    return [
        {"name": name, "share": share, "chart": share_line(name, share.share, share.low, share.high)}
        for name, share, _ in found
        if share.n
    ]


def _disputes(work: Work, project_id: str) -> list[dict[str, Any]]:
    """Paragraphs of the guideline by how often people differ over items that share their rare words."""
    with work.database.read() as connection:
        guideline = newest_definition(connection, project_id, "guideline")
        if guideline is None:
            return []
        rows = connection.execute(
            _last_judgments(project_id)
            .join(item, item.c.id == assignment.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .add_columns(content.c.body, assignment.c.schema_id)
            .limit(NEWEST_TEXTS)
            .execution_options(yield_per=200)
        )
        votes: dict[str, set[str]] = defaultdict(set)
        counts: Counter[str] = Counter()
        words: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            votes[row.item_id].add(
                verdict_of(row.payload["values"].get(work.schema(row.schema_id).deciding.id))
            )
            counts[row.item_id] += 1
            said = [row.body["messages"][-1]["content"][:2000], *_reasons(row.payload["values"])]
            words[row.item_id] |= {word for text in said for word in WORD.findall(text.lower())}
    judged = [name for name, count in counts.items() if count > 1]
    found: list[tuple[Share, str, set[str]]] = []
    for paragraph, own in _rare_words(guideline.body["markdown"]):
        about = [name for name in judged if own & words[name]]
        if len(about) >= 3:
            share = share_of(sum(len(votes[name]) > 1 for name in about), len(about))
            found.append((share, paragraph, own))
    found.sort(key=lambda one: (-one[0].low, -one[0].n))
    return [{"text": text, "words": sorted(own)[:6], "share": share} for share, text, own in found[:8]]


def _reasons(values: Mapping[str, Any]) -> list[str]:
    return [value[:2000] for value in values.values() if isinstance(value, str)]


def _rare_words(text: str) -> list[tuple[str, set[str]]]:
    """Each paragraph with the words of four letters or more that stand in it alone."""
    paragraphs = [one.strip() for one in re.split(r"\n\s*\n", text) if one.strip()]
    sets = [set(WORD.findall(one.lower())) for one in paragraphs]
    counts = Counter(word for words in sets for word in words)
    return [
        (paragraph.lstrip("# "), {word for word in words if counts[word] == 1})
        for paragraph, words in zip(paragraphs, sets, strict=True)
    ]
