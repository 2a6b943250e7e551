"""Reward models on rankings, ratings, steps and judgments: by plain forwards, splits, resume, recovery."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from accord.domain import (
    Choice,
    Comparison,
    ConfigError,
    DataError,
    Demonstration,
    Interrupted,
    Judgment,
    Prompt,
    Ranking,
    Rating,
    StepLabels,
    Streams,
    TrainingError,
)
from accord.models.reward import load_reward_model, reward_model_from
from accord.models.tiny import tiny_model
from accord.training import OptimizationConfig, RewardTrainingConfig, train_reward_model
from accord.training.answer_reward import AnswerTask, build_objective, train_reward_on
from accord.training.bootstrap import prompt_counts
from accord.training.habits import JudgmentsObjective
from accord.training.metrics import find_metric
from accord.training.rankings import RankingsObjective
from accord.training.ratings import RatingsObjective
from accord.training.stepwise import StepsObjective, score_steps


def config(objective, *, eval_share=0.0, **changes):
    names = {field.name for field in dataclasses.fields(OptimizationConfig)}
    optimization = {key: changes.pop(key) for key in list(changes) if key in names}
    settings = OptimizationConfig(**{"learning_rate": 1e-3, "precision": "fp32", **optimization})
    return RewardTrainingConfig(
        **{"batch_size": 4, "objective": objective, **changes}, eval_share=eval_share, optimization=settings
    )


def rankings():
    texts = ("good", "fair enough", "bad bad bad", "no")
    ranks = [(1, 2, 3, 4), (2, 1, 1, 3), (1, 2, 2, 2), (3, 3, 1, 2)]
    return [
        Ranking(prompt=Prompt.from_text("so " * i + "q"), completions=texts, ranks=ranks[i % 4])
        for i in range(6)
    ]


def ratings():
    rows = [("help", 1.0), ("help", 5.0), ("harm", 2.0), ("help", 3.0), ("harm", 0.0), ("harm", 4.0)]
    return [
        Rating(
            prompt=Prompt.from_text(f"q{i // 2}"),
            completion="word " * (1 + i // 2 % 3),
            value=value,
            dimension=dimension,
            annotator_id="ab"[i % 2],
        )
        for i, (dimension, value) in enumerate(rows * 2)
    ]


def labeled_steps():
    labels = [(1.0, 0.0, None), (1.0, 1.0, 0.0), (None, 0.75, 1.0)]
    return [
        StepLabels(
            prompt=Prompt.from_text(f"sum {i}"),
            steps=("one", "and two" * (i + 1), "so"),
            labels=labels[i % 3],
        )
        for i in range(6)
    ]


def judgments():
    choices = [Choice.LEFT, Choice.RIGHT, Choice.TIE, Choice.LEFT, Choice.BOTH_BAD]
    return [
        Judgment(
            comparison=Comparison(
                prompt=Prompt.from_text(f"q{i}"), left="yes" * (1 + i % 3), right="no, never"
            ),
            annotator_id="abc"[i % 3],
            choice=choices[i % 5],
        )
        for i in range(10)
    ]


OBJECTIVES = {
    "rankings": (RankingsObjective(), rankings),
    "ratings": (RatingsObjective(), ratings),
    "steps": (StepsObjective(), labeled_steps),
    "judgments": (JudgmentsObjective(), judgments),
}


def make_task(kind, *, is_double=False, **changes):
    objective, records = OBJECTIVES[kind]
    settings = config(objective, **changes)
    learner = build_objective(settings, records())
    model = reward_model_from(tiny_model(), dimensions=learner.dimensions, mix=learner.mix)
    if is_double:
        model.body.double()
    return AnswerTask(model, learner, records(), [], settings, streams=Streams(0))


def first_update(task):
    losses = []
    update = task.next_update(0)
    for micro_batch in update.micro_batches:
        part = task.loss(micro_batch)
        part.loss.backward()
        losses.append(part.loss.item())
    gradients = {name: weight.grad.clone() for name, weight in task.parameters() if weight.grad is not None}
    return sum(losses), gradients, len(losses)


def score_alone(model, prompt, text):
    """[dimension] Raw scores of one answer by the body's own forward."""
    ids = model.tokenizer.example(prompt, text).ids
    return model.head(model.body(input_ids=torch.tensor([ids])).last_hidden_state[0, -1])


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_trap_16_micro_batches_equal_the_full_batch(kind):
    whole, whole_gradients, _ = first_update(make_task(kind, is_double=True, batch_size=16))
    parted, gradients, count = first_update(
        make_task(kind, is_double=True, batch_size=16, micro_batch_tokens=60)
    )
    assert count > 1
    assert parted == pytest.approx(whole, rel=1e-6)
    assert gradients.keys() == whole_gradients.keys()
    for name, gradient in whole_gradients.items():
        assert (gradients[name] - gradient).norm() <= 1e-6 * gradient.norm(), name


def test_rankings_by_plain_forwards():
    task = make_task("rankings", batch_size=16)
    loss, _, _ = first_update(task)
    losses = []
    for record in rankings():
        values = [
            math.exp(score_alone(task.model, record.prompt, text).item()) for text in record.completions
        ]
        match record.ranks:
            case (1, 2, 3, 4):
                chance = values[0] / sum(values) * values[1] / sum(values[1:]) * values[2] / sum(values[2:])
            case (2, 1, 1, 3):  # the second and third in either order, then the first before the last
                rest = values[0] + values[3]
                either = values[1] / sum(values) * values[2] / (values[2] + rest)
                either += values[2] / sum(values) * values[1] / (values[1] + rest)
                chance = either * values[0] / rest
            case (1, 2, 2, 2):
                chance = values[0] / sum(values)
            case _:
                chance = values[2] / sum(values) * values[3] / (values[0] + values[1] + values[3])
        losses.append(-math.log(chance))
    assert loss == pytest.approx(sum(losses) / 6, rel=1e-5)


def test_ratings_by_plain_forwards_with_cells_missing():
    task = make_task("ratings", batch_size=16)
    loss, _, _ = first_update(task)
    records = ratings()
    cells = {}
    for record in records:
        cells.setdefault((record.prompt, record.completion, record.dimension), []).append(record.value)
    places = {
        name: (np.mean(values), np.std(values))
        for name in ("help", "harm")
        if (values := [record.value for record in records if record.dimension == name])
    }
    assert task.objective.dimensions == ("harm", "help")
    assert len(cells) < 2 * len(task.rows)  # some answers were rated on one dimension only
    errors = []
    for (prompt, text, name), values in cells.items():
        mean, deviation = places[name]
        score = score_alone(task.model, prompt, text)[("harm", "help").index(name)].item()
        errors.append((score - (np.mean(values) - mean) / deviation) ** 2 / 2)
    assert loss == pytest.approx(np.mean(errors), rel=1e-5)


def test_steps_by_plain_forwards_are_read_at_the_ends_of_labeled_steps():
    task = make_task("steps", batch_size=16)
    loss, _, _ = first_update(task)
    tokenizer = task.model.tokenizer
    losses = []
    for record in labeled_steps():
        head, tail = tokenizer.prompt_ids(record.prompt), tokenizer.completion_ids("\n".join(record.steps))
        ids = head + tail
        hidden = task.model.body(input_ids=torch.tensor([ids])).last_hidden_state[0]
        ends, text = [], ""
        for step in record.steps:
            text += step + "\n"
            ends.append(len(head) + len(tokenizer.completion_ids(text, ended=False)) - 1)
        ends[-1] = len(ids) - 1  # the tiny tokenizer has one token a byte, so the last "\n" stands for EOS
        for end, label in zip(ends, record.labels, strict=True):
            if label is not None:
                score = task.model.head(hidden[end])[0]
                losses.append((label * softplus(-score) + (1 - label) * softplus(score)).item())
    assert len(losses) == sum(label is not None for record in labeled_steps() for label in record.labels)
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_judgments_at_the_start_are_the_crowds_and_the_prior_costs_nothing():
    task = make_task("judgments", batch_size=16)
    loss, gradients, _ = first_update(task)
    losses = []
    for record in judgments():
        shown = record.comparison
        sides = (score_alone(task.model, shown.prompt, text).item() for text in (shown.left, shown.right))
        d = next(sides) - next(sides)
        left, right = 1 / (1 + math.exp(1 - d)), 1 / (1 + math.exp(1 + d))  # t = exp(0) = 1
        chance = {Choice.LEFT: left, Choice.RIGHT: right}.get(record.choice, 1 - left - right)
        losses.append(-math.log(chance))
    assert loss == pytest.approx(sum(losses) / 10, rel=1e-5)
    assert {"habits.gains", "habits.positions", "habits.ties", "habits.crowd"} <= gradients.keys()


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_trap_46_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, curve, press_ctrl_c_at, kind
):
    objective, records = OBJECTIVES[kind]
    settings = config(objective, batch_size=2, epochs=3, eval_share=0.3, eval_every=2)
    train_reward_on(tiny_model(), records(), settings, run_dir=tmp_path / "whole", streams=Streams(3))
    with pytest.raises(Interrupted):
        train_reward_on(
            tiny_model(),
            records(),
            settings,
            run_dir=tmp_path / "parts",
            streams=Streams(3),
            observers=[press_ctrl_c_at(2)],
        )
    resumed = train_reward_on(
        tiny_model(), records(), settings, run_dir=tmp_path / "parts", streams=Streams(3), resume=True
    )
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    weights = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("whole", "parts")]
    assert weights[0] == weights[1]
    assert all(find_metric(name) for name in resumed.metrics), resumed.metrics
    loaded = load_reward_model(tmp_path / "parts" / "model")
    prompt = Prompt.from_text("new")
    assert loaded.score_texts([prompt], ["a"]) == pytest.approx(
        resumed.reward_model.score_texts([prompt], ["a"])
    )


def test_dimensions_and_their_parts_survive_saving(tmp_path):
    objective = RatingsObjective(score_weights={"help": 1.0, "harm": -0.5})
    result = train_reward_on(tiny_model(), ratings(), config(objective), run_dir=tmp_path)
    loaded = load_reward_model(tmp_path / "model")
    assert loaded.dimensions == ("harm", "help")
    assert loaded.mix.tolist() == [-0.5, 1.0]
    prompt = Prompt.from_text("q0")
    parts = score_alone(loaded, prompt, "word ")
    assert loaded.score_texts([prompt], ["word "])[0] == pytest.approx(
        (parts[1] - 0.5 * parts[0]).item(), rel=1e-4
    )
    beside = json.loads((tmp_path / "beside.json").read_text())
    assert beside == result.beside
    assert beside["dimensions"]["help"]["mean"] == pytest.approx(3.0)


def test_steps_are_scored_as_they_were_learnt():
    # labels say: a step that holds "bad" is wrong
    records = [
        StepLabels(
            prompt=Prompt.from_text(f"q{i}"),
            steps=("fine", "bad") if i % 2 else ("bad", "fine"),
            labels=(1.0, 0.0) if i % 2 else (0.0, 1.0),
        )
        for i in range(40)
    ]
    result = train_reward_on(tiny_model(), records, config(StepsObjective(), eval_share=0.3, epochs=6))
    assert result.metrics["reward/eval_accuracy"] == 1.0
    assert result.metrics["reward/eval_first_wrong"] == 1.0
    prompts = [Prompt.from_text("new")] * 2
    found = score_steps(result.reward_model, prompts, [("fine", "bad"), ("bad", "fine")])
    assert found[0][0] > 0 > found[0][1]
    assert found[1][1] > 0 > found[1][0]
    # the plain score of an answer is that of its last step
    plain = result.reward_model.score_texts(prompts, ["fine\nbad", "bad\nfine"])
    assert plain == pytest.approx([steps[-1] for steps in found], abs=1e-4)
    with pytest.raises(DataError, match="0 of 0 steps"):
        score_steps(result.reward_model, [Prompt.from_text("new")], [()])


def simulated(n, *, seed=0):
    """Judgments of answers whose worth is how many `a` they have: an attentive annotator, one who answers
    at random, one who leans left by 2, one who often ties."""
    random = np.random.default_rng(seed)
    habits = {
        "careful": (1.6, 0.0, 0.2),
        "random": (0.0, 0.0, 0.2),
        "leftist": (1.0, 2.0, 0.2),
        "undecided": (1.0, 0.0, 1.5),
    }
    records = []
    for i in range(n):
        worth = random.integers(0, 5, 2)
        name = list(habits)[i % 4]
        gain, shift, threshold = habits[name]
        d = gain * 1.0 * (worth[0] - worth[1]) + shift
        left, right = 1 / (1 + math.exp(threshold - d)), 1 / (1 + math.exp(threshold + d))
        choice = random.choice(3, p=[left, 1 - left - right, right])
        records.append(
            Judgment(
                comparison=Comparison(
                    prompt=Prompt.from_text(f"q{i}"),
                    left="a" * worth[0] + "b" * (4 - worth[0]),
                    right="a" * worth[1] + "b" * (4 - worth[1]),
                ),
                annotator_id=name,
                choice=[Choice.LEFT, Choice.TIE, Choice.RIGHT][choice],
            )
        )
    return records


def test_habits_are_recovered_beside_the_reward_and_dropped_at_use(tmp_path):
    settings = config(
        JudgmentsObjective(habit_rate=0.05), eval_share=0.2, epochs=2, batch_size=16, learning_rate=2e-3
    )
    result = train_reward_on(tiny_model(), simulated(800), settings, run_dir=tmp_path)
    habits = result.beside["annotators"]
    assert habits["random"]["gain"] < habits["undecided"]["gain"] < habits["careful"]["gain"]
    assert habits["leftist"]["position"] > 1.0 > abs(habits["careful"]["position"])
    assert habits["undecided"]["log_tie_threshold"] > habits["careful"]["log_tie_threshold"] + 0.7
    assert result.metrics["reward/eval_nll"] < result.metrics["reward/eval_crowd_nll"] - 0.05
    scores = result.reward_model.score_texts([Prompt.from_text("new")] * 3, ["bbbb", "aabb", "aaaa"])
    assert scores == sorted(scores)
    names = {name for name, _ in load_reward_model(tmp_path / "model").named_parameters()}
    assert not any("habit" in name for name in names)


def test_without_ties_nothing_may_tie_and_spread_zero_keeps_a_habit():
    records = [record for record in judgments() if record.choice.is_decided]
    objective = JudgmentsObjective(gain_spread=0.0, position_spread=0.0)
    task_settings = config(objective, batch_size=16)
    learner = build_objective(task_settings, records)
    assert [name for name, _ in learner.parameters()] == ["habits.crowd"]
    result = train_reward_on(tiny_model(), records, task_settings)
    assert result.beside["log_tie_threshold"] is None
    assert {habit["gain"] for habit in result.beside["annotators"].values()} == {1.0}


def test_at_rate_zero_nothing_moves():
    settings = config(JudgmentsObjective(), learning_rate=0.0)
    result = train_reward_on(tiny_model(), judgments(), settings)
    assert all(habit["gain"] == 1.0 for habit in result.beside["annotators"].values())


def test_what_cannot_be_learnt_from_is_refused():
    settings = config(RankingsObjective())
    same = [Ranking(prompt=Prompt.from_text("q"), completions=("a", "b"), ranks=(1, 1))]
    with pytest.raises(DataError, match="none of them says anything"):
        train_reward_on(tiny_model(), same, settings)
    with pytest.raises(DataError, match=r"1 prompts stand in training and in held-out records"):
        train_reward_on(tiny_model(), rankings(), settings, eval_records=rankings()[:1])
    with pytest.raises(DataError, match="no training rating on truth"):
        train_reward_on(tiny_model(), ratings(), config(RatingsObjective(loss_weights={"truth": 2.0})))
    with pytest.raises(TrainingError, match="'rankings' is trained by train_reward_on"):
        train_reward_model(tiny_model(), [], settings)
    with pytest.raises(TrainingError, match="train_reward_model"):
        train_reward_on(tiny_model(), [], RewardTrainingConfig())
    for make, name in (
        (lambda: RatingsObjective(huber_delta=0.0), "huber_delta"),
        (lambda: JudgmentsObjective(gain_spread=-1.0), "gain_spread"),
        (lambda: StepsObjective(separator=""), "separator"),
    ):
        with pytest.raises(ConfigError, match=name):
            make()


def test_a_row_too_long_loses_prompt_then_last_steps():
    objective = StepsObjective()
    model = reward_model_from(tiny_model())
    learner = build_objective(config(objective), [])
    record = StepLabels(
        prompt=Prompt.from_text("p" * 50), steps=("a" * 10, "b" * 10, "c" * 10), labels=(1, 0, 1)
    )
    (whole,) = learner.rows(model, [record], max_tokens=1000)
    assert not whole.is_cut
    assert len(whole.answers[0]) == 33  # three times ten, two separators, EOS
    assert whole.reads == ((10, 21, 32),)
    (cut,) = learner.rows(model, [record], max_tokens=30)
    assert cut.is_cut
    assert len(cut.prompt_ids) == 15
    assert cut.reads == ((10,),)
    assert cut.said == (1.0,)


def test_trap_53_a_crowd_that_leans_left_does_not_move_rewards():
    # the same two answers are shown in both orders; everybody picks the left one
    records = [
        Judgment(
            comparison=Comparison(prompt=Prompt.from_text(f"q{i}"), left=sides[0], right=sides[1]),
            annotator_id=f"w{i % 3}",
            choice=Choice.LEFT,
        )
        for i in range(60)
        for sides in (("yes", "no"), ("no", "yes"))
    ]
    settings = config(JudgmentsObjective(habit_rate=0.1), batch_size=12, epochs=3)
    result = train_reward_on(tiny_model(), records, settings)
    scores = result.reward_model.score_texts([Prompt.from_text("new")] * 2, ["yes", "no"])
    assert result.beside["position"] > 1.0
    assert abs(scores[0] - scores[1]) < 0.3 * result.beside["position"]


def test_a_judgment_of_weight_two_counts_as_two_and_one_of_weight_zero_not_at_all():
    records = judgments()[:4]
    twice = [dataclasses.replace(records[0], meta={"weight": 2.0}), *records[1:]]
    gone = [*records[:3], dataclasses.replace(records[3], meta={"weight": 0})]
    cases = (twice, [records[0], *records]), (gone, records[:3])
    for weighed, plain in cases:
        losses = []
        for some in (weighed, plain):
            settings = config(JudgmentsObjective(), batch_size=8)
            learner = build_objective(settings, some)
            with torch.no_grad():
                learner.habits["gains"].copy_(torch.arange(len(learner.habits["gains"])) * 0.3)
            task = AnswerTask(
                reward_model_from(tiny_model()), learner, some, [], settings, streams=Streams(0)
            )
            update = task.next_update(0)
            losses.append(sum(float(task.loss(part).loss.detach()) for part in update.micro_batches))
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_weight_that_is_none_is_refused():
    for value in (-1.0, float("nan"), "much", True):
        records = [dataclasses.replace(judgments()[0], meta={"weight": value})]
        with pytest.raises(DataError, match=f"has the weight {value!r}; expected a number of 0 or more"):
            train_reward_on(tiny_model(), records, config(JudgmentsObjective()))


def test_a_reward_model_is_gone_on_from_and_its_zero_is_put_right():
    settings = config(JudgmentsObjective(), epochs=2)
    shown = [Demonstration(prompt=Prompt.from_text("new"), completion=text) for text in ("yes", "no", "so")]
    first = train_reward_on(tiny_model(), judgments(), settings, normalization_demonstrations=shown)
    scores = first.reward_model.score_texts([one.prompt for one in shown], [one.completion for one in shown])
    assert sum(scores) == pytest.approx(0.0, abs=1e-5)
    before = {name: weight.clone() for name, weight in first.reward_model.named_parameters()}
    still = config(JudgmentsObjective(), learning_rate=0.0)
    again = train_reward_on(first.reward_model, judgments(), still)
    assert again.reward_model is first.reward_model
    assert all(torch.equal(before[name], weight) for name, weight in again.reward_model.named_parameters())


def test_a_reward_model_of_other_heads_is_not_gone_on_from():
    many = reward_model_from(tiny_model(), members=3)
    with pytest.raises(TrainingError, match="heads member_1, member_2, member_3 and the objective"):
        train_reward_on(many, judgments(), config(JudgmentsObjective()))


def test_members_share_habits_and_each_counts_the_prompts_it_drew():
    records, streams = judgments(), Streams(7)
    settings = config(JudgmentsObjective(), batch_size=16, members=3, centering=0.1)
    learner = build_objective(settings, records, streams=streams)
    model = reward_model_from(tiny_model(), members=3)
    rows = learner.rows(model, records, max_tokens=100)
    scores = torch.randn(2 * len(rows), 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        learner.habits["gains"].copy_(torch.tensor([0.4, -0.2, 0.1]))
        found = learner.loss(scores, rows, 10.0).loss
        counts = torch.tensor(prompt_counts([one.comparison.prompt.id for one in records], 3, streams))
        assert [row.said[2:] for row in rows] == [tuple(one) for one in counts.tolist()]
        total = learner.penalty() / 10
        for member in range(3):
            sides = scores[:, member].reshape(-1, 2)
            each = learner.nll(sides, rows) + 0.1 * sides.sum(1).square()
            total = total + (counts[:, member] * each).sum() / (3 * 10)
    # the ten judgments are of ten prompts, and what a member drew adds up to as many
    assert counts.sum(0).tolist() == [10.0] * 3
    assert found.item() == pytest.approx(total.item(), rel=1e-5)


def test_an_ensemble_of_judgments_learns_the_reward_and_who_answers_at_random(tmp_path):
    settings = config(
        JudgmentsObjective(habit_rate=0.05), eval_share=0.2, epochs=2, batch_size=16, learning_rate=2e-3,
        members=3, rule="variance_penalty",
    )  # fmt: skip
    result = train_reward_on(tiny_model(), simulated(600), settings, run_dir=tmp_path)
    habits = result.beside["annotators"]
    assert habits["random"]["gain"] < habits["careful"]["gain"] - 0.3
    scores = result.reward_model.score_texts([Prompt.from_text("new")] * 3, ["bbbb", "aabb", "aaaa"])
    assert scores == sorted(scores)
    assert result.metrics["reward/eval_disagreement"] > 0
    saved = load_reward_model(tmp_path / "model")
    assert saved.scoring == result.reward_model.scoring
    assert (saved.scoring.members, saved.scoring.rule) == (3, "variance_penalty")
