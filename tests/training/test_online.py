"""Policy optimization end to end on the tiny model: it learns what is rewarded, and nothing else moves it."""

import dataclasses
import math
from functools import partial

import pytest
import torch

from accord.domain import (
    Completion,
    ConfigError,
    DataError,
    FinishReason,
    Prompt,
    RewardError,
    Streams,
    TrainingError,
)
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.language_model import frozen_copy
from accord.models.layers import train_top_layers
from accord.models.ragged import hidden_states
from accord.models.reward import reward_model_from
from accord.models.tiny import tiny_model
from accord.rollouts import (
    FunctionReward,
    MissingEosConfig,
    ModelReward,
    NativeSampler,
    SamplingConfig,
    ScriptedSampler,
    WeightedReward,
)
from accord.training import METRICS, OnlineConfig, OptimizationConfig, Recorder, train_online, train_rloo
from accord.training.metrics import find_metric
from accord.training.objectives import (
    Aggregation,
    group_normalized,
    rloo,
    sequence_policy_loss,
    token_policy_loss,
)
from accord.training.online import OnlineTask
from accord.training.online_strategy import GroupPolicyGradient
from accord.training.reference import score_completions

PROMPTS = [Prompt.from_text(text) for text in ("tell me", "what now?", "a longer question than that", "go")]
TIMED = ("throughput/", "memory/", "time/", "sampler/tokens_per_s")


def config(*, steps=3, rate=1e-2, max_tokens=12, temperature=1.0, optimization=None, **changes):
    settings = {"steps": steps, "learning_rate": rate, "precision": "fp32", **(optimization or {})}
    return OnlineConfig(
        **{
            "prompts_per_step": 4,
            "group_size": 4,
            "kl_coefficient": 0.0,
            "sampling": SamplingConfig(max_tokens=max_tokens, temperature=temperature),
            "optimization": OptimizationConfig(**settings),
            **changes,
        }
    )


def share_of_e(prompts, completions):
    return [completion.token_ids.count(ord("e")) / len(completion.token_ids) for completion in completions]


def indifferent(prompts, completions):
    return [0.0] * len(completions)


def task(
    model,
    settings,
    *,
    reward=share_of_e,
    prompts=PROMPTS,
    sampler=None,
    objective=None,
    is_by_token=False,
    **options,
):
    return OnlineTask(
        model,
        prompts,
        FunctionReward(reward),
        settings,
        sampler=sampler or NativeSampler(model, precision="fp32"),
        strategy=GroupPolicyGradient(
            advantage=rloo,
            objective=objective or partial(sequence_policy_loss, clip=settings.clip),
            aggregation=Aggregation.TOKEN_MEAN,
            is_by_token=is_by_token,
            whitens=settings.whiten_advantages,
        ),
        streams=Streams(0),
        **options,
    )


def own_logprobs(online, part):
    with torch.no_grad():
        return score_completions(online.model, part.packed, trunk=part.trunk).logprobs


def losses_of(online, step=0):
    update = online.next_update(step)
    return update, [online.loss(part) for part in update.micro_batches]


def summed(parts):
    return {name: float(sum(part.metrics[name] for part in parts)) for name in parts[0].metrics}


def steady(report):
    return {name: value for name, value in report.metrics.items() if not name.startswith(TIMED)}


def test_the_policy_learns_what_is_rewarded(tiny):
    # a random byte model writes "e" about once in 260 bytes
    recorder = Recorder()
    settings = config(steps=30, rate=1e-2, kl_coefficient=0.001, group_size=8)
    result = train_rloo(tiny, PROMPTS, share_of_e, settings, observers=[recorder])
    rewards = [report.metrics["reward/mean"] for report in recorder.steps]
    assert sum(rewards[:5]) / 5 < 0.03
    assert sum(rewards[-5:]) / 5 > 0.4
    assert recorder.steps[-1].metrics["kl/k1"] > 1.0
    assert result.steps == 30
    assert result.stopped_reason == "finished"


def test_the_policy_learns_to_end_its_answers(tiny):
    recorder = Recorder()
    settings = config(steps=25, missing_eos=MissingEosConfig(mode="replace", value=-1.0), group_size=8)
    train_rloo(tiny, PROMPTS, indifferent, settings, observers=[recorder])
    assert recorder.steps[0].metrics["eos/share"] < 0.3
    assert recorder.steps[-1].metrics["eos/share"] > 0.8
    assert recorder.steps[-1].metrics["length/mean"] < 0.7 * recorder.steps[0].metrics["length/mean"]


def test_trap_30_the_kl_penalty_alone_moves_the_policy_back_to_its_reference(tiny):
    reference = frozen_copy(tiny)
    train_rloo(tiny, PROMPTS, share_of_e, config(steps=12, group_size=8))
    recorder = Recorder()
    settings = config(steps=15, kl_coefficient=1.0, group_size=8)
    train_rloo(tiny, PROMPTS, indifferent, settings, reference=reference, observers=[recorder])
    divergences = [report.metrics["kl/k1"] for report in recorder.steps]
    assert divergences[0] > 2.0
    assert max(divergences[-3:]) < 0.5 * divergences[0]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_traps_9_and_11_on_untouched_weights_ratio_is_one_and_kl_is_zero(tiny, temperature):
    _, parts = losses_of(task(tiny, config(temperature=temperature)))
    metrics = summed(parts)
    assert metrics["ratio/mean"] == 1.0
    assert metrics["ratio/clipped"] == 0.0
    assert metrics["kl/k1"] == 0.0
    assert metrics["kl/k3"] == 0.0
    assert metrics["sampler/logprob_gap"] < 1e-5


def test_trap_11_the_samplers_own_logprobs_give_a_ratio_of_one_to_rounding(tiny):
    _, parts = losses_of(task(tiny, config(old_logprobs="sampler", temperature=0.7)))
    assert summed(parts)["ratio/mean"] == pytest.approx(1.0, abs=1e-5)
    assert summed(parts)["ratio/clipped"] == 0.0


def test_trap_47_at_rate_zero_nothing_moves(tiny):
    before = tiny.version
    recorder = Recorder()
    train_rloo(
        tiny, PROMPTS, share_of_e, config(steps=4, rate=0.0, old_logprobs="sampler"), observers=[recorder]
    )
    assert tiny.version == before
    for report in recorder.steps:
        assert report.metrics["kl/k1"] == 0.0
        assert report.metrics["ratio/mean"] == pytest.approx(1.0, abs=1e-5)
        assert report.metrics["sampler/logprob_gap"] < 1e-5


def test_trap_8_the_trained_ids_are_the_sampled_ids(tiny):
    # random bytes are mostly no text: decoding and tokenizing them again would give other ids
    online = task(tiny, config(prompts_per_step=2))
    drawn = NativeSampler(tiny, precision="fp32").sample(
        [PROMPTS[i] for i in online.order.batch(0)],
        group=4,
        config=online.config.sampling,
        streams=Streams(0).child("rollout", 0),
    )
    sampled = [token for group in drawn for completion in group for token in completion.token_ids]
    (part,) = online.next_update(0).micro_batches
    assert part.packed.targets.tolist() == sampled
    texts = [completion.text for group in drawn for completion in group]
    again = [token for text in texts for token in tiny.tokenizer.completion_ids(text, ended=False)]
    assert again != [token for token in sampled if token != tiny.tokenizer.eos_id]


def test_trap_10_filtered_sampling_is_refused():
    for changed in ({"top_k": 20}, {"top_p": 0.9}, {"min_p": 0.1}, {"temperature": 0.0}):
        with pytest.raises(ConfigError, match="filtered samples are not drawn from the policy"):
            OnlineConfig(sampling=SamplingConfig(**changed))


def test_trap_12_dropout_does_not_part_policy_and_reference(tiny):
    tiny.network.config.attention_dropout = 0.5
    for layer in tiny.body.layers:
        layer.self_attn.attention_dropout = 0.5
    tiny.network.train()
    online = task(tiny, config())
    tiny.network.train()
    _, parts = losses_of(online)
    assert summed(parts)["kl/k3"] == 0.0


def test_trap_13_under_lora_the_reference_is_the_base_and_stays_it(tiny):
    base = frozen_copy(tiny)
    model = add_adapter(tiny, LoraConfig(rank=4, alpha=8.0))
    online = task(model, config(rate=1e-2))
    assert online.reference.is_adapter_off
    (part,) = online.next_update(0).micro_batches
    expected = part.reference_logprobs
    train_rloo(model, PROMPTS, share_of_e, config(steps=5, group_size=4))
    after = online.reference.logprobs(part.packed, trunk=None, temperature=1.0)
    assert torch.equal(after, expected)
    assert not torch.equal(own_logprobs(online, part), expected)
    # The base alone runs fused, under an adapter by its own layers: the same weights, another rounding.
    of_base = score_completions(base, part.packed).logprobs
    torch.testing.assert_close(after, of_base, rtol=1e-5, atol=1e-5)
    assert model.base_version == base.version


def test_trap_13_an_adapter_that_had_learned_gets_a_frozen_copy(tiny):
    model = add_adapter(tiny, LoraConfig(rank=4, alpha=8.0))
    train_rloo(model, PROMPTS, share_of_e, config(steps=2))
    model.start_is_base = False
    _, parts = losses_of(task(model, config()))
    assert summed(parts)["kl/k3"] == 0.0


def test_trap_14_a_sampler_on_other_weights_is_found_out(tiny):
    other = tiny_model(seed=5)
    with torch.no_grad():
        for weight in other.network.parameters():
            weight.mul_(5.0)
    with pytest.raises(TrainingError, match=r"sampler and learner differ by .* nats a token"):
        losses_of(task(tiny, config(), sampler=NativeSampler(other, precision="fp32")))


@pytest.mark.parametrize("level", ["sequence", "token"])
def test_trap_16_any_split_into_micro_batches_gives_the_same_gradient(tiny, level):
    objective = {
        "sequence": partial(sequence_policy_loss, clip=0.2),
        "token": partial(token_policy_loss, clip=0.2, aggregation=Aggregation.TOKEN_MEAN),
    }[level]
    gradients, figures = [], []
    for budget in (10_000, 150, 1):
        settings = config(kl_coefficient=0.1, optimization={"micro_batch_tokens": budget})
        tiny.network.zero_grad()
        update, parts = losses_of(task(tiny, settings, objective=objective, is_by_token=level == "token"))
        for part in parts:
            part.loss.backward()
        gradients.append([weight.grad.clone() for weight in tiny.network.parameters()])
        figures.append((len(update.micro_batches), update.tokens, summed(parts)))
    assert [figure[0] for figure in figures] == [1, figures[1][0], 4]
    assert 1 < figures[1][0] <= 4
    for other, (_, tokens, metrics) in zip(gradients[1:], figures[1:], strict=True):
        for left, right in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)
        assert tokens == figures[0][1]
        assert metrics == pytest.approx(figures[0][2], rel=1e-4, abs=1e-6)


def test_the_loss_gradient_is_rloo_by_hand(tiny):
    # two groups of two: A = (r0 - r1, r1 - r0), loss = -1/4 sum A_i log pi(x_i)
    prompts = PROMPTS[:2]
    sampler = ScriptedSampler(
        {prompt.text: ["yes", "no way"] for prompt in prompts}, tokenizer=tiny.tokenizer
    )

    def scores(_, completions):
        return [3.0 if completion.text == "yes" else 1.0 for completion in completions]

    settings = config(prompts_per_step=2, group_size=2)
    online = task(tiny, settings, reward=scores, prompts=prompts, sampler=sampler)
    (_, (part,)) = losses_of(online)
    part.loss.backward()
    ours = [weight.grad.clone() for weight in tiny.network.parameters()]
    tiny.network.zero_grad()
    total = 0.0
    for prompt in prompts:
        for text, advantage in (("yes", 2.0), ("no way", -2.0)):
            ids, answer = tiny.tokenizer.prompt_ids(prompt), tiny.tokenizer.completion_ids(text)
            logits = tiny.network(torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1]
            total = (
                total - advantage * logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum() / 4
            )
    total.backward()
    for mine, weight in zip(ours, tiny.network.parameters(), strict=True):
        torch.testing.assert_close(mine, weight.grad, rtol=1e-4, atol=1e-6)


def test_the_kl_penalty_is_in_the_total_by_hand(tiny):
    reference = frozen_copy(tiny)
    with torch.no_grad():
        tiny.network.model.norm.weight.mul_(1.5)
    online = task(tiny, config(kl_coefficient=0.5), reward=lambda p, c: [2.0] * len(c), reference=reference)
    _, parts = losses_of(online)
    metrics = summed(parts)
    assert abs(metrics["kl/k1"]) > 1e-3
    assert metrics["reward/total_mean"] == pytest.approx(2.0 - 0.5 * metrics["kl/k1"], rel=1e-5)
    assert metrics["kl/k1"] == pytest.approx(metrics["kl/per_token"] * parts_tokens(online) / 16, rel=1e-5)


def parts_tokens(online):
    return sum(sum(part.packed.completion_lengths) for part in online.next_update(0).micro_batches)


def test_trap_32_measured_kl_agrees_with_the_exact_kl_over_the_vocabulary(tiny):
    reference = frozen_copy(tiny)
    with torch.no_grad():
        tiny.network.model.norm.weight.mul_(2.0)
    settings = config(group_size=200, prompts_per_step=2, max_tokens=8)
    online = task(tiny, settings, reward=indifferent, prompts=PROMPTS[:2], reference=reference)
    estimates, truths = [], []
    for part in online.next_update(0).micro_batches:
        own = own_logprobs(online, part)
        index, count = part.packed.sequence_index, part.packed.n_completions
        estimates.append(torch.zeros(count).index_add(0, index, own - part.reference_logprobs))
        with torch.no_grad():
            distributions = [
                (hidden_states(model, part.packed.ragged)[part.packed.predictor_index] @ model.head_weight.T)
                for model in (tiny, reference)
            ]
        mine, theirs = (logits.log_softmax(-1) for logits in distributions)
        exact = (mine.exp() * (mine - theirs)).sum(-1)
        truths.append(torch.zeros(count).index_add(0, index, exact))
    difference = torch.cat(estimates) - torch.cat(truths)
    error = difference.std().item() / math.sqrt(len(difference))
    assert torch.cat(truths).mean() > 0.02
    assert abs(difference.mean().item()) < 3 * error


def test_trap_37_a_cut_completion_keeps_its_ids_without_eos(tiny):
    online = task(tiny, config(max_tokens=3))
    (part,) = online.next_update(0).micro_batches
    ends = part.packed.ragged.token_ids[part.packed.last_index]
    lengths = torch.tensor(part.packed.completion_lengths)
    assert (lengths == 3).any()
    assert bool(((ends == online.model.tokenizer.eos_id) | (lengths == 3)).all())
    assert (ends != online.model.tokenizer.eos_id).any()


def test_trap_40_groups_stay_with_their_prompts(tiny):
    # the reward of a completion is its prompt's number; every group is equal, so no advantage is left
    numbers = {prompt.id: float(i) for i, prompt in enumerate(PROMPTS)}
    online = task(tiny, config(), reward=lambda prompts, _: [numbers[prompt.id] for prompt in prompts])
    update, parts = losses_of(online)
    assert update.metrics["reward/std"] == pytest.approx(math.sqrt(1.25))
    assert update.metrics["reward/equal_groups"] == 1.0
    assert summed(parts)["advantage/abs_mean"] == 0.0


def test_rewards_are_scaled_and_clipped_in_this_order(tiny):
    online = task(
        tiny, config(reward_scale=0.5, reward_clip=1.0), reward=lambda p, c: [10.0, 1.0, -10.0, 0.0] * 4
    )
    (part,) = online.next_update(0).micro_batches
    assert part.rewards.tolist() == [[1.0, 0.5, -1.0, 0.0]] * 4


def test_whitened_advantages_have_mean_zero_and_variance_one_over_the_update(tiny):
    settings = config(whiten_advantages=True, kl_coefficient=0.1, optimization={"micro_batch_tokens": 100})
    online = task(tiny, settings, reward=lambda p, c: [float(len(each.text)) for each in c])
    parts = online.next_update(0).micro_batches
    advantages = torch.cat([part.completions["advantages"] for part in parts])
    assert len(parts) > 1
    assert advantages.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert advantages.std(unbiased=False).item() == pytest.approx(1.0, rel=1e-5)


def test_shared_frozen_layers_run_once_and_change_nothing(tiny):
    plain = losses_of(task(tiny, config(kl_coefficient=0.1)))
    train_top_layers(tiny.causal_lm, 1)
    online = task(tiny, config(kl_coefficient=0.1))
    assert online.reference.shares_trunk
    assert online.reference.trunk_layers == 1
    shared = losses_of(online)
    assert shared[0].micro_batches[0].trunk is not None
    assert shared[1][0].loss.item() == pytest.approx(plain[1][0].loss.item(), rel=1e-5)
    for left, right in zip(plain[0].micro_batches, shared[0].micro_batches, strict=True):
        torch.testing.assert_close(left.reference_logprobs, right.reference_logprobs)
    mine, theirs = online.model.body.layers[0], online.reference.model.body.layers[0]
    assert mine.mlp.up_proj.weight is theirs.mlp.up_proj.weight


@pytest.mark.parametrize("kind", ["full", "lora", "top"])
def test_trap_46_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, kind):
    def fresh():
        model = tiny_model()
        if kind == "top":
            train_top_layers(model.causal_lm, 1)
        return add_adapter(model, LoraConfig(rank=4, alpha=8.0)) if kind == "lora" else model

    def failing_at(calls):
        seen = []

        def reward(prompts, completions):
            seen.append(1)
            if len(seen) == calls:
                raise RuntimeError("the service is away")
            return share_of_e(prompts, completions)

        return reward

    settings = config(steps=5, prompts_per_step=3, kl_coefficient=0.05, max_kl=1e6)
    whole = Recorder()
    expected = fresh()
    train_rloo(expected, PROMPTS, share_of_e, settings, observers=[whole])
    first, second = Recorder(), Recorder()
    with pytest.raises(RewardError, match="the service is away"):
        train_rloo(fresh(), PROMPTS, failing_at(4), settings, run_dir=tmp_path / "run", observers=[first])
    resumed = fresh()
    train_rloo(
        resumed, PROMPTS, share_of_e, settings, run_dir=tmp_path / "run", observers=[second], resume=True
    )
    assert [steady(report) for report in (*first.steps, *second.steps)] == [steady(r) for r in whole.steps]
    assert len(first.steps) == 3
    assert resumed.version == expected.version


def test_a_resumed_run_with_other_prompts_is_refused(tmp_path, tiny):
    settings = config(steps=2, optimization={"checkpoint_every": 1})
    train_rloo(tiny, PROMPTS, share_of_e, settings, run_dir=tmp_path)
    with pytest.raises(TrainingError, match=r"data"):
        train_rloo(tiny_model(), PROMPTS[:3], share_of_e, settings, run_dir=tmp_path, resume=True)


def test_a_kl_budget_ends_the_run_with_its_reason(tiny, tmp_path):
    settings = config(steps=30, rate=2e-2, max_kl=0.5)
    recorder = Recorder()
    result = train_rloo(tiny, PROMPTS, share_of_e, settings, run_dir=tmp_path, observers=[recorder])
    assert result.steps < 30
    assert "over max_kl = 0.5" in result.stopped_reason
    divergences = [report.metrics["kl/k1"] for report in recorder.steps]
    assert divergences[-1] > 0.5
    assert max(divergences[:-1]) <= 0.5
    assert (tmp_path / "model" / "config.json").is_file()


@pytest.mark.parametrize("bad", [math.nan, None])
def test_a_reward_that_is_no_number_stops_the_run(tiny, bad):
    with pytest.raises(RewardError, match="expected a finite number"):
        train_rloo(tiny, PROMPTS, lambda p, c: [bad] * len(c), config())


def test_every_logged_metric_is_registered(tiny):
    recorder = Recorder()
    reward = WeightedReward(
        {"e": (1.0, FunctionReward(share_of_e)), "zero": (0.0, FunctionReward(indifferent))}
    )
    train_rloo(tiny, PROMPTS, reward, config(steps=2), eval_prompts=PROMPTS[:2], observers=[recorder])
    names = {name for report in (*recorder.steps, *recorder.evaluations) for name in report.metrics}
    assert [name for name in names if find_metric(name) is None] == []
    expected = {
        name for name in METRICS if name.startswith(("policy/", "kl/", "ratio/", "sampler/", "time/"))
    }
    assert expected <= names
    assert "reward/part/e" in names


def test_the_evaluation_draws_the_same_numbers_each_time_and_sees_progress(tiny):
    recorder = Recorder()
    settings = config(steps=12, rate=2e-2, group_size=8, optimization={"eval_every": 6})
    train_rloo(tiny, PROMPTS, share_of_e, settings, eval_prompts=PROMPTS * 8, observers=[recorder])
    first, last = recorder.evaluations[0].metrics, recorder.evaluations[-1].metrics
    assert first["policy/eval_kl"] == 0.0
    assert last["policy/eval_reward"] > first["policy/eval_reward"] + 0.1
    assert last["policy/eval_kl"] > 0.1
    still = Recorder()
    settings = config(steps=2, rate=0.0, optimization={"eval_every": 1})
    train_rloo(tiny_model(), PROMPTS, share_of_e, settings, eval_prompts=PROMPTS, observers=[still])
    assert len({tuple(report.metrics.items()) for report in still.evaluations}) == 1


def test_a_reward_model_can_be_the_reward(tiny):
    reward_model = reward_model_from(tiny, seed=2)
    recorder = Recorder()
    train_rloo(tiny, PROMPTS, ModelReward(reward_model), config(steps=15, group_size=8), observers=[recorder])
    rewards = [report.metrics["reward/mean"] for report in recorder.steps]
    spread = recorder.steps[0].metrics["reward/std"]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + spread


def test_another_algorithm_is_another_strategy(tiny):
    recorder = Recorder()
    train_online(
        tiny,
        PROMPTS,
        share_of_e,
        config(steps=20, group_size=8),
        strategy=GroupPolicyGradient(
            advantage=group_normalized,
            objective=partial(token_policy_loss, clip=0.2),
            aggregation=Aggregation.SEQUENCE_MEAN_TOKEN_MEAN,
            is_by_token=True,
        ),
        algorithm="grpo",
        observers=[recorder],
    )
    assert recorder.steps[-1].metrics["reward/mean"] > recorder.steps[0].metrics["reward/mean"] + 0.1


def test_bf16_learns_too(tiny):
    recorder = Recorder()
    settings = config(steps=20, group_size=8, optimization={"precision": "bf16"})
    train_rloo(tiny, PROMPTS, share_of_e, settings, observers=[recorder])
    assert recorder.steps[0].metrics["kl/k1"] == 0.0
    assert recorder.steps[-1].metrics["reward/mean"] > recorder.steps[0].metrics["reward/mean"] + 0.1
    assert recorder.steps[0].metrics["sampler/logprob_gap"] < 0.05


def test_settings_that_cannot_work_are_all_named_at_once():
    with pytest.raises(ConfigError) as caught:
        OnlineConfig(
            prompts_per_step=0, group_size=0, kl_coefficient=-1.0, clip=0.0, max_kl=0.0, reward_scale=0.0
        )
    assert len(caught.value.problems) == 6


def test_no_prompts_are_refused(tiny):
    with pytest.raises(DataError, match="no prompts"):
        train_rloo(tiny, [], share_of_e, config())


def test_a_prompt_that_leaves_no_room_is_refused_before_anything_runs(tiny):
    prompt = Prompt.from_text("x" * tiny.context_tokens)
    with pytest.raises(DataError, match="context of 2048"):
        train_rloo(tiny, [*PROMPTS, prompt], share_of_e, config())


class StingySampler:
    def __init__(self, completions):
        self.completions = completions

    def sample(self, prompts, *, group, config, streams):
        return [list(self.completions)] * len(prompts)


def test_samplers_that_break_the_rules_are_found_out(tiny):
    done = Completion(text="a", token_ids=(97,), finish_reason=FinishReason.LENGTH)
    with pytest.raises(TrainingError, match="expected one group of 4"):
        losses_of(task(tiny, config(), sampler=StingySampler([done] * 3)))
    with pytest.raises(TrainingError, match="without token ids"):
        losses_of(task(tiny, config(), sampler=StingySampler([done] * 3 + [Completion(text="a")])))
    settings = dataclasses.replace(config(), old_logprobs="sampler")
    with pytest.raises(TrainingError, match="keeps no log-probs"):
        losses_of(task(tiny, settings, sampler=StingySampler([done] * 4)))
