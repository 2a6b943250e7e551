"""What people said of an item taken together: the commonest answer, how sure it is, and whether to ask on.

By share it is a count. Adaptively it is a posterior from each person's accuracy on known items, and the
stopping rule of `accord.quality.deciding`. Models' judgments are no votes. Leaves out where they come from.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.feedback.questions import Choice, Comparison, Question
from accord.feedback.workflow import ConsensusStage
from accord.quality.deciding import Action, StoppingConfig, decide

PRIOR_RIGHT, PRIOR_SEEN = 8.0, 10.0
"""Imagined known items of everybody: eight of ten right, until his own say more."""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One person's last word on an item."""

    user_id: str
    verdict: str
    """Equal verdicts agree."""
    value: Any
    n_right: int = 0
    """Known items he had right ..."""
    n_gold: int = 0
    """... of so many."""


@dataclass(frozen=True, kw_only=True)
class Consensus:
    """Where an item stands."""

    outcome: str | None
    """agreed, disputed or weak; nothing where one more is to be asked."""
    facts: Mapping[str, Any]


def weigh(votes: Sequence[Vote], stage: ConsensusStage, question: Question) -> Consensus:
    """The outcome of the votes so far; no vote asks."""
    counts = Counter(vote.verdict for vote in votes)
    n_people = len(votes)
    if not n_people:
        return Consensus(outcome=None, facts={"n_people": 0})
    verdict, n_most = counts.most_common(1)[0]
    share = n_most / n_people
    is_tied = sum(count == n_most for count in counts.values()) > 1
    facts: dict[str, Any] = {
        "n_people": n_people,
        "agreement": share,
        "answer": None if is_tied else _plain(next(one for one in votes if one.verdict == verdict)),
        "counts": dict(sorted(counts.items())),
    }
    classes = verdict_classes(question) if stage.method == "adaptive" else None
    if classes is not None:
        return _adaptive(votes, stage, classes, facts)
    if n_people < stage.min_people:
        return Consensus(outcome=None, facts=facts)
    if share >= stage.agreement and not (is_tied and n_people > 1):
        return Consensus(outcome="agreed", facts=facts)
    return Consensus(outcome=None if n_people < stage.max_people else "disputed", facts=facts)


def verdict_classes(question: Question) -> tuple[str, ...] | None:
    """All verdicts an answer can have; nothing where they cannot be listed."""
    if isinstance(question, Comparison):
        more = (("tie", question.has_tie), ("both_bad", question.has_both_bad))
        return ("first", "second", *(name for name, is_there in more if is_there))
    if isinstance(question, Choice) and not question.is_multiple:
        return tuple(f'"{option.value}"' for option in question.options)
    return None


def _adaptive(
    votes: Sequence[Vote], stage: ConsensusStage, classes: Sequence[str], facts: Mapping[str, Any]
) -> Consensus:
    confusions = np.stack([_confusion(vote, len(classes)) for vote in votes])
    given = [classes.index(vote.verdict) for vote in votes]
    logs = sum(np.log(confusion[:, label]) for confusion, label in zip(confusions, given, strict=True))
    posterior = np.exp(logs - np.max(logs))
    posterior = posterior / posterior.sum()
    config = StoppingConfig(epsilon=stage.epsilon, min_labels=stage.min_people, max_labels=stage.max_people)
    found = decide(posterior, len(votes), config, is_calibrated=False, past_confusions=confusions)
    outcome = {
        Action.ASK: None,
        Action.ACCEPT: "agreed",
        Action.ADJUDICATE: "disputed",
        Action.ASK_BETTER: "weak",
    }[found.action]
    sure = {"confidence": round(found.confidence, 6), "reason": found.reason}
    return Consensus(outcome=outcome, facts={**facts, **sure})


def _confusion(vote: Vote, n_classes: int) -> NDArray[np.float64]:
    """[true, given] Right with his accuracy on known items, wrong evenly otherwise."""
    right = (vote.n_right + PRIOR_RIGHT) / (vote.n_gold + PRIOR_SEEN)
    table = np.full((n_classes, n_classes), (1 - right) / (n_classes - 1))
    np.fill_diagonal(table, right)
    return table


def _plain(vote: Vote) -> Any:
    return vote.value if isinstance(vote.value, str | int | float | bool) else vote.verdict
