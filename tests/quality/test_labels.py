import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError, LabelColumns
from accord.quality import tabulate_labels

ROWS = [("b", "w1", "yes"), ("a", "w2", "no"), ("a", "w1", "no"), ("b", "w2", "no"), ("a", "w2", "yes")]


def columns(rows, **optional):
    items, annotators, values = zip(*rows, strict=True)
    return LabelColumns(items=items, annotators=annotators, values=values, source="labels.csv", **optional)


def test_labels_are_sorted_by_item_then_annotator_with_repeats_settled():
    first = tabulate_labels(columns(ROWS), repeats="first")
    assert list(first.items) == ["a", "b"]
    assert first.classes == ("no", "yes")
    assert first.item_index.tolist() == [0, 0, 1, 1]
    assert first.annotator_index.tolist() == [0, 1, 0, 1]
    assert first.class_index.tolist() == [0, 0, 1, 0]
    assert first.item_starts.tolist() == [0, 2, 4]
    assert first.rows.tolist() == [2, 1, 0, 3]
    assert first.counts.tolist() == [[2, 0], [1, 1]]
    assert first.n_repeats == 1
    last = tabulate_labels(columns(ROWS), repeats="last")
    assert last.class_index.tolist() == [0, 1, 1, 0]


def test_a_repeat_is_an_error_that_names_both_places():
    with pytest.raises(DataError, match=r"line 9: annotator 'w2' labeled item 'a' before.*line 3"):
        tabulate_labels(columns(ROWS, lines=[2, 3, 4, 5, 9]))


def test_the_order_of_the_rows_changes_nothing():
    table = tabulate_labels(columns(ROWS[:4]))
    shuffled = tabulate_labels(columns([ROWS[k] for k in (3, 1, 0, 2)]))
    for name in ("items", "annotators", "item_index", "annotator_index", "class_index", "item_starts"):
        assert np.array_equal(getattr(table, name), getattr(shuffled, name))


def test_numbers_sort_by_size_and_names_by_text():
    assert tabulate_labels(columns([("a", "w1", 10), ("a", "w2", 9)])).classes == (9, 10)
    assert tabulate_labels(columns([("a", "w1", "10"), ("a", "w2", "9")])).classes == ("10", "9")
    table = tabulate_labels(columns([("a", "w1", 2.5), ("a", "w2", 1)]))
    assert table.numbers.tolist() == [2.5, 1.0]


def test_arrays_and_lists_give_the_same_table():
    lists = tabulate_labels(LabelColumns(items=[2, 1], annotators=[7, 7], values=[1, 0]))
    arrays = tabulate_labels(
        LabelColumns(items=np.array([2, 1]), annotators=np.array([7, 7]), values=np.array([1, 0]))
    )
    assert lists.classes == arrays.classes
    assert np.array_equal(lists.items, arrays.items)
    assert np.array_equal(lists.class_index, arrays.class_index)


def test_named_classes_keep_their_order_and_bar_others():
    table = tabulate_labels(columns([("a", "w1", "P"), ("a", "w2", "G")]), classes=["G", "P", "R"])
    assert table.classes == ("G", "P", "R")
    assert table.class_index.tolist() == [1, 0]
    with pytest.raises(DataError, match=r"row 1: value is 'P', expected one of 'G', 'R'"):
        tabulate_labels(columns([("a", "w1", "P")]), classes=["G", "R"])


@pytest.mark.parametrize("value", [None, "", float("nan"), float("inf")])
def test_a_missing_value_names_its_place(value):
    with pytest.raises(DataError, match=r"row 2: value is"):
        tabulate_labels(columns([("a", "w1", 1.0), ("b", "w1", value)]))
    with pytest.raises(DataError, match=r"row 2: value is"):
        tabulate_labels(LabelColumns(items=["a", "b"], annotators=["w", "w"], values=np.array([1.0, np.nan])))


def test_a_missing_item_names_its_place():
    with pytest.raises(DataError, match=r"row 2: item is ''"):
        tabulate_labels(columns([("a", "w1", 1), ("", "w1", 1)]))


def test_no_labels_is_an_error():
    with pytest.raises(DataError, match="no labels"):
        tabulate_labels(LabelColumns(items=[], annotators=[], values=[]))


def test_columns_of_unequal_length_are_an_error():
    with pytest.raises(DataError, match="column values has 1 rows and items has 2"):
        LabelColumns(items=["a", "b"], annotators=["w", "w"], values=[1])


def test_selecting_drops_items_without_labels():
    table = tabulate_labels(columns(ROWS[:4])).select(np.array([False, False, True, True]))
    assert list(table.items) == ["b"]
    assert table.item_index.tolist() == [0, 0]
    assert table.n_annotators == 2


IDS = st.one_of(st.integers(-3, 8), st.sampled_from([-(10**12), 10**15]))


@given(st.lists(st.tuples(IDS, st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=60), st.booleans())
def test_the_table_is_the_sorted_rows_whatever_the_ids(rows, is_named):
    # whole numbers close together, far apart and names are numbered in three ways
    if is_named:
        rows = [(f"i{item}", f"w{who}", value) for item, who, value in rows]
    items, annotators, values = (np.array(column) for column in zip(*rows, strict=True))
    columns = LabelColumns(items=items, annotators=annotators, values=values)
    for policy, place in (("first", 0), ("last", -1)):
        table = tabulate_labels(columns, repeats=policy)
        by_pair = {}
        for number, (item, who, _) in enumerate(rows):
            by_pair.setdefault((item, who), []).append(number)
        expected = [by_pair[pair][place] for pair in sorted(by_pair)]
        assert table.rows.tolist() == expected
        assert table.items[table.item_index].tolist() == [rows[k][0] for k in expected]
        assert table.annotators[table.annotator_index].tolist() == [rows[k][1] for k in expected]
        assert [table.classes[k] for k in table.class_index] == [rows[k][2] for k in expected]
        assert table.n_repeats == len(rows) - len(expected)
    if len(by_pair) < len(rows):
        with pytest.raises(DataError, match="rows repeat a pair"):
            tabulate_labels(columns, repeats="error")


def test_an_item_drawn_twice_is_two_items():
    table = tabulate_labels(columns(ROWS[:4]))
    drawn, labels = table.draw(np.array([1, 0, 1]))
    assert drawn.n_items == 3
    np.testing.assert_array_equal(drawn.counts, table.counts[[1, 0, 1]])
    np.testing.assert_array_equal(drawn.annotator_index, table.annotator_index[labels])
    np.testing.assert_array_equal(table.item_index[labels], np.array([1, 0, 1])[drawn.item_index])
