"""One call gives every coefficient that suits the level."""

import json
from dataclasses import asdict

import pytest

from accord.domain import DataError
from accord.quality.agreement import BootstrapConfig, krippendorff_alpha, measure_agreement

TWO = [[1, 1], [2, 3], [3, 3], [1, 2], [2, 2], [3, 1]]
THREE = [[*row, 2] for row in TWO]


@pytest.mark.parametrize(
    ("level", "cohen"),
    [
        ("nominal", ["cohen_kappa"]),
        ("ordinal", ["cohen_kappa_linear", "cohen_kappa_quadratic"]),
        ("interval", ["cohen_kappa_quadratic"]),
        ("ratio", []),
    ],
)
def test_level_decides_what_is_measured(table_of, level, cohen):
    expected = {
        "nominal": ["percent_agreement", "fleiss_kappa", "krippendorff_alpha_nominal", "gwet_ac1"],
        "ordinal": ["percent_agreement", "krippendorff_alpha_ordinal", "gwet_ac2_ordinal"],
        "interval": ["percent_agreement", "krippendorff_alpha_interval", "gwet_ac2_quadratic"],
        "ratio": ["percent_agreement", "krippendorff_alpha_ratio"],
    }[level]
    numeric = (
        [f"icc_{form}_{k}" for k in "1k" for form in (1, 2, 3)] if level in ("interval", "ratio") else []
    )
    three = measure_agreement(table_of(THREE), level=level)
    assert [one.method for one in three.coefficients] == expected + numeric
    two = measure_agreement(table_of(TWO), level=level)
    assert [one.method for one in two.coefficients] == expected + cohen + numeric
    assert (three.n_items, three.n_ratings, three.n_annotators) == (6, 18, 3)


def test_the_report_holds_what_the_single_call_gives(table_of):
    config = BootstrapConfig(replicates=200, seed=4)
    report = measure_agreement(table_of(THREE), level="ordinal", config=config)
    single = krippendorff_alpha(table_of(THREE), level="ordinal", config=config)
    assert report["krippendorff_alpha_ordinal"] == single


def test_unknown_coefficient_names_those_there_are(table_of):
    with pytest.raises(DataError, match="there are percent_agreement, fleiss_kappa"):
        measure_agreement(table_of(THREE))["scott"]


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval", "ratio"])
@pytest.mark.parametrize(
    "matrix", [[[1]], [[1], [2]], [[1, 1]], [[1, 1]] * 3, [[1, 2]], [[1, 1], [2, 2]]], ids=str
)
def test_no_input_gives_nan(table_of, matrix, level):
    report = measure_agreement(table_of(matrix), level=level)
    json.dumps(asdict(report), allow_nan=False)
    for one in report.coefficients:
        assert one.has_interval or one.reason
