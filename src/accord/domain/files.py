"""Files and folders that appear whole or not at all; knows nothing of what is written into them."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accord.domain.errors import WorkspaceError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DISK_FULL_TEXTS = ("no space left on device", "os error 28", "disk quota exceeded", "os error 122")
"""How a full disk reads in errors of native writers (safetensors, arrow) that are not an OSError."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block succeeds.

    The temporary name keeps the suffix, since many writers choose by it. If the
    block raises, or the user stops it, the old file stays as it was and the
    temporary file is removed. A full disk raises WorkspaceError. Folders above
    `path` are made. Does not guard against two writers: the last one wins.
    """
    target = Path(path)
    temporary = _temporary_beside(target)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
    except Exception as error:
        raise _explained(error, target, temporary) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path` that replaces it when the block succeeds.

    An old folder is moved aside, then removed: a process killed between the two
    renames leaves it as `.<token>.old.<name>`, never half of either.
    """
    target = Path(path)
    temporary = _temporary_beside(target)
    aside = temporary.with_name(temporary.name.replace(".tmp.", ".old.", 1))
    try:
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        if target.exists():
            os.rename(target, aside)
        os.rename(temporary, target)
    except Exception as error:
        raise _explained(error, target, temporary) from error
    finally:
        if aside.exists() and not target.exists():
            os.rename(aside, target)
        for leftover in (temporary, aside):
            _remove(leftover)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 with `\\n` line ends; `path` holds all of it or what it held before."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content`; `path` holds all of it or what it held before."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def is_disk_full(error: BaseException) -> bool:
    """True when `error`, or what caused it, says that the disk or the quota is full."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return True
    message = str(error).lower()
    if any(text in message for text in DISK_FULL_TEXTS):
        return True
    return error.__cause__ is not None and is_disk_full(error.__cause__)


def _temporary_beside(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"cannot make the folder {target.parent} for {target.name}: {error.strerror or error}. "
            f"Choose another output path."
        ) from error
    return target.with_name(f".{secrets.token_hex(4)}.tmp.{target.name}")


def _flush(file: Path) -> None:
    """Bring the content to disk before the name points at it: a power cut cannot leave an empty file."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: Exception, target: Path, temporary: Path) -> Exception:
    """What to raise for `error`: a full or read-only disk gets a message, anything else stays as it is."""
    if is_disk_full(error):
        return WorkspaceError(
            f"the disk is full: {target} was not written, and what was there before is unchanged. "
            f"Free some space on {target.parent.resolve()} and run the same command again."
        )
    touches_target = isinstance(error, OSError) and str(error.filename) in (str(temporary), str(target))
    if touches_target and isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError):
        return WorkspaceError(f"cannot write {target}: {error.strerror}. Choose another output path.")
    return error


def _remove(leftover: Path) -> None:
    if leftover.is_dir():
        shutil.rmtree(leftover)
    else:
        leftover.unlink(missing_ok=True)
