import dataclasses

import numpy as np
import pytest

from accord.domain import ConfigError, DataError, LabelColumns
from accord.quality.deciding.replay import ReplayConfig, fixed_numbers, replay_curve
from accord.quality.labels import tabulate_labels


def tabulate(rows):
    items, annotators, values = zip(*rows, strict=True)
    return tabulate_labels(LabelColumns(items=items, annotators=annotators, values=values))


def crowd(n_items=200, n_annotators=8, accuracy=0.75, seed=0, rename=str):
    """Every annotator labels every item; truth and labels of two classes."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, n_items)
    is_right = generator.random((n_items, n_annotators)) < accuracy
    rows = [
        (rename(i), f"w{j}", "ab"[truth[i] if is_right[i, j] else 1 - truth[i]])
        for i in range(n_items)
        for j in range(n_annotators)
    ]
    return tabulate(rows), {rename(i): "ab"[truth[i]] for i in range(n_items)}


def share(table):
    """The smoothed vote share, as a model that needs no fit."""
    counts = table.counts + 0.5
    return counts / counts.sum(axis=1, keepdims=True)


def test_three_items_by_hand():
    # In the order of time: p gets a a, q gets a b b, r gets b b; gold is a, b, a. Vote shares are
    # (n + .5) / (n + 1): two alike give 2.5 / 3 = .833 and close at epsilon .2; q ends at 2.5 / 4.
    rows = [
        ("p", "u", "a"), ("p", "v", "a"), ("p", "w", "b"),
        ("q", "u", "a"), ("q", "v", "b"), ("q", "w", "b"),
        ("r", "u", "b"), ("r", "v", "b"), ("r", "w", "a"),
    ]  # fmt: skip
    config = ReplayConfig(epsilons=(0.2,), order="time")
    curve = replay_curve(
        tabulate(rows), {"p": "a", "q": "b", "r": "a"}, config, timestamps=[1, 2, 3] * 3, model=share
    )
    point = curve.points[0]
    assert point.labels_per_item.value == pytest.approx((2 + 3 + 2) / 3)
    assert point.accuracy.value == pytest.approx(2 / 3)
    assert point.accepted_share.value == pytest.approx(2 / 3)
    assert point.adjudicated_share.value == pytest.approx(1 / 3)
    assert point.error_of_accepted.value == pytest.approx(1 / 2)
    two, three = curve.fixed
    assert (two.n_fixed, three.n_fixed) == (2, 3)
    # q is even after two labels: half the credit
    assert two.accuracy.value == two.majority_accuracy.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert three.accuracy.value == pytest.approx(2 / 3)
    assert (curve.n_items, curve.n_scored, curve.n_orders, curve.is_calibrated) == (3, 3, 1, False)


def test_the_order_of_time_is_that_of_the_timestamps():
    rows = [("p", "u", "a"), ("p", "v", "b"), ("p", "w", "b")]
    config = ReplayConfig(epsilons=(0.2,), order="time")
    late = replay_curve(tabulate(rows), {"p": "b"}, config, timestamps=[3, 1, 2], model=share)
    assert late.points[0].labels_per_item.value == 2
    early = replay_curve(tabulate(rows), {"p": "b"}, config, timestamps=[1, 2, 3], model=share)
    assert early.points[0].labels_per_item.value == 3


def test_cost_lies_between_least_and_most_and_rises_as_epsilon_falls():
    table, gold = crowd()
    config = ReplayConfig(epsilons=(0.01, 0.2, 0.05), min_labels=3, max_labels=6, n_orders=2)
    curve = replay_curve(table, gold, config)
    costs = [point.labels_per_item.value for point in curve.points]
    assert [point.epsilon for point in curve.points] == [0.2, 0.05, 0.01]
    assert costs == sorted(costs)
    assert min(costs) >= 3
    assert max(costs) <= 6
    assert [point.n_fixed for point in curve.fixed] == [3, 4, 5, 6]


def test_stopping_is_cheaper_than_a_fixed_number_as_good():
    table, gold = crowd(n_items=500, n_annotators=10)
    curve = replay_curve(table, gold, ReplayConfig(epsilons=(0.05,), n_orders=2))
    point = curve.points[0]
    as_good = [each for each in curve.fixed if each.accuracy.value >= point.accuracy.value]
    assert point.labels_per_item.value < 0.8 * min(each.n_fixed for each in as_good)


def test_names_change_nothing():
    config = ReplayConfig(epsilons=(0.1,), n_orders=1)
    plain = replay_curve(*crowd(rename=lambda i: i), config)
    named = replay_curve(*crowd(rename=lambda i: f"item {i:04}"), config)
    assert plain == named


def test_a_seed_is_an_order():
    table, gold = crowd(n_items=100)
    config = ReplayConfig(epsilons=(0.1,), n_orders=1)
    first = replay_curve(table, gold, config, model=share, seed=1)
    assert replay_curve(table, gold, config, model=share, seed=1) == first
    assert replay_curve(table, gold, config, model=share, seed=2) != first


def test_gold_used_for_fitting_is_not_scored():
    table, gold = crowd(n_items=100)
    curve = replay_curve(table, gold, ReplayConfig(epsilons=(0.1,), n_orders=2, n_fit=30), seed=3)
    assert (curve.n_scored, curve.is_calibrated, len(curve.calibrators)) == (70, True, 2)


def test_one_item_and_one_label_have_figures_and_reasons_for_missing_intervals():
    curve = replay_curve(
        tabulate([("p", "u", "a"), ("p", "v", "a")]), {"p": "a"}, ReplayConfig(epsilons=(0.5,))
    )
    point = curve.points[0]
    assert point.accuracy.value == 1
    assert point.accuracy.low is None
    assert "takes two parts" in point.accuracy.reason
    single = replay_curve(
        tabulate([("p", "u", "a"), ("q", "u", "b")]), {"p": "a"}, ReplayConfig(epsilons=(0.5,))
    )
    assert single.points[0].labels_per_item.value == 1
    assert single.points[0].error_of_accepted.reason == "the rule accepts no item"


def test_the_curve_is_plain_data():
    curve = replay_curve(*crowd(n_items=30), ReplayConfig(epsilons=(0.1,), n_orders=1, n_fit=5))
    plain = dataclasses.asdict(curve)
    assert plain["points"][0]["accuracy"]["value"] == curve.points[0].accuracy.value


def test_cheapest_is_the_rule_of_fewest_labels_that_is_accurate_enough():
    curve = replay_curve(*crowd(n_annotators=12), ReplayConfig(n_orders=1), model=share)
    wanted = curve.points[1].accuracy.value
    found = curve.cheapest(wanted)
    assert found.labels_per_item.value == min(
        point.labels_per_item.value for point in curve.points if point.accuracy.value >= wanted
    )
    assert curve.cheapest(1.1) is None


def uneven_crowd(misleading, n_items=1000, n_annotators=10, seed=0):
    """As `crowd`, but on a share of the items everybody is rather wrong, and on the others rather right."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, n_items)
    accuracy = np.where(generator.random(n_items) < misleading, 0.3, 0.8)
    is_right = generator.random((n_items, n_annotators)) < accuracy[:, None]
    rows = [
        (i, j, int(truth[i] if is_right[i, j] else 1 - truth[i]))
        for i in range(n_items)
        for j in range(n_annotators)
    ]
    return tabulate(rows), dict(enumerate(truth.tolist()))


def known_accuracy(table):
    """The posterior where everybody is known to be right in .8 of his labels."""
    odds = (table.counts[:, 1] - table.counts[:, 0]) * np.log(4.0)
    return np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=1)


def test_on_the_true_posterior_errors_stay_below_epsilon():
    table, gold = uneven_crowd(0.0, n_items=3000)
    config = ReplayConfig(epsilons=(0.2, 0.1, 0.05, 0.02), n_orders=2)
    curve = replay_curve(table, gold, config, model=known_accuracy)
    for point in curve.points:
        # four standard deviations of a share of 3000 items
        slack = 4 * np.sqrt(point.epsilon * (1 - point.epsilon) / 3000)
        assert point.error_of_accepted.value < point.epsilon + slack
        assert point.accepted_share.value > 0.85


def test_shared_errors_break_the_promise_of_the_raw_posterior_and_calibration_keeps_it():
    table, gold = uneven_crowd(0.1)
    raw, kept = [
        replay_curve(
            table,
            gold,
            ReplayConfig(epsilons=(0.12, 0.08), n_orders=1, n_fit=n_fit, max_labels=8),
            seed=1,
        )
        for n_fit in (0, 200)
    ]
    for before, after in zip(raw.points, kept.points, strict=True):
        assert before.error_of_accepted.value > before.epsilon
        assert after.error_of_accepted.value < after.epsilon
        assert after.labels_per_item.value > before.labels_per_item.value
        assert after.adjudicated_share.value > before.adjudicated_share.value


def test_fixed_numbers_thin_out_beyond_ten():
    assert fixed_numbers(2, 5) == [2, 3, 4, 5]
    assert fixed_numbers(8, 40) == [8, 9, 10, 12, 15, 19, 24, 30, 38, 40]
    assert fixed_numbers(1, 1) == [1]


@pytest.mark.parametrize(
    ("gold", "config", "message"),
    [
        ({"0": "c"}, ReplayConfig(), "gold has the value 'c'"),
        ({"zero": "a"}, ReplayConfig(), "none of the 1 gold items"),
        ({"0": "a"}, ReplayConfig(n_fit=1), "n_fit is 1 of 1"),
        ({"0": "a"}, ReplayConfig(order="time"), "needs timestamps"),
    ],
)
def test_bad_input_is_refused(gold, config, message):
    table, _ = crowd(n_items=5)
    with pytest.raises(DataError, match=message):
        replay_curve(table, gold, config)


def test_bad_settings_are_named_together():
    with pytest.raises(ConfigError) as caught:
        ReplayConfig(epsilons=(), min_labels=3, max_labels=2, order="size", n_orders=0, n_fit=-1)
    assert len(caught.value.problems) == 5


def test_intervals_are_the_jackknife_over_parts_by_hand():
    # three items, one a part: two labels each, all closed, one of them wrong; shares without each are
    # 1/2, 1/2 and 1, so the error is sqrt((2/3) * (2 * (1/6)^2 + (1/3)^2)) = 1/3
    rows = [(item, annotator, "a") for item in "pqr" for annotator in "uv"]
    table, gold = tabulate([*rows, ("s", "u", "b")]), {"p": "a", "q": "a", "r": "b"}
    config = ReplayConfig(epsilons=(0.5,), n_orders=1, n_parts=3)
    accuracy = replay_curve(table, gold, config, model=share).points[0].accuracy
    assert accuracy.value == pytest.approx(2 / 3)
    assert (accuracy.low, accuracy.high) == (0.0, 1.0)
    narrow = ReplayConfig(epsilons=(0.5,), n_orders=1, n_parts=3, confidence=0.5)
    accuracy = replay_curve(table, gold, narrow, model=share).points[0].accuracy
    # Student's t with 2 degrees of freedom at .75: .8165
    assert accuracy.high == pytest.approx(2 / 3 + 0.8165 / 3, abs=1e-4)
    assert accuracy.low == pytest.approx(2 / 3 - 0.8165 / 3, abs=1e-4)


def test_intervals_need_not_be_asked_for():
    point = replay_curve(*crowd(n_items=60), ReplayConfig(epsilons=(0.1,), n_parts=0)).points[0]
    assert (point.accuracy.low, point.accuracy.reason is not None) == (None, True)


def test_the_interval_of_a_mean_is_students():
    # 2, 3, 5 and 5 labels: mean 3.75, variance 6.75 / 3, standard error (2.25 / 4) ** .5; t(.975, 3) = 3.1824
    counts = (2, 3, 5, 5)
    rows = [(f"i{i}", f"w{j}", "ab"[(i + j) % 2]) for i, count in enumerate(counts) for j in range(count)]
    config = ReplayConfig(epsilons=(0.01,), n_orders=1, n_parts=4)
    curve = replay_curve(tabulate(rows), {f"i{i}": "ab"[i % 2] for i in range(4)}, config, model=share)
    labels = curve.fixed[-1].labels_per_item
    reach = 3.1824463 * 0.75
    assert labels.value == pytest.approx(3.75)
    assert (labels.low, labels.high) == pytest.approx((3.75 - reach, 3.75 + reach))
