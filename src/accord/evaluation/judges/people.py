"""People as a judge: what they said of the same two answers, whichever stood on the left.

Leaves out asking them (the server does) and how far they can be believed (the quality room).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from accord.domain.errors import EvaluationError
from accord.domain.judgments import Judgment, Source
from accord.domain.messages import Completion, Prompt

PEOPLE = "people"
"""Begins the judge's name, so that nobody calls these verdicts uncorrected by people."""
Pair = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class PeopleJudge:
    """Mean of people's votes on each pair; a pair that nobody judged has no verdict."""

    shares: Mapping[Pair, tuple[float, ...]]
    """(prompt id, one answer, other answer) -> what each person gave the one: 1, 0, or 1/2 for a tie."""
    name: str = PEOPLE
    has_order: bool = False
    """They were shown the answers in an order of chance already."""
    may_abstain: bool = True

    @classmethod
    def from_judgments(cls, judgments: Iterable[Judgment]) -> "PeopleJudge":
        """The judge that these judgments make; simulated and model judgments never count as people's."""
        found: dict[Pair, list[float]] = {}
        people, others = set(), 0
        for one in judgments:
            if one.source is not Source.HUMAN:
                others += 1
                continue
            people.add(one.annotator_id)
            share = one.choice.left_share
            left, right = one.comparison.left.strip(), one.comparison.right.strip()
            found.setdefault((one.comparison.prompt.id, left, right), []).append(share)
            found.setdefault((one.comparison.prompt.id, right, left), []).append(1 - share)
        if not found:
            raise EvaluationError(
                f"there is no judgment by a person, and {others} by models or simulated annotators, which do "
                "not count as people"
            )
        shares = {pair: tuple(values) for pair, values in found.items()}
        votes = sum(len(values) for values in shares.values()) // 2
        return cls(shares=shares, name=f"{PEOPLE}, {votes} votes by {len(people)}")

    def prefer(
        self, prompts: Sequence[Prompt], left: Sequence[Completion], right: Sequence[Completion]
    ) -> list[float]:
        """[prompt] share of the votes for the left answer; NaN where there is none."""
        pairs = zip(prompts, left, right, strict=True)
        votes = [self.shares.get((one.id, a.text.strip(), b.text.strip())) for one, a, b in pairs]
        return [math.nan if not row else sum(row) / len(row) for row in votes]
