import numpy as np
import pytest

from accord.domain import EvaluationError, LabelColumns
from accord.quality import tabulate_labels
from accord.quality.people import LabelEvidence, Verdict, assess_annotators, gather_evidence

MINUTE = 60_000.0


def timed(crowd, seed, *, slow=False):
    """Timestamps and durations for a crowd, in the order of the table."""
    rng = np.random.default_rng(seed)
    size = crowd.table.n_labels
    return LabelEvidence(
        timestamps_ms=rng.permutation(size) * MINUTE, durations_ms=rng.lognormal(9.5, 0.5, size)
    )


def test_honest_annotators_are_kept(make_crowd, consensus):
    kept = total = 0
    for seed in range(3):
        crowd = make_crowd(seed, leniency=0.2)
        gold = dict(enumerate(crowd.truth[:60].tolist()))
        found = assess_annotators(
            crowd.table, consensus.dawid_skene(crowd.table), gold=gold, evidence=timed(crowd, seed)
        )
        kept += sum(row.verdict is Verdict.KEEP for row in found.rows)
        total += len(found.rows)
        assert not any(row.verdict is Verdict.REMOVE for row in found.rows)
    # pauses come at the promised rates: at most .05 on each of three counts, where nothing is wrong
    assert kept >= 0.9 * total


def test_spammers_with_repeats_are_removed_and_say_why(make_crowd, consensus):
    crowd = make_crowd(1, n_annotators=12, per_item=8, spammers=2)
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(12), 50)
    first = rng.integers(0, 2, 600)
    share = np.where(people >= 10, 0.5, 0.95)
    repeats = (people, first, np.where(rng.random(600) < share, first, 1 - first))
    found = assess_annotators(
        crowd.table, consensus.dawid_skene(crowd.table), evidence=LabelEvidence(repeats=repeats)
    )
    assert [row.verdict for row in found.rows[10:]] == [Verdict.REMOVE] * 2
    assert "No camp predicts his labels" in found.rows[10].reasons[0]
    assert not found.rows[10].verdict.may_work
    assert all(row.verdict is not Verdict.REMOVE for row in found.rows[:10])


def test_spammers_are_removed_by_gold_alone_but_not_by_the_crowd_alone(make_crowd, consensus):
    crowd = make_crowd(2, n_items=400, n_annotators=12, per_item=8, spammers=2)
    posterior = consensus.dawid_skene(crowd.table)
    by_crowd = assess_annotators(crowd.table, posterior)
    assert [row.verdict for row in by_crowd.rows[10:]] == [Verdict.CHECK] * 2
    by_gold = assess_annotators(crowd.table, posterior, gold=dict(enumerate(crowd.truth.tolist())))
    assert [row.verdict for row in by_gold.rows[10:]] == [Verdict.REMOVE] * 2
    assert "gold items his labels are worth" in by_gold.rows[10].reasons[0]


def test_a_biased_annotator_is_worth_keeping(make_crowd, consensus):
    crowd = make_crowd(3, n_annotators=12, per_item=10)
    values = np.asarray(crowd.columns.values).copy()
    is_liar = np.asarray(crowd.columns.annotators) == 4
    values[is_liar] = 1 - values[is_liar]
    table = tabulate_labels(
        LabelColumns(items=crowd.columns.items, annotators=crowd.columns.annotators, values=values)
    )
    gold = dict(enumerate(crowd.truth.tolist()))
    liar = assess_annotators(table, consensus.dawid_skene(table), gold=gold).rows[4]
    assert liar.gold.accuracy.high < 0.4
    assert liar.value.value.low > 0.05
    assert liar.value.correctable_cost > 0.3
    assert liar.verdict is Verdict.KEEP
    assert "read through his habits" in liar.reasons[0]


def test_a_minority_with_a_system_is_kept_whole(make_crowd, consensus):
    crowd = make_crowd(1, n_annotators=30, per_item=14, minority=10, leniency=0.2)
    found = assess_annotators(crowd.table, consensus.dawid_skene(crowd.table), seed=1)
    assert found.camps.n_camps == 2
    assert all(row.verdict.may_work for row in found.rows[:10])
    assert sum("differs with a system" in " ".join(row.reasons) for row in found.rows[:10]) >= 8


def test_a_fall_and_a_rush_pause_an_annotator(make_crowd, consensus):
    crowd = make_crowd(4, n_items=300, per_item=10, n_annotators=15, hard=0.3)
    evidence = timed(crowd, 4)
    mine = np.flatnonzero(crowd.table.annotator_index == 3)
    late = mine[np.argsort(evidence.timestamps_ms[mine])][len(mine) // 2 :]
    columns = crowd.table.class_index.copy()
    columns[late] = np.random.default_rng(0).integers(0, 2, len(late))
    durations = evidence.durations_ms.copy()
    durations[late] = 300.0
    table = tabulate_labels(
        LabelColumns(
            items=crowd.table.item_index,
            annotators=crowd.table.annotator_index,
            values=columns,
            timestamps_ms=evidence.timestamps_ms,
            durations_ms=durations,
        )
    )
    again = LabelEvidence(timestamps_ms=evidence.timestamps_ms, durations_ms=durations)
    row = assess_annotators(table, consensus.dawid_skene(table), evidence=again).rows[3]
    assert row.verdict is Verdict.PAUSE
    sentences = " ".join(row.reasons)
    assert "Expected correctness fell" in sentences
    assert "faster than the text can be read" in sentences or "of the time it took before" in sentences


def test_copies_are_paused(make_crowd, consensus):
    crowd = make_crowd(0, copies=1, n_items=600, per_item=12, hard=1.5, n_classes=3)
    found = assess_annotators(crowd.table, consensus.dawid_skene(crowd.table))
    assert [row.verdict for row in found.rows[:2]] == [Verdict.PAUSE] * 2
    assert "Shares more errors with 1 " in " ".join(found.rows[0].reasons)


def test_too_few_labels_are_said_to_be_too_few():
    columns = LabelColumns(items=[0, 0, 1], annotators=["a", "b", "a"], values=["x", "y", "x"])
    table = tabulate_labels(columns)
    found = assess_annotators(table, table.counts / table.counts.sum(axis=1, keepdims=True))
    assert [row.verdict for row in found.rows] == [Verdict.CHECK] * 2
    assert found.rows[1].reasons == ("1 labels; a verdict needs 20.",)


def test_the_evidence_follows_the_rows_of_the_table():
    columns = LabelColumns(
        items=["i2", "i1", "i2"],
        annotators=["a", "a", "a"],
        values=["x", "y", "y"],
        timestamps_ms=[30.0, 10.0, 50.0],
        durations_ms=[3.0, None, 5.0],
    )
    table = tabulate_labels(columns, repeats="first")
    evidence = gather_evidence(table, columns)
    assert evidence.timestamps_ms.tolist() == [10.0, 30.0]
    assert np.isnan(evidence.durations_ms[0])
    people, first, second = evidence.repeats
    assert (people.tolist(), first.tolist(), second.tolist()) == ([0], ["x"], ["y"])


def test_evidence_of_another_length_raises(make_crowd, consensus):
    crowd = make_crowd(0)
    with pytest.raises(EvaluationError, match="timestamps_ms has 1 entries"):
        assess_annotators(
            crowd.table,
            consensus.vote(crowd.table),
            evidence=LabelEvidence(timestamps_ms=np.zeros(1)),
        )


@pytest.mark.data
def test_ducks_warn_that_the_consensus_may_be_wrong(read_crowd, consensus):
    crowd = read_crowd("crowd_ducks")
    found = assess_annotators(crowd.table, consensus.dawid_skene(crowd.table), gold=crowd.gold)
    assert any("the consensus may be wrong" in warning for warning in found.warnings)
    right = [row for row in found.rows if row.gold.accuracy.low is not None and row.gold.accuracy.low > 0.8]
    assert len(right) >= 5
    assert all(row.verdict is not Verdict.REMOVE for row in right)


@pytest.mark.data
def test_doubtful_gold_is_held_against_nobody(read_crowd, consensus):
    crowd = read_crowd("crowd_hitspam")
    found = assess_annotators(crowd.table, consensus.dawid_skene(crowd.table), gold=crowd.gold)
    assert "34 of 100 gold items are doubtful" in found.warnings[0]
    assert not any(row.verdict is Verdict.REMOVE for row in found.rows)
