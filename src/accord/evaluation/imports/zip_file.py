"""Entries of a zip read within bounds, in memory: stored, deflated or packed with Zstandard.

What an entry claims of its size is not believed: reading stops at the bound. Leaves out
encrypted zips and what the entries mean.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from accord.domain.errors import DataError, MissingExtra
from accord.evaluation.imports.log_file import LogFile, ReadLimits, parse_json

ZSTANDARD = 93
"""Compression method of a zip (APPNOTE 4.4.5), which Python's own module reads from 3.14 on."""
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, ZSTANDARD)
IS_ENCRYPTED = 0x1
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error, RuntimeError)
"""What zipfile raises of bytes it cannot make out; RuntimeError where they ask for a feature it has not."""
LOCAL_HEADER = struct.Struct("<4s5H3I2H")


class ZipEntries:
    """The JSON entries of one zip; keeps count of what was unpacked."""

    def __init__(self, log: LogFile, limits: ReadLimits | None = None):
        self._log, self._limits, self._read = log, limits or ReadLimits(), 0
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(log.content))
        except BROKEN as error:
            raise log.refuse(
                f"is a broken or cut off zip ({error}); copy it again, or export it as JSON"
            ) from error
        infos = self._zip.infolist()
        if len(infos) > self._limits.entries:
            raise log.refuse(
                f"has {len(infos):,} entries, more than {self._limits.entries:,}, and is refused"
            )
        # An entry written again stands twice; the last is the valid one.
        self._infos = {info.filename: info for info in infos}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries, sorted."""
        return tuple(sorted(self._infos))

    def json(self, name: str) -> Any:
        """One entry, parsed; raises `DataError` where it is too large, broken, encrypted or no JSON."""
        content = self._content(self._infos[name])
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._log.refuse(f"entry {name!r} is not UTF-8: {error}") from error
        return parse_json(text, f"{self._log.path}:{name}")

    def matching(self, prefix: str) -> Iterator[Any]:
        """The JSON entries whose names start with `prefix`, parsed, by name."""
        for name in self.names:
            if name.startswith(prefix) and name.endswith(".json"):
                yield self.json(name)

    def _content(self, info: zipfile.ZipInfo) -> bytes:
        limit = min(self._limits.entry_bytes, self._limits.total_bytes - self._read)
        if info.compress_type not in READABLE or info.flag_bits & IS_ENCRYPTED:
            how = "encrypted" if info.flag_bits & IS_ENCRYPTED else f"packed by method {info.compress_type}"
            raise self._log.refuse(f"entry {info.filename!r} is {how}, which is not read; export it as JSON")
        if info.file_size > limit:
            raise self._too_large(info, limit)
        try:
            if info.compress_type == ZSTANDARD:
                content = self._zstandard(info, limit)
            else:
                with self._zip.open(info) as entry:
                    content = entry.read(limit + 1)
        except BROKEN as error:
            raise self._log.refuse(f"entry {info.filename!r} is broken: {error}") from error
        if len(content) > limit:
            raise self._too_large(info, limit)
        self._read += len(content)
        return content

    def _too_large(self, info: zipfile.ZipInfo, limit: int) -> DataError:
        return self._log.refuse(
            f"entry {info.filename!r} unpacks to {info.file_size:,} bytes or more and only {limit:,} are "
            "allowed; the zip is refused"
        )

    def _zstandard(self, info: zipfile.ZipInfo, limit: int) -> bytes:
        """Unpacked by pyarrow, in one stream that is not read beyond the limit."""
        try:
            import pyarrow
        except ModuleNotFoundError as error:
            raise MissingExtra("a log packed with Zstandard", "parquet") from error
        header = LOCAL_HEADER.unpack_from(self._log.content, info.header_offset)
        start = info.header_offset + LOCAL_HEADER.size + header[-2] + header[-1]
        packed = self._log.content[start : start + info.compress_size]
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd") as stream:
            content = bytes(stream.read(limit + 1))
        if len(content) <= limit and zlib.crc32(content) != info.CRC:
            raise zipfile.BadZipFile("its checksum does not fit")
        return content
