"""`accord evaluate hygiene`: may these rows be trained on?"""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, show_measurements
from accord.cli.render import print_text

LicenseOption = Annotated[
    str,
    typer.Option(
        "--license",
        metavar="NAME",
        help="License of rows that name none, by your word.",
        show_default=False,
    ),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="NAME",
        help="A further license that is allowed, repeatable; MIT, Apache-2.0, CC-BY-4.0 and their like are.",
        show_default=False,
    ),
]
ExceptOption = Annotated[
    list[str] | None,
    typer.Option(
        "--except",
        metavar="TEXT",
        help="A text that is no personal data here, repeatable, such as the address of your own desk.",
        show_default=False,
    ),
]


def hygiene(
    training: Annotated[list[Path], typer.Argument(metavar="TRAINING...", help="Files of training data.")],
    license_name: LicenseOption = "",
    allow: AllowOption = None,
    excepted: ExceptOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for personal data, secrets and rows without an allowed license in training data.

    Found are addresses of mail, phone, card and account numbers, public network addresses and keys; names
    and street addresses are not. What is found is shown masked. A row's license is read from its column
    `license` (or that of its `meta`); a row that names none counts as unlicensed unless --license says it.

    \b
    Examples:
      accord evaluate hygiene train.jsonl --license CC-BY-4.0
      accord evaluate hygiene sft.jsonl pairs.jsonl.gz --except help@ourshop.com --json > hygiene.json
    """
    from accord.evaluation.hygiene import (
        count_licenses,
        license_measurement,
        personal_data_measurements,
        search_rows,
    )
    from accord.evaluation.hygiene.licenses import ALLOWED
    from accord.evaluation.overlap_files import read_rows, row_text

    files, rows, digests = {}, [], {}
    for path in training:
        part, digests[str(path)] = read_rows(path)
        files[str(path)] = [row_text(row) for row in part]
        rows += part
    facts = {"training_sha256": digests, "rows": len(rows)}
    found = search_rows(files, excepted=excepted or ())
    licenses = count_licenses(rows, allowed=(*ALLOWED, *(allow or ())), assumed=license_name)
    measured = [*personal_data_measurements(found, facts), license_measurement(licenses, facts)]
    show_measurements(measured, facts, as_json=as_json)
    if as_json:
        return
    for file, row, trace in found.found[:10]:
        print_text(f"{file}, row {row}: {trace.kind} {trace.masked}")
    for name, count in licenses.counts.items():
        print_text(f"license {name}: {count} rows{', not allowed' if name in licenses.refused else ''}")
