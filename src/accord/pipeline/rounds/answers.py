"""Answers of one policy to prompts, kept as rows with the tokens and log-probs they were drawn under."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from accord.domain import Completion, Message, Prompt, Streams
from accord.domain.files import write_text_atomic
from accord.evaluation.comparison.responses import read_completion, response_row
from accord.models import LanguageModel
from accord.pipeline.answering import completion_logprobs
from accord.rollouts import NativeSampler, SamplingConfig

AT_A_TIME = 64
"""Answers between two reports of progress."""


@dataclass(frozen=True)
class AnswerGroup:
    """A prompt and what one policy answered."""

    prompt: Prompt
    answers: tuple[Completion, ...]

    @property
    def pairs(self) -> list[tuple[Completion, Completion]]:
        """Every two answers of different text, in a fixed order."""
        distinct = {answer.text: answer for answer in self.answers}
        return list(combinations(distinct.values(), 2))


def sample_groups(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    count: int,
    sampling: SamplingConfig,
    *,
    streams: Streams,
    report_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[AnswerGroup]:
    """`count` answers to each prompt; draws depend on the streams and the prompt's place alone."""
    sampler = NativeSampler(model)
    at_a_time = max(1, AT_A_TIME // count)
    groups: list[AnswerGroup] = []
    for begin in range(0, len(prompts), at_a_time):
        report_progress(begin, len(prompts))
        chunk = prompts[begin : begin + at_a_time]
        drawn = sampler.sample(chunk, group=count, config=sampling, streams=streams.child("chunk", begin))
        groups += [AnswerGroup(prompt, tuple(row)) for prompt, row in zip(chunk, drawn, strict=True)]
    report_progress(len(prompts), len(prompts))
    return groups


def cut_answers(groups: Sequence[AnswerGroup]) -> frozenset[tuple[str, str]]:
    """Prompt id and text of answers that ran out of tokens."""
    return frozenset(
        (group.prompt.id, answer.text)
        for group in groups
        for answer in group.answers
        if not answer.finish_reason.is_complete
    )


def write_groups(path: Path, groups: Sequence[AnswerGroup]) -> None:
    """One line an answer, the answers of a prompt together."""
    lines = [
        json.dumps(response_row(group.prompt, answer) | prompt_row(group.prompt), ensure_ascii=False)
        for group in groups
        for answer in group.answers
    ]
    write_text_atomic(path, "".join(line + "\n" for line in lines))


def read_groups(path: Path) -> list[AnswerGroup]:
    """What `write_groups` wrote."""
    prompts: dict[str, Prompt] = {}
    answers: dict[str, list[Completion]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        key = row["id"]
        if key not in prompts:
            prompts[key] = read_prompt(row)
        answers.setdefault(key, []).append(read_completion(row))
    return [AnswerGroup(prompt, tuple(answers[key])) for key, prompt in prompts.items()]


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """A prompt as JSON, with what came with it."""
    turns = [[message.role, message.content] for message in prompt.messages]
    return {"messages": turns, "is_raw": prompt.is_raw, "meta": dict(prompt.meta)}


def read_prompt(row: Mapping[str, Any]) -> Prompt:
    """What `prompt_row` wrote."""
    turns = tuple(Message(role, text) for role, text in row["messages"])
    return Prompt(messages=turns, is_raw=row["is_raw"], meta=row["meta"])


def drift_of(groups: Sequence[AnswerGroup], newest: LanguageModel, temperature: float) -> float:
    """KL(policy that gave the answers || newest), nats an answer: mean log-ratio on these answers (k1)."""
    prompts = [group.prompt for group in groups for _ in group.answers]
    answers = [answer for group in groups for answer in group.answers]
    own = [sum(answer.logprobs) for answer in answers]
    told = completion_logprobs(newest, prompts, answers, temperature=temperature)
    return float(np.mean(np.subtract(own, told)))


def prompts_of_round(prompts: Sequence[Prompt], number: int, count: int) -> list[Prompt]:
    """`count` training prompts at even distances, other ones each round until all were used."""
    lots = max(1, len(prompts) // count)
    mine = prompts[(number - 1) % lots :: lots]
    return list(mine[:count])
