"""A tiny seeded language model with a byte tokenizer: for tests, and for runs that must take seconds.

It is a real llama with random weights and takes every path that a large model takes.
"""

from collections.abc import Sequence

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from accord.models.chat import ChatTokenizer
from accord.models.language_model import LanguageModel, set_special_ids

BOS, END, PAD = "<|bos|>", "<|end|>", "<|pad|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
TINY_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TINY_CONTEXT = 2048


def tiny_model(seed: int = 0, *, dropout: float = 0.0) -> LanguageModel:
    """A llama of 2 layers and width 64 on bytes with random weights; equal seeds give equal models."""
    tokenizer = ChatTokenizer(byte_tokenizer(), name="tiny")
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=TINY_CONTEXT,
        tie_word_embeddings=True,
        attention_dropout=dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
    set_special_ids(network, tokenizer)
    return LanguageModel(
        network=network.eval(), tokenizer=tokenizer, name="tiny", source="tiny" if seed == 0 else None
    )


def byte_tokenizer(
    *,
    bos: str | None = BOS,
    eos: str = END,
    pad: str = PAD,
    markers: Sequence[str] = ROLES,
    template: str | None = TINY_TEMPLATE,
) -> PreTrainedTokenizerFast:
    """Ids 0-255 are the bytes themselves; after them BOS, the turn's end, pad and the role markers."""
    backend = Tokenizer(BPE(vocab={symbol: value for value, symbol in enumerate(byte_symbols())}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    specials = list(dict.fromkeys(text for text in (bos, eos, pad, *markers) if text is not None))
    backend.add_special_tokens([AddedToken(text, normalized=False) for text in specials])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        chat_template=template,
        model_max_length=TINY_CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def byte_symbols() -> list[str]:
    """The character for each byte in byte-level vocabularies (GPT-2): itself where it can be seen."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [value for value in range(256) if value not in visible]
    return [chr(value) if value in visible else chr(256 + hidden.index(value)) for value in range(256)]
