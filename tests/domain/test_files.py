"""Files appear whole or not at all."""

import errno
from pathlib import Path

import pytest

from accord.domain import WorkspaceError
from accord.domain.files import (
    atomic_folder,
    atomic_path,
    is_disk_full,
    write_bytes_atomic,
    write_text_atomic,
)


def write_half_then_raise(path: Path, error: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise error


def fill_half_then_raise(path: Path, error: BaseException) -> None:
    with atomic_folder(path) as folder:
        (folder / "two").write_text("2")
        raise error


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_written_file_holds_the_text_and_nothing_is_left_beside_it(tmp_path):
    write_text_atomic(tmp_path / "deep" / "a.txt", "x\ny\n")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == b"x\ny\n"
    assert names(tmp_path / "deep") == ["a.txt"]


def test_a_temporary_path_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "rows.jsonl.gz") as temporary:
        assert temporary.name.endswith(".rows.jsonl.gz")
        temporary.write_bytes(b"1")


def test_a_failed_write_keeps_the_old_content(tmp_path):
    write_bytes_atomic(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError):
        write_half_then_raise(tmp_path / "a", ZeroDivisionError())
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_user_stop_leaves_nothing_half_written(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half_then_raise(tmp_path / "a", KeyboardInterrupt())
    assert names(tmp_path) == []


def test_a_full_disk_names_the_path_and_keeps_the_old_file(tmp_path):
    write_bytes_atomic(tmp_path / "a", b"old")
    with (
        pytest.raises(WorkspaceError, match=r"disk is full: .*/a was not written"),
        atomic_path(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_real_full_device_is_recognized():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left") as raised, full.open("wb", buffering=0) as stream:
        stream.write(b"x")
    assert is_disk_full(raised.value)


def test_a_full_disk_is_recognized_in_native_errors_and_causes():
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    outer = ValueError("could not save")
    outer.__cause__ = OSError(errno.EDQUOT, "quota")
    assert is_disk_full(outer)
    assert not is_disk_full(OSError(errno.ENOENT, "missing"))


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "one").write_text("1")
        (folder / "both").write_text("1")
    with atomic_folder(target) as folder:
        (folder / "both").write_text("2")
    assert names(target) == ["both"]
    assert (target / "both").read_text() == "2"
    assert names(tmp_path) == ["model"]


def test_a_failed_folder_keeps_the_old_one(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "one").write_text("1")
    with pytest.raises(ZeroDivisionError):
        fill_half_then_raise(target, ZeroDivisionError())
    assert names(target) == ["one"]
    assert names(tmp_path) == ["model"]


def test_a_file_where_a_folder_should_be_is_a_clear_error(tmp_path):
    write_bytes_atomic(tmp_path / "a", b"")
    with pytest.raises(WorkspaceError, match="Choose another output path"):
        write_text_atomic(tmp_path / "a" / "b", "x")


def test_a_folder_in_the_place_of_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(WorkspaceError, match="cannot write"):
        write_text_atomic(tmp_path / "a", "x")
