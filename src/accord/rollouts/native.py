"""The sampler that Accord trains with: an own decode loop that keeps the log-probs it draws under.

Prompts run once each and their keys and values serve the whole group; rows that finished are
dropped; prompts of like length run together; a draw costs one uniform number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch.distributed.tensor import DTensor

from accord.domain.errors import ConfigError
from accord.domain.messages import Completion, FinishReason, Prompt
from accord.domain.streams import Streams
from accord.models.chat import ChatTokenizer
from accord.models.language_model import LanguageModel
from accord.rollouts.cached import CachedDecoder
from accord.rollouts.drawing import draw_tokens, row_uniforms
from accord.rollouts.llama import LlamaDecoder, covers
from accord.rollouts.packing import has_fast_bf16
from accord.rollouts.sampler import SamplingConfig, check_request

Precision = Literal["auto", "fp32", "bf16"]
MAX_ROWS = 64
"""Completions in progress at one time; a CPU's matrix units are busy from 32 on."""


@dataclass
class _Row:
    """A completion in progress."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    has_stopped: bool = False


class NativeSampler:
    """Samples from a language model's weights as they are at each call.

    `precision` "auto" takes bf16 where the device is quicker in it, else fp32; families that
    the fast path does not cover run through their own forward, in the model's own precision.
    """

    def __init__(self, model: LanguageModel, *, precision: Precision = "auto", max_rows: int = MAX_ROWS):
        self.model = model
        self.max_rows = max_rows
        is_bf16 = precision == "bf16" or (precision == "auto" and has_fast_bf16(model.device))
        self.dtype = torch.bfloat16 if is_bf16 else torch.float32
        self._decoder: LlamaDecoder | CachedDecoder | None = None

    @property
    def is_fast(self) -> bool:
        """Whether the own fast path runs this model."""
        return covers(self.model)

    @torch.no_grad()
    def sample(
        self, prompts: Sequence[Prompt], *, group: int = 1, config: SamplingConfig, streams: Streams
    ) -> list[list[Completion]]:
        """`group` completions for each prompt, in the order of the prompts."""
        prompt_ids = [self.model.tokenizer.prompt_ids(prompt) for prompt in prompts]
        check_request(prompt_ids, group=group, config=config, context_tokens=self.model.context_tokens)
        if not prompts:
            return []
        # Under the caller's autocast the fp32 products of the fast path would turn bf16.
        with torch.autocast(self.model.device.type, enabled=False):
            return self._sample(prompts, prompt_ids, group, config, streams)

    def _sample(
        self,
        prompts: Sequence[Prompt],
        prompt_ids: list[list[int]],
        group: int,
        config: SamplingConfig,
        streams: Streams,
    ) -> list[list[Completion]]:
        tokenizer = self.model.tokenizer
        decoder = self._refresh()
        uniforms = row_uniforms(prompts, group=group, count=config.max_tokens, streams=streams)
        rows: dict[int, _Row] = {}
        was_training = self.model.network.training
        self.model.network.eval()
        try:
            for wave, wave_group, first_sample in self._waves(prompt_ids, group):
                numbers = [i * group + first_sample + j for i in wave for j in range(wave_group)]
                done = decode_rows(
                    decoder,
                    [prompt_ids[i] for i in wave],
                    uniforms[numbers],
                    config=config,
                    tokenizer=tokenizer,
                )
                rows.update(zip(numbers, done, strict=True))
        finally:
            self.model.network.train(was_training)
        version = decoder.version
        return [
            [_completion(rows[i * group + j], tokenizer, version) for j in range(group)]
            for i in range(len(prompts))
        ]

    def _refresh(self) -> LlamaDecoder | CachedDecoder:
        if any(isinstance(weight, DTensor) for weight in self.model.network.parameters()):
            raise ConfigError(
                "sampling",
                ["the policy's weights are split over ranks (parallel = 'shard'); use 'replicate'"],
            )
        if self._decoder is None:
            fast = self.is_fast
            self._decoder = LlamaDecoder(self.model, dtype=self.dtype) if fast else CachedDecoder(self.model)
        else:
            self._decoder.refresh()
        return self._decoder

    def _waves(self, prompt_ids: Sequence[Sequence[int]], group: int) -> Iterator[tuple[list[int], int, int]]:
        """(prompts of a batch, samples of each, first sample): like lengths together, at most `max_rows`."""
        order = sorted(range(len(prompt_ids)), key=lambda i: (len(prompt_ids[i]), i))
        per_wave = max(1, self.max_rows // group)
        for start in range(0, len(order), per_wave):
            for first_sample in range(0, group, self.max_rows):
                yield order[start : start + per_wave], min(self.max_rows, group - first_sample), first_sample


def decode_rows(
    decoder: LlamaDecoder | CachedDecoder,
    prompts: Sequence[Sequence[int]],
    uniforms: torch.Tensor,
    *,
    config: SamplingConfig,
    tokenizer: ChatTokenizer,
) -> list[_Row]:
    """Draw a row for each row of `uniforms` [row, token] until it ends or `max_tokens` are drawn."""
    rows = [_Row() for _ in range(len(uniforms))]
    decoding = decoder.begin(prompts, group=len(rows) // len(prompts), max_tokens=config.max_tokens)
    slots, is_alive = list(range(len(rows))), [True] * len(rows)
    logits, slot_uniforms = decoding.first_logits, uniforms
    for step in range(config.max_tokens):
        drawn = draw_tokens(logits, slot_uniforms[:, step], config)
        for slot, (token, logprob) in enumerate(
            zip(drawn.tokens.tolist(), drawn.logprobs.tolist(), strict=True)
        ):
            if is_alive[slot]:
                row = rows[slots[slot]]
                row.ids.append(token)
                row.logprobs.append(logprob)
                is_alive[slot] = not _has_ended(row, config, tokenizer)
        if not any(is_alive) or step + 1 == config.max_tokens:
            break
        tokens = drawn.tokens
        kept = decoding.compact(is_alive)
        if kept is not None:
            slots, is_alive = [slots[i] for i in kept], [is_alive[i] for i in kept]
            tokens, slot_uniforms = tokens[kept], slot_uniforms[kept]
        logits = decoding.advance(tokens)
    return rows


def _has_ended(row: _Row, config: SamplingConfig, tokenizer: ChatTokenizer) -> bool:
    """Whether the newest token ended the row; notes how, and the text up to a stop string."""
    if row.ids[-1] in tokenizer.stop_ids:
        row.has_stopped = True
    elif config.stop:
        text = tokenizer.decode(row.ids)
        places = [place for place in (text.find(stop) for stop in config.stop) if place >= 0]
        if places:
            row.has_stopped, row.text = True, text[: min(places)]
    return row.has_stopped


def _completion(row: _Row, tokenizer: ChatTokenizer, version: str) -> Completion:
    ended_by_token = row.has_stopped and row.ids[-1] in tokenizer.stop_ids
    if ended_by_token or not row.has_stopped:
        row.text = tokenizer.decode(row.ids[:-1] if ended_by_token else row.ids)
    return Completion(
        text=row.text,
        token_ids=tuple(row.ids),
        logprobs=tuple(row.logprobs),
        finish_reason=FinishReason.STOP if row.has_stopped else FinishReason.LENGTH,
        policy_version=version,
    )
