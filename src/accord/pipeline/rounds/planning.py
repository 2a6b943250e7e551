"""What a loop will do, before it does anything: stages with amounts, hours, pay, price, seconds.

Seconds of computing depend on the machine: they are those of the last loop of the same name, where there was
one. Tokens and price of a model judge are estimated (`pricing`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accord.domain import ConfigError
from accord.pipeline.rounds.budget import Allowance, allow, check_budget, judgments_each, why_spent
from accord.pipeline.rounds.plan import LoopConfig, ModelJudgesConfig, PeopleJudgesConfig
from accord.pipeline.rounds.pricing import question_tokens
from accord.pipeline.rounds.releasing import plan_of

SECONDS_A_JUDGMENT = 40.0
"""Of a person over one pair, a guess to plan by; a project's own median is on its dashboard."""


def plan_rows(config: LoopConfig, seconds: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """One row a stage: name, what it does, how much of it, hours of people, their pay, seconds it took; of a
    model judge also its endpoint's tokens and their price.

    `seconds` are those of an earlier run by stage; a later round takes those of its last. Pay and price are
    in the currency of `card`, None where no rate is given. A plan of gates that cannot be read and a budget
    of judgments that pays no round raise.
    """
    check_budget(config)
    rows = _stages(config)
    judges, pay = config.judges, config.card.pay_per_hour
    counts = [int(row.pop("judgments")) for row in rows]
    for row, judgments in zip(rows, counts, strict=True):
        is_worked = judgments and isinstance(judges, PeopleJudgesConfig)
        hours = round(judgments * SECONDS_A_JUDGMENT / 3600, 1) if is_worked else None
        row["hours"] = hours
        row["pay"] = None if hours is None or pay is None else round(hours * pay, 2)
        row["seconds"] = _seconds_before(row["stage"], seconds or {})
    if isinstance(judges, ModelJudgesConfig):
        each = question_tokens(config, judges)
        for row, judgments in zip(rows, counts, strict=True):
            row["tokens"] = judgments * (each.asked + each.answered) if judgments else None
            row["price"] = each.cost(judges, judgments) if judgments else None
    return rows


def _stages(config: LoopConfig) -> list[dict[str, Any]]:
    """Rows of all rounds, each with the judgments it asks for at most."""
    rows, spent = [_row("tune", "fine-tune on demonstrations", "once")], 0
    for number in range(1, config.rounds + 1):
        made = _round_rows(config, number, _allowed(config, number, spent), spent)
        spent += sum(row["judgments"] for row in made)
        rows += made
    return rows


def _allowed(config: LoopConfig, number: int, spent: int) -> Allowance | None:
    """What a round asks at most if those before it asked all they may; None where they left too little."""
    if spent and why_spent(config, spent):
        return None
    asking = config.asking
    # Known only when it comes to it: fewer anchors than pairs of round 1, more prompts for open queues.
    anchors = min(asking.anchors, asking.comparisons) if number > 1 else 0
    return allow(config, spent, pairs=asking.comparisons, anchors=anchors, prompts=asking.examined_prompts)


def _round_rows(
    config: LoopConfig, number: int, allowed: Allowance | None, spent: int
) -> list[dict[str, Any]]:
    asking = config.asking
    each, examined = judgments_each(config)
    has_evidence = bool(config.guard.every) and config.guard.evidence == "annotators"
    policys = " and the written policy's" if config.policy_file else ""
    n_gates = len(plan_of(config.gates).gates)
    steps = config.policy.optimization.steps
    tokens = (steps or 0) * config.policy.prompts_per_step * config.policy.group_size
    pairs = prompts = anchors = 0
    if allowed is not None:
        more = int(config.queue.share * asking.examined_prompts) if number > 1 else 0
        pairs, prompts, anchors = allowed.pairs, allowed.prompts + more, allowed.anchors
        if config.stop.max_judgments is not None:
            payable = config.stop.max_judgments - spent - (pairs + anchors) * each
            prompts = max(allowed.prompts, min(prompts, payable // examined))
    judged, compared = (pairs + anchors) * each, prompts * examined
    again = f", {anchors} anchor pairs again" if anchors else ""
    passes = f"{config.reward.epochs:g} pass{'es' * (config.reward.epochs != 1)}"
    left = "what earlier rounds leave of stop.max_judgments"
    return [
        _row(f"r{number}-sample", "answers of the newest policy",
             f"up to {asking.prompts} prompts x {asking.answers_per_prompt}"),
        _row(f"r{number}-choose", f"pairs by {asking.strategy}, {asking.random_share:.0%} at random",
             f"up to {pairs} pairs" if pairs else left),
        _row(f"r{number}-judge", f"{config.judges.type} judges{again}",
             f"up to {judged} judgments" if judged else left, judged),
        _row(f"r{number}-agree", config.agreeing.method, "every judgment so far"),
        _row(f"r{number}-reward", f"reward model from {config.reward.objective.type}",
             passes),
        *([_row(f"r{number}-grades", "a head for each dimension of the written policy",
                passes)] if config.policy_file else []),
        *([_row(f"r{number}-evidence", "reward model of the guard's annotators",
                passes)] if has_evidence else []),
        _row(f"r{number}-policy", "policy optimization", f"{steps} steps, {tokens} answers"),
        _row(f"r{number}-answer", "candidate and incumbent",
             f"up to {prompts} prompts each" if prompts else left),
        _row(f"r{number}-examine", f"{config.judges.type} judges",
             f"up to {compared} judgments" if compared else left, compared),
        _row(f"r{number}-drift", "what moved since earlier rounds",
             f"{config.monitors.false_alarm_rate:g} false alarms a round"),
        _row(f"r{number}-decide", f"gates of {config.gates}{policys}",
             f"{n_gates} gate{'s' * (n_gates != 1)}"),
    ]  # fmt: skip


def plan_total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Hours, pay, seconds, and a model judge's tokens and price, of all rows; None where no row has any."""
    total: dict[str, Any] = {}
    for name in ("hours", "pay", "seconds", "tokens", "price"):
        known = [row[name] for row in rows if row.get(name) is not None]
        if name in rows[0]:
            total[name] = round(sum(known), 4 if name == "price" else 2) if known else None
    return total


def check_until(config: LoopConfig, until: str) -> None:
    """Refuse a stage that the loop does not have; empty stops nowhere."""
    names = [str(row["stage"]) for row in _stages(config)]
    short = list(dict.fromkeys(name.rpartition("-")[2] for name in names))
    if until and until not in (*names, *short):
        raise ConfigError(
            "--until",
            [
                f"there is no stage {until!r}; expected one of {', '.join(short)}, "
                f"or one of a round, such as {names[-1]}"
            ],
        )


def _seconds_before(stage: str, seconds: Mapping[str, float]) -> float | None:
    """What a stage took in an earlier run, in the same round or the last that has it."""
    place, _, kind = stage.rpartition("-")
    if stage in seconds or not place:
        return seconds.get(stage)
    rounds = [int(name[1:].partition("-")[0]) for name in seconds if name.endswith(f"-{kind}")]
    return seconds[f"r{max(rounds)}-{kind}"] if rounds else None


def _row(stage: str, what: str, amount: str, judgments: int = 0) -> dict[str, Any]:
    return {"stage": stage, "what": what, "amount": amount, "judgments": judgments}
