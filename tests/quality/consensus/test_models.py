import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from accord.domain import ConfigError
from accord.quality.consensus.annotators import annotator_confusions
from accord.quality.consensus.dawid_skene import DawidSkeneConfig, fit_dawid_skene
from accord.quality.consensus.em import EMConfig
from accord.quality.consensus.evidence import gather_evidence
from accord.quality.consensus.glad import GladConfig, GladObjective
from accord.quality.consensus.mace import fit_mace
from accord.quality.consensus.models import MODELS, fit_model
from accord.quality.consensus.one_coin import OneCoinConfig, fit_one_coin
from accord.quality.labels import tabulate_labels
from accord.quality.simulation import CrowdConfig, simulate_labels

CLIMBING = [name for name in MODELS if name not in ("majority", "vote_share")]


def brute_force(rows, classes, rates, shares):
    """Log-likelihood and posterior by going through all truths of each item."""
    items = sorted({item for item, _, _ in rows})
    people = sorted({person for _, person, _ in rows})
    joint = np.array(
        [
            [
                shares[k]
                * np.prod([rates[people.index(w), k, classes.index(y)] for i, w, y in rows if i == item])
                for k in range(len(classes))
            ]
            for item in items
        ]
    )
    return np.log(joint.sum(axis=1)).sum(), joint / joint.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_likelihood_posterior_and_counts_equal_going_through_all_truths(table_of, random_rows, classes):
    rows = random_rows(1, n_items=6, n_annotators=3, classes=classes)
    table = table_of(rows, classes=classes)
    generator = np.random.default_rng(2)
    rates = generator.dirichlet(np.ones(len(classes)), size=(table.n_annotators, len(classes)))
    shares = generator.dirichlet(np.ones(len(classes)))
    log_likelihood, posterior = brute_force(rows, classes, rates, shares)
    evidence = gather_evidence(table, block_labels=4)
    found = evidence.expect(np.log(rates), np.log(shares))
    assert found.log_likelihood == pytest.approx(log_likelihood, rel=1e-12)
    assert evidence.posterior(np.log(rates), np.log(shares)) == pytest.approx(posterior, abs=1e-12)
    counts = np.zeros_like(rates)
    for item, person, value in rows:
        i, w = table.items.tolist().index(item), table.annotators.tolist().index(person)
        counts[w, :, classes.index(value)] += posterior[i]
    assert found.counts == pytest.approx(counts, abs=1e-12)
    assert found.class_counts == pytest.approx(posterior.sum(axis=0), abs=1e-12)


def test_one_step_of_dawid_skene_by_hand(table_of):
    # One item, one annotator, one label "a" of two classes. Start: right with 0.7, classes equal.
    # Posterior of a: 0.7. Counts of (true a, given a) 0.7 and (true b, given a) 0.3, with imagined 2 and 1:
    # rates a|a = 2.7 / 3.7, a|b = 1.3 / 3.3; shares (0.7 + 1) / 3 and (0.3 + 1) / 3.
    table = table_of([("i", "w", "a")], classes=("a", "b"))
    config = DawidSkeneConfig(start="vote", em=EMConfig(max_iterations=1))
    fit = fit_dawid_skene(gather_evidence(table), config)
    rates = np.exp(fit.parameters.log_rates[0])
    assert rates == pytest.approx(np.array([[2.7, 1.0], [1.3, 2.0]]) / [[3.7], [3.3]])
    assert np.exp(fit.parameters.log_classes) == pytest.approx([1.7 / 3, 1.3 / 3])


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_climbed_never_falls(table_of, random_rows, name, seed):
    fit = fit_model(table_of(random_rows(seed)), name)
    steps = np.diff(fit.objectives)
    assert len(steps) > 0
    assert steps.min() >= -1e-9 * abs(fit.objectives[-1])


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_rows_does_not_matter(table_of, random_rows, name):
    rows = random_rows(3)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert np.array_equal(
        fit_model(table_of(rows), name).posterior, fit_model(table_of(shuffled), name).posterior
    )


@pytest.mark.parametrize("name", MODELS)
def test_renamed_classes_give_the_renamed_posterior(table_of, random_rows, name):
    rows = random_rows(4, skill=0.8)
    renamed = [(item, person, {"a": "z", "b": "y", "c": "x"}[value]) for item, person, value in rows]
    plain, mirrored = fit_model(table_of(rows), name), fit_model(table_of(renamed), name)
    assert mirrored.posterior[:, ::-1] == pytest.approx(plain.posterior, abs=2e-3)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "rows",
    [
        [("i", "w", "a")],
        [("i", "w", "a"), ("i", "v", "b")],
        [("i", "w", "a"), ("j", "w", "a")],
        [("i", "w", "a"), ("j", "w", "b"), ("k", "w", "b")],
        [("i", w, "ab"[k % 2]) for k, w in enumerate("stuv")],
        [(i, w, "a") for i in "ij" for w in "stuv"],
        [(i, w, "abc"[k]) for i in "ij" for k, w in enumerate("stu")],
    ],
    ids=["one label", "two who differ", "one class", "one annotator", "one item", "all agree", "all ties"],
)
def test_degenerate_tables_give_probabilities(table_of, name, rows):
    fit = fit_model(table_of(rows), name)
    assert np.isfinite(fit.posterior).all()
    assert fit.posterior.sum(axis=1) == pytest.approx(np.ones(len(fit.posterior)))
    predicted = fit.predict(np.zeros(1, dtype=int), np.zeros(1, dtype=int))
    assert predicted.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", MODELS)
def test_tied_classes_stay_tied(table_of, name):
    # Everybody gives a to the first half and b to the second but for one item on which they are divided.
    rows = [(f"{i}", w, "a" if i < 4 else "b") for i in range(8) for w in "stuv"]
    rows += [("tied", w, value) for w, value in zip("stuv", "aabb", strict=True)]
    fit = fit_model(table_of(rows), name)
    assert fit.posterior[-1] == pytest.approx([0.5, 0.5], abs=5e-3)


def test_an_item_with_thousands_of_labels_does_not_underflow(table_of):
    rows = [("long", f"p{k:04d}", "a" if k % 3 else "b") for k in range(3000)]
    rows += [("short", f"p{k:04d}", "b") for k in range(3000)]
    for name in MODELS:
        posterior = fit_model(table_of(rows), name).posterior
        assert np.isfinite(posterior).all(), name
        assert (posterior.argmax(axis=1) == [0, 1]).all(), name


def test_restarts_differ_and_the_best_is_kept(table_of, random_rows):
    evidence = gather_evidence(table_of(random_rows(5)))
    config = DawidSkeneConfig(start="vote", em=EMConfig(n_starts=5, max_iterations=1))
    fit = fit_dawid_skene(evidence, config, seed=1)
    assert len(set(np.round(fit.start_objectives, 3))) == 5
    assert fit.objectives[-1] == max(fit.start_objectives)
    again = fit_dawid_skene(evidence, config, seed=1)
    assert again.start_objectives == fit.start_objectives


def test_imagined_counts_act_in_every_step(table_of, random_rows):
    table = table_of(random_rows(6))
    strong = DawidSkeneConfig(right_count=9e6, wrong_count=1e6)
    fit = fit_dawid_skene(gather_evidence(table), strong)
    rates = np.exp(fit.parameters.log_rates)
    # 9e6 against 2 * 1e6 imagined labels: 9 / 11 on the diagonal, whatever a few dozen labels say
    assert np.diagonal(rates, axis1=1, axis2=2) == pytest.approx(9 / 11, abs=1e-4)


def test_known_answers_are_certain_and_turn_a_crowd_that_is_wrong(table_of):
    # Five of six annotators always say the opposite.
    truth = ["a" if i % 2 else "b" for i in range(30)]
    opposite = {"a": "b", "b": "a"}
    rows = [(f"{i:02d}", "honest", value) for i, value in enumerate(truth)]
    rows += [(f"{i:02d}", f"wrong {w}", opposite[value]) for w in range(5) for i, value in enumerate(truth)]
    table = table_of(rows)
    gold = np.full(30, -1)
    gold[:12] = [table.classes.index(value) for value in truth[:12]]
    right = np.array([table.classes.index(value) for value in truth])
    for name in ("dawid_skene", "averaged", "hierarchical"):
        alone, told = fit_model(table, name), fit_model(table, name, gold=gold)
        assert (alone.posterior.argmax(axis=1) == right).mean() == 0.0, name
        assert (told.posterior.argmax(axis=1) == right).mean() == 1.0, name
        assert told.posterior[np.arange(12), gold[:12]] == pytest.approx(np.ones(12))


@pytest.mark.parametrize("gold_share", [0.0, 0.3])
def test_glad_gradient_equals_finite_differences(table_of, random_rows, gold_share):
    table = table_of(random_rows(7, n_items=6, n_annotators=4))
    generator = np.random.default_rng(8)
    gold = np.where(generator.random(6) < gold_share, generator.integers(3, size=6), -1)
    objective = GladObjective(table, GladConfig(), gold)
    point = generator.normal(size=table.n_annotators + table.n_items + table.n_classes)
    _, gradient = objective.value_and_gradient(point)
    numeric = approx_fprime(point, lambda at: objective.value_and_gradient(at)[0], 1e-6)
    assert gradient == pytest.approx(numeric, abs=2e-5)


def test_glad_value_equals_going_through_all_truths(table_of, random_rows):
    rows = random_rows(9, n_items=4, n_annotators=3)
    table = table_of(rows)
    generator = np.random.default_rng(3)
    point = generator.normal(size=table.n_annotators + table.n_items + 3)
    ability, log_ease, logits = point[:3], point[3:7], point[7:]
    shares = np.exp(logits) / np.exp(logits).sum()
    total = 0.0
    for i, item in enumerate(table.items.tolist()):
        evidence = shares.copy()
        for _, w, value in (row for row in rows if row[0] == item):
            margin = ability[table.annotators.tolist().index(w)] * np.exp(log_ease[i])
            right = 1 / (1 + np.exp(-margin))
            for k, name in enumerate(table.classes):
                evidence[k] *= right if name == value else (1 - right) / 2
        total += np.log(evidence.sum())
    total += np.log(shares).sum()  # one imagined item of each class
    total -= ((ability - 1) ** 2).sum() / 2 + ((log_ease - 1) ** 2).sum() / 2
    assert GladObjective(table, GladConfig(), None).value_and_gradient(point)[0] == pytest.approx(total)


def test_one_coin_is_dawid_skene_with_one_rate(table_of, random_rows):
    fit = fit_one_coin(gather_evidence(table_of(random_rows(10))), OneCoinConfig())
    rates = np.exp(fit.parameters.log_rates)
    diagonal = np.diagonal(rates, axis1=1, axis2=2)
    assert diagonal == pytest.approx(np.repeat(diagonal[:, :1], 3, axis=1))
    assert rates.sum(axis=2) == pytest.approx(np.ones(rates.shape[:2]))


def test_mace_gives_the_spammers_habit_to_the_spammer(random_rows, table_of):
    rows = random_rows(11, n_items=120, n_annotators=6, skill=0.9)
    rows += [(f"item {i:03d}", "spammer", "c") for i in range(120)]
    for order in ("as they come", "spammer first"):
        table = table_of(rows if order == "as they come" else rows[::-1])
        rates = np.exp(fit_mace(gather_evidence(table)).parameters.log_rates)
        spam = rates[table.annotators.tolist().index("spammer")]
        assert spam[:, 2].min() > 0.9
        others = np.delete(rates, table.annotators.tolist().index("spammer"), axis=0)
        assert np.diagonal(others, axis1=1, axis2=2).min() > 0.6


@pytest.mark.parametrize("name", ["dawid_skene", "averaged", "hierarchical"])
def test_known_confusion_matrices_are_recovered(name):
    crowd = simulate_labels(
        CrowdConfig(n_items=3000, n_annotators=15, labels_per_item=5, n_classes=3, class_spread=0.5), 0
    )
    table = tabulate_labels(crowd.columns)
    fit = fit_model(table, name)
    truth = crowd.truth_index
    accuracy = (fit.posterior.argmax(axis=1) == truth).mean()
    votes = (fit_model(table, "vote_share").posterior.argmax(axis=1) == truth).mean()
    assert accuracy > votes + 0.01
    # a row rests on about 333 labels of its true class: a standard error of 0.02 at a rate of 0.7
    rates = np.stack([one.rates for one in annotator_confusions(table, fit.posterior)])
    assert np.abs(rates - crowd.annotators.confusion).mean() < 0.02


def test_a_rare_class_does_not_gather_doubtful_items(table_of):
    # 0.2 % of labels say "rare"; nobody's plurality.
    generator = np.random.default_rng(0)
    rows = []
    for i in range(2000):
        truth = "a" if i % 2 else "b"
        for w in generator.choice(30, size=4, replace=False):
            draw = generator.random()
            wrong = "b" if truth == "a" else "a"
            value = "rare" if draw < 0.002 else truth if draw < 0.72 else wrong
            rows.append((f"{i:04d}", f"p{w:02d}", value))
    table = table_of(rows)
    rare = table.classes.index("rare")
    top = fit_model(table, "dawid_skene").posterior.argmax(axis=1)
    assert (top == rare).sum() <= 4


def test_a_config_of_another_model_is_refused(table_of):
    with pytest.raises(ConfigError, match="glad takes GladConfig"):
        fit_model(table_of([("i", "w", "a")]), "glad", config=OneCoinConfig())


def test_configs_refuse_what_has_no_meaning():
    bad = [
        lambda: EMConfig(max_iterations=0, tolerance=-1.0, n_starts=0),
        lambda: DawidSkeneConfig(right_count=0.0),
        lambda: OneCoinConfig(wrong_count=-1.0),
        lambda: GladConfig(max_iterations=0),
    ]
    for make in bad:
        with pytest.raises(ConfigError, match="expected"):
            make()


def test_blocks_of_any_size_give_the_same(table_of, random_rows):
    table = table_of(random_rows(12))
    rates = np.random.default_rng(0).dirichlet(np.ones(3), size=(table.n_annotators, 3))
    found = [
        gather_evidence(table, block_labels=size).expect(np.log(rates), np.log(np.full(3, 1 / 3)))
        for size in (1, 7, 10**6)
    ]
    for left, right in itertools.pairwise(found):
        assert left.log_likelihood == pytest.approx(right.log_likelihood, rel=1e-12)
        assert left.counts == pytest.approx(right.counts, abs=1e-10)
