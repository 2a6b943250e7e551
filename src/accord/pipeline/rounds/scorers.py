"""What gives answers a number: the known taste, a function, and each member of a reward model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accord.domain import Completion, Prompt
from accord.domain.functions import load_function
from accord.models import RewardModel
from accord.pipeline.material import KnownTaste
from accord.pipeline.rounds.choosing import MemberScores
from accord.pipeline.rounds.guard import Scorer
from accord.rollouts import FunctionReward


def taste_scores(taste: KnownTaste) -> Scorer:
    """The known taste as a scorer."""
    return lambda prompts, completions: taste.score(prompts, completions).values


def function_scores(spec: str) -> Scorer:
    """A Python function as a scorer, "module:function" or "file.py:function"; its code is run."""
    reward = FunctionReward(load_function(spec), name=spec)
    return lambda prompts, completions: reward.score(prompts, completions).values


def member_scores(model: RewardModel) -> MemberScores:
    """[member, answer] rewards of a reward model; a plain one is its only member."""

    def scores(prompts: Sequence[Prompt], answers: Sequence[Completion]) -> NDArray[np.float64]:
        found = model.ensemble_texts(prompts, [answer.text for answer in answers])
        return np.asarray(found.members.double().numpy().T, dtype=np.float64)

    return scores
