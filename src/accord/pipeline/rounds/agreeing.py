"""From all judgments so far to the snapshot a round's reward model learns from.

Removed annotators and recalled judgments do not count; they stay in the store. A pair's weight falls with
the age of the round that asked about it. Pure: the same judgments and settings give the same snapshot.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accord.domain import DataError, Judgment, Preference, Rating
from accord.pipeline.rounds.choosing import Question, key_of
from accord.pipeline.rounds.plan import AgreeingConfig
from accord.pipeline.rounds.snapshot import Snapshot, as_plain
from accord.pipeline.rounds.staff import Word, assess_staff
from accord.quality import AnnotatorEstimate, preferences_from_judgments
from accord.quality.people.assessment import Verdict

OTHERS = "others"
"""Panel of those whose place asked for no panel."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A snapshot and what was found about those behind it."""

    snapshot: Snapshot
    words: tuple[Word, ...]
    """The quality engine's word on every annotator, with all their judgments."""
    annotators: tuple[AnnotatorEstimate, ...]
    """Skill and habits by the consensus, of those who count."""


def agree(
    judgments: Sequence[Judgment],
    asked: Mapping[int, Sequence[Question]],
    config: AgreeingConfig,
    *,
    round_number: int,
    project: str,
    voided: frozenset[str] = frozenset(),
    those: frozenset[str] | None = None,
    without: frozenset[str] = frozenset(),
    known: Sequence[Judgment] = (),
    grades: Sequence[Rating] = (),
    corrections: Sequence[Preference] = (),
    panels: Mapping[str, str] | None = None,
    drift: Mapping[int, float] | None = None,
    pseudonyms: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Agreement:
    """The snapshot of a round; `asked` holds the questions of each round so far.

    Judgments of pairs nobody asked about are left alone; so are the `voided` (ids of the store). `those`
    takes the judgments of some annotators alone, `without` leaves some out; the words are on everybody.
    `grades` are those of answers, and `corrections` what was written anew, both kept where the judgment they
    are part of counts. With `panels`, judgment to panel, every panel has a consensus of its own and its pairs
    name it in `meta.group`. `drift` is the KL from each round's policy to the newest, for the pairs' weight.
    With `pseudonyms` of the annotators the snapshot also holds each judgment behind a pair, under them.
    """
    rounds = {question.key: number for number, questions in sorted(asked.items()) for question in questions}
    ours = [one for one in judgments if key_of(one) in rounds and one.meta["judgment_id"] not in voided]
    words = assess_staff(ours, known, seed=seed) if left_out is None else []
    if left_out is None:
        left_out = {
            word.annotator_id: "; ".join(word.reasons)
            for word in words
            if config.has_removal and word.verdict is Verdict.REMOVE
        }
    gone = {*left_out, *without}
    kept = [one for one in ours if one.annotator_id not in gone and _is_of(one, those)]
    if not kept:
        raise DataError(
            f"round {round_number} of {project!r} has no judgments that count: of {len(judgments)} in the "
            f"store {len(judgments) - len(ours)} are of other questions or were called back, and {len(ours)} "
            "are by annotators who are left out; see what is said of them, or have others judge"
        )
    ids = {one.id: str(one.meta["judgment_id"]) for one in kept}
    weights = _weights_of_rounds(config, asked, round_number, drift or {})
    pairs: list[Preference] = []
    annotators: list[AnnotatorEstimate] = []
    for panel, heard_of in _by_panel(kept, panels):
        found = preferences_from_judgments(
            heard_of, method=config.method, repeats="first", weighting=config.weighting
        )
        pairs += [_aged(pair, rounds, ids, weights, panel) for pair in found.preferences]
        annotators += found.annotators
    counted = {str(one.meta["judgment_id"]) for one in kept}
    plain = {name: value for name, value in as_plain(config).items() if name != "half_drift" or value}
    settings: dict[str, Any] = {"project": project, "round": round_number, "agreeing": plain}
    pairs += _corrected(corrections, counted, kept, rounds, weights, panels)
    if drift:
        settings["drift"] = {str(number): kl for number, kl in sorted(drift.items())}
    if those is not None or without:
        settings |= {"those": sorted(those or ()), "without": sorted(without)}
    snapshot = Snapshot(
        preferences=tuple(pairs),
        ratings=tuple(replace(one, annotator_id="") for one in grades if one.meta["judgment_id"] in counted),
        judgments=_behind(pairs, kept, rounds, weights, pseudonyms),
        settings=settings,
        left_out=left_out,
        voided=tuple(sorted(voided & {str(one.meta["judgment_id"]) for one in judgments})),
        facts={
            "judgments": len(kept),
            "judgments_left_out": len(ours) - len(kept),
            "annotators": len({one.annotator_id for one in kept}),
            "ties": sum(pair.is_tie for pair in pairs),
        },
    )
    return Agreement(snapshot=snapshot, words=tuple(words), annotators=tuple(annotators))


def _weights_of_rounds(
    config: AgreeingConfig, rounds: Iterable[int], now: int, drift: Mapping[int, float]
) -> dict[int, float]:
    """What a pair of each round counts in round `now`."""
    return {
        number: config.weight_of_age(now - number) * config.weight_of_drift(drift.get(number, 0))
        for number in rounds
    }


def _is_of(one: Judgment, those: frozenset[str] | None) -> bool:
    return those is None or one.annotator_id in those


def _by_panel(
    kept: Sequence[Judgment], panels: Mapping[str, str] | None
) -> list[tuple[str, Sequence[Judgment]]]:
    """Panel and its judgments; without panels all together, under no name. Who is of none is of `others`."""
    if panels is None:
        return [("", kept)]
    found: dict[str, list[Judgment]] = {}
    for one in kept:
        found.setdefault(panels.get(str(one.meta["judgment_id"]), OTHERS), []).append(one)
    return sorted(found.items())


def _behind(
    pairs: Sequence[Preference],
    kept: Sequence[Judgment],
    rounds: Mapping[tuple[str, str, str], int],
    weights: Mapping[int, float],
    pseudonyms: Mapping[str, str] | None,
) -> tuple[Judgment, ...]:
    """The judgments behind the pairs, each with the weight of its round; none without pseudonyms.

    An annotator's second judgment of a pair is behind none.
    """
    if pseudonyms is None:
        return ()
    behind = {one for pair in pairs for one in pair.provenance.judgment_ids}
    found = []
    for one in kept:
        judgment_id, number = str(one.meta["judgment_id"]), rounds[key_of(one)]
        if judgment_id in behind:
            meta = {"judgment_id": judgment_id, "round": number, "weight": weights[number]}
            found.append(replace(one, annotator_id=pseudonyms[one.annotator_id], meta=meta))
    return tuple(found)


def _corrected(
    corrections: Sequence[Preference],
    counted: set[str],
    kept: Sequence[Judgment],
    rounds: Mapping[tuple[str, str, str], int],
    weights: Mapping[int, float],
    panels: Mapping[str, str] | None,
) -> list[Preference]:
    """Corrections by judgments that count, weighed as the pair they were written at."""
    asked_in = {str(one.meta["judgment_id"]): rounds[key_of(one)] for one in kept}
    made = []
    for pair in corrections:
        (behind,) = pair.provenance.judgment_ids
        if behind in counted:
            number = asked_in[behind]
            group = {} if panels is None else {"group": panels.get(behind, OTHERS)}
            meta = {"round": number, **group}
            made.append(replace(pair, weight=pair.weight * weights[number], meta=meta))
    return made


def _aged(
    pair: Preference,
    rounds: Mapping[tuple[str, str, str], int],
    ids: Mapping[str, str],
    weights: Mapping[int, float],
    panel: str,
) -> Preference:
    asked_in = rounds[(pair.prompt.id, *sorted((pair.chosen, pair.rejected)))]  # type: ignore[index]
    behind = tuple(ids[one] for one in pair.provenance.judgment_ids)
    return replace(
        pair,
        weight=pair.weight * weights[asked_in],
        provenance=replace(pair.provenance, judgment_ids=behind),
        meta={**pair.meta, "round": asked_in, **({"group": panel} if panel else {})},
    )
