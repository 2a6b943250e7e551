"""Which command measures what a gate asks for, so that a missing number comes with what to do about it.

Leaves out the measuring; `tests/cli/test_gate_producers.py` runs each command and holds it to this table.
"""

from collections.abc import Mapping

COMPARE = "accord evaluate compare CANDIDATE INCUMBENT"
PRODUCERS: Mapping[str, str] = {
    "reward_accuracy": "accord evaluate reward PAIRS --incumbent OTHER",
    "reward_accuracy_of_ceiling": "accord evaluate reward PAIRS",
    "reward_calibration_error": "accord evaluate reward PAIRS",
    "reward_accuracy_gap": "accord evaluate reward PAIRS",
    "reward_length_correlation": "accord evaluate reward PAIRS",
    "win_rate": COMPARE,
    "length_controlled_win_rate": COMPARE,
    "kl_divergence": COMPARE,
    "repeated_4grams": COMPARE,
    "length_cap_share": COMPARE,
    "common_opening_share": COMPARE,
    "gold_drop_from_peak": "accord evaluate optimization RUN",
    "overoptimization_gap": "accord evaluate optimization RUN",
    "ifeval_prompt_strict": "accord evaluate suite ifeval --model DIR --incumbent DIR",
    "harmful_refusal": "accord evaluate suite harmful_prompts --model DIR --incumbent DIR",
    "attack_success": "accord redteam report FINDINGS --candidate NAME --incumbent NAME",
    "safe_refusal": "accord evaluate suite xstest --model DIR --incumbent DIR",
    "bbq_bias_ambig": "accord evaluate suite bbq --model DIR --incumbent DIR",
    "crows_stereotype": "accord evaluate suite crows_pairs --model DIR --incumbent DIR",
    "pronoun_slope": "accord evaluate suite winogenerated --model DIR --incumbent DIR",
    "sycophancy_flip_rate": "accord evaluate suite sycophancy --model DIR --incumbent DIR",
    "annotator_agreement": "accord evaluate drift REFERENCE CURRENT",
    "train_eval_overlap": "accord evaluate overlap EVALUATION TRAINING",
    "train_eval_canaries": "accord evaluate overlap EVALUATION TRAINING",
    "train_personal_data": "accord evaluate hygiene TRAINING",
    "train_unlicensed": "accord evaluate hygiene TRAINING --license NAME",
}
"""Metric -> the command that prints it with --json."""


RUN_SLICE = "run"
"""Slice of differences between the end and the start of a run, which is not what the two models differ in."""


def producer_of(metric: str, slice: str = "all") -> str:
    """The command that measures a metric on a slice; empty for one that is the user's own."""
    if slice == RUN_SLICE and PRODUCERS.get(metric) == COMPARE:
        return PRODUCERS["gold_drop_from_peak"]
    return PRODUCERS.get(metric, "")
