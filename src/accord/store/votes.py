"""Judgments become preferences by vote share. Consensus that weighs annotators is the quality room's work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from accord.domain import Choice, Comparison, Judgment, Preference, Provenance, Ranking


@dataclass(slots=True)
class _Tally:
    """The votes on one pair of answers, counted for the side that was shown left first."""

    comparison: Comparison
    judgment_ids: list[str] = field(default_factory=list)
    left_shares: list[float] = field(default_factory=list)


def preferences_from_judgments(
    judgments: Sequence[Judgment], *, source: str = "", weighting: Literal["one", "votes"] = "one"
) -> list[Preference]:
    """One preference for each pair of answers, in order of first appearance.

    The same two answers to the same prompt are one item in whichever order they were
    shown. `p_chosen` is the share of votes for the winning side; a tie, and both bad,
    count half for each side. On equal shares the side first shown left is `chosen`,
    at p_chosen = 0.5. Two identical answers are a tie whatever was voted.

    Every preference weighs 1, so that an item with many votes counts like one with
    few; `weighting="votes"` makes its weight the number of votes.
    """
    tallies: dict[tuple[object, ...], _Tally] = {}
    for judgment in judgments:
        shown = judgment.comparison
        key = (shown.prompt, *sorted((shown.left, shown.right)))
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = _Tally(shown)
        share = judgment.choice.left_share
        tally.left_shares.append(share if shown.left == tally.comparison.left else 1.0 - share)
        tally.judgment_ids.append(judgment.id)
    return [_preference(tally, source=source, weighting=weighting) for tally in tallies.values()]


def _preference(tally: _Tally, *, source: str, weighting: Literal["one", "votes"]) -> Preference:
    shown = tally.comparison
    votes = len(tally.left_shares)
    left_share = 0.5 if shown.left == shown.right else sum(tally.left_shares) / votes
    is_left_chosen = left_share >= 0.5
    return Preference(
        prompt=shown.prompt,
        chosen=shown.left if is_left_chosen else shown.right,
        rejected=shown.right if is_left_chosen else shown.left,
        p_chosen=max(left_share, 1.0 - left_share),
        weight=float(votes) if weighting == "votes" else 1.0,
        provenance=Provenance(
            judgment_ids=tuple(tally.judgment_ids), method="vote_share", votes=votes, source=source
        ),
        meta=shown.meta,
    )


def judgments_from_ranking(ranking: Ranking) -> list[Judgment]:
    """Every pair of a ranking as one judgment by its annotator; equal ranks are ties."""
    judgments = []
    for i, j in combinations(range(len(ranking.completions)), 2):
        comparison = Comparison(
            prompt=ranking.prompt,
            left=ranking.completions[i],
            right=ranking.completions[j],
            meta=ranking.meta,
        )
        better, worse = ranking.ranks[i], ranking.ranks[j]
        choice = Choice.TIE if better == worse else Choice.LEFT if better < worse else Choice.RIGHT
        judgments.append(Judgment(comparison=comparison, annotator_id=ranking.annotator_id, choice=choice))
    return judgments
