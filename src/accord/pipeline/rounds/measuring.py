"""A round's candidate measured against the incumbent: votes, reward model, KL and the known taste together.

Leaves out the numbers themselves (`examining`) and gates.
"""

from collections.abc import Sequence

from accord.domain.judgments import Judgment
from accord.evaluation.comparison import Comparison, ScoreJudge
from accord.models import RewardModel
from accord.pipeline.answering import completion_logprobs
from accord.pipeline.comparing_models import score_both
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.rounds.examining import Examined, examine, responses_of
from accord.pipeline.rounds.scorers import taste_scores
from accord.pipeline.rounds.state import LoopState
from accord.rollouts import ModelReward


def measure_candidate(
    loop: LoopState,
    reward_model: RewardModel,
    number: int,
    answers: Sequence[AnswerGroup],
    others: Sequence[AnswerGroup],
    votes: Sequence[Judgment],
) -> Comparison:
    """All numbers of round `number` from the answers of candidate and incumbent and the votes on them."""
    reward = ModelReward(reward_model)
    facts = {"round": number}
    mine, its = ({**facts, "model": one.version} for one in (loop.newest, loop.incumbent))
    candidate = responses_of(f"round {number}", answers, mine)
    incumbent = responses_of("incumbent", others, its)
    sampling = loop.config.asking.sampling
    taste = loop.material.taste
    return examine(
        Examined(
            candidate=candidate,
            incumbent=incumbent,
            votes=votes,
            candidate_rewards=reward.score(candidate.prompts, candidate.completions).values,
            incumbent_rewards=reward.score(incumbent.prompts, incumbent.completions).values,
            logprobs=score_both(loop.newest, loop.incumbent, candidate, sampling),
            tuned_logprobs=completion_logprobs(
                loop.tuned,
                candidate.prompts,
                candidate.completions,
                temperature=sampling.scoring_temperature,
            ),
            gold=None if taste is None else ScoreJudge(taste_scores(taste), "the task's known taste"),
        ),
        seed=loop.config.seed,
    )
