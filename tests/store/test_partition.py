"""No prompt is on both sides, whatever the records are."""

from hypothesis import given, settings
from hypothesis import strategies as st

from accord.domain import Choice, Comparison, Demonstration, Judgment, Prompt
from accord.store import find_leakage, prompt_of, split_records


def records_about(text):
    prompt = Prompt.from_text(text)
    comparison = Comparison(prompt=prompt, left="a", right="b")
    return [
        prompt,
        Demonstration(prompt=prompt, completion="a"),
        Judgment(comparison=comparison, annotator_id="w", choice=Choice.TIE),
    ]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.text(max_size=3), max_size=20), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_split_has_no_leakage_loses_nothing_and_keeps_the_order(texts, test_share, seed):
    records = [record for text in texts for record in records_about(text)]
    sides = split_records(records, test_share=test_share, seed=seed)
    assert find_leakage(map(prompt_of, sides.test), map(prompt_of, sides.train)).shared == 0
    in_test = {prompt_of(record) for record in sides.test}
    assert sides.test == [record for record in records if prompt_of(record) in in_test]
    assert sides.train == [record for record in records if prompt_of(record) not in in_test]


def test_the_share_is_of_prompts_and_the_seed_changes_the_side():
    prompts = [Prompt.from_text(str(number)) for number in range(2000)]
    held_out = split_records(prompts, test_share=0.1).test
    # binomial(2000, 0.1): mean 200, standard deviation 13.4; five of them are 67
    assert 133 < len(held_out) < 267
    assert split_records(prompts, test_share=0.1, seed=1).test != held_out
