"""A guard on the policy while it learns: when held-out evidence falls while the reward rises, stop and go
back.

At each look the policy answers the same held-out prompts. The reward that is optimized (the proxy) and the
evidence (a second reward model of other annotators, a rule, people's known taste) score the answers; both
are compared, prompt by prompt, with the look at which the evidence was highest. The evidence has fallen
where the one-sided upper bound of its mean difference lies below 0 while the proxy has not fallen. After
`patience` such looks in a row the run ends, and the policy gets the weights of its best look back. Leaves
out what the evidence is.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy import stats
from torch import Tensor

from accord.domain import Completion, Prompt, Streams
from accord.domain.files import write_text_atomic
from accord.models import LanguageModel
from accord.pipeline.rounds.plan import GuardConfig
from accord.rollouts import NativeSampler, SamplingConfig
from accord.training import EvalReport, RunStart, StepReport, StopRun

LOOKS = "looks.jsonl"
FloatArray = NDArray[np.float64]


class Scorer(Protocol):
    """Scores answers, one finite number each; higher is better."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float]:
        """[prompt]"""
        ...


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look found."""

    step: int
    proxy: float
    """Mean reward of the answers."""
    evidence: float
    """Mean of the evidence."""
    change: float = 0.0
    """Evidence less that of the best look before, mean over prompts."""
    upper: float = 0.0
    """One-sided upper bound of the change."""
    proxy_change: float = 0.0
    is_fallen: bool = False


@dataclass
class Guard:
    """Observer of policy optimization; `verdict` says after the run whether it was stopped."""

    policy: LanguageModel
    prompts: Sequence[Prompt]
    proxy: Scorer
    evidence: Scorer
    config: GuardConfig
    sampling: SamplingConfig
    streams: Streams
    folder: Path | None = None
    """Where looks and the weights of the best ones are kept, so that a resumed run compares as before."""
    looks: list[Look] = field(default_factory=list)
    verdict: str = ""
    """Why the run was stopped; empty where it was not."""

    def __post_init__(self) -> None:
        self._best: dict[str, Tensor] = {}
        self._best_scores: tuple[FloatArray, FloatArray] | None = None
        self._fallen = 0

    def on_start(self, start: RunStart) -> None:
        """Look at the policy as it begins, or take up the looks of a stopped run up to its checkpoint."""
        if start.first_step:
            self._take_up(start.first_step)
        if not self.looks:
            self._look(start.first_step)

    def on_step(self, report: StepReport) -> None:
        """Look when it is time; restores the best look's weights and raises `StopRun` when evidence fell."""
        if not self.config.every or report.step % self.config.every:
            return
        look = self._look(report.step)
        self._fallen = self._fallen + 1 if look.is_fallen else 0
        if self._fallen >= self.config.patience:
            self.verdict = (
                f"held-out evidence fell by {-look.change:.3g} (upper bound {look.upper:.3g}) since step "
                f"{self.best_step} while the reward changed by {look.proxy_change:+.3g}"
            )
            self.go_back()
            raise StopRun(self.verdict)

    def on_eval(self, report: EvalReport) -> None:
        """Nothing to do."""

    def on_end(self, reason: str) -> None:
        """The weights kept for going back are not needed any more."""
        if reason == "finished":
            for file in self._kept():
                file.unlink()

    @property
    def best_step(self) -> int:
        """The step of the look with the highest evidence."""
        return max(self.looks, key=lambda look: look.evidence).step

    def go_back(self) -> None:
        """Restore the weights of the best look."""
        with torch.no_grad():
            for name, weight in self.policy.trainable_parameters():
                weight.copy_(self._best[name])

    def _look(self, step: int) -> Look:
        sampler = NativeSampler(self.policy)
        drawn = sampler.sample(self.prompts, config=self.sampling, streams=self.streams.child("guard"))
        answers = [group[0] for group in drawn]
        proxy = np.asarray(self.proxy(self.prompts, answers), dtype=np.float64)
        evidence = np.asarray(self.evidence(self.prompts, answers), dtype=np.float64)
        look = Look(step=step, proxy=float(proxy.mean()), evidence=float(evidence.mean()))
        if self._best_scores is not None:
            change, upper = mean_and_bound(evidence - self._best_scores[1], self.config.confidence)
            moved = float((proxy - self._best_scores[0]).mean())
            look = Look(
                step=step,
                proxy=look.proxy,
                evidence=look.evidence,
                change=change,
                upper=upper,
                proxy_change=moved,
                is_fallen=upper < 0 <= moved,
            )
        if self._best_scores is None or look.change > 0:
            self._best_scores = (proxy, evidence)
            self._best = {
                name: weight.detach().clone() for name, weight in self.policy.trainable_parameters()
            }
            self._keep_best(step)
        self.looks.append(look)
        if self.folder is not None:
            text = "".join(json.dumps(asdict(one)) + "\n" for one in self.looks)
            write_text_atomic(self.folder / LOOKS, text)
        return look

    def _keep_best(self, step: int) -> None:
        """Weights and scores of the best look as one file of tensors, there whole or not at all."""
        if self.folder is None or self._best_scores is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        proxy, evidence = self._best_scores
        scores = {"proxy": torch.from_numpy(proxy.copy()), "evidence": torch.from_numpy(evidence.copy())}
        weights = {f"weight.{name}": value.contiguous() for name, value in self._best.items()}
        part = self.folder / "best.part"
        save_file({**scores, **weights}, part)
        part.replace(self.folder / f"best-{step:06d}.safetensors")

    def _take_up(self, step: int) -> None:
        """Looks up to the checkpoint a run goes on from; what was seen after it is seen again."""
        if self.folder is None or not (self.folder / LOOKS).exists():
            return
        lines = (self.folder / LOOKS).read_text(encoding="utf-8").splitlines()
        looks = [Look(**json.loads(line)) for line in lines]
        kept = {int(file.stem.removeprefix("best-")): file for file in self._kept()}
        for late in [number for number in kept if number > step]:
            kept.pop(late).unlink()
        if not kept:
            return
        self.looks = [look for look in looks if look.step <= step]
        tensors = load_file(kept[max(kept)])
        self._best_scores = (tensors.pop("proxy").numpy(), tensors.pop("evidence").numpy())
        self._best = {name.removeprefix("weight."): value for name, value in tensors.items()}
        fallen = [look.is_fallen for look in self.looks]
        self._fallen = next((i for i, one in enumerate(reversed(fallen)) if not one), len(fallen))

    def _kept(self) -> list[Path]:
        return [] if self.folder is None else sorted(self.folder.glob("best-*.safetensors"))


def mean_and_bound(differences: FloatArray, confidence: float) -> tuple[float, float]:
    """Mean, and its one-sided upper bound by Student's t; one prompt, or no spread, gives the mean itself."""
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return mean, math.inf
    error = float(differences.std(ddof=1)) / math.sqrt(count)
    return mean, mean + float(stats.t.ppf(confidence, count - 1)) * error
