"""The HHH alignment evaluation: a prompt that may hold several Human/Assistant turns, and two answers."""

from accord.domain import Preference, Prompt, Provenance
from accord.store.exchange.cells import rest_of, take_text
from accord.store.exchange.format import Cells, FileContext, Format
from accord.store.exchange.transcripts import read_turns

SUBSETS = frozenset({"helpful", "honest", "harmless", "other"})


def _read_row(cells: Cells, context: FileContext) -> list[Preference]:
    messages = read_turns("\n\nHuman: " + take_text(cells, "prompt"))
    return [
        Preference(
            prompt=Prompt(messages=messages),
            chosen=take_text(cells, "chosen").strip(),
            rejected=take_text(cells, "rejected").strip(),
            provenance=Provenance(source=context.name),
            meta=rest_of(cells, "prompt", "chosen", "rejected"),
        )
    ]


HHH = Format(
    name="hhh",
    kind=Preference,
    fields=("subset", "prompt", "chosen", "rejected"),
    summary="HHH: subset (helpful, honest, harmless, other), prompt as dialogue, chosen, rejected",
    read_row=_read_row,
    fits=lambda cells: cells["subset"] in SUBSETS,
)
