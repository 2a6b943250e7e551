"""Each member of an ensemble learns from its own bootstrap of the prompts: how often it counts each."""

from collections.abc import Hashable, Sequence

import numpy as np

from accord.domain import Streams


def prompt_counts(prompts: Sequence[Hashable], members: int, streams: Streams) -> list[tuple[float, ...]]:
    """[row][member] How often the member's bootstrap drew the row's prompt.

    Each member draws as many prompts as there are, with replacement, so that the counts of a member add up to
    the number of prompts and all rows of a prompt count alike. One member counts everything once.
    """
    if members == 1:
        return [(1.0,)] * len(prompts)
    distinct = list(dict.fromkeys(prompts))
    place = {prompt: index for index, prompt in enumerate(distinct)}
    counts = [
        np.bincount(
            np.random.default_rng(streams.child("bootstrap", member).value).integers(
                len(distinct), size=len(distinct)
            ),
            minlength=len(distinct),
        )
        for member in range(members)
    ]
    return [tuple(float(drawn[place[prompt]]) for drawn in counts) for prompt in prompts]
