"""`accord train sft|reward|dpo|rloo|ppo|...`: one training from files, by `pipeline/jobs.py`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from accord.cli.render import print_json, print_text
from accord.cli.run import SetOption
from accord.cli.runs import JsonOption, WorkspaceOption, open_workspace
from accord.cli.train_estimate import estimate

app = typer.Typer(
    help="Train on files: fine-tuning, a reward model, or a policy by DPO, KTO, RLOO, PPO and others.",
    no_args_is_help=True,
)

app.command("estimate")(estimate)

ConfigArgument = Annotated[
    Path | None, typer.Argument(help="TOML file, see docs/configuration.md.", show_default=False)
]
NameOption = Annotated[str, typer.Option("--name", help="Id of the run; else kind and time.")]
ResumeOption = Annotated[
    str | None,
    typer.Option("--resume", help="Go on with a stopped run: its id, or `latest`.", show_default=False),
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Check the config and print it; run nothing.")]

COMMANDS = {
    "sft": (
        "Fine-tune a model on demonstrations, with loss on the answers only.",
        "--set 'demonstrations=[\"demos.jsonl\"]' --set model.name=smollm2",
    ),
    "reward": (
        "Train a reward model on comparisons.",
        "--set 'preferences=[\"pairs.jsonl\"]' --set reward.epochs=1",
    ),
    "dpo": (
        "Optimize a policy directly on comparisons: DPO, IPO, SimPO, ORPO and others by `dpo.loss`.",
        "--set 'preferences=[\"pairs.jsonl\"]' --set dpo.loss=ipo --set dpo.beta=0.1",
    ),
    "kto": (
        "Optimize a policy on answers marked good or bad one by one, without pairs.",
        "--set 'verdicts=[\"labels.jsonl\"]' --set kto.beta=0.1",
    ),
    "rloo": (
        "Optimize a policy against a reward model folder or a Python function.",
        "--set 'prompts=[\"prompts.jsonl\"]' --set reward=my_rewards.py:brevity",
    ),
    "grpo": (
        "Optimize a policy by GRPO, or by Dr. GRPO, DAPO's loss, GSPO or CISPO through its settings.",
        "--set 'prompts=[\"prompts.jsonl\"]' --set reward=my_rewards.py:brevity",
    ),
    "ppo": (
        "Optimize a policy by PPO, with a critic on its trunk, apart, or begun from the reward model.",
        "--set 'prompts=[\"prompts.jsonl\"]' --set reward=reward-model --set ppo.critic=separate",
    ),
    "reinforce": (
        "Optimize a policy by REINFORCE++: no critic, KL by token, advantages whitened over the batch.",
        "--set 'prompts=[\"prompts.jsonl\"]' --set reward=my_rewards.py:brevity",
    ),
    "online-dpo": (
        "Optimize a policy by DPO on pairs of its own samples, ranked by a reward.",
        "--set 'prompts=[\"prompts.jsonl\"]' --set reward=reward-model",
    ),
    "best-of-n": (
        "Imitate the best of the own samples: RAFT, rejection sampling, expert iteration.",
        "--set 'prompts=[\"p.jsonl\"]' --set reward=reward-model --set best_of_n.keep=top",
    ),
}
"""Kind of job -> what it does, and options as an example."""


def _add(kind: str, what: str, example: str) -> None:
    def train(
        config: ConfigArgument = None,
        overrides: SetOption = None,
        name: NameOption = "",
        resume: ResumeOption = None,
        is_dry: DryOption = False,
        workspace: WorkspaceOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _train(kind, config, overrides, name, resume, workspace, is_dry=is_dry, as_json=as_json)

    app.command(kind, help=f"{what}\n\nExample:\n\n  accord train {kind} {example}")(train)


def _train(
    kind: str,
    config: Path | None,
    overrides: list[str] | None,
    name: str,
    resume: str | None,
    workspace: Path | None,
    *,
    is_dry: bool,
    as_json: bool,
) -> None:
    from accord.pipeline.configuration import dump_config, load_config
    from accord.pipeline.jobs import KINDS, resume_job, start_job
    from accord.training import ProgressBar

    if resume is None:
        job = load_config(KINDS[kind], config, overrides or [])
        if is_dry:
            print_text(dump_config(job))
            return
        run = start_job(
            open_workspace(workspace), kind, job, name=name, command=sys.argv, observers=[ProgressBar()]
        )
    else:
        run = resume_job(open_workspace(workspace), kind, resume, observers=[ProgressBar()])
    if int(os.environ.get("RANK", "0")) > 0:
        return  # rank 0 speaks for all
    if as_json:
        print_json(run.record)
    else:
        print_text(f"{run.record.headline or 'done'}\nrun    {run.folder}\nmodel  {run.model_folder}")


for _kind, (_what, _example) in COMMANDS.items():
    _add(_kind, _what, _example)
