import numpy as np
import pytest
from scipy import special, stats

from accord.domain import ConfigError, DataError
from accord.quality.people import (
    QualificationConfig,
    QualificationDecision,
    operating_characteristic,
    run_qualification,
)

LONG = QualificationConfig(max_items=2000)


def test_the_test_by_hand():
    # right adds ln(.8/.6) = .2877, wrong ln(.2/.4) = -.6931; pass at ln 19 = 2.944, so 11 right in a row pass
    # (10 give 2.877), and 5 wrong in a row fail (4 give -2.773)
    passed = run_qualification([True] * 20)
    assert (passed.decision, passed.n_items) == (QualificationDecision.PASSED, 11)
    assert passed.log_likelihood_ratio == pytest.approx(11 * np.log(4 / 3))
    failed = run_qualification([False] * 20)
    assert (failed.decision, failed.n_items) == (QualificationDecision.FAILED, 5)
    assert run_qualification([]).decision is QualificationDecision.OPEN
    assert not run_qualification([True]).decision.is_final


def test_the_bayes_rule_cuts_the_test():
    config = QualificationConfig(max_items=3)
    # 3 right: Lambda .863 > 0 passes; 2 right 1 wrong: -.118 < 0 fails
    passed = run_qualification([True] * 3, config=config)
    assert passed.decision is QualificationDecision.PASSED
    assert passed.is_cut
    assert passed.p_qualified == pytest.approx((4 / 3) ** 3 / (1 + (4 / 3) ** 3))
    assert run_qualification([True, True, False], config=config).decision is QualificationDecision.FAILED
    dear = QualificationConfig(max_items=3, false_pass_cost=3.0)
    assert run_qualification([True] * 3, config=dear).decision is QualificationDecision.FAILED


def test_the_operating_characteristic_of_two_items_by_hand():
    # nothing decides before item 2; right-right: .575 >= 0 passes, all else is below 0
    config = QualificationConfig(max_items=2)
    found = operating_characteristic(0.7, config=config)
    assert (found.p_pass, found.expected_items, found.p_cut) == pytest.approx((0.49, 2.0, 1.0))


# Simulated figures of the reference: mean items 28, 31, 16, 16, 50; accepted .049 at .6 and .963 at .8
@pytest.mark.parametrize(("accuracy", "items"), [(0.6, 28), (0.8, 31), (0.5, 16), (0.9, 16), (0.7, 50)])
def test_expected_items_without_truncation_match_the_reference(accuracy, items):
    assert operating_characteristic(accuracy, config=LONG).expected_items == pytest.approx(items, abs=0.7)


def test_error_rates_without_truncation_match_the_reference_and_keep_the_promise():
    assert operating_characteristic(0.6, config=LONG).p_pass == pytest.approx(0.049, abs=0.006)
    assert operating_characteristic(0.8, config=LONG).p_pass == pytest.approx(0.963, abs=0.004)
    assert operating_characteristic(0.6, config=LONG).p_pass <= 0.05
    assert operating_characteristic(0.8, config=LONG).p_pass >= 0.95


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_recursion_agrees_with_running_the_test(spread):
    rng = np.random.default_rng(3)
    difficulties = rng.normal(0, spread, size=40)
    chances = special.expit(special.logit(0.72) - difficulties)
    runs = 3000
    results = [run_qualification(row, difficulties=difficulties) for row in rng.random((runs, 40)) < chances]
    found = operating_characteristic(0.72, difficulties=difficulties)
    passed = sum(one.decision is QualificationDecision.PASSED for one in results)
    assert stats.binomtest(passed, runs, found.p_pass).pvalue > 1e-4
    items = np.array([one.n_items for one in results])
    assert items.mean() == pytest.approx(found.expected_items, abs=4 * items.std() / np.sqrt(runs))


def test_a_miss_on_a_hard_item_weighs_less():
    config = QualificationConfig()
    easy = run_qualification([False], difficulties=[0.0], config=config).log_likelihood_ratio
    hard = run_qualification([False], difficulties=[2.0], config=config).log_likelihood_ratio
    assert easy < hard < 0


def test_an_impossible_test_names_every_problem():
    with pytest.raises(ConfigError, match=r"unqualified is 0\.9") as raised:
        QualificationConfig(unqualified=0.9, max_items=0)
    assert len(raised.value.problems) == 2


def test_too_few_difficulties_raise():
    with pytest.raises(DataError, match="1 difficulties"):
        run_qualification([True, True], difficulties=[0.0])
