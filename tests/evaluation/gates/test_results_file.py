"""Result files: read strictly, and a number that is none is not measured."""

import json
import math

import pytest

from accord.domain.errors import DataError
from accord.evaluation.gates.results_file import read_measurements

ROW = {"metric": "m", "estimate": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}}


def written(tmp_path, *rows):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"measurements": rows}))
    return path


def test_a_row_is_read_whole(tmp_path):
    row = {**ROW, "slice": "age", "versus": "incumbent", "facts": {"seed": 1}}
    (found,) = read_measurements(written(tmp_path, row))
    assert (found.metric, found.slice, found.versus, found.facts) == ("m", "age", "incumbent", {"seed": 1})
    assert (found.estimate.low, found.estimate.n) == (0.4, 10)


@pytest.mark.parametrize("value", [None, "0.5", True])
def test_what_is_no_number_is_nan(tmp_path, value):
    row = {"metric": "m", "estimate": {"value": value, "n": 10}}
    assert math.isnan(read_measurements(written(tmp_path, row))[0].estimate.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "expected an object, got list"),
        ({**ROW, "value": 1}, "'value' is not known"),
        ({**ROW, "metric": 3}, "metric is 3"),
        ({**ROW, "versus": "us"}, "versus is 'us'"),
        ({**ROW, "estimate": 3}, "estimate is 3"),
        ({**ROW, "estimate": {**ROW["estimate"], "n": -1}}, "n is -1"),
        ({**ROW, "estimate": {**ROW["estimate"], "confidence": 1}}, "confidence is 1"),
        ({**ROW, "estimate": {**ROW["estimate"], "low": 0.55}}, r"value 0\.5 lies outside \[0\.55, 0\.6\]"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match=rf"r\.json: measurements\[2\]: {message}"):
        read_measurements(written(tmp_path, ROW, row))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "r.json"
    for text in ("", "[]", '{"measurements": 3}'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"r\.json: "):
            read_measurements(path)
