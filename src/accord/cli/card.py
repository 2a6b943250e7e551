"""`accord card`: the card of a model or of the preferences it learned from, as hubs read it."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.render import print_text, progress_note
from accord.cli.runs import WorkspaceOption, open_workspace


def card(
    key: Annotated[
        str,
        typer.Argument(help="A model: RUN, RUN/ROUND, folder or version. Or a snapshot, by its hash."),
    ],
    is_data: Annotated[
        bool, typer.Option("--data", help="Of the preferences the model learned from, not of the model.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file instead of printing.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the card of a model or of a snapshot: what it is, who judged, what was measured.

    Markdown with a head as model hubs read it; names nobody. A released model has its card beside it.

    \b
    Examples:
      accord card latest --out README.md
      accord card latest --data --out dataset_card.md
      accord card 3f9a1c2b7d10
    """
    from accord.domain.files import write_text_atomic
    from accord.pipeline.cards.making import make_card

    made = make_card(open_workspace(workspace), key, of_data=is_data)
    if out is None:
        print_text(made.text.rstrip("\n"))
    else:
        write_text_atomic(out, made.text)
        progress_note(f"{made.kind} card of {made.name} written to {out}")
