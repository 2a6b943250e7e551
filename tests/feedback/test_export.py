"""What trainers get: sides in terms of candidates, corrections over what they correct, no known items."""

import json
from typing import Any

import pytest

from accord.feedback.export import export_lines
from accord.feedback.work import Work
from accord.store.database import WorkQueue

PROMPT = [{"role": "user", "content": "Why?"}]
PAIR = {"prompt": "Why?", "candidates": ["Good.", "Bad."]}


def judged(site: Any, rows: list[dict], answer: Any, **task: Any) -> str:
    """The project after one judgment of each row; `answer` takes the candidates as they stand on screen."""
    project_id = site.project(rows, **task)
    person = site.person("annotator")
    for k in range(len(rows)):
        (work,) = person.post(f"/projects/{project_id}/queue/next", {"count": 1}).json()["assignments"]
        body = {
            "token": work["token"],
            "key": f"{project_id}-{k}",
            "answers": answer(work["shown"]["candidates"]),
        }
        made = person.post(f"/assignments/{work['id']}/submit", body)
        assert made.status_code == 200, made.text
    return project_id


def exported(site: Any, project_id: str, kind: str) -> list[dict]:
    work = Work(site.database, WorkQueue.of(site.database))
    rows = [json.loads(line) for line in export_lines(work, project_id, kind)]
    assert all(row.pop("judgment_id") and row.pop("annotator_id") == "annotator" for row in rows)
    assert all(row.pop("source") == "human" for row in rows)
    return rows


def says(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]


def good_is_clearly_better(texts: list[str]) -> dict:
    return {"preference": {"choice": 1 if texts[0] == "Good." else 7}}


@pytest.mark.parametrize("attempt", range(4))  # the sides are drawn: each attempt may see another order
def test_a_comparison_is_a_pair_and_two_labeled_answers(site, attempt):
    project_id = judged(site, [PAIR], good_is_clearly_better)
    (row,) = exported(site, project_id, "preference")
    assert row == {"prompt": PROMPT, "chosen": says("Good."), "rejected": says("Bad."), "strength": 3}
    assert exported(site, project_id, "unpaired") == [
        {"prompt": PROMPT, "completion": says("Good."), "label": True},
        {"prompt": PROMPT, "completion": says("Bad."), "label": False},
    ]
    assert exported(site, project_id, "ranking") == []
    assert exported(site, project_id, "prompt-completion") == []


def test_a_tie_says_nothing(site):
    project_id = judged(site, [PAIR], lambda _: {"preference": {"choice": 4}})
    assert exported(site, project_id, "preference") == exported(site, project_id, "unpaired") == []


def test_both_bad_is_no_pair_and_two_bad_answers(site):
    project_id = judged(site, [PAIR], lambda _: {"preference": {"choice": 0}})
    assert exported(site, project_id, "preference") == []
    assert [row["label"] for row in exported(site, project_id, "unpaired")] == [False, False]


@pytest.mark.parametrize("attempt", range(4))
def test_a_correction_of_the_better_is_a_pair_more_and_a_demonstration(site, attempt):
    def answer(texts: list[str]) -> dict:
        return {**good_is_clearly_better(texts), "edit": "Better still."}

    project_id = judged(site, [PAIR], answer, kind="edit")
    rows = exported(site, project_id, "preference")
    assert [(row["chosen"], row["rejected"]) for row in rows] == [
        (says("Good."), says("Bad.")),
        (says("Better still."), says("Good.")),
    ]
    (written,) = exported(site, project_id, "prompt-completion")
    assert written == {"prompt": PROMPT, "completion": says("Better still.")}


def test_a_correction_that_changes_nothing_is_no_pair(site):
    one = {"prompt": "Why?", "response": "Fine."}
    project_id = judged(site, [one], lambda _: {"edit": "Fine."}, kind="correction")
    assert exported(site, project_id, "preference") == []


def test_demonstrations_and_reasons_are_told_apart(site):
    project_id = judged(site, [{"prompt": "Why?"}], lambda _: {"answer": "So."}, kind="demonstration")
    assert exported(site, project_id, "prompt-completion") == [{"prompt": PROMPT, "completion": says("So.")}]
    reason = {"id": "reason", "kind": "text", "label": "Say why."}

    def with_reason(texts: list[str]) -> dict:
        return {**good_is_clearly_better(texts), "reason": "It is good."}

    compared = judged(site, [PAIR], with_reason, kind="pairwise", questions=[reason])
    assert exported(site, compared, "prompt-completion") == []


def test_a_ranking_keeps_candidates_in_stored_order(site):
    three = {"prompt": "Why?", "candidates": ["Best.", "Middle.", "Worst."]}

    def answer(texts: list[str]) -> dict:
        place = {text: k for k, text in enumerate(texts)}
        return {"order": {"groups": [[place["Best."]], [place["Worst."], place["Middle."]]]}}

    (row,) = exported(site, judged(site, [three], answer, kind="ranking"), "ranking")
    assert row["groups"] == [[0], [1, 2]]
    assert row["completions"][0] == says("Best.")


SAID = "It was in 1815. Nobody won! Then it rained."


def sentences(project_id: str, site: Any) -> list[tuple[list[str], list[bool], str]]:
    rows = exported(site, project_id, "stepwise")
    assert all(row["prompt"] == "Why?" for row in rows)
    return [(row["completions"], row["labels"], row["dimension"]) for row in rows]


@pytest.mark.parametrize("attempt", range(2))  # sides are drawn
def test_sentences_held_against_passages_are_steps(site, attempt):
    item = {"prompt": "Why?", "candidates": [SAID, "Yes."], "passages": ["1815."]}
    told = {SAID: ["supported", "contradicted", "not_found"], "Yes.": ["supported"]}

    def answer(texts: list[str]) -> dict:
        return {"support": {str(place): told[text] for place, text in enumerate(texts)}}

    task = {"kind": "grounded", "questions": [{"id": "support", "kind": "support", "options": SUPPORT}]}
    project_id = judged(site, [item], answer, **task)
    steps = ["It was in 1815.", "Nobody won!", "Then it rained."]
    assert sentences(project_id, site) == [
        (steps, [True, False, False], "support"),
        (["Yes."], [True], "support"),
    ]


SUPPORT = [{"value": value, "label": value} for value in ("supported", "contradicted", "not_found")]


def test_sentences_that_a_fault_touches_are_false_steps(site):
    item = {"prompt": "Why?", "response": SAID}
    start = SAID.index("won! Then")
    mark = {"place": 0, "start": start, "end": start + 9, "label": "factual_error"}  # over two sentences
    edge = {"place": 0, "start": 15, "end": 16, "label": "unsafe"}  # the space between the first two
    project_id = judged(site, [item], lambda _: {"faults": [mark, edge]}, kind="spans")
    ((steps, labels, _),) = sentences(project_id, site)
    assert (len(steps), labels) == (3, [True, False, False])
    clean = judged(site, [{**item, "passages": []}], lambda _: {"faults": []}, kind="spans")
    assert [labels for _, labels, _ in sentences(clean, site)] == [[True, True, True]]
    praise = {
        "id": "faults",
        "kind": "spans",
        "labels": [{"value": "good", "label": "Good"}, {"value": "x", "label": "x"}],
    }
    mark = {**mark, "label": "good"}
    other = judged(site, [item], lambda _: {"faults": [mark]}, kind="spans", questions=[praise])
    assert sentences(other, site) == []


def test_steps_are_read_back_by_the_formats_of_files(site, tmp_path):
    from accord.store.reading import read_step_labels

    item = {"prompt": "Why?", "response": SAID}
    project_id = judged(site, [item], lambda _: {"faults": []}, kind="spans")
    work = Work(site.database, WorkQueue.of(site.database))
    path = tmp_path / "steps.jsonl"
    path.write_text("".join(export_lines(work, project_id, "stepwise")))
    (record,) = read_step_labels(path, format="stepwise")
    assert (record.steps[1], record.labels, record.annotator_id) == ("Nobody won!", (1.0,) * 3, "annotator")


def test_grades_are_ratings_of_each_answer_by_question(site):
    project_id = judged(
        site,
        [PAIR],
        lambda texts: {"preference": {"choice": 4}, "brief": [5 if text == "Good." else 2 for text in texts]},
        questions=[
            {"id": "preference", "kind": "comparison"},
            {"id": "brief", "kind": "rating", "per_candidate": True},
        ],
    )
    assert exported(site, project_id, "ratings") == [
        {"prompt": PROMPT, "completion": says("Good."), "rating": 5, "dimension": "brief"},
        {"prompt": PROMPT, "completion": says("Bad."), "rating": 2, "dimension": "brief"},
    ]
