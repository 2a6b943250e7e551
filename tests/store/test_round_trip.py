"""Every record comes back from every file type exactly as it was."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accord.domain import (
    Choice,
    Comparison,
    Completion,
    DataError,
    Demonstration,
    FinishReason,
    Judgment,
    Message,
    Preference,
    Prompt,
    Provenance,
    Ranking,
    Rating,
    Source,
    StepLabels,
    Verdict,
)
from accord.store import FORMATS, read_records, write_records

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".csv", ".csv.gz")

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=12)
awkward_texts = texts | st.sampled_from(
    ["", " ", "\r\n", '"', ",", "\u2028", "\x00", "nan", "1", "True", "[]", "{"]
)
plain_meta = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.none() | st.booleans() | st.integers() | finite | texts | st.lists(st.integers(), max_size=2),
    max_size=2,
)
chat_prompts = st.builds(
    lambda turns, last, meta: Prompt(messages=(*turns, Message("user", last)), meta=meta),
    st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), awkward_texts), max_size=2),
    awkward_texts,
    plain_meta,
)
raw_prompts = st.builds(lambda text, meta: Prompt.from_raw(text, meta=meta), awkward_texts, plain_meta)
prompts = chat_prompts | raw_prompts
comparisons = st.builds(Comparison, prompt=prompts, left=awkward_texts, right=awkward_texts, meta=plain_meta)
preferences = st.builds(
    Preference,
    prompt=prompts,
    chosen=awkward_texts,
    rejected=awkward_texts,
    p_chosen=st.floats(0, 1),
    weight=st.floats(0, 1e9),
    margin=finite,
    provenance=st.builds(
        Provenance,
        judgment_ids=st.lists(texts, max_size=2).map(tuple),
        method=texts,
        votes=st.integers(0, 9),
        source=texts,
    ),
    meta=plain_meta,
)
STRATEGIES = {
    Prompt: prompts,
    Completion: st.lists(st.tuples(st.integers(0, 99), finite), max_size=3).flatmap(
        lambda steps: st.builds(
            Completion,
            text=awkward_texts,
            token_ids=st.just(tuple(token for token, _ in steps)),
            logprobs=st.just(tuple(logprob for _, logprob in steps)),
            finish_reason=st.sampled_from(FinishReason),
            policy_version=texts,
        )
    ),
    Demonstration: st.builds(Demonstration, prompt=prompts, completion=awkward_texts, meta=plain_meta),
    Comparison: comparisons,
    Judgment: st.builds(
        Judgment,
        comparison=comparisons,
        annotator_id=texts,
        choice=st.sampled_from(Choice),
        source=st.sampled_from(Source),
        meta=plain_meta,
    ),
    Ranking: st.lists(st.tuples(awkward_texts, st.integers(1, 4)), min_size=2, max_size=3).flatmap(
        lambda ranked: st.builds(
            Ranking,
            prompt=prompts,
            completions=st.just(tuple(text for text, _ in ranked)),
            ranks=st.just(tuple(rank for _, rank in ranked)),
            annotator_id=texts,
            meta=plain_meta,
        )
    ),
    StepLabels: st.lists(
        st.tuples(awkward_texts, st.none() | st.floats(0, 1)), min_size=1, max_size=3
    ).flatmap(
        lambda labeled: st.builds(
            StepLabels,
            prompt=prompts,
            steps=st.just(tuple(text for text, _ in labeled)),
            labels=st.just(tuple(label for _, label in labeled)),
            annotator_id=texts,
            meta=plain_meta,
        )
    ),
    Rating: st.builds(
        Rating,
        prompt=prompts,
        completion=awkward_texts,
        value=finite,
        dimension=texts,
        annotator_id=texts,
        meta=plain_meta,
    ),
    Verdict: st.builds(
        Verdict,
        prompt=prompts,
        completion=awkward_texts,
        is_desirable=st.booleans(),
        weight=st.floats(0, 1e9),
        meta=plain_meta,
    ),
    Preference: preferences,
}
quick = settings(
    deadline=None,
    derandomize=True,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
def test_every_record_comes_back_whole_and_in_order_from_every_file_type(tmp_path, kind, suffix):
    # asdict compares meta and provenance too, which equality of records leaves out
    @quick
    @given(st.lists(STRATEGIES[kind], min_size=1, max_size=4))
    def check(records):
        path = tmp_path / f"records{suffix}"
        assert write_records(path, records) == len(records)
        file = read_records(path)
        assert file.kind is kind
        assert [asdict(record) for record in file.records] == [asdict(record) for record in records]

    check()


def test_every_domain_record_has_a_strategy_here():
    own = {form.kind for form in FORMATS if form.name.startswith("accord_")}
    assert own == set(STRATEGIES)


# What a format has no column for does not come back: meta everywhere, and provenance.
FOREIGN = {
    "preference": (Preference, ("prompt", "chosen", "rejected", "p_chosen", "weight", "margin")),
    "kto": (Verdict, ("prompt", "completion", "is_desirable", "weight")),
    "prompt_completion": (Demonstration, ("prompt", "completion")),
    "prompt": (Prompt, ("messages", "is_raw")),
    "judgments": (Judgment, ("comparison", "choice", "source")),
    "rankings": (Ranking, ("prompt", "completions", "ranks")),
    "stepwise": (StepLabels, ("prompt", "steps", "labels")),
    "ratings": (Rating, ("prompt", "completion", "value")),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv"])
@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("is_raw", [False, True], ids=["conversational", "plain"])
def test_foreign_formats_keep_what_they_have_columns_for(tmp_path, name, suffix, is_raw):
    kind, fields = FOREIGN[name]

    @quick
    @given(st.data())
    def check(data):
        drawn = data.draw(st.lists(STRATEGIES[kind], min_size=1, max_size=3))
        records = [_usable(record, is_raw) for record in drawn]
        path = tmp_path / f"rows{suffix}"
        write_records(path, records, format=name)
        back = read_records(path, format=name).records
        seen = [tuple(getattr(record, field) for field in fields) for record in back]
        assert seen == [tuple(getattr(record, field) for field in fields) for record in records]

    check()


def _usable(record, is_raw):
    """The record with a prompt of the wanted form, an annotator, and no JSON look-alike as a prompt."""
    if isinstance(record, Prompt):
        return Prompt.from_raw(record.text) if is_raw else replace(record, is_raw=False)
    if isinstance(record, Judgment):
        comparison = replace(record.comparison, prompt=_usable(record.comparison.prompt, is_raw))
        return replace(record, comparison=comparison, annotator_id="w1")
    return replace(record, prompt=_usable(record.prompt, is_raw))


def test_half_a_surrogate_pair_survives_in_jsonl_and_is_refused_in_csv(tmp_path):
    records = [Demonstration(prompt=Prompt.from_text("a"), completion="broken \ud800 emoji")]
    write_records(tmp_path / "a.jsonl", records)
    assert read_records(tmp_path / "a.jsonl").records == records
    for suffix in (".csv", ".parquet"):
        with pytest.raises(DataError, match=r"write \.jsonl"):
            write_records(tmp_path / f"a{suffix}", records)
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_equal_records_give_equal_bytes_also_compressed(tmp_path):
    records = [Prompt.from_text("one"), Prompt.from_text("two")]
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_records(tmp_path / name, records)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def failing_records():
    yield Prompt.from_text("one")
    raise ZeroDivisionError


def test_a_generator_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.jsonl"
    write_records(path, [Prompt.from_text("old")])
    with pytest.raises(ZeroDivisionError):
        write_records(path, failing_records())
    assert [prompt.text for prompt in read_records(path).records] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_mixed_records_no_records_and_values_that_are_not_json_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(DataError, match="record 2 is a Demonstration"):
        write_records(
            path, [Prompt.from_text("a"), Demonstration(prompt=Prompt.from_text("a"), completion="b")]
        )
    with pytest.raises(DataError, match="no records to write"):
        write_records(path, [])
    with pytest.raises(DataError, match="cannot be written as JSON"):
        write_records(path, [Prompt.from_text("a", meta={"path": Path()})])
    with pytest.raises(DataError, match=r"expected \.jsonl, \.jsonl\.gz"):
        write_records(tmp_path / "a.txt", [Prompt.from_text("a")])
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_cannot_hold_a_record_names_those_that_can(tmp_path):
    with pytest.raises(DataError, match="prompt records can be written as accord, prompt"):
        write_records(tmp_path / "a.jsonl", [Prompt.from_text("a")], format="kto")
    with pytest.raises(DataError, match="'pandalm' is only read"):
        write_records(tmp_path / "a.jsonl", [Prompt.from_text("a")], format="pandalm")


def test_plain_and_conversational_prompts_do_not_fit_one_parquet_column(tmp_path):
    records = [Prompt.from_text("a"), Prompt.from_raw("b")]
    with pytest.raises(DataError, match=r"'prompt' cannot be one Parquet column .*write \.jsonl"):
        write_records(tmp_path / "a.parquet", records, format="prompt")
