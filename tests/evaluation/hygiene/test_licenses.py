"""Licenses as people write them, expressions, and rows that name none."""

import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.hygiene import count_licenses, license_measurement
from accord.evaluation.hygiene.licenses import ALLOWED, is_allowed, normalize_license, read_license

KNOWN = {one.lower() for one in ALLOWED}


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("mit", "MIT"),
        ("The MIT License", "MIT"),
        ("Apache 2.0", "Apache-2.0"),
        ("apache-2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("cc by 4.0", "CC-BY-4.0"),
        ("CC BY-NC 4.0", "CC BY-NC 4.0"),
        ("mit OR gpl-3.0", "MIT OR gpl-3.0"),
        ("(MIT   AND cc0) OR proprietary", "(MIT AND CC0-1.0) OR proprietary"),
    ],
)
def test_spellings(written, normal):
    assert normalize_license(written) == normal


@pytest.mark.parametrize(
    ("expression", "is_fine"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("MIT OR GPL-3.0", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT AND GPL-3.0) OR ISC", True),
        ("(MIT OR GPL-3.0) AND ISC", True),
        ("(MIT OR ISC) AND (GPL-3.0 OR AGPL-3.0)", False),
        ("((MIT))", True),
        ("CC-BY-NC-4.0", False),
        ("CC-BY-SA-4.0", False),
        ("unknown", False),
    ],
)
def test_expressions(expression, is_fine):
    assert is_allowed(normalize_license(expression), KNOWN) is is_fine


def test_a_license_stands_in_the_row_or_in_its_meta():
    assert read_license({"licence": "mit"}) == "MIT"
    assert read_license({"license": "", "meta": {"license": "Apache 2.0"}}) == "Apache-2.0"
    assert read_license({"license": None, "metadata": {"spdx": "ISC"}}) == "ISC"
    assert (
        read_license({"license": "Unknown"}) == read_license({}) == read_license({"meta": "x"}) == "unknown"
    )


def test_rows_are_counted_and_what_was_said_for_them_is_told():
    rows = [{"license": "mit"}, {"license": "CC BY-NC 4.0"}, {}, {"license": "other"}]
    plain = count_licenses(rows)
    assert plain.counts == {"CC BY-NC 4.0": 1, "MIT": 1, "unknown": 2}
    assert (plain.refused, plain.rows_refused) == (("CC BY-NC 4.0", "unknown"), 3)
    said = count_licenses(rows, assumed="apache 2.0", allowed=(*ALLOWED, "cc by-nc 4.0"))
    assert (said.refused, said.assumed) == ((), 2)
    measured = license_measurement(plain, {})
    assert (measured.metric, measured.estimate.value, measured.estimate.n) == ("train_unlicensed", 0.75, 4)
    assert license_measurement(said, {}).facts["assumed_rows"] == 2


def test_no_rows_are_no_zero():
    with pytest.raises(EvaluationError, match="n = 0"):
        count_licenses([])
