"""Each tool's log as runs of scored items."""

import math

import pytest

from accord.domain.errors import ConfigError, DataError, EvaluationError
from accord.evaluation.imports.formats import import_logs, read_runs
from accord.evaluation.imports.levels import run_levels
from accord.evaluation.imports.log_file import ReadLimits
from accord.evaluation.imports.matching import pick_run
from accord.evaluation.imports.record import as_score, content_hash
from accord.evaluation.imports.run_file import write_run_file

SAMPLES = "samples_boolq_2026-01-02T03-04-05.123456.jsonl"


def only(runs):
    assert len(runs) == 1
    return runs[0]


def scores(run, metric):
    return {(item.item, item.epoch): item.scores[metric] for item in run.items}


def test_lm_eval_samples_and_results(tmp_path, logs):
    rows = [logs.lm_eval_sample(number, value) for number, value in enumerate((1.0, 0.0, 1, False))]
    rows[3]["word_edit"], rows[3]["metrics"] = 3, ["acc", "word_edit", "text"]
    rows[3]["text"] = "words"
    path = logs.write_lines(tmp_path / SAMPLES, rows)
    results = logs.write_json(tmp_path / "results_x.json", logs.lm_eval_results())
    run = only(import_logs("lm-eval", [path, results]))
    assert (run.name, run.tasks) == ("org/model", ("boolq",))
    assert scores(run, "acc") == {("0", 1): 1.0, ("1", 1): 0.0, ("2", 1): 1.0, ("3", 1): 0.0}
    assert run.lower_is_better == {"word_edit"}
    assert run.settings == {"shots of boolq": "0", "version of boolq": "2.0"}
    assert run.notes == ("metric 'text' is no number in 1 documents and is left out there",)
    assert run.items[0].prompt_hash == "a" * 64
    clustered = only(import_logs("lm-eval", [path], cluster_field="passage"))
    assert [item.cluster for item in clustered.items] == ["p0", "p0", "p1", "p1"]
    assert clustered.name == tmp_path.name  # the folder, as the harness names it after the model
    with pytest.raises(DataError, match="no field 'author'"):
        import_logs("lm-eval", [path], cluster_field="author")


def test_lm_eval_results_are_held_against_the_samples(tmp_path, logs):
    path = logs.write_lines(tmp_path / SAMPLES, [logs.lm_eval_sample(n, 1.0) for n in range(3)])
    results = logs.write_json(tmp_path / "results_x.json", logs.lm_eval_results())
    assert only(import_logs("lm-eval", [path, results])).notes == (
        "boolq: the results speak of 4 documents, the samples hold 3",
        "boolq: the results say acc 0.5, its samples' mean is 1",
    )
    with pytest.raises(DataError, match="results only"):
        import_logs("lm-eval", [results])


def test_lm_eval_filters_are_metrics_of_one_item(tmp_path, logs):
    rows = [
        logs.lm_eval_sample(0, value, filter=name, metric="exact_match")
        for name, value in (("strict-match", 0.0), ("flexible-extract", 1.0))
    ]
    run = only(import_logs("lm-eval", [logs.write_lines(tmp_path / "samples_gsm8k.jsonl", rows)]))
    assert run.metrics == ("exact_match,flexible-extract", "exact_match,strict-match")
    assert run.items[0].scores["exact_match,strict-match"] == 0.0
    with pytest.raises(
        DataError, match=r":3: metric 'exact_match,strict-match' of document 0 is there twice"
    ):
        import_logs("lm-eval", [logs.write_lines(tmp_path / "samples_gsm8k.jsonl", [*rows, rows[0]])])


@pytest.mark.parametrize("kind", ["json", "eval"])
def test_inspect_words_epochs_and_errors(tmp_path, logs, kind):
    samples = [
        logs.inspect_sample("a", "C", metadata={"source": "book"}),
        logs.inspect_sample("a", "I", epoch=2),
        logs.inspect_sample("b", "P"),
        logs.inspect_sample("c", {"x": True, "y": "0.25", "z": [1]}, scorer="multi"),
        logs.inspect_sample("d", None, error="timeout"),
        logs.inspect_sample("e", "no"),
    ]
    log = logs.inspect_log(samples)
    if kind == "json":
        path = logs.write_json(tmp_path / "a.json", log)
    else:
        path = logs.write_eval(tmp_path / "a.eval", log, entries=[("summaries.json", "[]")])
    run = only(import_logs("inspect", [path]))
    assert (run.name, run.tasks) == ("openai/x", ("arithmetic",))
    found = scores(run, "match")
    assert [found[key] for key in (("a", 1), ("a", 2), ("b", 1), ("e", 1))] == [1.0, 0.0, 0.5, 0.0]
    assert math.isnan(found["d", 1])
    assert scores(run, "multi/x")["c", 1] == 1.0
    assert scores(run, "multi/y")["c", 1] == 0.25
    assert math.isnan(scores(run, "multi/z")["c", 1])
    assert run.notes == (
        "arithmetic: 1 samples ended in an error and have no score",
        "arithmetic: 1 scores are no number and count as missing",
    )
    # ids of messages differ by run; role and content make the prompt
    by_key = {item.key: item.prompt_hash for item in run.items}
    assert by_key["arithmetic", "a", 1] == by_key["arithmetic", "a", 2]
    assert by_key["arithmetic", "a", 1] != by_key["arithmetic", "b", 1]
    assert {item.cluster for item in only(import_logs("inspect", [path], cluster_field="source")).items} == {
        "book",
        "web",
    }


def test_inspect_log_that_was_interrupted(tmp_path, logs):
    log = logs.inspect_log([logs.inspect_sample(1, "C")])
    run = only(import_logs("inspect", [logs.write_eval(tmp_path / "a.eval", log, header="")]))
    assert run.notes == ("arithmetic: the log ended as 'started'; samples may be missing",)
    bare = logs.write_eval(
        tmp_path / "b.eval",
        {**log, "samples": []},
        entries=[
            ("_journal/summaries/1.json", '[{"id": 1, "epoch": 1, "scores": {"match": {"value": "C"}}}]')
        ],
    )
    run = only(import_logs("inspect", [bare]))
    assert scores(run, "match") == {("1", 1): 1.0}
    assert run.items[0].prompt_hash is None
    assert "prompts cannot be checked" in run.notes[0]
    with pytest.raises(DataError, match="holds no samples"):
        import_logs("inspect", [logs.write_json(tmp_path / "c.json", logs.inspect_log([]))])


def test_inspect_limits_hold(tmp_path, logs):
    path = logs.write_eval(tmp_path / "a.eval", logs.inspect_log([logs.inspect_sample(1, "C")]))
    with pytest.raises(DataError, match="refused"):
        import_logs("inspect", [path], limits=ReadLimits(entry_bytes=50))


def test_garak_hits_by_the_threshold_of_the_run(tmp_path, logs):
    attempts = [
        ("dan.Dan", 0, "prompt 0", {"mitigation": [0.5, 0.69], "always": [1.0, None]}),
        ("dan.Dan", 0, "prompt 0 buffed", {"mitigation": [0.71], "always": [0.0]}),
        ("enc.B64", 0, "prompt 0", {"mitigation": [0.9]}),
    ]
    report = logs.garak_report(attempts, threshold=0.7)
    report.append({**report[2], "uuid": "begun", "seq": 9})
    run = only(import_logs("garak", [logs.write_lines(tmp_path / "g.report.jsonl", report)]))
    assert run.name == "org/target"
    assert run.settings == {"run.eval_threshold": "0.7", "run.generations": "2", "threshold": "0.7"}
    assert {item.key: item.scores["mitigation"] for item in run.items} == {
        ("dan.Dan", "0", 1): 0.0,
        ("dan.Dan", "0", 2): 0.0,
        ("dan.Dan", "0#2", 1): 1.0,
        ("enc.B64", "0", 1): 1.0,
    }
    assert math.isnan(run.items[1].scores["always"])
    assert run.lower_is_better == {"mitigation", "always"}
    assert run.items[0].cluster == run.items[1].cluster == run.items[3].cluster
    assert run.notes == ("1 attempts were begun and not evaluated; they are left out",)
    begun = [row for row in report if row.get("status") != 2]
    with pytest.raises(DataError, match="no evaluated attempt"):
        import_logs("garak", [logs.write_lines(tmp_path / "g.report.jsonl", begun)])


@pytest.mark.parametrize("version", [2, 3])
def test_promptfoo_runs_by_provider(tmp_path, logs, version):
    rows = [
        ("a", 0, "q0", True, 1, 0, {"tone": 0.5}),
        ("a", 1, "q1", False, 0, 2, {}),
        ("b", 0, "q0", False, 0.25, 1, {"tone": 1}),
    ]
    path = logs.write_json(tmp_path / "out.json", logs.promptfoo_output(rows, version=version))
    first, second = import_logs("promptfoo", [path])
    assert (first.name, second.name) == ("a", "b")
    assert scores(second, "score") == {("0", 1): 0.25}
    assert first.items[0].scores == {"score": 1.0, "success": 1.0, "tone": 0.5}
    assert all(math.isnan(value) for value in first.items[1].scores.values())
    assert first.notes == ("1 results are errors of the provider and have no score",)
    assert (
        first.items[0].prompt_hash == second.items[0].prompt_hash == content_hash(["Answer: q0", {"q": "q0"}])
    )
    with pytest.raises(EvaluationError, match="holds several runs; name one of them: a, b"):
        pick_run([first, second], None, source="out.json")


def test_alpaca_eval_shares_ties_and_missing(tmp_path, logs):
    rows = [logs.annotation(*one) for one in (("x", 1.75), ("y", 1.5), ("x", 1), ("z", None))]
    run = only(import_logs("alpaca-eval", [logs.write_json(tmp_path / "annotations.json", rows)]))
    assert (run.name, run.tasks) == ("new", ("alpaca_eval vs gpt4",))
    assert [item.scores["preference"] for item in run.items[:3]] == [0.75, 0.5, 0.0]
    assert [item.scores["win"] for item in run.items[:3]] == [1.0, 0.5, 0.0]
    assert run.items[2].item == run.items[0].item + "#2"
    assert run.items[2].cluster == run.items[0].cluster
    assert run.notes == ("1 annotations have no preference",)
    assert run.settings == {"annotator": "weighted_alpaca_eval_gpt4_turbo"}
    with pytest.raises(DataError, match=r"entry 1: preference is 7; expected 1"):
        import_logs("alpaca-eval", [logs.write_json(tmp_path / "b.json", [logs.annotation("x", 7)])])
    (tmp_path / "a.csv").write_text("model,row,preference\nm,0,1.25\nn,0,\n")
    several = import_logs("alpaca-eval", [tmp_path / "a.csv"])
    assert [run.name for run in several] == ["m", "n"]
    assert several[0].items[0].scores["preference"] == 0.25


def make_all(tmp_path, logs):
    return {
        "lm-eval": logs.write_lines(tmp_path / SAMPLES, [logs.lm_eval_sample(0, 1.0)]),
        "inspect": logs.write_json(tmp_path / "i.json", logs.inspect_log([logs.inspect_sample(1, "C")])),
        "garak": logs.write_lines(
            tmp_path / "g.report.jsonl", logs.garak_report([("dan.Dan", 0, "p", {"d": [1.0]})])
        ),
        "promptfoo": logs.write_json(
            tmp_path / "p.json", logs.promptfoo_output([("a", 0, "q", True, 1, 0, {})])
        ),
        "alpaca-eval": logs.write_json(tmp_path / "a.json", [logs.annotation("x", 2)]),
    }


def test_a_wrong_format_is_told_apart(tmp_path, logs):
    files = make_all(tmp_path, logs)
    for name in files:
        for other, path in files.items():
            if other != name:
                with pytest.raises(DataError, match=f"no log of {name} .it looks like {other}:"):
                    import_logs(name, [path])
        assert only(read_runs(files[name])).tool == name
    nothing = logs.write_json(tmp_path / "n.json", {"a": 1})
    with pytest.raises(DataError, match="no known format fits"):
        import_logs("garak", [nothing])
    with pytest.raises(DataError, match="neither an imported run nor a log"):
        read_runs(nothing)
    with pytest.raises(ConfigError, match="expected one of lm-eval, inspect"):
        import_logs("helm", [nothing])


def test_a_run_file_gives_back_what_was_written(tmp_path, logs):
    for name, path in make_all(tmp_path, logs).items():
        runs = import_logs(name, [path])
        write_run_file(tmp_path / "run.jsonl", runs)
        (back,) = read_runs(tmp_path / "run.jsonl")
        assert back.items == runs[0].items
        assert (back.name, back.lower_is_better, back.notes) == (
            runs[0].name,
            runs[0].lower_is_better,
            runs[0].notes,
        )
    with pytest.raises(DataError, match="is imported already"):
        import_logs("lm-eval", [tmp_path / "run.jsonl"])
    text = (tmp_path / "run.jsonl").read_text().splitlines()
    (tmp_path / "run.jsonl").write_text("\n".join([*text, text[-1]]))
    with pytest.raises(DataError, match="1 items are there twice"):
        read_runs(tmp_path / "run.jsonl")
    with pytest.raises(DataError, match="there twice; import one"):
        write_run_file(tmp_path / "x.jsonl", runs * 2)


def test_scores_that_are_no_numbers():
    assert as_score(True) == 1.0
    assert as_score("1") is None
    assert all(math.isnan(as_score(value)) for value in (None, math.inf, 10**400))


def test_levels_leave_out_what_has_no_score(tmp_path, logs):
    log = logs.inspect_log(
        [logs.inspect_sample(n, "C" if n < 3 else None, error="e" * (n > 2) or None) for n in range(5)]
    )
    run = only(import_logs("inspect", [logs.write_json(tmp_path / "a.json", log)]))
    (level,) = run_levels(run)
    assert (level.estimate.value, level.estimate.n, level.facts["missing"]) == (1.0, 3, 2)
    # Wilson of 3 of 3: low = 1 / (1 + z^2 / 3)
    assert level.estimate.low == pytest.approx(3 / (3 + 1.959964**2), rel=1e-6)
