"""What two models' answers are like as texts, whatever anybody thinks of them.

    response_length            tokens where both sides carry them, else words
    repeated_4grams, empty_share, length_cap_share, common_opening_share
    self_bleu                  likeness to answers to other prompts
    refusal_phrase_share       answers that open as refusals do, by phrases
    language_switch_share      answers in another language or script than their prompt
    format_switch_share        answers in another form (prose, list, code, ...) than the incumbent's
    token_entropy              mean of -log p of the tokens drawn, nats, where all answers carry them

Leaves out judges and KL (`comparing.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from accord.domain.errors import EvaluationError
from accord.evaluation.comparison.columns import difference_measurement, paired_measurements
from accord.evaluation.comparison.responses import Responses, clusters_of
from accord.evaluation.degeneracy import repeated_share
from accord.evaluation.judges.labels import PHRASES_ERROR, find_refusal
from accord.evaluation.measurement import Measurement
from accord.evaluation.repetition import held_out_openings
from accord.evaluation.self_bleu import REFERENCES, measure_self_bleu
from accord.evaluation.switches import is_other_language, measure_form_switches

OPENING_WORDS = 5

Column = tuple[str, list[list[float]], bool, dict[str, Any]]
"""Metric, [side, row], whether it is a share, and facts of its own."""


def measure_texts(
    candidate: Responses, incumbent: Responses, *, seed: int, facts: Mapping[str, Any]
) -> tuple[list[Measurement], dict[str, str]]:
    """Every column of both sides and its paired difference, and why a column is not there."""
    ids = clusters_of(candidate.prompts)
    words = [[answer.text.split() for answer in side.completions] for side in (candidate, incumbent)]
    unit = "tokens" if candidate.has_ids and incumbent.has_ids else "words"
    lengths = [
        [
            len(answer.token_ids) if unit == "tokens" else len(answer.text.split())
            for answer in side.completions
        ]
        for side in (candidate, incumbent)
    ]
    columns: list[Column] = [
        ("response_length", [[float(one) for one in row] for row in lengths], False, {"unit": unit}),
        ("repeated_4grams", [[repeated_share(row) for row in side] for side in words], True, {}),
        (
            "empty_share",
            [
                [float(not answer.text.strip()) for answer in side.completions]
                for side in (candidate, incumbent)
            ],
            True,
            {},
        ),
    ]
    missing: dict[str, str] = {}
    if candidate.knows_endings and incumbent.knows_endings:
        capped = [
            [float(not answer.finish_reason.is_complete) for answer in side.completions]
            for side in (candidate, incumbent)
        ]
        columns.append(("length_cap_share", capped, True, {}))
    else:
        missing["length_cap_share"] = "a file does not say which answers ran out of tokens (finish_reason)"
    more, reasons = _further_columns(candidate, incumbent, words, ids, seed)
    missing |= reasons
    measured = []
    for metric, (first, second), is_share, extra in [*columns, *more]:
        measured += paired_measurements(
            metric, first, second, ids, is_share=is_share, seed=seed, facts={**facts, **extra}
        )
    measured.append(_opening(words, ids, seed=seed, facts=facts))
    measured.append(_forms(candidate, incumbent, ids, seed=seed, facts=facts))
    return measured, missing


def _further_columns(
    candidate: Responses,
    incumbent: Responses,
    words: Sequence[Sequence[Sequence[str]]],
    ids: Sequence[str],
    seed: int,
) -> tuple[list[Column], dict[str, str]]:
    """Sameness between answers, refusals, languages and entropy."""
    sides = (candidate, incumbent)
    refusals = [[float(find_refusal(answer.text) == "full") for answer in side.completions] for side in sides]
    switches = [
        [
            float(is_other_language(prompt.text, answer.text))
            for prompt, answer in zip(side.prompts, side.completions, strict=True)
        ]
        for side in sides
    ]
    columns: list[Column] = [
        ("refusal_phrase_share", refusals, True, {"careful": PHRASES_ERROR}),
        ("language_switch_share", switches, True, {}),
    ]
    missing: dict[str, str] = {}
    try:
        alike = [measure_self_bleu(side, ids, seed=seed).tolist() for side in words]
        columns.append(("self_bleu", alike, True, {"references": REFERENCES}))
    except EvaluationError as error:
        missing["self_bleu"] = str(error)
    if all(answer.logprobs for side in sides for answer in side.completions):
        entropy = [
            [-sum(answer.logprobs) / len(answer.logprobs) for answer in side.completions] for side in sides
        ]
        columns.append(("token_entropy", entropy, False, {"unit": "nats a token"}))
    else:
        missing["token_entropy"] = "not every answer carries the log-probabilities of its tokens"
    return columns, missing


def _forms(
    candidate: Responses, incumbent: Responses, ids: Sequence[str], *, seed: int, facts: Mapping[str, Any]
) -> Measurement:
    new, old = ([answer.text for answer in side.completions] for side in (candidate, incumbent))
    found = measure_form_switches(new, old, ids, seed=seed)
    named = {
        **facts,
        "p_sign_flip": found.p_value,
        "forms": {name: list(two) for name, two in found.forms.items()},
    }
    return Measurement(metric="format_switch_share", estimate=found.switched, facts=named)


def _opening(
    words: Sequence[Sequence[Sequence[str]]], ids: Sequence[str], *, seed: int, facts: Mapping[str, Any]
) -> Measurement:
    """Share of the candidate's most common opening, candidate minus incumbent, each half of the prompts at
    the opening that is commonest in the other half: the commonest of all would seem to have become more
    common by being chosen."""
    new, old = ([tuple(row[:OPENING_WORDS]) for row in side] for side in words)
    first, second = held_out_openings(new, old, ids, seed=seed)
    counts = Counter(new)
    opening = max(sorted(counts), key=lambda one: counts[one])
    named = {**facts, "opening": " ".join(opening), "share": counts[opening] / len(ids)}
    return difference_measurement(
        "common_opening_share", first, second, ids, is_share=True, seed=seed, facts=named
    )
