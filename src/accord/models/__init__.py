"""The tensor wing's ground: what a model is."""

from accord.models.adapters import LoraConfig
from accord.models.allocator import keep_freed_memory
from accord.models.batching import plan_micro_batches
from accord.models.chat import ChatTokenizer, TokenizedExample
from accord.models.export import save_model
from accord.models.language_model import LanguageModel, frozen_copy
from accord.models.loading import load_model
from accord.models.logprobs import TokenLogprobs, sequence_sum, token_logprobs
from accord.models.ragged import (
    PackedCompletions,
    Ragged,
    Segment,
    TrunkStates,
    can_split,
    dense_hidden_states,
    frozen_layers,
    hidden_states,
    prompt_completion_batch,
    trunk_states,
)
from accord.models.reward import RewardModel, load_reward_model, reward_model_from, save_reward_model
from accord.models.template import PLAIN_TEMPLATE
from accord.models.tiny import tiny_model

__all__ = [
    "PLAIN_TEMPLATE",
    "ChatTokenizer",
    "LanguageModel",
    "LoraConfig",
    "PackedCompletions",
    "Ragged",
    "RewardModel",
    "Segment",
    "TokenLogprobs",
    "TokenizedExample",
    "TrunkStates",
    "can_split",
    "dense_hidden_states",
    "frozen_copy",
    "frozen_layers",
    "hidden_states",
    "keep_freed_memory",
    "load_model",
    "load_reward_model",
    "plan_micro_batches",
    "prompt_completion_batch",
    "reward_model_from",
    "save_model",
    "save_reward_model",
    "sequence_sum",
    "tiny_model",
    "token_logprobs",
    "trunk_states",
]
