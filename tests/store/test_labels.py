"""Label files become columns: names are found, numbers stay numbers, bad input is one clear error."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError
from accord.store import ColumnMapping, read_gold, read_labels

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout")

ROWS = [
    {"task": "t0", "worker": "w0", "label": "yes"},
    {"task": "t0", "worker": "w1", "label": "no"},
    {"task": "t1", "worker": "w0", "label": "yes"},
]


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_table(path: Path, rows: list[dict[str, object]], delimiter: str = ",") -> Path:
    lines = [delimiter.join(rows[0]), *(delimiter.join(str(cell) for cell in row.values()) for row in rows)]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_parquet(path: Path, rows: list[dict[str, object]]) -> Path:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return path


def as_rows(labels) -> list[tuple[object, object, object]]:
    columns = [
        list(np.asarray(column).tolist()) for column in (labels.items, labels.annotators, labels.values)
    ]
    return list(zip(*columns, strict=True))


def test_every_file_type_gives_the_same_columns(tmp_path: Path):
    files = [
        write_lines(tmp_path / "a.jsonl", ROWS),
        write_lines(tmp_path / "b.jsonl.gz", ROWS),
        write_table(tmp_path / "c.csv", ROWS),
        write_table(tmp_path / "d.csv.gz", ROWS),
        write_table(tmp_path / "e.tsv", ROWS, "\t"),
        write_parquet(tmp_path / "f.parquet", ROWS),
    ]
    (tmp_path / "g.json").write_text(json.dumps(ROWS))
    wanted = [("t0", "w0", "yes"), ("t0", "w1", "no"), ("t1", "w0", "yes")]
    for file in [*files, tmp_path / "g.json"]:
        assert as_rows(read_labels(file)) == wanted, file


def test_lines_are_those_of_the_file(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text('task,worker,label\nt0,w0,"a\nb"\n\nt1,w0,c\n')
    labels = read_labels(path)
    # the quoted cell spans lines 2 and 3, line 4 is blank
    assert list(labels.lines) == [3, 5]
    assert labels.place(1) == f"{path}, line 5"
    lines = tmp_path / "labels.jsonl"
    lines.write_text('\n{"task":1,"worker":2,"label":3}\n\n{"task":1,"worker":3,"label":3}\n')
    assert list(read_labels(lines).lines) == [2, 4]


def test_whole_numbers_in_a_table_are_numbers_and_padded_ones_names(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text("item,rater,rating\n7,007,1\n8,012,2.5\n")
    labels = read_labels(path)
    assert np.asarray(labels.items).dtype.kind == "i"
    assert labels.items.tolist() == [7, 8]
    assert labels.annotators == ["007", "012"]
    assert labels.values.tolist() == [1.0, 2.5]


def test_one_name_among_numbers_keeps_all_of_them_text(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text("item,rater,answer\n1,a,1\n2,a,skip\n")
    assert read_labels(path).values == ["1", "skip"]


@given(number=st.integers(-(2**62), 2**62))
def test_a_number_is_the_same_id_in_every_file_type(tmp_path: Path, number: int):
    rows = [{"item": number, "rater": 1, "label": 1}]
    table = read_labels(write_table(tmp_path / "labels.csv", rows))
    lines = read_labels(write_lines(tmp_path / "labels.jsonl", rows))
    assert as_rows(table) == as_rows(lines) == [(number, 1, 1)]


def test_an_id_too_large_for_an_integer_is_a_name(tmp_path: Path):
    rows = [{"item": 2**70, "rater": 1, "label": 1}]
    assert read_labels(write_lines(tmp_path / "labels.jsonl", rows)).items == [str(2**70)]


@pytest.mark.parametrize(
    ("item", "annotator", "value"),
    [
        ("task", "worker", "label"),
        ("item_id", "annotator_id", "value"),
        ("Item ID", "Rater", "Rating"),
        ("example", "user", "answer"),
        ("question_id", "judge", "score"),
        ("task", "performer", "label"),
        ("id", "coder", "category"),
    ],
)
def test_usual_names_are_found(tmp_path: Path, item: str, annotator: str, value: str):
    rows = [{item: "x", annotator: "y", value: "z"}]
    assert as_rows(read_labels(write_lines(tmp_path / "labels.jsonl", rows))) == [("x", "y", "z")]


def test_mapping_names_any_column(tmp_path: Path):
    rows = [{"a": "x", "b": "y", "c": "z", "label": "not this", "d": "north"}]
    path = write_lines(tmp_path / "labels.jsonl", rows)
    labels = read_labels(path, mapping=ColumnMapping(item=("a",), annotator="b", value="c", groups=("d",)))
    assert as_rows(labels) == [("x", "y", "z")]
    assert labels.groups == {"d": ["north"]}


def test_items_of_several_columns_cannot_be_mistaken_for_each_other(tmp_path: Path):
    rows = [
        {"doc": "a|b", "seg": "c", "system": "s", "rater": 1, "mqm": 0.5},
        {"doc": "a", "seg": "b|c", "system": "s", "rater": 1, "mqm": 0.0},
        {"doc": "a\\", "seg": "b", "system": "s", "rater": 1, "mqm": 0.0},
    ]
    items = read_labels(write_lines(tmp_path / "labels.jsonl", rows)).items
    assert items == ["a\\|b|c|s", "a|b\\|c|s", "a\\\\|b|s"]


def test_the_dimension_is_part_of_the_item(tmp_path: Path):
    rows = [{"task": "h1", "dimension": name, "worker": "w", "rating": 3} for name in ("joy", "fear")]
    assert read_labels(write_lines(tmp_path / "labels.jsonl", rows)).items == ["h1|joy", "h1|fear"]


def test_outcomes_of_comparisons_have_one_name(tmp_path: Path):
    outcomes = ["left", "model_b", "A", "tie (inconsistent)", "both bad"]
    rows = [{"pair": i, "worker": "w", "winner": name} for i, name in enumerate(outcomes)]
    values = read_labels(write_lines(tmp_path / "labels.jsonl", rows)).values
    assert values == ["left", "right", "left", "tie", "both_bad"]


def test_a_comparison_with_texts_is_named_by_their_hash(tmp_path: Path):
    row = {"prompt": "Why?", "left": "Because.", "right": "x" * 5000, "choice": "left", "annotator": "ann"}
    rows = [row, row | {"annotator": "bob"}, row | {"left": "So."}]
    labels = read_labels(write_lines(tmp_path / "judgments.jsonl", rows))
    assert labels.items[0] == labels.items[1] != labels.items[2]
    assert max(map(len, labels.items)) == 16


def test_a_machine_verdict_is_by_its_file(tmp_path: Path):
    rows = [{"pair": 0, "winner": "left", "left": "m1", "right": "m2"}]
    assert read_labels(write_lines(tmp_path / "judge_gpt.jsonl.gz", rows)).annotators == ["judge_gpt"]


def test_numbered_annotator_columns_become_rows(tmp_path: Path):
    rows = [
        {"item": "a", "annotator1": "x", "annotator2": "y"},
        {"item": "b", "annotator1": "x", "annotator2": ""},
    ]
    labels = read_labels(write_table(tmp_path / "wide.csv", rows))
    assert as_rows(labels) == [("a", "annotator1", "x"), ("b", "annotator1", "x"), ("a", "annotator2", "y")]
    assert list(labels.lines) == [2, 3, 2]


def test_several_files_follow_each_other(tmp_path: Path):
    first = write_lines(tmp_path / "a.jsonl", [{**ROWS[0], "ms": 10, "rater_age": "18-29"}])
    second = write_lines(tmp_path / "b.jsonl", [ROWS[1]])
    labels = read_labels([first, second])
    assert as_rows(labels) == [("t0", "w0", "yes"), ("t0", "w1", "no")]
    assert labels.groups == {"rater_age": ["18-29", ""]}
    assert labels.durations_ms is None, "one file has none"


def test_times_are_milliseconds_whatever_they_were(tmp_path: Path):
    times = [1700000000, 1700000000000, "2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20", None]
    rows = [
        {"task": i, "worker": 1, "label": 1, "timestamp": time, "duration": 1.5, "session_id": "s"}
        for i, time in enumerate(times)
    ]
    labels = read_labels(write_lines(tmp_path / "labels.jsonl", rows))
    assert labels.timestamps_ms[:4].tolist() == [1.7e12] * 4
    assert np.isnan(labels.timestamps_ms[4])
    assert labels.durations_ms.tolist() == [1500.0] * 5
    assert labels.sessions == ["s"] * 5
    in_ms = write_lines(tmp_path / "b.jsonl", [{"task": 1, "worker": 1, "label": 1, "ms": 90, "ts": 1.7e12}])
    assert read_labels(in_ms).durations_ms.tolist() == [90.0]


def test_a_time_found_by_name_may_be_unreadable_but_a_named_one_may_not(tmp_path: Path):
    path = write_lines(tmp_path / "labels.jsonl", [{**ROWS[0], "timestamp": "last week"}])
    assert read_labels(path).timestamps_ms is None
    with pytest.raises(DataError, match=r":1: column 'timestamp' is str 'last week', expected ISO 8601"):
        read_labels(path, mapping=ColumnMapping(timestamp="timestamp"))


def test_truth_values_are_classes(tmp_path: Path):
    rows = [{"item": i, "rater": 1, "label": value} for i, value in enumerate([True, False])]
    assert read_labels(write_lines(tmp_path / "labels.jsonl", rows)).values == ["true", "false"]


def test_unknown_column_names_what_was_seen_and_the_nearest(tmp_path: Path):
    path = write_lines(tmp_path / "labels.jsonl", [{"task": 1, "workr": 2, "label": 3}])
    with pytest.raises(DataError) as caught:
        read_labels(path)
    assert "no column is known as the annotator; the file has 'task', 'workr', 'label'" in str(caught.value)
    assert "'workr' comes nearest, to 'worker'" in str(caught.value)
    with pytest.raises(DataError, match=r"there is no column 'labl'; .* Did you mean 'label'\?"):
        read_labels(path, mapping=ColumnMapping(value="labl", annotator="workr"))


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.csv", "header.csv", "blank.jsonl"])
def test_a_file_without_rows_says_so(tmp_path: Path, name: str):
    content = {"header.csv": "task,worker,label\n", "blank.jsonl": "\n\n"}.get(name, "")
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}: the file (is empty|holds no rows)"):
        read_labels(tmp_path / name)


@pytest.mark.parametrize(
    ("cell", "seen"),
    [('"nan"', "'nan'"), ("NaN", "nan"), ("null", "NoneType None"), ('""', "''"), ("Infinity", "inf")],
)
def test_a_missing_value_names_its_line(tmp_path: Path, cell: str, seen: str):
    path = tmp_path / "labels.jsonl"
    path.write_text(f'{{"task":1,"worker":2,"label":1.5}}\n{{"task":1,"worker":3,"label":{cell}}}\n')
    with pytest.raises(DataError, match=rf":2: column 'label' is .*{seen}, expected a class name or"):
        read_labels(path)


def test_a_missing_value_in_a_table_names_its_line(tmp_path: Path):
    for cell in ("nan", "", " "):
        path = write_table(tmp_path / "labels.csv", [ROWS[0], ROWS[1] | {"label": cell}])
        with pytest.raises(DataError, match=rf"labels.csv:3: column 'label' is '{cell}', expected"):
            read_labels(path)
        path = write_table(tmp_path / "labels.csv", [ROWS[0], ROWS[1] | {"worker": cell}])
        with pytest.raises(DataError, match=rf"labels.csv:3: column 'worker' is '{cell}', expected an id"):
            read_labels(path)


def test_the_first_bad_cell_is_named(tmp_path: Path):
    rows = [{"item": i, "rater": 1, "label": text} for i, text in enumerate(["a", "nan", "", "NaN", "b"])]
    for _ in range(3):
        with pytest.raises(DataError, match=r":3: column 'label' is 'nan'"):
            read_labels(write_table(tmp_path / "labels.csv", rows))


@pytest.mark.parametrize("bad", [1.5, [1], {"a": 1}, True])
def test_an_id_is_a_text_or_a_whole_number(tmp_path: Path, bad: object):
    path = write_lines(tmp_path / "labels.jsonl", [{"task": bad, "worker": 2, "label": 1}])
    with pytest.raises(DataError, match=r":1: column 'task' is .*, expected an id"):
        read_labels(path)


def test_a_field_of_a_million_characters_is_refused_where_it_counts(tmp_path: Path):
    rows = [ROWS[0], ROWS[1] | {"label": "x" * 10**6}]
    for path in (write_lines(tmp_path / "a.jsonl", rows), write_table(tmp_path / "a.csv", rows)):
        with pytest.raises(DataError, match=r"holds 1,000,000 characters, beginning 'xxx") as caught:
            read_labels(path)
        assert caught.value.line == (2 if path.suffix == ".jsonl" else 3)
        assert len(str(caught.value)) < 400
    beside = write_lines(tmp_path / "b.jsonl", [ROWS[0] | {"comment": "x" * 10**6}])
    assert len(read_labels(beside)) == 1


def test_a_gzip_stream_broken_at_line_37_says_line_37(tmp_path: Path):
    packer, packed = zlib.compressobj(wbits=31), b""
    for i in range(36):
        packed += packer.compress(json.dumps({"task": i, "worker": 1, "label": 1}).encode() + b"\n")
    packed += packer.flush(zlib.Z_FULL_FLUSH)
    broken = tmp_path / "labels.jsonl.gz"
    broken.write_bytes(packed)
    with pytest.raises(DataError, match=r"labels.jsonl.gz:37: the gzip stream breaks off"):
        read_labels(broken)
    table = tmp_path / "labels.csv.gz"
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"task,worker,label\n" + b"1,2,3\n" * 35) + packer.flush(zlib.Z_FULL_FLUSH)
    table.write_bytes(packed)
    with pytest.raises(DataError, match=r"labels.csv.gz:37: the gzip stream breaks off"):
        read_labels(table)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"task":1', "not valid JSON"),
        ('{"task":1} {"task":2}', "not valid JSON"),
        ("[1,2]", "a row must be a JSON object, got list"),
        ("", "x"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str, reason: str):
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + line + "\n" + json.dumps(ROWS[1]) + "\n")
    if not line:
        assert len(read_labels(path)) == 2
        return
    with pytest.raises(DataError, match=f":2: {reason}"):
        read_labels(path)


def test_a_line_that_is_cut_off_says_at_which_column(tmp_path: Path):
    path = tmp_path / "labels.jsonl"
    cut = '{"item": "i", "annotator": "w", "label": '
    path.write_text('{"item": "i", "annotator": "v", "label": "a"}\n' + cut + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"labels.jsonl:2: .*at column {len(cut) + 1}$"):
        read_labels(path)


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path):
    for name, head in (("a.jsonl", b'{"task":1,"worker":1,"label":1}\n'), ("a.csv", b"task,worker,label\n")):
        (tmp_path / name).write_bytes(head + b"\xff\xfe,1,2\n")
        with pytest.raises(DataError, match=rf"{name}:2: not valid UTF-8"):
            read_labels(tmp_path / name)


def test_a_row_of_another_width_is_named(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text("task,worker,label\n1,2,3\n1,2\n")
    with pytest.raises(DataError, match=r":3: the row has 2 cells, the header has 3"):
        read_labels(path)


def test_a_missing_file_names_the_nearest(tmp_path: Path):
    write_lines(tmp_path / "labels.jsonl", ROWS)
    with pytest.raises(DataError, match=r"there is no such file. Did you mean .*labels.jsonl\?"):
        read_labels(tmp_path / "label.jsonl")


def test_an_unknown_file_type_names_the_known_ones(tmp_path: Path):
    path = tmp_path / "labels.txt"
    path.write_text("task,worker,label\n1,2,3\n")
    with pytest.raises(DataError, match=r"expected .jsonl, .ndjson, .json, .csv, .tsv"):
        read_labels(path)
    assert as_rows(read_labels(path, format="csv")) == [(1, 2, 3)]


def test_gold_is_a_mapping_and_may_repeat_itself(tmp_path: Path):
    rows = [{"task": "t0", "gold": 1}, {"task": "t1", "gold": 0}, {"task": "t0", "gold": 1}]
    assert read_gold(write_lines(tmp_path / "gold.jsonl", rows)) == {"t0": 1, "t1": 0}
    rows = [{"task": "h", "dimension": "joy", "gold": 3.5}]
    assert read_gold(write_table(tmp_path / "gold.csv", rows)) == {"h|joy": 3.5}


def test_contradictory_gold_names_both_lines(tmp_path: Path):
    rows = [{"task": "t0", "gold": 1}, {"task": "t1", "gold": 0}, {"task": "t0", "gold": 0}]
    path = write_lines(tmp_path / "gold.jsonl", rows)
    with pytest.raises(DataError, match=r":3: item 't0' has the gold answer 0 here and 1 in line 1"):
        read_gold(path)


def test_assignments_of_a_command_line():
    mapping = ColumnMapping.from_assignments(["item=doc,seg", "value=mqm", "groups=region"])
    assert mapping == ColumnMapping(item=("doc", "seg"), value="mqm", groups=("region",))
    for wrong in (["label=x"], ["item"], ["value="], ["value=a", "value=b"]):
        with pytest.raises(DataError):
            ColumnMapping.from_assignments(wrong)


@pytest.mark.parametrize(
    ("file", "labels", "items", "annotators"),
    [
        ("crowd_bluebirds/labels.jsonl.gz", 4212, 108, 39),
        ("crowd_ducks/labels.jsonl.gz", 9600, 240, 53),
        ("crowd_rte/labels.jsonl.gz", 8000, 800, 164),
        ("crowd_hitspam/labels.jsonl.gz", 42762, 5380, 153),
        ("crowd_google_facts/labels.csv.gz", 216725, 42624, 57),
        ("ratings_affect/ratings.jsonl.gz", 7000, 700, 38),
        ("ratings_wmt_mqm/ende.jsonl.gz", 3120, 1040, 10),
        ("ratings_wmt_mqm/zhen.jsonl.gz", 11310, 3770, 8),
        ("pref_llmfao/comparisons.jsonl.gz", 8931, 2139, 124),
        ("pref_llmfao/judge_gpt4.jsonl.gz", 2139, 2139, 1),
        ("pref_pandalm/pairs.jsonl.gz", 2997, 999, 3),
        ("pref_mtbench_human/human.jsonl.gz", 3355, 2396, 65),
    ],
)
@pytest.mark.data
@needs_data
def test_real_files_have_the_published_counts(file: str, labels: int, items: int, annotators: int):
    columns = read_labels(DATA / file)
    seen = (len(columns), len(set(columns.items)), len(set(columns.annotators)))
    assert seen == (labels, items, annotators)


@pytest.mark.data
@needs_data
def test_real_gold_is_about_the_labeled_items():
    for name, count in (("crowd_rte", 800), ("crowd_hitspam", 100), ("crowd_webrating4", 333)):
        gold = read_gold(DATA / name / "gold.jsonl.gz")
        assert len(gold) == count
        labels = read_labels(DATA / name / "labels.jsonl.gz")
        assert set(gold) <= set(labels.items)
        assert set(gold.values()) <= set(np.asarray(labels.values).tolist())
    affect = read_gold(DATA / "ratings_affect" / "gold.jsonl.gz")
    assert set(affect) == set(read_labels(DATA / "ratings_affect" / "ratings.jsonl.gz").items)
