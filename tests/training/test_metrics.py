"""The registry covers whatever a run logs, and its page shows every entry."""

from accord.training import METRICS, OptimizationConfig, Recorder, metrics_page, train_reward_model, train_sft
from accord.training.metrics import Metric, find_metric
from accord.training.reward import RewardTrainingConfig
from accord.training.sft import SftConfig


def test_every_logged_metric_is_registered(tiny, demonstrations, preferences):
    recorder = Recorder()
    optimization = OptimizationConfig(steps=2, eval_every=1)
    train_sft(
        tiny,
        demonstrations[:8],
        SftConfig(optimization=optimization),
        eval_demonstrations=demonstrations[8:],
        observers=[recorder],
    )
    train_reward_model(
        tiny,
        preferences[:8],
        RewardTrainingConfig(optimization=optimization),
        eval_preferences=preferences[8:],
        observers=[recorder],
    )
    logged = {name for report in (*recorder.steps, *recorder.evaluations) for name in report.metrics}
    assert len(logged) > 20
    assert {name for name in logged if find_metric(name) is None} == set()


def test_every_metric_of_sft_and_reward_model_is_logged_by_some_run(tiny, demonstrations, preferences):
    recorder = Recorder()
    train_sft(tiny, demonstrations[:8], eval_demonstrations=demonstrations[8:], observers=[recorder])
    train_reward_model(tiny, preferences[:8], eval_preferences=preferences[8:], observers=[recorder])
    logged = {name for report in (*recorder.steps, *recorder.evaluations) for name in report.metrics}
    from accord.training.metrics import OPTIMIZATION, REWARD_MODEL, SFT

    entries = {metric.name for metric in (*OPTIMIZATION, *SFT, *REWARD_MODEL)}
    assert entries - logged == {"memory/device_peak_gb"}  # CUDA only


def test_a_family_stands_for_its_members():
    family = Metric("reward/part/*", "reward", "one part of the reward", "mean")
    registry = {family.name: family}
    assert find_metric("reward/part/politeness", registry=registry) == family
    assert find_metric("reward/party", registry=registry) is None


def test_every_entry_says_something_and_stands_on_the_page():
    page = metrics_page()
    for name, metric in METRICS.items():
        assert name == metric.name
        assert all((metric.unit, metric.meaning, metric.estimator))
        assert f"| `{name}` | {metric.unit} | {metric.meaning} |" in page
