"""LLMBar: two outputs for an instruction and an objective label that says which one follows it."""

from accord.domain import Choice, DataError, Preference, Prompt, Provenance
from accord.store.exchange.cells import rest_of, take_numbered_choice, take_text
from accord.store.exchange.format import Cells, FileContext, Format


def _read_row(cells: Cells, context: FileContext) -> list[Preference]:
    choice = take_numbered_choice(cells, "label")
    if not choice.is_decided:
        raise DataError(f"field 'label' must be 1 or 2, got {cells['label']!r}")
    outputs = [take_text(cells, "output_1"), take_text(cells, "output_2")]
    chosen, rejected = outputs if choice is Choice.LEFT else reversed(outputs)
    return [
        Preference(
            prompt=Prompt.from_text(take_text(cells, "input")),
            chosen=chosen,
            rejected=rejected,
            provenance=Provenance(method="objective", source=context.name),
            meta=rest_of(cells, "input", "output_1", "output_2", "label") | {"chosen_side": choice.value},
        )
    ]


LLMBAR = Format(
    name="llmbar",
    kind=Preference,
    fields=("input", "output_1", "output_2", "label"),
    summary="LLMBar: input, output_1, output_2, label (1 or 2 is better)",
    read_row=_read_row,
)
