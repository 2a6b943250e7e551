"""Answers of one model to a list of prompts, read from a file or sampled, and checked against another's.

A file is JSON lines (also .gz) with `prompt` (a text) or `messages`, `response`, and optionally `id`,
`system`, `finish_reason` (stop or length), `token_ids`, `logprobs`, `domain` and `cluster`
(prompts that are resampled together). Leaves out sampling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.domain.messages import Completion, FinishReason, Message, Prompt, content_hash
from accord.evaluation.suites.source import Row, read_source

META = ("domain", "category", "cluster")
"""What a row may say of its prompt beside the text."""
SHOWN = 3
"""Prompts named in a message about many."""


@dataclass(frozen=True, kw_only=True)
class Responses:
    """One answer of one model to each prompt."""

    name: str
    """What the model is called on the page."""
    prompts: tuple[Prompt, ...]
    completions: tuple[Completion, ...]
    """In the order of the prompts."""
    keys: tuple[str, ...]
    """Which prompt each row is: the id that the file gives, else the hash of the prompt."""
    knows_endings: bool = True
    """False where nobody recorded whether an answer ran out of tokens."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Where they come from: digest of the file, or weights, sampling settings and seed."""

    def __post_init__(self) -> None:
        if not len(self.prompts) == len(self.completions) == len(self.keys):
            raise DataError(
                f"{self.name}: {len(self.prompts)} prompts, {len(self.completions)} answers and "
                f"{len(self.keys)} keys; expected one of each"
            )
        if not self.prompts:
            raise DataError(f"{self.name}: there are no answers to compare")
        if not any(answer.text.strip() for answer in self.completions):
            raise DataError(
                f"{self.name}: all {len(self.prompts)} answers are empty; nothing can be compared"
            )

    @property
    def has_ids(self) -> bool:
        """Whether every answer carries the tokens it was drawn as, so that lengths are in tokens."""
        return all(answer.token_ids for answer in self.completions)

    @property
    def digest(self) -> str:
        """Content hash of prompts and answers."""
        rows = [
            [prompt.id, answer.text] for prompt, answer in zip(self.prompts, self.completions, strict=True)
        ]
        return content_hash(sorted(rows))

    def select(self, keep: Sequence[bool]) -> "Responses":
        """The rows where `keep` is True; at least one."""
        rows = [i for i, is_kept in enumerate(keep) if is_kept]
        return replace(
            self,
            prompts=tuple(self.prompts[i] for i in rows),
            completions=tuple(self.completions[i] for i in rows),
            keys=tuple(self.keys[i] for i in rows),
        )


def read_responses(path: str | Path, *, name: str | None = None) -> Responses:
    """Answers from a file; a missing prompt or answer, or a prompt there twice, raises `DataError`."""
    source = read_source(path)
    prompts, completions, keys = [], [], []
    has_ids = all(row.get("id") is not None for row in source.rows)
    seen: dict[str, int] = {}
    for row, line in zip(source.rows, source.lines, strict=True):
        prompt = _prompt(row, source.path, line)
        key = str(row["id"]) if has_ids else prompt.id
        if key in seen:
            what = f"id {key!r}" if has_ids else f"the prompt {_short(prompt.text)}"
            raise DataError(
                f"{what} is there twice, first in line {seen[key]}; keep one answer to each",
                path=source.path,
                line=line,
            )
        seen[key] = line
        prompts.append(prompt)
        completions.append(_completion(row, source.path, line))
        keys.append(key)
    return Responses(
        name=name if name is not None else Path(path).name.split(".")[0],
        prompts=tuple(prompts),
        completions=tuple(completions),
        keys=tuple(keys),
        knows_endings=all(row.get("finish_reason") is not None for row in source.rows),
        facts={"file": Path(path).name, "file_sha256": source.digest},
    )


def align_responses(candidate: Responses, incumbent: Responses) -> Responses:
    """The incumbent's answers in the order of the candidate's prompts; other prompts raise `DataError`.

    Rows are matched on their keys where both sides use the same, else on the prompts themselves.
    """
    first, second = _places(candidate), _places(incumbent)
    if not set(first) & set(second):
        by_prompt = [one.id for one in candidate.prompts], [one.id for one in incumbent.prompts]
        if len(set(by_prompt[0])) == len(by_prompt[0]) and len(set(by_prompt[1])) == len(by_prompt[1]):
            first = {key: i for i, key in enumerate(by_prompt[0])}
            second = {key: i for i, key in enumerate(by_prompt[1])}
    only_candidate, only_incumbent = sorted(set(first) - set(second)), sorted(set(second) - set(first))
    if only_candidate or only_incumbent:
        named = [_short(candidate.prompts[first[key]].text) for key in only_candidate[:SHOWN]]
        named += [_short(incumbent.prompts[second[key]].text) for key in only_incumbent[: SHOWN - len(named)]]
        raise DataError(
            f"the two sides answer different prompts: {len(only_candidate)} only {candidate.name}, "
            f"{len(only_incumbent)} only {incumbent.name}, e.g. {', '.join(named)}. Compare answers to the "
            f"same prompts, or keep those that both have"
        )
    order = [second[key] for key in first]
    for key, place in zip(first, order, strict=True):
        mine, other = candidate.prompts[first[key]], incumbent.prompts[place]
        if mine.id != other.id:
            raise DataError(
                f"id {key!r} is the prompt {_short(mine.text)} for {candidate.name} and "
                f"{_short(other.text)} for {incumbent.name}. Are they two releases of the data?"
            )
    return replace(
        incumbent,
        prompts=candidate.prompts,
        completions=tuple(incumbent.completions[place] for place in order),
        keys=tuple(incumbent.keys[place] for place in order),
    )


def clusters_of(prompts: Sequence[Prompt]) -> list[str]:
    """[prompt] What is resampled together: its `cluster` where one is given, e.g. the notes it shares."""
    return [str(prompt.meta.get("cluster", prompt.id)) for prompt in prompts]


def response_row(prompt: Prompt, completion: Completion) -> dict[str, Any]:
    """One answer as a row of the file that `read_responses` reads."""
    row: dict[str, Any] = {"id": prompt.id}
    if prompt.is_raw:
        row["raw"] = prompt.text
    else:
        row["messages"] = [[message.role, message.content] for message in prompt.messages]
    row |= {name: prompt.meta[name] for name in META if isinstance(prompt.meta.get(name), str)}
    row |= {"response": completion.text, "finish_reason": completion.finish_reason.value}
    row |= {"token_ids": list(completion.token_ids), "logprobs": list(completion.logprobs)}
    row["policy_version"] = completion.policy_version
    return row


def read_completion(row: Mapping[str, Any]) -> Completion:
    """The answer that `response_row` wrote."""
    return Completion(
        text=row["response"],
        token_ids=tuple(row["token_ids"]),
        logprobs=tuple(row["logprobs"]),
        finish_reason=FinishReason(row["finish_reason"]),
        policy_version=row["policy_version"],
    )


def _places(responses: Responses) -> dict[str, int]:
    places: dict[str, int] = {}
    for i, key in enumerate(responses.keys):
        if key in places:
            raise DataError(
                f"{responses.name}: the prompt {_short(responses.prompts[i].text)} (id {key!r}) is there "
                "twice; keep one answer to each"
            )
        places[key] = i
    return places


def _prompt(row: Row, path: str, line: int) -> Prompt:
    meta = {name: row[name] for name in META if isinstance(row.get(name), str)}
    if isinstance(row.get("raw"), str) and row["raw"]:
        return Prompt.from_raw(row["raw"], meta=meta)
    given = row.get("messages", row.get("prompt"))
    if isinstance(given, str) and given:
        system = row.get("system")
        return Prompt.from_text(given, system=system if isinstance(system, str) else None, meta=meta)
    if isinstance(given, Sequence) and not isinstance(given, str) and given:
        return Prompt(messages=tuple(_message(one, path, line) for one in given), meta=meta)
    raise DataError(
        f"prompt is {given!r}; expected a text, or messages with role and content", path=path, line=line
    )


def _message(one: Any, path: str, line: int) -> Message:
    if isinstance(one, Mapping) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str):
        return Message(one["role"], one["content"])
    if isinstance(one, Sequence) and len(one) == 2 and all(isinstance(part, str) for part in one):
        return Message(one[0], one[1])
    raise DataError(f"a message is {one!r}; expected role and content", path=path, line=line)


def _completion(row: Row, path: str, line: int) -> Completion:
    text = row.get("response")
    if not isinstance(text, str):
        raise DataError(
            f'response is {text!r}; expected a text ("" for an answer that was empty)', path=path, line=line
        )
    reason = row.get("finish_reason") or "stop"
    if reason not in ("stop", "length"):
        raise DataError(f"finish_reason is {reason!r}; expected stop or length", path=path, line=line)
    ids, logprobs = row.get("token_ids") or (), row.get("logprobs") or ()
    if logprobs and len(logprobs) != len(ids):
        raise DataError(f"{len(logprobs)} logprobs for {len(ids)} token_ids", path=path, line=line)
    return Completion(
        text=text,
        token_ids=tuple(ids),
        logprobs=tuple(logprobs),
        finish_reason=FinishReason(reason),
        policy_version=str(row.get("policy_version", "")),
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
