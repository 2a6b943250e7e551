"""From one kind of record to another, where the first holds what the second needs; nothing is made up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from accord.domain import (
    Completion,
    DataError,
    Demonstration,
    Judgment,
    Preference,
    Prompt,
    Ranking,
    Verdict,
)
from accord.store.exchange.format import Record
from accord.store.votes import judgments_from_ranking, preferences_from_judgments


def prompt_of(record: Record) -> Prompt:
    """The prompt a record belongs to; a sampled completion on its own has none and raises."""
    if isinstance(record, Prompt):
        return record
    if isinstance(record, Judgment):
        return record.comparison.prompt
    if isinstance(record, Completion):
        raise DataError("completion records hold no prompt")
    return record.prompt


def prompts_of(records: Iterable[Record]) -> list[Prompt]:
    """The different prompts of the records, in order of first appearance."""
    return list(dict.fromkeys(prompt_of(record) for record in records))


def as_chat_record(record: Record) -> Record:
    """The record with a plain-text prompt made a user turn; others stay as they are."""
    if isinstance(record, Completion) or not prompt_of(record).is_raw:
        return record
    if isinstance(record, Prompt):
        return replace(record, is_raw=False)
    if isinstance(record, Judgment):
        prompt = replace(record.comparison.prompt, is_raw=False)
        return replace(record, comparison=replace(record.comparison, prompt=prompt))
    return replace(record, prompt=replace(record.prompt, is_raw=False))


def convert_records(records: Sequence[Any], kind: type[Record], *, source: str = "") -> list[Record]:
    """The records as another kind.

    Judgments and rankings become preferences by vote share; a preference becomes the
    demonstration of its chosen answer, or a good and a bad verdict, unless it is a tie,
    which has neither and is left out; good verdicts become demonstrations; anything
    with a prompt becomes its prompts, each once. Other ways raise DataError.
    """
    if not records:
        return []
    steps: dict[tuple[type, type], Callable[[], list[Any]]] = {
        (Judgment, Preference): lambda: list(preferences_from_judgments(records, source=source)),
        (Ranking, Judgment): lambda: [
            judgment for ranking in records for judgment in judgments_from_ranking(ranking)
        ],
        (Preference, Demonstration): lambda: [
            Demonstration(prompt=record.prompt, completion=record.chosen, meta=record.meta)
            for record in map(_decided_first, records)
            if not record.is_tie
        ],
        (Preference, Verdict): lambda: [verdict for record in records for verdict in _verdicts(record)],
        (Verdict, Demonstration): lambda: [
            Demonstration(prompt=record.prompt, completion=record.completion, meta=record.meta)
            for record in records
            if record.is_desirable
        ],
        (Demonstration, Prompt): lambda: list(prompts_of(records)),
    }
    start = type(records[0])
    if start is kind:
        return list(records)
    if kind is Prompt:
        return list(prompts_of(records))
    if (start, kind) in steps:
        return steps[start, kind]()
    for through in (Judgment, Preference):
        if (start, through) in steps:
            return convert_records(steps[start, through](), kind, source=source)
    ways = sorted({target.__name__.lower() for begin, target in steps if begin is start} | {"prompt"})
    raise DataError(
        f"{start.__name__.lower()} records do not hold what {kind.__name__.lower()} records need; "
        f"they can become {', '.join(ways)}"
    )


def _decided_first(record: Preference) -> Preference:
    """The preference with the more probable side as `chosen`."""
    if record.p_chosen >= 0.5:
        return record
    return replace(record, chosen=record.rejected, rejected=record.chosen, p_chosen=1 - record.p_chosen)


def _verdicts(record: Preference) -> list[Verdict]:
    if record.is_tie:
        return []
    better = _decided_first(record)
    return [
        Verdict(
            prompt=better.prompt,
            completion=text,
            is_desirable=is_good,
            weight=better.weight,
            meta=better.meta,
        )
        for text, is_good in ((better.chosen, True), (better.rejected, False))
    ]
