"""Every metric a run may log: name, unit, meaning and how it is estimated."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One entry of the registry."""

    name: str
    """As logged. A name that ends in `*` stands for all names that begin like it."""
    unit: str
    meaning: str
    estimator: str
    """Over what it is taken, and how."""


OPTIMIZATION = (
    Metric(
        "optim/grad_norm",
        "-",
        "length of the update's gradient before clipping",
        "L2 norm over all trained weights, after all micro-batches",
    ),
    Metric("optim/lr", "-", "learning rate of the step", "the schedule"),
    Metric(
        "optim/skipped",
        "0 or 1",
        "whether the step was skipped because loss or gradient was not finite",
        "exact",
    ),
    Metric(
        "optim/recomputed",
        "0 or 1",
        "whether layers ran again in the backward pass to save memory",
        "exact",
    ),
    Metric(
        "throughput/tokens",
        "tokens",
        "real tokens the update learned from",
        "no padding; a prompt counts once for each of its completions",
    ),
    Metric(
        "throughput/tokens_per_s", "tokens/s", "speed of the step", "throughput/tokens over throughput/step_s"
    ),
    Metric(
        "throughput/step_s",
        "s",
        "duration of the step",
        "wall time from asking for the update to the changed weights, without evaluation",
    ),
    Metric("memory/rss_gb", "10^9 bytes", "memory the process holds", "resident set after the step"),
    Metric(
        "memory/device_peak_gb",
        "10^9 bytes",
        "highest memory in use on the accelerator so far",
        "torch's allocator; CUDA only",
    ),
)

SFT = (
    Metric(
        "sft/loss",
        "nats",
        "negative log-likelihood of the demonstrations",
        "mean over the update's completion tokens, EOS included",
    ),
    Metric("sft/tokens", "tokens", "completion tokens the loss is a mean over", "count"),
    Metric("sft/truncated_rows", "rows", "rows of the update that were cut to max_tokens", "count"),
    Metric("sft/epoch", "passes", "passes over the demonstrations finished", "updates over updates a pass"),
    Metric(
        "sft/eval_loss",
        "nats",
        "negative log-likelihood of the held-out demonstrations",
        "mean over all their completion tokens",
    ),
)

REWARD_MODEL = (
    Metric(
        "reward/loss",
        "nats",
        "Bradley-Terry loss with soft labels, margins and centering",
        "mean over the update's pairs by weight",
    ),
    Metric(
        "reward/accuracy",
        "share",
        "training pairs whose chosen side has the higher reward",
        "mean by weight, before the step; equal rewards and tied labels count half",
    ),
    Metric("reward/margin", "reward", "chosen minus rejected", "mean by weight, before the step"),
    Metric(
        "reward/pair_mean",
        "reward",
        "where rewards lie; centering pulls it to 0",
        "mean of both sides by weight, raw scores",
    ),
    Metric("reward/pairs", "pairs", "pairs of the update", "count"),
    Metric("reward/truncated_rows", "pairs", "pairs of the update that were cut to max_tokens", "count"),
    Metric("reward/epoch", "passes", "passes over the pairs finished", "updates over updates a pass"),
    Metric(
        "reward/eval_accuracy",
        "share",
        "held-out pairs whose more probable side has the higher reward",
        "mean by weight; equal rewards count half, tied labels are left out",
    ),
    Metric(
        "reward/eval_nll",
        "nats",
        "cross entropy of labels and sigmoid of the reward difference on held-out pairs",
        "mean by weight, without margins and centering; ln 2 = 0.693 is chance",
    ),
    Metric(
        "reward/eval_brier",
        "-",
        "squared distance of predicted and labeled probability on held-out pairs",
        "mean by weight; 0.25 is chance",
    ),
    Metric(
        "reward/eval_calibration_error",
        "share",
        "how far confidence is from being right",
        "expected calibration error, 10 bins of equal count; biased upward on few pairs",
    ),
    Metric(
        "reward/eval_mean", "reward", "raw reward of held-out answers", "mean over both sides, unweighted"
    ),
    Metric("reward/eval_margin", "reward", "chosen minus rejected on held-out pairs", "mean by weight"),
    Metric(
        "reward/eval_length_correlation",
        "-",
        "whether long answers get more",
        "Pearson correlation of raw reward and completion tokens over both sides of the held-out pairs",
    ),
)

REWARD_ENSEMBLE = (
    Metric(
        "reward/eval_disagreement",
        "reward",
        "how far the members of an ensemble are apart on held-out pairs",
        "standard deviation of the margin over members, mean by weight",
    ),
)

REWARD_RECORDS = (
    Metric(
        "reward/rows", "rows", "rankings, rated answers, answers in steps or judgments learnt from", "count"
    ),
    Metric(
        "reward/rating_error",
        "-",
        "distance of score and rating",
        "mean absolute value over the update's rated cells by weight, before the step",
    ),
    Metric(
        "reward/eval_best_found",
        "share",
        "held-out rankings whose highest reward is a best answer's",
        "mean over rankings; several highest share",
    ),
    Metric(
        "reward/eval_rating_error/*",
        "-",
        "distance of score and rating on a dimension",
        "mean absolute value over held-out answers rated on it",
    ),
    Metric(
        "reward/eval_rating_correlation/*",
        "-",
        "whether scores go with ratings on a dimension",
        "Pearson, over held-out answers rated on it",
    ),
    Metric(
        "reward/eval_first_wrong",
        "share",
        "held-out answers whose first wrong step, or that there is none, is found",
        "mean over answers",
    ),
    Metric(
        "reward/eval_crowd_nll",
        "nats",
        "what held-out judgments would cost were all annotators alike",
        "mean over judgments; `reward/eval_nll` is with habits",
    ),
)

DIRECT = (
    Metric("dpo/loss", "nats", "loss of the chosen member of the family", "mean over the pairs by weight"),
    Metric(
        "dpo/accuracy",
        "share",
        "training pairs whose chosen side has the higher implicit reward",
        "mean by weight, before the step; equal rewards and tied labels count half",
    ),
    Metric("dpo/margin", "implicit reward", "chosen minus rejected", "mean by weight, before the step"),
    Metric(
        "dpo/chosen_reward",
        "implicit reward",
        "beta (log pi - log ref) of the chosen answers; falls where chosen answers are displaced as well",
        "mean by weight, before the step; without a reference beta times log pi a token",
    ),
    Metric(
        "dpo/displaced",
        "share",
        "answers more probably preferred that are less likely than under the reference",
        "mean by weight, before the step; above 0.5 for five updates a warning is given",
    ),
    Metric(
        "dpo/displacement",
        "nats",
        "how much log-prob the answers more probably preferred lost against the reference",
        "mean by weight of max(0, log ref - log pi), before the step",
    ),
    Metric("dpo/rejected_reward", "implicit reward", "the same of the rejected answers", "mean by weight"),
    Metric("dpo/chosen_logprob", "nats", "log-prob of the chosen answers", "sum over tokens, mean by weight"),
    Metric("dpo/pairs", "pairs", "pairs of the update", "count"),
    Metric("dpo/truncated_rows", "pairs", "pairs of the update that were cut to max_tokens", "count"),
    Metric("dpo/epoch", "passes", "passes over the pairs finished", "updates over updates a pass"),
    *(
        Metric(f"dpo/{metric.name.removeprefix('reward/')}", metric.unit, metric.meaning, metric.estimator)
        for metric in REWARD_MODEL
        if metric.name.startswith("reward/eval_")
    ),
)

UNPAIRED = (
    Metric("kto/loss", "share", "loss on answers judged one by one", "mean over the rows by weight"),
    Metric(
        "kto/reference_point",
        "nats",
        "how far the policy is taken to have moved: log pi - log ref of answers to other prompts",
        "mean over the update, before the step; never below 0",
    ),
    Metric(
        "kto/accuracy",
        "share",
        "wanted answers above the reference point and unwanted ones below",
        "mean by weight, before the step; ties count half",
    ),
    Metric(
        "kto/margin",
        "implicit reward",
        "gain over the reference point, unwanted answers negated",
        "mean by weight, before the step",
    ),
    Metric(
        "kto/eval_loss",
        "share",
        "loss on held-out answers",
        "mean by weight, under one reference point read off all held-out answers",
    ),
    Metric(
        "kto/eval_accuracy",
        "share",
        "held-out wanted answers above the reference point and unwanted ones below",
        "mean by weight; gains of 0 count half",
    ),
    Metric(
        "kto/eval_auc",
        "share",
        "chance that a held-out wanted answer has the higher implicit reward than an unwanted one",
        "over all such pairs by weight, ties half; 0.5 is chance; needs no reference point",
    ),
    Metric(
        "kto/eval_reference_point",
        "nats",
        "the point the held-out answers are measured from",
        "mean over mismatched held-out answers; never below 0",
    ),
    Metric("kto/rows", "rows", "judged answers of the update", "count"),
    Metric("kto/truncated_rows", "rows", "rows of the update that were cut to max_tokens", "count"),
    Metric("kto/epoch", "passes", "passes over the rows finished", "updates over updates a pass"),
)

ONLINE = (
    Metric(
        "policy/loss",
        "reward",
        "surrogate whose gradient is the policy gradient; its value says nothing about progress",
        "the algorithm's aggregation over the update",
    ),
    Metric("policy/update", "updates", "number of the update among those from its rollout", "count"),
    Metric(
        "policy/update_kl",
        "nats a token",
        "how far the policy is from the one the ratio is taken against",
        "k3 of old and new log-probs, mean over the update's tokens, before its step",
    ),
    Metric("policy/epoch", "passes", "passes over the prompts finished", "updates over updates a pass"),
    Metric("reward/mean", "reward", "what the samples earned", "mean over completions, raw, before KL"),
    Metric("reward/std", "reward", "spread of what they earned", "over completions, dividing by n"),
    Metric(
        "reward/equal_groups",
        "share",
        "prompts whose samples all earned the same, so that they teach nothing but KL",
        "share of the update's groups, after the missing-EOS rule, scale and clip",
    ),
    Metric(
        "reward/part/*", "reward", "a named part of a weighted reward", "mean over completions, unweighted"
    ),
    Metric(
        "reward/total_mean",
        "reward",
        "what is maximized: reward after its rules less kl_coefficient times the log ratio",
        "mean over completions",
    ),
    Metric(
        "kl/k1",
        "nats a completion",
        "divergence of the policy from the reference",
        "k1: log pi - log ref summed over tokens, mean over completions; unbiased, may be negative",
    ),
    Metric(
        "kl/k3",
        "nats a completion",
        "the same, never negative and less noisy",
        "k3: exp(-r) - 1 + r summed over tokens, mean over completions; unbiased",
    ),
    Metric(
        "kl/coefficient", "reward a nat", "coefficient of the KL penalty", "fixed, or moved toward kl_target"
    ),
    Metric(
        "constraint/multiplier/*",
        "-",
        "weight of a bound part of the reward, 1 for the reward itself",
        "the multiplier the rollout's rewards were made with",
    ),
    Metric(
        "constraint/violation/*",
        "reward",
        "how far the mean of a bound part is below its bound; negative where it is kept",
        "bound less mean over the rollout's completions",
    ),
    Metric("kl/per_token", "nats a token", "divergence by length", "k1, mean over completion tokens"),
    Metric(
        "entropy",
        "nats a token",
        "how undecided the policy is",
        "exact over the vocabulary at the sampling temperature, mean over completion tokens",
    ),
    Metric("length/mean", "tokens", "length of the samples, EOS included", "mean over completions"),
    Metric("eos/share", "share", "samples that the policy ended itself", "mean over completions"),
    Metric(
        "advantage/abs_mean", "reward", "size of the learning signal", "mean absolute value over completions"
    ),
    Metric(
        "ratio/mean",
        "-",
        "probability under the policy over that under the old log-probs",
        "mean over actions: completions for sequence losses, else tokens; 1 when taken against the learner",
    ),
    Metric(
        "importance/weight",
        "-",
        "probability under the learner over that under the sampler, cut or masked",
        "mean over the update's tokens; 1 where they agree, logged where `online.importance` is on",
    ),
    Metric("ratio/clipped", "share", "actions whose gradient the clip took away", "mean over actions"),
    Metric(
        "sampler/logprob_gap",
        "nats a token",
        "difference of the log-probs drawn under and the learner's for the same weights",
        "mean absolute value over completion tokens",
    ),
    Metric("sampler/tokens_per_s", "tokens/s", "speed of sampling", "sampled tokens over time/sample_s"),
    Metric("time/sample_s", "s", "sampling", "wall time"),
    Metric("time/reward_s", "s", "scoring by the reward", "wall time"),
    Metric("time/reference_s", "s", "packing and the reference's log-probs", "wall time"),
    Metric(
        "policy/eval_reward",
        "reward",
        "what samples for held-out prompts earn",
        "mean of one sample a prompt, drawn by the same numbers at each evaluation",
    ),
    Metric(
        "policy/eval_kl", "nats a completion", "divergence on the same samples", "k1, mean over completions"
    ),
    Metric("policy/eval_length", "tokens", "length of the same samples", "mean over completions"),
    Metric("policy/eval_eos", "share", "of the same samples, those the policy ended itself", "mean"),
)

CRITIC = (
    Metric(
        "critic/loss",
        "reward^2",
        "half the squared error of the values, the worse of plain and clipped",
        "mean over the update's completion tokens, before its step",
    ),
    Metric("critic/clipped", "share", "values whose gradient the clip took away", "mean over tokens"),
    Metric(
        "critic/explained_variance",
        "share",
        "how much of the returns' spread the critic knew beforehand",
        "1 - var(return - value) / var(return) over the rollout's tokens; 0 is a constant, below 0 worse",
    ),
    Metric("critic/value_mean", "reward", "what the critic expects", "mean over the rollout's tokens"),
    Metric("critic/return_mean", "reward", "what it learns to expect", "mean over the rollout's tokens"),
)

SAMPLES = (
    Metric(
        "online_dpo/accuracy",
        "share",
        "prompts whose better sample has the higher log ratio",
        "mean over the update's prompts, before the step; equal rewards or ratios count half",
    ),
    Metric(
        "online_dpo/margin",
        "nats",
        "log ratio of the better sample less that of the worse",
        "mean over the update's prompts, before the step; 0 where rewards are equal",
    ),
    Metric("online_dpo/tied", "share", "prompts whose samples all earn the same", "mean over prompts"),
    Metric("kept/share", "share", "samples that are learned from", "mean over the rollout's completions"),
    Metric("kept/reward", "reward", "what the kept samples earned", "mean over them, after shaping"),
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *OPTIMIZATION,
        *SFT,
        *REWARD_MODEL,
        *REWARD_ENSEMBLE,
        *REWARD_RECORDS,
        *DIRECT,
        *UNPAIRED,
        *ONLINE,
        *CRITIC,
        *SAMPLES,
    )
}
"""The registry; a name that is not here must not be logged."""


def find_metric(name: str, *, registry: Mapping[str, Metric] = METRICS) -> Metric | None:
    """The entry of a logged name, by itself or by its family (`*`); None when it is not registered."""
    if name in registry:
        return registry[name]
    families = [key for key in registry if key.endswith("*") and name.startswith(key[:-1])]
    return registry[max(families, key=len)] if families else None


def metrics_page() -> str:
    """The page `docs/metrics.md`: one table row a metric, in the order of the registry."""
    lines = [
        "# Metrics",
        "",
        "Everything a training run logs. Shares of micro-batches are summed, so a value is that of the whole",
        "update however it was split. Generated from `accord.training.metrics`; a test keeps it fresh.",
    ]
    titles = (
        ("Every stage", OPTIMIZATION),
        ("Supervised fine-tuning", SFT),
        ("Reward model", REWARD_MODEL),
        ("Reward model of several members", REWARD_ENSEMBLE),
        ("Reward model on rankings, ratings, steps and single judgments", REWARD_RECORDS),
        ("Direct preference optimization (`eval_` by implicit rewards)", DIRECT),
        ("KTO", UNPAIRED),
        ("Policy optimization", ONLINE),
        ("The critic of PPO", CRITIC),
        ("Online DPO and learning from the best samples", SAMPLES),
    )
    for title, metrics in titles:
        if not metrics:
            continue
        lines += ["", f"## {title}", "", "| name | unit | meaning | estimator |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{metric.name}` | {metric.unit} | {metric.meaning} | {metric.estimator} |"
            for metric in metrics
        ]
    return "\n".join(lines) + "\n"
