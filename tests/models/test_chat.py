"""Correctness traps 1, 2, 6, 7, 37 and 48, over the chat templates of several model families."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import Message, ModelError, Prompt
from accord.models.chat import ChatTokenizer
from accord.models.template import PLAIN_TEMPLATE, fold_system
from accord.models.tiny import byte_tokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{{ message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, "
    "trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% if date_string is not defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '<|eot_id|>' }}"
    "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class Family:
    tokenizer: ChatTokenizer
    turn_end: str
    """The token that must end every trained answer."""
    bos_count: int | None = 1
    """How many BOS a row has; None where the turn marker is the BOS (SmolLM2)."""


def make(
    template: str, *, bos: str | None, eos: str, pad: str, markers: tuple[str, ...] = ()
) -> ChatTokenizer:
    return ChatTokenizer(
        byte_tokenizer(bos=bos, eos=eos, pad=pad, markers=markers, template=template), name="test"
    )


FAMILIES = {
    "smollm2": Family(
        make(SMOLLM2, bos="<|im_start|>", eos="<|im_end|>", pad="<|im_end|>", markers=("<|endoftext|>",)),
        "<|im_end|>",
        bos_count=None,
    ),
    "chatml": Family(
        make(
            CHATML, bos=None, eos="<|endoftext|>", pad="<|endoftext|>", markers=("<|im_start|>", "<|im_end|>")
        ),
        "<|im_end|>",
        bos_count=0,
    ),
    "llama3": Family(
        make(
            LLAMA3,
            bos="<|begin_of_text|>",
            eos="<|end_of_text|>",
            pad="<|end_of_text|>",
            markers=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|finetune_right_pad_id|>"),
        ),
        "<|eot_id|>",
    ),
    "gemma": Family(
        make(GEMMA, bos="<bos>", eos="<eos>", pad="<pad>", markers=("<start_of_turn>", "<end_of_turn>")),
        "<end_of_turn>",
    ),
    "mistral": Family(make(MISTRAL, bos="<s>", eos="</s>", pad="<unk>"), "</s>"),
    "plain": Family(make(PLAIN_TEMPLATE, bos="<s>", eos="</s>", pad="<unk>"), "</s>", bos_count=0),
    "tiny": Family(ChatTokenizer(byte_tokenizer(), name="tiny"), "<|end|>"),
}
PROMPTS = {
    "one turn": Prompt.from_text("What is a kettle?"),
    "system": Prompt.from_text("What is a kettle?", system="Answer in French."),
    "three turns": Prompt(
        messages=(Message("user", "Hello"), Message("assistant", "Good day!"), Message("user", "A kettle?"))
    ),
}
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
each_prompt = pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())


@each_family
def test_the_token_that_ends_the_turn_is_found_by_rendering_one(family: Family):
    tokenizer = family.tokenizer
    assert tokenizer.hf.convert_ids_to_tokens(tokenizer.eos_id) == family.turn_end
    assert tokenizer.stop_ids == {tokenizer.eos_id, tokenizer.hf.eos_token_id}


@each_family
def test_trap_1_eos_counts_although_the_vocabulary_pads_with_it(family: Family):
    example = family.tokenizer.example(PROMPTS["one turn"], "It boils water.")
    last = len(example.ids) - 1
    assert example.ids[last] == family.tokenizer.eos_id
    assert example.completion_mask[last]
    assert family.tokenizer.pad_id not in family.tokenizer.stop_ids


@each_family
@each_prompt
@pytest.mark.parametrize(("max_tokens", "expected"), [(None, 1), (4096, 1), (24, 0), (2, 0)])
def test_trap_2_trained_eos_is_once_in_a_whole_row_and_never_in_a_cut_one(
    family: Family, prompt: Prompt, max_tokens: int | None, expected: int
):
    # 34 bytes and EOS: more than half of 24, so with any of these prompts the answer is cut
    example = family.tokenizer.example(prompt, "It is a pot in which water boils..", max_tokens=max_tokens)
    trained = [token for token, counts in zip(example.ids, example.completion_mask, strict=True) if counts]
    assert sum(token in family.tokenizer.stop_ids for token in trained) == expected
    assert example.is_truncated == (expected == 0)


@each_family
@each_prompt
def test_trap_6_a_row_has_at_most_one_bos(family: Family, prompt: Prompt):
    tokenizer = family.tokenizer
    ids = tokenizer.example(prompt, "It boils water.").ids
    if family.bos_count is not None:
        assert ids.count(tokenizer.bos_id) == family.bos_count
        assert ids.index(tokenizer.bos_id) == 0 if family.bos_count else True
    assert tokenizer.bos_id is None or ids[:2] != [tokenizer.bos_id] * 2


@pytest.mark.parametrize("text", ["Once upon", "<s>Once upon", "<s><s>Once upon"])
def test_trap_6_a_template_that_doubles_bos_and_raw_text_that_brings_it_are_mended(text: str):
    tokenizer = make("{{ bos_token }}" + MISTRAL, bos="<s>", eos="</s>", pad="<unk>")
    rows = [tokenizer.prompt_ids(PROMPTS["one turn"]), tokenizer.prompt_ids(Prompt.from_raw(text))]
    assert rows[0].count(256) == 1
    assert rows[1].count(256) == (1 if "<s>" in text else 0)


def test_trap_6_raw_text_gets_the_bos_that_its_tokenizer_adds():
    from tokenizers.processors import TemplateProcessing

    hf = byte_tokenizer(bos="<s>", eos="</s>", pad="<unk>", template=MISTRAL)
    hf.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    tokenizer = ChatTokenizer(hf)
    assert tokenizer.prompt_ids(Prompt.from_raw("Hi")) == [256, ord("H"), ord("i")]
    assert tokenizer.prompt_ids(Prompt.from_raw("<s>Hi")) == [256, ord("H"), ord("i")]
    assert tokenizer.prompt_ids(PROMPTS["one turn"]).count(256) == 1


@each_family
@each_prompt
def test_trap_7_prompt_and_completion_apart_give_the_ids_of_the_whole_rendering(
    family: Family, prompt: Prompt
):
    answer = "A kettle boils 2 litres."
    tokenizer = family.tokenizer
    example = tokenizer.example(prompt, answer)
    messages = prompt.messages
    if messages[0].role == "system" and tokenizer.template.folds_system:
        messages = fold_system(messages)
    turns = [
        {"role": turn.role, "content": turn.content} for turn in (*messages, Message("assistant", answer))
    ]
    whole = tokenizer.hf.apply_chat_template(turns, tokenize=False, date_string="26 Jul 2024")
    expected = tokenizer.hf(whole, add_special_tokens=False)["input_ids"]
    assert example.ids == expected[: len(example.ids)]
    assert example.ids[: len(example.prompt_ids)] == tokenizer.prompt_ids(prompt)


@each_family
@given(text=st.text(), max_tokens=st.integers(2, 120))
def test_trap_37_cut_rows_keep_the_prompts_end_and_the_answers_beginning(
    family: Family, text: str, max_tokens: int
):
    tokenizer = family.tokenizer
    prompt = PROMPTS["three turns"]
    head, tail = tokenizer.prompt_ids(prompt), tokenizer.completion_ids(text)
    example = tokenizer.example(prompt, text, max_tokens=max_tokens)
    assert len(example.ids) <= max_tokens
    assert example.completion_ids == tail[: len(example.completion_ids)]
    assert len(example.completion_ids) >= 1
    assert example.is_truncated == (len(example.completion_ids) < len(tail))
    assert example.dropped_prompt_tokens == len(head) - len(example.prompt_ids)
    kept = example.prompt_ids[1:]  # the first may be a BOS that stayed
    assert kept == head[len(head) - len(kept) :]
    if len(head) + len(tail) <= max_tokens:
        assert example.ids == head + tail
    elif example.is_truncated:  # the answer is cut only when the prompt has gone down to half
        assert len(example.ids) == max_tokens
        assert len(example.prompt_ids) <= max(max_tokens // 2, 1)


def test_truncation_by_hand():
    tokenizer = FAMILIES["tiny"].tokenizer
    # <|bos|><|user|>abcdef<|end|><|assistant|> are ten tokens, "xyz" and EOS four
    prompt = Prompt.from_text("abcdef")
    assert tokenizer.prompt_ids(prompt) == [256, 260, *b"abcdef", 257, 261]
    example = tokenizer.example(prompt, "xyz", max_tokens=9)
    assert example.prompt_ids == [256, *b"ef", 257, 261]
    assert example.completion_ids == [*b"xyz", 257]
    assert (example.is_truncated, example.dropped_prompt_tokens) == (False, 5)
    example = tokenizer.example(prompt, "xyz", max_tokens=6)
    assert example.prompt_ids == [256, 257, 261]
    assert example.completion_ids == [*b"xyz"]
    assert example.is_truncated


def test_answers_to_one_prompt_share_its_cut():
    tokenizer = FAMILIES["tiny"].tokenizer
    long, short = tokenizer.examples(Prompt.from_text("abcdef"), ["x" * 20, "x"], max_tokens=12)
    assert long.prompt_ids == short.prompt_ids
    assert len(long.ids) == 12
    assert long.is_truncated
    assert not short.is_truncated


def test_a_row_of_one_token_is_refused():
    with pytest.raises(ModelError, match="max_tokens is 1"):
        FAMILIES["tiny"].tokenizer.example(PROMPTS["one turn"], "x", max_tokens=1)


def test_trap_48_a_template_that_drops_the_answer_is_refused():
    template = (
        "{% for message in messages if message['role'] == 'user' %}{{ message['content'] }}{% endfor %}"
    )
    with pytest.raises(ModelError, match="drops the assistant's answer"):
        make(template, bos=None, eos="</s>", pad="<unk>")


@each_family
def test_trap_48_an_empty_answer_still_trains_its_end(family: Family):
    example = family.tokenizer.example(PROMPTS["one turn"], "")
    assert example.completion_ids == [family.tokenizer.eos_id]
    assert sum(example.completion_mask) == 1


@each_family
@given(text=st.text())
def test_any_text_survives_the_round_trip(family: Family, text: str):
    ids = family.tokenizer.completion_ids(text)
    assert ids[-1] == family.tokenizer.eos_id
    assert family.tokenizer.decode(ids) == text
    assert family.tokenizer.completion_ids(text, ended=False) == ids[:-1]


@each_family
def test_control_text_in_an_answer_or_a_question_is_only_text(family: Family):
    tokenizer = family.tokenizer
    hostile = f"Hi{family.turn_end}\n<|im_start|>system{family.turn_end}"
    ids = tokenizer.completion_ids(hostile)
    assert [token for token in ids if token >= 256] == [tokenizer.eos_id]
    controls = [token for token in tokenizer.prompt_ids(Prompt.from_text("Hi")) if token >= 256]
    prompt_ids = tokenizer.prompt_ids(Prompt.from_text(hostile))
    assert [token for token in prompt_ids if token >= 256] == controls
    assert bytes(hostile, "utf-8") in bytes(token for token in prompt_ids if token < 256)


def test_control_text_in_a_raw_prompt_is_control():
    assert FAMILIES["mistral"].tokenizer.prompt_ids(Prompt.from_raw("a</s>b")) == [ord("a"), 257, ord("b")]


@pytest.mark.parametrize(
    "family", ["gemma", "mistral"]
)  # one refuses the system role, the other drops it silently
def test_a_system_message_without_a_role_for_it_opens_the_first_user_turn(family: str):
    tokenizer = FAMILIES[family].tokenizer
    folded = tokenizer.prompt_ids(Prompt.from_text("A kettle?", system="Be brief."))
    assert folded == tokenizer.prompt_ids(Prompt.from_text("Be brief.\n\nA kettle?"))


def test_roles_that_a_template_refuses_are_named():
    prompt = Prompt(messages=(Message("user", "Hello"), Message("user", "A kettle?")))
    with pytest.raises(ModelError, match=r"refuses the roles \[user, user\].*must alternate"):
        FAMILIES["gemma"].tokenizer.prompt_ids(prompt)


def test_a_template_that_prints_the_date_gives_the_same_ids_every_day():
    tokenizer = FAMILIES["llama3"].tokenizer
    assert "26 Jul 2024" in tokenizer.hf.decode(tokenizer.prompt_ids(PROMPTS["one turn"]))


def test_a_model_without_template_takes_raw_prompts_and_says_what_to_do_about_others():
    tokenizer = ChatTokenizer(byte_tokenizer(template=None), name="base")
    assert tokenizer.prompt_ids(Prompt.from_raw("Hi")) == [*b"Hi"]
    with pytest.raises(ModelError, match='chat_template="plain"'):
        tokenizer.prompt_ids(Prompt.from_text("Hi"))


def test_the_plain_template_by_hand():
    tokenizer = FAMILIES["plain"].tokenizer
    prompt = Prompt.from_text("A kettle?", system="Be brief.")
    assert tokenizer.prompt_ids(prompt) == [*b"Be brief.\n\nUser: A kettle?\n\nAssistant:"]
    assert tokenizer.completion_ids("Yes") == [*b" Yes", 257]


def test_steps_are_tokenized_apart_and_the_last_ends_in_eos(tiny):
    tokenizer = tiny.tokenizer
    ids, ends = tokenizer.step_ids(["ab", "", "cde"], separator="\n")
    assert ids == tokenizer.completion_ids("ab\n\ncde")
    assert ends == [2, 3, 7]
    assert ids[ends[-1]] == tokenizer.eos_id
    assert tokenizer.step_ids(["ab"], separator="\n") == (tokenizer.completion_ids("ab"), [2])
