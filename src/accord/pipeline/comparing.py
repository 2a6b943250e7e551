"""The comparisons a reward model learns from: read from files, or a simulated panel's on fresh answers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from accord.domain import Comparison, Completion, Judgment, Preference, Prompt, Streams
from accord.domain.files import write_text_atomic
from accord.evaluation import AnnotatorRow, Estimate
from accord.evaluation.report.encoding import decode, encode
from accord.models import LanguageModel
from accord.pipeline.material import KnownTaste, Material
from accord.pipeline.plan import PanelConfig
from accord.quality import AnnotatorEstimate, AnswerView, Panel, preferences_from_judgments, support_panel
from accord.rollouts import NativeSampler, SamplingConfig
from accord.store import read_judgments, read_preferences, write_records

ANSWERS_AT_A_TIME = 64
"""Between two reports of progress; as many as the sampler keeps in progress at one time."""


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Pairs on the training side and on the held-out side, and who judged them."""

    train: Sequence[Preference]
    heldout: Sequence[Preference]
    heldout_judgments: Sequence[Judgment]
    """Single votes on the held-out side, for the ceiling."""
    annotators: Sequence[AnnotatorRow]
    label_source: str
    """Whose labels these are, for the report."""
    notes: Sequence[str] = ()
    """What a reader should know, in sentences."""

    def write(self, folder: Path) -> None:
        """Keep everything as files of records, so that each pair can be traced to its judgments."""
        write_records(folder / "train.jsonl", self.train)
        write_records(folder / "heldout.jsonl", self.heldout)
        if self.heldout_judgments:
            write_records(folder / "heldout-judgments.jsonl", self.heldout_judgments)
        rest = {
            "annotators": [encode(row) for row in self.annotators],
            "label_source": self.label_source,
            "notes": list(self.notes),
        }
        write_text_atomic(folder / "comparisons.json", json.dumps(rest, indent=1, ensure_ascii=False))

    @classmethod
    def read(cls, folder: Path) -> "Comparisons":
        """What `write` wrote."""
        rest = json.loads((folder / "comparisons.json").read_text(encoding="utf-8"))
        votes = folder / "heldout-judgments.jsonl"
        return cls(
            train=read_preferences(folder / "train.jsonl"),
            heldout=read_preferences(folder / "heldout.jsonl"),
            heldout_judgments=read_judgments(votes) if votes.exists() else [],
            annotators=[decode(row, AnnotatorRow) for row in rest["annotators"]],
            label_source=rest["label_source"],
            notes=rest["notes"],
        )

    def facts(self) -> dict[str, Any]:
        """What the terminal says of them."""
        ties = sum(pair.is_tie for pair in self.train)
        return {
            "train": len(self.train),
            "heldout": len(self.heldout),
            "lines": [
                f"{len(self.train)} training pairs ({ties} of them ties), {len(self.heldout)} held out",
                f"labels: {self.label_source}",
                *self.notes,
            ],
        }


def file_comparisons(material: Material) -> Comparisons:
    """The comparisons that the task's files hold."""
    assert material.preferences is not None
    votes = len(material.heldout_judgments)
    return Comparisons(
        train=material.preferences.train,
        heldout=material.preferences.test,
        heldout_judgments=material.heldout_judgments,
        annotators=(),
        label_source="people" if votes else "people, outcomes only",
        notes=tuple(material.notes),
    )


def collect_comparisons(
    model: LanguageModel,
    material: Material,
    config: PanelConfig,
    sampling: SamplingConfig,
    *,
    streams: Streams,
    report_progress: Callable[[int, int], None],
) -> Comparisons:
    """Sample answers to each prompt, have the simulated panel compare every pair, and join the votes."""
    assert material.taste is not None
    plan = ((material.compared, config.answers_per_prompt), (material.heldout, 2))
    groups = _sample_groups(model, plan, sampling, streams=streams, report_progress=report_progress)
    panel = support_panel(streams, judgments_per_pair=config.votes_per_pair)
    judgments: list[Judgment] = []
    views: list[tuple[AnswerView, AnswerView]] = []
    true_totals: dict[tuple[str, str], float] = {}
    same = 0
    for prompt, answers in groups:
        distinct = {answer.text: _view(material.taste, prompt, answer) for answer in answers}
        same += len(answers) - len(distinct)
        true_totals |= {(prompt.id, text): view.total for text, view in distinct.items()}
        for (left, left_view), (right, right_view) in combinations(distinct.items(), 2):
            comparison = Comparison(prompt=prompt, left=left, right=right)
            judgments += panel.judge(comparison, left_view, right_view)
            views.append((left_view, right_view))
    consensus = preferences_from_judgments(judgments, method=config.consensus, repeats="first")
    heldout_ids = {prompt.id for prompt in material.heldout}
    heldout = [pair for pair in consensus.preferences if pair.prompt.id in heldout_ids]
    notes = [_truth_note(consensus.preferences, true_totals, config.consensus)]
    if same:
        notes.append(f"Answers that repeated another one to the same prompt and were left out: {same}.")
    return Comparisons(
        train=[pair for pair in consensus.preferences if pair.prompt.id not in heldout_ids],
        heldout=heldout,
        heldout_judgments=[
            judgment for judgment in judgments if judgment.comparison.prompt.id in heldout_ids
        ],
        annotators=_annotator_rows(panel, consensus.annotators, panel.known_accuracy(views)),
        label_source=f"{config.consensus.replace('_', '-')} consensus of {config.votes_per_pair} of "
        f"{len(panel.annotators)} SIMULATED annotators a pair",
        notes=notes,
    )


def _sample_groups(
    model: LanguageModel,
    plan: Sequence[tuple[Sequence[Prompt], int]],
    sampling: SamplingConfig,
    *,
    streams: Streams,
    report_progress: Callable[[int, int], None],
) -> list[tuple[Prompt, list[Completion]]]:
    """Each prompt with its answers; the plan says how many the prompts of each part get."""
    sampler = NativeSampler(model)
    total = sum(len(prompts) for prompts, _ in plan)
    groups: list[tuple[Prompt, list[Completion]]] = []
    for prompts, count in plan:
        at_a_time = max(1, ANSWERS_AT_A_TIME // count)
        for begin in range(0, len(prompts), at_a_time):
            report_progress(len(groups), total)
            chunk = prompts[begin : begin + at_a_time]
            draws = streams.child("sample", len(groups))
            answers = sampler.sample(chunk, group=count, config=sampling, streams=draws)
            groups += zip(chunk, answers, strict=True)
    report_progress(total, total)
    return groups


def _view(taste: KnownTaste, prompt: Prompt, answer: Completion) -> AnswerView:
    score = taste.judge(prompt, answer)
    return AnswerView(total=score.total, parts=score.parts, words=len(answer.text.split()))


def _truth_note(pairs: Sequence[Preference], true_totals: dict[tuple[str, str], float], method: str) -> str:
    """How often the consensus side is the truly better one: possible only because the truth is known."""
    gaps = [
        true_totals[pair.prompt.id, pair.chosen] - true_totals[pair.prompt.id, pair.rejected]
        for pair in pairs
        if not pair.is_tie
    ]
    decided = [gap for gap in gaps if gap != 0]
    right = sum(gap > 0 for gap in decided)
    return (
        f"The {method.replace('_', '-')} consensus of the simulated panel names the truly better answer in "
        f"{right} of {len(decided)} pairs ({right / max(len(decided), 1):.0%})."
    )


def _annotator_rows(
    panel: Panel, estimates: Sequence[AnnotatorEstimate], known: dict[str, float]
) -> list[AnnotatorRow]:
    characters = {annotator.id: annotator for annotator in panel.annotators}
    return [
        AnnotatorRow(
            name=estimate.annotator_id,
            judgments=estimate.judgments,
            estimated_skill=Estimate(
                value=estimate.accuracy,
                low=estimate.accuracy_low,
                high=estimate.accuracy_high,
                n=estimate.judgments,
                method="beta posterior",
            ),
            known_skill=known[estimate.annotator_id],
            carelessness=characters[estimate.annotator_id].carelessness,
            bias=_known_bias(asdict(characters[estimate.annotator_id])),
            is_simulated=True,
        )
        for estimate in estimates
    ]


def _known_bias(character: dict[str, Any]) -> str:
    words = []
    if character["left_habit"]:
        words.append(f"left side {character['left_habit']:+.1f} log-odds")
    if character["length_liking"]:
        words.append("likes length")
    words += [
        f"{'overrates' if tilt > 0 else 'underrates'} {name.replace('_', ' ')}"
        for name, tilt in character["tilts"].items()
    ]
    return ", ".join(words)
