"""Known traps of preference training, and the tests that catch each: the table of docs/traps.md is fresh.

`python tests/test_traps.py` writes the page anew from the tests' names.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "traps.md"
CLAIM = re.compile(r"^def (test_trap_(\d+)_\w+)", re.MULTILINE)
TRAPS = {
    1: "pad is EOS, so EOS drops out of the loss and the model never stops",
    2: "EOS is missing after the chat template or after truncation",
    3: "the length of a row is read off its pads, where pad is EOS",
    4: "a reward model reads the wrong last token under left padding",
    5: "positions are not shifted under left padding",
    6: "BOS twice, from template and tokenizer",
    7: "prompt and completion tokenized apart merge otherwise at the boundary",
    8: "sampled text is tokenized again into other ids",
    9: "log-probs are not those at the sampling temperature",
    10: "a filtered sampler's log-probs against the learner's full vocabulary",
    11: "old and new log-probs differ before the first step",
    12: "dropout in the policy but not in the reference, or while sampling",
    13: "a LoRA reference is not exactly the base",
    14: "the sampler runs merged, wrong or stale weights",
    15: "merging into rounded weights loses the adapter",
    16: "accumulated gradients are a mean of means",
    17: "the same across data-parallel ranks",
    18: "modes of aggregation are confused",
    19: "normalizing by the spread of a group that has none",
    20: "whitening or losses see padded slots",
    21: "biased and unbiased variance are confused",
    22: "values after EOS leak into advantages",
    23: "on EOS or one past it: where the score stands",
    24: "a missing EOS replaces the score, or is subtracted from it",
    25: "the value head starts far from the returns",
    26: "the reward head starts too large",
    27: "rewards are not centered on demonstrations, or lose it in the export",
    28: "a reward model over-fits in its second pass",
    29: "the KL term's gradient is that of something else",
    30: "the KL term has the wrong sign",
    31: "KL estimates overflow or are clamped silently",
    32: "measured KL is negative because samples are not the policy's",
    33: "the optimizer's eps and bias correction",
    34: "sums and means over tokens are confused among direct losses",
    35: "the chosen answers' log-probs fall as well",
    36: "reference log-probs of another model, data or order are used",
    37: "truncation cuts the answer or its EOS and goes on as if whole",
    38: "packed documents see each other",
    39: "a mask of ones beside positions undoes packing",
    40: "groups are torn apart by shuffling",
    41: "a completion that does not count moves its siblings",
    42: "log-probs or entropy in half precision",
    43: "partial products summed in half precision bias the gradient",
    44: "NaN times a mask of 0 is NaN",
    45: "clipping is missing, or done on each micro-batch",
    46: "a resumed run is another run",
    47: "weights of several versions in one trajectory",
    48: "a mask without a token to learn from",
    49: "a micro-batch in which nothing counts",
    50: "reward model and policy have different tokenizers",
    51: "the KL of best-of-n is a bound, not an equality",
    52: "accuracy on ties, on repeated prompts, on prompts seen in training",
    53: "position and length bias of judges and reward models",
}


def tests_by_trap() -> dict[int, list[str]]:
    """File and name of each test that bears a trap's number."""
    found: dict[int, list[str]] = {number: [] for number in TRAPS}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, number in CLAIM.findall(path.read_text(encoding="utf-8")):
            found[int(number)].append(f"`{path.relative_to(ROOT / 'tests').as_posix()}::{name}`")
    return found


def page() -> str:
    """docs/traps.md as it should be."""
    lines = [
        "# Traps",
        "",
        "Mistakes that training from preferences makes silently, and the tests that catch them. A test bears",
        "the number of its trap. Made from the tests by `python tests/test_traps.py`; a test keeps it fresh.",
        "",
        "| # | trap | tests |",
        "| --- | --- | --- |",
    ]
    for number, names in tests_by_trap().items():
        lines.append(f"| {number} | {TRAPS[number]} | {'<br>'.join(names) or 'none yet'} |")
    return "\n".join(lines) + "\n"


def test_the_page_names_the_tests_of_every_trap():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/test_traps.py"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
