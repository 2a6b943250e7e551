"""MT-bench: votes on which of two models answered better, without the answers; and the questions."""

from pathlib import Path

from accord.domain import Comparison, DataError, Judgment, Prompt, Source
from accord.store.exchange.cells import (
    required,
    rest_of,
    shown,
    take_choice,
    take_label,
    take_list,
    take_number,
    take_text,
)
from accord.store.exchange.format import Cells, FileContext, Format
from accord.store.rows import companion_rows

QUESTIONS_FILE = "questions.jsonl.gz"
MACHINE_JUDGE_STARTS = "gpt"


def _read_questions(path: Path) -> dict[int, list[str]]:
    """The turns of each question, where the question file stands beside the votes; otherwise none."""
    questions_path = path.with_name(QUESTIONS_FILE)
    if not questions_path.exists():
        return {}
    return {
        required(cells, "question_id"): take_list(cells, "turns") for cells in companion_rows(questions_path)
    }


def _read_row(cells: Cells, context: FileContext) -> list[Judgment]:
    question, turn = required(cells, "question_id"), int(take_number(cells, "turn"))
    turns = context.joined.get(question, [])[:turn]
    text = "\n\n".join(turns) if len(turns) == turn else f"question {question}, turn {turn}"
    comparison = Comparison(
        prompt=Prompt.from_text(text),
        left=take_text(cells, "model_a"),
        right=take_text(cells, "model_b"),
        meta={"question_id": question, "turn": turn},
    )
    judge = take_label(cells, "judge")
    is_machine = judge.startswith(MACHINE_JUDGE_STARTS)
    return [
        Judgment(
            comparison=comparison,
            annotator_id=judge,
            choice=take_choice(cells, "winner"),
            source=Source.MODEL if is_machine else Source.HUMAN,
        )
    ]


def _read_question(cells: Cells, context: FileContext) -> list[Prompt]:
    turns = take_list(cells, "turns")
    if not turns or not isinstance(turns[0], str):
        raise DataError(f"field 'turns' must hold the text of the first turn, got {shown(turns)}")
    return [Prompt.from_text(turns[0], meta=rest_of(cells, "turns") | {"later_turns": turns[1:]})]


MTBENCH_QUESTIONS = Format(
    name="mtbench_questions",
    kind=Prompt,
    fields=("question_id", "turns"),
    summary="MT-bench questions: question_id, turns",
    read_row=_read_question,
    note="The prompt is the first turn; later turns are kept in meta.",
)

MTBENCH = Format(
    name="mtbench",
    kind=Judgment,
    fields=("question_id", "model_a", "model_b", "turn", "judge", "winner"),
    summary="MT-bench votes: question_id, turn, model_a, model_b, judge, winner",
    read_row=_read_row,
    prepare=_read_questions,
    has_texts=False,
    note="The answers are not in this file: the model names stand in their place.",
)
