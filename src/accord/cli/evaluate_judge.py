"""`accord evaluate judge`: can a judge be believed as people can?"""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import print_text


def judge(
    verdicts: Annotated[Path, typer.Argument(metavar="VERDICTS", help="The judge's: one row an item.")],
    people: Annotated[Path, typer.Argument(metavar="PEOPLE", help="People's votes: one row a vote.")],
    item: Annotated[
        str | None,
        typer.Option("--item", metavar="COLUMN", help="Else item, pair or id.", show_default=False),
    ] = None,
    winner: Annotated[
        str | None,
        typer.Option("--winner", metavar="COLUMN", help="Else winner, verdict or label.", show_default=False),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Hold a judge's verdicts against people's votes, and against how far people agree with each other.

    `judge_kappa_gap` is the judge's kappa with people less people's own; its interval resamples items.

    \b
    Examples:
      accord evaluate judge verdicts.jsonl votes.jsonl
      accord evaluate judge gpt4.jsonl.gz crowd.csv --item pair --json > judge.json
    """
    from accord.evaluation.judges.validation import as_measurements, validate_judge
    from accord.evaluation.judges.vote_files import read_votes

    votes = read_votes(verdicts, people, item=item, winner=winner)
    found = validate_judge(votes.verdicts, votes.people, seed=seed)
    facts = {
        "items": found.n_items,
        "without_verdict": found.n_missing,
        "verdicts_sha256": votes.digests[0],
        "people_sha256": votes.digests[1],
        "seed": seed,
    }
    show_measurements(as_measurements(found), facts, as_json=as_json)
    if as_json:
        return
    if found.gap is None:
        print_text("no item has two people: how far they agree with each other is not known")
    elif found.gap.is_below(0):
        print_text("people agree with each other more than the judge agrees with them")
    elif found.gap.low >= 0:
        print_text("the judge agrees with people at least as well as they do with each other")
    else:
        print_text("whether the judge agrees with people as well as they do with each other is open")
