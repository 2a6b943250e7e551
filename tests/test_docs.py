"""Documentation that cannot lie: reference pages are fresh, links lead somewhere, the tutorial runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from accord.cli.reference import PAGES as GENERATED
from accord.domain import Preference, Prompt
from accord.store import write_records

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
REFERENCE = ("cli.md", "configuration.md", "metrics.md", "openapi.json")

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


@pytest.mark.parametrize("name", ["algorithms.md", "traps.md"])
def test_every_file_and_test_that_is_named_exists(name: str):
    named = re.findall(r"`((?:src|tests)/[^`:]+)(?:::(\w+))?`", (DOCS / name).read_text(encoding="utf-8"))
    assert named
    for path, test in named:
        assert (ROOT / path).is_file(), path
        if test:
            assert re.search(rf"^def {test}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), test


def test_traps_page_and_trap_tests_agree():
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    by_name = set(re.findall(r"^def test_trap_(\d+)_", tests, re.MULTILINE))
    rows = dict(
        re.findall(r"^\| (\d+) \|(.*)$", (DOCS / "traps.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert by_name - set(rows) == set(), "tests whose trap is not on the page"
    assert {number for number in set(rows) - by_name if "::" not in rows[number]} == set(), (
        "traps without a test"
    )


def test_readme_tree_names_rooms_that_exist():
    tree = code_blocks((ROOT / "README.md").read_text(encoding="utf-8"), "text")[0]
    rooms = set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE))
    assert rooms == {
        folder.name for folder in (ROOT / "src" / "accord").iterdir() if (folder / "__init__.py").exists()
    }


def run_script(script: str, folder: Path) -> str:
    """In a process of its own, with warnings as errors; it writes beside itself, as a reader's would."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_tutorial_runs(tmp_path: Path):
    script = "\n".join(code_blocks((DOCS / "tutorial.md").read_text(encoding="utf-8"), "python"))
    assert "win rate" in run_script(script, tmp_path)


@pytest.mark.slow
def test_ten_lines_of_the_readme_train_a_reward_model(tmp_path: Path):
    (script,) = code_blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")
    assert len([line for line in script.splitlines() if line]) <= 10
    prompts = [Prompt.from_text(f"Greet guest {number}.") for number in range(40)]
    pairs = [Preference(prompt=prompt, chosen="Hello.", rejected="Go away.") for prompt in prompts]
    write_records(tmp_path / "preferences.jsonl", pairs)
    printed = run_script(script.replace('"smollm2"', '"tiny"'), tmp_path)
    assert 0.0 <= float(printed.split()[-1]) <= 1.0
