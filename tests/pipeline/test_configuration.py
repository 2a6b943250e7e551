"""Configs: typed, strict, all problems at once, and back to TOML without loss."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain.errors import ConfigError, DataError
from accord.pipeline.configuration import apply_to, dump_config, load_config


class Mode(StrEnum):
    FULL = "full"
    ADAPTER = "adapter"


@dataclass(frozen=True, kw_only=True)
class Optimization:
    steps: int = 10
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True, kw_only=True)
class FunctionReward:
    target: str
    type: Literal["function"] = "function"
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ModelReward:
    folder: Path = Path("reward")
    type: Literal["model"] = "model"


@dataclass(frozen=True, kw_only=True)
class Settings:
    name: str
    mode: Mode = Mode.FULL
    schedule: Literal["constant", "cosine"] = "constant"
    seed: int | None = 0
    is_verbose: bool = False
    stop: tuple[str, ...] = ()
    optimization: Optimization = field(default_factory=lambda: Optimization(steps=60))
    reward: FunctionReward | ModelReward = field(default_factory=ModelReward)
    extra_rewards: tuple[FunctionReward | ModelReward, ...] = ()
    labels: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise DataError("name 'forbidden' is reserved; choose another")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path | None = None, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(Settings, path, overrides)
    return caught.value.problems


def test_three_errors_are_shown_at_once(tmp_path: Path):
    path = write(
        tmp_path,
        'name = "demo"\nschedule = "cosin"\n[optimization]\nsteps = "ten"\nlearnign_rate = 0.1\n',
    )
    with pytest.raises(ConfigError, match="3 problems") as caught:
        load_config(Settings, path)
    assert caught.value.problems == [
        "schedule: expected one of 'constant', 'cosine', got 'cosin' (str); did you mean 'cosine'?",
        "optimization.learnign_rate: unknown key; did you mean 'optimization.learning_rate'?",
        "optimization.steps: expected int, got 'ten' (str)",
    ]
    assert str(path) in str(caught.value)


def test_file_then_overrides_in_order(tmp_path: Path):
    path = write(tmp_path, 'name = "demo"\n[optimization]\nsteps = 5\n')
    settings = load_config(Settings, path, ["optimization.steps=7", "optimization.steps=8", "name=other run"])
    assert settings.optimization.steps == 8
    assert settings.name == "other run"


def test_a_table_changes_only_the_keys_it_names():
    # The field's own default (60 steps), not the default of the class (10), stays.
    settings = load_config(Settings, None, ["name=x", "optimization.learning_rate=1"])
    assert settings.optimization == Optimization(steps=60, learning_rate=1.0)


def test_overrides_on_a_config_keep_what_they_do_not_name():
    start = Settings(name="start", optimization=Optimization(steps=3), reward=FunctionReward(target="m:f"))
    changed = apply_to(start, ["optimization.learning_rate=0.5", "reward.weight=2"])
    assert changed.optimization == Optimization(steps=3, learning_rate=0.5)
    assert changed.reward == FunctionReward(target="m:f", weight=2.0)
    assert changed.name == "start"
    with pytest.raises(ConfigError, match=r"did you mean 'reward\.weight'"):
        apply_to(start, ["reward.wieght=2"])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=none", ("seed", None)),
        ("mode=adapter", ("mode", Mode.ADAPTER)),
        ('stop=["a", "b"]', ("stop", ("a", "b"))),
        ("is_verbose=true", ("is_verbose", True)),
        ('name="7"', ("name", "7")),
        ("labels.good=1", ("labels", {"good": 1.0})),
        ("reward={type='function', target='m:f'}", ("reward", FunctionReward(target="m:f"))),
        ("reward.folder=here", ("reward", ModelReward(folder=Path("here")))),
        ("extra_rewards=[{type='model'}]", ("extra_rewards", (ModelReward(),))),
    ],
)
def test_override_values_are_typed(override: str, expected: tuple[str, object]):
    name, value = expected
    assert getattr(load_config(Settings, None, ["name=x", override]), name) == value


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("optimization.steps=1.5", "optimization.steps: expected int, got 1.5 (float)"),
        ("optimization.steps=true", "optimization.steps: expected int, got True (bool)"),
        ("optimization=3", "optimization: expected a table, got 3 (int)"),
        ("is_verbose=yes", "is_verbose: expected true or false, got 'yes' (str)"),
        ("seed=x", "seed: expected int, got 'x' (str)"),
        (
            "optimization.betas=[0.9]",
            "optimization.betas: expected a list of 2 values (float, float), got [0.9] (list)",
        ),
        ("steps=3", "steps: unknown key; did you mean 'optimization.steps'?"),
        (
            "mode=adaptr",
            "mode: expected one of 'full', 'adapter', got 'adaptr' (str); did you mean 'adapter'?",
        ),
        (
            "reward.type=modle",
            "reward.type: expected one of 'function', 'model'; got 'modle'; did you mean 'model'?",
        ),
        ("reward.type=function", "reward.target: missing; it has no default, set it to string"),
        ("name=forbidden", "name 'forbidden' is reserved; choose another"),
        ("extra_rewards=[{}]", "extra_rewards[0].type: expected one of 'function', 'model'; it is missing"),
        ("steps", "--set steps: expected KEY=VALUE with a dotted key, such as optimization.steps=100"),
        ("name.first=x", "--set name.first=x: 'name' holds 'x' and has no keys below it"),
    ],
)
def test_override_problems_say_what_was_seen_and_expected(override: str, problem: str):
    assert problem in problems_of(None, ("name=x", override))


def test_wrong_values_do_not_hide_what_the_config_itself_refuses():
    assert problems_of(None, ("name=forbidden", "optimization.steps=ten")) == [
        "optimization.steps: expected int, got 'ten' (str)",
        "name 'forbidden' is reserved; choose another",
    ]


def test_far_off_key_lists_the_known_ones():
    (problem,) = problems_of(None, ("name=x", "optimization.zzz=1"))
    assert problem == "optimization.zzz: unknown key; known here: steps, learning_rate, betas"


def test_missing_value_is_named():
    assert problems_of() == ["name: missing; it has no default, set it to string"]


def test_syntax_error_names_the_line(tmp_path: Path):
    (problem,) = problems_of(write(tmp_path, 'name = "demo"\nsteps = = 3\n'))
    assert "line 2" in problem


def test_missing_file_is_a_config_error(tmp_path: Path):
    (problem,) = problems_of(tmp_path / "absent.toml")
    assert "does not exist" in problem


settings_strategy = st.builds(
    Settings,
    name=st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: text != "forbidden"),
    mode=st.sampled_from(Mode),
    schedule=st.sampled_from(["constant", "cosine"]),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    is_verbose=st.booleans(),
    stop=st.lists(st.text(st.characters(exclude_categories=["Cs"]))).map(tuple),
    optimization=st.builds(
        Optimization,
        steps=st.integers(0, 9),
        learning_rate=st.floats(allow_nan=False),
        betas=st.just((0.1, 0.2)),
    ),
    extra_rewards=st.lists(
        st.builds(FunctionReward, target=st.text("ab\"\\\n\x7f'é")) | st.builds(ModelReward)
    ).map(tuple),
    labels=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False)),
)


@given(settings_strategy)
def test_dump_and_load_is_the_identity(tmp_path_factory: pytest.TempPathFactory, settings: Settings):
    path = tmp_path_factory.mktemp("dump") / "settings.toml"
    path.write_text(dump_config(settings), encoding="utf-8", newline="")
    assert load_config(Settings, path) == settings
