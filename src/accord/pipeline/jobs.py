"""Single trainings from files: one config, one run folder each; the whole pass is in `spine`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from accord.domain import Streams, WorkspaceError
from accord.models import LanguageModel, load_model
from accord.pipeline.configuration import load_config
from accord.pipeline.plan import ModelConfig
from accord.pipeline.provenance import collect_provenance
from accord.pipeline.runs import Headline, Run
from accord.pipeline.training_probe import ProbeConfig, find_probe
from accord.pipeline.workspace import Workspace
from accord.rollouts import RewardsConfig, load_rewards
from accord.rollouts.reward_loading import require_one_reward
from accord.store import read_demonstrations, read_preferences, read_prompts
from accord.store.reading import (
    read_judgments,
    read_rankings,
    read_ratings,
    read_step_labels,
    read_verdicts,
)
from accord.training import (
    BestOfNConfig,
    DpoConfig,
    GrpoConfig,
    Observer,
    OnlineConfig,
    OnlineDpoConfig,
    PpoConfig,
    ReinforceConfig,
    RewardTrainingConfig,
    SftConfig,
    train_best_of_n,
    train_dpo,
    train_grpo,
    train_online_dpo,
    train_ppo,
    train_reinforce,
    train_reward_model,
    train_rloo,
    train_sft,
)
from accord.training.answer_reward import train_reward_on
from accord.training.kto import KtoConfig, train_kto
from accord.training.parallel import joined_ranks


@dataclass(frozen=True, kw_only=True)
class SftJob:
    """Supervised fine-tuning on files of demonstrations."""

    demonstrations: tuple[Path, ...]
    """Files of demonstrations."""
    eval_demonstrations: tuple[Path, ...] = ()
    """Files whose loss is logged at each evaluation."""
    seed: int = 0
    """The one seed every draw of the run comes from."""
    threads: int = 0
    """CPU threads; 0 takes what the machine offers."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model that starts."""
    sft: SftConfig = field(default_factory=SftConfig)
    """How it is trained."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """The policy held against its start at chosen steps, as `accord evaluate compare` does."""


@dataclass(frozen=True, kw_only=True)
class RewardJob:
    """A reward model from files of comparisons, or of what `reward.objective` names."""

    preferences: tuple[Path, ...]
    """Files of comparisons, judgments or preferences; of rankings, ratings or steps for these objectives."""
    eval_preferences: tuple[Path, ...] = ()
    """Files of held-out ones; none holds out `reward.eval_share` of the prompts."""
    seed: int = 0
    """The one seed every draw of the run comes from."""
    threads: int = 0
    """CPU threads; 0 takes what the machine offers."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model it starts from."""
    reward: RewardTrainingConfig = field(default_factory=RewardTrainingConfig)
    """How it is trained."""


@dataclass(frozen=True, kw_only=True)
class DpoJob:
    """Direct preference optimization on files of comparisons."""

    preferences: tuple[Path, ...]
    """Files of comparisons, judgments or preferences."""
    eval_preferences: tuple[Path, ...] = ()
    """Files of held-out comparisons; none holds out `dpo.eval_share` of the prompts."""
    seed: int = 0
    """The one seed every draw of the run comes from."""
    threads: int = 0
    """CPU threads; 0 takes what the machine offers."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model that starts, and the reference."""
    dpo: DpoConfig = field(default_factory=DpoConfig)
    """How it is trained."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """The policy held against its start at chosen steps, as `accord evaluate compare` does."""


@dataclass(frozen=True, kw_only=True)
class KtoJob:
    """KTO on files of answers marked good or bad one by one."""

    verdicts: tuple[Path, ...]
    """Files of judged answers: prompt, completion, label."""
    eval_verdicts: tuple[Path, ...] = ()
    """Files of held-out ones; none holds out `kto.eval_share` of the prompts."""
    seed: int = 0
    """The one seed every draw of the run comes from."""
    threads: int = 0
    """CPU threads; 0 takes what the machine offers."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model that starts, and the reference."""
    kto: KtoConfig = field(default_factory=KtoConfig)
    """How it is trained."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """The policy held against its start at chosen steps, as `accord evaluate compare` does."""


@dataclass(frozen=True, kw_only=True)
class PromptsJob:
    """What every optimization against a reward reads."""

    prompts: tuple[Path, ...]
    """Files of prompts."""
    reward: str = ""
    """A reward model folder, `module:function` or `file.py:function` (code that is named is run), or the
    address of a service. Empty where `rewards` has parts."""
    rewards: RewardsConfig = field(default_factory=RewardsConfig)
    """Several rewards in its place, weighed or as an ensemble."""
    seed: int = 0
    """The one seed every draw of the run comes from."""
    threads: int = 0
    """CPU threads; 0 takes what the machine offers."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model that starts."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """The policy held against its start at chosen steps, as `accord evaluate compare` does."""

    def __post_init__(self) -> None:
        require_one_reward(self.reward, self.rewards)


@dataclass(frozen=True, kw_only=True)
class PolicyJob(PromptsJob):
    """Policy optimization by RLOO on files of prompts."""

    policy: OnlineConfig = field(default_factory=OnlineConfig)
    """How it is optimized."""


@dataclass(frozen=True, kw_only=True)
class GrpoJob(PromptsJob):
    """Policy optimization by GRPO or one of its kin on files of prompts."""

    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    """Which member of the family, and how it is optimized."""


@dataclass(frozen=True, kw_only=True)
class PpoJob(PromptsJob):
    """Policy optimization by PPO on files of prompts."""

    ppo: PpoConfig = field(default_factory=PpoConfig)
    """The critic, and how the policy is optimized."""


@dataclass(frozen=True, kw_only=True)
class ReinforceJob(PromptsJob):
    """Policy optimization by REINFORCE++ on files of prompts."""

    reinforce: ReinforceConfig = field(default_factory=ReinforceConfig)
    """How the policy is optimized."""


@dataclass(frozen=True, kw_only=True)
class OnlineDpoJob(PromptsJob):
    """Online DPO on files of prompts."""

    online_dpo: OnlineDpoConfig = field(default_factory=OnlineDpoConfig)
    """The pair loss, and how the policy is optimized."""


@dataclass(frozen=True, kw_only=True)
class BestOfNJob(PromptsJob):
    """Learning from the best of the policy's own samples on files of prompts."""

    best_of_n: BestOfNConfig = field(default_factory=BestOfNConfig)
    """What is kept, and how the policy is optimized."""


OnlineJob = PolicyJob | GrpoJob | PpoJob | ReinforceJob | OnlineDpoJob | BestOfNJob
Job = SftJob | RewardJob | DpoJob | KtoJob | OnlineJob
KINDS: Mapping[str, type[Job]] = {
    "sft": SftJob,
    "reward": RewardJob,
    "dpo": DpoJob,
    "kto": KtoJob,
    "rloo": PolicyJob,
    "grpo": GrpoJob,
    "ppo": PpoJob,
    "reinforce": ReinforceJob,
    "online-dpo": OnlineDpoJob,
    "best-of-n": BestOfNJob,
}
HEADLINES = {
    "sft": "sft/loss",
    "reward": "reward/eval_accuracy",
    "dpo": "dpo/eval_accuracy",
    "kto": "kto/eval_accuracy",
    **{name: "reward/mean" for name, kind in KINDS.items() if issubclass(kind, PromptsJob)},
}


def start_job(
    workspace: Workspace,
    kind: str,
    job: Job,
    *,
    name: str = "",
    command: Sequence[str] | None = None,
    observers: Sequence[Observer] = (),
) -> Run:
    """Make a run for the job and carry it out; `kind` is one of `KINDS`.

    Started by torchrun, rank 0 makes the run and keeps its record, and all ranks train in its folder.
    """
    with joined_ranks() as ranks:
        run_id = ""
        with ranks.first_writes() as is_writer:
            if is_writer:
                provenance = collect_provenance(seed=job.seed, inputs=_inputs(job))
                run = workspace.create_run(
                    kind, config=job, provenance=provenance, name=name, command=command
                )
                run_id = run.id
        run_id = ranks.from_first(run_id)
        if not ranks.is_first:
            return _take_part(workspace.run(run_id), job, is_resumed=False)
        return _carry_out(run, kind, job, observers, is_resumed=False)


def resume_job(workspace: Workspace, kind: str, key: str, *, observers: Sequence[Observer] = ()) -> Run:
    """Go on with a job that stopped, under the config it was started with."""
    run = workspace.run(key)
    record = run.record
    if record.kind != kind:
        raise WorkspaceError(
            f"run '{run.id}' is a {record.kind} run, not {kind}; resume it with its own command."
        )
    if not record.status.is_resumable:
        raise WorkspaceError(f"run '{run.id}' is {record.status}; only a stopped run can be resumed.")
    job = load_config(KINDS[kind], run.config_path)
    with joined_ranks() as ranks:
        ranks.from_first("")  # all have read the record before rank 0 changes it
        if not ranks.is_first:
            return _take_part(run, job, is_resumed=True)
        run.reopen()
        return _carry_out(run, kind, job, observers, is_resumed=True)


def _carry_out(run: Run, kind: str, job: Job, observers: Sequence[Observer], *, is_resumed: bool) -> Run:
    with run:
        if job.threads:
            torch.set_num_threads(job.threads)
        metrics = _train(job, run.folder, {"observers": observers, "resume": is_resumed}, has_probe=True)
        run.add_artifact("model", run.model_folder)
        headline = HEADLINES[kind]
        run.finish(Headline(name=headline, value=metrics[headline]) if headline in metrics else None)
    return run


def _take_part(run: Run, job: Job, *, is_resumed: bool) -> Run:
    """Train in rank 0's folder; its record is rank 0's business."""
    if job.threads:
        torch.set_num_threads(job.threads)
    _train(job, run.folder, {"observers": (), "resume": is_resumed})
    return run


def _train(job: Job, folder: Path, shared: dict[str, Any], *, has_probe: bool = False) -> Mapping[str, float]:
    model = _load(job.model)
    common = {**shared, "run_dir": folder, "streams": Streams(job.seed)}
    if has_probe and not isinstance(job, RewardJob):
        probe = find_probe(model, job.probe, folder=folder / "probe")
        common["observers"] = (*shared["observers"], *([] if probe is None else [probe]))
    match job:
        case SftJob():
            return train_sft(
                model,
                read_demonstrations(job.demonstrations),
                job.sft,
                eval_demonstrations=read_demonstrations(job.eval_demonstrations)
                if job.eval_demonstrations
                else (),
                **common,
            ).metrics
        case RewardJob():
            return _train_reward(model, job, common)
        case DpoJob():
            held = read_preferences(job.eval_preferences) if job.eval_preferences else None
            return train_dpo(
                model, read_preferences(job.preferences), job.dpo, eval_preferences=held, **common
            ).metrics
        case KtoJob():
            answers = read_verdicts(job.eval_verdicts) if job.eval_verdicts else None
            return train_kto(
                model, read_verdicts(job.verdicts), job.kto, eval_answers=answers, **common
            ).metrics
        case _:
            return _train_online(model, job, common)


def _train_online(model: LanguageModel, job: OnlineJob, common: dict[str, Any]) -> Mapping[str, float]:
    prompts, reward = read_prompts(job.prompts), load_rewards(job.reward, job.rewards)
    match job:
        case PolicyJob():
            return train_rloo(model, prompts, reward, job.policy, **common).metrics
        case GrpoJob():
            return train_grpo(model, prompts, reward, job.grpo, **common).metrics
        case PpoJob():
            return train_ppo(model, prompts, reward, job.ppo, **common).metrics
        case ReinforceJob():
            return train_reinforce(model, prompts, reward, job.reinforce, **common).metrics
        case OnlineDpoJob():
            return train_online_dpo(model, prompts, reward, job.online_dpo, **common).metrics
        case BestOfNJob():
            return train_best_of_n(model, prompts, reward, job.best_of_n, **common).metrics


RECORD_READERS: Mapping[str, Callable[[Sequence[Path]], Sequence[Any]]] = {
    "rankings": read_rankings,
    "ratings": read_ratings,
    "steps": read_step_labels,
    "judgments": read_judgments,
}
"""How the files of each objective but pairs are read."""


def _train_reward(model: LanguageModel, job: RewardJob, common: dict[str, Any]) -> Mapping[str, float]:
    kind = job.reward.objective.type
    if kind == "pairs":
        pairs = read_preferences(job.eval_preferences) if job.eval_preferences else None
        return train_reward_model(
            model, read_preferences(job.preferences), job.reward, eval_preferences=pairs, **common
        ).metrics
    read = RECORD_READERS[kind]
    held = read(job.eval_preferences) if job.eval_preferences else None
    return train_reward_on(model, read(job.preferences), job.reward, eval_records=held, **common).metrics


def _load(config: ModelConfig) -> LanguageModel:
    return load_model(config.name, lora=config.lora, trainable_layers=config.trainable_layers)


def _inputs(job: Job) -> list[Path]:
    match job:
        case SftJob():
            return [*job.demonstrations, *job.eval_demonstrations, *job.probe.prompts]
        case RewardJob():
            return [*job.preferences, *job.eval_preferences]
        case DpoJob():
            return [*job.preferences, *job.eval_preferences, *job.probe.prompts]
        case KtoJob():
            return [*job.verdicts, *job.eval_verdicts, *job.probe.prompts]
        case _:
            return [*job.prompts, *job.probe.prompts]
