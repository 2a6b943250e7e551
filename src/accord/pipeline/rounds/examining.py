"""Candidate against incumbent on held-out prompts, judged by the loop's own judges, as numbers for gates.

    win_rate, length_controlled_win_rate   by those who judge, ties half
    proxy_win_rate                         by the reward model the policy was optimized against
    proxy_gap                              proxy_win_rate less win_rate, paired by prompt
    reward_accuracy                        reward model's side on the prompts that were decided, ties half
    reward_annotator_agreement             what one of those who judge would score in its place, and
    reward_ceiling on of=majority          what a model that knew every share of votes would
    kl_from_tuned                          nats an answer from the fine-tuned model, k1
    gold_score, win_rate on judge=gold     by the known taste, where there is one

and what `compare_responses` measures of texts and KL. Leaves out sampling and asking.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import Completion, Judgment, Prompt
from accord.evaluation import measure_divergence
from accord.evaluation.ceiling import count_votes, measure_ceiling
from accord.evaluation.comparison import Comparison, Responses, ScoreJudge, compare_responses
from accord.evaluation.comparison.comparing import TokenLogprobs
from accord.evaluation.intervals import mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.rounds.choosing import Question

Key = tuple[str, str, str]
MAJORITY = "of=majority"
"""Slice of a ceiling against the majority of the votes that a pair has, not against one vote."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """Everything an examination rests on."""

    candidate: Responses
    incumbent: Responses
    votes: Sequence[Judgment]
    """On these pairs, of those whose judgments count."""
    candidate_rewards: Sequence[float]
    """[prompt] by the reward model."""
    incumbent_rewards: Sequence[float]
    logprobs: TokenLogprobs | None
    """Of the candidate's answers under candidate and incumbent."""
    tuned_logprobs: Sequence[float]
    """[prompt] total of the candidate's answers under the fine-tuned model."""
    gold: ScoreJudge | None = None


@dataclass(frozen=True)
class VotedPairs:
    """A judge that repeats what was voted: the mean share for left, one half for equal texts, else NaN."""

    votes: Sequence[Judgment]
    name: str = "those who judge"
    has_order: bool = False
    may_abstain: bool = True

    def prefer(
        self, prompts: Sequence[Prompt], left: Sequence[Completion], right: Sequence[Completion]
    ) -> list[float]:
        """[prompt] preference for the left answer."""
        shares: dict[Key, list[float]] = defaultdict(list)
        for vote in self.votes:
            share = vote.choice.left_share
            one, other = vote.comparison.left, vote.comparison.right
            shares[vote.comparison.prompt.id, one, other].append(share)
            shares[vote.comparison.prompt.id, other, one].append(1 - share)
        found = []
        for prompt, mine, its in zip(prompts, left, right, strict=True):
            told = shares.get((prompt.id, mine.text, its.text))
            found.append(0.5 if mine.text == its.text else float(np.mean(told)) if told else math.nan)
        return found


def pair_questions(
    candidate: Sequence[AnswerGroup], incumbent: Sequence[AnswerGroup], facts: Mapping[str, Any]
) -> list[Question]:
    """One question a prompt whose two answers differ; each is asked with certainty."""
    questions = []
    for mine, other in zip(candidate, incumbent, strict=True):
        first, second = sorted((mine.answers[0].text, other.answers[0].text))
        if first != second:
            questions.append(
                Question(
                    prompt=mine.prompt,
                    first=first,
                    second=second,
                    inclusion=1.0,
                    score=1.0,
                    is_random=True,
                    facts=facts,
                )
            )
    return questions


def responses_of(name: str, groups: Sequence[AnswerGroup], facts: Mapping[str, Any]) -> Responses:
    """The first answer to each prompt."""
    return Responses(
        name=name,
        prompts=tuple(group.prompt for group in groups),
        completions=tuple(group.answers[0] for group in groups),
        keys=tuple(group.prompt.id for group in groups),
        facts=facts,
    )


def examine(found: Examined, *, seed: int) -> Comparison:
    """All measurements of a round's candidate."""
    comparison = compare_responses(
        found.candidate,
        found.incumbent,
        judge=VotedPairs(found.votes),
        gold=found.gold,
        logprobs=found.logprobs,
        has_constant=False,
        seed=seed,
    )
    ids = [prompt.id for prompt in found.candidate.prompts]
    voted = np.array(
        VotedPairs(found.votes).prefer(
            found.candidate.prompts, found.candidate.completions, comparison.incumbent.completions
        )
    )
    told = believed(found.candidate_rewards, found.incumbent_rewards)
    measured = [
        *comparison.measurements,
        Measurement(metric="proxy_win_rate", estimate=share_estimate(told, ids, seed=seed)),
        *_against_votes(told, voted, ids, seed=seed),
        *_ceiling(found.votes, seed=seed),
        _kl(found, ids, seed=seed),
    ]
    return replace(comparison, measurements=tuple(measured))


def examine_panels(found: Examined, panels: Mapping[str, str], *, seed: int) -> list[Measurement]:
    """Win rate and the reward model's accuracy by the votes of each panel; `panels` has judgment to panel."""
    ids = [prompt.id for prompt in found.candidate.prompts]
    told = believed(found.candidate_rewards, found.incumbent_rewards)
    measured: list[Measurement] = []
    for name in sorted(set(panels.values())):
        votes = [one for one in found.votes if panels.get(str(one.meta.get("judgment_id"))) == name]
        voted = np.array(
            VotedPairs(votes).prefer(
                found.candidate.prompts, found.candidate.completions, found.incumbent.completions
            )
        )
        judged = ~np.isnan(voted)
        if not judged.any():
            continue
        kept = [one for one, is_kept in zip(ids, judged, strict=True) if is_kept]
        share = share_estimate(voted[judged], kept, seed=seed)
        own = [Measurement(metric="win_rate", estimate=share), *_against_votes(told, voted, ids, seed=seed)]
        measured += [replace(one, slice=f"panel={name}") for one in own]
    return measured


def believed(candidate: Sequence[float], incumbent: Sequence[float]) -> NDArray[np.float64]:
    """[prompt] 1 where the candidate's reward is higher, 1/2 where equal, 0 where lower."""
    gap = np.asarray(candidate, dtype=np.float64) - np.asarray(incumbent, dtype=np.float64)
    return np.asarray((np.sign(gap) + 1) / 2, dtype=np.float64)


def _against_votes(
    told: NDArray[np.float64], voted: NDArray[np.float64], ids: Sequence[str], *, seed: int
) -> list[Measurement]:
    is_judged = ~np.isnan(voted)
    judged = [one for one, is_kept in zip(ids, is_judged, strict=True) if is_kept]
    if not judged:
        return []
    gap = told[is_judged] - voted[is_judged]
    measured = [Measurement(metric="proxy_gap", estimate=mean_estimate(gap, judged, seed=seed))]
    is_decided = is_judged & (voted != 0.5)
    decided = [one for one, is_kept in zip(ids, is_decided, strict=True) if is_kept]
    if decided:
        agrees = (np.sign(told[is_decided] - 0.5) * np.sign(voted[is_decided] - 0.5) + 1) / 2
        measured.append(
            Measurement(metric="reward_accuracy", estimate=share_estimate(agrees, decided, seed=seed))
        )
    return measured


def _ceiling(votes: Sequence[Judgment], *, seed: int) -> list[Measurement]:
    """What the judges' disagreement leaves to a reward model; nothing where no pair has two votes."""
    counts = [one for one in count_votes(votes) if one.total >= 2]
    if not counts:
        return []
    found = measure_ceiling(counts, seed=seed)
    return [
        Measurement(metric="reward_annotator_agreement", estimate=found.annotator_agreement),
        Measurement(metric="reward_ceiling", slice=MAJORITY, estimate=found.best_majority),
    ]


def _kl(found: Examined, ids: Sequence[str], *, seed: int) -> Measurement:
    own = [sum(answer.logprobs) for answer in found.candidate.completions]
    lengths = [len(answer.token_ids) for answer in found.candidate.completions]
    divergence = measure_divergence(own, found.tuned_logprobs, lengths, ids, seed=seed)
    return Measurement(metric="kl_from_tuned", estimate=divergence.per_sequence)
