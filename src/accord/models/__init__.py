"""The tensor wing's ground: what a model is."""

from accord.models.chat import ChatTokenizer, TokenizedExample
from accord.models.language_model import LanguageModel, frozen_copy
from accord.models.tiny import tiny_model

__all__ = ["ChatTokenizer", "LanguageModel", "TokenizedExample", "frozen_copy", "tiny_model"]
