"""Prompts and completions as token ids, with one EOS, at most one BOS and known truncation.

Prompt and completion are tokenized apart, so the prompt's ids are a prefix of the row by
construction and the completion mask needs no offsets. Sampled ids are never tokenized again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from accord.domain.errors import ModelError
from accord.domain.messages import Message, Prompt
from accord.models.template import PROBE_ANSWER, PROBE_QUESTION, ChatTemplate, adds_bos

SENTINEL = 0xF0000
"""First code point of a private-use plane; stands for a special token's text that a user typed."""


@dataclass(frozen=True)
class TokenizedExample:
    """One row for training or scoring: the prompt's ids, then the completion's."""

    prompt_ids: list[int]
    completion_ids: list[int]
    """Ends with EOS unless `is_truncated`; never empty."""
    is_truncated: bool
    """True when the completion lost its end; such a row has no EOS, and should earn none."""
    dropped_prompt_tokens: int = 0
    """How many of the prompt's oldest tokens were dropped."""

    @property
    def ids(self) -> list[int]:
        """Prompt and completion in one row."""
        return self.prompt_ids + self.completion_ids

    @property
    def completion_mask(self) -> list[bool]:
        """True where a token of `ids` counts: on the completion, EOS included."""
        return [False] * len(self.prompt_ids) + [True] * len(self.completion_ids)


class ChatTokenizer:
    """Wraps a Hugging Face tokenizer; everything that turns records into ids goes through here."""

    def __init__(self, hf: PreTrainedTokenizerBase, *, name: str = "tokenizer"):
        self.hf = hf
        self.name = name
        self.template = ChatTemplate(hf, name=name)
        self._special_ids = frozenset(
            index for index, token in hf.added_tokens_decoder.items() if token.special
        )
        self._special_texts = sorted(
            {str(hf.convert_ids_to_tokens(i)) for i in self._special_ids}, key=len, reverse=True
        )
        self._special_pattern = re.compile(
            "|".join(re.escape(text) for text in self._special_texts) or r"(?!)"
        )
        self._lead = ""
        self.eos_id: int = self._turn_end()
        self.bos_id: int | None = hf.bos_token_id
        self.pad_id: int = self._choose_pad()
        self._raw_head = [hf.bos_token_id] if adds_bos(hf) else []

    @property
    def vocab_size(self) -> int:
        """How many ids the tokenizer knows; the model's embedding has at least as many rows."""
        return len(self.hf)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Every id that ends an answer: the turn's end, and the tokenizer's own EOS where that differs."""
        own = self.hf.eos_token_id
        return frozenset({self.eos_id} if own is None else {self.eos_id, own})

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """Ids of the prompt, up to where the assistant begins; at most one BOS in front.

        Text that looks like a special token inside a message stays text: a user cannot end the turn.
        Raw prompts are read as they stand, special tokens included.
        """
        if prompt.is_raw:
            text = "".join(message.content for message in prompt.messages)
            return self._one_bos([*self._raw_head, *self._encode(text, special=True)])
        return self._one_bos(self._render_ids(prompt.messages))

    def completion_ids(self, text: str, *, ended: bool = True) -> list[int]:
        """Ids of an answer on its own, and the one EOS that ends the turn when it ended."""
        ids = self._encode(self._lead + text, special=False) if text else []
        return [*ids, self.eos_id] if ended else ids

    def step_ids(self, steps: Sequence[str], *, separator: str) -> tuple[list[int], list[int]]:
        """Ids of an answer made of steps, EOS at its end, and the place of the last token of each step.

        Each step is tokenized apart with the separator that ends it, so that no token belongs to two
        steps; the last has none and ends in EOS. An empty step ends where the one before it does.
        """
        ids: list[int] = []
        ends: list[int] = []
        for number, step in enumerate(steps):
            is_last = number == len(steps) - 1
            text = (self._lead if number == 0 else "") + step + ("" if is_last else separator)
            ids += self._encode(text, special=False) if text else []
            ids += [self.eos_id] if is_last else []
            ends.append(max(len(ids) - 1, 0))
        return ids, ends

    def example(self, prompt: Prompt, completion: str, *, max_tokens: int | None = None) -> TokenizedExample:
        """One training row of at most `max_tokens` tokens; `examples` states the rules of truncation."""
        return self.examples(prompt, [completion], max_tokens=max_tokens)[0]

    def examples(
        self, prompt: Prompt, completions: Sequence[str], *, max_tokens: int | None = None
    ) -> list[TokenizedExample]:
        """Rows for several answers to one prompt; the prompt is cut once, so they share it.

        A row that is too long first loses the prompt's oldest tokens (a leading BOS stays), down to
        half of `max_tokens`; then the completion loses its end, is marked, and gets no EOS.
        """
        head = self.prompt_ids(prompt)
        tails = [self.completion_ids(text) for text in completions]
        if max_tokens is None or not tails:
            return [TokenizedExample(head, tail, False) for tail in tails]
        if max_tokens < 2:
            raise ModelError(f"max_tokens is {max_tokens}; a row needs at least 2, one of them to train on.")
        longest = max(len(tail) for tail in tails)
        kept = self.cut_prompt(head, max(max_tokens - longest, max_tokens // 2))
        room = max_tokens - len(kept)
        return [
            TokenizedExample(kept, tail[:room], len(tail) > room, len(head) - len(kept)) for tail in tails
        ]

    def cut_prompt(self, ids: list[int], max_tokens: int) -> list[int]:
        """The last `max_tokens` ids; a BOS that stands only in front stays in front."""
        if len(ids) <= max_tokens:
            return ids
        if max_tokens < 1:
            raise ModelError(
                f"a prompt of {len(ids)} tokens cannot be cut to {max_tokens}; leave room for one."
            )
        if (
            max_tokens > 1
            and self.bos_id is not None
            and ids[0] == self.bos_id
            and ids.count(self.bos_id) == 1
        ):
            return [ids[0], *ids[len(ids) - max_tokens + 1 :]]
        return ids[len(ids) - max_tokens :]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer's ids, without EOS and other special tokens."""
        text = str(self.hf.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return text.removeprefix(self._lead)

    def _render_ids(self, messages: Sequence[Message]) -> list[int]:
        if not any(self._special_pattern.search(message.content) for message in messages):
            return self._encode(self.template.render(messages, generation_prompt=True), special=True)
        hidden = [Message(message.role, self._hide_specials(message.content)) for message in messages]
        rendered = self.template.render(hidden, generation_prompt=True)
        ids: list[int] = []
        for part in re.split(f"([{chr(SENTINEL)}-{chr(SENTINEL + len(self._special_texts))}])", rendered):
            position = ord(part) - SENTINEL if len(part) == 1 else -1
            if 0 <= position < len(self._special_texts):
                ids += self._encode(self._special_texts[position], special=False)
            else:
                ids += self._encode(part, special=True)
        return ids

    def _hide_specials(self, text: str) -> str:
        return self._special_pattern.sub(
            lambda match: chr(SENTINEL + self._special_texts.index(match.group())), text
        )

    def _encode(self, text: str, *, special: bool) -> list[int]:
        ids = self.hf(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"]
        return list(ids)

    def _one_bos(self, ids: list[int]) -> list[int]:
        while len(ids) > 1 and self.bos_id is not None and ids[0] == ids[1] == self.bos_id:
            ids = ids[1:]
        return ids

    def _turn_end(self) -> int:
        """The special token that the template puts after an answer, else the tokenizer's EOS."""
        if self.template.exists:
            turn = self.template.assistant_turn()
            if turn.lead and self._lead_matches(turn.lead):
                self._lead = turn.lead
            ends = [i for i in self._encode(turn.tail, special=True) if i in self._special_ids]
            if ends:
                return ends[0]
        if self.hf.eos_token_id is None:
            raise ModelError(
                f"tokenizer of {self.name!r} has no EOS token, so no answer could end. Set eos_token in "
                f"tokenizer_config.json."
            )
        return int(self.hf.eos_token_id)

    def _lead_matches(self, lead: str) -> bool:
        """True when tokenizing the blank with the answer gives the ids of the whole rendering."""
        question = (Message("user", PROBE_QUESTION),)
        full = self.template.render((*question, Message("assistant", PROBE_ANSWER)), generation_prompt=False)
        prompt = self.template.render(question, generation_prompt=True)
        row = self._encode(prompt, special=True) + self._encode(lead + PROBE_ANSWER, special=False)
        return self._encode(full, special=True)[: len(row)] == row

    def _choose_pad(self) -> int:
        """A pad id that ends nothing: with pad = EOS, code that masks by id loses the EOS too."""
        own = self.hf.pad_token_id
        if own is not None and own not in self.stop_ids:
            return int(own)
        spare = [self.hf.unk_token_id, *sorted(self._special_ids)]
        for candidate in spare:
            if candidate is not None and candidate not in self.stop_ids and candidate != self.bos_id:
                return int(candidate)
        return int(own if own is not None else self.eos_id)
