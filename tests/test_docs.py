"""Documentation that cannot lie: reference pages are fresh, links lead somewhere, the tutorial runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from accord.cli.reference import PAGES as GENERATED

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
REFERENCE = ("cli.md", "configuration.md", "metrics.md")

every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_page_is_fresh(name: str):
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == GENERATED[name](), "stale: run `make docs`"


def test_every_reference_page_is_generated():
    assert set(GENERATED) == set(REFERENCE)


@every_page
def test_links_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_every_equation_names_a_file_and_a_test_that_exist():
    rows = [
        line
        for line in (DOCS / "algorithms.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    for row in rows:
        paths = re.findall(r"`((?:src|tests)/[^`:]+)(?:::(\w+))?`", row)
        for path, name in paths:
            assert (ROOT / path).is_file(), f"{path} is named in {row}"
            if name:
                assert re.search(rf"^(def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE), (
                    path,
                    name,
                )


def test_traps_page_and_trap_tests_agree():
    tested = {
        int(number)
        for file in (ROOT / "tests").rglob("test_*.py")
        for number in re.findall(r"def test_trap_(\d+)_", file.read_text(encoding="utf-8"))
    }
    listed = {
        int(number) for number in re.findall(r"^\| (\d+) \|", (DOCS / "traps.md").read_text(), re.MULTILINE)
    }
    assert tested == listed


def test_readme_tree_names_rooms_that_exist():
    tree = code_blocks((ROOT / "README.md").read_text(encoding="utf-8"), "text")[0]
    rooms = set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE))
    assert rooms == {
        folder.name for folder in (ROOT / "src" / "accord").iterdir() if (folder / "__init__.py").exists()
    }


@pytest.mark.slow
def test_tutorial_runs(tmp_path: Path):
    # In a process of its own: it writes beside itself and reads like a script.
    script = "\n".join(code_blocks((DOCS / "tutorial.md").read_text(encoding="utf-8"), "python"))
    (tmp_path / "tutorial.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "tutorial.py"],
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
