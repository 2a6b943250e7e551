"""Judges that are people, or language models behind an endpoint, and whether people agree with a judge."""

from accord.evaluation.judges.endpoint import ChatAnswer, ChatEndpoint, EndpointConfig
from accord.evaluation.judges.language_model import LanguageModelJudge, Verdict
from accord.evaluation.judges.people import PeopleJudge
from accord.evaluation.judges.validation import JudgeValidation, validate_judge

__all__ = [
    "ChatAnswer",
    "ChatEndpoint",
    "EndpointConfig",
    "JudgeValidation",
    "LanguageModelJudge",
    "PeopleJudge",
    "Verdict",
    "validate_judge",
]
