"""`accord evaluate overlap`: do evaluation prompts stand in the training data?"""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, show_measurements
from accord.cli.render import print_text


def overlap(
    evaluation: Annotated[Path, typer.Argument(metavar="EVALUATION", help="File of evaluation prompts.")],
    training: Annotated[list[Path], typer.Argument(metavar="TRAINING...", help="Files of training data.")],
    words: Annotated[int, typer.Option("--words", help="Words in a row that must be shared.", min=5)] = 13,
    as_json: JsonOption = False,
) -> None:
    """Look for evaluation prompts, and the canaries of suites, in training data.

    A prompt counts as found where 13 of its words in a row stand in a training text, whatever the case and
    punctuation; of a shorter prompt all of it must. Rewritten prompts are not found.

    \b
    Examples:
      accord evaluate overlap heldout.jsonl train.jsonl
      accord evaluate overlap prompts.csv sft.jsonl preferences.jsonl.gz --json
    """
    from accord.evaluation.overlap import find_overlap, overlap_measurements
    from accord.evaluation.overlap_files import read_all_texts, read_prompt_texts

    prompts, digest = read_prompt_texts(evaluation)
    texts, digests = [], {}
    for path in training:
        part, digests[path.name] = read_all_texts(path)
        texts += part
    found = find_overlap(prompts, texts, order=words)
    facts = {"evaluation_sha256": digest, "training_sha256": digests, "words": words}
    show_measurements(overlap_measurements(found, facts), facts, as_json=as_json)
    if not as_json:
        for place, shared in found.found[:10]:
            print_text(f"prompt {place}: {shared}")
        for name in found.canaries:
            print_text(f"canary in the training data: {name}")
