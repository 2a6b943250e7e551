"""Artifacts are named by their content, stored once, and checked."""

import hashlib

import pytest

from accord.domain import WorkspaceError
from accord.store import ArtifactRef, ArtifactStore, hash_file, hash_folder


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "model"
    (source / "inner").mkdir(parents=True)
    (source / "b.txt").write_bytes(b"two")
    (source / "inner" / "a.txt").write_bytes(b"one")
    return source


def test_a_file_is_named_by_the_sha256_of_its_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    # FIPS 180-2, example B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(path) == expected
    assert str(ArtifactStore(tmp_path / "store").put_file(path)) == f"file:{expected}"


def test_a_folder_is_named_by_the_list_of_its_files(folder):
    one, two = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()
    listing = f"{two}  b.txt\n{one}  inner/a.txt\n"
    assert hash_folder(folder) == hashlib.sha256(listing.encode()).hexdigest()


def test_a_renamed_or_changed_file_changes_the_folder_and_an_empty_folder_does_not(folder):
    before = hash_folder(folder)
    (folder / "empty").mkdir()
    assert hash_folder(folder) == before
    (folder / "b.txt").rename(folder / "c.txt")
    assert hash_folder(folder) != before
    (folder / "c.txt").rename(folder / "b.txt")
    (folder / "b.txt").write_bytes(b"twO")
    assert hash_folder(folder) != before


def test_what_is_put_can_be_got_under_its_name_and_survives_the_original(tmp_path, folder):
    store = ArtifactStore(tmp_path / "store")
    file_ref, folder_ref = store.put_file(folder / "b.txt"), store.put_folder(folder)
    (folder / "b.txt").write_bytes(b"changed")
    assert store.get(file_ref).name == "b.txt"
    assert store.get(str(file_ref)).read_bytes() == b"two"
    assert (store.get(folder_ref) / "inner" / "a.txt").read_bytes() == b"one"
    assert set(store) == {file_ref, folder_ref}


def test_putting_the_same_content_again_changes_nothing(tmp_path, folder):
    store = ArtifactStore(tmp_path / "store")
    first = store.put_folder(folder)
    times = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    assert store.put_folder(folder) == first
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == times


def test_verify_finds_what_was_changed_below_the_root(tmp_path, folder):
    store = ArtifactStore(tmp_path / "store")
    file_ref, folder_ref = store.put_file(folder / "b.txt"), store.put_folder(folder)
    assert store.verify() == []
    (store.get(folder_ref) / "extra").write_bytes(b"")
    store.get(file_ref).write_bytes(b"x")
    assert store.verify() == [file_ref, folder_ref]


def test_missing_things_and_false_references_are_clear_errors(tmp_path):
    store = ArtifactStore(tmp_path / "store")
    absent = ArtifactRef("file", "0" * 64)
    assert absent not in store
    with pytest.raises(WorkspaceError, match="is not in"):
        store.get(absent)
    with pytest.raises(WorkspaceError, match="'file:12' is no artifact reference"):
        store.get("file:12")
    with pytest.raises(WorkspaceError, match="there is no such file"):
        store.put_file(tmp_path / "none")
    with pytest.raises(WorkspaceError, match="there is no such folder"):
        store.put_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkspaceError, match="holds no files"):
        store.put_folder(tmp_path / "empty")
