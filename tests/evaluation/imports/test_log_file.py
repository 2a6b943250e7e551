"""Log files read within bounds; broken ones are named with their line."""

import gzip
import json
import pickle  # noqa: TID251  # to write what must be refused

import pytest

from accord.domain.errors import DataError
from accord.evaluation.imports.log_file import ReadLimits, read_log


def test_kinds_are_told_by_content(tmp_path, logs):
    assert read_log(logs.write_lines(tmp_path / "a.txt", [{"a": 1}, {"b": 2}])).kind == "rows"
    assert read_log(logs.write_lines(tmp_path / "a.jsonl", [{"a": 1}])).rows == ((1, {"a": 1}),)
    assert read_log(logs.write_json(tmp_path / "a.json", {"a": [1]})).value == {"a": [1]}
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert read_log(tmp_path / "a.csv").rows == ((2, {"x": "1", "y": "2"}),)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert read_log(tmp_path / "a.jsonl.gz").rows == ((1, {"a": 1}),)


def test_a_broken_line_is_named(tmp_path):
    lines = [json.dumps({"doc_id": number}) for number in range(50)]
    lines[36] = '{"doc_id": nonsense}'
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"a\.jsonl:37: is not JSON") as caught:
        read_log(tmp_path / "a.jsonl")
    assert caught.value.line == 37
    lines[36] = '["a", "list"]'
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=":37: expected an object, got list"):
        read_log(tmp_path / "a.jsonl")


def test_a_file_that_was_cut_off_is_told(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a": "thr')
    with pytest.raises(DataError, match=":3: is cut off"):
        read_log(tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_text('{"results": {"a": ')
    with pytest.raises(DataError, match="is cut off"):
        read_log(tmp_path / "a.json")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 5000)[:-9])
    with pytest.raises(DataError, match="cut off gzip"):
        read_log(tmp_path / "a.gz")


def test_what_is_too_large_is_refused(tmp_path):
    limits = ReadLimits(file_bytes=1000)
    (tmp_path / "a.json").write_text("[" + "1," * 1000 + "1]")
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        read_log(tmp_path / "a.json", limits)
    # 23 KB of zeros in 60 bytes: a bomb is stopped while it is unpacked
    bomb = gzip.compress(b"0" * 23_000)
    assert len(bomb) < 1000
    (tmp_path / "a.gz").write_bytes(bomb)
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        read_log(tmp_path / "a.gz", limits)
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="nested too deeply"):
        read_log(tmp_path / "deep.json")


def test_pickles_folders_and_nothing_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "a.eval").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="pickle"):
        read_log(tmp_path / "a.eval")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(DataError, match="is no file"):
        read_log(tmp_path)
    with pytest.raises(DataError, match="is not there"):
        read_log(tmp_path / "b.json")
    (tmp_path / "e.json").write_text(" \n")
    with pytest.raises(DataError, match="is empty"):
        read_log(tmp_path / "e.json")
    (tmp_path / "e.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="no rows"):
        read_log(tmp_path / "e.csv")
    (tmp_path / "e.json").write_bytes(b"\xff\xfe\x00nonsense")
    with pytest.raises(DataError, match="neither text"):
        read_log(tmp_path / "e.json")


def test_an_entry_that_is_no_object_is_told_and_not_left_out(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1}, {"a": 2}]')
    assert read_log(path).records() == [(1, {"a": 1}), (2, {"a": 2})]
    path.write_text('[{"a": 1}, 7]')
    with pytest.raises(DataError, match="entry 2 is 7; expected an object"):
        read_log(path).records()


def test_lists_of_numbers_are_read_from_json_and_from_csv(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('a,b,c,d\n"[1, 2.5]",,[true],"[1e999]"\n')
    log = read_log(path)
    ((line, row),) = log.records()
    assert log.numbers(line, row, "a") == (1.0, 2.5)
    assert log.numbers(line, row, "b") == log.numbers(line, row, "none") == ()
    for name in ("c", "d"):
        with pytest.raises(DataError, match=f"{name} is .*; expected a list of finite numbers"):
            log.numbers(line, row, name)
