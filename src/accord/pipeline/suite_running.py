"""Suites run on a model: items asked through sampler and scorer, answers kept, numbers with their origin.

Leaves out what a suite asks (`evaluation/suites/asking.py`) and how it is scored.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from accord.domain import DataError, Prompt, Streams
from accord.domain.files import write_text_atomic
from accord.domain.messages import content_hash
from accord.evaluation.judges.labels import LabelJudge
from accord.evaluation.measurement import Measurement
from accord.evaluation.suites.asking import SAMPLED, Likelihood, Question, find_likelihood, find_prompt
from accord.evaluation.suites.catalog import find_suite
from accord.evaluation.suites.source import Row
from accord.evaluation.suites.suite import SuiteRun
from accord.models import LanguageModel
from accord.pipeline.continuations import continuation_logprobs
from accord.rollouts import NativeSampler, SamplingConfig
from accord.rollouts.sampler import Sampler

CHUNK = 64
"""Items asked between two notes of progress."""
MOST_UNLABELED = 0.1
"""Share of answers without a label above which a suite is not measured."""
Progress = Callable[[str], None]


class OptionScorer(Protocol):
    """Weighs given continuations."""

    def score(self, questions: Sequence[Question]) -> list[list[float]]:
        """[question][option] total natural log-probability."""
        ...


@dataclass(frozen=True)
class ModelScorer:
    """The log-probabilities of a language model."""

    model: LanguageModel

    def score(self, questions: Sequence[Question]) -> list[list[float]]:
        """Every option of every question; a whole sentence begins after the start of text."""
        rows = [option_ids(self.model, one.prompt, text) for one in questions for text in one.options]
        values = iter(continuation_logprobs(self.model, rows))
        return [[sum(next(values)) for _ in one.options] for one in questions]


@dataclass(frozen=True, kw_only=True)
class SuiteRequest:
    """Which suite is run, on what, and how."""

    name: str
    data: Path
    limit: int | None = None
    """Items at most, drawn by the seed; whole schemas for winogender."""
    max_tokens: int = 256
    temperature: float = 0.0
    """Of sampled answers; 0 takes the likeliest token each time."""
    seed: int = 0
    column: str | None = None

    @property
    def sampling(self) -> SamplingConfig:
        """As the sampler wants it."""
        return SamplingConfig(max_tokens=self.max_tokens, temperature=self.temperature)


@dataclass(frozen=True, kw_only=True)
class SuiteOutcome:
    """The answers of a model to a suite, and its numbers where they can be told."""

    run: SuiteRun
    measurements: tuple[Measurement, ...]
    not_measured: str = ""
    """Why there are no numbers; empty where there are."""

    def write_answers(self, path: Path) -> None:
        """The answers as JSON lines that the suite reads again, labeled or to be labeled."""
        rows = [json.dumps(dict(row), ensure_ascii=False) + "\n" for row in self.run.answers]
        write_text_atomic(path, "".join(rows))


def run_suite(
    request: SuiteRequest,
    model: LanguageModel,
    *,
    labeler: LabelJudge | None = None,
    report_progress: Progress = lambda text: None,
) -> SuiteOutcome:
    """Ask a model every item of a suite and score its answers."""
    facts = {"model": model.name, "weights": model.version}
    return ask_suite(
        request,
        scorer=ModelScorer(model),
        sampler=NativeSampler(model),
        facts=facts,
        labeler=labeler,
        report_progress=report_progress,
    )


def ask_suite(
    request: SuiteRequest,
    *,
    scorer: OptionScorer,
    sampler: Sampler,
    facts: dict[str, Any],
    labeler: LabelJudge | None = None,
    report_progress: Progress = lambda text: None,
) -> SuiteOutcome:
    """The same through any scorer and sampler; `facts` say whose answers they are."""
    suite = find_suite(request.name, column=request.column)
    source = suite.read_items(request.data)
    items = choose_items(source.rows, request.limit, seed=request.seed)
    likelihood = find_likelihood(request.name)
    known = {
        "suite": suite.name,
        "canary": suite.canary,
        "data_sha256": source.digest,
        "items": len(items),
        "items_in_file": len(source.rows),
        "seed": request.seed,
        **facts,
    }
    reason, judged = "", dict[str, Any]()
    if likelihood is not None:
        questions = [likelihood.question(item) for item in items]
        answers = _weighed(likelihood, items, questions, scorer, report_progress)
        known |= {"format": likelihood.format}
        asked: list[Any] = [[one.prompt.id, *one.options] for one in questions]
    else:
        prompts = [find_prompt(request.name, item) for item in items]
        texts = _sampled(request, prompts, sampler, report_progress)
        answers = [{**_identity(item), "response": text} for item, text in zip(items, texts, strict=True)]
        settings = asdict(request.sampling) | {"stop": []}
        known |= {"format": "plain text" if request.name == "bold" else "chat", "sampling": settings}
        asked = [one.id for one in prompts]
        column = request.column or SAMPLED[request.name]
        if column != "response":
            items, answers, reason, judged = _labeled(items, answers, column, labeler)
    known |= judged
    known |= {"prompts_digest": content_hash(asked), "answers_digest": content_hash(answers)}
    run = SuiteRun(suite=suite.name, items=tuple(items), answers=tuple(answers), facts=known)
    measured = () if reason else tuple(suite.score(run, seed=request.seed))
    return SuiteOutcome(run=run, measurements=measured, not_measured=reason)


def choose_items(rows: Sequence[Row], limit: int | None, *, seed: int = 0) -> list[Row]:
    """At most `limit` items drawn by the seed, in file order; rows of one `schema` stay together as one.

    Not at even distances: public files alternate conditions, and a step could meet one of them alone.
    """
    if limit is None:
        return list(rows)
    if limit < 1:
        raise DataError(f"limit is {limit}; expected at least 1 item")
    groups: dict[Any, list[Row]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.get("schema", i), []).append(row)
    kept = list(groups.values())
    generator = np.random.default_rng(Streams(seed).child("suite", "items").value)
    drawn = sorted(generator.permutation(len(kept))[:limit].tolist())
    return [row for i in drawn for row in kept[i]]


def option_ids(model: LanguageModel, prompt: Prompt, text: str) -> tuple[list[int], list[int]]:
    """Ids of a prompt and of a continuation; plain text is tokenized in one piece where the pieces agree."""
    hf = model.tokenizer.hf
    if not prompt.is_raw:
        return model.tokenizer.prompt_ids(prompt), hf.encode(text, add_special_tokens=False)
    start = hf.bos_token_id if hf.bos_token_id is not None else min(model.tokenizer.stop_ids)
    if not prompt.text:
        return [start], hf.encode(text, add_special_tokens=False)
    context = hf.encode(prompt.text, add_special_tokens=False)
    whole = hf.encode(prompt.text + text, add_special_tokens=False)
    if whole[: len(context)] == context and len(whole) > len(context):
        return [start, *context], whole[len(context) :]
    return [start, *context], hf.encode(text, add_special_tokens=False)


def _weighed(
    likelihood: Likelihood,
    items: Sequence[Row],
    questions: Sequence[Question],
    scorer: OptionScorer,
    report_progress: Progress,
) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for start in range(0, len(items), CHUNK):
        report_progress(f"{start} of {len(items)} items weighed")
        totals = scorer.score(questions[start : start + CHUNK])
        for item, values in zip(items[start : start + CHUNK], totals, strict=True):
            answers.append({**_identity(item), **likelihood.answer(item, values)})
    return answers


def _sampled(
    request: SuiteRequest, prompts: Sequence[Prompt], sampler: Sampler, report_progress: Progress
) -> list[str]:
    streams = Streams(request.seed).child("suite", request.name)
    texts: list[str] = []
    for start in range(0, len(prompts), CHUNK):
        report_progress(f"{start} of {len(prompts)} items answered")
        chunk = prompts[start : start + CHUNK]
        texts += [group[0].text for group in sampler.sample(chunk, config=request.sampling, streams=streams)]
    return texts


def _labeled(
    items: list[Row], answers: list[dict[str, Any]], column: str, labeler: LabelJudge | None
) -> tuple[list[Row], list[dict[str, Any]], str, dict[str, Any]]:
    """Items and labeled answers, why there are no numbers, who labeled; unlabeled ones are left out."""
    if labeler is None:
        reason = (
            f"the answers must be labeled ({column}) by people or a judge that was held against them: give "
            "--labels, or write them with --out, label them and score the file with --responses"
        )
        return items, answers, reason, {}
    labels = labeler.label([(str(row.get("prompt", "")), row["response"]) for row in answers])
    kept = [i for i, label in enumerate(labels) if label is not None]
    missing = len(labels) - len(kept)
    facts = {**labeler.facts, **({"without_label": missing} if missing else {})}
    if missing > MOST_UNLABELED * len(labels) or not kept:
        return items, answers, f"the judge gave no label to {missing} of {len(labels)} answers", facts
    rows = [{**answers[i], column: labels[i]} for i in kept]
    return [items[i] for i in kept], rows, "", facts


def _identity(item: Row) -> dict[str, Any]:
    """What tells an item apart, for the file of answers."""
    names = (
        "id",
        "key",
        "index",
        "sentid",
        "category",
        "example_id",
        "source",
        "prompt",
        "Question",
        "schema",
        "stance",
        "row",
    )
    return {name: item[name] for name in names if item.get(name) is not None}


def common_items(first: SuiteRun, second: SuiteRun) -> tuple[SuiteRun, SuiteRun]:
    """Both runs on the items that each has an answer to: a judge may have left out some of one alone."""
    shared = {item["row"] for item in first.items} & {item["row"] for item in second.items}

    def kept(run: SuiteRun) -> SuiteRun:
        pairs = [pair for pair in zip(run.items, run.answers, strict=True) if pair[0]["row"] in shared]
        return replace(run, items=tuple(one for one, _ in pairs), answers=tuple(one for _, one in pairs))

    return kept(first), kept(second)
