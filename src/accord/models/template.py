"""Chat templates: how a conversation becomes the text that a model was trained on.

Leaves out tokens; those are the business of `accord.models.chat`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from accord.domain.errors import ModelError
from accord.domain.messages import Message

PINNED_DATE = "26 Jul 2024"
"""For templates that print today's date (Llama 3.1): equal prompts have equal ids on every day."""

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'tool' %}{{ 'Tool: ' + message['content'] + '\n\n' }}"
    "{% else %}{{ 'Assistant: ' + message['content'] + eos_token }}"
    "{{ '' if loop.last else '\n\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""A template for base models: plain words, no tokens beyond the EOS that every vocabulary has."""

PROBE_QUESTION = "Which day is it?"
PROBE_ANSWER = "Zebra7answer"
PROBE_SYSTEM = "Quagga9system"


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True when the tokenizer puts a BOS before plain text on its own."""
    bos = tokenizer.bos_token_id
    return bos is not None and list(tokenizer("a")["input_ids"])[:1] == [bos]


def plain_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """`PLAIN_TEMPLATE`, after a BOS where the tokenizer would put one before plain text."""
    return ("{{ bos_token }}" if adds_bos(tokenizer) else "") + PLAIN_TEMPLATE


@dataclass(frozen=True)
class AssistantTurn:
    """What a template writes around an assistant's answer."""

    lead: str
    """Blanks between the generation prompt and the answer (Mistral: one space); usually empty."""
    tail: str
    """Everything after the answer: the token that ends the turn, and often a line break."""


class ChatTemplate:
    """Renders conversations with a tokenizer's own Jinja template, which runs in transformers' sandbox."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, name: str):
        self._tokenizer = tokenizer
        self._name = name
        self._folds_system: bool | None = None

    @property
    def exists(self) -> bool:
        """False for most base models."""
        return bool(self._tokenizer.chat_template)

    def render(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        """The conversation as text; where there is no system role, that text opens the first user turn."""
        if any(message.role == "system" for message in messages) and self.folds_system:
            messages = fold_system(messages)
        return self._apply(messages, generation_prompt=generation_prompt)

    @property
    def folds_system(self) -> bool:
        """True when the template refuses a system message (Gemma) or silently drops it."""
        if self._folds_system is None:
            probe = (Message("system", PROBE_SYSTEM), Message("user", PROBE_QUESTION))
            try:
                self._folds_system = PROBE_SYSTEM not in self._apply(probe, generation_prompt=True)
            except ModelError:
                self._folds_system = True
        return self._folds_system

    def assistant_turn(self) -> AssistantTurn:
        """What the template writes before and after an answer, found by rendering one."""
        question = (Message("user", PROBE_QUESTION),)
        prompt = self._apply(question, generation_prompt=True)
        full = self._apply((*question, Message("assistant", PROBE_ANSWER)), generation_prompt=False)
        head, found, tail = full.rpartition(PROBE_ANSWER)
        if not found:
            raise ModelError(
                f"the chat template of {self._name!r} drops the assistant's answer: {full!r}. There would be "
                f"nothing to train on; give another one with load_model(..., chat_template=...)."
            )
        lead = head[len(prompt) :] if head.startswith(prompt) else ""
        return AssistantTurn(lead=lead if not lead.strip() else "", tail=tail)

    def _apply(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        if not self.exists:
            raise ModelError(
                f"model {self._name!r} has no chat template, so it is not known how to ask it a question. "
                f'Load it with chat_template="plain" (User: / Assistant:), with a Jinja template of your '
                f"own, or use raw prompts (Prompt.from_raw)."
            )
        turns: list[dict[str, Any]] = [{"role": turn.role, "content": turn.content} for turn in messages]
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=generation_prompt, date_string=PINNED_DATE
            )
        except jinja2.TemplateError as error:
            roles = ", ".join(turn.role for turn in messages)
            raise ModelError(
                f"the chat template of {self._name!r} refuses the roles [{roles}]: {error}. Change the "
                f"conversation, or give another template with load_model(..., chat_template=...)."
            ) from error
        return str(text)


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Move system messages to the head of the first user turn, a blank line between."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    for i, message in enumerate(rest):
        if message.role == "user":
            rest[i] = Message("user", f"{system}\n\n{message.content}")
            return tuple(rest)
    return (Message("user", system), *rest)
