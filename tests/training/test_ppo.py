"""PPO end to end on the tiny model: values, advantages, epochs, warm-up, control and resuming."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from accord.domain import ConfigError, Prompt, RewardError, Streams
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.language_model import frozen_copy
from accord.models.layers import train_top_layers
from accord.models.reward import reward_model_from
from accord.models.tiny import tiny_model
from accord.rollouts import FunctionReward, MissingEosConfig, ModelReward, NativeSampler, SamplingConfig
from accord.training import OnlineConfig, OptimizationConfig, PpoConfig, Recorder, train_ppo
from accord.training.critic import build_critic
from accord.training.metrics import find_metric
from accord.training.online import OnlineTask
from accord.training.ppo import ppo_strategy

PROMPTS = [Prompt.from_text(text) for text in ("tell me", "what now?", "a longer question than that", "go")]
TIMED = ("throughput/", "memory/", "time/", "sampler/tokens_per_s")


def config(*, steps=4, rate=1e-2, ppo=None, optimization=None, **changes):
    settings = {"steps": steps, "learning_rate": rate, "precision": "fp32", **(optimization or {})}
    online = {
        "prompts_per_step": 4,
        "group_size": 2,
        "kl_coefficient": 0.0,
        "whiten_advantages": True,
        "epochs": 2,
        "sampling": SamplingConfig(max_tokens=12),
        "optimization": OptimizationConfig(**settings),
        **changes,
    }
    return PpoConfig(**{"decay": 0.95, **(ppo or {})}, online=OnlineConfig(**online))


def share_of_low(prompts, completions):
    """About a quarter of a random model's bytes are below 64, so every rollout has spread to learn from."""
    return [sum(token < 64 for token in each.token_ids) / len(each.token_ids) for each in completions]


def lengths(prompts, completions):
    return [float(len(completion.text)) for completion in completions]


def task(model, settings, *, reward=share_of_low):
    scorer = reward if isinstance(reward, ModelReward) else FunctionReward(reward)
    return OnlineTask(
        model,
        PROMPTS,
        scorer,
        settings.online,
        sampler=NativeSampler(model, precision="fp32"),
        strategy=ppo_strategy(model, scorer, settings),
        streams=Streams(0),
    )


def learn(online, step=0):
    """The update, its summed metrics and its loss; the gradient lies in the weights."""
    update = online.next_update(step)
    metrics, loss = {}, 0.0
    for part in update.micro_batches:
        share = online.loss(part)
        share.loss.backward()
        loss += float(share.loss.detach())
        for name, value in share.metrics.items():
            metrics[name] = metrics.get(name, 0.0) + float(torch.as_tensor(value).detach())
    update.on_learned(metrics)
    return update, metrics, loss


def steady(report):
    return {name: value for name, value in report.metrics.items() if not name.startswith(TIMED)}


@pytest.mark.parametrize("kind", ["shared", "separate"])
def test_the_policy_learns_what_is_rewarded(kind):
    recorder = Recorder()
    settings = config(steps=24, ppo={"critic": kind}, group_size=8, kl_coefficient=0.001)
    train_ppo(tiny_model(), PROMPTS, share_of_low, settings, observers=[recorder])
    rewards = [value for _, value in recorder.curve("reward/mean")]
    assert len(rewards) == 12  # two updates learn from each rollout
    assert rewards[0] < 0.35
    assert sum(rewards[-3:]) / 3 > 0.6


def test_at_the_first_minibatch_the_ratio_is_exactly_one_and_it_leaves_one_later(tiny):
    online = task(tiny, config(epochs=2, minibatches=2, optimization={"micro_batch_tokens": 150}))
    update, metrics, _ = learn(online)
    assert metrics["policy/update_kl"] == 0.0
    for part in update.micro_batches:
        own = part.tokens["learner"]
        assert torch.allclose(own, part.tokens["sampler"], atol=1e-5)
    assert metrics["ratio/mean"] == pytest.approx(1.0, abs=1e-6)  # a sum of shares; each ratio is 1
    assert metrics["ratio/clipped"] == 0.0
    optimizer = torch.optim.SGD([weight for _, weight in online.parameters()], lr=1.0)
    optimizer.step()
    _, later, _ = learn(online)
    assert later["policy/update_kl"] > 0.0
    assert online.position == 2


def test_trap_11_at_rate_zero_the_ratio_stays_one_through_all_epochs(tiny):
    before = tiny.version
    recorder = Recorder()
    train_ppo(tiny, PROMPTS, share_of_low, config(rate=0.0, steps=6, epochs=3), observers=[recorder])
    assert tiny.version == before
    for report in recorder.steps:
        assert report.metrics["ratio/mean"] == pytest.approx(1.0, abs=1e-5)
        assert report.metrics["ratio/clipped"] == 0.0
        assert report.metrics["policy/update_kl"] < 1e-9


def test_advantages_and_returns_are_those_of_numpy(tiny):
    settings = config(kl_coefficient=0.3, ppo={"discount": 0.9, "decay": 0.8})
    online = task(tiny, settings)
    with torch.no_grad():
        online.strategy.critic.head.weight.normal_(0.0, 0.1)
    online.strategy.critic.is_fresh = False
    online.next_update(0)
    experience = online.experience
    numbers = {name: values.double().numpy() for name, values in experience.tokens.items()}
    rewards = -0.3 * (numbers["learner"] - numbers["reference"])
    values, start, raw = numbers["values"], 0, np.zeros(len(rewards))
    for length, score in zip(experience.lengths.tolist(), experience.rewards.flatten().tolist(), strict=True):
        rewards[start + length - 1] += score
        following = following_value = 0.0
        for t in reversed(range(start, start + length)):
            delta = rewards[t] + 0.9 * following_value - values[t]
            raw[t] = following = delta + 0.9 * 0.8 * following
            following_value = values[t]
        start += length
    assert numbers["returns"] == pytest.approx(raw + values, abs=1e-5)
    assert numbers["advantages"] == pytest.approx((raw - raw.mean()) / raw.std(), abs=1e-4)


def test_trap_16_minibatches_and_micro_batches_split_the_same_gradient(tiny):
    gradients, figures = [], []
    for budget in (10_000, 150, 1):
        tiny.network.zero_grad()
        settings = config(kl_coefficient=0.1, optimization={"micro_batch_tokens": budget})
        online = task(tiny, settings)
        update, metrics, loss = learn(online)
        gradients.append([weight.grad.clone() for _, weight in online.parameters()])
        figures.append((len(update.micro_batches), metrics, loss))
    assert figures[0][0] == 1
    assert figures[2][0] == 4
    for other, (_, metrics, loss) in zip(gradients[1:], figures[1:], strict=True):
        assert loss == pytest.approx(figures[0][2], rel=1e-4, abs=1e-7)
        assert metrics == pytest.approx(figures[0][1], rel=1e-4, abs=1e-6)
        for left, right in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


def test_each_epoch_sees_each_prompt_once_in_minibatches_of_its_own(tiny):
    online = task(tiny, config(epochs=2, minibatches=2, rate=0.0))
    seen = []
    for step in range(4):
        update, _, _ = learn(online, step)
        seen.append(sum(len(part.packed.completion_lengths) for part in update.micro_batches))
        assert all(part.normalizers.sequences == 4 for part in update.micro_batches)
    assert seen == [4, 4, 4, 4]
    orders = []
    for position in range(4):
        online.position = position
        orders.append(online._members(4))
    assert sorted(orders[0] + orders[1]) == [0, 1, 2, 3]
    assert sorted(orders[2] + orders[3]) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["shared", "separate", "reward_model"])
def test_trap_25_a_fresh_critic_explains_no_less_than_a_constant_at_rewards_of_scale_ten(tiny, kind):
    reward_model = reward_model_from(tiny, seed=2)
    reward_model.scale.fill_(10.0 / 0.3)
    reward_model.offset.fill_(-7.0)
    online = task(tiny, config(ppo={"critic": kind, "decay": 1.0}), reward=ModelReward(reward_model))
    update, metrics, loss = learn(online)
    if kind != "reward_model":
        assert update.metrics["critic/explained_variance"] >= -1e-6
        values = online.experience.tokens["values"]
        assert torch.allclose(values, values[:1].expand_as(values))
        assert values.mean().item() == pytest.approx(update.metrics["critic/return_mean"], rel=1e-4)
    assert math.isfinite(loss)
    assert math.isfinite(metrics["critic/loss"])


def test_trap_25_a_critic_from_the_reward_model_starts_as_its_scores(tiny):
    reward_model = reward_model_from(tiny, seed=2)
    reward_model.scale.fill_(3.0)
    reward_model.offset.fill_(-0.5)
    online = task(tiny, config(ppo={"critic": "reward_model"}), reward=ModelReward(reward_model))
    online.next_update(0)
    packed = online.experience.pack(range(4))
    with torch.no_grad():
        at_the_end = online.strategy.critic.head(
            online.strategy.critic.body(
                input_ids=packed.ragged.token_ids[None, : 0 + len(online.experience.prompt_ids[0])]
            ).last_hidden_state[0, -1]
        )
        scored = reward_model.head(
            reward_model.body(input_ids=torch.tensor([online.experience.prompt_ids[0]])).last_hidden_state[
                0, -1
            ]
        )
    assert float(at_the_end) == pytest.approx(float(scored) * 3.0 - 0.5, rel=1e-4)
    assert online.experience.tokens["values"][0].item() == pytest.approx(float(at_the_end), rel=1e-3)


def test_a_critic_from_a_reward_model_that_is_none_or_reads_other_tokens_is_refused(tiny):
    with pytest.raises(ConfigError, match="needs the reward to be one reward model"):
        train_ppo(tiny, PROMPTS, share_of_low, config(ppo={"critic": "reward_model"}))
    other = reward_model_from(tiny_model(), seed=2)
    other.tokenizer.hf.add_tokens(["novel"])
    with pytest.raises(ConfigError, match="tokenizer is not that of the policy"):
        build_critic("reward_model", tiny, reward_model=other)


@pytest.mark.parametrize("kind", ["shared", "separate"])
def test_while_the_critic_warms_up_the_policy_stays_bit_for_bit(kind):
    model = tiny_model()
    before = model.version
    recorder = Recorder()
    settings = config(steps=4, ppo={"critic": kind, "critic_warmup": 2}, kl_in="loss", kl_coefficient=0.1)
    train_ppo(model, PROMPTS, share_of_low, settings, observers=[recorder])
    assert model.version == before
    assert {report.metrics["ratio/mean"] for report in recorder.steps[::2]} == {1.0}
    later = tiny_model()
    train_ppo(later, PROMPTS, share_of_low, dataclasses.replace(settings, critic_warmup=1))
    assert later.version != before


def test_the_critic_learns_to_expect_what_comes(tiny):
    # the reward is the prompt's number: a critic can know all of it, whatever is sampled
    numbers = {prompt.id: float(i) for i, prompt in enumerate(PROMPTS)}

    def by_prompt(prompts, completions):
        return [numbers[prompt.id] for prompt in prompts]

    recorder = Recorder()
    settings = config(
        steps=48,
        rate=5e-3,
        ppo={"critic": "separate", "critic_warmup": 100, "decay": 1.0, "value_clip": None},
        epochs=4,
    )
    train_ppo(tiny, PROMPTS, by_prompt, settings, observers=[recorder])
    curve = [value for _, value in recorder.curve("critic/explained_variance")]
    assert curve[0] == pytest.approx(0.0, abs=0.05)
    assert curve[-1] > 0.5


def test_updates_stop_when_the_policy_has_moved_too_far(tiny):
    recorder = Recorder()
    settings = config(steps=8, rate=2e-2, epochs=6, stop_update_kl=1e-3)
    train_ppo(tiny, PROMPTS, share_of_low, settings, observers=[recorder])
    updates = [report.metrics["policy/update"] for report in recorder.steps]
    moved = [report.metrics["policy/update_kl"] for report in recorder.steps]
    assert 1 < max(updates) < 6
    for this, following, kl in zip(updates, updates[1:], moved, strict=False):
        assert following == (1.0 if kl > 1e-3 else this + 1.0)


def test_the_adaptive_coefficient_moves_after_each_rollout(tiny):
    recorder = Recorder()
    settings = config(steps=6, rate=1e-2, kl_coefficient=0.1, kl_target=0.5)
    train_ppo(tiny, PROMPTS, share_of_low, settings, observers=[recorder])
    coefficients = [value for _, value in recorder.curve("kl/coefficient")]
    divergences = [value for _, value in recorder.curve("kl/k1")]
    assert len(coefficients) == 3
    for before, after, kl in zip(coefficients, coefficients[1:], divergences, strict=False):
        error = min(max((kl - 0.5) / 0.5, -0.2), 0.2)
        assert after == pytest.approx(before * (1 + 0.1 * error), rel=1e-9)


@pytest.mark.parametrize(
    ("place", "estimator"), [("reward", "k1"), ("loss", "k1"), ("loss", "k2"), ("loss", "k3")]
)
def test_trap_30_each_kl_penalty_alone_brings_the_policy_back(tiny, place, estimator):
    reference = frozen_copy(tiny)
    with torch.no_grad():
        tiny.network.model.norm.weight.mul_(3.0)
    recorder = Recorder()
    settings = config(
        steps=5,
        rate=1e-3,
        epochs=1,
        group_size=16,
        kl_coefficient=1.0,
        kl_in=place,
        kl_estimator=estimator,
        whiten_advantages=False,
    )
    train_ppo(tiny, PROMPTS, lambda p, c: [0.0] * len(c), settings, reference=reference, observers=[recorder])
    divergences = [value for _, value in recorder.curve("kl/k3")]
    assert divergences[0] > 1.0
    assert divergences[-1] < 0.7 * divergences[0]


def test_missing_eos_is_replaced_before_the_critic_sees_it(tiny):
    online = task(tiny, config(missing_eos=MissingEosConfig(mode="replace", value=-5.0)))
    online.next_update(0)
    rewards = online.experience.rewards.flatten().tolist()
    ends = [ids[-1] for group in online.experience.completion_ids for ids in group]
    stops = tiny.tokenizer.stop_ids
    assert any(end not in stops for end in ends)
    assert all((reward == -5.0) == (end not in stops) for reward, end in zip(rewards, ends, strict=True))


def test_whitened_rewards_have_variance_one_and_their_mean(tiny):
    plain, whitened = (
        task(tiny, config(ppo={"whiten_rewards": flag, "decay": 0.0}), reward=lengths)
        for flag in (False, True)
    )
    for online in (plain, whitened):
        online.strategy.critic.is_fresh = False
        online.next_update(0)
    # with decay 0 and values 0 returns are the token rewards: lengths on last tokens, else 0
    before, after = (online.experience.tokens["returns"] for online in (plain, whitened))
    assert after.std(unbiased=False).item() == pytest.approx(1.0, rel=1e-4)
    assert after.mean().item() == pytest.approx(before.mean().item(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", ["shared", "separate", "lora", "lora separate", "top"])
def test_trap_46_a_run_stopped_within_a_rollout_resumes_bit_for_bit(tmp_path, kind):
    def fresh():
        model = tiny_model()
        if kind == "top":
            train_top_layers(model.causal_lm, 1)
        return add_adapter(model, LoraConfig(rank=4, alpha=8.0)) if "lora" in kind else model

    class Stop(Exception):
        pass

    class StopAt(Recorder):
        def on_step(self, report):
            super().on_step(report)
            if report.step == 6:
                raise Stop

    # four updates a rollout, the run stops after the second of the second rollout, saved after the first
    settings = config(
        steps=9,
        kl_coefficient=0.05,
        kl_target=0.2,
        minibatches=2,
        ppo={"critic": "separate" if "separate" in kind else "shared", "critic_warmup": 1},
        optimization={"checkpoint_every": 5},
    )
    whole, first, second = Recorder(), StopAt(), Recorder()
    expected, resumed = fresh(), fresh()
    train_ppo(expected, PROMPTS, share_of_low, settings, run_dir=tmp_path / "whole", observers=[whole])
    with pytest.raises(Stop):
        train_ppo(fresh(), PROMPTS, share_of_low, settings, run_dir=tmp_path / "run", observers=[first])
    train_ppo(
        resumed, PROMPTS, share_of_low, settings, run_dir=tmp_path / "run", observers=[second], resume=True
    )
    assert [steady(each) for each in (*first.steps[:5], *second.steps)] == [steady(r) for r in whole.steps]
    assert resumed.version == expected.version
    left, right = (tmp_path / name / "critic" / "critic.safetensors" for name in ("whole", "run"))
    assert left.read_bytes() == right.read_bytes()


def test_trap_46_another_critic_is_refused(tmp_path, tiny):
    settings = config(steps=2, optimization={"checkpoint_every": 1})
    train_ppo(tiny, PROMPTS, share_of_low, settings, run_dir=tmp_path)
    changed = dataclasses.replace(settings, critic="separate")
    with pytest.raises(Exception, match="critic"):
        train_ppo(tiny_model(), PROMPTS, share_of_low, changed, run_dir=tmp_path, resume=True)


def test_a_reward_that_fails_leaves_the_rollout_as_it_was_and_costs_one_step(tmp_path):
    calls = []

    def failing(prompts, completions):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the service is away")
        return share_of_low(prompts, completions)

    settings = config(steps=4, kl_coefficient=0.05, kl_target=0.2)
    expected, resumed = tiny_model(), tiny_model()
    train_ppo(expected, PROMPTS, share_of_low, settings)
    with pytest.raises(RewardError, match="the service is away"):
        train_ppo(tiny_model(), PROMPTS, failing, settings, run_dir=tmp_path)
    train_ppo(resumed, PROMPTS, share_of_low, settings, run_dir=tmp_path, resume=True)
    assert resumed.version == expected.version


def test_every_logged_metric_is_registered(tiny):
    recorder = Recorder()
    train_ppo(tiny, PROMPTS, share_of_low, config(steps=2), observers=[recorder])
    names = {name for report in recorder.steps for name in report.metrics}
    assert [name for name in names if find_metric(name) is None] == []
    assert {name for name in names if name.startswith("critic/")} == {
        f"critic/{name}" for name in ("loss", "clipped", "explained_variance", "value_mean", "return_mean")
    }


def test_settings_that_cannot_work_are_all_named_at_once():
    with pytest.raises(ConfigError) as caught:
        PpoConfig(
            critic="none", discount=0.0, decay=2.0, value_coefficient=0.0, value_clip=0.0, clip_high=0.0
        )
    assert len(caught.value.problems) == 6
    with pytest.raises(ConfigError, match="k2 and k3 have another gradient there"):
        OnlineConfig(kl_estimator="k3")
