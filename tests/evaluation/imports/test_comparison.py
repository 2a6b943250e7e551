"""Two runs compared item by item: by hand, and by what must not pass silently."""

import math

import numpy as np
import pytest

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.clusters import Clusters
from accord.evaluation.gates.plan import Gate
from accord.evaluation.gates.verdict import Verdict, judge_gate
from accord.evaluation.imports.comparison import (
    clustered_deviation,
    compare_runs,
    to_measurements,
)
from accord.evaluation.imports.matching import match_runs
from accord.evaluation.imports.record import ImportedItem, ImportedRun
from accord.evaluation.paired import paired_share_interval


def make_run(name, values, *, metric="acc", task="t", prompt="p", clusters=None, lower=()):
    items = tuple(
        ImportedItem(
            task=task,
            item=str(number),
            prompt_hash=f"{prompt}{number}",
            cluster=str(number if clusters is None else clusters[number]),
            scores={metric: value},
        )
        for number, value in enumerate(values)
    )
    return ImportedRun(name=name, tool="x", items=items, lower_is_better=frozenset(lower))


def joined(name, *runs):
    return ImportedRun(name=name, tool="x", items=tuple(item for run in runs for item in run.items))


def test_binary_scores_by_hand():
    # 12 items: 6 only the candidate's, 1 only the incumbent's, 3 both, 2 neither
    new = make_run("new", [1] * 6 + [0] + [1] * 3 + [0] * 2)
    old = make_run("old", [0] * 6 + [1] + [1] * 3 + [0] * 2)
    (row,) = compare_runs(match_runs(new, old))
    # exact: 2 (1 + 7) / 2^7
    assert (row.test, row.p_value) == ("mcnemar exact", pytest.approx(0.125))
    assert row.difference.value == pytest.approx(5 / 12)
    # d = 5 / 14, spread = sqrt((9 / 14 - d^2) / 14)
    spread = math.sqrt((9 / 14 - (5 / 14) ** 2) / 14)
    assert row.difference.low == pytest.approx(5 / 14 - 1.959964 * spread, abs=1e-6)
    # sum of squares around the mean: 6 (7/12)^2 + (17/12)^2 + 5 (5/12)^2, over n - 1
    deviation = math.sqrt((6 * 49 + 289 + 5 * 25) / 144 / 11)
    assert row.deviation == pytest.approx(deviation)
    assert row.detectable == pytest.approx((1.959964 + 0.841621) * deviation / math.sqrt(12), rel=1e-5)
    assert (row.candidate.value, row.incumbent.value, row.verdict) == (9 / 12, 4 / 12, "undecided")


def test_less_can_be_better():
    new, old = make_run("new", [0.0] * 30, lower=["acc"]), make_run("old", [1.0] * 30, lower=["acc"])
    (row,) = compare_runs(match_runs(new, old))
    assert (row.verdict, row.is_higher_better) == ("better", False)


def test_equal_runs_are_not_certain():
    run = make_run("a", [1.0] * 8 + [0.0] * 2)
    (row,) = compare_runs(match_runs(run, run))
    # no discordant item: +- z sqrt(2 / 12 / 12)
    assert row.difference.high == pytest.approx(1.959964 * math.sqrt(2 / 144), abs=1e-6)
    assert (row.p_value, row.deviation, row.verdict) == (1.0, None, "undecided")
    graded = make_run("a", [0.3, 0.5, 0.7])
    (row,) = compare_runs(match_runs(graded, graded))
    assert not row.difference.has_interval
    gate = Gate(id="g", metric="acc", versus="incumbent", comparator="noninferiority", margin=0.1)
    measured = to_measurements([row], match_runs(graded, graded))[0]
    assert judge_gate(gate, measured).verdict is Verdict.NOT_MEASURED


def test_epochs_of_one_item_are_one_cluster():
    generator = np.random.default_rng(0)
    values = np.repeat(generator.integers(0, 2, 40), 5).astype(float)
    clusters = np.repeat(np.arange(40), 5)
    new, old = make_run("n", values, clusters=clusters), make_run("o", [0.0] * 200, clusters=clusters)
    (row,) = compare_runs(match_runs(new, old))
    assert (row.clusters, row.difference.n, row.test) == (40, 200, "sign flips")
    share = values.mean()
    # five copies tell no more than one: se = sqrt(p (1 - p) / 39)
    assert row.deviation / math.sqrt(200) == pytest.approx(math.sqrt(share * (1 - share) / 39))
    width = row.difference.high - row.difference.low
    assert width == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / 40), rel=0.12)


def test_holm_is_over_all_rows_and_tasks_are_slices():
    new = joined("n", make_run("", [1.0] * 10, task="a"), make_run("", [0.0, 1.0], task="b"))
    old = joined("o", make_run("", [0.0] * 10, task="a"), make_run("", [1.0, 0.0], task="b"))
    rows = compare_runs(match_runs(new, old))
    assert [row.slice for row in rows] == ["all", "task=a", "task=b"]
    # all: 11 against 1, 2 (1 + 12) / 2^12; a: 2 / 2^10; b: 1
    assert [row.p_value for row in rows] == pytest.approx([26 / 4096, 2 / 1024, 1.0])
    assert [row.adjusted_p for row in rows] == pytest.approx([2 * 26 / 4096, 3 * 2 / 1024, 1.0])
    assert [row.verdict for row in rows] == ["better", "better", "undecided"]


def test_missing_scores_are_counted_and_never_a_number():
    new, old = make_run("n", [1.0, math.nan, 1.0, 0.0]), make_run("o", [0.0, 1.0, math.nan, 0.0])
    (row,) = compare_runs(match_runs(new, old))
    assert (row.missing, row.difference.n, row.difference.value) == (2, 2, 0.5)
    nothing = make_run("n", [math.nan] * 4)
    (row,) = compare_runs(match_runs(nothing, old))
    assert (row.verdict, row.missing) == ("not measured", 4)
    assert math.isnan(row.p_value)
    gate = Gate(id="g", metric="acc", versus="incumbent", comparator="superiority", margin=0.0)
    measured = to_measurements([row], match_runs(nothing, old))[0]
    assert judge_gate(gate, measured).verdict is Verdict.NOT_MEASURED


def test_one_item_has_no_clustered_interval():
    (row,) = compare_runs(match_runs(make_run("n", [0.7]), make_run("o", [0.5])))
    assert not row.difference.has_interval
    assert (row.p_value, row.verdict) == (1.0, "undecided")


def test_prompts_that_differ_raise_are_dropped_or_kept():
    new, old = make_run("n", [1.0, 0.0, 1.0]), make_run("o", [0.0, 0.0, 1.0])
    items = (*old.items[:2], ImportedItem(task="t", item="2", prompt_hash="other", scores={"acc": 1.0}))
    other = ImportedRun(name="o", tool="x", items=items)
    with pytest.raises(EvaluationError, match="1 of 3 shared items were shown with different prompts: t/2"):
        match_runs(new, other)
    dropped = match_runs(new, other, mismatched="drop")
    assert (len(dropped.pairs), dropped.mismatched) == (2, 1)
    assert "left out" in dropped.notes[0]
    assert len(match_runs(new, other, mismatched="keep").pairs) == 3
    with pytest.raises(EvaluationError, match="none is left"):
        match_runs(new, make_run("o", [0.0] * 3, prompt="q"), mismatched="drop")
    with pytest.raises(ConfigError, match="expected error, drop, keep"):
        match_runs(new, other, mismatched="guess")


def test_items_of_one_run_only_are_counted():
    new, old = make_run("n", [1.0] * 30), make_run("o", [0.0] * 20)
    matched = match_runs(new, old)
    assert (matched.only_candidate, matched.only_incumbent, len(matched.pairs)) == (10, 0, 20)
    assert matched.notes == ("10 of 30 items of n have no partner and are left out",)
    with pytest.raises(EvaluationError, match="share no item: tasks t and u"):
        match_runs(new, make_run("o", [0.0], task="u"))
    with pytest.raises(EvaluationError, match="no metric in common: acc and f1"):
        compare_runs(match_runs(new, make_run("o", [0.0] * 30, metric="f1")))
    with pytest.raises(EvaluationError, match="metric 'f1' is not in both"):
        compare_runs(matched, metrics=["f1"])


def test_order_of_items_does_not_matter():
    generator = np.random.default_rng(1)
    new, old = make_run("n", generator.normal(size=50)), make_run("o", generator.normal(size=50))
    turned = ImportedRun(name="n", tool="x", items=new.items[::-1])
    assert compare_runs(match_runs(new, old)) == compare_runs(match_runs(turned, old))


def test_interval_of_paired_shares_covers():
    # 4,000 draws of 60 items; a share of .95 has a standard error of .0034. Where 2.4 items differ on
    # average the interval is wide on purpose.
    generator = np.random.default_rng(2)
    for gained, lost, most in ((0.1, 0.05, 0.97), (0.02, 0.02, 1.0), (0.3, 0.1, 0.97)):
        hits = 0
        for _ in range(4000):
            kind = generator.choice(3, 60, p=[gained, lost, 1 - gained - lost])
            found = paired_share_interval((kind == 0).astype(float), (kind == 1).astype(float))
            hits += found.low <= gained - lost <= found.high
        assert 0.94 <= hits / 4000 <= most, (gained, lost, hits / 4000)


def test_deviation_needs_two_clusters():
    assert clustered_deviation(np.array([1.0, 2.0]), Clusters.of(["a", "a"], rows=2)) is None
