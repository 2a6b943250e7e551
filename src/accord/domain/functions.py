"""Functions by their place, "module:function" or "file.py:function", as configs and options name them.

A file's code is run: name only files you trust. Leaves out what the functions must take and return.
"""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from accord.domain.errors import RewardError

EXPECTED = 'expected "module:function", "file.py:function", the folder of a reward model, or an address'


def load_function(spec: str | Path) -> Callable[..., Any]:
    """The function that `spec` names; raises `RewardError` with what is there instead."""
    place, colon, name = str(spec).rpartition(":")
    if not colon or not place or not name:
        raise RewardError(f"reward {str(spec)!r} is neither a folder nor a function; {EXPECTED}")
    module = _module_from_file(Path(place)) if place.endswith(".py") else _module_from_name(place)
    function = getattr(module, name, None)
    if not callable(function):
        known = sorted(
            key for key in vars(module) if callable(getattr(module, key)) and not key.startswith("_")
        )
        raise RewardError(
            f"reward {str(spec)!r}: {place} has no function {name!r}; it has {', '.join(known) or 'none'}"
        )
    return function  # type: ignore[no-any-return]


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise RewardError(f"reward file {path} does not exist; {EXPECTED}")
    spec = importlib.util.spec_from_file_location(f"accord_reward_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RewardError(f"reward file {path} failed to load: {type(error).__name__}: {error}") from error
    return module


def _module_from_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RewardError(f"reward module {name!r} cannot be imported: {error}; {EXPECTED}") from error
