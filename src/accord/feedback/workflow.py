"""The way of an item as data: stages, and ordered rules that say where an item goes from each.

    [[workflow]]
    stage = "agree"
    kind = "consensus"
    next = [{ if = { outcome = "disputed" }, to = "decide" }, { else = "complete" }]

A stage without `next` leads where one would expect: on to the one below it, disputed items to the next
adjudication, rejected ones back to the first stage, dropped ones out. Leaves out what happens in a stage.
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args, get_origin

from accord.domain.errors import ConfigError

COMPLETE = "complete"
DROP = "drop"
ENDS = (COMPLETE, DROP)
"""Where an item's way ends; no stages bear these names."""
FACTS = ("outcome", "attempt", "n_people", "agreement", "confidence", "answer")
"""What a rule may ask, beside `meta.NAME` of the item itself."""
MAX_STAGES = 50
CAUSES: Mapping[str, str] = types.MappingProxyType(
    {
        "prompt": "The prompt is underspecified",
        "style": "A matter of style or taste",
        "refusal": "A matter of refusal policy",
        "error": "An annotator's error",
        "guideline": "The guideline leaves it open",
        "unusable": "The item cannot be judged",
    }
)
"""Why people differed on an item."""
REASONS: Mapping[str, str] = types.MappingProxyType(
    {
        "wrong": "The verdict is wrong",
        "careless": "Something was overlooked",
        "guideline": "Against the guideline",
        "unclear": "The reason given does not carry it",
        "item": "The item is broken or not fit",
        "other": "Another reason",
    }
)
"""Why a judgment was not simply accepted."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Where to, if all conditions hold; without conditions always."""

    to: str
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Fact to what it must be: a value, one of a list, or `at_least` and `below` a number."""

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether every condition is met; a fact that is not known meets none."""
        return all(_fits(facts.get(name), wanted) for name, wanted in self.conditions.items())


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What all stages have."""

    kind: ClassVar[str]
    outcomes: ClassVar[tuple[str, ...]]
    name: str
    rules: tuple[Rule, ...] = ()
    """In order; the last one always holds."""


@dataclass(frozen=True, kw_only=True)
class LabelStage(Stage):
    """People judge."""

    kind = "label"
    outcomes = ("judged",)
    overlap: int = 1
    """How many."""
    skill: str | None = None
    """Only those who have it: a name, or a name with a level, `medicine:2`."""
    sample_share: float = 0.0
    """Share of the items that more people judge, for measuring agreement."""
    sample_overlap: int = 3
    """How many those."""
    sample_by: str | None = None
    """Field of `meta`: the share is kept within each of its values."""


@dataclass(frozen=True, kw_only=True)
class ConsensusStage(Stage):
    """Is what people said enough, or is one more to be asked?"""

    kind = "consensus"
    outcomes = ("agreed", "disputed", "weak")
    method: str = "share"
    """`share`: of the commonest answer; `adaptive`: by the probability of the likeliest answer."""
    agreement: float = 0.7
    """Share from which on nobody else is asked (share)."""
    epsilon: float = 0.05
    """Probability of a wrong answer that is put up with (adaptive)."""
    min_people: int = 1
    """Nothing is agreed by fewer; models count for nobody."""
    max_people: int = 3
    """Nobody further is asked."""
    skill: str | None = None
    """Whoever is asked further needs it."""


@dataclass(frozen=True, kw_only=True)
class ReviewStage(Stage):
    """Somebody reads what was said and accepts, mends or rejects it."""

    kind = "review"
    outcomes = ("accepted", "fixed", "requeued", "dropped", "passed")
    share: float = 1.0
    """Share of the items that is read; the others pass."""
    skill: str | None = None


@dataclass(frozen=True, kw_only=True)
class AdjudicationStage(Stage):
    """Somebody has the last word."""

    kind = "adjudication"
    outcomes = ("decided", "dropped")
    skill: str | None = None


@dataclass(frozen=True, kw_only=True)
class HoldStage(Stage):
    """The item waits until a lead lets it go on."""

    kind = "hold"
    outcomes = ("released",)


@dataclass(frozen=True, kw_only=True)
class WebhookStage(Stage):
    """Another server is told; the item does not wait for it."""

    kind = "webhook"
    outcomes = ("sent",)
    url: str = ""
    secret: str = "ACCORD_WEBHOOK_SECRET"
    """Environment variable, where messages are sent, with the key they are signed with."""


STAGES: Mapping[str, type[Stage]] = types.MappingProxyType(
    {
        one.kind: one
        for one in (LabelStage, ConsensusStage, ReviewStage, AdjudicationStage, HoldStage, WebhookStage)
    }
)


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """Stages in order; the first one labels."""

    stages: tuple[Stage, ...]

    @property
    def first(self) -> LabelStage:
        """Where items begin."""
        (found, *_) = (one for one in self.stages if isinstance(one, LabelStage))
        return found

    def stage(self, name: str) -> Stage | None:
        """A stage by its name; nothing where this version has none."""
        return next((one for one in self.stages if one.name == name), None)

    def after(self, stage: Stage, facts: Mapping[str, Any]) -> str:
        """The stage or end that comes next."""
        return next(rule.to for rule in stage.rules if rule.holds(facts))


def parse_workflow(data: Mapping[str, Any], source: str) -> Workflow:
    """A workflow from data as a file or the database holds it; raises `ConfigError` with all that is wrong.

    `stages` is the list; `max_overlap` and `agreement` instead of it are the short form: label, then ask on
    until people agree.
    """
    given = data.get("stages")
    if given is None:
        given = [
            {"stage": "label", "kind": "label"},
            {
                "stage": "agree", "kind": "consensus", "next": COMPLETE,
                "agreement": data.get("agreement", 0.7), "max_people": data.get("max_overlap", 1),
            },
        ]  # fmt: skip
    problems: list[str] = []
    if not isinstance(given, Sequence) or isinstance(given, str) or not 1 <= len(given) <= MAX_STAGES:
        raise ConfigError(source, [f"workflow: expected a list of 1 to {MAX_STAGES} stages"])
    stages = [made for number, one in enumerate(given) if (made := _parse_stage(one, number, problems))]
    names = [one.name for one in stages]
    problems += [
        f"workflow: stage {name!r} is there twice"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if stages and not isinstance(stages[0], LabelStage):
        problems.append(f"workflow: the first stage is a {stages[0].kind}; expected a label stage")
    if problems:
        raise ConfigError(source, problems)
    ruled = tuple(
        dataclasses.replace(stage, rules=_parse_rules(one.get("next"), stage, stages, problems))
        for one, stage in zip(given, stages, strict=True)
    )
    if problems:
        raise ConfigError(source, problems)
    return Workflow(stages=ruled)


def _parse_stage(data: Any, number: int, problems: list[str]) -> Stage | None:
    if not isinstance(data, Mapping):
        problems.append(f"workflow: stage {number + 1} is {data!r}; expected a table")
        return None
    name, kind = data.get("stage"), STAGES.get(str(data.get("kind")))
    place = f"workflow.{name}"
    if not isinstance(name, str) or not name.isidentifier() or name in ENDS or len(name) > 64:
        problems.append(f"workflow: the stage name {name!r}; expected a word other than {', '.join(ENDS)}")
        return None
    if kind is None:
        problems.append(f"{place}.kind: {data.get('kind')!r}; expected one of {', '.join(STAGES)}")
        return None
    fields = {one.name: one.type for one in dataclasses.fields(kind) if one.name not in ("name", "rules")}
    count = len(problems)
    values = {}
    for key, value in data.items():
        if key in ("stage", "kind", "next"):
            continue
        if key not in fields:
            problems.append(
                f"{place}.{key}: not known for a {kind.kind}; expected {', '.join(fields) or 'nothing'}"
            )
        elif not _is_of(value, fields[key]):
            problems.append(f"{place}.{key}: {value!r} is a {type(value).__name__}")
        else:
            values[key] = value
    stage = kind(name=name, **values) if len(problems) == count else None
    if stage is not None:
        problems += [f"{place}.{problem}" for problem in _range_problems(stage)]
    return stage


def _range_problems(stage: Stage) -> list[str]:
    found = []
    for name, value in vars(stage).items():
        if name in ("overlap", "sample_overlap", "min_people", "max_people") and not 1 <= value <= 100:
            found.append(f"{name}: {value!r}; expected 1 to 100")
        if name in ("sample_share", "share", "agreement") and not 0 <= value <= 1:
            found.append(f"{name}: {value!r}; expected a share from 0 to 1")
    if isinstance(stage, ConsensusStage):
        if stage.method not in ("share", "adaptive"):
            found.append(f"method: {stage.method!r}; expected share or adaptive")
        if stage.min_people > stage.max_people:
            found.append(f"min_people: {stage.min_people} is above max_people, {stage.max_people}")
        if not 0 < stage.epsilon < 1:
            found.append(f"epsilon: {stage.epsilon}; expected above 0 and below 1")
    if isinstance(stage, WebhookStage) and not stage.url.startswith(("https://", "http://")):
        found.append(f"url: {stage.url!r}; expected https://...")
    return found


def _parse_rules(given: Any, stage: Stage, stages: Sequence[Stage], problems: list[str]) -> tuple[Rule, ...]:
    if given is None:
        return _usual_rules(stage, stages)
    place = f"workflow.{stage.name}.next"
    targets = {*ENDS, *(one.name for one in stages)}
    listed = [{"else": given}] if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not listed:
        problems.append(f"{place}: {given!r}; expected a stage or a list of rules")
        return ()
    rules = []
    for number, one in enumerate(listed):
        is_last = number == len(listed) - 1
        wanted = {"else"} if is_last else {"if", "to"}
        if not isinstance(one, Mapping) or set(one) != wanted:
            shape = "{ else = STAGE }" if is_last else "{ if = { FACT = VALUE }, to = STAGE }"
            problems.append(f"{place}: rule {number + 1} is {one!r}; expected {shape}")
            continue
        to, conditions = one.get("to", one.get("else")), one.get("if", {})
        if to not in targets:
            problems.append(f"{place}: {to!r} is no stage; expected one of {', '.join(sorted(targets))}")
        problems += [f"{place}: {problem}" for problem in _condition_problems(conditions, stage)]
        rules.append(Rule(to=str(to), conditions=conditions if isinstance(conditions, Mapping) else {}))
    return tuple(rules)


def _condition_problems(conditions: Any, stage: Stage) -> list[str]:
    if not isinstance(conditions, Mapping):
        return [f"if = {conditions!r}; expected a table of facts"]
    found = []
    for name, wanted in conditions.items():
        if name not in FACTS and not name.startswith("meta."):
            found.append(f"there is no fact {name!r}; expected {', '.join(FACTS)} or meta.NAME")
        if isinstance(wanted, Mapping):
            is_range = set(wanted) <= {"at_least", "below"} and wanted
            if not is_range or not all(type(one) in (int, float) for one in wanted.values()):
                found.append(f"{name} = {dict(wanted)!r}; expected numbers at_least and below")
        if name == "outcome":
            known = stage.outcomes
            named = wanted if isinstance(wanted, list) else [wanted]
            found += [
                f"outcome {one!r}; expected one of {', '.join(known)}" for one in named if one not in known
            ]
    return found


def _usual_rules(stage: Stage, stages: Sequence[Stage]) -> tuple[Rule, ...]:
    place = next(k for k, one in enumerate(stages) if one.name == stage.name)
    onward = stages[place + 1].name if place + 1 < len(stages) else COMPLETE
    rules = []
    decides = next((one.name for one in stages[place + 1 :] if isinstance(one, AdjudicationStage)), None)
    if isinstance(stage, ConsensusStage) and decides is not None:
        rules.append(Rule(to=decides, conditions={"outcome": ["disputed", "weak"]}))
        # What is agreed on passes by the adjudication that only disputes are for.
        if onward == decides:
            beyond = next(k for k, one in enumerate(stages) if one.name == decides) + 1
            onward = stages[beyond].name if beyond < len(stages) else COMPLETE
    if isinstance(stage, ReviewStage):
        rules.append(Rule(to=stages[0].name, conditions={"outcome": "requeued"}))
        if onward == decides:
            beyond = next(k for k, one in enumerate(stages) if one.name == decides) + 1
            onward = stages[beyond].name if beyond < len(stages) else COMPLETE
    if isinstance(stage, ReviewStage | AdjudicationStage):
        rules.append(Rule(to=DROP, conditions={"outcome": "dropped"}))
    return (*rules, Rule(to=onward))


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return (
            is_number
            and wanted.get("at_least", value) <= value
            and not value >= wanted.get("below", float("inf"))
        )
    if isinstance(wanted, list):
        return value in wanted
    return value is not None and bool(value == wanted)


def _is_of(value: Any, kind: Any) -> bool:
    if get_origin(kind) is types.UnionType:
        return any(_is_of(value, one) for one in get_args(kind))
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind or (kind is type(None) and value is None)
