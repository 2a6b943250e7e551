"""What a loop will do, before it does anything: stages with amounts, and the hours of people they ask for.

Leaves out seconds of computing, which depend on the machine: the board and the report tell them after each
round.
"""

from typing import Any

from accord.pipeline.rounds.plan import LoopConfig, ModelJudgesConfig, PeopleJudgesConfig

SECONDS_A_JUDGMENT = 40.0
"""Of a person over one pair, a guess to plan by; a project's own median is on its dashboard."""


def plan_rows(config: LoopConfig) -> list[dict[str, Any]]:
    """One row a stage: name, what it does, how much of it, hours of people."""
    asking = config.asking
    each = 1 if isinstance(config.judges, ModelJudgesConfig) else asking.judgments_per_pair
    examined = 1 if isinstance(config.judges, ModelJudgesConfig) else asking.judgments_per_examined
    is_people = isinstance(config.judges, PeopleJudgesConfig)
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
            _row(f"r{number}-policy", "policy optimization", f"{steps} steps, {tokens} answers"),
            _row(f"r{number}-answer", "candidate and incumbent", f"up to {prompts} prompts each"),
            _row(f"r{number}-examine", f"{config.judges.type} judges",
                 f"up to {prompts * examined} judgments", prompts * examined if is_people else 0),
            _row(f"r{number}-drift", "what moved since earlier rounds",
                 f"{config.monitors.false_alarm_rate:g} false alarms a round"),
            _row(f"r{number}-decide", f"gates of {config.gates}", "pass, fail or undecided"),
        ]  # fmt: skip
    return rows


def _row(stage: str, what: str, amount: str, judgments: int = 0) -> dict[str, Any]:
    hours = judgments * SECONDS_A_JUDGMENT / 3600
    return {"stage": stage, "what": what, "amount": amount, "hours": round(hours, 1) if hours else None}
