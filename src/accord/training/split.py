"""Records held out for evaluation, by prompt, so that no prompt stands on both sides.

Pairs have `pairs.hold_out`, which says more in its error. Leaves out what is measured on them.
"""

from collections.abc import Sequence
from typing import TypeVar

from accord.domain import (
    DataError,
    Judgment,
    Prompt,
    Ranking,
    Rating,
    StepLabels,
    Streams,
    Verdict,
    hash_fraction,
)

Held = TypeVar("Held", Judgment, Ranking, Rating, StepLabels, Verdict)


def hold_out_records(
    records: Sequence[Held], eval_records: Sequence[Held] | None, share: float, streams: Streams
) -> tuple[Sequence[Held], Sequence[Held]]:
    """Training and held-out records; a prompt on both sides raises, since the figures would flatter.

    Without `eval_records` all records of about `share` of the prompts are held out, chosen by the hash of the
    prompt; none where nothing would be left to train on.
    """
    if eval_records is None:
        seed = streams.child("held_out").value
        held = [record for record in records if hash_fraction(prompt_of(record).id, seed=seed) < share]
        kept = [record for record in records if hash_fraction(prompt_of(record).id, seed=seed) >= share]
        return (kept, held) if kept else (records, ())
    shared = {prompt_of(record).id for record in records} & {prompt_of(record).id for record in eval_records}
    if shared:
        raise DataError(
            f"{len(shared)} prompts stand in training and in held-out records: figures on them would "
            f"flatter. Split with `accord data split`."
        )
    return records, eval_records


def prompt_of(record: Judgment | Ranking | Rating | StepLabels | Verdict) -> Prompt:
    """The prompt a record belongs to."""
    return record.comparison.prompt if isinstance(record, Judgment) else record.prompt
