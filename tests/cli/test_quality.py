"""`accord quality` as a user types it."""

import csv
import gzip
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from accord.cli.quality import app
from accord.domain import Choice, Comparison, DataError, Judgment, Prompt
from accord.quality.labels import tabulate_labels
from accord.quality.simulation import CrowdConfig, simulate_labels
from accord.store import read_preferences, write_records


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


def run_json(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def crowd_files(tmp_path_factory):
    """600 items, 40 annotators, 6 labels an item, all items with gold."""
    folder = tmp_path_factory.mktemp("crowd")
    config = CrowdConfig(n_items=600, n_annotators=40, labels_per_item=6, random_share=0.1)
    crowd = simulate_labels(config, 1)
    rows = zip(crowd.columns.items, crowd.columns.annotators, crowd.columns.values, strict=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item", "annotator", "label"))
        writer.writerows(rows)
    table = tabulate_labels(crowd.columns)
    with (folder / "gold.jsonl").open("w") as file:
        for item, index in zip(table.items.tolist(), crowd.truth_index.tolist(), strict=True):
            file.write(json.dumps({"item": item, "gold": table.classes[index]}) + "\n")
    return folder / "labels.csv", folder / "gold.jsonl"


@pytest.fixture(scope="module")
def votes(tmp_path_factory):
    """40 pairs, each judged by three annotators, one of whom always says left."""
    generator = np.random.default_rng(0)
    judgments = []
    for number in range(40):
        prompt = Prompt.from_text(f"question {number}")
        for annotator in ("careful", "usual", "lefty"):
            is_swapped = bool(generator.integers(2))
            sides = ("bad", "good") if is_swapped else ("good", "bad")
            is_right = generator.random() < (0.95 if annotator == "careful" else 0.8)
            good = Choice.RIGHT if is_swapped else Choice.LEFT
            other = Choice.LEFT if is_swapped else Choice.RIGHT
            choice = Choice.LEFT if annotator == "lefty" else good if is_right else other
            comparison = Comparison(prompt=prompt, left=sides[0], right=sides[1])
            judgments.append(Judgment(comparison=comparison, annotator_id=annotator, choice=choice))
    path = tmp_path_factory.mktemp("votes") / "votes.jsonl"
    write_records(path, judgments)
    return path


def test_consensus_calibrates_on_some_gold_and_is_scored_on_the_rest(crowd_files, tmp_path):
    labels, gold = crowd_files
    out = tmp_path / "posterior.jsonl"
    found = run_json("consensus", labels, "--gold", gold, "--gold-fit", 40, "--out", out)
    assert (found["n_items"], found["n_annotators"], found["calibrated"]) == (600, 40, True)
    assert found["gold"] == {"n": 600, "n_fitted": 40, "n_scored": 560, "n_unlabeled": 0}
    assert found["accuracy"] > found["vote_share_accuracy"]
    assert found["log_loss"] < found["vote_share_log_loss"]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 600
    assert set(rows[0]) == {"item", "label", "probs", "n", "calibrated"}
    assert all(sum(row["probs"].values()) == pytest.approx(1.0) for row in rows)
    assert all(row["calibrated"] and row["n"] == 6 for row in rows)


def test_without_gold_everything_says_uncalibrated(crowd_files, tmp_path):
    labels, gold = crowd_files
    out = tmp_path / "posterior.jsonl"
    for arguments in ((), ("--gold", gold)):
        found = run_json("consensus", labels, "--out", out, *arguments)
        assert found["calibrated"] is False
        assert "uncalibrated" in found["note"]
        assert not any(json.loads(line)["calibrated"] for line in out.read_text().splitlines())
        assert "uncalibrated" in run("consensus", labels, *arguments).output


def test_the_seed_draws_the_gold_that_is_fitted(crowd_files):
    labels, gold = crowd_files
    losses = [
        run_json(
            "consensus", labels, "--gold", gold, "--gold-fit", 30, "--seed", seed, "--method", "one_coin"
        )["log_loss"]
        for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_annotators_who_guess_are_named(crowd_files):
    found = run_json("annotators", crowd_files[0])
    assert len(found["annotators"]) == 40
    worth = sorted(row["value"]["value"] for row in found["annotators"])
    assert worth[0] < 0.1 < worth[-1]
    assert any(row["verdict"] != "keep" for row in found["annotators"])
    assert "annotator" in run("annotators", crowd_files[0]).output


def test_preferences_are_written_with_their_provenance_and_habits_are_told(votes, tmp_path):
    out = tmp_path / "preferences.jsonl"
    found = run_json("preferences", votes, "--out", out)
    assert (found["n_judgments"], found["n_pairs"], found["n_annotators"]) == (120, 40, 3)
    habits = {row["annotator"]: row for row in found["annotators"]}
    assert habits["lefty"]["left_habit"]["low"] > 0
    assert habits["careful"]["gain"]["value"] > habits["lefty"]["gain"]["value"]
    preferences = read_preferences(out)
    assert len(preferences) == 40
    assert all(one.provenance is not None and one.provenance.judgment_ids for one in preferences)
    assert np.mean([one.chosen == "good" for one in preferences]) > 0.75


def test_the_curve_shows_what_stopping_early_costs(crowd_files):
    labels, gold = crowd_files
    found = run_json("curve", labels, "--gold", gold, "--gold-fit", 200, "--orders", 1)
    assert found["is_calibrated"]
    costs = [point["labels_per_item"]["value"] for point in found["points"]]
    assert costs == sorted(costs)
    assert found["fixed"][0]["accuracy"]["value"] < found["fixed"][-1]["accuracy"]["value"]
    assert "labels an item" in run("curve", labels, "--gold", gold, "--orders", 1).output


def test_power_answers_both_ways():
    plan = run_json("power", "--share", 0.55, "--difference", 0.05, "--power", 0.8)
    # (1.96 sqrt(.25) + 0.84 sqrt(.2475))^2 / 0.05^2 = 783 independent labels
    assert (plan["n_items"], plan["labels_an_item"]) == (783, 1)
    back = run_json("power", "--items", 783, "--labels", 1, "--share", 0.55, "--difference", 0.05)
    assert back["power"] == pytest.approx(0.8, abs=0.002)
    assert "labels in all" in run("power", "--items", 100, "--labels", 1).output


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


HEAD = "item,annotator,label\n"


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", (), "empty|no rows|no labels"),
        (HEAD, (), "no labels|no rows"),
        ("item,annotator,label\ni,w,\n", (), "labels.csv:2: column 'label' is ''"),
        ("item,annotator,label\ni,w,a\n", ("--column", "value=nothing"), "nothing"),
        ("a,b,c\n1,2,3\n", (), "item|annotator"),
        ("item,annotator,label\ni,w,a\ni,w,b\n", ("--repeats", "error"), "line 3: annotator 'w' labeled"),
        ("item,annotator,label\ni,w,a\n", ("--method", "dawid_scene"), "Did you mean 'dawid_skene'"),
        (f"item,annotator,label\ni,w,{'x' * 10**6}\n", (), "labels.csv:2.*at most 1,000 characters"),
        ("item,annotator,label\ni,w,a\n", ("--gold-fit", 5), "--gold-fit needs known answers"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_error(tmp_path, text, arguments, message):
    result = run("consensus", write(tmp_path / "labels.csv", text), *arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, DataError)
    assert re.search(message, str(result.exception)), str(result.exception)


LITTLE = {
    "one class": HEAD + "i,w,a\nj,w,a\nj,v,a\n",
    "one annotator": HEAD + "i,w,a\nj,w,b\n",
    "all ties": HEAD + "i,w,a\ni,v,b\nj,w,b\nj,v,a\n",
    "single label": HEAD + "i,w,a\nj,w,b\nj,v,b\n",
}


@pytest.mark.parametrize("text", LITTLE.values(), ids=LITTLE)
def test_little_to_go_on_is_no_error(tmp_path, text):
    found = run_json("consensus", write(tmp_path / "labels.csv", text))
    assert found["n_items"] == 2
    assert found["calibrated"] is False


@pytest.mark.parametrize("command", ["agreement", "annotators", "curve", "report"])
def test_other_commands_say_the_same_of_bad_labels_and_have_results_for_few(tmp_path, command):
    gold = write(tmp_path / "gold.csv", "item,gold\ni,a\nj,b\n")
    more = {
        "agreement": ("--json",),
        "annotators": ("--json",),
        "curve": ("--gold", gold, "--parts", 2, "--json"),
        "report": ("--out", tmp_path / "page.html"),
    }[command]
    for text, message in (
        ("", "the file is empty"),
        ("a,b,c\n1,2,3\n", "no column is known as the item"),
        (HEAD + "i,w,a\nj,w,\n", "labels.csv:3: column 'label' is ''"),
        (HEAD + f"i,w,{'x' * 10**6}\n", "labels.csv:2.*1,000,000 characters"),
    ):
        result = run(command, write(tmp_path / "labels.csv", text), *more)
        assert isinstance(result.exception, DataError), (text[:40], result.output)
        assert re.search(message, str(result.exception)), str(result.exception)
    for text in LITTLE.values():
        result = run(command, write(tmp_path / "labels.csv", text), *more)
        assert result.exit_code == 0, (text, result.output, result.exception)
        if "--json" in more:
            assert not re.search("NaN|Infinity", result.stdout)
            assert json.loads(result.stdout)


def test_not_a_number_is_an_error_with_its_line(tmp_path):
    path = write(
        tmp_path / "labels.jsonl",
        '{"item": "i", "annotator": "w", "label": 1.0}\n{"item": "i", "annotator": "v", "label": NaN}\n',
    )
    result = run("consensus", path)
    assert isinstance(result.exception, DataError)
    assert "labels.jsonl:2" in str(result.exception)


def test_a_broken_gzip_line_is_named(tmp_path):
    lines = [json.dumps({"item": f"i{k}", "annotator": "w", "label": "a"}) for k in range(60)]
    lines[36] = lines[36][:-4]
    path = tmp_path / "labels.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    result = run("consensus", path)
    assert isinstance(result.exception, DataError)
    assert "labels.jsonl.gz:37" in str(result.exception)


def test_a_cut_off_gzip_file_is_an_error(tmp_path):
    rows = "\n".join(json.dumps({"item": f"i{k}", "annotator": "w", "label": "a"}) for k in range(5000))
    path = tmp_path / "labels.jsonl.gz"
    path.write_bytes(gzip.compress(rows.encode())[:-200])
    result = run("consensus", path)
    assert isinstance(result.exception, DataError)
    assert "labels.jsonl.gz" in str(result.exception)


def test_gold_that_contradicts_itself_or_names_nothing_is_an_error(tmp_path):
    labels = write(tmp_path / "labels.csv", HEAD + "i,w,a\nj,w,b\nj,v,b\n")
    twice = write(tmp_path / "twice.csv", "item,gold\ni,a\ni,b\n")
    result = run("consensus", labels, "--gold", twice)
    assert isinstance(result.exception, DataError)
    assert "twice.csv:3" in str(result.exception)
    other = write(tmp_path / "other.csv", "item,gold\nx,a\n")
    result = run("consensus", labels, "--gold", other)
    assert isinstance(result.exception, DataError)
    assert "none of the 1 gold items" in str(result.exception)


def test_nothing_is_written_when_something_is_wrong(tmp_path):
    labels = write(tmp_path / "labels.csv", HEAD + "i,w,a\nj,w,\n")
    out = tmp_path / "posterior.jsonl"
    assert run("consensus", labels, "--out", out).exit_code != 0
    assert list(tmp_path.iterdir()) == [labels]


def test_every_module_of_the_quality_engine_needs_numpy_and_scipy_alone():
    code = """
import importlib, pkgutil, sys
import scipy.special, scipy.optimize, scipy.sparse.linalg, scipy.stats, scipy.integrate, scipy.interpolate
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {"accord", "numpy", "scipy", *sys.stdlib_module_names}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import accord.quality
names = [one.name for one in pkgutil.walk_packages(accord.quality.__path__, "accord.quality.")]
for name in names:
    importlib.import_module(name)
from accord.domain import LabelColumns
from accord.quality import tabulate_labels
from accord.quality.consensus import fit_consensus
labels = LabelColumns(items=list("iijj"), annotators=list("wvwv"), values=list("aabb"))
print(len(names), *fit_consensus(tabulate_labels(labels)).consensus.labels)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    count, *labels = done.stdout.split()
    assert int(count) > 60
    assert labels == ["a", "b"]


def test_the_quality_engine_never_loads_torch():
    code = (
        "import sys, accord.quality, accord.quality.consensus, accord.quality.people, accord.cli.quality;"
        "print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
