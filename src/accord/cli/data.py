"""`accord data`: look at files of records, convert them, split them by prompt."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from accord.cli.render import print_json, print_table, print_text, progress_note
from accord.domain import DataError, MissingExtra
from accord.domain.files import atomic_path
from accord.store import (
    FORMATS,
    Inspection,
    RecordFile,
    convert_records,
    find_leakage,
    inspect_file,
    prompt_of,
    read_records,
    split_records,
    write_records,
)
from accord.store.exchange.accord_records import ACCORD_FORMATS
from accord.store.exchange.registry import ACCORD, format_named

app = typer.Typer(
    help="Look at, convert and split files of records.", no_args_is_help=True, rich_markup_mode=None
)

READ_NAMES = ", ".join([ACCORD, *(form.name for form in FORMATS if form not in ACCORD_FORMATS)])
WRITE_NAMES = ", ".join(
    [ACCORD, *(form.name for form in FORMATS if form.write_row is not None and form not in ACCORD_FORMATS)]
)
SHOWN_CHARACTERS = 300
"""How much of a text a sample shows."""

InputFile = Annotated[str, typer.Argument(metavar="FILE", help="A file, a folder with splits, or a hub id.")]
FormatOption = Annotated[
    str | None, typer.Option("--format", help=f"Read as this format instead of recognizing it: {READ_NAMES}.")
]
SplitOption = Annotated[str | None, typer.Option("--split", help="Which split of a folder to read.")]
SkipOption = Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out, and count them.")]
ToOption = Annotated[
    str | None, typer.Option("--to", help=f"Format to write: {WRITE_NAMES}. Default: accord, nothing lost.")
]
ChatOption = Annotated[
    bool, typer.Option("--as-chat", help="Make plain-text prompts user turns for the chat template.")
]


@app.command()
def inspect(
    file: InputFile,
    against: Annotated[
        str | None, typer.Option("--against", help="Count the prompts that this file holds too.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Also count tokens: smollm2, tiny or a model folder."),
    ] = None,
    format: FormatOption = None,
    split: SplitOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a file holds: rows, format, lengths, duplicates, ties, annotators, leakage, samples.

    \b
    Examples:
      accord data inspect preferences.jsonl
      accord data inspect votes.jsonl.gz --model smollm2
      accord data inspect train.jsonl --against test.jsonl --json
    """
    inspection = inspect_file(
        file, format=format, split=split, tokenizer_length=_token_counter(model), against=against
    )
    if as_json:
        print_json(inspection.to_json())
    else:
        _show_inspection(inspection)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A file, a folder with splits, or a hub id.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A .jsonl, .csv (or .gz) or .parquet file.")],
    to: ToOption = None,
    format: FormatOption = None,
    split: SplitOption = None,
    skip_bad: SkipOption = False,
    as_chat: ChatOption = False,
) -> None:
    """Write the records of one file as another, in another format or file type.

    \b
    Examples:
      accord data convert hh.jsonl.gz preferences.parquet --to preference
      accord data convert votes.jsonl preferences.jsonl --to preference
      accord data convert preferences.jsonl demonstrations.jsonl --to prompt_completion
      accord data convert preferences.jsonl unpaired.csv --to kto --skip-bad
    """
    file = read_records(source, format=format, skip_bad=skip_bad, split=split, as_chat=as_chat)
    records = _converted(file, to)
    written = write_records(target, records, format=to)
    _note_skipped(file)
    kind = file.kind.__name__.lower()
    print_text(f"{target}: {written} {to or ACCORD} rows from {len(file.records)} {kind} records")


@app.command("split")
def split_file(
    source: Annotated[str, typer.Argument(metavar="IN", help="A file, a folder with splits, or a hub id.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for train.jsonl and test.jsonl.")],
    test_share: Annotated[
        float, typer.Option("--test-share", help="Expected share of prompts held out, between 0 and 1.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Another seed holds out other prompts.")] = 0,
    to: ToOption = None,
    format: FormatOption = None,
    skip_bad: SkipOption = False,
    as_chat: ChatOption = False,
) -> None:
    """Split a file into train and test by the hash of the prompt, so that no prompt is on both sides.

    The same prompt goes to the same side in every file split with the same seed and share.

    \b
    Examples:
      accord data split preferences.jsonl --out data/
      accord data split votes.jsonl.gz --out data/ --test-share 0.2 --seed 7 --to preference
    """
    file = read_records(source, format=format, skip_bad=skip_bad, as_chat=as_chat)
    sides = split_records(_converted(file, to), test_share=test_share, seed=seed)
    for name, records in (("train", sides.train), ("test", sides.test)):
        if not records:
            raise DataError(
                f"no prompt fell on the {name} side with test share {test_share} and seed {seed}; "
                f"choose another share or seed",
                path=source,
            )
    # both files appear together: an old test side beside a new train side would leak
    with atomic_path(out / "train.jsonl") as train_path, atomic_path(out / "test.jsonl") as test_path:
        write_records(train_path, sides.train, format=to)
        write_records(test_path, sides.test, format=to)
    _note_skipped(file)
    leakage = find_leakage(map(prompt_of, sides.test), map(prompt_of, sides.train))
    train_prompts = len(set(map(prompt_of, sides.train)))
    print_table(
        ["side", "records", "prompts", "shared with the other side"],
        [
            ["train", len(sides.train), train_prompts, leakage.shared],
            ["test", len(sides.test), leakage.prompts, leakage.shared],
        ],
        title=f"{out}: split by prompt, seed {seed}",
    )


def _converted(file: RecordFile, to: str | None) -> list[Any]:
    """The records of a file as the kind that format `to` holds."""
    if to is None or to == ACCORD:
        return file.records
    if not file.format.has_texts:
        raise DataError(f"cannot write {to!r}: {file.format.note} Only --to accord keeps such records.")
    return convert_records(file.records, format_named(to).kind, source=Path(file.path).name)


def _token_counter(model: str | None) -> Callable[[str], int] | None:
    if model is None:
        return None
    try:
        from accord.models.loading import load_model
    except ImportError as error:
        raise MissingExtra("counting tokens", "train") from error
    tokenizer = load_model(model).tokenizer
    return lambda text: len(tokenizer.completion_ids(text, ended=False))


def _note_skipped(file: RecordFile) -> None:
    if file.skipped:
        first = file.skipped[0]
        progress_note(
            f"{len(file.skipped)} of {file.rows} rows left out, the first one "
            f"{first.path}:{first.line}: {first.reason}"
        )


def _show_inspection(inspection: Inspection) -> None:
    print_table(["what", "value"], _facts(inspection), title=inspection.path)
    columns = ["length of", "in", "min", "mean", "p50", "p90", "p99", "max"]
    print_text("")
    print_table(columns, _lengths(inspection))
    for number, sample in enumerate(inspection.samples, start=1):
        print_text(f"\nSample {number}", style="bold")
        for name, value in sample.items():
            print_text(f"  {name}: {_shortened(value)}")


def _facts(inspection: Inspection) -> list[tuple[str, str]]:
    facts = [
        ("format", inspection.format),
        ("records", f"{inspection.records} {inspection.kind} records from {inspection.rows} rows"),
        ("fields", ", ".join(inspection.fields)),
        ("prompts", f"{inspection.prompts}, of which {inspection.repeated_prompts} repeat"),
        ("duplicates", str(inspection.duplicates)),
        ("empty answers", str(inspection.empty_completions)),
    ]
    if inspection.note:
        facts.insert(1, ("note", inspection.note))
    if inspection.ties is not None:
        facts.append(("ties", f"{inspection.ties} ({inspection.ties / inspection.records:.1%})"))
    facts += [(name.replace("_", " "), f"{share:.1%}") for name, share in inspection.balance.items()]
    if inspection.annotators is not None:
        each, per_item = inspection.annotators.records_each, inspection.annotators.records_per_item
        facts += [
            ("annotators", str(inspection.annotators.annotators)),
            ("records by one annotator", f"{each.min:g} to {each.max:g}, median {each.p50:g}"),
            ("records on one item", f"{per_item.min:g} to {per_item.max:g}, mean {per_item.mean:.2f}"),
        ]
    for leakage in inspection.leakage:
        shared = f"{leakage.shared} of {leakage.prompts} prompts"
        loosely = f"{leakage.shared_normalized} but for case and spaces"
        facts.append((f"shared with {leakage.against}", f"{shared}, {loosely}"))
    if inspection.bad_rows:
        first = inspection.bad_rows[0]
        facts.append(("bad rows", f"{inspection.skipped}, first {first.path}:{first.line}: {first.reason}"))
    return facts


def _lengths(inspection: Inspection) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for part, units in inspection.lengths.items():
        for unit, spread in units.items():
            numbers = (spread.min, spread.mean, spread.p50, spread.p90, spread.p99, spread.max)
            rows.append([part, unit, *map(round, numbers)])
    return rows


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."
