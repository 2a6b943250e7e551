"""Files that are missing, empty, damaged or bad in places each get one clear error; folders have splits."""

import gzip
import json
import random
import sys
import types
from dataclasses import asdict

import pytest

from accord.domain import DataError, Demonstration, MissingExtra, Preference, Prompt, Provenance
from accord.store import (
    read_demonstrations,
    read_judgments,
    read_preferences,
    read_prompts,
    read_records,
    write_records,
)

GOOD = '{"prompt": "Hi", "completion": "Hello"}'


def written(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line if isinstance(line, bytes) else line.encode() + b"\n" for line in lines))
    return path


def test_bad_rows_are_counted_and_the_first_is_named(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD, "{broken", GOOD, '{"prompt": "Hi", "completion": 3}', "[]")
    with pytest.raises(DataError) as raised:
        read_records(path)
    message = str(raised.value)
    assert message.startswith(f"{path}:2: not valid JSON")
    assert f"{path}:4: a completion must be text" in message
    assert f"{path}:5: a row must be a JSON object, got list" in message
    assert "3 of 5 rows cannot be used. Mend them, or leave them out with --skip-bad." in message


def test_skip_bad_leaves_them_out_and_lists_them(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD, "{broken", "", GOOD, b"\xff\n")
    file = read_records(path, skip_bad=True)
    assert len(file.records) == 2
    assert file.rows == 4
    assert [(row.line, row.reason[:15]) for row in file.skipped] == [
        (2, "not valid JSON:"),
        (5, "not valid UTF-8"),
    ]


def test_no_more_than_ten_bad_rows_are_shown(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD, *["{"] * 14)
    with pytest.raises(DataError, match="and 4 more\n14 of 15 rows") as raised:
        read_records(path)
    assert str(raised.value).count("not valid JSON") == 10


def test_a_file_without_one_good_row_raises_even_when_skipping(tmp_path):
    path = written(tmp_path / "a.jsonl", "{", "{")
    with pytest.raises(DataError, match="2 of 2 rows cannot be used"):
        read_records(path, skip_bad=True)


def test_a_wrong_format_says_once_what_it_needs(tmp_path):
    path = written(tmp_path / "a.jsonl", *[GOOD] * 3)
    with pytest.raises(DataError, match=r"None of the 3 rows can be read as 'kto' \(.*label") as raised:
        read_records(path, format="kto")
    assert str(raised.value).count("'label' is missing") == 1


def test_bad_utf8_names_byte_and_line(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD, b'{"prompt": "\xe9"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: not valid UTF-8: byte 0xe9 at position 12"):
        read_records(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json", "a.jsonl.gz"])
@pytest.mark.parametrize("content", [b"", b"\n\n"], ids=["empty", "blank"])
def test_an_empty_file_says_so(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") and content else content)
    with pytest.raises(DataError, match="the file is empty"):
        read_records(path)


def test_a_truncated_gzip_names_the_line_also_when_skipping(tmp_path):
    # incompressible rows, so that cutting the last bytes cuts into the last rows
    source = random.Random(0)
    lines = [json.dumps({"prompt": "Hi", "completion": source.randbytes(300).hex()}) for _ in range(50)]
    whole = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(whole[: len(whole) - 2000])
    with pytest.raises(DataError, match="the gzip stream breaks off or is damaged here") as raised:
        read_records(path, skip_bad=True)
    assert raised.value.line is not None
    assert 30 < raised.value.line <= 50


def test_a_gz_name_without_gzip_content_says_so(tmp_path):
    path = written(tmp_path / "a.jsonl.gz", GOOD)
    with pytest.raises(DataError, match="the name says gzip, but the content is not"):
        read_records(path)


def test_gzip_content_is_read_under_any_name_and_a_byte_order_mark_is_dropped(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + GOOD.encode()))
    assert len(read_records(path).records) == 1


def test_a_missing_file_names_the_nearest(tmp_path):
    written(tmp_path / "preferences.jsonl", GOOD)
    with pytest.raises(DataError, match=r"Did you mean .*/preferences\.jsonl\?"):
        read_records(tmp_path / "preference.jsonl")
    with pytest.raises(DataError, match=r"there is no such file in"):
        read_records(tmp_path / "zzz.jsonl")
    with pytest.raises(DataError, match=r"the folder .*/nowhere does not exist either"):
        read_records(tmp_path / "nowhere" / "a.jsonl")


def test_an_unknown_file_type_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"type \.docx is not known; expected \.jsonl"):
        read_records(written(tmp_path / "a.docx", GOOD))


def test_csv_rows_of_the_wrong_width_open_quotes_and_repeated_headers(tmp_path):
    path = written(tmp_path / "a.csv", "prompt,completion", "a,b", "a,b,c", "a,b")
    assert [row.line for row in read_records(path, skip_bad=True).skipped] == [3]
    with pytest.raises(DataError, match="the row has 3 cells, the header has 2"):
        read_records(path)
    with pytest.raises(DataError, match="a quote that is not closed"):
        read_records(written(tmp_path / "b.csv", "prompt,completion", '"a,b', "c,d"))
    with pytest.raises(DataError, match="the header repeats 'prompt'"):
        read_records(written(tmp_path / "c.csv", "prompt,prompt", "a,b"))
    path = written(tmp_path / "d.csv", "prompt,completion", b"a,\xff\n", "a,b")
    assert [(row.line, row.reason[:15]) for row in read_records(path, skip_bad=True).skipped] == [
        (2, "not valid UTF-8")
    ]


def test_a_csv_cell_longer_than_the_csv_modules_limit_is_read(tmp_path):
    records = [Demonstration(prompt=Prompt.from_text("a"), completion="x" * 200_000)]
    write_records(tmp_path / "a.csv", records)
    assert read_records(tmp_path / "a.csv").records == records


def test_a_json_array_is_read_and_a_broken_one_names_the_line(tmp_path):
    path = written(tmp_path / "a.json", "[", GOOD + ",", GOOD, "]")
    assert len(read_records(path).records) == 2
    with pytest.raises(DataError, match=r"a\.json:3: not valid JSON"):
        read_records(written(tmp_path / "a.json", "[", GOOD, GOOD, "]"))
    with pytest.raises(DataError, match="must hold a list of rows, got dict"):
        read_records(written(tmp_path / "a.json", GOOD))


def test_a_broken_parquet_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_records(written(tmp_path / "a.parquet", GOOD))
    with pytest.raises(DataError, match="not a readable Arrow file"):
        read_records(written(tmp_path / "a.arrow", GOOD))


@pytest.mark.parametrize("is_stream", [True, False], ids=["stream", "file"])
def test_arrow_files_are_read_in_both_forms(tmp_path, is_stream):
    import pyarrow

    table = pyarrow.table({"prompt": ["a", "b"], "completion": ["c", "d"]})
    kind = pyarrow.ipc.new_stream if is_stream else pyarrow.ipc.new_file
    with kind(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert [record.completion for record in read_records(tmp_path / "a.arrow").records] == ["c", "d"]


def test_parquet_without_pyarrow_names_the_install_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r'pip install "accord\[parquet\]"'):
        read_records(written(tmp_path / "a.parquet", GOOD))


def one(completion):
    return [Demonstration(prompt=Prompt.from_text("a"), completion=completion)]


@pytest.mark.parametrize(
    "names",
    [
        ("train.jsonl", "test.jsonl"),
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("train/part.csv", "test/part.csv.gz"),
    ],
)
def test_a_folder_gives_train_unless_another_split_is_named(tmp_path, names):
    for name in names:
        write_records(tmp_path / name, one(name))
    assert read_records(tmp_path).records == one(names[0])
    assert read_records(tmp_path, split="test").records == one(names[1])
    with pytest.raises(DataError, match=r"no split 'tets', only .*Did you mean 'test'"):
        read_records(tmp_path, split="tets")


def test_shards_of_a_split_are_read_in_order(tmp_path):
    for number in (1, 0):
        write_records(tmp_path / f"train-0000{number}-of-00002.jsonl", one(str(number)))
    (tmp_path / "dataset_info.json").write_text("{}")
    assert [record.completion for record in read_records(tmp_path).records] == ["0", "1"]


def test_a_folder_of_other_files_asks_which_one(tmp_path):
    with pytest.raises(DataError, match="the folder holds no data files"):
        read_records(tmp_path)
    write_records(tmp_path / "votes.jsonl", one("v"))
    assert read_records(tmp_path).records == one("v")
    write_records(tmp_path / "pairs.jsonl", one("p"))
    with pytest.raises(DataError, match="several data files: pairs, votes"):
        read_records(tmp_path)
    assert read_records(tmp_path, split="votes").records == one("v")
    with pytest.raises(DataError, match="a single file has no splits"):
        read_records(tmp_path / "votes.jsonl", split="train")


def test_a_hub_id_without_the_library_names_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"'trl-lib/tldr' is no file or folder here.*pip install datasets"):
        read_records("trl-lib/tldr")


def test_a_hub_id_is_read_through_the_library(monkeypatch):
    library = types.ModuleType("datasets")
    rows = {"train": [{"prompt": "a", "completion": "b"}], "test": [{"prompt": "c", "completion": "d"}]}
    library.load_dataset = lambda name, split: rows if split is None else rows[split]
    monkeypatch.setitem(sys.modules, "datasets", library)
    assert read_records("org/name").records[0].completion == "b"
    assert read_records("org/name", split="test").records[0].completion == "d"


def test_a_reader_says_which_kind_it_found(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD)
    assert read_demonstrations(path)[0].completion == "Hello"
    with pytest.raises(
        DataError, match=r"holds demonstration records .prompt_completion., expected judgment records"
    ):
        read_judgments(path)
    with pytest.raises(DataError, match="no file was named"):
        read_demonstrations([])


def test_prompts_of_several_files_come_once_each_in_order(tmp_path):
    first = written(tmp_path / "a.jsonl", '{"prompt": "b"}', '{"prompt": "a"}')
    second = written(
        tmp_path / "b.jsonl", '{"prompt": "a", "completion": "x"}', '{"prompt": "c", "completion": "x"}'
    )
    assert [prompt.text for prompt in read_prompts([first, second])] == ["b", "a", "c"]


def test_judgments_become_preferences_with_their_provenance(tmp_path):
    # yes beats no for w1, shown the other way round for w2, who calls it a tie: (1 + 0.5) / 2
    rows = [
        {"prompt": "Hi", "left": "yes", "right": "no", "choice": "left", "annotator_id": "w1"},
        {"prompt": "Hi", "left": "no", "right": "yes", "choice": "tie", "annotator_id": "w2"},
    ]
    path = written(tmp_path / "votes" / "a.jsonl", *map(json.dumps, rows))
    [preference] = read_preferences(path)
    ids = tuple(judgment.id for judgment in read_judgments(path))
    expected = Preference(
        prompt=Prompt.from_raw("Hi"),
        chosen="yes",
        rejected="no",
        p_chosen=0.75,
        provenance=Provenance(judgment_ids=ids, method="vote_share", votes=2, source="votes/a.jsonl"),
    )
    assert asdict(preference) == asdict(expected)


def test_votes_without_texts_are_judgments_but_no_preferences(tmp_path):
    row = {"question_id": 8, "model_a": "x", "model_b": "y", "turn": 1, "judge": "w", "winner": "tie"}
    path = written(tmp_path / "a.jsonl", json.dumps(row))
    assert len(read_judgments(path)) == 1
    with pytest.raises(DataError, match=r"need the texts of both answers\. The answers are not in this file"):
        read_preferences(path)
