"""Instruction rows: Alpaca's (instruction, input, output) and self-instruct's tasks with instances."""

from accord.domain import DataError, Demonstration, Prompt
from accord.store.exchange.cells import rest_of, shown, take_list, take_text
from accord.store.exchange.format import Cells, FileContext, Format


def instruction_prompt(instruction: str, material: str) -> Prompt:
    """One user turn: the instruction and, after a blank line, the text it is about."""
    return Prompt.from_text(f"{instruction}\n\n{material}" if material.strip() else instruction)


def _read_alpaca_row(cells: Cells, context: FileContext) -> list[Demonstration]:
    material = cells.get("input")
    if material is not None and not isinstance(material, str):
        raise DataError(f"field 'input' must be text, got {shown(material)}")
    return [
        Demonstration(
            prompt=instruction_prompt(take_text(cells, "instruction"), material or ""),
            completion=take_text(cells, "output"),
            meta=rest_of(cells, "instruction", "input", "output"),
        )
    ]


def _read_task_row(cells: Cells, context: FileContext) -> list[Demonstration]:
    instruction = take_text(cells, "instruction")
    meta = rest_of(cells, "instruction", "instances")
    demonstrations = []
    for instance in take_list(cells, "instances"):
        if not isinstance(instance, dict):
            raise DataError(f"an instance must be an object with input and output, got {shown(instance)}")
        prompt = instruction_prompt(instruction, take_text(instance, "input"))
        demonstrations.append(
            Demonstration(prompt=prompt, completion=take_text(instance, "output"), meta=meta)
        )
    return demonstrations


ALPACA = Format(
    name="alpaca",
    kind=Demonstration,
    fields=("instruction", "output"),
    summary="Alpaca: instruction, input, output",
    read_row=_read_alpaca_row,
)

SELF_INSTRUCT = Format(
    name="self_instruct",
    kind=Demonstration,
    fields=("instruction", "instances"),
    summary="self-instruct: instruction, instances of input and output",
    read_row=_read_task_row,
)
