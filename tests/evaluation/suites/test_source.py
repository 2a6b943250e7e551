"""Every file type read alike, and what is wrong named with its line."""

import gzip
import hashlib
import json

import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.source import read_source, require_fields


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"x": "1"}\n\n{"x": "2"}\n'),
        ("a.json", '[{"x": "1"}, {"x": "2"}]'),
        ("a.csv", "x\n1\n2\n"),
        ("a.tsv", "x\n1\n2\n"),
        ("a.CSV", "\ufeffx\r\n1\r\n2\r\n"),
    ],
)
def test_types_and_gzip_give_the_same_rows(tmp_path, name, text):
    plain, packed = tmp_path / name, tmp_path / f"{name}.gz"
    plain.write_bytes(text.encode())
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (plain, packed):
        source = read_source(path)
        assert source.rows == ({"x": "1"}, {"x": "2"})
        assert source.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"x": 1}\n{x}', "2: is not JSON"),
        ("a.jsonl", b"[1]", "expected an object, got list"),
        ("a.json", b'{"x": 1}', "expected a list of objects"),
        ("a.csv", b"x,y\n1\n", "2: has another number of cells"),
        ("a.csv", b"x,y\n", "holds no rows"),
        ("a.txt", b"x", "unknown file type"),
        ("a.jsonl.gz", b"x", "is not gzip"),
        ("a.jsonl", b"\xff\xfe", "UTF-8"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_source(path)


def test_missing_file_and_missing_field(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_source(tmp_path / "none.csv")
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"x": 1}) + "\n" + json.dumps({"x": None}))
    with pytest.raises(DataError, match="2: lacks x"):
        require_fields(read_source(path), ("x",))
