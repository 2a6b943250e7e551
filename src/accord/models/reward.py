"""Reward models: a decoder body with a linear head that reads each completion's last token.

The head is fp32 and has no bias; `offset` and `scale` place the scores and travel with the
saved model. Leaves out training (training/reward.py) and combining rewards (rollouts/rewards.py).
"""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from accord.domain.errors import ModelError
from accord.domain.files import atomic_folder
from accord.domain.messages import Prompt
from accord.models.batching import plan_micro_batches
from accord.models.chat import ChatTokenizer
from accord.models.export import refuse_foreign_folder
from accord.models.language_model import LanguageModel
from accord.models.layers import decoder_layers
from accord.models.ragged import (
    PackedCompletions,
    TrunkStates,
    body_of,
    hidden_states,
    prompt_completion_batch,
)
from accord.models.scoring import EnsembleScores, Scoring, read_scoring
from accord.models.silence import without_progress_bars

REWARD_FILE = "accord_reward.json"
DEFAULT_BATCH_TOKENS = 4096
"""Tokens scored at one time by `score_texts`; scores do not depend on it."""


class RewardModel(nn.Module):
    """Scores completions: raw = head(hidden state of the last token), score = raw * scale + offset."""

    offset: Tensor
    scale: Tensor

    mix: Tensor

    def __init__(
        self,
        body: PreTrainedModel,
        head: nn.Linear,
        tokenizer: ChatTokenizer,
        *,
        name: str = "reward",
        dimensions: Sequence[str] = ("overall",),
        mix: Sequence[float] | None = None,
        scoring: Scoring | None = None,
    ):
        """A head of one output a dimension; the score is their sum weighed by `mix` (equal parts, sum 1).

        With `scoring.members` above 1 the outputs are members of an ensemble, combined by its rule.
        """
        super().__init__()
        if head.out_features != len(dimensions) or len(set(dimensions)) != len(dimensions):
            raise ModelError(
                f"the head has {head.out_features} outputs for the dimensions {', '.join(dimensions)}; "
                "expected one output for each, and different names"
            )
        if mix is not None and len(mix) != len(dimensions):
            raise ModelError(f"{len(mix)} parts for {len(dimensions)} dimensions; expected one for each")
        self.scoring = Scoring() if scoring is None else scoring
        if self.scoring.is_ensemble and self.scoring.members != len(dimensions):
            raise ModelError(f"{self.scoring.members} members for {len(dimensions)} outputs of the head")
        self.dimensions = tuple(dimensions)
        self.body: PreTrainedModel = body
        self.head = head
        self.tokenizer = tokenizer
        self.name = name
        parts = torch.full((len(dimensions),), 1 / len(dimensions)) if mix is None else torch.tensor(mix)
        self.register_buffer("mix", parts, persistent=False)
        self.register_buffer("offset", torch.tensor(0.0))
        self.register_buffer("scale", torch.tensor(1.0))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def scores(
        self, packed: PackedCompletions, *, raw: bool = False, from_states: TrunkStates | None = None
    ) -> Tensor:
        """Scores [n_completions] fp32, in the order of the completions; `raw` leaves scale and offset out.

        `from_states` are this batch's hidden states after the frozen lower layers (`trunk_states`).
        """
        hidden = hidden_states(self.body, packed.ragged, from_states=from_states)[packed.last_index]
        if raw or self.scoring.is_plain:
            values = self.head_scores(hidden)
            return values if raw else values * self.scale + self.offset
        if self.scoring.is_ensemble:
            values = self.scoring.combine(self.dimension_scores(hidden))
        else:
            values = self.head_scores(hidden)
        tokens = values.new_tensor(packed.completion_lengths)
        return self.scoring.without_length(values, tokens) * self.scale + self.offset

    def ensemble_scores(self, packed: PackedCompletions) -> EnsembleScores:
        """What each member says, its zero and length put right, on the scale of the scores."""
        hidden = hidden_states(self.body, packed.ragged)[packed.last_index]
        raw = self.dimension_scores(hidden) if self.scoring.is_ensemble else self.head_scores(hidden)[:, None]
        tokens = raw.new_tensor(packed.completion_lengths)[:, None]
        members = self.scoring.without_length(self.scoring.centered(raw), tokens) * self.scale + self.offset
        std = members.std(-1) if members.shape[1] > 1 else torch.zeros_like(members[:, 0])
        return EnsembleScores(mean=members.mean(-1), std=std, members=members)

    def preference_probability(self, left: Tensor, right: Tensor) -> Tensor:
        """Probability that people prefer the left answer, from the scores of both, by the temperature."""
        return torch.sigmoid((left - right) / (self.scale * self.scoring.temperature))

    def head_scores(self, hidden: Tensor) -> Tensor:
        """Raw scores [n] of hidden states [n, D]: the mix of the dimensions."""
        return (self.dimension_scores(hidden) * self.mix).sum(-1)

    def dimension_scores(self, hidden: Tensor) -> Tensor:
        """Raw scores [n, dimension] of hidden states [n, D]; fp32 even under autocast."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self.head(hidden.float())

    @torch.no_grad()
    def set_normalization(self, raw_scores: Tensor, *, has_unit_std: bool = False) -> None:
        """Place the scores so that `raw_scores` [n], those of reference demonstrations, have mean 0.

        The scale stays 1 so that differences stay log-odds, unless `has_unit_std` asks for
        standard deviation 1 (unbiased; needs two different scores).
        """
        values = raw_scores.float()
        if not len(values) or not bool(values.isfinite().all()):
            raise ModelError(
                f"normalization needs at least one finite score; got {len(values)} scores, "
                f"{int((~values.isfinite()).sum())} of them not finite"
            )
        scale = 1.0
        if has_unit_std:
            deviation = float(values.std()) if len(values) > 1 else 0.0
            if deviation == 0.0:
                raise ModelError(
                    f"{len(values)} equal scores have no spread to normalize; leave the scale at 1"
                )
            scale = 1.0 / deviation
        self.scale.fill_(scale)
        self.offset.fill_(-float(values.mean()) * scale)

    def text_ids(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[tuple[list[int], list[int]]]:
        """(prompt ids, completion ids) of each row in this model's own template and tokenizer."""
        return [
            (row.prompt_ids, row.completion_ids)
            for row in (
                self.tokenizer.example(prompt, completion, max_tokens=self._context_tokens())
                for prompt, completion in zip(prompts, completions, strict=True)
            )
        ]

    @torch.inference_mode()
    def score_texts(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> list[float]:
        """Normalized scores of answers, one each, rendered anew in this model's template.

        Equal prompts share one run whatever their place, and so do equal answers to one prompt. A row
        that is too long loses the start of its prompt. Runs in the autocast state of the caller.
        """
        values = self._over_texts(prompts, completions, self.scores, batch_tokens)
        return [float(value) for value in values]

    @torch.inference_mode()
    def ensemble_texts(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> EnsembleScores:
        """`ensemble_scores` of answers as `score_texts` takes them, in their order."""
        rows = self._over_texts(
            prompts, completions, lambda packed: self.ensemble_scores(packed).members, batch_tokens
        )
        members = torch.tensor(rows).reshape(len(rows), self.scoring.members)
        std = members.std(-1) if self.scoring.is_ensemble else torch.zeros(len(rows))
        return EnsembleScores(mean=members.mean(-1), std=std, members=members)

    @torch.inference_mode()
    def dimension_texts(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> Tensor:
        """Raw scores [answer, dimension] of answers as `score_texts` takes them, in their order."""
        rows = self._over_texts(prompts, completions, self._packed_dimensions, batch_tokens)
        return torch.tensor(rows).reshape(len(rows), len(self.dimensions))

    def _packed_dimensions(self, packed: PackedCompletions) -> Tensor:
        return self.dimension_scores(hidden_states(self.body, packed.ragged)[packed.last_index])

    def _over_texts(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[str],
        score: Callable[[PackedCompletions], Tensor],
        batch_tokens: int,
    ) -> list[Any]:
        rows = self.text_ids(prompts, completions)
        members: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
        for index, (prompt_ids, completion_ids) in enumerate(rows):
            answers = members.setdefault(tuple(prompt_ids), {})
            answers.setdefault(tuple(completion_ids), []).append(index)
        groups = [(list(prompt), [list(ids) for ids in answers]) for prompt, answers in members.items()]
        owners = [list(answers.values()) for answers in members.values()]
        lengths = [len(prompt) + sum(map(len, answers)) for prompt, answers in groups]
        scores: list[Any] = [0.0] * len(rows)
        for batch in plan_micro_batches(lengths, batch_tokens):
            packed = prompt_completion_batch([groups[i] for i in batch])
            values = score(packed.to(self.device)).tolist()
            for indices, value in zip((owner for i in batch for owner in owners[i]), values, strict=True):
                for index in indices:
                    scores[index] = value
        return scores

    def trainable_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that learn, by name, each once."""
        return [(name, weight) for name, weight in self.named_parameters() if weight.requires_grad]

    def _context_tokens(self) -> int | None:
        return self.body.config.to_dict().get("max_position_embeddings")


def member_names(members: int) -> tuple[str, ...]:
    """What the outputs of an ensemble's head are called."""
    return tuple(f"member_{number}" for number in range(1, members + 1))


def reward_model_from(
    model: LanguageModel,
    *,
    head_std: float | None = None,
    seed: int = 0,
    trainable_layers: int | None = None,
    dimensions: Sequence[str] = ("overall",),
    mix: Sequence[float] | None = None,
    members: int = 1,
) -> RewardModel:
    """A reward model that starts from the body of `model` and never changes it.

    The head is normal with standard deviation 1 / sqrt(D + 1) (Huang et al. 2024, "The N+
    implementation details", after Stiennon et al. 2020), so that scores start small and the
    Bradley-Terry loss near ln 2. `trainable_layers` trains the top layers and the final norm
    only (0: the head alone). Weights frozen in both models are shared, all others copied.
    """
    if members > 1:
        if len(dimensions) > 1:
            raise ModelError("an ensemble has one dimension; train one model a dimension")
        dimensions = member_names(members)
    source = body_of(model)
    frozen = _frozen_weights(source, trainable_layers)
    shared = [weight for weight in source.parameters() if not weight.requires_grad and id(weight) in frozen]
    memo = {id(tensor): tensor for tensor in [*shared, *source.buffers()]}
    names_frozen = {name for name, weight in source.named_parameters() if id(weight) in frozen}
    body = copy.deepcopy(source, memo)
    for name, weight in body.named_parameters():
        if id(weight) not in {id(tensor) for tensor in shared}:
            weight.requires_grad_(name not in names_frozen)
    width = body.config.hidden_size
    head = nn.Linear(width, len(dimensions), bias=False, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        std = (width + 1) ** -0.5 if head_std is None else head_std
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * std)
    reward_model = RewardModel(
        body,
        head,
        model.tokenizer,
        name=f"{model.name}-reward",
        dimensions=dimensions,
        mix=mix,
        scoring=Scoring(members=members),
    )
    return reward_model.to(model.device)


def _frozen_weights(body: PreTrainedModel, trainable_layers: int | None) -> set[int]:
    """Ids of the weights that stay as they are; without `trainable_layers` only what an adapter freezes."""
    has_adapter = any(isinstance(module, BaseTunerLayer) for module in body.modules())
    if trainable_layers is None:
        return {id(weight) for weight in body.parameters() if has_adapter and not weight.requires_grad}
    layers = decoder_layers(body)
    if not 0 <= trainable_layers <= len(layers):
        raise ModelError(
            f"trainable_layers is {trainable_layers}; expected 0 to {len(layers)} for this model"
        )
    children = list(body.children())
    above = children[children.index(layers) + 1 :] if trainable_layers else []
    top = [*list(layers)[len(layers) - trainable_layers :], *above]
    trained = {id(weight) for module in top for weight in module.parameters()}
    if has_adapter:
        trained = {id(weight) for weight in body.parameters() if weight.requires_grad} & trained
    return {id(weight) for weight in body.parameters()} - trained


def save_reward_model(model: RewardModel, folder: str | Path) -> None:
    """Write a folder that `AutoModelForSequenceClassification` loads alone, with the same raw scores.

    Adapters are merged. Scale and offset go to `accord_reward.json`. The pad id is distinct from
    the end of turn, since transformers' head reads the last token that is not padding.
    """
    tokenizer = model.tokenizer
    if tokenizer.pad_id in tokenizer.stop_ids:
        raise ModelError(
            f"the pad id {tokenizer.pad_id} also ends an answer, so the saved head would read the wrong "
            "token; give the tokenizer a pad token of its own"
        )
    body = _merged_body(model.body)
    config = copy.deepcopy(body.config)
    config.num_labels, config.pad_token_id = len(model.dimensions), tokenizer.pad_id
    with torch.device("meta"):
        classifier = AutoModelForSequenceClassification.from_config(config)
    setattr(classifier, classifier.base_model_prefix, body)
    classifier.score = model.head
    hf_tokenizer = copy.deepcopy(tokenizer.hf)
    hf_tokenizer.pad_token = hf_tokenizer.convert_ids_to_tokens(tokenizer.pad_id)
    facts = {"format": 1, "name": model.name, "offset": float(model.offset), "scale": float(model.scale)}
    if model.dimensions != ("overall",):
        facts |= {"dimensions": list(model.dimensions), "mix": model.mix.tolist()}
    if model.scoring != Scoring():
        facts |= {"scoring": model.scoring.facts()}
    refuse_foreign_folder(Path(folder))
    with atomic_folder(folder) as target, without_progress_bars():
        classifier.save_pretrained(target)
        hf_tokenizer.save_pretrained(target)
        (target / REWARD_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _merged_body(body: PreTrainedModel) -> PreTrainedModel:
    if not any(isinstance(module, BaseTunerLayer) for module in body.modules()):
        return body
    merged = copy.deepcopy(body)
    for name, module in list(merged.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            merged.set_submodule(name, module.get_base_layer())
    return merged


def load_reward_model(
    folder: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> RewardModel:
    """Load what `save_reward_model` wrote, or any transformers classifier with one label."""
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} holds no config.json; expected a reward model folder")
    config = AutoConfig.from_pretrained(path, local_files_only=True)
    facts_path = path / REWARD_FILE
    facts = json.loads(facts_path.read_text(encoding="utf-8")) if facts_path.is_file() else {}
    dimensions = facts.get("dimensions", ["overall"])
    if config.num_labels != len(dimensions):
        raise ModelError(
            f"{path} has {config.num_labels} labels; expected {len(dimensions)}, one a dimension"
        )
    try:
        with without_progress_bars():
            classifier, info = AutoModelForSequenceClassification.from_pretrained(
                path, dtype=dtype, local_files_only=True, output_loading_info=True
            )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} does not load as a reward model: {error}") from error
    if info["missing_keys"]:
        raise ModelError(
            f"{path} lacks weights of a reward model ({', '.join(sorted(info['missing_keys'])[:3])}); "
            "is it a language model? Train a reward model from it"
        )
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(path, local_files_only=True), name=path.name)
    body, head = classifier.base_model, classifier.score.float()
    model = RewardModel(
        body,
        head,
        tokenizer,
        name=facts.get("name", path.name),
        dimensions=dimensions,
        mix=facts.get("mix"),
        scoring=read_scoring(facts["scoring"]) if "scoring" in facts else None,
    )
    model.scale.fill_(facts.get("scale", 1.0))
    model.offset.fill_(facts.get("offset", 0.0))
    return model.eval().to(device)
