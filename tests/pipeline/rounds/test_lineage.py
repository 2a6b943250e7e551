import shutil

import pytest

from accord.domain import WorkspaceError
from accord.domain.errors import StoreError
from accord.pipeline.lineage import describe_judgment, rebuild, recall, trace_judgment, trace_model
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.workspace import Workspace
from accord.store.database import open_database, verify_chain


@pytest.fixture
def space(loop_space, tmp_path):
    """A copy of the workspace, which a test may change."""
    shutil.copytree(loop_space.root, tmp_path / "space")
    return Workspace(tmp_path / "space")


def test_a_model_is_traced_through_the_rounds_its_policy_came_from(loop_space):
    newest = trace_model(loop_space, "first/2")
    # nothing was released, so round 2 began from the fine-tuned model and round 1 is no ancestor
    assert [made.record.number for made in newest.chain] == [2]
    assert newest.judgment_ids == sorted(newest.model.judgment_ids)


def test_every_name_of_a_model_finds_the_same_one(loop_space):
    made = trace_model(loop_space, "first/2").model
    folder = str(made.run.folder / made.record.model)
    for key in ("first", folder, made.record.version, made.record.version[:8]):
        assert trace_model(loop_space, key).model.name == "first/2"


def test_an_unknown_model_names_those_there_are(loop_space):
    with pytest.raises(WorkspaceError, match="first/1, first/2"):
        trace_model(loop_space, "second/1")


def test_from_a_model_to_a_judgment_and_back_is_the_same_way(loop_space):
    trace = trace_model(loop_space, "first/1")
    one = trace.model.judgment_ids[0]
    # asked in round 1: both rounds' snapshots rest on it
    assert {made.name for made in trace_judgment(loop_space, one)} == {"first/1", "first/2"}
    only_second = set(trace_model(loop_space, "first/2").model.judgment_ids) - set(trace.judgment_ids)
    assert {made.name for made in trace_judgment(loop_space, min(only_second))} == {"first/2"}


def test_a_judgment_tells_what_was_on_screen_and_not_who_it_was(loop_space):
    made = trace_model(loop_space, "first/1").model
    origin = describe_judgment(made.run, made.judgment_ids[0])
    pair = next(
        pair
        for pair in Snapshot.read(made.run.folder / "stages/r1-agree").preferences
        if origin.id in pair.provenance.judgment_ids
    )
    assert set(origin.shown) == {pair.chosen, pair.rejected}
    assert origin.annotator.startswith("annotator-")
    assert origin.source == "simulated"
    assert not origin.is_void


def test_a_snapshot_follows_from_its_judgments_hash_for_hash(loop_space):
    run = loop_space.run("first")
    for number in (1, 2):
        kept = Snapshot.read(run.folder / f"stages/r{number}-agree")
        assert rebuild(run, number).hash == kept.hash


def test_recalling_one_annotator_rebuilds_the_snapshot_without_him_and_the_chain_verifies(space):
    run = space.run("first")
    before = Snapshot.read(run.folder / "stages/r2-agree")
    found = recall(space, run, reason="did not read", actor="lead", annotator="sim-04")
    assert found.n_new == len(found.judgment_ids) > 0
    assert [made.name for made in found.models] == ["first/1", "first/2"]
    assert found.seconds == pytest.approx(sum(made.seconds for made in found.models))
    anew = rebuild(run, 2)
    assert anew.hash != before.hash
    assert set(anew.judgment_ids) == set(before.judgment_ids) - set(found.judgment_ids)
    # the one it was trained on still follows from the store, and the kept file is as it was
    assert rebuild(run, 2, ignores_recalls=True).hash == before.hash
    assert Snapshot.read(run.folder / "stages/r2-agree").hash == before.hash
    again = recall(space, run, reason="once more", actor="lead", annotator="sim-04")
    assert again.n_new == 0
    database = open_database(run.folder / "store.db")
    try:
        verify_chain(database)
    finally:
        database.close()
    assert describe_judgment(run, found.judgment_ids[0]).void_reason == "did not read"


def test_a_dry_recall_changes_nothing(space):
    run = space.run("first")
    found = recall(space, run, reason="", actor="lead", annotator="sim-04", is_dry=True)
    assert (found.n_new, len(found.models)) == (0, 2)
    assert not describe_judgment(run, found.judgment_ids[0]).is_void


def test_a_recall_needs_a_reason_and_somebody_who_exists(space):
    run = space.run("first")
    with pytest.raises(StoreError, match="needs a reason"):
        recall(space, run, reason=" ", actor="lead", annotator="sim-04")
    with pytest.raises(StoreError, match="no annotator 'nobody'"):
        recall(space, run, reason="x", actor="lead", annotator="nobody")
    with pytest.raises(StoreError, match="no judgment 'unknown'"):
        recall(space, run, reason="x", actor="lead", judgment_ids=["unknown"])


def test_a_snapshot_that_was_changed_is_refused(space):
    path = space.run("first").folder / "stages/r1-agree/preferences.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")
    with pytest.raises(WorkspaceError, match="is not what the snapshot"):
        Snapshot.read(path.parent)
