"""Judges that are language models behind an endpoint, and whether people agree with a judge."""

from accord.evaluation.judges.endpoint import ChatAnswer, ChatEndpoint, EndpointConfig
from accord.evaluation.judges.language_model import LanguageModelJudge, Verdict
from accord.evaluation.judges.validation import JudgeValidation, validate_judge

__all__ = [
    "ChatAnswer",
    "ChatEndpoint",
    "EndpointConfig",
    "JudgeValidation",
    "LanguageModelJudge",
    "Verdict",
    "validate_judge",
]
