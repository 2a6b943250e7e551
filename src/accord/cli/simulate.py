"""`accord simulate`: simulated annotators judge a project over the real interface."""

from typing import Annotated

import typer

from accord.cli.project import id_of
from accord.cli.quality_options import JsonOption, SeedOption
from accord.cli.render import print_json, print_table
from accord.cli.serve import STORE, StoreOption, opened


def simulate(
    project: Annotated[str, typer.Option("--project", help="Name of the project.")],
    annotators: Annotated[
        int, typer.Option("--annotators", help="How many, of known character.", min=1, max=300)
    ] = 12,
    judgments: Annotated[
        int | None, typer.Option("--judgments", help="Most judgments of each; else all there is.", min=1)
    ] = None,
    pace: Annotated[float, typer.Option("--pace", help="Seconds over each item.", min=0.0)] = 0.0,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Server of this store, such as http://127.0.0.1:8300; else its own."),
    ] = None,
    store: StoreOption = STORE,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Let simulated annotators judge a project, to try a workflow out or to show it.

    They sign in as sim-01, sim-02 ... and judge over HTTP; their judgments carry the source `simulated`
    and are never counted as people's.

    \b
    Examples:
      accord simulate --project support --annotators 12
      accord simulate --project support --judgments 20 --address http://127.0.0.1:8300 --json
    """
    import contextlib

    from accord.feedback.serving import serving_here
    from accord.pipeline.simulating import simulate as run
    from accord.store.database import Accounts

    with opened(store) as database:
        project_id = id_of(database, project)
        with serving_here(database) if address is None else contextlib.nullcontext(address) as place:
            done = run(
                place,
                Accounts.of(database),
                project_id,
                n_annotators=annotators,
                seed=seed,
                most=judgments,
                pace_s=pace,
            )
    if as_json:
        print_json({"project": project, "seed": seed, "annotators": [vars(one) for one in done]})
        return
    total = sum(one.n_judgments for one in done)
    rows = [(one.handle, one.character, one.n_judgments) for one in done]
    print_table(("annotator", "character", "judgments"), rows, title=f"{total} judgments of {project}")
