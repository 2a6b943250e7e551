"""A round's candidate measured against the incumbent: votes, reward, KL, known taste and grades together.

Leaves out the numbers themselves (`examining`, `charter.release`) and gates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from accord.domain.judgments import Judgment
from accord.evaluation.comparison import Comparison, ScoreJudge
from accord.evaluation.measurement import Measurement
from accord.pipeline.answering import completion_logprobs
from accord.pipeline.comparing_models import score_both
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.rounds.examining import Examined, examine, examine_panels, responses_of
from accord.pipeline.rounds.panel import TasteOfSupport, loop_panel
from accord.pipeline.rounds.plan import SimulatedJudgesConfig
from accord.pipeline.rounds.scorers import member_scores, taste_scores
from accord.pipeline.rounds.skills import Skills, find_gains, measure_skills, true_accuracies
from accord.pipeline.rounds.state import LoopState
from accord.rollouts import Reward
from accord.training import autocast


def measure_candidate(
    loop: LoopState,
    reward: Reward,
    number: int,
    answers: Sequence[AnswerGroup],
    others: Sequence[AnswerGroup],
    votes: Sequence[Judgment],
    *,
    project: str,
) -> Comparison:
    """All numbers of round `number` from the answers of candidate and incumbent and the votes on them.

    `reward` is what the policy was optimized against; `project` holds the votes, with panels and grades.
    """
    facts = {"round": number}
    mine, its = ({**facts, "model": one.version} for one in (loop.newest, loop.incumbent))
    candidate = responses_of(f"round {number}", answers, mine)
    incumbent = responses_of("incumbent", others, its)
    sampling = loop.config.asking.sampling
    taste = loop.material.taste
    found = Examined(
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
    )
    comparison = examine(found, seed=loop.config.seed)
    further = [
        *examine_panels(found, loop.bench.panel_of(project), seed=loop.config.seed),
        *_measure_grades(loop, answers, others, votes, project),
    ]
    return replace(comparison, measurements=(*comparison.measurements, *further))


def skills_of(
    loop: LoopState,
    votes: Sequence[Judgment],
    words: Sequence[Mapping[str, Any]],
    projects: tuple[str, str],
    cut: frozenset[tuple[str, str]],
) -> Skills:
    """Gains of everybody from all that was judged for training, known pairs and this round's `votes`.

    `words` hold the accuracies the loop states, `projects` are those of training and of examinations, `cut`
    names answers that ran out of tokens. A simulated panel's skill is known: its accuracy on all pairs asked.
    """
    assert loop.reward_model is not None
    bench, judging = loop.bench, projects[0]
    gone = bench.voided()
    trained = [*bench.judgments(judging), *bench.anchor_judgments(judging)]
    judged = [*trained, *bench.known_judgments(projects), *votes]
    judged = [one for one in judged if one.meta["judgment_id"] not in gone]
    with autocast("auto", loop.reward_model.device):
        gains = find_gains(judged, member_scores(loop.reward_model))
    truth: Mapping[str, float] = {}
    if isinstance(loop.config.judges, SimulatedJudgesConfig) and bench.taste is not None:
        view = TasteOfSupport(bench.taste, cut)
        pairs = []
        for one in (one for asked in loop.asked.values() for one in asked):
            turns = [{"role": turn.role, "content": turn.content} for turn in one.prompt.messages]
            shown = {"messages": turns}
            pairs.append((view(shown, one.first), view(shown, one.second)))
        truth = true_accuracies(loop_panel(), pairs, judged)
    stated = {str(row["annotator"]): float(row["accuracy"]) for row in words}
    return measure_skills(gains, stated, truth)


def _measure_grades(
    loop: LoopState,
    answers: Sequence[AnswerGroup],
    others: Sequence[AnswerGroup],
    votes: Sequence[Judgment],
    project: str,
) -> list[Measurement]:
    """Numbers of the written policy's principles, from the grades given along with the votes."""
    if loop.grading is None:
        return []
    counted = {one.meta["judgment_id"] for one in votes}
    kept = [one for one in loop.bench.grades(project) if one.meta["judgment_id"] in counted]
    return loop.grading.measure(kept, answers, others)
