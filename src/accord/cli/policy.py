"""`accord policy`: a written policy checked, and what follows: guideline, questions, heads, gates."""

from pathlib import Path
from typing import Annotated, Any

import typer

from accord.cli.quality_options import JsonOption
from accord.cli.render import print_json, print_table, print_text, progress_note

app = typer.Typer(
    help="From a written policy: its guideline, questions, reward heads and gates.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FileArgument = Annotated[Path, typer.Argument(help="TOML file of the policy: principles and limits.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write to this file instead of printing.", show_default=False)
]


@app.command()
def check(file: FileArgument, as_json: JsonOption = False) -> None:
    """Read a policy and show what follows from each principle; all that is wrong is said at once.

    \b
    Example:
      accord policy check policy.toml
    """
    from accord.pipeline.charter.principles import read_charter
    from accord.pipeline.charter.release import gate_plan
    from accord.pipeline.charter.training import reward_heads

    charter = read_charter(file)
    heads, plan = reward_heads(charter), gate_plan(charter)
    limits = {one.dimension: one for one in heads.constraints}
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "kind": "limit" if one.id in limits else "principle",
            "part": charter.parts.get(one.id),
            "max_rate": limits[one.id].max_rate if one.id in limits else None,
            "examples": len(one.examples),
            "gates": [gate.id for gate in plan.gates if gate.id.partition(".")[0] == one.id],
        }
        for one in charter.entries
    ]
    if as_json:
        print_json({"name": charter.name, "hash": charter.hash, "plan_hash": plan.hash, "principles": rows})
        return
    cells = [
        (
            row["id"],
            row["kind"],
            f"{row['part']:.0%} of the score" if row["part"] else f"at most {row['max_rate']:g}",
            row["examples"],
            ", ".join(row["gates"]),
        )
        for row in rows
    ]
    print_table(("id", "kind", "counts", "examples", "gates"), cells)
    print_text(f"{charter.name}: charter {charter.hash}, gate plan {plan.hash}")


@app.command()
def guideline(file: FileArgument, out: OutOption = None) -> None:
    """Draft the guideline for annotators, in Markdown; each heading names its principle.

    \b
    Example:
      accord policy guideline policy.toml --out guideline.md
    """
    from accord.pipeline.charter.collecting import guideline as draft
    from accord.pipeline.charter.principles import read_charter

    _deliver(draft(read_charter(file)), out)


@app.command()
def rubric(file: FileArgument) -> None:
    """Print the questions that annotators are asked, as JSON.

    \b
    Example:
      accord policy rubric policy.toml
    """
    from accord.pipeline.charter.collecting import rubric as questions
    from accord.pipeline.charter.principles import read_charter

    print_json(questions(read_charter(file)))


@app.command()
def project(
    file: FileArgument,
    items: Annotated[
        str | None, typer.Option("--items", help="JSONL file of items, beside the project file.")
    ] = None,
    out: OutOption = None,
) -> None:
    """Write a project file with guideline and questions, for `accord project create`.

    \b
    Example:
      accord policy project policy.toml --items pairs.jsonl --out project.toml
    """
    from accord.pipeline.charter.collecting import project_file
    from accord.pipeline.charter.principles import read_charter

    _deliver(project_file(read_charter(file), items=items), out)


@app.command()
def heads(
    file: FileArgument,
    ratings: Annotated[
        str, typer.Option("--ratings", help="File of ratings that the config names.")
    ] = "ratings.jsonl",
    out: OutOption = None,
) -> None:
    """Write a config for `accord train reward`: a head for each principle and limit, weights, constraints.

    \b
    Example:
      accord policy heads policy.toml --out reward.toml
    """
    from accord.pipeline.charter.principles import read_charter
    from accord.pipeline.charter.training import reward_config

    _deliver(reward_config(read_charter(file), ratings), out)


@app.command()
def gates(file: FileArgument, out: OutOption = None) -> None:
    """Write the plan of gates for `accord gate`; each gate names its principle.

    \b
    Example:
      accord policy gates policy.toml --out gates.toml
    """
    from accord.pipeline.charter.principles import read_charter
    from accord.pipeline.charter.release import gate_file

    _deliver(gate_file(read_charter(file)), out)


@app.command()
def measure(
    file: FileArgument,
    ratings: Annotated[Path, typer.Argument(help="Ratings of the candidate's answers.")],
    incumbent: Annotated[
        Path | None, typer.Option("--incumbent", help="Ratings of the last release's answers.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure each principle on people's grades, in the form `accord gate` reads.

    \b
    Examples:
      accord project export support --format ratings --out ratings.jsonl
      accord policy measure policy.toml ratings.jsonl --json > results.json
      accord gate gates.toml results.json
    """
    from accord.cli.measurements import show_measurements
    from accord.pipeline.charter.principles import read_charter
    from accord.pipeline.charter.release import measure_grades
    from accord.store.reading import read_ratings

    charter = read_charter(file)
    before = [] if incumbent is None else read_ratings(incumbent)
    found = measure_grades(charter, read_ratings(ratings), before)
    show_measurements(found, {"charter": charter.hash, "ratings": str(ratings)}, as_json=as_json)


def _deliver(text: str, out: Path | None) -> None:
    from accord.domain.files import write_text_atomic

    if out is None:
        print_text(text.rstrip("\n"))
    else:
        write_text_atomic(out, text)
        progress_note(f"written to {out}")
