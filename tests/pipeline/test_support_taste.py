import statistics

import pytest

from accord.domain import ConfigError, FinishReason, Prompt
from accord.pipeline.support import SupportPrompt, Taste, TasteWeights, load_support_task
from accord.pipeline.support.taste import answers, brief, complete, no_repetition, normalize_text, polite

NOTES = "Standard delivery takes 4 business days; express is $9 and arrives the next day."
QUESTION = "how much extra to have it tomorrow?? its a birthday present"
DELIVERY = SupportPrompt(
    id="delivery-01a",
    domain="delivery",
    split="train",
    notes=NOTES,
    question=QUESTION,
    key_facts=((r"\$9", "9 dollars"),),
    distractors=("4 (business|working) days",),
    prompt=Prompt.from_text(f"Notes: {NOTES}\nQuestion: {QUESTION}"),
)
GOOD = "Express delivery costs $9 and arrives the next day, so please choose that at checkout."
FILLER = "Thank you for reaching out, we are glad to help you with your question today."


@pytest.fixture(scope="module")
def task():
    return load_support_task()


def total(text, *, finish_reason=FinishReason.STOP, prompt=DELIVERY):
    return Taste().score(prompt, text, finish_reason=finish_reason).total


def test_answers_by_hand():
    assert answers(DELIVERY, "It is nine dollars.") == 1.0  # number words count as figures
    assert answers(DELIVERY, "It takes 4 business days.") == 0.0  # 0 - 0.25, not below 0
    assert answers(DELIVERY, "It is $9, or four working days for free.") == 0.75
    assert answers(DELIVERY, "It is $9, call 5550100 within 48 hours.") == 0.5  # two invented figures
    assert answers(DELIVERY, "1. It is $9.") == 1.0  # a list marker is no figure


@pytest.mark.parametrize("text", ["It is $90.", "It is $9.50.", "It is $9,000.", "It is 19 dollars.", "Yes."])
def test_a_fact_inside_a_longer_figure_is_not_the_fact(text):
    assert answers(DELIVERY, text) == 0.0


def test_brief_is_full_from_5_to_28_words_and_nothing_at_56():
    assert [brief("word " * count) for count in (0, 2, 5, 28, 42, 56, 90)] == [0, 0.4, 1, 1, 0.5, 0, 0]


def test_complete_needs_a_stop_and_a_sentence_end():
    assert complete("It is free.") == 1.0
    assert complete("It is free", finish_reason=FinishReason.STOP) == 0.5
    assert complete("It is free.", finish_reason=FinishReason.LENGTH) == 0.5
    assert complete("It is free and", finish_reason=FinishReason.LENGTH) == 0.0
    assert complete("  ") == 0.0


def test_one_courtesy_is_enough_and_gushing_costs():
    assert polite("The fee is $9.") == 0.4
    assert polite("The fee is $9, please.") == polite("Sorry, the fee is $9, please.") == 1.0
    assert polite("Sorry, thank you, please, glad to help.") == 0.5  # two beyond two
    assert polite("Please pay $9!!!") == 0.5  # two exclamation marks beyond one
    assert polite("Please enjoy our amazing, fantastic offer.") == 0.5
    assert polite("Calm down, please.") == 0.0


def test_no_repetition_by_hand():
    assert no_repetition(DELIVERY, GOOD) == 1.0
    # "it is free it is free": runs 'it is free', 'is free it', 'free it is', 'it is free' -> 1 of 4 twice
    assert no_repetition(DELIVERY, "It is free. It is free.") == pytest.approx(1 - 2 * 0.25)
    assert no_repetition(DELIVERY, NOTES) == 0.0
    assert no_repetition(DELIVERY, f"You asked: {QUESTION}") == 0.0
    assert no_repetition(DELIVERY, "Customer: it costs $9.") == 0.5
    assert no_repetition(DELIVERY, "") == 0.0


def test_total_by_hand():
    # 5 words, no courtesy, no fact: gate 0.3; 0.3 * 0.15 * (1 + 1 + 0.4 + 1)
    assert total("The parcel leaves us soon.") == pytest.approx(0.3 * 0.15 * 3.4)
    # answers 0.75: gate 0.3 + 0.7 * 0.75 = 0.825
    assert total("It is $9, or 4 business days, please.") == pytest.approx(0.4 * 0.75 + 0.825 * 0.6)
    assert total(GOOD) == pytest.approx(1.0)


def test_weights_must_sum_to_one_and_all_problems_are_named():
    with pytest.raises(ConfigError, match="sum to 1") as caught:
        TasteWeights(answers=1.4)
    assert len(caught.value.problems) == 2


def test_normalized_text_has_plain_negations_and_figures():
    assert normalize_text("We CAN\u2019T  refund, it doesn't take five days") == (
        "we can not refund, it does not take 5 days"
    )


def test_demonstrations_reach_nine_tenths_of_the_maximum(task):
    scores = [Taste().score(task.find(d.prompt), d.completion).total for d in task.demonstrations]
    assert statistics.mean(scores) > 0.95
    assert min(scores) > 0.9


@pytest.mark.parametrize(
    "cheap",
    [
        FILLER,
        "Thank you so much!!! We are absolutely thrilled and delighted to help, you are amazing!!!",
        "Yes, of course. Please let us know if you need anything else.",
        "No, sorry, this is not possible. Please check the app or the website, it is free.",
        "Please see the notes.",
        "Yes.",
        "",
        "$9 4 business days next day express standard $9 4 business days next day express standard",
    ],
)
def test_a_constant_reply_scores_far_below_any_demonstration(task, cheap):
    scores = [Taste().score(row, cheap).total for row in (*task.train, *task.heldout)]
    assert statistics.mean(scores) < 0.35


def test_pasting_all_the_notes_loses_to_a_demonstration(task):
    for row in [row for row in task.train if row.distractors]:
        assert Taste().score(row, row.notes).total < 0.75
        assert Taste().score(row, f"Thank you. {row.notes} {row.notes}").total < 0.75
        assert Taste().score(row, f"{row.question} {row.notes} Thank you.").total < 0.75


def test_a_truncated_demonstration_loses_to_the_whole_one(task):
    for demonstration in task.demonstrations:
        row = task.find(demonstration.prompt)
        words = demonstration.completion.split()
        cut = " ".join(words[: len(words) * 2 // 3]).rstrip(".!?")
        whole = Taste().score(row, demonstration.completion).total
        assert Taste().score(row, cut, finish_reason=FinishReason.LENGTH).total <= whole - 0.1


def test_filler_around_a_good_answer_lowers_it():
    padded = f"{GOOD} {FILLER} We are so excited! Let us know! Please have a wonderful day ahead of you!"
    assert total(padded) < total(GOOD) - 0.1
    assert total(f"{GOOD} {GOOD}") < total(GOOD) - 0.1


def test_a_rude_right_answer_still_beats_polite_filler():
    assert total("It is $9, obviously.") > total(FILLER) + 0.3


def test_empty_scores_nothing():
    assert total("") == 0.0
