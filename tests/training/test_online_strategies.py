"""REINFORCE++, online DPO, the best of n and importance weights: strategies of the one loop."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch

from accord.domain import ConfigError, Prompt, Streams
from accord.models.language_model import frozen_copy
from accord.models.tiny import tiny_model
from accord.rollouts import FunctionReward, NativeSampler, SamplingConfig, ScriptedSampler
from accord.training import (
    BestOfNConfig,
    GrpoConfig,
    OnlineConfig,
    OnlineDpoConfig,
    OptimizationConfig,
    Recorder,
    ReinforceConfig,
    train_best_of_n,
    train_online_dpo,
    train_reinforce,
    train_rloo,
)
from accord.training.best_of_n import KeptSamples
from accord.training.metrics import find_metric
from accord.training.objectives import Aggregation, group_normalized
from accord.training.objectives.direct import dpo
from accord.training.objectives.policy import token_policy_loss
from accord.training.online import OnlineTask
from accord.training.online_dpo import SampledPairs
from accord.training.online_strategy import GroupPolicyGradient
from accord.training.token_gradient import TokenPolicyGradient

PROMPTS = [Prompt.from_text(text) for text in ("tell me", "what now?", "a longer question than that", "go")]


def online(*, steps=3, rate=1e-2, max_tokens=12, optimization=None, **changes):
    settings = {"steps": steps, "learning_rate": rate, "precision": "fp32", **(optimization or {})}
    return OnlineConfig(
        **{
            "prompts_per_step": 4,
            "group_size": 8,
            "kl_coefficient": 0.0,
            "sampling": SamplingConfig(max_tokens=max_tokens),
            "optimization": OptimizationConfig(**settings),
            **changes,
        }
    )


def share_of_low(prompts, completions):
    """About a quarter of a random model's bytes are below 64."""
    return [sum(token < 64 for token in each.token_ids) / len(each.token_ids) for each in completions]


REINFORCE = TokenPolicyGradient(
    critic=None,
    discount=1.0,
    decay=1.0,
    clip=0.2,
    clip_high=None,
    aggregation=Aggregation.TOKEN_MEAN,
    whitens=True,
)


def task(model, settings, strategy, *, reward=share_of_low, sampler=None, reference=None, prompts=PROMPTS):
    return OnlineTask(
        model,
        prompts,
        FunctionReward(reward),
        settings,
        sampler=sampler or NativeSampler(model, precision="fp32"),
        strategy=strategy,
        reference=reference,
        streams=Streams(0),
    )


def scripted(model, answers, prompts=PROMPTS[:2]):
    return ScriptedSampler({prompt.text: answers for prompt in prompts}, tokenizer=model.tokenizer)


def log_prob(model, prompt, text):
    ids, answer = model.tokenizer.prompt_ids(prompt), model.tokenizer.completion_ids(text)
    logits = model.network(torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum(), len(answer)


def gradients(model):
    found = [weight.grad.clone() for weight in model.network.parameters()]
    model.network.zero_grad()
    return found


TRAININGS = {
    "reinforce": (train_reinforce, partial(ReinforceConfig), {"whiten_advantages": True}),
    "reinforce_group": (
        train_reinforce,
        partial(ReinforceConfig, baseline="group"),
        {"whiten_advantages": True},
    ),
    "online_dpo": (train_online_dpo, partial(OnlineDpoConfig), {}),
    "online_dpo_soft": (train_online_dpo, partial(OnlineDpoConfig, label_scale=20.0, loss="ipo"), {}),
    "best": (train_best_of_n, partial(BestOfNConfig), {}),
    "expert_iteration": (train_best_of_n, partial(BestOfNConfig, keep="top", share=0.2), {"epochs": 2}),
    "above": (train_best_of_n, partial(BestOfNConfig, keep="above", threshold=0.4), {}),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_each_strategy_learns_what_is_rewarded(name):
    train, make, changes = TRAININGS[name]
    recorder = Recorder()
    settings = make(online=online(steps=24, **changes))
    train(tiny_model(), PROMPTS, share_of_low, settings, observers=[recorder])
    rewards = [value for _, value in recorder.curve("reward/mean")]
    assert rewards[0] < 0.35
    assert sum(rewards[-3:]) / 3 > rewards[0] + 0.15
    names = {metric for report in recorder.steps for metric in report.metrics}
    assert [metric for metric in names if find_metric(metric) is None] == []


@pytest.mark.parametrize("name", TRAININGS)
def test_trap_46_each_strategy_resumes_bit_for_bit_within_a_rollout(name, tmp_path):
    train, make, changes = TRAININGS[name]
    plan = {"epochs": 2, "minibatches": 2, "optimization": {"checkpoint_every": 3}}
    settings = make(online=online(steps=5, **{**changes, **plan}))
    expected, resumed = tiny_model(), tiny_model()
    train(expected, PROMPTS, share_of_low, settings)

    class Stop(Exception):
        pass

    class StopAtFour(Recorder):
        def on_step(self, report):
            if report.step == 4:
                raise Stop

    with pytest.raises(Stop):
        train(tiny_model(), PROMPTS, share_of_low, settings, run_dir=tmp_path, observers=[StopAtFour()])
    train(resumed, PROMPTS, share_of_low, settings, run_dir=tmp_path, resume=True)
    assert resumed.version == expected.version
    assert resumed.version != tiny_model().version


def test_reinforce_advantages_are_rewards_to_come_whitened_over_the_rollout(tiny):
    reference = frozen_copy(tiny)
    with torch.no_grad():
        tiny.network.model.norm.weight.mul_(1.5)
    one = task(tiny, online(kl_coefficient=0.2), REINFORCE, reference=reference)
    one.next_update(0)
    tokens = {name: values.double().numpy() for name, values in one.experience.tokens.items()}
    rewards = -0.2 * (tokens["learner"] - tokens["reference"])
    to_come, start = np.zeros_like(rewards), 0
    for length, score in zip(
        one.experience.lengths.tolist(), one.experience.rewards.flatten().tolist(), strict=True
    ):
        rewards[start + length - 1] += score
        to_come[start : start + length] = rewards[start : start + length][::-1].cumsum()[::-1]
        start += length
    expected = (to_come - to_come.mean()) / to_come.std()
    assert tokens["advantages"] == pytest.approx(expected, abs=1e-4)


def test_the_online_dpo_gradient_is_dpos_on_best_and_worst_by_hand(tiny):
    # rewards 1, 3, 2: the second is chosen, the first rejected; both prompts alike, mean over two
    reference = frozen_copy(tiny)
    with torch.no_grad():
        tiny.network.model.norm.weight.mul_(1.2)
    answers = ["no", "yes", "maybe so"]
    worth = dict(zip(answers, (1.0, 3.0, 2.0), strict=True))
    one = task(
        tiny,
        online(group_size=3, prompts_per_step=2),
        SampledPairs(pair_loss=partial(dpo, beta=0.7), label_scale=None),
        reward=lambda p, c: [worth[each.text] for each in c],
        sampler=scripted(tiny, answers),
        prompts=PROMPTS[:2],
        reference=reference,
    )
    (part,) = one.next_update(0).micro_batches
    share = one.loss(part)
    share.loss.backward()
    ours = gradients(tiny)
    total = 0.0
    for prompt in PROMPTS[:2]:
        chosen, rejected = (
            log_prob(tiny, prompt, text)[0] - log_prob(reference, prompt, text)[0].detach()
            for text in ("yes", "no")
        )
        total = total + torch.nn.functional.softplus(-0.7 * (chosen - rejected)) / 2
    total.backward()
    assert share.loss.item() == pytest.approx(total.item(), rel=1e-5)
    for mine, theirs in zip(ours, gradients(tiny), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_online_dpo_learns_nothing_from_equal_rewards_and_half_from_a_label_that_knows_nothing(tiny):
    settings = online(group_size=2)
    pairs = SampledPairs(pair_loss=partial(dpo, beta=0.5), label_scale=None)
    one = task(tiny, settings, pairs, reward=lambda p, c: [1.0] * len(c))
    (part,) = one.next_update(0).micro_batches
    share = one.loss(part)
    share.loss.backward()
    assert share.loss.item() == 0.0
    assert all(weight.grad is None or not weight.grad.any() for weight in tiny.network.parameters())
    assert float(share.metrics["online_dpo/tied"]) == 1.0
    # at the reference every pair costs ln 2, whatever its label
    soft = SampledPairs(pair_loss=partial(dpo, beta=0.5), label_scale=1e-9)
    two = task(tiny, settings, soft, reward=lambda p, c: [float(i % 2) for i in range(len(c))])
    (part,) = two.next_update(0).micro_batches
    loss = two.loss(part).loss
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)
    assert max(float(weight.grad.abs().max()) for weight in tiny.network.parameters()) < 1e-6


@pytest.mark.parametrize("budget", [10_000, 1])
def test_the_best_of_n_gradient_is_the_likelihood_of_the_kept_by_hand(tiny, budget):
    worth = {"no": 0.0, "yes indeed": 2.0, "well": 1.0}
    one = task(
        tiny,
        online(group_size=3, prompts_per_step=2, optimization={"micro_batch_tokens": budget}),
        KeptSamples(keep="best", share=0.25, threshold=0.0, ranks_by_total=False),
        reward=lambda p, c: [worth[each.text] for each in c],
        sampler=scripted(tiny, list(worth)),
        prompts=PROMPTS[:2],
    )
    update = one.next_update(0)
    assert update.metrics["kept/share"] == pytest.approx(1 / 3)
    assert update.metrics["kept/reward"] == 2.0
    for part in update.micro_batches:
        one.loss(part).loss.backward()
    ours = gradients(tiny)
    found = [log_prob(tiny, prompt, "yes indeed") for prompt in PROMPTS[:2]]
    (-sum(each for each, _ in found) / sum(count for _, count in found)).backward()
    for mine, theirs in zip(ours, gradients(tiny), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_rollout_without_any_sample_above_the_bar_teaches_nothing(tiny):
    before = tiny.version
    recorder = Recorder()
    settings = BestOfNConfig(keep="above", threshold=9.0, online=online(steps=1))
    train_best_of_n(tiny, PROMPTS, share_of_low, settings, observers=[recorder])
    assert tiny.version == before
    assert recorder.steps[0].metrics["kept/share"] == 0.0


class OtherKernels:
    """Draws from the model and reports log-probs that are off by a known factor a token."""

    def __init__(self, model, factor):
        self.inner, self.shift = NativeSampler(model, precision="fp32"), math.log(factor)

    def sample(self, prompts, *, group, config, streams):
        groups = self.inner.sample(prompts, group=group, config=config, streams=streams)
        return [
            [
                dataclasses.replace(each, logprobs=tuple(value + self.shift for value in each.logprobs))
                for each in completions
            ]
            for completions in groups
        ]


def grpo(**changes):
    return GroupPolicyGradient(
        advantage=group_normalized,
        objective=partial(token_policy_loss, clip=0.2),
        aggregation=Aggregation.TOKEN_MEAN,
        is_by_token=True,
        **changes,
    )


@pytest.mark.parametrize(
    ("mode", "level", "cap", "expected"),
    [
        ("truncate", "token", 2.0, 1 / 1.25),  # every token is 1.25 times as likely to the sampler
        ("mask", "token", 2.0, 1 / 1.25),
        ("mask", "token", 1.1, 0.0),
        ("truncate", "token", 1.0, 1 / 1.25),
    ],
)
def test_importance_weights_scale_the_gradient_of_a_sampler_that_is_off(tiny, mode, level, cap, expected):
    found = []
    for importance in ("none", mode):
        settings = online(importance=importance, importance_level=level, importance_cap=cap)
        one = task(tiny, settings, grpo(), sampler=OtherKernels(tiny, 1.25))
        for part in one.next_update(0).micro_batches:
            share = one.loss(part)
            share.loss.backward()
        found.append(gradients(tiny))
    assert float(share.metrics["importance/weight"]) == pytest.approx(expected, rel=1e-4)
    for plain, weighed in zip(*found, strict=True):
        torch.testing.assert_close(weighed, plain * expected, rtol=1e-3, atol=1e-6)


def test_sequence_weights_fall_with_the_length_of_the_completion(tiny):
    settings = online(importance="truncate", importance_level="sequence", max_tokens=3)
    one = task(tiny, settings, grpo(), sampler=OtherKernels(tiny, 1.25))
    (part,) = one.next_update(0).micro_batches
    learner = part.tokens["sampler"] - math.log(1.25)
    weights = one._importance(part, learner)
    lengths = torch.tensor(part.packed.completion_lengths)[part.packed.sequence_index]
    assert weights.tolist() == pytest.approx((1.25 ** -lengths.double()).tolist(), rel=1e-5)


def test_corrections_that_contradict_each_other_are_refused(tiny):
    with pytest.raises(ConfigError, match="corrects twice"):
        online(importance="mask", old_logprobs="sampler")
    with pytest.raises(ConfigError, match="the completion is one action"):
        train_rloo(tiny, PROMPTS, share_of_low, online(importance="mask"))
    with pytest.raises(ConfigError, match="with ratio 'sequence' use 'sequence'"):
        GrpoConfig(ratio="sequence", online=online(importance="truncate"))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ReinforceConfig(baseline="mean"), "none or group"),
        (lambda: ReinforceConfig(baseline="group"), "2 or more"),
        (lambda: OnlineDpoConfig(loss="simpo"), "sigmoid or"),
        (lambda: OnlineDpoConfig(online=online(group_size=1)), "2 or more"),
        (lambda: BestOfNConfig(keep="worst", share=0.0), "share"),
        (lambda: BestOfNConfig(online=online(group_size=1)), "2 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, match):
    with pytest.raises(ConfigError, match=match):
        make()


def test_whitening_in_groups_of_one_still_has_a_baseline_under_reinforce():
    recorder = Recorder()
    settings = ReinforceConfig(online=online(steps=1, group_size=1, whiten_advantages=True))
    train_reinforce(tiny_model(), PROMPTS, share_of_low, settings, observers=[recorder])
    assert recorder.steps[0].metrics["optim/grad_norm"] > 0
