"""The one list of formats, and the choice among them. A new format is one file and one line here."""

import difflib
from collections.abc import Sequence

from accord.domain import DataError
from accord.store.exchange.accord_records import ACCORD_FORMATS
from accord.store.exchange.conversations import CONVERSATIONS
from accord.store.exchange.format import Cells, Format, Record
from accord.store.exchange.hhh import HHH
from accord.store.exchange.instructions import ALPACA, SELF_INSTRUCT
from accord.store.exchange.judgments import JUDGMENTS
from accord.store.exchange.llmbar import LLMBAR
from accord.store.exchange.llmfao import LLMFAO_GOLDEN, LLMFAO_PAIRS, LLMFAO_VOTES
from accord.store.exchange.mtbench import MTBENCH, MTBENCH_QUESTIONS
from accord.store.exchange.pandalm import PANDALM
from accord.store.exchange.preference import PREFERENCE
from accord.store.exchange.prompt_completion import PROMPT_COMPLETION
from accord.store.exchange.prompt_only import PROMPT_ONLY
from accord.store.exchange.rankings import RANKINGS
from accord.store.exchange.ratings import RATINGS
from accord.store.exchange.stepwise import STEPWISE
from accord.store.exchange.task_labels import CROWD_LABELS, MQM, TASK_RATINGS
from accord.store.exchange.transcripts import TRANSCRIPTS
from accord.store.exchange.unpaired import UNPAIRED

FORMATS: tuple[Format, ...] = (
    *ACCORD_FORMATS,
    PREFERENCE,
    TRANSCRIPTS,
    UNPAIRED,
    PROMPT_COMPLETION,
    CONVERSATIONS,
    PROMPT_ONLY,
    JUDGMENTS,
    RANKINGS,
    RATINGS,
    STEPWISE,
    ALPACA,
    SELF_INSTRUCT,
    LLMFAO_VOTES,
    LLMFAO_PAIRS,
    LLMFAO_GOLDEN,
    PANDALM,
    LLMBAR,
    HHH,
    MTBENCH,
    MTBENCH_QUESTIONS,
    CROWD_LABELS,
    TASK_RATINGS,
    MQM,
)
ACCORD = "accord"
"""What a user types for Accord's own rows, whichever record they hold."""


def format_named(name: str) -> Format:
    """The format with this name; an unknown name raises with its nearest neighbor."""
    known = {form.name: form for form in FORMATS}
    if name in known:
        return known[name]
    names = [form.name for form in FORMATS if form not in ACCORD_FORMATS] + [ACCORD]
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise DataError(f"there is no format {name!r}.{hint} Formats: {', '.join(names)}")


def accord_format(kind: type[Record]) -> Format:
    """Accord's own format for one kind of record."""
    for form in ACCORD_FORMATS:
        if form.kind is kind:
            return form
    raise DataError(f"{kind.__name__} is no record that Accord keeps in files")


def detect_format(samples: Sequence[Cells], *, name: str | None = None) -> Format:
    """The format that the first rows fit best; `name` narrows the choice to one.

    A row votes with the number of fields a format recognizes in it, so that a bad
    row among the first does not decide.
    """
    if name is not None and name != ACCORD:
        return format_named(name)
    candidates = ACCORD_FORMATS if name == ACCORD else FORMATS
    scores = [sum(form.score(cells) for cells in samples) for form in candidates]
    best = max(scores, default=0)
    if best > 0:
        return candidates[scores.index(best)]
    seen = ", ".join(dict.fromkeys(field for cells in samples for field in cells)) or "none"
    raise DataError(f"no format fits the fields {seen}. {_nearest_format(samples, candidates)}")


def _nearest_format(samples: Sequence[Cells], candidates: Sequence[Format]) -> str:
    """Names the format that lacks the fewest fields, and what it lacks."""
    seen = {field for cells in samples for field in cells}

    def found(form: Format) -> int:
        return sum(any(name in seen for name in field.split("|")) for field in form.fields)

    nearest = max(candidates, key=found)
    if found(nearest) == 0:
        return "Known formats: " + "; ".join(form.summary for form in FORMATS[len(ACCORD_FORMATS) :][:6])
    missing = [field for field in nearest.fields if not any(name in seen for name in field.split("|"))]
    lacks = f" and lacks {', '.join(missing)}" if missing else ", but its values look different"
    return f"It comes nearest to {nearest.name!r} ({nearest.summary}){lacks}."
