"""From a head's outputs to a score: the rules by hand, what travels with a model, and what is refused."""

import pytest
import torch

from accord.domain import ModelError, Prompt
from accord.models.ragged import prompt_completion_batch
from accord.models.reward import load_reward_model, reward_model_from, save_reward_model
from accord.models.scoring import Scoring, read_scoring
from accord.models.tiny import tiny_model

MEMBERS = torch.tensor([[1.0, 3.0], [2.0, -2.0]])
PROMPTS = [Prompt.from_text(text) for text in ("a", "a", "Why is that so?")]
ANSWERS = ["yes", "no, and here is why", "because"]


@pytest.fixture(scope="module")
def ensemble():
    return reward_model_from(tiny_model(2), members=3, seed=5)


def test_rules_by_hand():
    # rows: mean 2, lowest 1, variance ((1-2)^2 + (3-2)^2) / 2 = 1; mean 0, lowest -2, variance 4
    assert Scoring(members=2).combine(MEMBERS).tolist() == [2.0, 0.0]
    assert Scoring(members=2, rule="worst_case").combine(MEMBERS).tolist() == [1.0, -2.0]
    penalized = Scoring(members=2, rule="variance_penalty", penalty=0.5)
    assert penalized.combine(MEMBERS).tolist() == [1.5, -2.0]


def test_centers_put_zeros_in_one_place_and_leave_the_mean():
    centered = Scoring(members=2, rule="worst_case", centers=(0.5, -0.5))
    # [0.5, 3.5] and [1.5, -1.5]
    assert centered.combine(MEMBERS).tolist() == [0.5, -1.5]
    assert Scoring(members=2, centers=(0.5, -0.5)).combine(MEMBERS).tolist() == [2.0, 0.0]


def test_length_is_taken_out_around_its_center():
    scoring = Scoring(length_slope=0.1, length_center=10.0)
    found = scoring.without_length(torch.tensor([1.0, 1.0]), torch.tensor([10.0, 30.0]))
    assert found.tolist() == pytest.approx([1.0, -1.0])


@pytest.mark.parametrize(
    "fields",
    [
        {"members": 0},
        {"rule": "median"},
        {"temperature": 0.0},
        {"penalty": -1.0},
        {"members": 2, "centers": (1.0,)},
        {"length_slope": float("nan")},
    ],
)
def test_what_makes_no_score_is_refused(fields):
    with pytest.raises(ModelError):
        Scoring(**fields)


def test_facts_of_a_foreign_shape_are_refused():
    with pytest.raises(ModelError, match="does not fit"):
        read_scoring({"members": 1, "surprise": 2})


def test_members_see_one_trunk_and_their_mean_is_the_score(ensemble):
    groups = list(zip(*[iter(ensemble.text_ids(PROMPTS, ANSWERS))] * 1, strict=True))
    packed = prompt_completion_batch([(prompt, [answer]) for ((prompt, answer),) in groups])
    with torch.inference_mode():
        found = ensemble.ensemble_scores(packed)
        scores = ensemble.scores(packed)
    assert found.members.shape == (3, 3)
    assert torch.allclose(found.mean, scores, atol=1e-6)
    assert torch.allclose(found.std, found.members.std(-1))
    assert (found.std > 0).all()


def test_texts_keep_their_order_member_by_member(ensemble):
    found = ensemble.ensemble_texts(PROMPTS, ANSWERS)
    alone = [ensemble.ensemble_texts([p], [a]).members[0] for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    assert torch.allclose(found.members, torch.stack(alone), atol=1e-5)
    assert ensemble.score_texts(PROMPTS, ANSWERS) == pytest.approx(found.mean.tolist(), abs=1e-5)


def test_a_single_model_has_one_member_that_agrees_with_itself():
    model = reward_model_from(tiny_model(2), seed=5)
    found = model.ensemble_texts(PROMPTS, ANSWERS)
    assert found.std.tolist() == [0.0, 0.0, 0.0]
    assert found.mean.tolist() == pytest.approx(model.score_texts(PROMPTS, ANSWERS), abs=1e-6)


def test_saved_and_loaded_it_says_the_same(ensemble, tmp_path):
    ensemble.scoring = Scoring(
        members=3,
        rule="variance_penalty",
        penalty=2.0,
        centers=(0.1, -0.3, 0.2),
        length_slope=0.02,
        length_center=7.0,
        temperature=1.7,
    )
    save_reward_model(ensemble, tmp_path / "rm")
    loaded = load_reward_model(tmp_path / "rm")
    assert loaded.scoring == ensemble.scoring
    assert loaded.score_texts(PROMPTS, ANSWERS) == pytest.approx(
        ensemble.score_texts(PROMPTS, ANSWERS), abs=1e-5
    )
    assert not list((tmp_path / "rm").glob("*.bin"))


def test_temperature_makes_a_difference_log_odds():
    model = reward_model_from(tiny_model(2), seed=5)
    model.scoring = Scoring(temperature=2.0)
    left, right = torch.tensor([2.0]), torch.tensor([0.0])
    # sigmoid(2 / 2), and the same when scores are placed on another scale
    assert model.preference_probability(left, right).item() == pytest.approx(0.7310586)
    model.scale.fill_(3.0)
    assert model.preference_probability(3 * left, 3 * right).item() == pytest.approx(0.7310586)


def test_an_ensemble_of_dimensions_is_refused():
    with pytest.raises(ModelError, match="one dimension"):
        reward_model_from(tiny_model(2), members=2, dimensions=("a", "b"))
