"""Provenance: the commit, the packages, the machine and the data of a run."""

import hashlib
import subprocess
from pathlib import Path

import pytest

import accord
from accord.domain.errors import DataError
from accord.pipeline.provenance import code_version, collect_provenance, package_versions


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "__init__.py").write_text("first\n")
    git(tmp_path, "add", "__init__.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_clean_checkout_gives_its_commit(checkout: Path):
    version = code_version(checkout)
    assert version.commit == git(checkout, "rev-parse", "HEAD")
    assert not version.is_dirty
    assert str(version) == f"{accord.__version__} ({version.commit[:10]})"


def test_changed_file_makes_the_checkout_dirty(checkout: Path):
    (checkout / "__init__.py").write_text("second\n")
    assert code_version(checkout).is_dirty


def test_package_inside_a_foreign_checkout_has_no_commit(checkout: Path):
    # site-packages below somebody's own repository: their commit says nothing about our code.
    installed = checkout / "venv" / "accord"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("installed\n")
    assert code_version(installed).commit is None


def test_data_is_hashed_by_content(tmp_path: Path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "one.jsonl").write_bytes(b"abc")
    provenance = collect_provenance(seed=3, inputs=[tmp_path / "rows"])
    assert provenance.data == {str(tmp_path / "rows" / "one.jsonl"): hashlib.sha256(b"abc").hexdigest()}
    assert provenance.seed == 3
    assert provenance.machine.cores >= 1


def test_missing_input_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent\.jsonl"):
        collect_provenance(seed=0, inputs=[tmp_path / "absent.jsonl"])


def test_absent_packages_are_left_out():
    versions = package_versions(("numpy", "no-such-package-here"))
    assert list(versions) == ["numpy"]
