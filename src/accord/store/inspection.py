"""What is in a file of records: counts, lengths, duplicates, ties, annotators, balance, leakage, samples."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accord.domain import (
    Comparison,
    Completion,
    Demonstration,
    Judgment,
    Preference,
    Ranking,
    Rating,
    StepLabels,
    Verdict,
    content_hash,
)
from accord.store.conversion import prompt_of
from accord.store.exchange.format import Record
from accord.store.exchange.registry import accord_format
from accord.store.leakage import Leakage, find_leakage
from accord.store.reading import RecordFile, read_records
from accord.store.rows import BadRow
from accord.store.sources import folder_splits

SAMPLES = 3
SHOWN_BAD_ROWS = 10
PARTITION_STARTS = ("train", "test", "valid", "dev", "eval", "held")
"""How the names of splits begin; other files of a folder are not held against the one looked at."""
TokenizerLength = Callable[[str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A distribution in six numbers; percentiles are interpolated between neighbors."""

    n: int
    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorCounts:
    """Who said how much."""

    annotators: int
    records_each: Spread
    """Records of one annotator."""
    records_per_item: Spread
    """Records on one item: a pair of answers, in whichever order, or one answer or list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What `accord data inspect` shows."""

    path: str
    format: str
    kind: str
    note: str
    """What the format wants known: missing texts, the meaning of a score."""
    rows: int
    records: int
    skipped: int
    """Rows that could not be used."""
    bad_rows: list[BadRow]
    """The first ten of them."""
    fields: dict[str, int]
    """Field of the record or of its meta, and how many records fill it."""
    lengths: dict[str, dict[str, Spread]]
    """By part (prompt, chosen, ...) and unit (characters, words, tokens)."""
    prompts: int
    """Different prompts."""
    repeated_prompts: int
    """Prompts that more than one record has."""
    duplicates: int
    """Records that say exactly what an earlier one said."""
    empty_completions: int
    """Answers that are empty or only white space."""
    ties: int | None
    """Records without a winner; None where a record cannot be a tie."""
    balance: dict[str, float]
    """Shares: of the choices by position, of good verdicts, of longer answers among the chosen."""
    annotators: AnnotatorCounts | None
    leakage: list[Leakage]
    samples: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain dictionaries, lists, numbers and text."""
        return asdict(self)


def inspect_file(
    path: str | Path,
    *,
    format: str | None = None,
    split: str | None = None,
    tokenizer_length: TokenizerLength | None = None,
    against: str | Path | None = None,
) -> Inspection:
    """Read a file leniently and say what it holds; raises DataError when no row can be used.

    Token lengths need `tokenizer_length`, the number of tokens of a text. Leakage is
    counted against the file `against`, and against the other splits of a folder.
    """
    file = read_records(path, format=format, split=split, skip_bad=True)
    return inspect_records(file, tokenizer_length=tokenizer_length, leakage=_leakages(file, split, against))


def inspect_records(
    file: RecordFile, *, tokenizer_length: TokenizerLength | None = None, leakage: Sequence[Leakage] = ()
) -> Inspection:
    """Say what records that were read already hold."""
    records = file.records
    has_prompts = file.kind is not Completion
    prompt_counts = Counter(prompt_of(record) for record in records) if has_prompts else Counter()
    answers = [text for record in records for name, text in texts_of(record) if name != "prompt"]
    return Inspection(
        path=file.path,
        format=file.format.name,
        kind=file.kind.__name__.lower(),
        note=file.format.note,
        rows=file.rows,
        records=len(records),
        skipped=len(file.skipped),
        bad_rows=file.skipped[:SHOWN_BAD_ROWS],
        fields=_filled_fields(records),
        lengths=_lengths(records, tokenizer_length),
        prompts=len(prompt_counts),
        repeated_prompts=sum(count > 1 for count in prompt_counts.values()),
        duplicates=len(records) - len({_identity(record) for record in records}),
        empty_completions=sum(not text.strip() for text in answers),
        ties=_count_ties(records),
        balance=_balance(records),
        annotators=_count_annotators(records),
        leakage=list(leakage),
        samples=[_row_of(record) for record in _spread_out(records)],
    )


def spread_of(values: Sequence[float]) -> Spread:
    """Six numbers of a non-empty sequence."""
    numbers = np.asarray(values, dtype=float)
    low, middle, high, highest = np.percentile(numbers, [0, 50, 90, 99])
    return Spread(
        n=len(numbers),
        min=float(low),
        mean=float(numbers.mean()),
        p50=float(middle),
        p90=float(high),
        p99=float(highest),
        max=float(numbers.max()),
    )


def texts_of(record: Record) -> Iterator[tuple[str, str]]:
    """Every text of a record with the name of its part; a prompt is all its messages."""
    if not isinstance(record, Completion):
        yield "prompt", "\n".join(message.content for message in prompt_of(record).messages)
    match record:
        case Demonstration() | Rating() | Verdict():
            yield "completion", record.completion
        case Preference():
            yield "chosen", record.chosen
            yield "rejected", record.rejected
        case Comparison():
            yield "left", record.left
            yield "right", record.right
        case Judgment():
            yield "left", record.comparison.left
            yield "right", record.comparison.right
        case Ranking():
            yield from (("completions", text) for text in record.completions)
        case StepLabels():
            yield from (("steps", text) for text in record.steps)
        case Completion():
            yield "text", record.text


def _lengths(
    records: Iterable[Record], tokenizer_length: TokenizerLength | None
) -> dict[str, dict[str, Spread]]:
    units: dict[str, TokenizerLength] = {"characters": len, "words": lambda text: len(text.split())}
    if tokenizer_length is not None:
        units["tokens"] = tokenizer_length
    texts: dict[str, list[str]] = {}
    for record in records:
        for name, text in texts_of(record):
            texts.setdefault(name, []).append(text)
    measured: dict[str, dict[str, Spread]] = {}
    for name, group in texts.items():
        measured[name] = {}
        for unit, length in units.items():
            known = {text: length(text) for text in set(group)}
            measured[name][unit] = spread_of([known[text] for text in group])
    return measured


def _row_of(record: Record) -> dict[str, Any]:
    writer = accord_format(type(record)).write_row
    assert writer is not None
    return writer(record)


def _identity(record: Record) -> str:
    """What a record says, whatever came with it: equal rows of a file have equal identities."""
    beside = ("meta", "prompt_meta", "comparison_meta", "provenance")
    return content_hash({name: value for name, value in _row_of(record).items() if name not in beside})


def _filled_fields(records: Iterable[Record]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for record in records:
        row = _row_of(record)
        row.pop("accord")
        for name, value in row.items():
            if isinstance(value, Mapping):
                counts.update(f"{name}.{inner}" for inner in value)
            elif value not in ("", None):
                counts[name] += 1
    return dict(counts)


def _count_ties(records: Sequence[Record]) -> int | None:
    match records[0]:
        case Preference():
            return sum(isinstance(record, Preference) and record.is_tie for record in records)
        case Judgment():
            return sum(isinstance(record, Judgment) and not record.choice.is_decided for record in records)
        case Ranking():
            return sum(
                isinstance(record, Ranking) and len(set(record.ranks)) < len(record.ranks)
                for record in records
            )
    return None


def _balance(records: Sequence[Record]) -> dict[str, float]:
    labels: Counter[str] = Counter()
    for record in records:
        match record:
            case Judgment():
                labels[record.choice.value] += 1
            case Verdict():
                labels["good" if record.is_desirable else "bad"] += 1
            case Preference():
                difference = len(record.chosen) - len(record.rejected)
                order = "longer" if difference > 0 else "shorter" if difference < 0 else "as_long"
                labels[f"chosen_is_{order}"] += 1
                if "chosen_side" in record.meta:
                    labels[f"chosen_side_{record.meta['chosen_side']}"] += 1
    return {label: labels[label] / len(records) for label in sorted(labels)}


def _count_annotators(records: Sequence[Record]) -> AnnotatorCounts | None:
    names: Counter[str] = Counter()
    items: Counter[tuple[object, ...]] = Counter()
    for record in records:
        match record:
            case Judgment():
                shown = record.comparison
                item: tuple[object, ...] = (shown.prompt, *sorted((shown.left, shown.right)))
            case Rating():
                item = (record.prompt, record.completion, record.dimension)
            case Ranking():
                item = (record.prompt, *sorted(record.completions))
            case _:
                return None
        names[record.annotator_id] += 1
        items[item] += 1
    if set(names) == {""}:
        return None
    return AnnotatorCounts(
        annotators=len(names),
        records_each=spread_of(list(names.values())),
        records_per_item=spread_of(list(items.values())),
    )


def _leakages(file: RecordFile, split: str | None, against: str | Path | None) -> list[Leakage]:
    """Leakage against another file, and between the split that was read and the others of its folder."""
    if file.kind is Completion:
        return []
    others: list[tuple[str, RecordFile]] = []
    if against is not None:
        others.append((str(against), read_records(against, skip_bad=True)))
    folder = Path(file.path)
    if folder.is_dir():
        splits = folder_splits(folder)
        here = split or ("train" if "train" in splits else next(iter(splits)))
        for name in splits:
            if name == here or not name.startswith(PARTITION_STARTS):
                continue
            others.append((name, read_records(folder, split=name, skip_bad=True)))
    prompts = [prompt_of(record) for record in file.records]
    return [
        find_leakage(prompts, (prompt_of(record) for record in other.records), against=name)
        for name, other in others
    ]


def _spread_out(records: Sequence[Record]) -> list[Record]:
    """The first, the middle and the last record, or all of fewer."""
    if len(records) <= SAMPLES:
        return list(records)
    return [records[0], records[len(records) // 2], records[-1]]
