"""Each format is recognized by its fields, and a row of it becomes the records it says."""

import gzip
import json

import pytest

from accord.domain import (
    Choice,
    Comparison,
    DataError,
    Demonstration,
    Judgment,
    Message,
    Preference,
    Prompt,
    Ranking,
    Rating,
    Source,
    StepLabels,
    Verdict,
)
from accord.store import FORMATS, read_records

USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello"}
CHAT = Prompt.from_text("Hi")
RAW = Prompt.from_raw("Hi")


def read_rows(tmp_path, *rows, name="rows.jsonl", **options):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_records(path, **options)


def chosen_rejected(**extra):
    return Preference(**{"prompt": CHAT, "chosen": "yes", "rejected": "no", **extra})


# format name, row, records. Plain text is continued as it stands, so its prompt is raw.
CASES = [
    ("prompt", {"prompt": "Hi"}, [RAW]),
    ("prompt", {"prompt": [USER]}, [CHAT]),
    (
        "prompt_completion",
        {"prompt": "Hi", "completion": " there"},
        [Demonstration(prompt=RAW, completion=" there")],
    ),
    (
        "prompt_completion",
        {"prompt": [USER], "completion": [ANSWER]},
        [Demonstration(prompt=CHAT, completion="Hello")],
    ),
    ("messages", {"messages": [USER, ANSWER]}, [Demonstration(prompt=CHAT, completion="Hello")]),
    (
        "kto",
        {"prompt": "Hi", "completion": "Hello", "label": False},
        [Verdict(prompt=RAW, completion="Hello", is_desirable=False)],
    ),
    ("preference", {"prompt": "Hi", "chosen": "yes", "rejected": "no"}, [chosen_rejected(prompt=RAW)]),
    (
        "preference",
        {
            "prompt": [USER],
            "chosen": [{**ANSWER, "content": "yes"}],
            "rejected": [{**ANSWER, "content": "no"}],
        },
        [chosen_rejected()],
    ),
    # implicit prompt: the common beginning; the space before the difference goes to the answers
    (
        "preference",
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        [Preference(prompt=Prompt.from_raw("The sky is"), chosen=" blue.", rejected=" green.")],
    ),
    (
        "preference",
        {"chosen": [USER, {**ANSWER, "content": "yes"}], "rejected": [USER, {**ANSWER, "content": "no"}]},
        [chosen_rejected()],
    ),
    # the prompt stands as text too, but the answers are whole conversations
    (
        "preference",
        {
            "prompt": "Hi",
            "chosen": [USER, {**ANSWER, "content": "yes"}],
            "rejected": [USER, {**ANSWER, "content": "no"}],
        },
        [chosen_rejected()],
    ),
    (
        "preference",
        {"prompt": "Hi", "chosen": "yes", "rejected": "no", "p_chosen": 0.75, "weight": 2, "margin": 0.5},
        [chosen_rejected(prompt=RAW, p_chosen=0.75, weight=2.0, margin=0.5)],
    ),
    (
        "hh",
        {"chosen": "\n\nHuman: Hi\n\nAssistant: yes", "rejected": "\n\nHuman: Hi\n\nAssistant: no"},
        [chosen_rejected()],
    ),
    (
        "hh",
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": " yes", "rejected": " no"},
        [chosen_rejected()],
    ),
    # the dialogues part at the first answer: what follows it stays with the answer
    (
        "hh",
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: yes",
            "rejected": "\n\nHuman: Hi\n\nAssistant: no\n\nHuman: Why?\n\nAssistant: Because",
        },
        [chosen_rejected(rejected="no\n\nHuman: Why?\n\nAssistant: Because")],
    ),
    (
        "judgments",
        {"prompt": [USER], "left": "yes", "right": "no", "choice": "both_bad", "annotator_id": "w1"},
        [
            Judgment(
                comparison=Comparison(prompt=CHAT, left="yes", right="no"),
                annotator_id="w1",
                choice=Choice.BOTH_BAD,
            )
        ],
    ),
    (
        "judgments",
        {"prompt": "Hi", "response_a": "yes", "response_b": "no", "winner": "model_b", "judge": 7},
        [
            Judgment(
                comparison=Comparison(prompt=RAW, left="yes", right="no"),
                annotator_id="7",
                choice=Choice.RIGHT,
            )
        ],
    ),
    (
        "rankings",
        {"prompt": "Hi", "completions": ["b", "a"], "ranks": [2, 1]},
        [Ranking(prompt=RAW, completions=("b", "a"), ranks=(2, 1))],
    ),
    # scores 5, 9, 5: the 9 is first, the two fives share the second rank
    (
        "rankings",
        {"prompt": "Hi", "completions": ["a", "b", "c"], "scores": [5, 9, 5]},
        [Ranking(prompt=RAW, completions=("a", "b", "c"), ranks=(2, 1, 2))],
    ),
    (
        "rankings",
        {"prompt": "Hi", "ranked": ["best", "worst"]},
        [Ranking(prompt=RAW, completions=("best", "worst"), ranks=(1, 2))],
    ),
    (
        "ratings",
        {"prompt": "Hi", "completion": "Hello", "rating": 4, "dimension": "brevity", "annotator": "w1"},
        [Rating(prompt=RAW, completion="Hello", value=4.0, dimension="brevity", annotator_id="w1")],
    ),
    (
        "stepwise",
        {"prompt": "Hi", "completions": ["Hello", "Bye"], "labels": [True, None], "annotator": "w1"},
        [StepLabels(prompt=RAW, steps=("Hello", "Bye"), labels=(1.0, None), annotator_id="w1")],
    ),
    (
        "alpaca",
        {"instruction": "Add.", "input": "1 + 1", "output": "2"},
        [Demonstration(prompt=Prompt.from_text("Add.\n\n1 + 1"), completion="2")],
    ),
    (
        "self_instruct",
        {"instruction": "Add.", "instances": [{"input": "", "output": "2"}, {"input": "3", "output": "4"}]},
        [
            Demonstration(prompt=Prompt.from_text("Add."), completion="2"),
            Demonstration(prompt=Prompt.from_text("Add.\n\n3"), completion="4"),
        ],
    ),
    (
        "pandalm",
        {
            "instruction": "True?",
            "input": "",
            "response1": True,
            "response2": "no",
            "annotator1": 0,
            "annotator2": 1,
            "annotator3": 2,
        },
        [
            Judgment(
                comparison=Comparison(prompt=Prompt.from_text("True?"), left="True", right="no"),
                annotator_id=f"annotator{i + 1}",
                choice=choice,
            )
            for i, choice in enumerate([Choice.TIE, Choice.LEFT, Choice.RIGHT])
        ],
    ),
    (
        "llmbar",
        {"id": "x", "input": "Hi", "output_1": "no", "output_2": "yes", "label": 2},
        [chosen_rejected()],
    ),
    (
        "hhh",
        {
            "subset": "honest",
            "prompt": "One?\n\nAssistant: Two\n\nHuman: Hi",
            "chosen": "yes",
            "rejected": "no",
        },
        [
            chosen_rejected(
                prompt=Prompt(
                    messages=(Message("user", "One?"), Message("assistant", "Two"), Message("user", "Hi"))
                )
            )
        ],
    ),
    (
        "llmfao_golden",
        {"text": "Hi", "result_x": "no", "result_y": "yes", "golden": "right"},
        [chosen_rejected()],
    ),
    (
        "mtbench",
        {
            "question_id": 8,
            "model_a": "x",
            "model_b": "y",
            "turn": 1,
            "judge": "gpt4_pair",
            "winner": "model_a",
        },
        [
            Judgment(
                comparison=Comparison(prompt=Prompt.from_text("question 8, turn 1"), left="x", right="y"),
                annotator_id="gpt4_pair",
                choice=Choice.LEFT,
                source=Source.MODEL,
            )
        ],
    ),
    ("mtbench_questions", {"question_id": 8, "turns": ["Hi", "Again"]}, [CHAT]),
    (
        "crowd_labels",
        {"task": "t1", "worker": "w1", "label": 1},
        [
            Rating(
                prompt=Prompt.from_raw("t1"), completion="t1", value=1.0, dimension="label", annotator_id="w1"
            )
        ],
    ),
    (
        "task_ratings",
        {"task": "t1", "dimension": "joy", "worker": "w1", "rating": 25},
        [
            Rating(
                prompt=Prompt.from_raw("t1"), completion="t1", value=25.0, dimension="joy", annotator_id="w1"
            )
        ],
    ),
    (
        "mqm",
        {"system": "s", "doc": "d", "seg": "1", "rater": "r", "mqm": 0.1, "ts": 5},
        [Rating(prompt=Prompt.from_raw("d#1"), completion="s", value=0.1, dimension="mqm", annotator_id="r")],
    ),
]


@pytest.mark.parametrize(("name", "row", "records"), CASES, ids=[case[0] for case in CASES])
def test_a_row_is_recognized_and_read(tmp_path, name, row, records):
    file = read_rows(tmp_path, row)
    assert file.format.name == name
    assert file.records == records


def test_every_format_has_a_case_here_or_is_tested_on_its_own():
    own = {form.name for form in FORMATS if form.name.startswith("accord_")}
    on_their_own = {"llmfao", "llmfao_pairs"}
    assert {form.name for form in FORMATS} - own - on_their_own == {case[0] for case in CASES}


def test_format_names_are_unique():
    names = [form.name for form in FORMATS]
    assert len(names) == len(set(names))


def test_fields_that_no_record_field_takes_are_kept_as_meta(tmp_path):
    row = {"prompt": "Hi", "chosen": "a", "rejected": "b", "topic": "greeting", "score": 3, "none": None}
    assert read_rows(tmp_path, row).records[0].meta == {"topic": "greeting", "score": 3}


def test_class_names_are_numbered_in_sorted_order_and_kept(tmp_path):
    rows = [{"task": "t1", "worker": "w1", "label": label} for label in ("YES", "NO", "YES")]
    records = read_rows(tmp_path, *rows).records
    assert [(record.value, record.meta["label"]) for record in records] == [(1, "YES"), (0, "NO"), (1, "YES")]


def test_votes_find_their_answers_beside_them(tmp_path):
    pair = {"pair": 5, "text": "Hi", "left": "yes", "right": "no", "left_model": 1, "right_model": 2}
    vote = {"pair": 5, "worker": "w1", "winner": "tie", "left": "Model A", "right": "Model B", "prompt": 1}
    with pytest.raises(DataError, match=r"answers stand in pairs\.jsonl\.gz"):
        read_rows(tmp_path, vote)
    shown = read_rows(tmp_path, pair, name="pairs.jsonl.gz.jsonl")
    assert shown.format.name == "llmfao_pairs"
    (tmp_path / "pairs.jsonl.gz").write_bytes(gzip.compress(json.dumps(pair).encode()))
    machine = {name: value for name, value in vote.items() if name != "worker"}
    by_person, by_machine = read_rows(tmp_path, vote, machine, name="judge_x.jsonl").records
    assert by_person.comparison == Comparison(prompt=CHAT, left="yes", right="no")
    assert (by_person.annotator_id, by_person.source) == ("w1", Source.HUMAN)
    assert (by_machine.annotator_id, by_machine.source) == ("judge_x", Source.MODEL)
    with pytest.raises(DataError, match=r"pair 6 is not in pairs\.jsonl\.gz, which holds 1 pairs"):
        read_rows(tmp_path, {**vote, "pair": 6})


# row that is recognized (given the format's name), what the error says
BAD_ROWS = [
    # 0 and 1 mean different sides in different files
    (
        "judgments",
        {"prompt": "Hi", "left": "a", "right": "b", "choice": 1, "worker": "w"},
        "must be left, right, tie or both_bad, got int 1",
    ),
    (
        "kto",
        {"prompt": "Hi", "completion": "a", "label": "maybe"},
        "'label' must be true or false, got str 'maybe'",
    ),
    ("prompt_completion", {"prompt": "Hi", "completion": 3}, "must be text or a list"),
    ("prompt_completion", {"prompt": "Hi", "completion": None}, "'completion' is null"),
    (
        "prompt_completion",
        {"prompt": [USER], "completion": [USER]},
        "exactly one assistant message, got user",
    ),
    ("prompt_completion", {"prompt": [ANSWER], "completion": "a"}, "ends before the assistant's turn"),
    ("prompt", {"prompt": [{"role": "robot", "content": "a"}]}, "role 'robot' is unknown"),
    ("prompt", {"prompt": [{"role": "user", "content": 5}]}, "content of a message must be text, got int 5"),
    ("prompt", {"prompt": []}, "at least one message"),
    ("messages", {"messages": [USER]}, "a prompt and then an assistant answer, got user"),
    ("preference", {"chosen": "a", "rejected": "b"}, "share no beginning"),
    ("preference", {"chosen": "a", "rejected": "a"}, "are identical"),
    (
        "preference",
        {"prompt": "Hi", "chosen": "a", "rejected": "b", "p_chosen": 1.5},
        r"in \[0, 1\], got 1.5",
    ),
    (
        "preference",
        {"prompt": "Hi", "chosen": "a", "rejected": "b", "p_chosen": "x"},
        "finite number, got str 'x'",
    ),
    (
        "preference",
        {"prompt": "Hi", "chosen": "a", "rejected": [ANSWER]},
        "both be text or both be message lists",
    ),
    (
        "hh",
        {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"},
        "share no beg",
    ),
    (
        "judgments",
        {"prompt": "Hi", "left": "a", "right": "b", "choice": "up", "worker": "w"},
        "must be left, right",
    ),
    (
        "judgments",
        {"prompt": "Hi", "left": "a", "right": "b", "choice": "left", "worker": ""},
        "needs its annotator",
    ),
    ("rankings", {"prompt": "Hi", "completions": ["a", "b"], "ranks": [1]}, "got 2 completions and 1 ranks"),
    ("rankings", {"prompt": "Hi", "completions": ["a", "b"], "ranks": [0, 1]}, "count from 1"),
    ("rankings", {"prompt": "Hi", "completions": ["a", "b"], "ranks": [1.5, 1]}, "must be whole numbers"),
    ("ratings", {"prompt": "Hi", "completion": "a", "rating": True}, "finite number, got bool True"),
    ("llmbar", {"input": "Hi", "output_1": "a", "output_2": "b", "label": 0}, "must be 1 or 2, got 0"),
]


@pytest.mark.parametrize(
    ("name", "row", "reason"), BAD_ROWS, ids=[f"{case[0]}-{case[2][:20]}" for case in BAD_ROWS]
)
def test_a_row_that_does_not_fit_says_why_and_where(tmp_path, name, row, reason):
    with pytest.raises(DataError, match=reason) as raised:
        read_rows(tmp_path, row, format=name)
    assert raised.value.line == 1
    assert str(raised.value.path).endswith("rows.jsonl")


def test_tool_calls_are_refused_instead_of_lost(tmp_path):
    with pytest.raises(DataError, match="tool calls"):
        read_rows(tmp_path, {"prompt": [{**USER, "tool_calls": [{"name": "f"}]}]})


def test_text_parts_of_a_message_are_joined(tmp_path):
    parts = [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]
    assert read_rows(tmp_path, {"prompt": [{"role": "user", "content": parts}]}).records == [CHAT]


def test_an_unknown_format_names_its_nearest_neighbor(tmp_path):
    with pytest.raises(DataError, match=r"no format 'preferences'\. Did you mean 'preference'"):
        read_rows(tmp_path, {"prompt": "Hi"}, format="preferences")


def test_unknown_fields_name_the_nearest_format_and_what_is_missing(tmp_path):
    with pytest.raises(
        DataError, match=r"no format fits the fields chosen, other.*'preference'.*lacks rejected"
    ):
        read_rows(tmp_path, {"chosen": "a", "other": "b"})


def test_a_bad_first_row_does_not_decide_the_format(tmp_path):
    good = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
    file = read_rows(tmp_path, {"prompt": "only"}, good, good, skip_bad=True)
    assert (file.format.name, len(file.records), [row.line for row in file.skipped]) == ("preference", 2, [1])


def test_accord_rows_of_two_kinds_are_not_one_file(tmp_path):
    rows = [{"accord": "prompt", "prompt": [USER]}, {"accord": "rating", "prompt": [USER]}]
    with pytest.raises(DataError, match="must be 'prompt' like the first row, got 'rating'") as raised:
        read_rows(tmp_path, *rows)
    assert raised.value.line == 2


def test_as_chat_makes_plain_prompts_user_turns(tmp_path):
    assert read_rows(tmp_path, {"prompt": "Hi"}, as_chat=True).records == [CHAT]
    judgment = {"prompt": "Hi", "left": "a", "right": "b", "choice": "a", "worker": "w"}
    assert read_rows(tmp_path, judgment, as_chat=True).records[0].comparison.prompt == CHAT
