"""`accord evaluate judge` as a user types it."""

import json

import pytest

from accord.cli.main import run_command
from accord.domain import DataError
from accord.evaluation.judges.vote_files import read_votes


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    people = [["l", "l"], ["l", "r"], ["r", "r"], ["r", "l"]] * 5
    votes = [
        {"pair": i, "winner": word, "worker": k} for i, row in enumerate(people) for k, word in enumerate(row)
    ]
    verdicts = [{"pair": i, "winner": "l" if i % 4 < 2 else "r"} for i in range(20)]
    return write(tmp_path / "verdicts.jsonl", verdicts), write(tmp_path / "people.jsonl", votes)


def test_figures_as_json_by_hand(files, capsys):
    # the four items of the validation test, five times
    assert run_command(["evaluate", "judge", *files, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    values = {row["metric"]: row["estimate"]["value"] for row in shown["measurements"]}
    assert values["judge_agreement"] == pytest.approx(0.75)
    assert values["judge_kappa"] == pytest.approx(0.5)
    assert values["human_kappa"] == pytest.approx(0.0)
    assert values["judge_kappa_gap"] == pytest.approx(0.5)
    assert (shown["facts"]["items"], shown["facts"]["without_verdict"]) == (20, 0)


def test_what_it_means_is_said(files, capsys):
    assert run_command(["evaluate", "judge", *files]) == 0
    assert "at least as well" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verdicts", "people", "said"),
    [
        (
            [{"item": 1, "winner": "l"}] * 2,
            [{"item": 1, "winner": "l"}],
            "v.jsonl:2: item '1' has a second verdict",
        ),
        ([{"item": 1, "winner": "l"}], [{"item": 1, "winner": ""}], "has no winner"),
        ([{"item": "", "winner": "l"}], [{"item": 1, "winner": "l"}], "'item' is empty"),
        ([{"it": 1, "winner": "l"}], [{"item": 1, "winner": "l"}], "has no item column"),
        ([{"item": 1, "winner": "A"}], [{"item": 1, "winner": "left"}], "use the same words"),
        ([{"item": 1, "winner": "l"}], [{"item": 2, "winner": "l"}], "compare the ids"),
    ],
)
def test_bad_files_are_named(tmp_path, capsys, verdicts, people, said):
    paths = write(tmp_path / "v.jsonl", verdicts), write(tmp_path / "p.jsonl", people)
    assert run_command(["evaluate", "judge", *paths]) == 1
    assert said in capsys.readouterr().err


def test_a_verdict_that_did_not_come_is_kept_as_missing(tmp_path):
    verdicts = write(tmp_path / "v.jsonl", [{"id": 1, "verdict": None}, {"id": 2, "verdict": "l"}])
    people = write(tmp_path / "p.jsonl", [{"id": 1, "label": "l"}, {"id": 2, "label": "l"}])
    votes = read_votes(verdicts, people)
    assert votes.verdicts == {"1": None, "2": "l"}
    assert votes.people == {"1": ("l",), "2": ("l",)}


def compared(prompt, left, right, choice):
    return {"prompt": [{"role": "user", "content": prompt}], "left": left, "right": right, "choice": choice}


def test_exported_comparisons_are_matched_by_their_texts_whichever_stood_left(tmp_path):
    said = [
        compared("p", "a", "b", "left"),
        compared("q", "a", "b", "both_bad"),
        compared("p", "b", "a", "left"),  # asked again; the first stands
    ]
    votes = [
        compared("p", "b", "a", "right"),
        compared("p", "a", "b", "right"),
        compared("q", "b", "a", "tie"),
    ]
    found = read_votes(write(tmp_path / "v.jsonl", said), write(tmp_path / "p.jsonl", votes))
    (first, second) = found.verdicts
    assert found.verdicts == {first: "first", second: "tie"}
    assert found.people == {first: ("first", "second"), second: ("tie",)}
    wrong = [compared("p", "a", "b", "west")]
    with pytest.raises(DataError, match="choice is 'west'; expected left, right, tie or both_bad"):
        read_votes(write(tmp_path / "v.jsonl", wrong), write(tmp_path / "p.jsonl", votes))
