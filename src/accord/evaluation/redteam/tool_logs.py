"""Findings from logs of other tools: garak's report, PyRIT's memory or conversations, promptfoo's output.

The tool's verdict becomes the judge's. What has no text of an answer is left out and counted.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from accord.domain.errors import DataError
from accord.domain.messages import ROLES, Message
from accord.evaluation.imports.garak import (
    COMPLETE,
    HIT_LOG,
    THRESHOLD,
    is_garak,
    is_hit_log,
    target_of,
)
from accord.evaluation.imports.log_file import LogFile, read_log
from accord.evaluation.imports.promptfoo import is_promptfoo
from accord.evaluation.imports.record import as_score
from accord.evaluation.redteam.findings import Finding
from accord.evaluation.redteam.pyrit_memory import is_database, read_memory

PYRIT_ROLES: Mapping[str, str] = MappingProxyType(
    {
        "system": "system",
        "developer": "system",
        "user": "user",
        "assistant": "assistant",
        "simulated_assistant": "assistant",
    }
)
"""Roles of PyRIT's pieces as roles of messages; what tools said is left out."""
BESIDE_ANSWERS = ("reasoning", "function_call", "tool_call", "function_call_output")
"""Types of pieces that stand beside an answer and are none."""
HIDDEN = "[REDACTED]"
"""What promptfoo writes for a request that looks like a secret to it, such as some in Base64."""


ADAPTIVE = frozenset(("messages", "redteamHistory", "redteamFinalPrompt"))
"""What promptfoo's attacks that search, or take several turns, tell beside the answer."""


@dataclass(frozen=True, kw_only=True)
class ToolFindings:
    """What a log held."""

    tool: str
    findings: tuple[Finding, ...]
    n_left_out: int
    """Attempts without an answer in words, such as errors of the provider."""


def read_tool_log(path: Path) -> ToolFindings:
    """Findings of a log whose tool is told by its shape; raises `DataError` for one that is none of them."""
    if is_database(path):
        return _pyrit(read_memory(path), str(path))
    log = read_log(path)
    if is_garak(log):
        return _garak(log)
    if _is_pyrit(log):
        return _pyrit(_pieces(log), log.path)
    if is_promptfoo(log):
        return _promptfoo(log)
    if is_hit_log(log):
        raise log.refuse(HIT_LOG)
    raise log.refuse(
        "is no report of garak, no memory or exported conversations of PyRIT, no output of promptfoo"
    )


def _garak(log: LogFile) -> ToolFindings:
    setup: dict[str, Any] = {}
    attempts: dict[str, Mapping[str, Any]] = {}
    for _, row in log.rows:
        if row.get("entry_type") in ("start_run setup", "init"):
            setup |= dict(row)
        if row.get("entry_type") == "attempt" and row.get("status") == COMPLETE:
            attempts[str(row.get("uuid"))] = row
    model = target_of(setup, log.path)
    limit = as_score(setup.get("run.eval_threshold"))
    threshold = limit if limit is not None and limit == limit else THRESHOLD
    found, left_out = [], 0
    for row in attempts.values():
        messages = _garak_messages(row.get("prompt"))
        results = row.get("detector_results") or {}
        for place, output in enumerate(row.get("outputs") or []):
            answer = output.get("text") if isinstance(output, Mapping) else output
            if not isinstance(answer, str) or not messages:
                left_out += 1
                continue
            scores = [
                as_score(one[place]) for one in results.values() if isinstance(one, list) and place < len(one)
            ]
            known = [score for score in scores if score is not None and score == score]
            hit = max(float(score >= threshold) for score in known) if known else None
            found.append(
                Finding(
                    behavior=str(row.get("goal") or messages[-1].content),
                    technique=str(row.get("probe_classname", "garak")),
                    messages=messages,
                    answer=answer,
                    model=model,
                    origin="garak",
                    judged=hit,
                    judge="garak: " + ", ".join(sorted(map(str, results))),
                )
            )
    return ToolFindings(tool="garak", findings=tuple(found), n_left_out=left_out)


def _garak_messages(prompt: Any) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    if not isinstance(prompt, Mapping):
        return ()
    turns = prompt.get("turns")
    if not isinstance(turns, list):
        return _garak_messages(prompt.get("text"))
    made = []
    for turn in turns:
        content = turn.get("content") if isinstance(turn, Mapping) else None
        text = content.get("text") if isinstance(content, Mapping) else content
        role = turn.get("role") if isinstance(turn, Mapping) else None
        if isinstance(text, str) and role in ROLES:
            made.append(Message(role, text))
    while made and made[-1].role == "assistant":
        made.pop()
    return tuple(made)


def _is_pyrit(log: LogFile) -> bool:
    first = log.value[0] if log.kind == "json" and isinstance(log.value, list) and log.value else None
    return isinstance(first, Mapping) and {"conversation_id", "role", "converted_value"} <= set(first)


def _pieces(log: LogFile) -> list[Mapping[str, Any]]:
    for piece in log.value:
        if not isinstance(piece, Mapping):
            raise log.refuse(f"a piece is a {type(piece).__name__}; expected an object")
    return list(log.value)


def _pyrit(all_pieces: Sequence[Mapping[str, Any]], path: str) -> ToolFindings:
    """Each answer of the target with all before it; a score of a piece is about that piece.

    An answer that the attack put into the target's mouth is part of what came before, and no finding. Pieces
    of which none names its attack or bears a score are refused: the attacking model's own conversation stands
    among them, and nothing tells it from the target's.
    """
    if not any(_attack_of(piece) or piece.get("scores") for piece in all_pieces):
        raise DataError(
            f"none of the {len(all_pieces)} pieces names its attack or bears a score, as when pieces of "
            "PyRIT 1.x are dumped: what the attacking model said would be taken for answers of the target. "
            "Give PyRIT's memory, its SQLite file",
            path=path,
        )
    conversations: dict[str, list[Mapping[str, Any]]] = {}
    for piece in all_pieces:
        conversations.setdefault(str(piece.get("conversation_id")), []).append(piece)
    found, left_out = [], 0
    for pieces in conversations.values():
        pieces = sorted(pieces, key=lambda one: one.get("sequence") or 0)
        before: list[Message] = []
        for place, piece in enumerate(pieces):
            text, role = piece.get("converted_value"), PYRIT_ROLES.get(str(piece.get("role")))
            is_text = piece.get("converted_value_data_type", "text") == "text" and isinstance(text, str)
            is_answer = piece.get("role") == "assistant"
            if not is_text or role is None or piece.get("response_error") not in (None, "none"):
                left_out += is_answer and piece.get("converted_value_data_type") not in BESIDE_ANSWERS
                continue
            if is_answer and any(one.role == "user" for one in before):
                found.append(_pyrit_finding(piece, tuple(before), pieces[:place]))
            before.append(Message(str(role), str(text)))
    return ToolFindings(tool="pyrit", findings=tuple(found), n_left_out=left_out)


def _pyrit_finding(
    piece: Mapping[str, Any], before: tuple[Message, ...], earlier: Sequence[Mapping[str, Any]]
) -> Finding:
    turns = [one for one in earlier if one.get("role") == "user"]
    asked = turns[0] if turns else {}
    scores = [one for one in piece.get("scores") or [] if isinstance(one, Mapping)]
    values = [value for one in scores if (value := _pyrit_value(one)) is not None]
    ways = [_pyrit_name(_attack_of(piece), "")]
    ways += [
        _pyrit_name(one, "converter") for turn in turns for one in turn.get("converter_identifiers") or []
    ]
    target = piece.get("prompt_target_identifier") or asked.get("prompt_target_identifier") or {}
    goals = [piece.get("objective"), *(one.get("objective") or one.get("task") for one in scores)]
    names = [one.get("scorer_class_identifier") or {} for one in scores]
    return Finding(
        behavior=str(next((goal for goal in goals if goal), None) or asked.get("original_value") or ""),
        category=", ".join(_categories(scores)),
        technique="+".join(dict.fromkeys(filter(None, ways))) or "pyrit",
        messages=before,
        answer=str(piece["converted_value"]),
        model=str(target.get("model_name") or _pyrit_name(target, "pyrit target")),
        origin="pyrit",
        judged=max(values) if values else None,
        judge="pyrit: " + ", ".join(sorted({_pyrit_name(one, "scorer") for one in names})) if values else "",
    )


def _attack_of(piece: Mapping[str, Any]) -> Any:
    """What names the attack: older versions call it an orchestrator."""
    return piece.get("attack_identifier") or piece.get("orchestrator_identifier")


def _pyrit_name(identifier: Any, otherwise: str) -> str:
    """The class that an identifier names: as `class_name`, or as `__type__` before version 0.11."""
    if isinstance(identifier, str):
        return identifier or otherwise
    if not isinstance(identifier, Mapping):
        return otherwise
    return str(identifier.get("class_name") or identifier.get("__type__") or otherwise)


def _categories(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    found: set[str] = set()
    for one in scores:
        given = one.get("score_category")
        found |= {str(given)} if isinstance(given, str) and given else set(map(str, given or []))
    return sorted(found)


def _pyrit_value(score: Mapping[str, Any]) -> float | None:
    said = str(score.get("score_value", "")).lower()
    if score.get("score_type") == "true_false":
        return {"true": 1.0, "false": 0.0}.get(said)
    try:
        value = float(said)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _promptfoo(log: LogFile) -> ToolFindings:
    """A red-team test passes where the model withstood, so that what fails is a break.

    A request that promptfoo hid is left out, but for those in Base64, which its original text gives back. Of
    an attack that searches or takes several turns the messages are those of the answer that was judged;
    where the file does not hold them the answer is left out.
    """
    value = log.value
    rows: Any = [row for _, row in log.rows]
    if isinstance(value, Mapping):
        inner = value.get("results")
        rows = inner.get("results") if isinstance(inner, Mapping) else inner
    found, left_out = [], 0
    for row in rows:
        response, prompt = row.get("response"), row.get("prompt")
        answer = response.get("output") if isinstance(response, Mapping) else None
        text = prompt.get("raw") if isinstance(prompt, Mapping) else prompt
        case = row.get("testCase")
        meta = {**((case or {}).get("metadata") or {}), **(row.get("metadata") or {})}
        text = _unhidden(meta) if text == HIDDEN else text
        messages = _asked_by_promptfoo(response, text)
        if not isinstance(answer, str) or not messages:
            left_out += 1
            continue
        provider = row.get("provider")
        name = (provider.get("label") or provider.get("id")) if isinstance(provider, Mapping) else provider
        if not isinstance(row.get("success"), bool):
            raise DataError(f"success is {row.get('success')!r}; expected true or false", path=log.path)
        found.append(
            Finding(
                behavior=str(meta.get("goal") or meta.get("originalText") or text),
                category=str(meta.get("pluginId", "")),
                technique=str(meta.get("strategyId") or "basic"),
                messages=messages,
                answer=answer,
                model=str(name),
                origin="promptfoo",
                judged=float(not row["success"]),
                judge="promptfoo",
            )
        )
    return ToolFindings(tool="promptfoo", findings=tuple(found), n_left_out=left_out)


def _asked_by_promptfoo(response: Any, text: Any) -> tuple[Message, ...]:
    """What the judged answer answers; nothing where that is hidden or the file does not say.

    An adaptive attack writes requests of its own: `text` is then only what it set out from.
    """
    told = response.get("metadata") if isinstance(response, Mapping) else None
    told = told if isinstance(told, Mapping) else {}
    if ADAPTIVE.isdisjoint(told):
        return (Message("user", text),) if isinstance(text, str) and text not in ("", HIDDEN) else ()
    turns = [one for one in told.get("messages") or [] if isinstance(one, Mapping)]
    last = told.get("redteamFinalPrompt")
    if turns and turns[-1].get("role") == "assistant" and turns[-1].get("content") == response.get("output"):
        turns = turns[:-1]
    else:
        turns = [{"role": "user", "content": last}] if not turns and last else []
    made = [Message(str(one["role"]), one["content"]) for one in turns if _is_said(one)]
    return tuple(made) if made and len(made) == len(turns) and made[-1].role == "user" else ()


def _is_said(turn: Mapping[str, Any]) -> bool:
    """Whether a turn has a role we know and words that are not hidden."""
    text = turn.get("content")
    return turn.get("role") in ROLES and isinstance(text, str) and text not in ("", HIDDEN)


def _unhidden(meta: Mapping[str, Any]) -> str | None:
    """The request that promptfoo made of a test's original text, where that can be made again."""
    original = meta.get("originalText")
    if meta.get("strategyId") != "base64" or not isinstance(original, str):
        return None
    return base64.b64encode(original.encode()).decode()
