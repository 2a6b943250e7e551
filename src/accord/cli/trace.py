"""`accord trace` and `accord recall`: from a model to its judgments and back, and judgments called back."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.render import print_json, print_table, print_text
from accord.cli.runs import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from accord.pipeline.lineage import Made

SHOWN = 20
"""Judgments printed one by one; --json has all."""
UUID_LENGTH = 36


def trace(
    key: Annotated[
        str,
        typer.Argument(help="A model: RUN, RUN/ROUND, its folder or version. Or a judgment, by its id."),
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model was made of, down to each judgment; or what a judgment touched.

    Judgments are shown with a pseudonym of the annotator, the guideline's version and what stood on screen.

    \b
    Examples:
      accord trace latest
      accord trace loop-20261130-101500/2 --json
      accord trace 00010000-0012-7c3a-8f00-1b2c3d4e5f60
    """
    from accord.pipeline.lineage import trace_judgment, trace_model

    space = open_workspace(workspace)
    if len(key) == UUID_LENGTH and key.count("-") == 4:
        _show_judgment(space, key, trace_judgment(space, key), as_json=as_json)
        return
    found = trace_model(space, space.run(key).id if key == "latest" else key)
    rows = [_row(made) for made in found.chain]
    if as_json:
        print_json({"model": rows[0], "chain": rows, "judgments": found.judgment_ids})
        return
    record = found.model.run.record
    print_table(
        ("model", found.model.name),
        [
            ("weights", found.model.record.version),
            ("verdict", _verdict(found.model)),
            ("run", f"{record.id}, {record.status}"),
            ("code", str(record.provenance.code)),
            ("command", " ".join(record.command)),
            ("written policy", _policy(found.model)),
            ("judgments behind it", str(len(found.judgment_ids))),
        ],
    )
    print_text("")
    print_table(
        ("round", "weights", "began from", "snapshot", "reward model", "judgments"),
        [
            (
                row["name"],
                row["version"],
                row["began_from"],
                row["snapshot"][:12],
                f"{row['reward_version']} ({row['reward_objective']})",
                row["judgments"],
            )
            for row in rows
        ],
    )
    _list_judgments(found.model, found.judgment_ids)


def recall(
    run: Annotated[str, typer.Argument(help="Run whose store holds the judgments, or `latest`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why they no longer count; kept for good.")] = "",
    annotator: Annotated[
        str | None,
        typer.Option(
            "--annotator", help="All judgments of this handle, id or pseudonym.", show_default=False
        ),
    ] = None,
    guideline: Annotated[
        int | None,
        typer.Option(
            "--guideline", help="All judged under this version of the guideline.", show_default=False
        ),
    ] = None,
    judgment: Annotated[
        list[str] | None,
        typer.Option("--judgment", help="One judgment, by its id. May be repeated.", show_default=False),
    ] = None,
    is_dry: Annotated[
        bool, typer.Option("--dry-run", help="Call nothing back; list what would be touched.")
    ] = False,
    is_rebuilt: Annotated[
        bool, typer.Option("--rebuild", help="Also make the newest snapshot anew without them, and write it.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call judgments back: they count no longer, and all that rests on them is listed.

    They stay in the store. Says which snapshots and models are affected, and what making them again would
    cost. A snapshot made anew lies under `recalled/` in the run's folder.

    \b
    Examples:
      accord recall latest --annotator sim-10 --dry-run
      accord recall latest --annotator sim-10 --reason "answered without reading" --rebuild
    """
    from accord.pipeline.lineage import recall as call_back

    space = open_workspace(workspace)
    found_run = space.run(run)
    if annotator is None and guideline is None and not judgment:
        raise typer.BadParameter("say what: --annotator, --guideline or --judgment")
    found = call_back(
        space,
        found_run,
        reason=reason,
        actor="recall",
        annotator=annotator,
        guideline=guideline,
        judgment_ids=judgment or [],
        is_dry=is_dry,
    )
    made_anew = _make_anew(found_run) if is_rebuilt and not is_dry else None
    if as_json:
        print_json(
            {
                "judgments": list(found.judgment_ids),
                "called_back": found.n_new,
                "is_dry": is_dry,
                "snapshots": [_row(made) for made in found.snapshots],
                "models": [_row(made) for made in found.models],
                "seconds_to_make_again": found.seconds,
                "rebuilt": made_anew,
            }
        )
        return
    done = "would be called back" if is_dry else f"called back, {found.n_new} of them now"
    print_text(f"{len(found.judgment_ids)} judgments {done}")
    rows = [
        (made.name, _verdict(made), made.record.snapshot[:12], made.record.version) for made in found.models
    ]
    print_table(("model", "verdict", "snapshot", "weights"), rows, title="rest on them")
    print_text(f"making them again took {found.seconds:.0f} s the first time")
    if made_anew:
        print_text(f"snapshot without them: {made_anew['folder']} ({made_anew['pairs']} pairs)")


def _make_anew(run: Any) -> dict[str, Any]:
    """Write the newest snapshot without what was called back; where it lies."""
    from accord.pipeline.lineage import rebuild
    from accord.pipeline.rounds.releasing import read_ledger

    snapshot = rebuild(run, len(read_ledger(run.folder)[0]))
    folder = run.folder / "recalled" / snapshot.hash[:16]
    folder.mkdir(parents=True, exist_ok=True)
    snapshot.write(folder)
    return {"hash": snapshot.hash, "folder": str(folder), "pairs": len(snapshot.preferences)}


def _show_judgment(space: Any, key: str, models: "list[Made]", *, as_json: bool) -> None:
    from accord.domain.errors import AccordError, StoreError
    from accord.pipeline.lineage import describe_judgment, made_models

    origin = None
    for made in [*models, *made_models(space)]:
        try:
            origin = describe_judgment(made.run, key)
            break
        except AccordError:
            continue
    if origin is None:
        raise StoreError(f"no run of {space.root} has a store with judgment {key!r}")
    if as_json:
        print_json({"judgment": origin, "models": [_row(made) for made in models]})
        return
    rows = [
        ("project", origin.project),
        ("annotator", f"{origin.annotator} ({origin.source})"),
        ("guideline", "none" if origin.guideline_version is None else f"version {origin.guideline_version}"),
        ("question", origin.prompt),
        *((f"on screen, {place}", text) for place, text in enumerate(origin.shown, start=1)),
        ("answered", str(origin.values)),
        ("counts", f"no: {origin.void_reason}" if origin.is_void else "yes"),
    ]
    print_table(("judgment", key), rows)
    print_text("")
    print_table(
        ("touched", "verdict", "weights"),
        [(made.name, _verdict(made), made.record.version) for made in models],
    )


def _list_judgments(model: "Made", judgment_ids: list[str]) -> None:
    from accord.pipeline.lineage import describe_judgment

    origins = [describe_judgment(model.run, one) for one in model.judgment_ids[:SHOWN]]
    print_text("")
    rows = [
        (
            one.id,
            one.annotator,
            "-" if one.guideline_version is None else one.guideline_version,
            str(one.values),
        )
        for one in origins
    ]
    print_table(("judgment", "annotator", "guideline", "answered"), rows)
    if len(judgment_ids) > len(rows):
        print_text(f"and {len(judgment_ids) - len(rows)} more; --json lists them all")


def _row(made: "Made") -> dict[str, Any]:
    record = made.record
    return {
        "name": made.name,
        "run": made.run.id,
        "round": record.number,
        "folder": str(made.run.folder / record.model),
        "version": record.version,
        "began_from": record.began_from,
        "snapshot": record.snapshot,
        "reward_version": record.reward_version,
        "reward_objective": record.facts.get("reward", {}).get("objective", "pairs"),
        "is_released": record.is_released,
        "verdict": record.verdict,
        "policy_file": record.facts.get("policy", {}).get("hash"),
        "judgments": len(made.judgment_ids),
    }


def _policy(made: "Made") -> str:
    """Name and version of the written policy it was made under."""
    policy = made.record.facts.get("policy")
    return f"{policy['name']}, version {policy['hash']} ({policy['file']})" if policy else "none named"


def _verdict(made: "Made") -> str:
    return "released" if made.record.is_released else f"not released ({made.record.verdict})"
