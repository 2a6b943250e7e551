"""How unlikely a reference model finds prompts, for the drift of what people ask.

Leaves out the tests (`accord.evaluation.drift`).
"""

from collections.abc import Sequence
from dataclasses import replace

from accord.domain import DataError, Prompt
from accord.evaluation.drift.rows import DriftRows
from accord.models import LanguageModel
from accord.pipeline.continuations import continuation_logprobs
from accord.pipeline.suite_running import option_ids

MOST_TOKENS = 512
"""Of a prompt that count, from its start."""


def measure_prompt_nll(model: LanguageModel, texts: Sequence[str]) -> list[float]:
    """[text] mean -log p a token, nats, of the text alone after the start of text; `MOST_TOKENS` at most.

    Its exponential is the perplexity. A text without a token raises.
    """
    rows = []
    for place, text in enumerate(texts, start=1):
        start, ids = option_ids(model, Prompt.from_raw(""), text)
        if not ids:
            raise DataError(f"prompt {place} is {text!r} and has no token; leave its row out")
        rows.append((start, ids[:MOST_TOKENS]))
    return [-sum(values) / len(values) for values in continuation_logprobs(model, rows)]


def add_prompt_nll(model: LanguageModel, rows: DriftRows) -> DriftRows:
    """Rows with `prompt_nll` of their prompts under the model; without prompts they stay as they are."""
    if rows.prompts is None:
        return rows
    distinct = list(dict.fromkeys(rows.prompts))
    known = dict(zip(distinct, measure_prompt_nll(model, distinct), strict=True))
    facts = {**rows.facts, "reference_model": model.version}
    return replace(rows, prompt_nll=tuple(known[text] for text in rows.prompts), facts=facts)
