"""Accord's own rows: every domain record, kept whole. `accord` names the record; defaults are left out.

What JSON cannot say does not survive: a tuple inside `meta` comes back as a list.
"""

from collections.abc import Callable, Mapping
from typing import Any

from accord.domain import (
    Choice,
    Comparison,
    Completion,
    DataError,
    Demonstration,
    FinishReason,
    Judgment,
    Preference,
    Prompt,
    Provenance,
    Ranking,
    Rating,
    Source,
    StepLabels,
    Verdict,
)
from accord.store.exchange.cells import (
    read_messages,
    take_flag,
    take_label,
    take_list,
    take_mapping,
    take_number,
    take_text,
    write_messages,
)
from accord.store.exchange.format import Cells, FileContext, Format, Record

TAG = "accord"


def _write_prompt(prompt: Prompt) -> dict[str, Any]:
    row: dict[str, Any] = {"prompt": write_messages(prompt.messages)}
    if prompt.is_raw:
        row["is_raw"] = True
    return row | _filled(prompt_meta=prompt.meta)


def _read_prompt(cells: Cells) -> Prompt:
    return Prompt(
        messages=read_messages(take_list(cells, "prompt")),
        is_raw=take_flag(cells, "is_raw", default=False),
        meta=take_mapping(cells, "prompt_meta"),
    )


def _filled(**mappings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(mapping) for name, mapping in mappings.items() if mapping}


def _write_completion(record: Completion) -> dict[str, Any]:
    return {
        "text": record.text,
        "token_ids": list(record.token_ids),
        "logprobs": list(record.logprobs),
        "finish_reason": record.finish_reason.value,
        "policy_version": record.policy_version,
    }


def _read_completion(cells: Cells) -> Completion:
    return Completion(
        text=take_text(cells, "text"),
        token_ids=tuple(int(token) for token in take_list(cells, "token_ids")),
        logprobs=tuple(float(logprob) for logprob in take_list(cells, "logprobs")),
        finish_reason=FinishReason(_member(cells, "finish_reason", FinishReason, "stop")),
        policy_version=take_label(cells, "policy_version"),
    )


def _write_demonstration(record: Demonstration) -> dict[str, Any]:
    return _write_prompt(record.prompt) | {"completion": record.completion} | _filled(meta=record.meta)


def _read_demonstration(cells: Cells) -> Demonstration:
    return Demonstration(
        prompt=_read_prompt(cells),
        completion=take_text(cells, "completion"),
        meta=take_mapping(cells, "meta"),
    )


def _write_comparison(record: Comparison) -> dict[str, Any]:
    row = _write_prompt(record.prompt) | {"left": record.left, "right": record.right}
    return row | _filled(comparison_meta=record.meta)


def _read_comparison(cells: Cells) -> Comparison:
    return Comparison(
        prompt=_read_prompt(cells),
        left=take_text(cells, "left"),
        right=take_text(cells, "right"),
        meta=take_mapping(cells, "comparison_meta"),
    )


def _write_judgment(record: Judgment) -> dict[str, Any]:
    said = {
        "annotator_id": record.annotator_id,
        "choice": record.choice.value,
        "source": record.source.value,
    }
    return _write_comparison(record.comparison) | said | _filled(meta=record.meta)


def _read_judgment(cells: Cells) -> Judgment:
    return Judgment(
        comparison=_read_comparison(cells),
        annotator_id=take_label(cells, "annotator_id"),
        choice=Choice(_member(cells, "choice", Choice)),
        source=Source(_member(cells, "source", Source, "human")),
        meta=take_mapping(cells, "meta"),
    )


def _write_ranking(record: Ranking) -> dict[str, Any]:
    row = _write_prompt(record.prompt) | {
        "completions": list(record.completions),
        "ranks": list(record.ranks),
        "annotator_id": record.annotator_id,
    }
    return row | _filled(meta=record.meta)


def _read_ranking(cells: Cells) -> Ranking:
    return Ranking(
        prompt=_read_prompt(cells),
        completions=tuple(take_list(cells, "completions")),
        ranks=tuple(int(rank) for rank in take_list(cells, "ranks")),
        annotator_id=take_label(cells, "annotator_id"),
        meta=take_mapping(cells, "meta"),
    )


def _write_rating(record: Rating) -> dict[str, Any]:
    row = _write_prompt(record.prompt) | {
        "completion": record.completion,
        "value": float(record.value),
        "dimension": record.dimension,
        "annotator_id": record.annotator_id,
    }
    return row | _filled(meta=record.meta)


def _read_rating(cells: Cells) -> Rating:
    return Rating(
        prompt=_read_prompt(cells),
        completion=take_text(cells, "completion"),
        value=take_number(cells, "value"),
        dimension=take_text(cells, "dimension"),
        annotator_id=take_label(cells, "annotator_id"),
        meta=take_mapping(cells, "meta"),
    )


def _write_steps(record: StepLabels) -> dict[str, Any]:
    row = _write_prompt(record.prompt) | {
        "steps": list(record.steps),
        "labels": list(record.labels),
        "annotator_id": record.annotator_id,
    }
    return row | _filled(meta=record.meta)


def _read_steps(cells: Cells) -> StepLabels:
    return StepLabels(
        prompt=_read_prompt(cells),
        steps=tuple(take_list(cells, "steps")),
        labels=tuple(None if label is None else float(label) for label in take_list(cells, "labels")),
        annotator_id=take_label(cells, "annotator_id"),
        meta=take_mapping(cells, "meta"),
    )


def _write_verdict(record: Verdict) -> dict[str, Any]:
    row = _write_prompt(record.prompt) | {
        "completion": record.completion,
        "is_desirable": record.is_desirable,
        "weight": float(record.weight),
    }
    return row | _filled(meta=record.meta)


def _read_verdict(cells: Cells) -> Verdict:
    return Verdict(
        prompt=_read_prompt(cells),
        completion=take_text(cells, "completion"),
        is_desirable=take_flag(cells, "is_desirable"),
        weight=take_number(cells, "weight", default=1.0),
        meta=take_mapping(cells, "meta"),
    )


def _write_preference(record: Preference) -> dict[str, Any]:
    origin = record.provenance
    row = _write_prompt(record.prompt) | {
        "chosen": record.chosen,
        "rejected": record.rejected,
        "p_chosen": float(record.p_chosen),
        "weight": float(record.weight),
        "margin": float(record.margin),
        "provenance": {
            "judgment_ids": list(origin.judgment_ids),
            "method": origin.method,
            "votes": origin.votes,
            "source": origin.source,
        },
    }
    return row | _filled(meta=record.meta)


def _read_preference(cells: Cells) -> Preference:
    origin = take_mapping(cells, "provenance")
    return Preference(
        prompt=_read_prompt(cells),
        chosen=take_text(cells, "chosen"),
        rejected=take_text(cells, "rejected"),
        p_chosen=take_number(cells, "p_chosen", default=1.0),
        weight=take_number(cells, "weight", default=1.0),
        margin=take_number(cells, "margin", default=0.0),
        provenance=Provenance(
            judgment_ids=tuple(origin.get("judgment_ids", ())),
            method=origin.get("method", "given"),
            votes=origin.get("votes", 0),
            source=origin.get("source", ""),
        ),
        meta=take_mapping(cells, "meta"),
    )


def _member(cells: Cells, name: str, states: type, default: str = "") -> str:
    value = take_label(cells, name, default=default)
    known = [state.value for state in states]  # type: ignore[attr-defined]
    if value not in known:
        raise DataError(f"field {name!r} must be one of {', '.join(known)}, got {value!r}")
    return value


def _format(
    kind: type[Record], write: Callable[[Any], dict[str, Any]], read: Callable[[Cells], Record]
) -> Format:
    tag = kind.__name__.lower()

    def write_row(record: Any) -> dict[str, Any]:
        return {TAG: tag, **write(record)}

    def read_row(cells: Cells, context: FileContext) -> list[Record]:
        if cells.get(TAG) != tag:
            raise DataError(f"field 'accord' must be {tag!r} like the first row, got {cells.get(TAG)!r}")
        return [read(cells)]

    return Format(
        name=f"accord_{tag}",
        kind=kind,
        fields=(TAG,),
        summary=f"Accord's own rows, one {tag} each, nothing lost",
        read_row=read_row,
        write_row=write_row,
        fits=lambda cells: cells.get(TAG) == tag,
        priority=100,
    )


ACCORD_FORMATS = (
    _format(Prompt, _write_prompt, _read_prompt),
    _format(Completion, _write_completion, _read_completion),
    _format(Demonstration, _write_demonstration, _read_demonstration),
    _format(Comparison, _write_comparison, _read_comparison),
    _format(Judgment, _write_judgment, _read_judgment),
    _format(Ranking, _write_ranking, _read_ranking),
    _format(Rating, _write_rating, _read_rating),
    _format(StepLabels, _write_steps, _read_steps),
    _format(Verdict, _write_verdict, _read_verdict),
    _format(Preference, _write_preference, _read_preference),
)
"""One format per record. A user types `accord`; the record decides which of these it is."""
