"""A content-addressed store of files and folders: the same content has the same reference everywhere."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from accord.domain import WorkspaceError
from accord.domain.files import atomic_folder

LABEL = "artifact.json"
CONTENT = "content"
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """Names an artifact by its content."""

    kind: Literal["file", "folder"]
    digest: str
    """SHA-256 in hex: of the bytes of a file, or of the sorted list of a folder's files."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "ArtifactRef":
        """The reference that `str` wrote."""
        kind, _, digest = text.partition(":")
        is_hex = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        if kind not in ("file", "folder") or not is_hex:
            raise WorkspaceError(
                f"{text!r} is no artifact reference; expected file: or folder: and 64 hex digits"
            )
        return cls("file" if kind == "file" else "folder", digest)


class ArtifactStore:
    """Files and folders under one root, each stored once, whole, and never changed.

    Layout: `<root>/<kind>/<first two digits>/<digest>/content` beside `artifact.json`.
    Does not guard against a user who edits files below the root; `verify` finds that.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def put_file(self, path: str | Path) -> ArtifactRef:
        """Store a copy of a file; storing the same content again changes nothing."""
        source = Path(path)
        if not source.is_file():
            raise WorkspaceError(f"cannot store {source}: there is no such file")
        ref = ArtifactRef("file", hash_file(source))
        if ref not in self:
            with atomic_folder(self._home(ref)) as home:
                (home / CONTENT).mkdir()
                copied = _copy(source, home / CONTENT / source.name)
                _check_unchanged(source, ref.digest, copied)
                _write_label(home, source.name, ref)
        return ref

    def put_folder(self, path: str | Path) -> ArtifactRef:
        """Store a copy of every file below a folder; links are followed, empty folders left out."""
        source = Path(path)
        if not source.is_dir():
            raise WorkspaceError(f"cannot store {source}: there is no such folder")
        if next(_files_below(source), None) is None:
            raise WorkspaceError(f"cannot store {source}: the folder holds no files")
        ref = ArtifactRef("folder", hash_folder(source))
        if ref not in self:
            with atomic_folder(self._home(ref)) as home:
                for file in _files_below(source):
                    copy = home / CONTENT / file.relative_to(source)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    _copy(file, copy)
                _check_unchanged(source, ref.digest, hash_folder(home / CONTENT))
                _write_label(home, source.name, ref)
        return ref

    def get(self, ref: ArtifactRef | str) -> Path:
        """Where the stored file or folder lies. Read it; do not write there."""
        ref = ArtifactRef.parse(ref) if isinstance(ref, str) else ref
        if ref not in self:
            raise WorkspaceError(f"artifact {ref} is not in {self.root}; run the stage that makes it again")
        content = self._home(ref) / CONTENT
        return content if ref.kind == "folder" else next(content.iterdir())

    def verify(self) -> list[ArtifactRef]:
        """The artifacts whose content no longer has the digest it is stored under; empty when all is well."""
        return [ref for ref in self if self._digest(ref) != ref.digest]

    def __contains__(self, ref: object) -> bool:
        return isinstance(ref, ArtifactRef) and (self._home(ref) / LABEL).is_file()

    def __iter__(self) -> Iterator[ArtifactRef]:
        for kind in ("file", "folder"):
            for label in sorted((self.root / kind).glob(f"??/*/{LABEL}")):
                yield ArtifactRef.parse(f"{kind}:{label.parent.name}")

    def _home(self, ref: ArtifactRef) -> Path:
        return self.root / ref.kind / ref.digest[:2] / ref.digest

    def _digest(self, ref: ArtifactRef) -> str:
        content = self._home(ref) / CONTENT
        if ref.kind == "folder":
            return hash_folder(content)
        files = list(_files_below(content))
        return hash_file(files[0]) if len(files) == 1 else ""


def hash_file(path: str | Path) -> str:
    """SHA-256 of the bytes, as `sha256sum` prints it."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_folder(path: str | Path) -> str:
    """SHA-256 over "digest, two spaces, relative path" of every file, one a line, sorted by path.

    Times, permissions and empty folders do not count.
    """
    folder = Path(path)
    lines = [f"{hash_file(file)}  {file.relative_to(folder).as_posix()}\n" for file in _files_below(folder)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _files_below(folder: Path) -> Iterator[Path]:
    files = (file for file in folder.rglob("*") if file.is_file())
    yield from sorted(files, key=lambda file: file.relative_to(folder).as_posix())


def _copy(source: Path, target: Path) -> str:
    """Copy and hash in one pass: the digest of what was really written."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK):
            digest.update(block)
            writer.write(block)
    shutil.copymode(source, target)
    return digest.hexdigest()


def _check_unchanged(source: Path, expected: str, copied: str) -> None:
    if copied != expected:
        raise WorkspaceError(
            f"{source} changed while it was being stored; store it when nothing writes to it"
        )


def _write_label(home: Path, name: str, ref: ArtifactRef) -> None:
    size = sum(file.stat().st_size for file in _files_below(home / CONTENT))
    label = {"ref": str(ref), "name": name, "size_bytes": size}
    (home / LABEL).write_text(json.dumps(label, indent=2) + "\n", encoding="utf-8")
