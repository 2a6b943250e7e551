"""`accord project`: make projects from a file, add items and people, export judgments."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.quality_options import JsonOption, checked_choice
from accord.cli.render import print_json, print_table, print_text
from accord.cli.serve import STORE, StoreOption, opened
from accord.domain.errors import StoreError

app = typer.Typer(
    help="Set out what people judge: make projects, add items, export judgments.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
NameArgument = Annotated[str, typer.Argument(help="Name of the project.")]


@app.command()
def create(
    file: Annotated[Path, typer.Argument(help="TOML file of the project.")],
    store: StoreOption = STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a project from one file: task, guideline, items, overlap.

    \b
    Examples:
      accord project create project.toml --dry-run
      accord project create project.toml --store postgresql://accord@db/accord
    """
    from dataclasses import replace

    from accord.feedback.project_file import read_items, read_project, write_items
    from accord.feedback.workflow import parse_workflow
    from accord.store.database import Projects

    plan = read_project(file)
    stage = parse_workflow(plan.workflow, str(file)).first
    if plan.stages is None:
        stage = replace(stage, overlap=plan.overlap)
    items = [] if plan.items is None else list(read_items(plan.items, stage))
    new_id = None
    if not dry_run:
        with opened(store) as database:
            projects = Projects.of(database)
            new_id = projects.add_project(plan.name)
            projects.add_definition(new_id, "schema", plan.task)
            if plan.guideline:
                projects.add_definition(new_id, "guideline", {"markdown": plan.guideline})
            projects.add_definition(new_id, "workflow", plan.workflow)
            projects.add_definition(new_id, "policy", plan.people)
            write_items(projects, new_id, items)
    facts = {
        "id": new_id,
        "name": plan.name,
        "n_items": len(items),
        "overlap": plan.overlap,
        "questions": [question.id for question in plan.schema.questions],
    }
    if as_json:
        print_json(facts)
        return
    print_table(("", plan.name), [(name, value) for name, value in facts.items() if name != "name"])
    print_text("Nothing was written." if dry_run else "Judge it with: accord serve")


@app.command("list")
def list_projects(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """List the projects with how many judgments they have and want.

    \b
    Example:
      accord project list
    """
    from sqlalchemy import select

    from accord.feedback.work import Work
    from accord.store.database import WorkQueue
    from accord.store.database.tables import project

    with opened(store) as database:
        work = Work(database, WorkQueue.of(database))
        with database.read() as connection:
            rows = connection.execute(select(project).order_by(project.c.name)).all()
        found = [{"name": row.name, "id": row.id, **_counts(work.progress(row.id)["slots"])} for row in rows]
    if as_json:
        print_json(found)
    else:
        cells = [(one["name"], one["id"], one["n_judged"], one["n_wanted"]) for one in found]
        print_table(("project", "id", "judged", "wanted"), cells)


@app.command("add-items")
def add_items(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="JSONL file of rows: prompt or messages, and candidates.")],
    overlap: Annotated[int, typer.Option("--overlap", help="How many people judge each.", min=1)] = 1,
    store: StoreOption = STORE,
) -> None:
    """Add items to a project.

    \b
    Example:
      accord project add-items support pairs.jsonl --overlap 3
    """
    from accord.feedback.project_file import read_items, write_items
    from accord.store.database import Projects

    items = list(read_items(file, overlap))
    with opened(store) as database:
        count = write_items(Projects.of(database), id_of(database, name), items)
    print_text(f"{count} items added to {name}.")


@app.command("import")
def import_items(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="JSONL, JSON, CSV or Parquet file; text also with .gz.")],
    shape: Annotated[
        str, typer.Option("--format", help="auto, accord, trl, hh, argilla or label-studio.")
    ] = "auto",
    overlap: Annotated[int, typer.Option("--overlap", help="How many people judge each.", min=1)] = 1,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Take a file's rows as items: bad rows are told by line and left out, a broken import goes on.

    How far it has come is kept with the project under the file's hash; the same file again is taken up
    where it ended, and left alone where it is in.

    \b
    Examples:
      accord project import support pairs.parquet --overlap 3
      accord project import support export.json --format label-studio
    """
    from accord.feedback.importing import import_file
    from accord.feedback.item_rows import FORMATS
    from accord.store.database import Projects

    checked_choice("--format", shape, FORMATS)
    with opened(store) as database:
        project_id = id_of(database, name)
        done = import_file(Projects.of(database), project_id, file, shape=shape, overlap=overlap)
    if as_json:
        print_json(done)
    else:
        print_text(f"{done.n_rows} rows read: {done.n_items} are items of {name}, {done.n_refused} refused.")
        for error in done.errors[:10]:
            print_text(f"  line {error['line']}: {error['detail']}")
        if done.n_refused > 10:
            print_text(f"  and {done.n_refused - 10} more; --json lists the first hundred")
    if done.failure:
        raise StoreError(f"the file could not be read to its end: {done.failure}")


@app.command("add-person")
def add_person(
    handle: Annotated[str, typer.Argument(help="Name to sign in with.")],
    role: Annotated[
        str, typer.Option("--role", help="owner, lead, reviewer, annotator, auditor or service.")
    ] = "annotator",
    skill: Annotated[list[str] | None, typer.Option("--skill", help="A skill; may be repeated.")] = None,
    store: StoreOption = STORE,
) -> None:
    """Make an account with a password that is printed once.

    \b
    Example:
      accord project add-person ann --role annotator --skill medicine
    """
    import secrets

    from accord.store.database import Accounts, Role

    kept = Role(checked_choice("--role", role, tuple(one.value for one in Role)))
    password = secrets.token_urlsafe(12)
    with opened(store) as database:
        Accounts.of(database).add(handle, password, kept, skills=skill or ())
    print_text(f"{kept} made: handle {handle}, password {password} (shown this once)")


@app.command()
def export(
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write, JSON lines.")],
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            help="raw: all that is known; comparisons: for accord quality; preference, unpaired, "
            "prompt-completion, ranking, ratings, stepwise: for trainers; choices: labels and meta of "
            "the item.",
        ),
    ] = "raw",
    store: StoreOption = STORE,
) -> None:
    """Write a project's judgments to a file, in the order in which they came in.

    \b
    Examples:
      accord project export support --out judgments.jsonl
      accord project export support --format comparisons --out comparisons.jsonl
      accord project export support --format unpaired --out kto.jsonl
    """
    from accord.domain.files import atomic_path
    from accord.feedback.export import FORMATS, export_lines
    from accord.feedback.work import Work
    from accord.store.database import WorkQueue

    wanted = checked_choice("--format", kind, FORMATS)
    count = 0
    with opened(store) as database:
        work, project_id = Work(database, WorkQueue.of(database)), id_of(database, name)
        with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8") as file:
            for line in export_lines(work, project_id, wanted):
                file.write(line)
                count += 1
    print_text(f"{count} rows written to {out}.")


def id_of(database, name: str) -> str:  # type: ignore[no-untyped-def]
    """The id of a project by its name; raises `StoreError` with the names there are."""
    from sqlalchemy import select

    from accord.store.database.tables import project

    with database.read() as connection:
        found = connection.execute(select(project.c.id).where(project.c.name == name)).scalar()
        names = connection.execute(select(project.c.name).order_by(project.c.name).limit(20)).scalars().all()
    if found is None:
        raise StoreError(f"there is no project {name!r}; there are: {', '.join(names) or 'none'}")
    return str(found)


def _counts(slots: dict[str, int]) -> dict[str, int]:
    return {"n_judged": slots.get("filled", 0), "n_wanted": slots.get("open", 0) + slots.get("leased", 0)}
