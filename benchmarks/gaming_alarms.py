"""How often alarms of a run are raised where nothing moved, and where something did.

    python benchmarks/gaming_alarms.py --runs 2000

Prints one JSON line: the share of simulated runs of 24 prompts in which any alarm is raised, calm and with a
planted change, and how often each alarm is raised then. The calm share is what
`accord.evaluation.gaming_alarms` promises to keep at 1 % or below.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from accord.evaluation.gaming_alarms import raise_alarms
from accord.evaluation.scored_answers import ScoredAnswer, ScoredRun

PROMPTS = 24
STEPS = (0, 50, 100)
LETTERS = list("abcd")


def simulate(seed: int, *, moved: float) -> ScoredRun:
    """A run whose proxy, length, KL and one ensemble member move by `moved` standard deviations a step."""
    generator = np.random.default_rng([seed, int(1000 * moved)])
    level = generator.normal(0, 1, PROMPTS)
    steps = {}
    for place, step in enumerate(STEPS):
        shift = moved * place
        steps[step] = tuple(
            ScoredAnswer(
                prompt_id=f"q{i}",
                proxy=float(level[i] + shift + 0.5 * generator.normal()),
                gold=0.0,
                length=20.0 + shift + float(generator.normal()),
                entropy=2.0 + 0.1 * float(generator.normal()),
                text=" ".join(generator.choice(LETTERS, 30)),
                logprobs=(float(generator.normal(shift**2, 0.5)), 0.0),
                members=tuple(
                    (level[i] + np.array([shift, shift, -shift]) + generator.normal(0, 1, 3)).tolist()
                ),
            )
            for i in range(PROMPTS)
        )
    return ScoredRun(steps=steps)


def measure(runs: int, *, moved: float) -> dict[str, object]:
    raised: Counter[str] = Counter()
    any_raised = 0
    for seed in range(runs):
        names = [one.name for one in raise_alarms(simulate(seed, moved=moved)) if one.is_raised]
        raised.update(names)
        any_raised += bool(names)
    return {"any": any_raised / runs, "each": {name: count / runs for name, count in sorted(raised.items())}}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--moved", type=float, default=1.0, help="standard deviations a step, where planted")
    options = parser.parse_args(arguments)
    planted = measure(max(1, options.runs // 10), moved=options.moved)
    print(json.dumps({"runs": options.runs, "calm": measure(options.runs, moved=0.0), "planted": planted}))


if __name__ == "__main__":
    main()
