"""What each round of a loop saw, gathered from its files for the monitors."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from accord.domain import Judgment
from accord.pipeline.rounds.answers import AnswerGroup, read_groups
from accord.pipeline.rounds.choosing import Question, key_of
from accord.pipeline.rounds.desk import ANCHORS
from accord.pipeline.rounds.monitors import Key, Seen, Watched, watch_round
from accord.pipeline.rounds.staff import correctness_streams
from accord.pipeline.rounds.state import LoopState


def watch(loop: LoopState, number: int, left_out: Collection[str] = ()) -> Watched:
    """Hold round `number` against the one before and, from the third on, against the first as well.

    The first round has only its answers to hold against those of the fine-tuned model. Judgments of who is
    left out of the snapshot do not count, nor do those that were called back or that came in later.
    """
    gone = loop.bench.voided()

    def counting(found: Sequence[Judgment]) -> list[Judgment]:
        return [
            one for one in found if one.annotator_id not in left_out and one.meta["judgment_id"] not in gone
        ]

    judged = counting(loop.bench.judgments(loop.config.name))
    again = counting(loop.bench.anchor_judgments(loop.config.name))
    rounds = {one.key: place for place, asked in loop.asked.items() if place <= number for one in asked}
    ours = [one for one in judged if key_of(one) in rounds]
    streams = correctness_streams(ours, [rounds[key_of(one)] for one in ours])
    earlier = [] if number == 1 else [number - 1] if number <= 2 else [number - 1, 1]
    then = [_seen(loop, place, ours, again, rounds) for place in earlier] or [_start(loop)]
    now = _seen(loop, number, ours, again, rounds)
    return watch_round(now, then, streams, loop.config.monitors, seed=loop.config.seed)


def _start(loop: LoopState) -> Seen:
    """Before the first round: only what the fine-tuned model answered."""
    answers = _answered(_stage(loop, 1, "answer") / "incumbent.jsonl")
    return Seen(name="the start", answers=answers, is_start=True)


def _seen(
    loop: LoopState,
    number: int,
    ours: Sequence[Judgment],
    again: Sequence[Judgment],
    rounds: dict[Key, int],
) -> Seen:
    anchors = {one.key for one in loop.anchors}
    own = [one for one in ours if rounds[key_of(one)] == number]
    asked_again = [one for one in again if one.meta["batch"] == f"r{number}{ANCHORS}"]
    of_anchors = [one for one in own if key_of(one) in anchors] if number == 1 else asked_again
    questions: Sequence[Question] = loop.asked[number]
    return Seen(
        name=f"round {number}",
        prompts=list({one.prompt.id: one.prompt for one in questions}.values()),
        answers=_answered(_stage(loop, number, "answer") / "candidate.jsonl"),
        anchors=_by_pair(of_anchors),
        votes=_by_pair(own),
    )


def _answered(path: Path) -> dict[str, str]:
    groups: list[AnswerGroup] = read_groups(path)
    return {group.prompt.id: group.answers[0].text for group in groups}


def _by_pair(judgments: Sequence[Judgment]) -> dict[Key, list[Judgment]]:
    found: dict[Key, list[Judgment]] = defaultdict(list)
    for one in judgments:
        found[key_of(one)].append(one)
    return dict(found)


def _stage(loop: LoopState, number: int, stage: str) -> Path:
    return loop.runner.journal.path(f"r{number}-{stage}")
