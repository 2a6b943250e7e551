"""The PandaLM test set: three annotators a pair, 0 for a tie."""

from accord.domain import Comparison, DataError, Judgment
from accord.store.exchange.cells import required, rest_of, shown, take_numbered_choice, take_text
from accord.store.exchange.format import Cells, FileContext, Format
from accord.store.exchange.instructions import instruction_prompt

ANNOTATORS = ("annotator1", "annotator2", "annotator3")


def _read_answer(cells: Cells, name: str) -> str:
    """An answer; a few are the bare words true and false, which JSON turned into booleans."""
    value = required(cells, name)
    if isinstance(value, bool | int | float):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"field {name!r} must be text, got {shown(value)}")
    return value


def _read_row(cells: Cells, context: FileContext) -> list[Judgment]:
    used = ("instruction", "input", "response1", "response2", *ANNOTATORS)
    comparison = Comparison(
        prompt=instruction_prompt(take_text(cells, "instruction"), take_text(cells, "input")),
        left=_read_answer(cells, "response1"),
        right=_read_answer(cells, "response2"),
        meta=rest_of(cells, *used),
    )
    return [
        Judgment(comparison=comparison, annotator_id=name, choice=take_numbered_choice(cells, name))
        for name in ANNOTATORS
    ]


PANDALM = Format(
    name="pandalm",
    kind=Judgment,
    fields=("instruction", "input", "response1", "response2", *ANNOTATORS),
    summary="PandaLM: instruction, input, response1, response2, annotator1 to annotator3 (0 tie, 1, 2)",
    read_row=_read_row,
)
