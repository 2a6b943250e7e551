"""IFEval: the share of verifiable instructions a model's answers follow, by prompt and by instruction.

Leaves out the checks (`ifeval_checks.py`) and the split of prompts into training and test.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.evaluation.intervals import share_estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.suites.ifeval_checks import CHECKS
from accord.evaluation.suites.source import Source
from accord.evaluation.suites.suite import Suite, SuiteRun


@dataclass(frozen=True, kw_only=True)
class IFEvalResult:
    """What one answer followed."""

    key: str
    instruction_ids: tuple[str, ...]
    strict: tuple[bool, ...]
    """One for each instruction, on the answer as it stands."""
    loose: tuple[bool, ...]
    """One for each instruction, on the answer or any of its seven shortened forms."""


class IFEval(Suite):
    """Prompt-level and instruction-level accuracy, strict and loose, and by kind of instruction."""

    name = "ifeval"
    item_fields = ("key", "prompt", "instruction_id_list", "kwargs")
    answer_fields = ("response",)
    match_fields = ("prompt", "key", "id")

    def read_items(self, data: str | Path) -> Source:
        """The prompts; instruction ids and arguments that no check knows raise."""
        source = super().read_items(data)
        for row, line in zip(source.rows, source.lines, strict=True):
            problem = _problem(row["instruction_id_list"], row["kwargs"])
            if problem:
                raise DataError(problem, path=source.path, line=line)
        rows = tuple({**row, "id": row["key"]} for row in source.rows)
        return replace(source, rows=rows)

    def results(self, run: SuiteRun) -> list[IFEvalResult]:
        """Every check on every answer, in the order of the prompts."""
        return [
            check_answer(
                str(item["key"]), item["instruction_id_list"], item["kwargs"], _text(answer, item["key"])
            )
            for item, answer in zip(run.items, run.answers, strict=True)
        ]

    def score(self, run: SuiteRun, *, seed: int = 0) -> list[Measurement]:
        """`ifeval_{prompt,instruction}_{strict,loose}`; instruction level also by kind.

        Prompt level has Wilson intervals; instruction level, where one prompt has several,
        a bootstrap over prompts.
        """
        results = self.results(run)
        measured = []
        for mode in ("strict", "loose"):
            followed = [getattr(result, mode) for result in results]
            prompts = [float(all(flags)) for flags in followed]
            measured.append(run.measure(f"ifeval_prompt_{mode}", share_estimate(prompts, seed=seed)))
            measured.extend(self._by_instruction(run, results, followed, mode, seed))
        return measured

    def _by_instruction(
        self,
        run: SuiteRun,
        results: Sequence[IFEvalResult],
        followed: Sequence[tuple[bool, ...]],
        mode: str,
        seed: int,
    ) -> list[Measurement]:
        slices: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for result, flags in zip(results, followed, strict=True):
            for name, flag in zip(result.instruction_ids, flags, strict=True):
                for part in ("all", f"group={name.partition(':')[0]}", f"instruction={name}"):
                    slices[part].append((result.key, float(flag)))
        return [
            run.measure(
                f"ifeval_instruction_{mode}",
                share_estimate([flag for _, flag in rows], [key for key, _ in rows], seed=seed),
                slice=part,
            )
            for part, rows in sorted(slices.items())
        ]


def check_answer(
    key: str, instruction_ids: Sequence[str], arguments: Sequence[dict[str, Any]], response: str
) -> IFEvalResult:
    """Run each instruction's check on the answer; a blank answer follows nothing."""
    strict, loose = [], []
    for name, values in zip(instruction_ids, arguments, strict=True):
        given = {field: value for field, value in values.items() if value is not None}
        verdicts = [bool(form.strip()) and CHECKS[name](form, given) for form in loose_forms(response)]
        strict.append(verdicts[0])
        loose.append(any(verdicts))
    return IFEvalResult(
        key=key, instruction_ids=tuple(instruction_ids), strict=tuple(strict), loose=tuple(loose)
    )


def loose_forms(response: str) -> list[str]:
    """The answer itself, then without its first line, its last, and both; then the four without asterisks."""
    lines = response.split("\n")
    forms = [response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return forms + [form.replace("*", "") for form in forms]


REQUIRED = {
    "change_case:capital_word_frequency": ("capital_relation", "capital_frequency"),
    "combination:repeat_prompt": ("prompt_to_repeat",),
    "detectable_content:number_placeholders": ("num_placeholders",),
    "detectable_content:postscript": ("postscript_marker",),
    "detectable_format:multiple_sections": ("section_spliter", "num_sections"),
    "detectable_format:number_bullet_lists": ("num_bullets",),
    "detectable_format:number_highlighted_sections": ("num_highlights",),
    "keywords:existence": ("keywords",),
    "keywords:forbidden_words": ("forbidden_words",),
    "keywords:frequency": ("keyword", "relation", "frequency"),
    "keywords:letter_frequency": ("letter", "let_relation", "let_frequency"),
    "language:response_language": ("language",),
    "length_constraints:nth_paragraph_first_word": ("num_paragraphs", "nth_paragraph", "first_word"),
    "length_constraints:number_paragraphs": ("num_paragraphs",),
    "length_constraints:number_sentences": ("relation", "num_sentences"),
    "length_constraints:number_words": ("relation", "num_words"),
    "startend:end_checker": ("end_phrase",),
}
"""Arguments each instruction needs; the reference draws those that are missing at random, here they raise."""


def _problem(instruction_ids: Any, arguments: Any) -> str | None:
    if not isinstance(instruction_ids, list) or not isinstance(arguments, list):
        return "instruction_id_list and kwargs must be lists"
    if not instruction_ids or len(instruction_ids) != len(arguments):
        return f"{len(instruction_ids)} instructions with {len(arguments)} kwargs; expected one each"
    for name, values in zip(instruction_ids, arguments, strict=True):
        if name not in CHECKS:
            return f"unknown instruction {name!r}; known are {', '.join(CHECKS)}"
        missing = [field for field in REQUIRED.get(name, ()) if (values or {}).get(field) is None]
        if missing:
            return f"instruction {name} lacks {', '.join(missing)} in its kwargs"
    return None


def _text(answer: Any, key: Any) -> str:
    text = answer["response"]
    if not isinstance(text, str):
        raise DataError(
            f"the response to {key} is {type(text).__name__}, expected text; an empty answer is ''"
        )
    return text
