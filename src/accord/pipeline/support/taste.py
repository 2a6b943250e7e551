"""The true taste of the support task: five measurable qualities of an answer and one total.

Known by construction, so a report can set what a reward model learned against what was
really wanted. It reads words, it does not understand them: a wrong answer that happens to
hold the right words scores as right.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

from accord.domain import ConfigError, FinishReason
from accord.pipeline.support.content import SupportPrompt

QUALITIES = ("answers", "brief", "complete", "polite", "no_repetition")

DISTRACTOR_COST = 0.25
"""Taken from `answers` for each fact nobody asked for and for each invented figure."""
FULL_WORDS = (5, 28)
"""Answers of this many words are brief in full."""
TOO_MANY_WORDS = 56
PLAIN_POLITENESS = 0.4
"""An answer without any courtesy is plain, not rude."""
MAX_COURTESIES = 2
EXCESS_COST = 0.25
"""Taken from `polite` for each courtesy, exclamation mark or gushing word too many."""
COPIED_FROM, COPIED_FULLY = 0.6, 0.9
"""A run of words this share of the notes or question long begins to count, and counts in full, as a copy."""
LABEL_COST = 0.5
"""Taken from `no_repetition` when the answer prints a label of the prompt such as `Notes:`."""

_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "fourteen": "14", "fifteen": "15", "twenty": "20",
    "thirty": "30", "forty-eight": "48", "fifty": "50", "sixty": "60", "hundred": "100",
}  # fmt: skip
_NUMBER_WORD = re.compile(r"\b(?:" + "|".join(sorted(_NUMBER_WORDS, key=len, reverse=True)) + r")\b")
_FIGURE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_LIST_MARKER = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
_COURTESY = re.compile(
    r"\b(?:please|thank(?:s| you)|sorry|apologi[sz]e|apolog(?:y|ies)|(?:happy|glad|pleased) to|glad|welcome|"
    r"appreciate|i understand|we understand|of course|certainly|no problem|no worries|let (?:me|us) know|"
    r"feel free|good luck|enjoy|hope|look forward|congratulations|safe travels|"
    r"have a (?:good|great|nice|lovely|pleasant))\b"
)
_GUSHING = re.compile(
    r"\b(?:amazing|awesome|wonderful|fantastic|incredible|delighted|thrilled|excited|absolutely|so much|"
    r"super|fabulous|brilliant|overjoyed)\b"
)
_RUDE = re.compile(r"\b(?:stupid|idiot|your (?:own )?fault|calm down|obviously|shut up|nonsense)\b")
_LABEL = re.compile(r"\b(?:notes|customer|agent|user|assistant|question|answer)\s*:")
_WORD = re.compile(r"[\w$%']+")
_TERMINAL = (".", "!", "?", '."', '!"', ".)", ".'")


@dataclass(frozen=True, kw_only=True)
class TasteWeights:
    """How much each quality counts; they sum to 1."""

    answers: float = 0.4
    """Share of the facts asked for, less distractors and invented figures."""
    brief: float = 0.15
    """Neither too long nor too short."""
    complete: float = 0.15
    """Ended by the model, with a full sentence."""
    polite: float = 0.15
    """One courtesy, no gushing."""
    no_repetition: float = 0.15
    """Nothing said twice, nothing copied whole."""
    ungated: float = 0.3
    """Share of the other four that an answer without any asked-for fact still gets, in [0, 1]."""

    def __post_init__(self) -> None:
        values = asdict(self)
        problems = [
            f"{name} must be in [0, 1], got {value}" for name, value in values.items() if not 0 <= value <= 1
        ]
        total = sum(values[quality] for quality in QUALITIES)
        if abs(total - 1) > 1e-9:
            problems.append(f"the weights of {', '.join(QUALITIES)} must sum to 1, got {total}")
        if problems:
            raise ConfigError("TasteWeights", problems)


@dataclass(frozen=True)
class TasteScore:
    """What the true taste says of one answer."""

    total: float
    """In [0, 1]."""
    parts: Mapping[str, float]
    """Each of `QUALITIES`, in [0, 1]."""


@dataclass(frozen=True)
class Taste:
    """The true taste under given weights."""

    weights: TasteWeights = TasteWeights()

    def score(
        self, prompt: SupportPrompt, text: str, *, finish_reason: FinishReason = FinishReason.STOP
    ) -> TasteScore:
        """Score one answer.

            total = w_answers * answers + (u + (1 - u) * answers) * sum of w_q * q over the other four

        where u is `weights.ungated`: manners and brevity count in full only when the answer answers.
        An empty answer scores 0.
        """
        parts = {
            "answers": answers(prompt, text),
            "brief": brief(text),
            "complete": complete(text, finish_reason=finish_reason),
            "polite": polite(text),
            "no_repetition": no_repetition(prompt, text),
        }
        return TasteScore(self.total(parts), parts)

    def total(self, parts: Mapping[str, float]) -> float:
        """The total of given parts."""
        weight = asdict(self.weights)
        gate = weight["ungated"] + (1 - weight["ungated"]) * parts["answers"]
        manners = sum(weight[quality] * parts[quality] for quality in QUALITIES if quality != "answers")
        return float(weight["answers"] * parts["answers"] + gate * manners)


def answers(prompt: SupportPrompt, text: str) -> float:
    """Share of the key-fact groups mentioned, less 0.25 a distractor and 0.25 an invented figure; at least 0.

    A figure is invented when it is written in digits and stands neither in the notes nor in the question.
    """
    said = normalize_text(text)
    found = sum(any(_mentions(said, pattern) for pattern in group) for group in prompt.key_facts)
    unasked = sum(_mentions(said, pattern) for pattern in prompt.distractors)
    known = _figures(normalize_text(f"{prompt.notes} {prompt.question}"))
    invented = len(_figures(_LIST_MARKER.sub("", text)) - known)
    return max(0.0, found / len(prompt.key_facts) - DISTRACTOR_COST * (unasked + invented))


def brief(text: str) -> float:
    """1 from 5 to 28 words; falls in a line to 0 at no words and at 56."""
    count = len(text.split())
    fewest, most = FULL_WORDS
    if count < fewest:
        return count / fewest
    return min(1.0, max(0.0, (TOO_MANY_WORDS - count) / (TOO_MANY_WORDS - most)))


def complete(text: str, *, finish_reason: FinishReason = FinishReason.STOP) -> float:
    """Half for an answer the model itself ended, half for one that ends like a sentence; 0 when empty."""
    if not text.strip():
        return 0.0
    return 0.5 * finish_reason.is_complete + 0.5 * text.rstrip().endswith(_TERMINAL)


def polite(text: str) -> float:
    """0.4 for a plain answer, 1 with one or two courtesies; less for each excess; 0 when rude or empty.

    An excess is a courtesy after the second, an exclamation mark after the first, or a gushing word.
    """
    said = normalize_text(text)
    if not said or _RUDE.search(said):
        return 0.0
    courtesies = len(_COURTESY.findall(said))
    excess = max(0, courtesies - MAX_COURTESIES) + max(0, text.count("!") - 1) + len(_GUSHING.findall(said))
    return max(0.0, (1.0 if courtesies else PLAIN_POLITENESS) - EXCESS_COST * excess)


def no_repetition(prompt: SupportPrompt, text: str) -> float:
    """1 less the worst of: repeated three-word runs, the question or the whole notes copied, a printed label.

    Repetition is twice the share of three-word runs that were said before, so an answer said twice gets 0.
    Empty text gets 0.
    """
    words = _words(text)
    if not words:
        return 0.0
    runs = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    repeated = 2 * (1 - len(set(runs)) / len(runs)) if runs else 0.0
    copied = max(_copied_share(words, _words(prompt.notes)), _copied_share(words, _words(prompt.question)))
    as_copy = (copied - COPIED_FROM) / (COPIED_FULLY - COPIED_FROM)
    label = LABEL_COST if _LABEL.search(text.lower()) else 0.0
    return 1.0 - min(1.0, max(0.0, repeated, as_copy, label))


def normalize_text(text: str) -> str:
    """Lower case, plain quotes, one space, number words from two up as digits, and every `n't` as `not`."""
    plain = text.lower().replace("\u2019", "'").replace("\u2013", "-").replace(":00", "")
    plain = plain.replace("won't", "will not").replace("can't", "can not").replace("cannot", "can not")
    plain = plain.replace("n't", " not")
    plain = _NUMBER_WORD.sub(lambda match: _NUMBER_WORDS[match.group()], plain)
    return " ".join(plain.split())


def _mentions(said: str, pattern: str) -> bool:
    return _pattern(pattern).search(said) is not None


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    """Compiled so that it matches whole words only: `5 days` is not found in `15 days` nor `$4` in `$40`."""
    return re.compile(rf"(?<![\w$])(?<!\d[.,])(?:{pattern})(?!\w|[.,]\d)")


def _figures(text: str) -> set[float]:
    plain = text.replace(":00", "")
    return {float(figure.replace(",", "")) for figure in _FIGURE.findall(plain)}


def _words(text: str) -> list[str]:
    return _WORD.findall(normalize_text(text))


def _copied_share(words: Sequence[str], source: Sequence[str]) -> float:
    """Longest run of words common to both, as a share of `source`."""
    longest = 0
    lengths = [0] * (len(source) + 1)
    for word in words:
        previous = 0
        for j, other in enumerate(source, start=1):
            diagonal, lengths[j] = lengths[j], previous + 1 if word == other else 0
            previous = diagonal
            longest = max(longest, lengths[j])
    return longest / len(source) if source else 0.0
