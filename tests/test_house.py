"""The rules of the house, as tests: cheap, and they catch drift."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from accord.cli.reference import all_modules, config_classes, field_docs, file_roots, walk_commands
from accord.domain.errors import AccordError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "accord"
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(file.relative_to(SOURCE)) for file in FILES]
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}

MODULE_LINES = 600
FUNCTION_LINES = 80
TEMPLATE_LINES = 150
SCRIPT_LINES = 250
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "new", "fast", "v2"}

every_file = pytest.mark.parametrize("file", FILES, ids=NAMES)


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.slow
def test_every_module_imports_by_itself():
    # A child forked from an interpreter without our modules imports one of them: a cycle or a missing
    # import shows whatever others were loaded before. What they need from outside is loaded once.
    script = (
        "import contextlib, importlib, os, sys\n"
        "for name in sys.argv[1:]:\n"
        "    with contextlib.suppress(Exception):\n"
        "        importlib.import_module(name)\n"
        "for name in [name for name in sys.modules if name.partition('.')[0] == 'accord']:\n"
        "    del sys.modules[name]\n"
        "failed = []\n"
        "for name in sys.argv[1:]:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        try:\n"
        "            importlib.import_module(name)\n"
        "        except Exception as error:\n"
        "            print(f'{name}: {error!r}', file=sys.stderr, flush=True)\n"
        "            os._exit(1)\n"
        "        os._exit(0)\n"
        "    if os.waitpid(child, 0)[1] != 0:\n"
        "        failed.append(name)\n"
        "print(' '.join(failed))\n"
    )
    modules = [module_name(file) for file in FILES if file.stem != "__main__"]
    done = subprocess.run(
        [sys.executable, "-c", script, *modules], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [], done.stderr


@every_file
def test_module_says_what_it_is_for(file: Path):
    assert ast.get_docstring(TREES[file]), "no module docstring"


@every_file
def test_module_keeps_its_size(file: Path):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES
    long = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(TREES[file])}
    assert {name: size for name, size in long.items() if size > FUNCTION_LINES} == {}


def test_templates_and_scripts_keep_their_size():
    limits = {".html": TEMPLATE_LINES, ".js": SCRIPT_LINES}
    sizes = {
        str(file.relative_to(SOURCE)): (
            len(file.read_text(encoding="utf-8").splitlines()),
            limits[file.suffix],
        )
        for file in SOURCE.rglob("*")
        if file.suffix in limits
    }
    assert {name: size for name, (size, limit) in sizes.items() if size > limit} == {}


@every_file
def test_name_says_something(file: Path):
    words = {word for part in file.relative_to(SOURCE).with_suffix("").parts for word in part.split("_")}
    assert words & EMPTY_WORDS == set()


@every_file
def test_no_postponed_annotations(file: Path):
    imported = {node.module for node in ast.walk(TREES[file]) if isinstance(node, ast.ImportFrom)}
    assert "__future__" not in imported, "shape checks need real annotations"


@every_file
def test_only_render_prints(file: Path):
    if file == SOURCE / "cli" / "render.py":
        return
    calls = [node.func for node in ast.walk(TREES[file]) if isinstance(node, ast.Call)]
    names = {ast.unparse(call) for call in calls}
    assert names & {"print", "sys.stdout.write", "sys.stderr.write", "typer.echo", "Console"} == set()


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=module_name)
def test_package_exports_a_sorted_whole_list(file: Path):
    tree = TREES[file]
    allowed = (ast.ImportFrom, ast.Import, ast.Assign, ast.Expr)
    assert all(isinstance(node, allowed) for node in tree.body), "a package exports and does nothing else"
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    exported = getattr(importlib.import_module(module_name(file)), "__all__", [])
    assert set(exported) == imported
    assert exported == sorted(exported, key=_ruff_order)


def _ruff_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as the linter sorts `__all__`."""
    kind = 0 if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, name


@pytest.fixture(scope="module")
def modules() -> list[ModuleType]:
    return all_modules()


def test_every_exception_has_the_one_root(modules: list[ModuleType]):
    strays = {
        f"{module.__name__}.{name}"
        for module in modules
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and issubclass(kind, BaseException)
        and kind.__module__ == module.__name__
        and not issubclass(kind, AccordError)
    }
    assert strays == set()


def test_every_config_is_frozen_and_each_field_explained(modules: list[ModuleType]):
    kinds = [*config_classes(), *file_roots().values()]
    assert len(kinds) >= 5
    for kind in kinds:
        fields = set(kind.__dataclass_fields__)
        assert kind.__dataclass_params__.frozen, kind
        assert all(field.kw_only for field in kind.__dataclass_fields__.values()), kind
        assert fields - set(field_docs(kind)) == set(), f"{kind.__name__}: fields without a docstring"


def test_every_command_and_option_has_help():
    for path, command in walk_commands():
        assert command.help, f"{path} has no help"
        silent = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
        assert silent == [], f"{path}: without help"


def test_every_command_and_option_is_on_the_reference_page():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for path, command in walk_commands():
        _, heading, after = page.partition(f"## {path}\n")
        assert heading, f"{path} is not on the page"
        section = after.partition("\n## ")[0]
        names = [parameter.opts[0] for parameter in command.params if parameter.param_type_name == "option"]
        assert [name for name in names if name not in section] == [], path


def loaded_by(module: str, packages: tuple[str, ...]) -> str:
    script = f"import sys, {module}\nprint([name for name in {packages} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("room", ["domain", "store", "quality"])
def test_people_wing_stays_without_torch(room: str):
    assert loaded_by(f"accord.{room}", ("torch", "transformers")) == "[]"


def test_front_door_opens_without_torch():
    assert loaded_by("accord.cli.main", ("torch", "transformers", "pyarrow")) == "[]"


def test_tests_mirror_the_package():
    rooms = {folder.name for folder in SOURCE.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
    strays = {
        str(folder.relative_to(ROOT))
        for folder in (ROOT / "tests").iterdir()
        if folder.is_dir() and folder.name not in rooms | {"__pycache__", "golden", "system", "browser", "js"}
    }
    assert strays == set()
