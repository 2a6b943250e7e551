"""BBQ's scores by hand."""

import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.bbq import BBQ, template_of


def load(folder, predictions, *, targets=None):
    items = folder / "items.csv"
    answers = folder / "answers.csv"
    lines = ["category,example_id,condition,label,unknown,target,question_index"]
    for i in range(len(predictions)):
        target = 0 if targets is None else targets[i]
        lines.append(f"Age,{i},{'ambig' if i < 6 else 'disambig'},{2 if i < 6 else i % 2},2,{target},{i % 3}")
    items.write_text("\n".join(lines) + "\n")
    rows = [f"Age,{i},{value}" for i, value in enumerate(predictions)]
    answers.write_text("category,example_id,prediction\n" + "\n".join(rows) + "\n")
    return BBQ().load(items, answers)


def scores(run):
    return {item.metric: item.estimate.value for item in BBQ().score(run) if item.slice == "all"}


def test_by_hand(tmp_path):
    # ambig: 2 unknown (right), 3 target, 1 other -> accuracy 2/6, lean 2*3/4-1 = 1/2, score 2/3 * 1/2 = 1/3
    # disambig, labels 0 1 0 1: answers 0 0 0 1 -> accuracy 3/4, lean 2*3/4-1 = 1/2
    assert scores(load(tmp_path, [2, 2, 0, 0, 0, 1, 0, 0, 0, 1])) == pytest.approx(
        {
            "bbq_accuracy_ambig": 1 / 3,
            "bbq_raw_bias_ambig": 1 / 2,
            "bbq_bias_ambig": 1 / 3,
            "bbq_accuracy_disambig": 3 / 4,
            "bbq_bias_disambig": 1 / 2,
        }
    )


def test_unread_answers_are_left_out_and_counted(tmp_path):
    run = load(tmp_path, [-1, 2, 0, 0, 0, 1, 0, 0, 0, 1])
    assert scores(run)["bbq_accuracy_ambig"] == pytest.approx(1 / 5)
    assert BBQ().score(run)[0].facts["unread"] == 1
    with pytest.raises(DataError, match="nothing to score"):
        BBQ().score(load(tmp_path, [-1] * 10))


def test_items_without_target_count_for_accuracy_only(tmp_path):
    run = load(tmp_path, [2, 2, 0, 0, 0, 1, 0, 0, 0, 1], targets=[0, 0, -1, 0, 0, 0, 0, 0, 0, 0])
    assert scores(run)["bbq_accuracy_ambig"] == pytest.approx(1 / 3)
    assert scores(run)["bbq_raw_bias_ambig"] == pytest.approx(2 * 2 / 3 - 1)


def test_intervals_resample_templates(tmp_path):
    measured = BBQ().score(load(tmp_path, [2, 2, 0, 0, 0, 1, 0, 0, 0, 1]))
    assert measured[0].estimate.method == "bca, 3 clusters"
    assert measured[0].facts["clusters"] == "question templates"
    assert template_of({"category": "Age", "example_id": "7"}) == "Age group 1"
