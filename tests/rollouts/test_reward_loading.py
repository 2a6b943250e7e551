"""Rewards named in a config."""

import pytest

from accord.domain import Completion, Prompt, RewardError
from accord.models.reward import reward_model_from, save_reward_model
from accord.models.tiny import tiny_model
from accord.rollouts import FunctionReward, ModelReward, load_reward

PROMPTS = [Prompt.from_text("hello")] * 2
COMPLETIONS = [Completion(text="short"), Completion(text="a longer answer")]


def test_a_function_in_a_file(tmp_path):
    path = tmp_path / "taste.py"
    path.write_text("def brief(prompts, completions):\n    return [-len(c.text) for c in completions]\n")
    reward = load_reward(f"{path}:brief")
    assert isinstance(reward, FunctionReward)
    assert reward.name == "brief"
    assert reward.score(PROMPTS, COMPLETIONS).values == [-5.0, -15.0]


def test_a_function_in_a_module():
    reward = load_reward("statistics:fmean")
    assert reward.name == "fmean"


def test_a_folder_is_a_reward_model(tmp_path):
    model = reward_model_from(tiny_model(), seed=3)
    save_reward_model(model, tmp_path / "rm")
    reward = load_reward(tmp_path / "rm")
    assert isinstance(reward, ModelReward)
    expected = model.score_texts(PROMPTS, [completion.text for completion in COMPLETIONS])
    # Products are bf16 where the machine is fast at it: 8 bits of mantissa.
    assert reward.score(PROMPTS, COMPLETIONS).values == pytest.approx(expected, rel=2**-7)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("nowhere", "neither a folder nor a function"),
        ("missing.py:f", "missing.py does not exist"),
        ("no_such_module_here:f", "cannot be imported"),
        ("statistics:fmeen", "has no function 'fmeen'; it has .*fmean"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(spec, problem):
    with pytest.raises(RewardError, match=problem):
        load_reward(spec)


def test_a_file_that_fails_names_the_cause(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_this_name\n")
    with pytest.raises(RewardError, match="failed to load: ModuleNotFoundError"):
        load_reward(f"{path}:f")
