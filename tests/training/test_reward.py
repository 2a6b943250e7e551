"""Reward models on the tiny model: loss, splits, held-out figures, normalization, caching, resume."""

import dataclasses
import math

import pytest
import torch

from accord.domain import ConfigError, DataError, Demonstration, Interrupted, Preference, Prompt, Streams
from accord.models.reward import load_reward_model, reward_model_from
from accord.models.tiny import tiny_model
from accord.training import OptimizationConfig, Recorder, RewardTrainingConfig, train_reward_model
from accord.training.reward import RewardTask


def config(*, eval_share=0.0, **changes):
    names = {field.name for field in dataclasses.fields(OptimizationConfig)}
    optimization = {key: changes.pop(key) for key in list(changes) if key in names}
    settings = OptimizationConfig(**{"learning_rate": 1e-3, "precision": "fp32", **optimization})
    return RewardTrainingConfig(**{"batch_size": 4, **changes}, eval_share=eval_share, optimization=settings)


def score_alone(model, prompt, text):
    """The raw score of one answer by the body's own forward."""
    row = model.tokenizer.example(prompt, text)
    hidden = model.body(input_ids=torch.tensor([row.ids])).last_hidden_state[0, -1]
    return model.head(hidden).squeeze(-1)


def loss_by_hand(model, preferences, *, centering):
    """The loss of the docstring, pair by pair and prompt by prompt."""
    total, weights = torch.zeros(()), 0.0
    for item in preferences:
        chosen, rejected = (score_alone(model, item.prompt, text) for text in (item.chosen, item.rejected))
        difference = chosen - rejected
        won = torch.nn.functional.softplus(item.margin - difference)
        lost = torch.nn.functional.softplus(item.margin + difference)
        loss = item.p_chosen * won + (1 - item.p_chosen) * lost + centering * (chosen + rejected) ** 2
        total, weights = total + item.weight * loss, weights + item.weight
    return total / weights


def first_update(model, preferences, settings):
    task = RewardTask(model, preferences, settings, streams=Streams(0))
    update = task.next_update(0)
    losses = []
    for micro_batch in update.micro_batches:
        part = task.loss(micro_batch)
        part.loss.backward()
        losses.append(part.loss.item())
    return sum(losses), {name: weight.grad.clone() for name, weight in task.parameters()}, len(losses)


def easy_pairs(count, *, good="yes", bad="no no no"):
    return [
        Preference(prompt=Prompt.from_text(f"question {i}"), chosen=good, rejected=bad) for i in range(count)
    ]


def test_loss_and_gradient_equal_each_answer_scored_alone(tiny, preferences):
    oracle, model = reward_model_from(tiny), reward_model_from(tiny)
    loss = loss_by_hand(oracle, preferences, centering=0.1)
    loss.backward()
    ours, gradients, _ = first_update(model, preferences, config(batch_size=12, centering=0.1))
    assert ours == pytest.approx(loss.item(), rel=1e-5)
    for name, weight in oracle.trainable_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("micro_batch_tokens", [1, 200])
def test_trap_16_micro_batches_equal_the_full_batch(preferences, micro_batch_tokens):
    results = []
    for budget in (10_000, micro_batch_tokens):
        model = reward_model_from(tiny_model())
        model.body.double()
        results.append(first_update(model, preferences, config(batch_size=12, micro_batch_tokens=budget)))
    (whole, whole_gradients, _), (parted, gradients, count) = results
    assert count > 1
    assert parted == pytest.approx(whole, rel=1e-6)
    for name, gradient in whole_gradients.items():
        assert (gradients[name] - gradient).norm() <= 1e-6 * gradient.norm(), name


def test_trap_26_a_fresh_head_starts_near_ln_2(tiny):
    # no margins, hard labels: a model that knows nothing has loss ln 2, here to 2 %
    pairs = easy_pairs(16, good="one answer", bad="two answer")
    loss, _, _ = first_update(reward_model_from(tiny), pairs, config(batch_size=16))
    assert loss == pytest.approx(math.log(2), rel=0.02)


def test_a_head_of_spread_0_begins_without_a_lean(tiny):
    # every score is 0 before the first update: the loss is ln 2 exactly, whatever the lengths
    pairs = easy_pairs(16, good="one answer", bad="two")
    scores = {}
    for std in (0.0, None):
        still = RewardTrainingConfig(
            head_std=std, optimization=OptimizationConfig(steps=1, learning_rate=1e-12, warmup_steps=0)
        )
        model = train_reward_model(tiny, pairs, still).reward_model
        scores[std] = model.score_texts([Prompt.from_text("new")] * 2, ["yes", "no no no"])
    assert scores[0.0] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert abs(scores[None][0] - scores[None][1]) > 1e-3
    loss, _, _ = first_update(reward_model_from(tiny, head_std=0.0), pairs, config(batch_size=16))
    assert loss == pytest.approx(math.log(2), abs=1e-6)
    with pytest.raises(ConfigError, match=r"head_std must be 0 or more, or none, got -1\.0"):
        RewardTrainingConfig(head_std=-1.0)


def test_a_list_of_preferences_and_defaults_are_enough(tiny):
    before = tiny.version
    result = train_reward_model(
        tiny, easy_pairs(40), RewardTrainingConfig(optimization=OptimizationConfig(learning_rate=1e-3))
    )
    assert result.metrics["reward/eval_accuracy"] == 1.0
    scores = result.reward_model.score_texts([Prompt.from_text("new")] * 2, ["yes", "no no no"])
    assert scores[0] > scores[1]
    assert tiny.version == before  # the language model is copied, not changed


def test_without_a_config_it_runs_too(tiny):
    assert train_reward_model(tiny, easy_pairs(8)).steps >= 1


def test_each_evaluation_logs_every_held_out_figure(tiny, preferences):
    recorder = Recorder()
    train_reward_model(
        tiny,
        preferences[:8],
        config(eval_every=1),
        eval_preferences=preferences[8:],
        observers=[recorder],
    )
    assert [report.step for report in recorder.evaluations] == [0, 1, 2]
    assert set(recorder.evaluations[0].metrics) == {
        "reward/eval_accuracy",
        "reward/eval_nll",
        "reward/eval_brier",
        "reward/eval_calibration_error",
        "reward/eval_mean",
        "reward/eval_margin",
        "reward/eval_length_correlation",
    }


def test_trap_52_held_out_pairs_share_no_prompt_with_training(tiny):
    pairs = [pair for pair in easy_pairs(20) for _ in range(2)]
    task = RewardTask(reward_model_from(tiny), pairs, config(eval_share=0.3), streams=Streams(0))
    train, held_out = ({tuple(row.prompt_ids) for row in rows} for rows in (task.rows, task.eval_rows))
    assert len(task.rows) + len(task.eval_rows) == 40
    assert held_out
    assert not train & held_out


def test_trap_52_evaluation_pairs_on_training_prompts_are_refused(tiny):
    with pytest.raises(
        DataError, match=r"1 prompts stand in training and in held-out pairs, e.g. 'question 3'"
    ):
        train_reward_model(tiny, easy_pairs(4), eval_preferences=easy_pairs(4)[3:])


def three_answers(n_prompts):
    """All three pairs of three answers to each prompt."""
    return [
        Preference(prompt=Prompt.from_raw(f"question {i}"), chosen=chosen, rejected=rejected)
        for i in range(n_prompts)
        for chosen, rejected in (("good", "fair"), ("good", "bad"), ("fair", "bad"))
    ]


def test_pairs_of_a_prompt_stay_in_one_update_and_run_each_answer_once(tiny):
    pairs = three_answers(4)
    settings = config(batch_size=6, pairs_per_group=3)
    task = RewardTask(reward_model_from(tiny), pairs, settings, streams=Streams(0))
    assert task.order.steps_per_epoch == 2
    for step in range(2):
        (part,) = task.next_update(step).micro_batches
        assert len(part.rows) == 6
        assert len({tuple(row.prompt_ids) for row in part.rows}) == 2
        assert [len(group.answers) for group in part.groups] == [3, 3]


def test_grouped_pairs_have_the_loss_and_gradient_of_single_ones(tiny):
    pairs = [
        dataclasses.replace(pair, p_chosen=0.6 + 0.05 * i, weight=1.0 + i)
        for i, pair in enumerate(three_answers(2))
    ]
    found = []
    for pairs_per_group in (3, 2, 1):
        settings = config(batch_size=6, pairs_per_group=pairs_per_group, is_shuffled=False)
        task = RewardTask(reward_model_from(tiny), pairs, settings, streams=Streams(0))
        (part,) = task.next_update(0).micro_batches
        loss = task.loss(part).loss
        loss.backward()
        found.append((loss.item(), [weight.grad.clone() for _, weight in task.parameters()]))
    for loss, gradients in found[:2]:
        assert loss == pytest.approx(found[2][0], rel=1e-6)
        for grouped, single in zip(gradients, found[2][1], strict=True):
            torch.testing.assert_close(grouped, single, rtol=1e-4, atol=1e-6)


def test_pairs_of_weight_zero_are_left_out(tiny):
    pairs = [dataclasses.replace(pair, weight=float(i > 1)) for i, pair in enumerate(easy_pairs(4))]
    task = RewardTask(reward_model_from(tiny), pairs, config(), streams=Streams(0))
    assert len(task.rows) == 2
    with pytest.raises(DataError, match="none with a weight above 0"):
        train_reward_model(tiny, [dataclasses.replace(pair, weight=0.0) for pair in pairs], config())


def test_training_accuracy_counts_ties_half(tiny):
    pairs = [Preference(prompt=Prompt.from_text("a"), chosen="yes", rejected="no", p_chosen=0.5)]
    recorder = Recorder()
    train_reward_model(tiny, pairs, config(), observers=[recorder])
    assert recorder.steps[0].metrics["reward/accuracy"] == 0.5


def test_trap_27_scores_have_mean_zero_on_demonstrations_after_export(tiny, tmp_path):
    demonstrations = [
        Demonstration(prompt=Prompt.from_text(f"q{i}"), completion="answer " * i) for i in range(1, 6)
    ]
    result = train_reward_model(
        tiny,
        easy_pairs(8),
        config(),
        normalization_demonstrations=demonstrations,
        run_dir=tmp_path,
    )
    loaded = load_reward_model(tmp_path / "model")
    for model in (result.reward_model, loaded):
        scores = model.score_texts(
            [item.prompt for item in demonstrations], [item.completion for item in demonstrations]
        )
        assert sum(scores) / 5 == pytest.approx(0.0, abs=1e-5)


def test_trap_28_a_held_out_likelihood_that_falls_is_reported(tiny):
    # training says the short answer is better, the held-out pairs say the long one is
    held_out = [
        Preference(prompt=Prompt.from_text(f"held out {i}"), chosen="no no no", rejected="yes")
        for i in range(4)
    ]
    result = train_reward_model(tiny, easy_pairs(16), config(eval_every=2), eval_preferences=held_out)
    assert "held-out negative log-likelihood rises" in result.warnings[0]
    improving = train_reward_model(
        tiny, easy_pairs(16), config(eval_every=2), eval_preferences=easy_pairs(20)[16:]
    )
    assert improving.warnings == ()


@pytest.mark.parametrize("layers", [0, 1])
def test_only_the_top_layers_change(tiny, layers):
    model = reward_model_from(tiny, trainable_layers=layers)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    train_reward_model(model, easy_pairs(4), config())
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {name for name, _ in model.trainable_parameters()}
    assert len(changed) < len(before)


def test_the_trunk_cache_changes_nothing_but_rounding(tiny, preferences):
    ends = []
    for budget in (0.0, 1e-5, 1.0):  # none, room for a row or two, all
        model = reward_model_from(tiny, trainable_layers=1)
        recorder = Recorder()
        train_reward_model(model, preferences, config(epochs=3, trunk_cache_gb=budget), observers=[recorder])
        ends.append([value for _, value in recorder.curve("reward/loss")])
    assert ends[1] == ends[2]
    assert ends[0] == pytest.approx(ends[1], rel=1e-4)


@pytest.mark.parametrize("layers", [None, 1])
def test_trap_46_killed_and_resumed_equals_uninterrupted(
    tiny, preferences, tmp_path, press_ctrl_c_at, curve, layers
):
    settings = config(epochs=3, eval_every=2, trainable_layers=layers, schedule="linear")
    common = {"eval_preferences": preferences[8:]}
    whole = train_reward_model(tiny, preferences[:8], settings, run_dir=tmp_path / "whole", **common)
    with pytest.raises(Interrupted):
        train_reward_model(
            tiny,
            preferences[:8],
            settings,
            run_dir=tmp_path / "parted",
            observers=[press_ctrl_c_at(3)],
            **common,
        )
    resumed = train_reward_model(
        tiny, preferences[:8], settings, run_dir=tmp_path / "parted", resume=True, **common
    )
    ends = [dict(result.reward_model.state_dict()) for result in (whole, resumed)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert curve(tmp_path / "parted") == curve(tmp_path / "whole")
    assert resumed.warnings == whole.warnings


def test_rows_that_are_cut_are_counted(tiny):
    result = train_reward_model(tiny, easy_pairs(4, bad="no " * 50), config(max_tokens=60))
    assert result.truncated_rows == 4
