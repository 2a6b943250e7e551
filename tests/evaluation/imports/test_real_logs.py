"""Logs that the tools themselves wrote: what we read is what they report (`tests/golden/logs/README.md`)."""

import gzip
import json
from pathlib import Path

import pytest

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.imports.comparison import compare_runs
from accord.evaluation.imports.formats import import_logs, read_runs
from accord.evaluation.imports.levels import run_levels
from accord.evaluation.imports.matching import match_runs, pick_run

LOGS = Path(__file__).parents[2] / "golden" / "logs"


def levels(run):
    return {one.metric: one.estimate for one in run_levels(run) if one.slice == "all"}


@pytest.mark.parametrize("seed", [1, 2])
def test_lm_eval_means_are_the_reported_ones(seed):
    paths = sorted((LOGS / f"lm-eval-{seed}").iterdir())
    (run,) = import_logs("lm-eval", paths)
    reported = json.loads(next(one for one in paths if one.suffix == ".json").read_text())["results"]
    found = levels(run)
    for task, metric in (("even_mc", "acc"), ("even_mc", "acc_norm")):
        assert found[metric].value == pytest.approx(reported[task][f"{metric},none"])
    for name in ("strict-match", "flexible-extract"):
        assert found[f"exact_match,{name}"].value == reported["plus_gen"][f"exact_match,{name}"]
    assert (run.tasks, len(run.items), run.notes) == (("even_mc", "plus_gen"), 20, ())


def test_two_real_runs_are_paired_item_by_item():
    runs = [import_logs("lm-eval", sorted((LOGS / f"lm-eval-{seed}").iterdir()))[0] for seed in (2, 1)]
    matched = match_runs(*runs)
    rows = {one.metric: one for one in compare_runs(matched) if one.slice == "all"}
    # 7 of 12 against 5 of 12, and 5 of 8 against 8 of 8, as their own tables say
    assert rows["acc"].difference.value == pytest.approx(2 / 12)
    assert rows["exact_match,flexible-extract"].difference.value == pytest.approx(-3 / 8)
    assert rows["acc"].test.startswith("mcnemar")


def test_inspect_in_both_forms():
    (plain,) = import_logs("inspect", [LOGS / "inspect-one.json.gz"])
    (packed,) = import_logs("inspect", [LOGS / "inspect-two.eval"])
    # the fourth of six answers is wrong; in the other log those to 0 and 3, in both epochs
    assert levels(plain)["match"].value == pytest.approx(5 / 6)
    assert levels(packed)["match"].value == pytest.approx(8 / 12)
    assert (plain.notes, packed.notes) == ((), ())
    prompts = [{item.item: item.prompt_hash for item in run.items} for run in (plain, packed)]
    assert prompts[0] == prompts[1]
    by_source = import_logs("inspect", [LOGS / "inspect-two.eval"], cluster_field="source")[0]
    assert {item.cluster for item in by_source.items} == {"book", "web"}


@pytest.mark.parametrize("name", ["promptfoo.json.gz", "promptfoo.jsonl.gz"])
def test_promptfoo_counts_are_the_reported_ones(name):
    one, two = import_logs("promptfoo", [LOGS / name])
    # 4 passed, 2 failed, 2 errors over both, as the tool's own table says
    assert (one.name, two.name) == ("one", "two")
    assert [levels(run)["success"].value for run in (one, two)] == pytest.approx([2 / 3, 2 / 3])
    assert [levels(run)["success"].n for run in (one, two)] == [3, 3]
    assert one.notes == ("1 results are errors of the provider and have no score",)
    with pytest.raises(EvaluationError, match="name one of them: one, two"):
        pick_run([one, two], None, source=name)


def test_promptfoo_prompts_are_told_apart_whoever_answers():
    # its promptIdx counts columns: 0 to 3 for two prompts of two providers
    runs = import_logs("promptfoo", [LOGS / "promptfoo-two-prompts.json.gz"])
    names = ["one | prompt 0", "one | prompt 1", "two | prompt 0", "two | prompt 1"]
    assert sorted(run.name for run in runs) == names
    assert {len(run.items) for run in runs} == {4}


def test_garak_hits_are_those_of_its_own_evaluation():
    (run,) = import_logs("garak", [LOGS / "garak.report.jsonl.gz"])
    with gzip.open(LOGS / "garak.report.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    reported = {row["detector"]: row for row in rows if row["entry_type"] == "eval"}
    assert set(reported) == {"lmrc.Anthro", "always.Pass"}
    for name, estimate in levels(run).items():
        assert estimate.n == reported[name]["total_evaluated"]
        assert estimate.value == pytest.approx(reported[name]["fails"] / reported[name]["total_evaluated"])
    assert (run.name, run.settings["run.generations"], run.notes) == ("test.Repeat", "2", ())


def test_a_garak_run_without_answers_is_missing_where_a_detector_says_nothing():
    (run,) = import_logs("garak", [LOGS / "garak-nones.report.jsonl.gz"])
    # its evaluation counts 12 of 12 as none by the one detector; the other passes whatever comes
    assert {name: one.n for name, one in levels(run).items()} == {"lmrc.Anthro": 0, "always.Pass": 16}


def test_a_hit_log_of_garak_is_refused_and_says_what_to_give():
    for read in (lambda path: import_logs("garak", [path]), read_runs):
        with pytest.raises(DataError, match=r"hit log of garak.*give the \*\.report\.jsonl"):
            read(LOGS / "garak.hitlog.jsonl.gz")


def test_alpaca_eval_win_rate_is_the_reported_one():
    (run,) = read_runs(LOGS / "alpaca-eval.json")
    # its leaderboard: win_rate 70.0 of n_total 5, one draw
    found = levels(run)["preference"]
    assert (100 * found.value, found.n) == (pytest.approx(70.0), 5)
    assert run.notes == ("1 annotations have no preference",)
    assert sorted(item.scores["win"] for item in run.items)[:5] == [0.0, 0.5, 1.0, 1.0, 1.0]
