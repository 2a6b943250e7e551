"""The sampler that Accord trains with: an own decode loop that keeps the log-probs it draws under.

Prompts run once each and their keys and values serve the whole group; rows that finished are
dropped, and prompts that wait join the running batch in their place; prompts of like length run
together; a draw costs one uniform number.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
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
from accord.rollouts.running import Draw, RunningBatch
from accord.rollouts.sampler import SamplingConfig, check_request

Precision = Literal["auto", "fp32", "bf16"]
MAX_ROWS = 64
"""Completions in progress at one time; a CPU's matrix units are busy from 32 on."""

REFILL_SHARE = 0.25
"""Waiting prompts join when this share of the rows is free: few at a time cost more than they save."""


@dataclass
class _Row:
    """A completion in progress."""

    uniforms: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    has_stopped: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether it wants another token."""
        return not self.has_stopped and len(self.ids) < len(self.uniforms)


@dataclass(frozen=True)
class _Share:
    """Samples of one prompt that run together."""

    prompt: int
    first: int
    count: int


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

    def release(self) -> None:
        """Let go of the copies of weights that learn: idle through an update, and old after it."""
        if isinstance(self._decoder, LlamaDecoder):
            self._decoder.release()

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
        rows = [_Row(numbers) for numbers in uniforms.numpy()]
        was_training = self.model.network.training
        self.model.network.eval()
        try:
            self._run(decoder, prompt_ids, rows, group, config)
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

    def _run(
        self,
        decoder: LlamaDecoder | CachedDecoder,
        prompt_ids: Sequence[Sequence[int]],
        rows: Sequence[_Row],
        group: int,
        config: SamplingConfig,
    ) -> None:
        """Draw all rows, `prompt * group + sample`; at most `max_rows` at one time, like lengths together."""
        batch: RunningBatch[_Row] = RunningBatch(decoder)
        order = sorted(range(len(prompt_ids)), key=lambda i: (len(prompt_ids[i]), i))
        waiting = deque(_shares(order, group, self.max_rows))
        draw = _drawing(config, self.model.tokenizer)
        while waiting or batch.n_alive:
            room = self.max_rows - batch.n_alive
            if waiting and (room == self.max_rows or room >= REFILL_SHARE * self.max_rows):
                joining: list[_Share] = []
                while (
                    waiting and waiting[0].count <= room and waiting[0].count == (joining or waiting)[0].count
                ):
                    joining.append(waiting.popleft())
                    room -= joining[-1].count
                if joining:
                    own = [
                        rows[one.prompt * group + one.first + j] for one in joining for j in range(one.count)
                    ]
                    batch.join([prompt_ids[one.prompt] for one in joining], own, max_tokens=config.max_tokens)
            batch.step(draw)


def _shares(order: Iterable[int], group: int, max_rows: int) -> Iterable[_Share]:
    """The prompts' samples in shares of at most `max_rows`."""
    for prompt in order:
        for first in range(0, group, max_rows):
            yield _Share(prompt, first, min(max_rows, group - first))


def decode_rows(
    decoder: LlamaDecoder | CachedDecoder,
    prompts: Sequence[Sequence[int]],
    uniforms: torch.Tensor,
    *,
    config: SamplingConfig,
    tokenizer: ChatTokenizer,
) -> list[_Row]:
    """Draw a row for each row of `uniforms` [row, token] until it ends or has as many tokens."""
    rows = [_Row(numbers) for numbers in uniforms.numpy()]
    batch: RunningBatch[_Row] = RunningBatch(decoder)
    batch.join(prompts, rows, max_tokens=config.max_tokens)
    draw = _drawing(config, tokenizer)
    while batch.n_alive:
        batch.step(draw)
    return rows


def _drawing(config: SamplingConfig, tokenizer: ChatTokenizer) -> Draw[_Row]:
    """What notes a drawn token and its log-prob for each row."""

    def draw(rows: Sequence[_Row], logits: torch.Tensor) -> list[int]:
        uniforms = np.array([row.uniforms[len(row.ids)] if row.is_alive else 0.0 for row in rows])
        drawn = draw_tokens(logits, torch.from_numpy(uniforms), config)
        tokens: list[int] = drawn.tokens.tolist()
        for row, token, logprob in zip(rows, tokens, drawn.logprobs.tolist(), strict=True):
            if row.is_alive:
                row.ids.append(token)
                row.logprobs.append(logprob)
                _note_end(row, config, tokenizer)
        return tokens

    return draw


def _note_end(row: _Row, config: SamplingConfig, tokenizer: ChatTokenizer) -> None:
    """Note whether the newest token ended the row, and the text up to a stop string."""
    if row.ids[-1] in tokenizer.stop_ids:
        row.has_stopped = True
    elif config.stop:
        text = tokenizer.decode(row.ids)
        places = [place for place in (text.find(stop) for stop in config.stop) if place >= 0]
        if places:
            row.has_stopped, row.text = True, text[: min(places)]


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
