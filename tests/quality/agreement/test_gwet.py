"""AC1 and AC2 equal recorded values and keep their head where one class is rare."""

import numpy as np
import pytest

from accord.domain import DataError
from accord.quality.agreement import BootstrapConfig, credit_matrix, fleiss_kappa, gwet_ac
from accord.quality.agreement import gwet as gwet_module

NO_BOOTSTRAP = BootstrapConfig(replicates=0)
MATRIX = [
    [1, 1, None, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [None, 5, 5, 5],
    [None, None, 1, 1],
    [None, 3, None, None],
]
RECORDED = {
    "identity": 0.775444068127,
    "linear": 0.858739136433,
    "quadratic": 0.914000723552,
    "ordinal": 0.898939769908,
}
"""irrCAC 0.4.4: CAC(pd.DataFrame(MATRIX), weights=CREDIT, digits=12).gwet()["est"]["coefficient_value"]."""


@pytest.mark.parametrize("credit", RECORDED)
def test_gwet_equals_the_recorded_values(table_of, credit):
    agreement = gwet_ac(table_of(MATRIX), credit=credit)
    assert agreement.value == pytest.approx(RECORDED[credit], abs=1e-11)
    assert agreement.low < agreement.value <= agreement.high


def test_rare_class_does_not_turn_high_agreement_into_none(table_of):
    # the paradox of Feinstein and Cicchetti 1990: 96 of 100 items agree, 4 split, no item agrees on b
    # Fleiss: p_b = .02, p_e = .98^2 + .02^2 = .9608, kappa = (.96 - .9608) / .0392 = -.0204
    # AC1: p_e = 2 * .02 * .98 = .0392, (.96 - .0392) / .9608 = .9584
    table = table_of([["a", "a"]] * 96 + [["a", "b"]] * 4)
    assert fleiss_kappa(table, config=NO_BOOTSTRAP).value == pytest.approx(-0.0008 / 0.0392)
    assert gwet_ac(table, config=NO_BOOTSTRAP).value == pytest.approx(0.9208 / 0.9608)


def test_total_agreement_on_one_of_two_named_classes_is_one(table_of):
    agreement = gwet_ac(table_of([["a", "a"]] * 5, classes=["a", "b"]))
    assert (agreement.value, agreement.has_interval) == (1.0, False)


def test_one_class_has_a_reason(table_of):
    assert "one class only" in gwet_ac(table_of([["a", "a"]] * 5)).reason


def test_single_ratings_have_a_reason(table_of):
    assert "no item has two ratings" in gwet_ac(table_of([["a"], ["b"]])).reason


def test_thousands_of_values_are_not_classes(table_of):
    n_values = gwet_module.MAX_CLASSES + 2
    table = table_of(np.arange(n_values, dtype=float).reshape(-1, 2).tolist())
    assert "use alpha or ICC" in gwet_ac(table).reason


def test_credit_by_hand():
    values = np.array([1.0, 2.0, 5.0])
    # range 4; distances 1, 4, 3; places apart 1, 2, 1 of C(3, 2) = 3 pairs
    assert credit_matrix(values, credit="linear")[0].tolist() == [1, 0.75, 0]
    assert credit_matrix(values, credit="quadratic")[1].tolist() == [1 - 1 / 16, 1, 1 - 9 / 16]
    assert credit_matrix(values, credit="ordinal")[0] == pytest.approx([1, 2 / 3, 0])
    assert credit_matrix(values[:1], credit="linear").tolist() == [[1]]
    with pytest.raises(DataError, match="credit is 'cubic'"):
        credit_matrix(values, credit="cubic")
