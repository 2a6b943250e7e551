"""Two models' answers to the same prompts: who is better, by how much, and what else changed."""

from accord.evaluation.comparison.comparing import Comparison, compare_responses
from accord.evaluation.comparison.judging import EachPair, PairJudge, PairJudgments, ScoreJudge, judge_pairs
from accord.evaluation.comparison.responses import Responses, read_responses

__all__ = [
    "Comparison",
    "EachPair",
    "PairJudge",
    "PairJudgments",
    "Responses",
    "ScoreJudge",
    "compare_responses",
    "judge_pairs",
    "read_responses",
]
