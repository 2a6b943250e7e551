"""Evaluation inside training: at chosen steps the policy is compared with where it began, as for a release.

Each comparison is a file of measurements that `accord gate` reads. Nothing it sees is trained on. Leaves out
the page; `evaluation/report/comparison` makes one of any of the files' numbers.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from accord.domain import ConfigError, Prompt, Streams
from accord.domain.files import write_text_atomic
from accord.domain.messages import content_hash
from accord.evaluation.comparison import Comparison, PairJudge, Responses, compare_responses
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison import comparison_evidence
from accord.evaluation.report.encoding import encode
from accord.models import LanguageModel, frozen_copy
from accord.pipeline.comparing_models import PromptSet, find_judge, score_both
from accord.rollouts import NativeSampler, SamplingConfig
from accord.store import read_prompts
from accord.training import EvalReport, RunStart, StepReport


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """When a policy is examined, on what, and how it is asked."""

    prompts: tuple[Path, ...] = ()
    """Files of prompts that are not trained on; none examines nothing."""
    limit: int = 64
    """Prompts at most, at even distances."""
    judge: str = ""
    """Who compares the answers with the start's: reward model folder, `module:function`, `pair:...` or
    `llm:MODEL@URL`; empty measures texts and KL alone. Code that is named is run."""
    every: int = 0
    """Steps between two examinations; 0 for none but those in `steps` and the last."""
    steps: tuple[int, ...] = ()
    """Further steps, counted from 1."""
    at_end: bool = True
    """Also after the last step."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How it answers; temperature 0 has no KL."""
    seed: int = 0
    """Of the answers and of every bootstrap."""

    def __post_init__(self) -> None:
        problems = []
        if self.every < 0:
            problems.append(f"every is {self.every}; expected 0 or more steps")
        if self.limit < 1:
            problems.append(f"limit is {self.limit}; expected at least 1 prompt")
        if any(step < 1 for step in self.steps):
            problems.append(f"steps are {list(self.steps)}; expected numbers from 1")
        if problems:
            raise ConfigError("probe", problems)

    def is_due(self, step: int, *, last: int) -> bool:
        """Whether the policy is examined after this step."""
        if step in self.steps or (self.at_end and step == last):
            return True
        return self.every > 0 and step % self.every == 0


def find_probe(policy: LanguageModel, config: ProbeConfig, *, folder: Path) -> "MeasurementProbe | None":
    """The probe that a job's config asks for, its files in `folder`; None where it names no prompts."""
    if not config.prompts:
        return None
    prompts = read_prompts(config.prompts)
    count = min(config.limit, len(prompts))
    kept = tuple(prompts[i * len(prompts) // count] for i in range(count))
    source = ", ".join(path.name for path in config.prompts)
    given = PromptSet(prompts=kept, source=source, digest=content_hash([one.id for one in kept]))
    judge = find_judge(config.judge or None, given, out=folder)
    return MeasurementProbe(policy, frozen_copy(policy), kept, folder=folder, config=config, judge=judge)


class MeasurementProbe:
    """Observer that writes `step-000020.json` and its like into a folder.

    The start answers once, before the first step (a resumed run reads its answers from the folder's own
    model, so give the same `start`). Files of steps after the checkpoint a run goes on from are removed.
    """

    def __init__(
        self,
        policy: LanguageModel,
        start: LanguageModel,
        prompts: Sequence[Prompt],
        *,
        folder: Path,
        config: ProbeConfig,
        judge: PairJudge | None = None,
    ):
        self.policy = policy
        self.start = start
        self.prompts = tuple(prompts)
        self.folder = folder
        self.config = config
        self.judge = judge
        self._start_answers: Responses | None = None

    def on_start(self, start: RunStart) -> None:
        """Ask the start, and drop what a stopped run measured after its checkpoint."""
        for file in self.folder.glob("step-*.json"):
            if int(file.stem.removeprefix("step-")) > start.first_step:
                file.unlink()
        self._start_answers = self._answers("start", self.start)

    def on_step(self, report: StepReport) -> None:
        """Compare when it is time."""
        if self.config.is_due(report.step, last=report.steps):
            found = self.examine()
            text = json.dumps(measurement_file(found, step=report.step), indent=1, ensure_ascii=False)
            write_text_atomic(self.folder / f"step-{report.step:06d}.json", text + "\n")

    def on_eval(self, report: EvalReport) -> None:
        """Nothing to do."""

    def on_end(self, reason: str) -> None:
        """Nothing to do."""

    def examine(self) -> Comparison:
        """The policy as it is now against the start, on the same prompts and draws."""
        if self._start_answers is None:
            self._start_answers = self._answers("start", self.start)
        answers = self._answers("policy", self.policy)
        logprobs = None
        if not self.config.sampling.is_greedy:
            logprobs = score_both(self.policy, self.start, answers, self.config.sampling)
        return compare_responses(
            answers, self._start_answers, judge=self.judge, logprobs=logprobs, seed=self.config.seed
        )

    def _answers(self, name: str, model: LanguageModel) -> Responses:
        streams = Streams(self.config.seed).child("probe")
        drawn = NativeSampler(model).sample(self.prompts, config=self.config.sampling, streams=streams)
        return Responses(
            name=name,
            prompts=self.prompts,
            completions=tuple(group[0] for group in drawn),
            keys=tuple(prompt.id for prompt in self.prompts),
            facts={"model": model.name, "sampling": asdict(self.config.sampling) | {"stop": []}},
        )


def measurement_file(comparison: Comparison, *, step: int) -> dict[str, Any]:
    """What `accord gate` reads, with the step among the facts of every number; NaN is null."""
    rows = [_row(replace(one, facts={**one.facts, "step": step})) for one in comparison.measurements]
    return {
        "facts": {**comparison.facts, "step": step},
        "measurements": rows,
        "not_measured": dict(comparison.not_measured),
        "evidence": {name: part for name, part in encode(comparison_evidence(comparison)).items() if part},
    }


def _row(one: Measurement) -> dict[str, Any]:
    estimate = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(one.estimate).items()
    }
    rest = {"metric": one.metric, "slice": one.slice, "versus": one.versus, "deviation": one.deviation}
    return {**rest, "estimate": estimate, "facts": one.facts}
