"""One kind of record becomes another only where it holds what the other needs."""

import pytest

from accord.domain import (
    Choice,
    Comparison,
    Completion,
    DataError,
    Demonstration,
    Judgment,
    Preference,
    Prompt,
    Ranking,
    Rating,
    Verdict,
)
from accord.store import convert_records, prompt_of

HI = Prompt.from_text("Hi")


def preference(p_chosen):
    return Preference(prompt=HI, chosen="a", rejected="b", p_chosen=p_chosen, weight=2.0)


def test_a_preference_becomes_the_demonstration_of_its_better_answer():
    records = [preference(1.0), preference(0.5), preference(0.2)]
    made = convert_records(records, Demonstration)
    # the tie has no better answer; at p_chosen 0.2 the rejected one is better
    assert made == [Demonstration(prompt=HI, completion="a"), Demonstration(prompt=HI, completion="b")]


def test_a_preference_becomes_a_good_and_a_bad_verdict():
    assert convert_records([preference(0.9), preference(0.5)], Verdict) == [
        Verdict(prompt=HI, completion="a", is_desirable=True, weight=2.0),
        Verdict(prompt=HI, completion="b", is_desirable=False, weight=2.0),
    ]


def test_judgments_and_rankings_go_through_vote_shares():
    judgment = Judgment(
        comparison=Comparison(prompt=HI, left="a", right="b"), annotator_id="w", choice=Choice.RIGHT
    )
    assert convert_records([judgment], Preference) == [Preference(prompt=HI, chosen="b", rejected="a")]
    assert convert_records([judgment], Demonstration) == [Demonstration(prompt=HI, completion="b")]
    ranking = Ranking(prompt=HI, completions=("a", "b"), ranks=(2, 1))
    assert convert_records([ranking], Preference) == [Preference(prompt=HI, chosen="b", rejected="a")]
    assert [verdict.completion for verdict in convert_records([ranking], Verdict)] == ["b", "a"]


def test_good_verdicts_become_demonstrations_and_everything_becomes_prompts():
    verdicts = [Verdict(prompt=HI, completion=text, is_desirable=text == "a") for text in "ab"]
    assert convert_records(verdicts, Demonstration) == [Demonstration(prompt=HI, completion="a")]
    assert convert_records(verdicts, Prompt) == [HI]
    assert convert_records([HI], Prompt) == [HI]


def test_what_is_not_there_is_not_made_up():
    with pytest.raises(DataError, match="preference records do not hold what judgment records need"):
        convert_records([preference(1.0)], Judgment)
    with pytest.raises(DataError, match="they can become prompt"):
        convert_records([Rating(prompt=HI, completion="a", value=1.0)], Preference)
    with pytest.raises(DataError, match="hold no prompt"):
        prompt_of(Completion(text="a"))
