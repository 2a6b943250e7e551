"""Files become tables: gold meets its items, ties find their place, repeats are settled and counted."""

import json
from pathlib import Path

import pytest

from accord.domain import DataError, LabelColumns
from accord.pipeline.quality_labels import is_comparison, item_clusters, load_labels, match_gold
from accord.quality import tabulate_labels
from accord.store import ColumnMapping


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def labels_of(*values: object, items: tuple[object, ...] | None = None) -> list[dict[str, object]]:
    items = items or tuple(range(len(values)))
    return [{"item": items[i], "rater": f"r{i}", "label": value} for i, value in enumerate(values)]


def test_gold_meets_its_items_across_file_types(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text("item,rater,label\n7,a,1\n8,a,0\n")
    gold = write(tmp_path / "gold.jsonl", [{"item": "7", "gold": "1"}, {"item": 9, "gold": 0}])
    found = load_labels(path, gold_path=gold)
    assert found.gold == {7: 1}
    assert found.unlabeled_gold == 1


def test_a_gold_answer_nobody_gave_is_a_class(tmp_path: Path):
    path = write(tmp_path / "labels.jsonl", labels_of("a", "b"))
    gold = write(tmp_path / "gold.jsonl", [{"item": 0, "gold": "c"}])
    found = load_labels(path, gold_path=gold)
    assert found.table.classes == ("a", "b", "c")
    assert found.table.counts.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_gold_of_other_items_raises(tmp_path: Path):
    path = write(tmp_path / "labels.jsonl", labels_of("a", "b"))
    gold = write(tmp_path / "gold.jsonl", [{"item": "x7", "gold": "a"}])
    with pytest.raises(DataError, match=r"none of the 1 gold items, such as 'x7', was labeled"):
        load_labels(path, gold_path=gold)


def test_a_whole_gold_number_is_the_class_of_that_name():
    table = tabulate_labels(LabelColumns(items=[1, 2], annotators=["a", "a"], values=["1", "2"]))
    assert match_gold(table, {1: 1.0, 2: 2}, source="gold")[0] == {1: "1", 2: "2"}


def test_choices_are_ordered_above_the_nominal_level(tmp_path: Path):
    rows = [
        {"pair": i, "worker": "w", "winner": name}
        for i, name in enumerate(["tie", "right", "left", "both_bad"])
    ]
    path = write(tmp_path / "choices.jsonl", rows)
    assert load_labels(path).table.classes == ("both_bad", "left", "right", "tie")
    assert load_labels(path, level="ordinal").table.classes == ("left", "tie", "right")
    assert load_labels(path, level="interval").table.numbers.tolist() == [0, 1, -1, 0]
    assert is_comparison(load_labels(path).table)
    assert not is_comparison(load_labels(write(tmp_path / "b.jsonl", labels_of("tie", "x"))).table)


def test_dropped_values_are_gone_and_an_unknown_one_raises(tmp_path: Path):
    path = write(tmp_path / "labels.jsonl", labels_of("a", "tie", "b"))
    found = load_labels(path, dropped=["tie"])
    assert found.table.classes == ("a", "b")
    assert found.columns.place(1).endswith("line 3")
    with pytest.raises(DataError, match="no label is 'ties'; the file has a, b, tie"):
        load_labels(path, dropped=["ties"])


def test_repeats_are_counted(tmp_path: Path):
    rows = [{"item": 1, "rater": "a", "label": name} for name in ("x", "y", "y")]
    path = write(tmp_path / "labels.jsonl", rows)
    first, last = (load_labels(path, repeats=policy) for policy in ("first", "last"))
    assert (first.table.classes[first.table.class_index[0]], first.facts["n_repeats"]) == ("x", 2)
    assert last.table.classes[last.table.class_index[0]] == "y"
    with pytest.raises(DataError, match=r"line 2.*in .*line 1"):
        load_labels(path, repeats="error")


def test_an_item_has_one_cluster(tmp_path: Path):
    rows = [
        {"item": item, "rater": i, "label": 1, "doc": doc} for i, (item, doc) in enumerate(["bx", "ay", "bx"])
    ]
    mapping = ColumnMapping(groups=("doc",))
    found = load_labels(write(tmp_path / "labels.jsonl", rows), mapping=mapping)
    assert item_clusters(found, "doc") == ["y", "x"], "in the order of the table's items, a and b"
    rows.append({"item": "a", "rater": 9, "label": 1, "doc": "z"})
    found = load_labels(write(tmp_path / "labels.jsonl", rows), mapping=mapping)
    with pytest.raises(DataError, match=r"line 4: item 'a' is in cluster 'z' here and in 'y' before"):
        item_clusters(found, "doc")
