"""A plan of gates, as a TOML, YAML or JSON file holds it; its hash goes into every report.

    id       gate's name, unique in the plan
    metric   what is measured; `slice` (default "all") on which part; `versus` "incumbent" for differences
    comparator   superiority, noninferiority, absolute, budget or equivalence (`verdict.py`)
    margin   in the metric's own unit; `better` "higher" (default) or "lower"
    alpha    level, .05; `min_n` fewest rows; `severity` block (default), warn or info

Leaves out measurements and verdicts.
"""

import datetime
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from accord.domain.errors import ConfigError, MissingExtra
from accord.domain.messages import content_hash

Comparator = Literal["superiority", "noninferiority", "absolute", "budget", "equivalence"]
Severity = Literal["block", "warn", "info"]
CHOICES: Mapping[str, tuple[str, ...]] = {
    "comparator": get_args(Comparator),
    "severity": get_args(Severity),
    "versus": ("nothing", "incumbent"),
    "better": ("higher", "lower"),
}
NUMBERS = ("margin", "alpha")
YAML = (".yaml", ".yml")
DEFAULT = "default"
"""In place of a file: the plan that comes with the package."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition of a release."""

    id: str
    metric: str
    slice: str = "all"
    versus: str = "nothing"
    """"incumbent" where the number is candidate minus incumbent."""
    comparator: str
    margin: float
    better: str = "higher"
    alpha: float = 0.05
    """The interval must hold at 1 - alpha at least."""
    min_n: int = 1
    severity: str = "block"
    about: str = ""
    """One line on what it asks and of which evidence."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """Somebody answers for a gate that was not measured, until a day."""

    gate: str
    name: str
    reason: str
    expires: datetime.date
    """The last day on which it counts."""


@dataclass(frozen=True, kw_only=True)
class GatePlan:
    """What a release has to show, declared before it is measured."""

    name: str
    gates: tuple[Gate, ...]
    waivers: tuple[Waiver, ...] = field(default=())

    @property
    def hash(self) -> str:
        """Of the gates alone, whatever their order: a waiver does not make another plan."""
        return content_hash(sorted((asdict(gate) for gate in self.gates), key=lambda one: one["id"]))


def read_plan(path: str | Path) -> GatePlan:
    """A plan from a file, or the default one for "default"; raises `ConfigError` with all that is wrong."""
    source = str(path)
    try:
        if source == DEFAULT:
            text = files("accord.evaluation.gates").joinpath("default.toml").read_text(encoding="utf-8")
        else:
            text = Path(path).read_text(encoding="utf-8")
        data = _parse_text(text, source)
    except (OSError, ValueError) as error:
        raise ConfigError(source, [f"cannot be read: {error}"]) from error
    return parse_plan(data, source)


def _parse_text(text: str, source: str) -> Any:
    if source.endswith(".json"):
        return json.loads(text)
    if not source.endswith(YAML):
        return tomllib.loads(text)
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("a plan of gates in YAML", "yaml") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def parse_plan(data: Any, source: str) -> GatePlan:
    """A plan from data; all problems together."""
    problems: list[str] = []
    if not isinstance(data, Mapping):
        raise ConfigError(source, [f"is a {type(data).__name__}; expected name, gates and waivers"])
    problems += [f"{name}: not known" for name in sorted(set(data) - {"name", "gates", "waivers"})]
    gates = _parsed(data.get("gates", []), Gate, "gates", problems)
    waivers = _parsed(data.get("waivers", []), Waiver, "waivers", problems)
    ids = [gate.id for gate in gates]
    problems += [
        f"gates: {one!r} is there twice" for one in sorted({one for one in ids if ids.count(one) > 1})
    ]
    if not gates and not problems:
        problems.append("gates: there are none; a plan without gates passes everything")
    known = set(ids)
    problems += [
        f"waivers: there is no gate {one.gate!r}" for one in waivers if one.gate not in known and not problems
    ]
    if problems:
        raise ConfigError(source, problems)
    return GatePlan(name=str(data.get("name", source)), gates=tuple(gates), waivers=tuple(waivers))


def _parsed(rows: Any, kind: type, place: str, problems: list[str]) -> list[Any]:
    if not isinstance(rows, list):
        problems.append(f"{place}: expected a list of tables")
        return []
    made = []
    for number, row in enumerate(rows, start=1):
        at = f"{place}[{number}]"
        if not isinstance(row, Mapping):
            problems.append(f"{at}: expected a table, got {type(row).__name__}")
            continue
        found = [f"{at}: {problem}" for problem in _problems(row, kind)]
        problems += found
        if not found:
            values = {**row}
            if isinstance(values.get("expires"), str):
                values["expires"] = datetime.date.fromisoformat(values["expires"])
            values.update({name: float(values[name]) for name in NUMBERS if name in values})
            made.append(kind(**values))
    return made


def _problems(row: Mapping[str, Any], kind: type) -> list[str]:
    known = {one.name: one for one in fields(kind)}
    needed = [name for name, one in known.items() if one.default is MISSING]
    problems = [f"{name}: not known; expected {', '.join(known)}" for name in sorted(set(row) - set(known))]
    problems += [f"{name}: is missing" for name in needed if name not in row]
    for name in sorted(set(row) & set(known)):
        problem = _problem(name, row[name])
        if problem:
            problems.append(f"{name}: {row[name]!r}; expected {problem}")
    if not problems and row.get("comparator") == "equivalence" and row["margin"] <= 0:
        problems.append(f"margin: {row['margin']!r}; expected a number above 0, half the width of the band")
    return problems


def _problem(name: str, value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if name in CHOICES:
        return "" if value in CHOICES[name] else "one of " + ", ".join(CHOICES[name])
    if name == "margin":
        return "" if is_number else "a number"
    if name == "alpha":
        return "" if is_number and 0 < value < 1 else "a number between 0 and 1"
    if name == "min_n":
        return "" if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else "1 or more"
    if name == "expires":
        return "" if _is_date(value) else "a date such as 2027-01-31"
    return "" if isinstance(value, str) and (value or name == "about") else "a text"


def _is_date(value: Any) -> bool:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return True
    try:
        datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True
