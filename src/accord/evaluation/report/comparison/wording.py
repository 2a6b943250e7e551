"""Names of metrics as people read them, and the style their numbers are written in.

Leaves out what a metric means; a name that is not listed is shown with spaces for its underscores.
"""

from collections.abc import Mapping

from accord.evaluation.intervals import Estimate
from accord.evaluation.report.contents import Style

LABELS: Mapping[str, str] = {
    "win_rate": "Win rate",
    "length_controlled_win_rate": "Win rate at equal length",
    "constant_output_win_rate": "Win rate of one fixed sentence",
    "judge_score": "Judge's score",
    "gold_score": "Gold score",
    "swap_consistency": "Same winner in both orders",
    "response_length": "Length of the answer",
    "repeated_4grams": "Repeated 4-grams",
    "length_cap_share": "Answers cut off",
    "common_opening_share": "Same opening words",
    "empty_share": "Empty answers",
    "self_bleu": "Likeness to other answers (self-BLEU)",
    "refusal_phrase_share": "Answers that open as refusals do",
    "language_switch_share": "Answers in another language than asked",
    "format_switch_share": "Answers in another form than before",
    "token_entropy": "Entropy a token",
    "kl_divergence": "KL from the incumbent",
    "kl_divergence_k3": "KL from the incumbent (k3)",
    "kl_divergence_per_token": "KL a token",
    "reward_accuracy": "Reward model accuracy",
    "reward_accuracy_of_ceiling": "Accuracy, share of the human ceiling",
    "reward_calibration_error": "Calibration error",
    "reward_accuracy_gap": "Accuracy gap to the worst group",
    "reward_length_correlation": "Reward and length, correlation",
    "majority_erasure": "Items whose label opposes a group's majority",
    "majority_erasure_excess": "The same, beyond chance",
    "reward_best_of_k": "Best answer found",
    "reward_kendall_tau": "Kendall's tau with people",
    "gold_drop_from_peak": "Gold below its peak",
    "overoptimization_gap": "Over-optimization gap",
    "ifeval_prompt_strict": "Instructions followed",
    "harmful_refusal": "Harmful requests refused",
    "attack_success": "Attacks that succeed",
    "safe_refusal": "Harmless requests refused",
    "bbq_bias_ambig": "BBQ bias, ambiguous",
    "bbq_bias_disambig": "BBQ bias, disambiguated",
    "crows_stereotype": "CrowS-Pairs stereotype",
    "pronoun_slope": "Pronouns by occupation, slope",
    "behavior_match": "Written behaviors matched",
    "sycophancy_flip_rate": "Sycophantic flips",
    "judge_hit_rate": "Judge agrees with people",
    "prompt_nll": "Surprise of prompts",
    "annotator_agreement": "Annotator agreement",
    "train_eval_overlap": "Evaluation prompts in training data",
    "train_eval_canaries": "Evaluation suites in training data",
    "train_personal_data": "Training rows with personal data",
    "train_unlicensed": "Training rows without an allowed license",
}
NUMBERS = frozenset(
    {
        "judge_score",
        "gold_score",
        "response_length",
        "token_entropy",
        "prompt_nll",
        "reward_length_correlation",
        "reward_kendall_tau",
        "overoptimization_gap",
        "gold_drop_from_peak",
        "bbq_bias_ambig",
        "bbq_bias_disambig",
        "pronoun_slope",
        "pronoun_correlation",
    }
)
"""Metrics that are no shares."""


def label_of(metric: str, slice: str = "all") -> str:
    """A metric in words, with its slice where it is not everything."""
    words = LABELS.get(metric, metric.replace("_", " ").capitalize())
    return words if slice == "all" else f"{words}, {slice.replace('_', ' ').replace('=', ' ')}"


def style_of(metric: str, estimate: Estimate | None = None) -> Style:
    """Nats for KL, plain for what is known to be no share or lies outside [-1, 1], else percent."""
    if metric.startswith("kl_"):
        return "nats"
    ends = () if estimate is None else (estimate.value, estimate.low, estimate.high)
    is_outside = any(abs(end) > 1 for end in ends)
    return "number" if metric in NUMBERS or is_outside else "percent"
