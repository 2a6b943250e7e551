"""A customer-support co-pilot under a written policy: the task of the quickstart."""

from accord.pipeline.support.content import SYSTEM_MESSAGE, SupportPrompt, SupportTask, load_support_task
from accord.pipeline.support.taste import QUALITIES, Taste, TasteScore, TasteWeights

__all__ = [
    "QUALITIES",
    "SYSTEM_MESSAGE",
    "SupportPrompt",
    "SupportTask",
    "Taste",
    "TasteScore",
    "TasteWeights",
    "load_support_task",
]
