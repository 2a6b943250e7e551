"""Prompts and completions hold what they promise, and equal prompts have equal ids."""

import hashlib

import pytest

from accord.domain import Completion, DataError, FinishReason, Message, Prompt, content_hash


def test_a_content_hash_is_the_sha256_of_the_canonical_json():
    expected = hashlib.sha256(b'{"a":[1,"x"],"b":null}').hexdigest()[:16]
    assert content_hash({"b": None, "a": [1, "x"]}) == expected


def test_half_a_surrogate_pair_can_be_hashed():
    assert content_hash("\ud800") != content_hash("\ud801")


def test_the_id_of_a_prompt_is_of_its_messages_and_not_of_what_came_with_it():
    prompt = Prompt.from_text("Hi")
    assert prompt.id == content_hash([["user", "Hi"]])
    assert Prompt.from_text("Hi", meta={"domain": "shop"}).id == prompt.id
    assert Prompt.from_text("Hi", meta={"domain": "shop"}) == prompt
    assert Prompt.from_text("Hi", system="Be brief.").id != prompt.id


def test_plain_text_and_a_user_turn_are_different_prompts():
    assert Prompt.from_raw("Hi").id != Prompt.from_text("Hi").id
    assert Prompt.from_raw("Hi") != Prompt.from_text("Hi")


def test_a_prompt_ends_before_the_assistant_and_has_known_roles():
    with pytest.raises(DataError, match="at least one message"):
        Prompt(messages=())
    with pytest.raises(DataError, match="got an assistant message last"):
        Prompt(messages=(Message("user", "Hi"), Message("assistant", "Hello")))
    with pytest.raises(DataError, match="'bot' is unknown; expected one of system, user, assistant, tool"):
        Message("bot", "Hi")


def test_a_completion_has_one_logprob_a_token():
    Completion(text="a", token_ids=(1, 2), logprobs=(-0.5, -0.25))
    Completion(text="a", token_ids=(1, 2))
    with pytest.raises(DataError, match="1 logprobs for 2 token ids"):
        Completion(text="a", token_ids=(1, 2), logprobs=(-0.5,))


def test_only_an_answer_the_model_ended_is_complete():
    assert FinishReason.STOP.is_complete
    assert not FinishReason.LENGTH.is_complete
