"""Ensembles, calibration, length and groups: losses by hand, and a known truth found again."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from accord.domain import ConfigError, DataError, Interrupted, Preference, Prompt, Streams, TrainingError
from accord.evaluation.calibration import fit_temperature as evaluations_temperature
from accord.models.reward import load_reward_model, reward_model_from
from accord.training import OptimizationConfig, RewardTrainingConfig, train_reward_model
from accord.training.bootstrap import prompt_counts
from accord.training.group_weights import GroupWeights, GroupWeightsConfig
from accord.training.ratings import RatingsObjective
from accord.training.reward import RewardTask
from accord.training.score_fitting import ScoredPairs, fit_temperature, length_slope, member_centers


def config(*, eval_share=0.0, **changes):
    names = {field.name for field in dataclasses.fields(OptimizationConfig)}
    optimization = {key: changes.pop(key) for key in list(changes) if key in names}
    settings = OptimizationConfig(**{"learning_rate": 1e-3, "precision": "fp32", **optimization})
    return RewardTrainingConfig(**{"batch_size": 4, **changes}, eval_share=eval_share, optimization=settings)


def pairs_of(count, good="yes", bad="no no no", first=0, **meta):
    return [
        Preference(prompt=Prompt.from_text(f"question {i}"), chosen=good, rejected=bad, meta=meta)
        for i in range(first, first + count)
    ]


def scored(chosen, rejected, **columns):
    n = len(chosen)
    values = {
        "chosen_tokens": np.ones(n),
        "rejected_tokens": np.ones(n),
        "p_chosen": np.ones(n),
        "weights": np.ones(n),
        **{name: np.asarray(column, dtype=float) for name, column in columns.items()},
    }
    return ScoredPairs(chosen=np.asarray(chosen, float), rejected=np.asarray(rejected, float), **values)


def test_a_bootstrap_draws_as_many_prompts_as_there_are():
    prompts = [f"p{k % 40}" for k in range(100)]
    counts = np.array(prompt_counts(prompts, 5, Streams(1)))
    assert counts.shape == (100, 5)
    assert counts[:40].sum(0).tolist() == [40.0] * 5  # the first 40 rows hold each prompt once
    assert (counts[:20] == counts[40:60]).all()  # rows of a prompt count alike
    assert len({tuple(column) for column in counts.T}) == 5
    assert prompt_counts(prompts, 1, Streams(1)) == [(1.0,)] * 100
    assert prompt_counts(prompts, 5, Streams(1)) == [tuple(row) for row in counts]


def test_the_loss_is_the_mean_of_members_each_on_its_own_counts(tiny):
    pairs = [dataclasses.replace(pair, weight=1.0 + k) for k, pair in enumerate(pairs_of(4))]
    model = reward_model_from(tiny, members=2, seed=3)
    task = RewardTask(model, pairs, config(members=2), streams=Streams(0))
    update = task.next_update(0)
    found = sum(task.loss(part).loss.item() for part in update.micro_batches)
    total, expected = 0.0, 0.0
    rows = {tuple(row.prompt_ids): row for row in task.rows}
    for pair in pairs:
        values = model.eval().ensemble_texts([pair.prompt] * 2, [pair.chosen, pair.rejected]).members
        row = rows[tuple(model.tokenizer.prompt_ids(pair.prompt))]
        for member, count in enumerate(row.counts):
            gain = float(values[0, member] - values[1, member])
            expected += pair.weight * count * math.log1p(math.exp(-gain)) / 2
        total += pair.weight
    assert found == pytest.approx(expected / total, rel=1e-4)


def test_members_learn_what_is_to_be_learnt_and_disagree_where_nothing_was(tiny, tmp_path):
    settings = config(members=4, epochs=6.0, learning_rate=3e-3, eval_share=0.25)
    result = train_reward_model(tiny, pairs_of(40), settings, run_dir=tmp_path, streams=Streams(2))
    assert result.metrics["reward/eval_accuracy"] == 1.0
    assert result.metrics["reward/eval_disagreement"] > 0
    model = result.reward_model
    seen = model.ensemble_texts([Prompt.from_text("question 99")] * 2, ["yes", "no no no"]).members
    assert (seen[0] > seen[1]).all()  # each member alone found it
    strange = model.ensemble_texts([Prompt.from_text("question 99")] * 2, ["QQ%%", "~~{}{}"]).members
    gains, strange_gains = seen[0] - seen[1], strange[0] - strange[1]
    assert strange_gains.std() / strange_gains.abs().mean() > gains.std() / gains.abs().mean()
    # zeros agree after training, so that the lowest is not always the same member
    assert model.scoring.centers
    assert sum(model.scoring.centers) == pytest.approx(0.0, abs=1e-6)
    loaded = load_reward_model(tmp_path / "model")
    assert loaded.scoring == model.scoring


def test_one_member_is_the_model_it_always_was(tiny, preferences):
    plain = train_reward_model(tiny, preferences, config(), streams=Streams(4))
    one = train_reward_model(tiny, preferences, config(members=1, rule="worst_case"), streams=Streams(4))
    for (_, left), (_, right) in zip(
        plain.reward_model.named_parameters(), one.reward_model.named_parameters(), strict=True
    ):
        assert torch.equal(left, right)
    assert plain.reward_model.scoring.is_plain


def test_rules_reach_the_score_that_a_policy_sees(tiny):
    results = {
        rule: train_reward_model(tiny, pairs_of(8), config(members=3, rule=rule), streams=Streams(4))
        for rule in ("mean", "worst_case", "variance_penalty")
    }
    prompts, texts = [Prompt.from_text("question 1")], ["maybe so"]
    scores = {rule: one.reward_model.score_texts(prompts, texts)[0] for rule, one in results.items()}
    members = results["mean"].reward_model.ensemble_texts(prompts, texts).members[0]
    assert scores["mean"] == pytest.approx(members.mean().item(), abs=1e-5)
    assert scores["worst_case"] == pytest.approx(members.min().item(), abs=1e-5)
    penalized = members.mean() - members.var(correction=0)
    assert scores["variance_penalty"] == pytest.approx(penalized.item(), abs=1e-5)


def test_centers_by_hand():
    # member means over both sides: 3 and 1, of all 2
    assert member_centers(scored([[4.0, 1.0]], [[2.0, 1.0]])) == (1.0, -1.0)


def test_length_slope_finds_what_length_adds_to_the_label():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    length = rng.normal(5.0 * (2 * label - 1), 10)  # better answers are longer: that is not bias
    gain = 1.5 * (2 * label - 1) + 0.3 * length + rng.normal(0, 0.5, 400)
    pairs = scored(gain, np.zeros(400), chosen_tokens=length, rejected_tokens=np.zeros(400), p_chosen=label)
    assert length_slope(gain, np.zeros(400), pairs) == pytest.approx(0.3, abs=0.01)
    # which side is called chosen changes nothing
    turned = scored(
        np.zeros(400), gain, chosen_tokens=np.zeros(400), rejected_tokens=length, p_chosen=1 - label
    )
    assert length_slope(np.zeros(400), gain, turned) == pytest.approx(
        length_slope(gain, np.zeros(400), pairs), abs=1e-12
    )


def test_length_slope_is_none_where_it_cannot_be_told():
    equal = scored([1.0, 2.0], [0.0, 0.0])
    assert length_slope(equal.chosen, equal.rejected, equal) == 0.0
    same = scored([1.0, 2.0], [0.0, 0.0], chosen_tokens=[3.0, 3.0], rejected_tokens=[1.0, 1.0])
    assert length_slope(same.chosen, same.rejected, same) == 0.0  # label and length are one


def test_temperature_is_that_of_the_evaluation_and_is_found_again():
    rng = np.random.default_rng(1)
    gain = rng.normal(0, 3, 4000)
    won = (rng.random(4000) < 1 / (1 + np.exp(-gain / 2.0))).astype(float)
    weights = rng.random(4000)
    found = fit_temperature(gain, won, weights)
    assert found == pytest.approx(2.0, abs=0.15)
    assert found == pytest.approx(evaluations_temperature(gain, won, weights=weights), rel=1e-6)
    with pytest.raises(DataError, match="held-out pairs"):
        fit_temperature(np.array([]), np.array([]), np.array([]))


def test_a_debiased_and_calibrated_model_says_so_after_loading(tiny, tmp_path):
    rng = np.random.default_rng(3)
    pairs = [
        dataclasses.replace(
            pair, chosen="yes " * int(rng.integers(1, 6)), rejected="no " * int(rng.integers(1, 6))
        )
        for pair in pairs_of(32)
    ]
    settings = config(is_calibrated=True, is_length_debiased=True, eval_share=0.3, epochs=2.0)
    train_reward_model(tiny, pairs, settings, run_dir=tmp_path, streams=Streams(0))
    scoring = load_reward_model(tmp_path / "model").scoring
    assert scoring.length_slope != 0.0
    assert scoring.length_center > 0
    assert scoring.temperature != 1.0


def test_calibration_without_held_out_pairs_is_refused(tiny):
    with pytest.raises(TrainingError, match="eval_share"):
        train_reward_model(tiny, pairs_of(4), config(is_calibrated=True), streams=Streams(0))


def test_options_for_pairs_are_refused_elsewhere():
    with pytest.raises(ConfigError) as caught:
        RewardTrainingConfig(objective=RatingsObjective(), members=2, is_calibrated=True)
    assert len(caught.value.problems) == 2


def test_balanced_groups_count_alike():
    weights = GroupWeights(GroupWeightsConfig(mode="balanced"), ["a", "a", "a", "b"], [1.0] * 4)
    # shares 3/4 and 1/4, parts one half each
    assert weights.factor("a") == pytest.approx(2 / 3)
    assert weights.factor("b") == pytest.approx(2.0)
    assert 0.75 * weights.factor("a") + 0.25 * weights.factor("b") == pytest.approx(1.0)


def test_worst_group_gains_by_hand():
    weights = GroupWeights(GroupWeightsConfig(mode="worst", step=1.0), ["a", "b"], [1.0, 1.0])
    weights.note("a", math.log(1.0), 1.0)
    weights.note("b", math.log(3.0), 2.0)
    weights.move()
    # exp(0) : exp(ln 3) = 1 : 3
    assert weights.parts == pytest.approx({"a": 0.25, "b": 0.75})
    weights.move()  # nothing was seen since
    assert weights.parts == pytest.approx({"a": 0.25, "b": 0.75})
    again = GroupWeights(GroupWeightsConfig(mode="worst"), ["a", "b"], [1.0, 1.0])
    again.load_state_dict(weights.state_dict())
    assert again.parts == weights.parts


def test_pairs_without_a_group_are_refused():
    with pytest.raises(DataError, match=r"1 of 2 .* meta.group"):
        GroupWeights(GroupWeightsConfig(mode="worst"), ["a", ""], [1.0, 1.0])


def test_worst_group_training_serves_a_small_group(tiny):
    # nine in ten prefer what one in ten reject: learnt as they come, the few are outvoted
    many = pairs_of(36, good="qq", bad="zz", group="many")
    few = [
        Preference(prompt=Prompt.from_text(f"ask {i}"), chosen="zz", rejected="qq", meta={"group": "few"})
        for i in range(4)
    ]
    losses = {}
    for mode in ("none", "worst"):
        settings = config(
            group_weights=GroupWeightsConfig(mode=mode, step=0.5),
            trainable_layers=0,
            epochs=30.0,
            learning_rate=1e-2,
            batch_size=40,
        )
        model = train_reward_model(tiny, many + few, settings, streams=Streams(6)).reward_model
        prompts = [Prompt.from_text(f"ask {i}") for i in range(4)]
        won = np.array(model.score_texts(prompts, ["zz"] * 4))
        lost = np.array(model.score_texts(prompts, ["qq"] * 4))
        losses[mode] = float(np.logaddexp(0, lost - won).mean())
    assert losses["worst"] < math.log(2) < losses["none"] - 1.0


def test_members_and_groups_resume_where_they_were_killed(tiny, tmp_path, press_ctrl_c_at, curve):
    pairs = pairs_of(6, group="a") + pairs_of(6, good="no no no", bad="yes", first=6, group="b")
    settings = config(
        members=2, epochs=3.0, eval_every=2, group_weights=GroupWeightsConfig(mode="worst", step=0.5)
    )
    whole = train_reward_model(tiny, pairs, settings, run_dir=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train_reward_model(tiny, pairs, settings, run_dir=tmp_path / "parted", observers=[press_ctrl_c_at(3)])
    resumed = train_reward_model(tiny, pairs, settings, run_dir=tmp_path / "parted", resume=True)
    ends = [dict(result.reward_model.state_dict()) for result in (whole, resumed)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert curve(tmp_path / "parted") == curve(tmp_path / "whole")
