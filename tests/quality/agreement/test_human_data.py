"""Agreement of people on the real sets, to the digits that a second, separate program printed.

Points agree to those digits. Interval bounds are quantiles of 1000 draws by two different random
sequences, and ours are corrected for bias: they agree to a fifth of the interval's half width.
"""

import csv
import gzip
import itertools
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.agreement import BootstrapConfig, krippendorff_alpha, percent_agreement
from accord.quality.labels import tabulate_labels

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout"),
]
NO_BOOTSTRAP = BootstrapConfig(replicates=0)


def read(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def tabulate(rows):
    """A table of (item, annotator, value)."""
    items, annotators, values = zip(*rows, strict=True)
    return tabulate_labels(LabelColumns(items=items, annotators=annotators, values=values))


def llmfao():
    side = {"left": -1, "tie": 0, "right": 1}
    return [
        (row["pair"], row["worker"], side[row["winner"]]) for row in read("pref_llmfao/comparisons.jsonl.gz")
    ]


def mtbench():
    side = {"model_a": -1, "tie": 0, "model_b": 1}
    rows = read("pref_mtbench_human/human.jsonl.gz")
    item = ("question_id", "turn", "model_a", "model_b")
    # one judge may have judged a pair twice: each row counts, as in the printed figures
    return [
        (" ".join(str(row[name]) for name in item), f"{row['judge']} {i}", side[row["winner"]])
        for i, row in enumerate(rows)
    ]


def pandalm():
    value = {0: 0, 1: -1, 2: 1}
    return [
        (row["idx"], number, value[row[f"annotator{number}"]])
        for row in read("pref_pandalm/pairs.jsonl.gz")
        for number in (1, 2, 3)
    ]


def mqm_scores(language):
    return [
        (f"{row['system']} {row['doc']} {row['seg']}", row["rater"], row["mqm"])
        for row in read(f"ratings_wmt_mqm/{language}.jsonl.gz")
    ]


def mqm_pairs(language):
    """Each two systems on a segment by one rater: the sign of the difference of their error scores."""
    scores = defaultdict(dict)
    for row in read(f"ratings_wmt_mqm/{language}.jsonl.gz"):
        scores[f"{row['doc']} {row['seg']}", row["rater"]][row["system"]] = row["mqm"]
    return [
        (f"{segment}|{first}|{second}", rater, int(np.sign(of[first] - of[second])))
        for (segment, rater), of in scores.items()
        for first, second in itertools.combinations(sorted(of), 2)
    ]


def without_ties(rows):
    return [row for row in rows if row[2] != 0]


def check(found, point, low, high):
    assert round(found.value, 3) == pytest.approx(point, abs=1e-9)
    tolerance = 0.2 * (high - low) / 2 + 0.0005
    assert found.low == pytest.approx(low, abs=tolerance)
    assert found.high == pytest.approx(high, abs=tolerance)


PREFERENCES = {
    # rows, items, with two or more, percent, nominal alpha, interval alpha
    "llmfao": (llmfao, 2139, 2124, 0.529, (0.291, 0.269, 0.308), (0.288, 0.263, 0.312)),
    "llmfao without ties": (
        lambda: without_ties(llmfao()),
        1918,
        1513,
        0.674,
        (0.370, 0.339, 0.404),
        None,
    ),
    "mtbench": (mtbench, 2396, 761, 0.669, (0.478, 0.430, 0.525), (0.571, 0.518, 0.625)),
    "mtbench without ties": (
        lambda: without_ties(mtbench()),
        1928,
        536,
        0.832,
        (0.658, 0.599, 0.714),
        None,
    ),
    "pandalm": (pandalm, 999, 999, 0.920, (0.864, 0.841, 0.887), (0.877, 0.853, 0.901)),
    "mqm pairs en-de": (
        lambda: mqm_pairs("ende"),
        4680,
        4680,
        0.588,
        (0.362, 0.345, 0.378),
        (0.354, 0.334, 0.374),
    ),
    "mqm pairs zh-en": (
        lambda: mqm_pairs("zhen"),
        16965,
        16965,
        0.503,
        (0.250, 0.242, 0.257),
        (0.292, 0.282, 0.302),
    ),
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_agreement_on_preferences_is_as_printed(name):
    rows, n_items, n_pairable, percent, nominal, interval = PREFERENCES[name]
    table = tabulate(rows())
    assert table.n_items == n_items
    found = percent_agreement(table, config=NO_BOOTSTRAP)
    assert found.n_items == n_pairable
    assert round(found.value, 3) == pytest.approx(percent, abs=1e-9)
    check(krippendorff_alpha(table), *nominal)
    if interval is not None:
        check(krippendorff_alpha(table, level="interval"), *interval)


@pytest.mark.parametrize(
    ("language", "n_items", "interval", "ordinal"),
    [("ende", 1040, 0.499, 0.505), ("zhen", 3770, 0.457, 0.446)],
)
def test_agreement_on_translation_scores_is_as_printed(language, n_items, interval, ordinal):
    table = tabulate(mqm_scores(language))
    assert table.n_items == n_items
    for level, expected in (("interval", interval), ("ordinal", ordinal)):
        found = krippendorff_alpha(table, level=level, config=NO_BOOTSTRAP)
        assert round(found.value, 3) == pytest.approx(expected, abs=1e-9)


def test_pairs_derived_from_shared_segments_need_the_segment_as_cluster():
    # 45 pairs of 10 systems share the three raters and the text of a segment
    table = tabulate(mqm_pairs("ende"))
    segments = [item.partition("|")[0] for item in table.items.tolist()]
    naive, clustered = (krippendorff_alpha(table, clusters=clusters) for clusters in (None, segments))
    assert len(set(segments)) == 104
    assert clustered.value == pytest.approx(naive.value, abs=1e-12)
    assert clustered.high - clustered.low > 2 * (naive.high - naive.low)


def test_agreement_on_facts_is_as_printed():
    with gzip.open(DATA / "crowd_google_facts" / "labels.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # the printed figure counts all 1810 repeated labels; a table keeps one of each annotator
    everyone = [(row["task"], f"{row['worker']} {i}", row["label"]) for i, row in enumerate(rows)]
    assert krippendorff_alpha(tabulate(everyone), config=NO_BOOTSTRAP).value == pytest.approx(
        0.7039, abs=0.00005
    )
    columns = LabelColumns(
        items=[row["task"] for row in rows],
        annotators=[row["worker"] for row in rows],
        values=[row["label"] for row in rows],
    )
    table = tabulate_labels(columns, repeats="first")
    assert table.n_repeats == 1810
    assert krippendorff_alpha(table, config=NO_BOOTSTRAP).value == pytest.approx(0.7035, abs=0.00005)


AFFECT = {
    "anger": (0.353, 0.711),
    "disgust": (0.428, 0.765),
    "fear": (0.285, 0.699),
    "joy": (0.216, 0.640),
    "sadness": (0.437, 0.792),
    "surprise": (0.057, 0.526),
    "valence": (0.326, 0.850),
}


@pytest.mark.parametrize("dimension", AFFECT)
def test_agreement_on_affect_is_as_printed(dimension):
    alpha, correlation = AFFECT[dimension]
    ratings = [row for row in read("ratings_affect/ratings.jsonl.gz") if row["dimension"] == dimension]
    table = tabulate([(row["task"], row["worker"], row["rating"]) for row in ratings])
    found = krippendorff_alpha(table, level="interval", config=NO_BOOTSTRAP)
    assert round(found.value, 3) == pytest.approx(alpha, abs=1e-9)
    gold = {
        row["task"]: row["gold"]
        for row in read("ratings_affect/gold.jsonl.gz")
        if row["dimension"] == dimension
    }
    means = np.bincount(table.item_index, weights=table.numbers) / table.labels_per_item
    truth = [gold[item] for item in table.items.tolist()]
    assert round(float(np.corrcoef(means, truth)[0, 1]), 3) == pytest.approx(correlation, abs=1e-9)
