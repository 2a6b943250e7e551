"""Which comparisons a round asks about: strategies behind one interface, chances of inclusion kept.

A strategy scores every pair there could be; `draw_questions` draws by the scores beside an unbiased random
stream. Every chosen pair keeps its chance, its score and the stream that brought it.

    random        1
    disagreement  spread of the members' margins of an ensemble of reward models
    information   what an answer tells about which member is right: H(mean p) - mean H(p), bits
                  (BALD, Houlsby et al. 2011)
    margin        p (1 - p) of the mean margin's probability: undecided pairs
    coverage      1 over (1 + pairs asked so far of the prompt's domain)

`p = sigmoid(margin)` of each member. A gate that is not passed may ask for pairs of a domain (`queues`):
scores there are raised until as many are drawn on average, and the chances follow from the raised scores.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit

from accord.domain import Completion, ConfigError, Judgment, Prompt, content_hash
from accord.domain.files import write_text_atomic
from accord.pipeline.rounds.answers import AnswerGroup, prompt_row, read_prompt
from accord.pipeline.rounds.plan import AskingConfig
from accord.pipeline.rounds.queues import Quota
from accord.quality.deciding.inclusion import draw_questions

FLOOR = 1e-6
"""Least score, relative to the largest: no pair is left without any chance in the active stream."""
MemberScores = Callable[[Sequence[Prompt], Sequence[Completion]], NDArray[np.float64]]
"""Prompts and answers to [member, answer] rewards."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A pair that is asked about."""

    prompt: Prompt
    first: str
    second: str
    """Answers in canonical order; on which side each stands is the server's draw."""
    inclusion: float
    """Chance with which it was drawn."""
    score: float
    """By the strategy."""
    is_random: bool
    """True where the random stream brought it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Strategy, round, who answered."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Prompt and both answers: the pair whichever way it is shown."""
        return (self.prompt.id, *sorted((self.first, self.second)))  # type: ignore[return-value]

    @property
    def id(self) -> str:
        """Content hash of the pair."""
        return content_hash(list(self.key))


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Every pair that could be asked about."""

    prompts: Sequence[Prompt]
    """[pair]"""
    pairs: Sequence[tuple[Completion, Completion]]
    """[pair]"""
    margins: NDArray[np.float64] | None = None
    """[member, pair] reward of the first answer less that of the second; None without a reward model."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Pairs asked so far by domain."""

    @property
    def p_first(self) -> NDArray[np.float64]:
        """[member, pair] probability that the first answer is better."""
        assert self.margins is not None
        return np.asarray(expit(self.margins), dtype=np.float64)


def pool_of(
    groups: Sequence[AnswerGroup],
    *,
    scores: MemberScores | None = None,
    asked: Mapping[str, int] | None = None,
) -> Pool:
    """All pairs of different answers; with `scores` every answer is scored once."""
    prompts = [group.prompt for group in groups for _ in group.pairs]
    pairs = [pair for group in groups for pair in group.pairs]
    margins = None
    if scores is not None and pairs:
        answers = [(group.prompt, answer) for group in groups for answer in group.answers]
        values = np.asarray(scores([one for one, _ in answers], [one for _, one in answers]), np.float64)
        place = {(prompt.id, answer.text): i for i, (prompt, answer) in enumerate(answers)}
        first = [place[prompt.id, pair[0].text] for prompt, pair in zip(prompts, pairs, strict=True)]
        second = [place[prompt.id, pair[1].text] for prompt, pair in zip(prompts, pairs, strict=True)]
        margins = values[:, first] - values[:, second]
    return Pool(prompts=prompts, pairs=pairs, margins=margins, asked=asked or {})


def by_chance(pool: Pool) -> NDArray[np.float64]:
    """All alike."""
    return np.ones(len(pool.pairs))


def by_disagreement(pool: Pool) -> NDArray[np.float64]:
    """Standard deviation of the members' margins."""
    assert pool.margins is not None
    return np.asarray(pool.margins.std(axis=0), dtype=np.float64)


def by_information(pool: Pool) -> NDArray[np.float64]:
    """H(mean p) - mean H(p) over members, bits."""
    p_first = pool.p_first
    told = _entropy(p_first.mean(axis=0)) - _entropy(p_first).mean(axis=0)
    return np.asarray(np.maximum(told, 0.0), dtype=np.float64)


def by_margin(pool: Pool) -> NDArray[np.float64]:
    """p (1 - p) of the mean margin."""
    assert pool.margins is not None
    p_first = expit(pool.margins.mean(axis=0))
    return np.asarray(p_first * (1 - p_first), dtype=np.float64)


def by_coverage(pool: Pool) -> NDArray[np.float64]:
    """1 / (1 + pairs asked of the domain)."""
    return np.array([1 / (1 + pool.asked.get(domain_of(prompt), 0)) for prompt in pool.prompts])


@dataclass(frozen=True)
class Strategy:
    """How pairs are scored, and how many reward models that takes."""

    score: Callable[[Pool], NDArray[np.float64]]
    members: int = 0
    """Fewest members of the reward ensemble; 0 needs none."""


BY_NAME: Mapping[str, Strategy] = MappingProxyType(
    {
        "random": Strategy(by_chance),
        "disagreement": Strategy(by_disagreement, members=2),
        "information": Strategy(by_information, members=2),
        "margin": Strategy(by_margin, members=1),
        "coverage": Strategy(by_coverage),
    }
)


def choose_questions(
    pool: Pool,
    config: AskingConfig,
    *,
    generator: np.random.Generator,
    quotas: Sequence[Quota] = (),
    facts: Mapping[str, Any] | None = None,
) -> list[Question]:
    """Draw about `config.comparisons` pairs of the pool, of them what `quotas` ask for as far as there are.

    A strategy that needs a reward model there is none of yet draws at random, and each question says so.
    """
    strategy, name = BY_NAME[config.strategy], str(config.strategy)
    members = 0 if pool.margins is None else len(pool.margins)
    if members and members < strategy.members:
        raise ConfigError(
            "asking",
            [f"strategy is {name!r}, which needs {strategy.members} reward models to disagree, and there is "
             f"{members}; set reward.members, or choose margin, coverage or random"],
        )  # fmt: skip
    if strategy.members > members:
        strategy, name = BY_NAME["random"], f"random ({name} has no reward model yet)"
    if not pool.pairs:
        return []
    weights = strategy.score(pool)
    top = float(weights.max())
    scores = np.maximum(weights, top * FLOOR) if top > 0 else np.ones(len(weights))
    domains = [domain_of(prompt) for prompt in pool.prompts]
    active = config.comparisons - math.ceil(config.random_share * config.comparisons)
    scores = raise_scores(scores, domains, quotas, active)
    gates = {one.domain: one.gate for one in quotas}
    drawn = draw_questions(scores, config.comparisons, random_share=config.random_share, generator=generator)
    chosen = []
    for place, is_random in zip(drawn.chosen.tolist(), drawn.is_random.tolist(), strict=True):
        first, second = sorted(answer.text for answer in pool.pairs[place])
        chosen.append(
            Question(
                prompt=pool.prompts[place],
                first=first,
                second=second,
                inclusion=float(drawn.inclusion[place]),
                score=float(weights[place]),
                is_random=is_random,
                facts={
                    "strategy": name,
                    "pool": len(pool.pairs),
                    **({"queue": gates[domains[place]]} if domains[place] in gates else {}),
                    **(facts or {}),
                },
            )
        )
    return chosen


def raise_scores(
    scores: NDArray[np.float64], domains: Sequence[str], quotas: Sequence[Quota], size: int
) -> NDArray[np.float64]:
    """[pair] Scores under which `size` draws hold what the quotas ask for, on average; all above 0.

    A domain whose pairs are drawn often enough already is left alone, and no score is lowered but in
    proportion with all others. Quotas that ask for more than all draws share them.
    """
    if size <= 0:
        return scores
    shares = scores / scores.sum()
    named = np.array(domains)
    raised: dict[str, float] = {}
    for one in quotas:
        is_in = named == one.domain
        wanted = min(one.size, int(is_in.sum())) / size
        if wanted > shares[is_in].sum() > 0:
            raised[one.domain] = wanted
    if not raised:
        return scores
    is_rest = ~np.isin(named, list(raised))
    rest, total = float(shares[is_rest].sum()), sum(raised.values())
    least = FLOOR if rest > 0 else 0.0
    if total > 1 - least:
        raised = {name: share * (1 - least) / total for name, share in raised.items()}
        total = 1 - least
    made = np.where(is_rest, shares * ((1 - total) / rest if rest > 0 else 0.0), shares)
    for name, share in raised.items():
        is_in = named == name
        made[is_in] *= share / shares[is_in].sum()
    return np.asarray(made, dtype=np.float64)


def choose_anchors(
    questions: Sequence[Question], count: int, *, generator: np.random.Generator
) -> list[Question]:
    """Pairs of the first round that are judged again in every later one: `count` at random, in their order.

    Those of the random stream come first, since nobody steered them; others fill up where it is too short.
    """
    places = generator.permutation(len(questions)).tolist()
    chosen = sorted(places, key=lambda place: not questions[place].is_random)[:count]
    return [questions[place] for place in sorted(chosen)]


def key_of(judgment: Judgment) -> tuple[str, str, str]:
    """The `Question.key` of the pair that was judged."""
    first, second = sorted((judgment.comparison.left, judgment.comparison.right))
    return (judgment.comparison.prompt.id, first, second)


def domain_of(prompt: Prompt) -> str:
    """What a prompt is about, where its source says so."""
    return str(prompt.meta.get("domain") or prompt.meta.get("category") or "all")


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """One line a question."""
    rows = [
        {
            "id": one.id,
            **prompt_row(one.prompt),
            "first": one.first,
            "second": one.second,
            "inclusion": one.inclusion,
            "score": one.score,
            "is_random": one.is_random,
            "facts": dict(one.facts),
        }
        for one in questions
    ]
    write_text_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_questions(path: Path) -> list[Question]:
    """What `write_questions` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    fields = ("first", "second", "inclusion", "score", "is_random", "facts")
    return [Question(prompt=read_prompt(row), **{name: row[name] for name in fields}) for row in rows]


def _entropy(p_first: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((entr(p_first) + entr(1 - p_first)) / np.log(2), dtype=np.float64)
