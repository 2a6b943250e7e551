"""Zips read in memory: three ways of packing, and everything that is refused."""

import json
import zipfile

import pytest

from accord.domain.errors import DataError
from accord.evaluation.imports.log_file import ReadLimits, read_log
from accord.evaluation.imports.zip_file import ZipEntries


def test_zstandard_entries_are_unpacked_and_checked(tmp_path, logs):
    content = json.dumps({"text": "again and " * 500}).encode()
    log = read_log(logs.write_zstandard(tmp_path / "a.eval", {"a.json": content, "b.json": b"[1]"}))
    assert ZipEntries(log).json("a.json") == json.loads(content)
    assert list(ZipEntries(log).matching("b")) == [[1]]
    with pytest.raises(DataError, match="unpacks to"):
        ZipEntries(log, ReadLimits(entry_bytes=100)).json("a.json")
    raw = (tmp_path / "a.eval").read_bytes()
    place = raw.index(b"a.json") + 6 + 20
    (tmp_path / "a.eval").write_bytes(raw[:place] + bytes([raw[place] ^ 255]) + raw[place + 1 :])
    with pytest.raises(DataError, match="is broken"):
        ZipEntries(read_log(tmp_path / "a.eval")).json("a.json")


def test_a_zip_that_was_cut_off_is_told(tmp_path, logs):
    path = logs.write_eval(tmp_path / "a.eval", logs.inspect_log([logs.inspect_sample(1, "C")]))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"a\.eval: is a broken or cut off zip"):
        ZipEntries(read_log(path))


def test_bombs_are_refused(tmp_path):
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.json", json.dumps("0" * 90_000))
    assert path.stat().st_size < 2000
    log = read_log(path)
    with pytest.raises(DataError, match="unpacks to 90,002 bytes or more and only 50,000 are allowed"):
        ZipEntries(log, ReadLimits(entry_bytes=50_000)).json("0.json")
    entries = ZipEntries(log, ReadLimits(total_bytes=200_000))
    with pytest.raises(DataError, match=r"'2\.json' unpacks"):  # 2 x 90,002 are in, 19,996 are left
        list(entries.matching(""))
    with pytest.raises(DataError, match="5 entries, more than 3"):
        ZipEntries(log, ReadLimits(entries=3))


def test_a_claimed_size_is_not_believed(tmp_path):
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps("0" * 90_000))
    size = (90_002).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(DataError, match=r"is broken|is cut off"):
        ZipEntries(read_log(path), ReadLimits(entry_bytes=1000)).json("a.json")


@pytest.mark.parametrize("bit", [5, 6])  # patched data, and strong encryption that does not say bit 0
def test_features_that_nobody_reads_are_refused(tmp_path, bit):
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", "[1]")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1 << bit
    path.write_bytes(bytes(raw))
    with pytest.raises(DataError, match=r"'a\.json' is broken: .*flag bit"):
        ZipEntries(read_log(path)).json("a.json")


def test_a_zip_of_a_later_version_is_refused(tmp_path):
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", "[1]")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(bytes(raw))
    with pytest.raises(DataError, match=r"broken or cut off zip \(zip file version 9\.9\)"):
        ZipEntries(read_log(path))


def test_other_packings_are_refused(tmp_path):
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.json", "[1]")
    with pytest.raises(DataError, match="packed by method 14"):
        ZipEntries(read_log(path)).json("a.json")
