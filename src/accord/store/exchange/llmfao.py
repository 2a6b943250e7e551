"""LLMFAO: crowd votes in one file, the answers they are about in `pairs.jsonl.gz` beside it."""

from pathlib import Path
from typing import Any

from accord.domain import Comparison, DataError, Judgment, Preference, Prompt, Provenance, Source
from accord.store.exchange.cells import required, rest_of, take_choice, take_label, take_text
from accord.store.exchange.format import Cells, FileContext, Format
from accord.store.rows import companion_rows

PAIRS_FILE = "pairs.jsonl.gz"


def _read_pairs(path: Path) -> dict[Any, Comparison]:
    pairs_path = path.with_name(PAIRS_FILE)
    if not pairs_path.exists():
        raise DataError(
            f"these votes name pairs by number, and the answers stand in {PAIRS_FILE}, which is not in "
            f"{path.parent}. Put the two files into one folder.",
            path=str(path),
        )
    return {required(cells, "pair"): _read_pair(cells) for cells in companion_rows(pairs_path)}


def _read_pair(cells: Cells) -> Comparison:
    return Comparison(
        prompt=Prompt.from_text(take_text(cells, "text")),
        left=take_text(cells, "left"),
        right=take_text(cells, "right"),
        meta=rest_of(cells, "text", "left", "right"),
    )


def _read_vote(cells: Cells, context: FileContext) -> list[Judgment]:
    number = required(cells, "pair")
    comparison = context.joined.get(number)
    if comparison is None:
        raise DataError(f"pair {number!r} is not in {PAIRS_FILE}, which holds {len(context.joined)} pairs")
    worker = take_label(cells, "worker")
    machine = context.path.name.split(".")[0]
    return [
        Judgment(
            comparison=comparison,
            annotator_id=worker or machine,
            choice=take_choice(cells, "winner"),
            source=Source.HUMAN if worker else Source.MODEL,
            meta={"left_model": cells["left"], "right_model": cells["right"]},
        )
    ]


def _read_pair_row(cells: Cells, context: FileContext) -> list[Comparison]:
    return [_read_pair(cells)]


def _read_golden(cells: Cells, context: FileContext) -> list[Preference]:
    choice = take_choice(cells, "golden")
    left, right = take_text(cells, "result_x"), take_text(cells, "result_y")
    chosen, rejected = (left, right) if choice.left_share >= 0.5 else (right, left)
    return [
        Preference(
            prompt=Prompt.from_text(take_text(cells, "text")),
            chosen=chosen,
            rejected=rejected,
            p_chosen=1.0 if choice.is_decided else 0.5,
            provenance=Provenance(method="golden", source=context.name),
            meta=rest_of(cells, "text", "result_x", "result_y") | {"chosen_side": choice.value},
        )
    ]


LLMFAO_VOTES = Format(
    name="llmfao",
    kind=Judgment,
    fields=("pair", "winner", "left", "right", "prompt"),
    summary="LLMFAO votes: pair, worker, winner, with pairs.jsonl.gz in the same folder",
    read_row=_read_vote,
    priority=2,
    prepare=_read_pairs,
    note="Rows without a worker are machine judges: their source is 'model', never 'human'.",
)

LLMFAO_PAIRS = Format(
    name="llmfao_pairs",
    kind=Comparison,
    fields=("pair", "text", "left", "right", "left_model", "right_model"),
    summary="LLMFAO pairs: the two answers that votes are about",
    read_row=_read_pair_row,
)

LLMFAO_GOLDEN = Format(
    name="llmfao_golden",
    kind=Preference,
    fields=("text", "result_x", "result_y", "golden"),
    summary="LLMFAO qualification pairs: two answers and the golden outcome",
    read_row=_read_golden,
)
