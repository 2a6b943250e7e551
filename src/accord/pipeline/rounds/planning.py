"""What a loop will do, before it does anything: stages with amounts, people's hours and pay, and seconds.

Seconds of computing depend on the machine: they are those of the last loop of the same name, where there was
one. Leaves out what a model judge's endpoint charges.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accord.domain import ConfigError
from accord.pipeline.rounds.plan import LoopConfig, ModelJudgesConfig, PeopleJudgesConfig
from accord.pipeline.rounds.releasing import plan_of

SECONDS_A_JUDGMENT = 40.0
"""Of a person over one pair, a guess to plan by; a project's own median is on its dashboard."""


def plan_rows(config: LoopConfig, seconds: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """One row a stage: name, what it does, how much of it, hours of people, their pay, seconds it took.

    `seconds` are those of an earlier run by stage; a later round takes those of its last. Pay is in the
    currency of `card`, None where no rate is given. A plan of gates that cannot be read raises.
    """
    asking = config.asking
    each = 1 if isinstance(config.judges, ModelJudgesConfig) else asking.judgments_per_pair
    examined = 1 if isinstance(config.judges, ModelJudgesConfig) else asking.judgments_per_examined
    has_evidence = bool(config.guard.every) and config.guard.evidence == "annotators"
    is_people = isinstance(config.judges, PeopleJudgesConfig)
    policys = " and the written policy's" if config.policy_file else ""
    n_gates = len(plan_of(config.gates).gates)
    rows = [_row("tune", "fine-tune on demonstrations", "once")]
    for number in range(1, config.rounds + 1):
        steps = config.policy.optimization.steps
        tokens = (steps or 0) * config.policy.prompts_per_step * config.policy.group_size
        # Known only when it comes to it: fewer anchors than pairs of round 1, more prompts for open queues.
        anchors = min(asking.anchors, asking.comparisons) if number > 1 else 0
        more = int(config.queue.share * asking.examined_prompts) if number > 1 else 0
        pairs, prompts = asking.comparisons + anchors, asking.examined_prompts + more
        wanted, again = f"up to {pairs * each} judgments", f", {anchors} anchor pairs again"
        rows += [
            _row(f"r{number}-sample", "answers of the newest policy",
                 f"up to {asking.prompts} prompts x {asking.answers_per_prompt}"),
            _row(f"r{number}-choose", f"pairs by {asking.strategy}, {asking.random_share:.0%} at random",
                 f"up to {asking.comparisons} pairs"),
            _row(f"r{number}-judge", f"{config.judges.type} judges{again if anchors else ''}", wanted,
                 pairs * each if is_people else 0),
            _row(f"r{number}-agree", config.agreeing.method, "every judgment so far"),
            _row(f"r{number}-reward", f"reward model from {config.reward.objective.type}",
                 f"{config.reward.epochs:g} passes"),
            *([_row(f"r{number}-grades", "a head for each dimension of the written policy",
                    f"{config.reward.epochs:g} passes")] if config.policy_file else []),
            *([_row(f"r{number}-evidence", "reward model of the guard's annotators",
                    f"{config.reward.epochs:g} passes")] if has_evidence else []),
            _row(f"r{number}-policy", "policy optimization", f"{steps} steps, {tokens} answers"),
            _row(f"r{number}-answer", "candidate and incumbent", f"up to {prompts} prompts each"),
            _row(f"r{number}-examine", f"{config.judges.type} judges",
                 f"up to {prompts * examined} judgments", prompts * examined if is_people else 0),
            _row(f"r{number}-drift", "what moved since earlier rounds",
                 f"{config.monitors.false_alarm_rate:g} false alarms a round"),
            _row(f"r{number}-decide", f"gates of {config.gates}{policys}",
                 f"{n_gates} gate{'s' * (n_gates != 1)}"),
        ]  # fmt: skip
    for row in rows:
        hours, pay = row["hours"], config.card.pay_per_hour
        row["pay"] = None if hours is None or pay is None else round(hours * pay, 2)
        row["seconds"] = _seconds_before(row["stage"], seconds or {})
    return rows


def plan_total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Hours, pay and seconds of all rows together; None where no row has any."""
    total: dict[str, Any] = {}
    for name in ("hours", "pay", "seconds"):
        known = [row[name] for row in rows if row[name] is not None]
        total[name] = round(sum(known), 2) if known else None
    return total


def check_until(config: LoopConfig, until: str) -> None:
    """Refuse a stage that the loop does not have; empty stops nowhere."""
    names = [str(row["stage"]) for row in plan_rows(config)]
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
    hours = judgments * SECONDS_A_JUDGMENT / 3600
    return {"stage": stage, "what": what, "amount": amount, "hours": round(hours, 1) if hours else None}
