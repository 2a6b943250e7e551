"""Batches without padding: segments end to end, each with an optional parent that is its prefix.

A prompt that several completions share is one segment and runs once. `hidden_states` runs
such a batch through any Hugging Face decoder, exactly; families it does not know go through
`dense_hidden_states`, a plain padded forward that is also the oracle of the tests.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from accord.domain.errors import DataError, ModelError
from accord.models.attention import RAGGED_ATTENTION, AttentionLayout, register_ragged_attention
from accord.models.fused import fused_layer, is_fusable, rotary_halves
from accord.models.language_model import LanguageModel
from accord.models.layers import decoder_layers
from accord.models.recomputing import recomputes, recomputing

COVERED_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma3_text", "smollm3"})
"""`config.model_type` of the decoders whose attention goes through the ragged kernel, each with
its own exactness test. Any other family runs padded."""

MIN_SAVED = 0.05
"""Share of the prompts' tokens that a common prefix must save to run as a segment of its own."""

SPLITTABLE_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3"})
"""Families whose stack can start at a middle layer: they do nothing to the embeddings first."""


@dataclass(frozen=True)
class Segment:
    """A run of tokens that follows its parent segment, or starts a sequence."""

    ids: list[int]
    parent: int | None = None
    """Index of the segment that is its prefix; it must come earlier in the batch."""


@dataclass(frozen=True)
class Ragged:
    """Segments laid end to end; a token sees its own segment up to itself and all its ancestors."""

    token_ids: Tensor
    """[T] long."""
    position_ids: Tensor
    """[T] long; a child's first position follows its parent's last."""
    starts: tuple[int, ...]
    """First row of each segment."""
    lengths: tuple[int, ...]
    """Tokens of each segment, at least 1."""
    parents: tuple[int, ...]
    """Parent of each segment, -1 for none."""

    @classmethod
    def pack(cls, segments: Sequence[Segment]) -> "Ragged":
        """Lay the segments end to end; an empty segment or a parent that comes later is refused."""
        if not segments:
            raise DataError("a batch needs at least one segment, got none")
        starts: list[int] = []
        offsets: list[int] = []
        token_ids: list[int] = []
        positions: list[int] = []
        for index, segment in enumerate(segments):
            if not segment.ids:
                raise DataError(f"segment {index} is empty; expected at least one token. Drop the row")
            parent = -1 if segment.parent is None else segment.parent
            if not -1 <= parent < index:
                raise DataError(f"segment {index} has parent {parent}; expected an earlier segment or none")
            offset = 0 if parent < 0 else offsets[parent] + len(segments[parent].ids)
            starts.append(len(token_ids))
            offsets.append(offset)
            token_ids.extend(segment.ids)
            positions.extend(range(offset, offset + len(segment.ids)))
        return cls(
            token_ids=torch.tensor(token_ids, dtype=torch.long),
            position_ids=torch.tensor(positions, dtype=torch.long),
            starts=tuple(starts),
            lengths=tuple(len(segment.ids) for segment in segments),
            parents=tuple(-1 if segment.parent is None else segment.parent for segment in segments),
        )

    @property
    def n_tokens(self) -> int:
        """Tokens that run, each shared prefix counted once."""
        return sum(self.lengths)

    @property
    def max_positions(self) -> int:
        """Length of the longest path from a root to the end of a segment."""
        return max(self._path_lengths())

    def slice_of(self, segment: int) -> slice:
        """Rows of one segment."""
        return slice(self.starts[segment], self.starts[segment] + self.lengths[segment])

    def path_of(self, segment: int) -> tuple[int, ...]:
        """The segment's ancestors, root first, and itself."""
        path = [segment]
        while self.parents[path[-1]] >= 0:
            path.append(self.parents[path[-1]])
        return tuple(reversed(path))

    def rows_of_path(self, segment: int) -> Tensor:
        """Rows [length of path] of the segment's ancestors and itself, in the order they are read."""
        slices = [self.slice_of(i) for i in self.path_of(segment)]
        return torch.cat([torch.arange(rows.start, rows.stop) for rows in slices])

    def to(self, device: torch.device | str) -> "Ragged":
        """The same batch with its tensors on `device`."""
        return replace(self, token_ids=self.token_ids.to(device), position_ids=self.position_ids.to(device))

    def layout(self) -> AttentionLayout:
        """What attention needs to know about this batch."""
        ancestors = tuple(self.path_of(segment)[:-1] for segment in range(len(self.lengths)))
        return AttentionLayout.of(self.starts, self.lengths, ancestors)

    def _path_lengths(self) -> list[int]:
        return [sum(self.lengths[i] for i in self.path_of(segment)) for segment in range(len(self.lengths))]


@dataclass(frozen=True)
class PackedCompletions:
    """Prompts, each followed by its completions, and where the completion tokens are predicted and end.

    n = completion tokens in all, in order; completions are numbered in the order given.
    """

    ragged: Ragged
    predictor_index: Tensor
    """[n] long: the row whose hidden state predicts the token; a completion's first token is
    predicted by its prompt's last row."""
    targets: Tensor
    """[n] long: the completion tokens themselves."""
    sequence_index: Tensor
    """[n] long: which completion the token belongs to."""
    last_index: Tensor
    """[n_completions] long: row of each completion's last token."""
    group_index: Tensor
    """[n_completions] long: which prompt the completion answers."""
    completion_lengths: tuple[int, ...]
    """Tokens of each completion."""
    n_plain_tokens: int
    """Tokens of the same work with each prompt repeated before each of its completions."""

    @property
    def n_completions(self) -> int:
        """How many completions there are."""
        return len(self.completion_lengths)

    def to(self, device: torch.device | str) -> "PackedCompletions":
        """The same batch with its tensors on `device`."""
        return replace(
            self,
            ragged=self.ragged.to(device),
            predictor_index=self.predictor_index.to(device),
            targets=self.targets.to(device),
            sequence_index=self.sequence_index.to(device),
            last_index=self.last_index.to(device),
            group_index=self.group_index.to(device),
        )


def prompt_completion_batch(
    groups: Sequence[tuple[list[int], list[list[int]]]], *, shares_prefix: bool = True
) -> PackedCompletions:
    """Pack (prompt ids, completions' ids) groups so that each prompt runs once.

    With `shares_prefix` what all prompts begin with, such as the system turn, runs once for all of them
    where that pays; without it the rows of a group do not depend on its neighbors.
    Empty prompts, empty completions and prompts without a completion are refused.
    """
    _check_groups(groups)
    prefix = shared_prefix([prompt for prompt, _ in groups]) if shares_prefix else []
    parent = 0 if prefix else None
    segments = [Segment(prefix)] if prefix else []
    predictors: list[int] = []
    last: list[int] = []
    n_rows = len(prefix)
    n_plain = 0
    for prompt_ids, completions in groups:
        prompt_segment = len(segments)
        own_ids = prompt_ids[len(prefix) :]
        segments.append(Segment(own_ids, parent))
        n_rows += len(own_ids)
        prompt_end = n_rows - 1
        for ids in completions:
            segments.append(Segment(list(ids), prompt_segment))
            predictors += [prompt_end, *range(n_rows, n_rows + len(ids) - 1)]
            n_rows += len(ids)
            n_plain += len(prompt_ids) + len(ids)
            last.append(n_rows - 1)
    completion_ids = [ids for _, completions in groups for ids in completions]
    lengths = torch.tensor([len(ids) for ids in completion_ids])
    sizes = torch.tensor([len(completions) for _, completions in groups])
    return PackedCompletions(
        ragged=Ragged.pack(segments),
        predictor_index=torch.tensor(predictors, dtype=torch.long),
        targets=torch.tensor([token for ids in completion_ids for token in ids], dtype=torch.long),
        sequence_index=torch.arange(len(lengths)).repeat_interleave(lengths),
        last_index=torch.tensor(last, dtype=torch.long),
        group_index=torch.arange(len(groups)).repeat_interleave(sizes),
        completion_lengths=tuple(lengths.tolist()),
        n_plain_tokens=n_plain,
    )


def shared_prefix(prompts: Sequence[Sequence[int]]) -> list[int]:
    """The ids that all prompts begin with, at most all but one of each; empty where little is gained."""
    first, final = min(map(list, prompts)), max(map(list, prompts))
    longest = min(len(prompt) for prompt in prompts) - 1
    pairs = zip(first[:longest], final[:longest], strict=True)
    n_equal = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    saved = n_equal * (len(prompts) - 1)
    return first[:n_equal] if saved > MIN_SAVED * sum(map(len, prompts)) else []


def _check_groups(groups: Sequence[tuple[list[int], list[list[int]]]]) -> None:
    if not groups:
        raise DataError("a batch needs at least one prompt, got none")
    for group, (prompt_ids, completions) in enumerate(groups):
        if not prompt_ids:
            raise DataError(f"prompt {group} is empty; expected at least one token to predict from")
        if not completions:
            raise DataError(f"prompt {group} has no completion; expected at least one")
        if not all(completions):
            raise DataError(f"a completion of prompt {group} is empty; expected at least its end of turn")


@dataclass(frozen=True)
class TrunkStates:
    """Hidden states [T, D] of a batch after the first `n_layers` layers."""

    values: Tensor
    n_layers: int


def body_of(model: LanguageModel | nn.Module) -> PreTrainedModel:
    """The decoder stack without LM head of a bundle, a causal model or a body itself."""
    module = model.body if isinstance(model, LanguageModel) else model
    if not isinstance(module, PreTrainedModel):
        raise ModelError(
            f"{type(module).__name__} is no transformers model; expected a LanguageModel or a body"
        )
    return cast(PreTrainedModel, module.base_model)


def runs_ragged(body: PreTrainedModel, batch: Ragged) -> bool:
    """Whether the ragged kernel is exact for this body and batch; if not, the batch runs padded."""
    config = body.config
    if config.model_type not in COVERED_FAMILIES:
        return False
    if getattr(config, "use_bidirectional_attention", False):
        return False
    if body.training and getattr(config, "attention_dropout", None):
        return False
    window = getattr(config, "sliding_window", None)
    return window is None or batch.max_positions <= window


def hidden_states(
    model: LanguageModel | nn.Module, batch: Ragged, *, from_states: TrunkStates | None = None
) -> Tensor:
    """Last hidden states [T, D] (after the final norm) of every token of the batch."""
    body = body_of(model)
    _check_positions(body, batch)
    if from_states is not None:
        stack = _stack(body, slice(from_states.n_layers, None), has_norm=True)
        return _run(stack, batch, inputs_embeds=from_states.values[None])
    if not runs_ragged(body, batch):
        return dense_hidden_states(body, batch)
    return _run(body, batch, input_ids=batch.token_ids[None])


def trunk_states(model: LanguageModel | nn.Module, batch: Ragged, n_layers: int) -> TrunkStates:
    """Hidden states after the first `n_layers` layers, before any final norm."""
    body = body_of(model)
    _check_positions(body, batch)
    if not can_split(body, batch):
        raise ModelError(
            f"{body.config.model_type} models do not run from a middle layer here; expected one of "
            f"{', '.join(sorted(SPLITTABLE_FAMILIES))}. Use hidden_states without from_states"
        )
    stack = _stack(body, slice(0, n_layers), has_norm=False)
    return TrunkStates(_run(stack, batch, input_ids=batch.token_ids[None]), n_layers)


def frozen_layers(model: LanguageModel | nn.Module) -> int:
    """How many lower layers, counted from the embedding, have no trainable weight."""
    body = body_of(model)
    if any(weight.requires_grad for weight in body.get_input_embeddings().parameters()):
        return 0
    layers = decoder_layers(body)
    for i, layer in enumerate(layers):
        if any(weight.requires_grad for weight in layer.parameters()):
            return i
    return len(layers)


def can_split(model: LanguageModel | nn.Module, batch: Ragged) -> bool:
    """Whether `trunk_states` works for this model and batch."""
    body = body_of(model)
    return body.config.model_type in SPLITTABLE_FAMILIES and runs_ragged(body, batch)


def dense_hidden_states(model: LanguageModel | nn.Module, batch: Ragged) -> Tensor:
    """The same [T, D] by a plain padded forward, one row for each path; shared prefixes run repeatedly."""
    body = body_of(model)
    device = batch.token_ids.device
    leaves = sorted(set(range(len(batch.lengths))) - set(batch.parents))
    rows = [batch.rows_of_path(leaf).to(device) for leaf in leaves]
    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long, device=device)
    mask = torch.zeros(len(rows), width, dtype=torch.long, device=device)
    source = torch.empty(batch.n_tokens, dtype=torch.long, device=device)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = batch.token_ids[row]
        mask[i, : len(row)] = 1
        source[row] = i * width + torch.arange(len(row), device=device)
    with recomputing(body):
        output = body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return output.flatten(0, 1)[source]


def _run(
    stack: PreTrainedModel,
    batch: Ragged,
    *,
    input_ids: Tensor | None = None,
    inputs_embeds: Tensor | None = None,
) -> Tensor:
    if is_fusable(stack):
        return _run_fused(stack, batch, input_ids, inputs_embeds)
    register_ragged_attention()
    stack.config._attn_implementation = RAGGED_ATTENTION
    # A 4D mask is passed through untouched by every mask function; the kernel does not read it.
    unread_mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=batch.token_ids.device)
    with recomputing(stack):
        output = stack(
            attention_mask=unread_mask,
            position_ids=batch.position_ids[None],
            use_cache=False,
            ragged_layout=batch.layout(),
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
        )
    return output.last_hidden_state[0]


def _run_fused(stack: Any, batch: Ragged, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
    """The stack's layers as fused operations, between its own embedding and its own norm."""
    stream = stack.embed_tokens(input_ids)[0] if inputs_embeds is None else inputs_embeds[0]
    layout, rotary = batch.layout(), rotary_halves(stack, batch.position_ids, stream)
    is_recomputed = torch.is_grad_enabled() and recomputes(stack)
    for layer in stack.layers:
        if is_recomputed:
            stream = checkpoint(fused_layer, layer, stream, rotary, layout, use_reentrant=False)
        else:
            stream = fused_layer(layer, stream, rotary, layout)
    normed: Tensor = stack.norm(stream)
    return normed


def _stack(body: PreTrainedModel, layers: slice, *, has_norm: bool) -> PreTrainedModel:
    """The same modules with a part of the layers: shares all parameters, copies none."""
    view = copy.copy(body)
    view._modules = dict(body._modules)
    view._modules["layers"] = nn.ModuleList(list(decoder_layers(body))[layers])
    if not has_norm:
        view._modules["norm"] = nn.Identity()
    return view


def _check_positions(body: PreTrainedModel, batch: Ragged) -> None:
    limit = getattr(body.config, "max_position_embeddings", None)
    if limit is not None and batch.max_positions > limit:
        raise ModelError(
            f"the longest sequence has {batch.max_positions} tokens but the model takes at most {limit}. "
            "Truncate prompts or lower max_tokens"
        )
