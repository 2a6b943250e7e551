"""Preferences scored by a reward model: margins, lengths, and what changes that should not matter do.

Leaves out what the scores say (`accord.evaluation.reward_measurements`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.domain import Completion, DataError, EvaluationError, Preference, Prompt
from accord.evaluation.invariance import Change, change_text
from accord.evaluation.reward_ranking import RankedAnswers, RankedLists
from accord.evaluation.scored_pairs import ScoredPair, ScoredPairs, read_scored_pairs
from accord.rollouts.reward_loading import load_reward
from accord.rollouts.rewards import Reward
from accord.store import hash_file, read_preferences, read_rankings

CHUNK = 256
"""Answers scored between two notes of progress."""
CHANGES = (Change.TRAILING_SPACE, Change.POLITE_OPENING, Change.MARKDOWN_FRAME)
TERMS = {"he": "she", "him": "her", "man": "woman", "men": "women", "John": "Mary"}
"""Swapped both ways in answers that hold one of them."""
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """How preferences are scored."""

    model: str
    """Reward model folder, "module:function" or "file.py:function"."""
    members: tuple[str, ...] = ()
    """Further reward models of an ensemble, named as `model`; it is a member too."""
    has_changes: bool = True
    """Also score changed answers, for invariance."""
    limit: int | None = None
    """Pairs at most, at even distances."""


def find_scored_pairs(
    path: Path, config: ScoringConfig | None, *, report_progress: Progress = lambda text: None
) -> ScoredPairs:
    """Scored pairs of a file, or its preferences scored by a reward model where one is named."""
    return read_scored_pairs(path) if config is None else score_preferences(path, config, report_progress)


def score_preferences(
    path: Path, config: ScoringConfig, report_progress: Progress = lambda text: None
) -> ScoredPairs:
    """Every preference of a file, scored by each member; equal prompts share one id."""
    pairs = read_preferences(path)
    if config.limit is not None:
        if config.limit < 1:
            raise DataError(f"limit is {config.limit}; expected at least 1 pair")
        count = min(config.limit, len(pairs))
        pairs = [pairs[i * len(pairs) // count] for i in range(count)]
    if not pairs:
        raise DataError("holds no preferences to score", path=str(path))
    names = (config.model, *config.members)
    tables = [_pair_scores(load_reward(name), pairs, report_progress, name) for name in names]
    changed = [dict[str, float]() for _ in pairs]
    if config.has_changes:
        changed = _changed_scores(load_reward(config.model), pairs, report_progress)
    rows = []
    for i, pair in enumerate(pairs):
        rows.append(
            ScoredPair(
                id=pair.id if pair.id else f"pair {i}",
                prompt_id=pair.prompt.id,
                chosen_reward=tables[0][i][0],
                rejected_reward=tables[0][i][1],
                p_chosen=pair.p_chosen,
                votes=_votes(pair),
                lengths=(float(len(pair.chosen)), float(len(pair.rejected))),
                domain=_named(pair, "domain"),
                group=_named(pair, "group"),
                members=tuple(table[i] for table in tables) if len(tables) > 1 else (),
                changed=changed[i],
            )
        )
    _require_distinct(rows, path)
    facts = {
        "preferences_sha256": hash_file(path),
        "reward_model": config.model,
        "members": len(tables),
        "length_unit": "characters",
    }
    return ScoredPairs(labeled=tuple(rows), facts=facts)


def score_rankings(
    path: Path, config: ScoringConfig, report_progress: Progress = lambda text: None
) -> RankedLists:
    """Every ranking of a file with the rewards of its answers; equal prompts share one id."""
    rankings = read_rankings(path)
    if config.limit is not None:
        count = min(config.limit, len(rankings))
        rankings = [rankings[i * len(rankings) // count] for i in range(count)]
    if not rankings:
        raise DataError("holds no rankings to score", path=str(path))
    texts = [(one.prompt, text) for one in rankings for text in one.completions]
    values = iter(_scores(load_reward(config.model), texts, report_progress, config.model))
    rows = tuple(
        RankedAnswers(
            prompt_id=one.prompt.id,
            rewards=tuple(next(values) for _ in one.completions),
            ranks=tuple(float(rank) for rank in one.ranks),
        )
        for one in rankings
    )
    return RankedLists(rows=rows, facts={"rankings_sha256": hash_file(path), "reward_model": config.model})


def score_texts(name: str) -> Callable[[Sequence[str], Sequence[str]], list[float]]:
    """A function of (prompt texts, answer texts) that a reward model's folder or function gives."""
    reward = load_reward(name)

    def score(prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        return reward.score(
            [Prompt.from_text(text) for text in prompts], [Completion(text=text) for text in answers]
        ).values

    return score


def _pair_scores(
    reward: Reward, pairs: Sequence[Preference], report_progress: Progress, name: str
) -> list[tuple[float, float]]:
    texts = [(pair.prompt, text) for pair in pairs for text in (pair.chosen, pair.rejected)]
    values = _scores(reward, texts, report_progress, name)
    return list(zip(values[::2], values[1::2], strict=True))


def _changed_scores(
    reward: Reward, pairs: Sequence[Preference], report_progress: Progress
) -> list[dict[str, float]]:
    """[pair] kind of change -> reward of the changed chosen answer."""
    texts: list[tuple[Prompt, str]] = []
    places: list[tuple[int, str]] = []
    for i, pair in enumerate(pairs):
        for change in (*CHANGES, Change.TERM):
            text = change_text(pair.chosen, change, terms=TERMS if change is Change.TERM else None)
            if text is not None:
                texts.append((pair.prompt, text))
                places.append((i, change.value))
    values = _scores(reward, texts, report_progress, "changed answers")
    found: list[dict[str, float]] = [{} for _ in pairs]
    for (i, kind), value in zip(places, values, strict=True):
        found[i][kind] = value
    return found


def _scores(
    reward: Reward, texts: Sequence[tuple[Prompt, str]], report_progress: Progress, name: str
) -> list[float]:
    values: list[float] = []
    for start in range(0, len(texts), CHUNK):
        report_progress(f"{name}: {start} of {len(texts)} answers scored")
        chunk = texts[start : start + CHUNK]
        answers = [Completion(text=text) for _, text in chunk]
        values += reward.score([prompt for prompt, _ in chunk], answers).values
    return values


def _votes(pair: Preference) -> tuple[int, int] | None:
    """Counts behind a share, where the share is one of so many votes."""
    count = pair.provenance.votes
    share = pair.p_chosen * count
    if count < 1 or abs(share - round(share)) > 1e-6:
        return None
    return round(share), count - round(share)


def _named(pair: Preference, name: str) -> str:
    return str(pair.meta.get(name) or pair.prompt.meta.get(name) or "")


def _require_distinct(rows: Sequence[ScoredPair], path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.id, row.group) in seen:
            raise EvaluationError(
                f"{path}: the pair {row.id!r} is there twice for one group of annotators; keep one row a "
                "pair, or join its votes"
            )
        seen.add((row.id, row.group))
