"""An extra installs all that it is for; the environment of the tests has more, and would hide a gap."""

import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import grimp
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LEFT_TO_THE_USER = {"datasets", "vllm", "wandb", "yaml"}
"""Reached only by settings that ask for them, and named by a clear error where they are not installed."""


def installed_by(extra: str) -> set[str]:
    """Every distribution that `pip install accord[extra]` brings, with what each of them needs."""
    found: set[str] = set()
    own = [*PROJECT["dependencies"], f"accord[{extra}]"]
    waiting = [(Requirement(text), "") for text in own]
    while waiting:
        requirement, asked_with = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": asked_with}):
            continue
        name = canonicalize_name(requirement.name)
        if name == "accord":
            inner = [text for one in requirement.extras for text in PROJECT["optional-dependencies"][one]]
            waiting += [(Requirement(text), "") for text in inner]
        elif name not in found:
            found.add(name)
            for with_extra in ("", *requirement.extras):
                waiting += [(Requirement(text), with_extra) for text in requires(name) or []]
    return found


def test_quickstart_brings_every_package_it_reaches():
    graph = grimp.build_graph("accord", include_external_packages=True)
    reached = {
        name
        for name in graph.find_upstream_modules("accord.cli.quickstart")
        if not name.startswith("accord") and name not in sys.stdlib_module_names
    }
    owners = packages_distributions()
    brought = installed_by("quickstart")
    missing = {
        name
        for name in reached - LEFT_TO_THE_USER
        if not any(canonicalize_name(one) in brought for one in owners.get(name, []))
    }
    assert {"torch", "fastapi", "sqlalchemy"} <= reached
    assert missing == set()
